//! Inserting a list: all of it or nothing, and nobody sees a part.

use crate::engine::{Bulk, BulkMode, Progress};

use super::write;
use crate::raw::{Answer, Call, Failure, Table, boolean};
use crate::reaper;
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

/// Inserts the objects of the second argument, a list.
pub fn insert(call: &Call<'_>, table: &Table<'_>, mode: BulkMode) -> Answer {
    let objects = call.args[1];
    if objects == BeamTerm::nil() {
        return Ok(boolean(true));
    }
    let work = ListInsert {
        table: call.keep(table)?,
        bulk: Some(Bulk::new(mode)),
        pushed: 0,
        complete: false,
    };
    yielding::run(call, work, objects)
}

/// First checks and copies the objects of the list, whose rest is the live term, then applies them.
struct ListInsert {
    table: TableRef,
    bulk: Option<Bulk<BeamTerm>>,
    pushed: usize,
    complete: bool,
}

impl Work for ListInsert {
    fn step(
        &mut self,
        _call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let bulk = self.bulk.as_mut().ok_or(Failure::BadArg)?;
        while !self.complete {
            for _ in 0..Slice::OBJECTS {
                let Some((head, tail)) = live.as_cell() else {
                    break;
                };
                bulk.push(&self.table.table, write::object(&self.table, head)?);
                self.pushed += 1;
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
            match bulk.step(&self.table.table, Slice::OBJECTS) {
                Progress::Done(inserted) => return Ok(Step::Done(boolean(inserted))),
                Progress::Pending if slice.is_over() => return Ok(Step::More),
                Progress::Pending => {}
            }
        }
    }
}

impl Drop for ListInsert {
    /// The caller may be gone with its list half applied: the reaper applies the rest. It also frees
    /// what is too much to be freed here.
    fn drop(&mut self) {
        let Some(mut bulk) = self.bulk.take() else {
            return;
        };
        if !bulk.must_finish() && self.pushed <= Slice::OBJECTS {
            return;
        }
        let table = self.table.clone();
        reaper::run(Box::new(move || {
            while bulk.must_finish() {
                if let Progress::Pending = bulk.step(&table.table, Slice::OBJECTS) {
                    std::thread::yield_now();
                }
            }
        }));
    }
}
