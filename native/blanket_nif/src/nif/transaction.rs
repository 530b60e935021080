//! Transactions: what they begin with, and how they end. What happens in between, the process keeps.

use std::ptr;
use std::thread;
use std::time::Duration;

use blanket_core::{Commit, Expected, Operation, pin};
use rustler::{Env, NifResult, Term};
use smallvec::SmallVec;

use super::lifecycle::kind_atom;
use super::write;
use crate::atoms;
use crate::block;
use crate::ownership::Protection;
use crate::raw::{Answer, Call, Failure, boolean, export};
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
/// - places: `{number of the table, key} => found`, or `{found, written}`. What was found is `objects`,
///   `true` where there was some object, or `unread`; what is written is an `object`, `delete`, or a list of
///   operations, the last one first: `{insert, object}`, `{delete_object, object}`, `delete`,
/// - watches: `number => watch`,
/// - whether to write.
///
/// A table that the caller may no longer use is as good as one that has changed: the transaction finds out
/// when it runs again.
fn commit(call: &Call<'_>) -> Answer {
    let ending = Ending::of(call)?;
    if ending.is_large() {
        return Ok(BeamTerm::from(atoms::large()));
    }
    let tables = ending.tables(call)?;
    if !ending.may(call, &tables)? {
        return Ok(boolean(false));
    }
    let mut commit = Commit::new();
    for table in &tables {
        commit.table(&table.get().table, ending.things(&tables), call.guard);
    }
    let size = ending.read(call, &tables, &mut commit, FEW)?;
    // Where there are snapshots, each change may have its leaf frozen, which takes its time.
    let has_snapshots = || tables.iter().any(|table| table.table.has_snapshots());
    if size > FEW || size > FEWEST && has_snapshots() {
        return Ok(BeamTerm::from(atoms::large()));
    }
    Ok(boolean(commit.run(|| false)?))
}

/// Operations and objects that are handled in one go; and the same where leaves are frozen.
const FEW: usize = 2 * Slice::OBJECTS;
const FEWEST: usize = 4;

/// The same for many operations, all of which happen at one instant.
#[rustler::nif(schedule = "DirtyCpu")]
fn commit_large<'a>(
    env: Env<'a>,
    tables: Term<'a>,
    places: Term<'a>,
    watches: Term<'a>,
    write: Term<'a>,
) -> NifResult<bool> {
    let args = [tables, places, watches, write].map(BeamTerm::from);
    // No epoch is pinned while it waits, nor while it goes from key to key.
    let commit = loop {
        let guard = pin();
        let call = Call {
            env: env.as_c_arg(),
            args: &args,
            guard: &guard,
            name: c"commit_large",
        };
        let begin = || -> Result<_, Failure> {
            let ending = Ending::of(&call)?;
            let tables: Tables<'a> = ending.tables(&call)?;
            if !ending.may(&call, &tables)? {
                return Ok(None);
            }
            let mut commit = Commit::new();
            for table in &tables {
                commit.table_for_long(&table.get().table, ending.things(&tables));
            }
            ending.read(&call, &tables, &mut commit, usize::MAX)?;
            Ok(Some(commit))
        };
        match begin() {
            Ok(Some(commit)) => break commit,
            Ok(None) => return Ok(false),
            Err(Failure::BadArg) => return Err(rustler::Error::BadArg),
            Err(Failure::Contended) => drop(guard),
        }
        thread::sleep(PAUSE);
    };
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
    places: BeamTerm,
    watches: BeamTerm,
    write: bool,
}

impl Ending {
    fn of(call: &Call<'_>) -> Result<Self, Failure> {
        let [tables, places, watches, write] = *call.args else {
            return Err(Failure::BadArg);
        };
        Ok(Ending {
            tables,
            places,
            watches,
            write: write.boolean().ok_or(Failure::BadArg)?,
        })
    }

    fn tables<'a>(&self, call: &Call<'_>) -> Result<Tables<'a>, Failure> {
        let tables = self.tables.as_tuple().ok_or(Failure::BadArg)?;
        // SAFETY: the tables are named by an argument of the call, which `'a` does not outlive.
        let table = |&table| unsafe { resource::borrow(call.env, table) };
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
        let maps = [self.places, self.watches].map(|map| map.map_size().unwrap_or(0));
        tables + maps[0] + maps[1] > FEW
    }

    /// About how much there is to say of a table.
    fn things(&self, tables: &Tables<'_>) -> usize {
        let places = self.places.map_size().unwrap_or(0);
        2 * places.div_ceil(tables.len().max(1))
    }

    /// Whether the caller may use the tables as it wants to.
    fn may(&self, call: &Call<'_>, tables: &Tables<'_>) -> Result<bool, Failure> {
        let caller = || call.caller();
        if !tables.iter().all(|table| table.access.may_read(caller)) {
            return Ok(false);
        }
        let is_open = |table: &Borrowed<'_, TableResource>| table.access.may_write(caller);
        if !self.write || tables.iter().all(is_open) {
            return Ok(true);
        }
        let mut allowed = true;
        each(self.places, |place, what| {
            if let (_, Some(_)) = found_and_written(what) {
                let (number, _) = number_and_key(place, tables.len())?;
                allowed = allowed && call.may_write(&tables[number])?;
            }
            Ok(())
        })?;
        Ok(allowed)
    }

    /// Has the commit know all of it; answers how many operations and objects there are. With more than
    /// `most`, it stops where that turns out.
    fn read(
        &self,
        call: &Call<'_>,
        tables: &Tables<'_>,
        commit: &mut Commit<'_, BeamTerm>,
        most: usize,
    ) -> Result<usize, Failure> {
        let mut size = 0;
        each(self.places, |place, what| {
            if size > most {
                return Ok(());
            }
            let (number, key) = number_and_key(place, tables.len())?;
            let object = |object| write::object(call, &tables[number], object);
            let (found, written) = found_and_written(what);
            if let Some(expected) = expected(found, object)? {
                size += match &expected {
                    Expected::Any => 1,
                    Expected::Objects(objects) => objects.len().max(1),
                };
                commit.expect(number, key, expected);
            }
            if let Some(written) = written.filter(|_| self.write) {
                size += change(commit, number, key, written, object, most)?;
            }
            Ok(())
        })?;
        each(self.watches, |number, watch| {
            // SAFETY: the watch is named by an argument of the call.
            let watch = unsafe { resource::borrow::<TableResource>(call.env, watch) };
            let watch = watch.ok_or(Failure::BadArg)?;
            let number = index(number, tables.len())?;
            let is_its_watch = watch.origin.as_ref().is_some_and(|origin| {
                std::ptr::eq::<TableResource>(&**origin, tables[number].get())
            });
            if !is_its_watch || watch.access.protection() != Protection::Watch {
                return Err(Failure::BadArg);
            }
            size += watch.table.watched(call.guard);
            let is_watch = commit.unchanged(number, &watch.table, call.guard);
            is_watch.then_some(()).ok_or(Failure::BadArg)
        })?;
        Ok(size)
    }
}

fn found_and_written(what: BeamTerm) -> (BeamTerm, Option<BeamTerm>) {
    match what.as_tuple() {
        Some(&[found, written]) => (found, Some(written)),
        _ => (what, None),
    }
}

fn expected(
    found: BeamTerm,
    object: impl Fn(BeamTerm) -> Answer,
) -> Result<Option<Expected<BeamTerm>>, Failure> {
    if found.is_immediate() && found != BeamTerm::nil() {
        return match found.boolean() {
            Some(true) => Ok(Some(Expected::Any)),
            None if found == BeamTerm::from(atoms::unread()) => Ok(None),
            _ => Err(Failure::BadArg),
        };
    }
    let mut objects = SmallVec::new();
    each_of_list(found, |found| {
        objects.push(object(found)?);
        Ok(())
    })?;
    Ok(Some(Expected::Objects(objects)))
}

/// What is written under a key; answers how many operations it is.
fn change(
    commit: &mut Commit<'_, BeamTerm>,
    number: usize,
    key: BeamTerm,
    written: BeamTerm,
    object: impl Fn(BeamTerm) -> Answer,
    most: usize,
) -> Result<usize, Failure> {
    if is_longer(written, most) {
        return Ok(most.saturating_add(1));
    }
    let delete = BeamTerm::from(atoms::delete());
    if written.as_tuple().is_some() {
        commit.change(number, Operation::Insert(object(written)?));
        return Ok(1);
    }
    if written == delete {
        commit.change(number, Operation::Delete(key));
        return Ok(1);
    }
    let mut changes = Vec::new();
    each_of_list(written, |operation| {
        changes.push(match operation.as_tuple() {
            Some(&[name, given]) if name == BeamTerm::from(atoms::insert()) => {
                Operation::Insert(object(given)?)
            }
            Some(&[name, given]) if name == BeamTerm::from(atoms::delete_object()) => {
                Operation::DeleteObject(object(given)?)
            }
            _ if operation == delete => Operation::Delete(key),
            _ => return Err(Failure::BadArg),
        });
        Ok(())
    })?;
    let count = changes.len();
    let in_order = changes.into_iter().rev();
    in_order.for_each(|change| commit.change(number, change));
    Ok(count)
}

fn is_longer(mut list: BeamTerm, most: usize) -> bool {
    for _ in 0..most {
        match list.as_cell() {
            Some((_, tail)) => list = tail,
            None => return false,
        }
    }
    list.as_cell().is_some()
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
