//! Transactions: what they begin with, and how they end. What happens in between, the process keeps.

use std::cell::Cell;
use std::ptr;
use std::thread;
use std::time::Duration;

use blanket_core::{Commit, Expected, Operation, pin};
use rustler::sys::ErlNifEnv;
use rustler::{Env, NifResult, Term};
use smallvec::SmallVec;

use super::lifecycle::kind_atom;
use super::write;
use crate::arena::size_up_to;
use crate::atoms;
use crate::block;
use crate::ownership::Protection;
use crate::raw::{self, Answer, Call, Failure, boolean, export};
use crate::resource::{self, Borrowed, Ref, TableRef, TableResource};
use crate::snapshot;
use crate::term::BeamTerm;
use crate::turn::{self, Turn};
use crate::yielding::Slice;

export! {
    c"use_table"/1 = use_table;
    c"watch"/1 = watch;
    c"end_watch"/1 = end_watch;
    c"commit"/4 = commit;
    c"join_turn"/1 = join_turn;
    c"leave_turn"/1 = leave_turn;
    c"pass_turn"/0 = pass_turn;
}

/// `{reference, type, keypos, what the caller may do}` of a table that the caller may read.
fn use_table(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let rights = match table.access.protection() {
        Protection::Snapshot => atoms::snapshot(),
        Protection::Public => atoms::write(),
        _ if table.access.is_owner(call.caller()) => atoms::write(),
        _ => atoms::read(),
    };
    let given = call.args[0];
    let reference = match given.is_immediate() {
        true => table.keep().to_term(call.env),
        false => given,
    };
    let keypos = BeamTerm::small(table.table.keypos() as i64).ok_or(Failure::BadArg)?;
    Ok(call.tuple(&[
        reference,
        BeamTerm::from(kind_atom(table.table.kind())),
        keypos,
        BeamTerm::from(rights),
    ]))
}

/// The table, in one that remembers what was read.
fn watch(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let watch = table.table.watch(call.guard).ok_or(Failure::BadArg)?;
    let watch = snapshot::new(&table.keep(), watch, Protection::Watch);
    Ok(watch.to_term(call.env))
}

/// Ends a watch: what its table had is no longer kept for it.
fn end_watch(call: &Call<'_>) -> Answer {
    // SAFETY: the watch is an argument of the call.
    let watch = unsafe { resource::borrow::<TableResource>(call.env, call.args[0]) };
    let is_watch =
        |watch: &Borrowed<'_, TableResource>| watch.access.protection() == Protection::Watch;
    let watch = watch.filter(is_watch).ok_or(Failure::BadArg)?;
    drop(watch.table.clear());
    Ok(boolean(true))
}

/// Ends a transaction: whether it is done, or `large` where [`commit_large`] is to be asked.
///
/// - tables: a tuple of the tables that it has used,
/// - read set: `{number of the table, key} => objects`, or `true` where there was some object,
/// - write set: `{number of the table, key} => object`, `delete`, or a list of operations, the last one first:
///   `{insert, object}`, `{delete_object, object}`, `delete`,
/// - watches: `number => watch`.
///
/// A table that the caller may no longer use is as good as one that has changed: the transaction finds out
/// when it runs again.
fn commit(call: &Call<'_>) -> Answer {
    let ending = Ending::of(call.args)?;
    if ending.is_large() {
        return Ok(BeamTerm::from(atoms::large()));
    }
    let tables = ending.tables(call.env)?;
    if !ending.may(call, &tables)? {
        return Ok(boolean(false));
    }
    let mut commit = Commit::new();
    for table in &tables {
        commit.table(&table.get().table, ending.things(&tables), call.guard);
    }
    // Where there are snapshots, each change may have its leaf frozen, which takes its time.
    let has_snapshots = tables.iter().any(|table| table.table.has_snapshots());
    let mut size = Size::up_to(if has_snapshots { FEWEST } else { FEW });
    ending.read(call.env, &tables, &mut commit, &mut size)?;
    if size.is_over() {
        call.waits.set(false);
        return Ok(BeamTerm::from(atoms::large()));
    }
    let committed = commit.run(|| false)?;
    call.waits.set(call.waits.get() && committed);
    Ok(boolean(committed))
}

/// Things that are handled in one go; and the same where leaves are frozen.
const FEW: usize = 2 * Slice::OBJECTS;
const FEWEST: usize = 4;

/// How much a commit has to do, in things: operations, and objects that were read. Terms that are large count
/// for several, as they are compared, packed and copied.
struct Size {
    things: usize,
    /// Without, no term is looked at.
    most: Option<usize>,
}

impl Size {
    /// Bytes that count as one more thing.
    const BYTES: usize = 2048;

    fn up_to(most: usize) -> Self {
        Size {
            things: 0,
            most: Some(most),
        }
    }

    fn any() -> Self {
        Size {
            things: 0,
            most: None,
        }
    }

    fn is_over(&self) -> bool {
        self.most.is_some_and(|most| self.things > most)
    }

    fn add(&mut self, things: usize) {
        self.things = self.things.saturating_add(things);
    }

    fn add_term(&mut self, term: BeamTerm) {
        self.add(1);
        if let Some(room) = self.most.and_then(|most| most.checked_sub(self.things)) {
            let bytes = size_up_to(term, (room + 1) * Self::BYTES);
            self.add(bytes / Self::BYTES);
        }
    }
}

/// The same for many operations, all of which happen at one instant; or `held_back` while a turn lasts, which
/// is not waited for here: who has the turn may need this scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn commit_large<'a>(
    env: Env<'a>,
    tables: Term<'a>,
    read_set: Term<'a>,
    write_set: Term<'a>,
    watches: Term<'a>,
) -> NifResult<Term<'a>> {
    let waits = Cell::new(false);
    let args = [tables, read_set, write_set, watches].map(BeamTerm::from);
    let answer = match try_commit_large(env.as_c_arg(), &args, &waits) {
        Ok(true) if waits.get() => raw::unsynced(env.as_c_arg(), boolean(true)),
        Ok(committed) => boolean(committed),
        Err(Failure::Contended) => BeamTerm::from(atoms::held_back()),
        Err(Failure::BadArg) => return Err(rustler::Error::BadArg),
    };
    // SAFETY: the term was just made in `env`, or is an atom.
    Ok(unsafe { Term::new(env, answer.raw()) })
}

/// No epoch is pinned while it waits, while it reads its arguments, nor while it goes from key to key.
fn try_commit_large(
    env: *mut ErlNifEnv,
    args: &[BeamTerm],
    waits: &Cell<bool>,
) -> Result<bool, Failure> {
    let ending = Ending::of(args)?;
    let tables = ending.tables(env)?;
    let may = || {
        let guard = &pin();
        let name = c"commit_large";
        let call = Call {
            env,
            args,
            guard,
            name,
            waits,
        };
        ending.may(&call, &tables)
    };
    if !may()? {
        return Ok(false);
    }
    let mut commit = Commit::new();
    for table in &tables {
        commit.table_for_long(&table.get().table, ending.things(&tables));
    }
    ending.read(env, &tables, &mut commit, &mut Size::any())?;
    let committed = commit.run(|| {
        thread::sleep(PAUSE);
        true
    });
    Ok(committed == Ok(true))
}

const PAUSE: Duration = Duration::from_micros(50);

type Tables<'a> = SmallVec<[Borrowed<'a, TableResource>; 4]>;

/// The arguments of a commit.
struct Ending {
    tables: BeamTerm,
    read_set: BeamTerm,
    write_set: BeamTerm,
    watches: BeamTerm,
}

impl Ending {
    fn of(args: &[BeamTerm]) -> Result<Self, Failure> {
        let [tables, read_set, write_set, watches] = *args else {
            return Err(Failure::BadArg);
        };
        Ok(Ending {
            tables,
            read_set,
            write_set,
            watches,
        })
    }

    fn tables<'a>(&self, env: *mut ErlNifEnv) -> Result<Tables<'a>, Failure> {
        let tables = self.tables.as_tuple().ok_or(Failure::BadArg)?;
        // SAFETY: the tables are named by an argument of the call, which `'a` does not outlive.
        let table = |&table| unsafe { resource::borrow(env, table) };
        let tables: Option<Tables<'a>> = tables.iter().map(table).collect();
        let is_table = |table: &Borrowed<'_, TableResource>| table.origin.is_none();
        let all_tables = |tables: &Tables<'a>| tables.iter().all(is_table);
        // A table that is there twice would wait for itself.
        let no_two = |tables: &Tables<'a>| {
            let mut pointers: SmallVec<[*const TableResource; 4]> = tables
                .iter()
                .map(|table| ptr::from_ref(table.get()))
                .collect();
            pointers.sort_unstable();
            pointers.windows(2).all(|two| two[0] != two[1])
        };
        let tables = tables.filter(all_tables).filter(no_two);
        tables.ok_or(Failure::BadArg)
    }

    /// Whether it takes long only to read all of it.
    fn is_large(&self) -> bool {
        let tables = self.tables.as_tuple().map_or(0, <[_]>::len);
        self.keys() + tables + self.watches.map_size().unwrap_or(0) > FEW
    }

    /// How many keys were read, and how many are written.
    fn keys(&self) -> usize {
        let sets = [self.read_set, self.write_set];
        sets.iter().map(|set| set.map_size().unwrap_or(0)).sum()
    }

    /// About how much there is to say of a table.
    fn things(&self, tables: &Tables<'_>) -> usize {
        self.keys().div_ceil(tables.len().max(1))
    }

    /// Whether the caller may use the tables as it wants to.
    fn may(&self, call: &Call<'_>, tables: &Tables<'_>) -> Result<bool, Failure> {
        let caller = || call.caller();
        if !tables.iter().all(|table| table.access.may_read(caller)) {
            return Ok(false);
        }
        if tables.iter().all(|table| table.access.may_write(caller)) {
            return Ok(true);
        }
        let mut allowed = true;
        each(self.write_set, |place, _written| {
            let (number, _) = number_and_key(place, tables.len())?;
            allowed = allowed && call.may_write(&tables[number])?;
            Ok(())
        })?;
        Ok(allowed)
    }

    /// Has the commit know all of it, and counts how much it is; stops where that turns out to be too much.
    fn read(
        &self,
        env: *mut ErlNifEnv,
        tables: &Tables<'_>,
        commit: &mut Commit<'_, BeamTerm>,
        size: &mut Size,
    ) -> Result<(), Failure> {
        each(self.read_set, |place, found| {
            let (number, key) = number_and_key(place, tables.len())?;
            if let Some(expected) = expected(env, &tables[number], key, found, size)? {
                commit.expect(number, key, expected);
            }
            Ok(())
        })?;
        each(self.write_set, |place, written| {
            let (number, key) = number_and_key(place, tables.len())?;
            let object = |object| write::object(env, &tables[number], object);
            let is_list = written.as_cell().is_some() || written == BeamTerm::nil();
            if !is_list {
                size.add_term(if written.is_immediate() { key } else { written });
                if !size.is_over() {
                    commit.change(number, operation(key, written, object)?);
                }
                return Ok(());
            }
            let mut operations = Vec::new();
            each_up_to(size, written, |operation| {
                operations.push(operation_of_bag(key, operation, object)?);
                Ok(())
            })?;
            let in_order = operations.into_iter().rev();
            in_order.for_each(|operation| commit.change(number, operation));
            Ok(())
        })?;
        each(self.watches, |number, watch| {
            // SAFETY: the watch is named by an argument of the call.
            let watch = unsafe { resource::borrow::<TableResource>(env, watch) };
            let watch = watch.ok_or(Failure::BadArg)?;
            let number = index(number, tables.len())?;
            let is_its_watch = watch.origin.as_ref().is_some_and(|origin| {
                std::ptr::eq::<TableResource>(&**origin, tables[number].get())
            });
            if !is_its_watch || watch.access.protection() != Protection::Watch {
                return Err(Failure::BadArg);
            }
            let guard = &pin();
            size.add(watch.table.watched(guard));
            let is_watch = commit.unchanged(number, &watch.table, guard);
            is_watch.then_some(()).ok_or(Failure::BadArg)
        })
    }
}

/// What was found under a key; `None` where it is too much.
fn expected(
    env: *mut ErlNifEnv,
    table: &TableResource,
    key: BeamTerm,
    found: BeamTerm,
    size: &mut Size,
) -> Result<Option<Expected<BeamTerm>>, Failure> {
    if found.is_immediate() {
        size.add_term(key);
    }
    if found == boolean(true) {
        return Ok(Some(Expected::Any));
    }
    let mut objects = SmallVec::new();
    each_up_to(size, found, |found| {
        objects.push(write::object(env, table, found)?);
        Ok(())
    })?;
    Ok((!size.is_over()).then_some(Expected::Objects(objects)))
}

/// What becomes of a key that has one object.
fn operation(
    key: BeamTerm,
    written: BeamTerm,
    object: impl Fn(BeamTerm) -> Answer,
) -> Result<Operation<BeamTerm>, Failure> {
    match written == BeamTerm::from(atoms::delete()) {
        true => Ok(Operation::Delete(key)),
        false => Ok(Operation::Insert(object(written)?)),
    }
}

/// One of the changes of a key in a bag.
fn operation_of_bag(
    key: BeamTerm,
    operation: BeamTerm,
    object: impl Fn(BeamTerm) -> Answer,
) -> Result<Operation<BeamTerm>, Failure> {
    match operation.as_tuple() {
        Some(&[name, given]) if name == BeamTerm::from(atoms::insert()) => {
            Ok(Operation::Insert(object(given)?))
        }
        Some(&[name, given]) if name == BeamTerm::from(atoms::delete_object()) => {
            Ok(Operation::DeleteObject(object(given)?))
        }
        _ if operation == BeamTerm::from(atoms::delete()) => Ok(Operation::Delete(key)),
        _ => Err(Failure::BadArg),
    }
}

/// The table's number and the key.
fn number_and_key(place: BeamTerm, tables: usize) -> Result<(usize, BeamTerm), Failure> {
    match place.as_tuple() {
        Some(&[number, key]) => Ok((index(number, tables)?, key)),
        _ => Err(Failure::BadArg),
    }
}

fn index(number: BeamTerm, tables: usize) -> Result<usize, Failure> {
    let index = number
        .small_integer()
        .and_then(|number| usize::try_from(number).ok());
    index.filter(|&index| index < tables).ok_or(Failure::BadArg)
}

/// Calls `each` with the keys and values of a map.
fn each(
    map: BeamTerm,
    mut each: impl FnMut(BeamTerm, BeamTerm) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some((keys, values)) = block::pairs(map) {
        let mut pairs = keys.iter().zip(values);
        return pairs.try_for_each(|(&key, &value)| each(key, value));
    }
    let mut result = map.map_size().map(|_| ()).ok_or(Failure::BadArg);
    map.for_each_pair(|key, value| {
        if result.is_ok() {
            result = each(key, value);
        }
    });
    result
}

/// Calls `each` with the members of a proper list.
fn each_of_list(
    mut list: BeamTerm,
    mut each: impl FnMut(BeamTerm) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some((head, tail)) = list.as_cell() {
        each(head)?;
        list = tail;
    }
    match list == BeamTerm::nil() {
        true => Ok(()),
        false => Err(Failure::BadArg),
    }
}

/// The same of members that count, up to where they are too much.
fn each_up_to(
    size: &mut Size,
    list: BeamTerm,
    mut each: impl FnMut(BeamTerm) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rest = list;
    while let Some((head, tail)) = rest.as_cell() {
        size.add_term(head);
        if size.is_over() {
            return Ok(());
        }
        each(head)?;
        rest = tail;
    }
    each_of_list(rest, |_| Ok(()))
}

/// Puts the caller in the queue for a turn with these tables, a list: `{turn, whether it has come}`. The turn
/// comes by the message `{'$blanket_turn', turn}`.
fn join_turn(call: &Call<'_>) -> Answer {
    let mut tables = Vec::new();
    each_of_list(call.args[0], |table| {
        let table = TableRef::from_term(call.env, table).ok_or(Failure::BadArg)?;
        tables.push(table);
        Ok(())
    })?;
    let (turn, has_come) = turn::join(call.env, call.pid(), tables).ok_or(Failure::BadArg)?;
    Ok(call.tuple(&[turn.to_term(call.env), boolean(has_come)]))
}

/// Ends a turn.
fn leave_turn(call: &Call<'_>) -> Answer {
    let turn = Ref::<Turn>::from_term(call.env, call.args[0]).ok_or(Failure::BadArg)?;
    turn::leave(&turn, call.env);
    Ok(boolean(true))
}

/// Ends the turn of whoever has it for too long.
fn pass_turn(call: &Call<'_>) -> Answer {
    turn::pass(call.env);
    Ok(boolean(true))
}
