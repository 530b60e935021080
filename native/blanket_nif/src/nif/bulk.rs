//! Inserting a list: all of it or nothing, and nobody sees a part.

use blanket_core::{Bulk, BulkMode, Progress};
use smallvec::SmallVec;

use super::write;
use crate::raw::{Answer, Call, Failure, Table, boolean};
use crate::reaper;
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

/// Objects that are inserted in one go.
const FEW: usize = Slice::OBJECTS;

/// Inserts the objects of the second argument, a list.
pub fn insert(call: &Call<'_>, table: Table<'_>, mode: BulkMode) -> Answer {
    let mut objects: SmallVec<[BeamTerm; FEW]> = SmallVec::new();
    let mut rest = call.args[1];
    while let Some((head, tail)) = rest.as_cell()
        && objects.len() < FEW
    {
        objects.push(write::object(call.env, &table, head)?);
        rest = tail;
    }
    // Where there are snapshots, each object may have its leaf frozen, which takes its time.
    if rest == BeamTerm::nil() && (objects.len() <= 1 || !table.table.has_snapshots()) {
        let inserted = objects.is_empty() || table.table.insert_all(&objects, mode, call.guard)?;
        return Ok(boolean(inserted));
    }
    let work = ListInsert {
        table: table.keep(),
        bulk: Some(Bulk::new(&table.table, mode)),
        complete: false,
    };
    yielding::run(call, work, call.args[1])
}

/// First checks and copies the objects of the list, whose rest is the live term, then inserts them.
struct ListInsert {
    table: TableRef,
    bulk: Option<Bulk<BeamTerm>>,
    complete: bool,
}

impl Work for ListInsert {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let bulk = self.bulk.as_mut().ok_or(Failure::BadArg)?;
        while !self.complete {
            for _ in 0..Slice::OBJECTS {
                let Some((head, tail)) = live.as_cell() else {
                    break;
                };
                bulk.push(write::object(call.env, &self.table, head)?);
                *live = tail;
            }
            if *live == BeamTerm::nil() {
                self.complete = true;
            } else if live.as_cell().is_none() {
                return Err(Failure::BadArg);
            } else if slice.is_over() {
                return Ok(Step::More);
            }
        }
        loop {
            match bulk.step(Slice::OBJECTS) {
                Progress::Done(inserted) => return Ok(Step::Done(boolean(inserted))),
                Progress::Pending if !slice.is_over() => {}
                Progress::Pending | Progress::Contended => return Ok(Step::More),
            }
        }
    }
}

impl Drop for ListInsert {
    /// Where the caller is gone with its list half inserted, dropping the rest inserts it; even
    /// where it is not, there is much to free.
    fn drop(&mut self) {
        if let Some(bulk) = self.bulk.take() {
            reaper::run(Box::new(move || drop(bulk)));
        }
    }
}
