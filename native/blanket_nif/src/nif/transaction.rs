//! Transactions: what they begin with, and how they end. What happens in between, the process keeps.

use std::thread;
use std::time::Duration;

use blanket_core::{Commit, Expected, Operation, pin};
use rustler::{Env, NifResult, Term};
use smallvec::SmallVec;

use super::lifecycle::kind_atom;
use super::write;
use crate::atoms;
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
        _ if table.access.might_write(|| call.caller()) => atoms::write(),
        _ => atoms::read(),
    };
    let keypos = BeamTerm::small(table.table.keypos() as i64).ok_or(Failure::BadArg)?;
    Ok(call.tuple(&[
        table.keep().to_term(call.env),
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

/// Ends a transaction: whether it is done, or `large` where [`commit_large`] is to be asked.
///
/// - tables: a tuple of the tables that it has used,
/// - reads: `{number of the table, key} => objects`, or `true` where there was some object,
/// - writes: `{number, key} => object`, `delete`, or a list of operations, the last one first: `{insert,
///   object}`, `{delete_object, object}`, `delete`,
/// - watches: `number => watch`.
///
/// A table that the caller may no longer use is as good as one that has changed: the transaction finds out
/// when it runs again.
fn commit(call: &Call<'_>) -> Answer {
    let ending = Ending::of(call)?;
    let tables = ending.tables(call)?;
    if !ending.may(call, &tables)? {
        return Ok(boolean(false));
    }
    let (commit, size) = ending.commit(call, &tables)?;
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
    reads: Term<'a>,
    writes: Term<'a>,
    watches: Term<'a>,
) -> NifResult<bool> {
    let args = [tables, reads, writes, watches].map(BeamTerm::from);
    // No epoch is pinned while it waits, nor while it goes from key to key.
    let (tables, commit) = loop {
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
            match ending.may(&call, &tables)? {
                true => Ok(Some((ending.commit(&call, &tables)?.0, tables))),
                false => Ok(None),
            }
        };
        match begin() {
            Ok(Some((commit, tables))) => break (tables, commit),
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
    drop(tables);
    Ok(committed == Ok(true))
}

const PAUSE: Duration = Duration::from_micros(50);

type Tables<'a> = SmallVec<[Borrowed<'a, TableResource>; 4]>;

/// The arguments of a commit.
struct Ending {
    tables: BeamTerm,
    reads: BeamTerm,
    writes: BeamTerm,
    watches: BeamTerm,
}

impl Ending {
    fn of(call: &Call<'_>) -> Result<Self, Failure> {
        match *call.args {
            [tables, reads, writes, watches] => Ok(Ending {
                tables,
                reads,
                writes,
                watches,
            }),
            _ => Err(Failure::BadArg),
        }
    }

    fn tables<'a>(&self, call: &Call<'_>) -> Result<Tables<'a>, Failure> {
        let tables = self.tables.as_tuple().ok_or(Failure::BadArg)?;
        // SAFETY: the tables are named by an argument of the call, which `'a` does not outlive.
        let table = |&table| unsafe { resource::borrow(call.env, table) };
        let tables: Option<Tables<'a>> = tables.iter().map(table).collect();
        let is_table = |table: &Borrowed<'_, TableResource>| table.origin.is_none();
        let all_tables = |tables: &Tables<'a>| tables.iter().all(is_table);
        tables.filter(all_tables).ok_or(Failure::BadArg)
    }

    /// Whether the caller may use the tables as it wants to.
    fn may(&self, call: &Call<'_>, tables: &Tables<'_>) -> Result<bool, Failure> {
        let caller = || call.caller();
        if !tables.iter().all(|table| table.access.may_read(caller)) {
            return Ok(false);
        }
        let mut written = true;
        each(self.writes, |entry, _| {
            let (number, _) = place(entry, tables.len())?;
            written = written
                && (tables[number].access.may_write(caller) || call.may_write(&tables[number])?);
            Ok(())
        })?;
        Ok(written)
    }

    /// The commit, and how many operations and objects there are to it.
    fn commit<'a>(
        &self,
        call: &Call<'_>,
        tables: &Tables<'a>,
    ) -> Result<(Commit<'a, BeamTerm>, usize), Failure> {
        let mut commit = Commit::new();
        for table in tables {
            commit.table(&table.get().table, call.guard);
        }
        let mut size = 0;
        each(self.reads, |entry, found| {
            let (number, key) = place(entry, tables.len())?;
            let expected = match found.boolean() {
                Some(true) => Expected::Any,
                _ => {
                    let mut objects = SmallVec::new();
                    each_of_list(found, |object| {
                        objects.push(write::object(call, &tables[number], object)?);
                        Ok(())
                    })?;
                    size += objects.len();
                    Expected::Objects(objects)
                }
            };
            size += 1;
            commit.expect(number, key, expected);
            Ok(())
        })?;
        each(self.writes, |entry, operations| {
            let (number, key) = place(entry, tables.len())?;
            let object = |object| write::object(call, &tables[number], object);
            let delete = BeamTerm::from(atoms::delete());
            if operations == delete {
                size += 1;
                commit.change(number, Operation::Delete(key));
                return Ok(());
            }
            if operations.as_tuple().is_some() {
                size += 1;
                commit.change(number, Operation::Insert(object(operations)?));
                return Ok(());
            }
            let mut changes = Vec::new();
            each_of_list(operations, |operation| {
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
            size += changes.len();
            let in_order = changes.into_iter().rev();
            in_order.for_each(|change| commit.change(number, change));
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
            commit.unchanged(number, &watch.table, call.guard);
            Ok(())
        })?;
        Ok((commit, size))
    }
}

/// The table's number and the key.
fn place(entry: BeamTerm, tables: usize) -> Result<(usize, BeamTerm), Failure> {
    match entry.as_tuple() {
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
    let mut result = map.map_size().map(|_| ()).ok_or(Failure::BadArg);
    if map.map_size() == Some(0) {
        return result;
    }
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
