//! Taking snapshots and letting go of them.

use blanket_core::{Parked, Position, Table};
use rustler::{Encoder, Env, Error, NifResult, Term};

use super::lifecycle::{check_read, lock};
use crate::ownership::Protection;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::TableRef;
use crate::snapshot;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"count"/1 = count;
}

/// A snapshot of each of these tables, all of the same instant. None of them may be a snapshot.
#[rustler::nif]
fn snapshot<'a>(env: Env<'a>, tables: Term<'a>) -> NifResult<Term<'a>> {
    take_all(env, tables)
}

/// The same for tables that are so many that it takes long.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot_many<'a>(env: Env<'a>, tables: Term<'a>) -> NifResult<Term<'a>> {
    take_all(env, tables)
}

fn take_all<'a>(env: Env<'a>, tables: Term<'a>) -> NifResult<Term<'a>> {
    let tables = read_tables(tables)?;
    for table in &tables {
        drop(lock(env, table)?);
        check_read(env, table)?;
    }
    let contents: Vec<&Table<_>> = tables.iter().map(|table| &table.table).collect();
    let taken = Table::snapshot(&contents).ok_or(Error::BadArg)?;
    let snapshots = tables.iter().zip(taken).map(|(table, taken)| {
        let snapshot = snapshot::new(table, taken, Protection::Snapshot);
        let owned = lock(env, &snapshot)?.pass_to(*env.pid().as_c_arg());
        owned.map_err(|_| Error::BadArg)?;
        Ok(snapshot)
    });
    let snapshots: NifResult<Vec<TableRef>> = snapshots.collect();
    Ok(snapshots?.encode(env))
}

/// The tables of a proper list. Rustler's own decoder of lists panics at the end of an improper one.
fn read_tables(mut list: Term) -> NifResult<Vec<TableRef>> {
    let mut tables = Vec::new();
    while let Ok((head, tail)) = list.list_get_cell() {
        tables.push(head.decode()?);
        list = tail;
    }
    match list.is_empty_list() {
        true => Ok(tables),
        false => Err(Error::BadArg),
    }
}

/// Ends a snapshot. Answers whether it is the one who did.
#[rustler::nif]
fn release(env: Env, snapshot: TableRef) -> NifResult<bool> {
    snapshot.origin.as_ref().ok_or(Error::BadArg)?;
    let Ok(mut locked) = lock(env, &snapshot) else {
        return Ok(false);
    };
    check_read(env, &snapshot)?;
    locked.delete();
    Ok(true)
}

/// Whether a term names a snapshot, be it one that has ended.
#[rustler::nif]
fn is_snapshot(term: Term) -> bool {
    let table = term.decode::<TableRef>();
    table.is_ok_and(|table| table.origin.is_some())
}

/// The number of objects, which are counted.
fn count(call: &Call<'_>) -> Answer {
    let table = call.any_table()?;
    let work = Count {
        table: table.keep(),
        at: None,
        count: 0,
    };
    yielding::run(call, work, BeamTerm::nil())
}

struct Count {
    table: TableRef,
    at: Option<Parked<BeamTerm>>,
    count: usize,
}

impl Work for Count {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        _live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let parked = self.at.take();
        let mut position = parked.as_ref().map_or_else(Position::start, Parked::unpark);
        let stopped = loop {
            match self.table.table.count(position.clone(), call.guard) {
                Ok((count, next)) => {
                    self.count += count;
                    match next {
                        None => {
                            let count = BeamTerm::small(self.count as i64);
                            return count.map(Step::Done).ok_or(Failure::BadArg);
                        }
                        Some(next) => position = next,
                    }
                    if slice.is_over() {
                        break Ok(Step::More);
                    }
                }
                Err(contended) => break Err(contended.into()),
            }
        };
        self.at = Some(position.park());
        stopped
    }
}
