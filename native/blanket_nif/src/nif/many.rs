//! Many keys in one call; each key for itself is atomic, all together are not.

use super::copy_out::{self, CopyOut, Part};
use crate::raw::{Answer, Call, Failure, boolean, export};
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"lookup_many"/2 = lookup_many;
    c"delete_many"/2 = delete_many;
}

/// Keys that are handled between two looks at the clock.
const KEYS: usize = Slice::OBJECTS;

/// The lists of objects of the keys in the second argument, in the opposite order.
fn lookup_many(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let work = LookupMany {
        table: table.keep(),
        copying: None,
    };
    let nil = BeamTerm::nil();
    yielding::run(call, work, call.tuple(&[call.args[1], nil, nil]))
}

/// The live term holds the keys to come, the lists so far, and the list that is being copied.
struct LookupMany {
    table: TableRef,
    copying: Option<CopyOut>,
}

impl Work for LookupMany {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let Some(&[mut keys, mut lists, mut list]) = live.as_tuple() else {
            return Err(Failure::BadArg);
        };
        let stopped = loop {
            match self.portion(call, &mut keys, &mut lists, &mut list, slice) {
                Ok(true) => return Ok(Step::Done(lists)),
                Ok(false) if !slice.is_over() => {}
                Ok(false) => break Ok(Step::More),
                Err(failure) => break Err(failure),
            }
        };
        *live = call.tuple(&[keys, lists, list]);
        stopped
    }
}

impl LookupMany {
    /// Whether all keys are done.
    fn portion(
        &mut self,
        call: &Call<'_>,
        keys: &mut BeamTerm,
        lists: &mut BeamTerm,
        list: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<bool, Failure> {
        if let Some(copying) = &mut self.copying {
            if let Step::Done(list) = copying.step(call, list, slice)? {
                *lists = call.cell(list, *lists);
                self.copying = None;
            }
            return Ok(false);
        }
        for _ in 0..KEYS {
            let Some((key, rest)) = next(*keys)? else {
                return Ok(true);
            };
            let objects = self.table.table.lookup(key, call.guard)?;
            *keys = rest;
            self.copying = CopyOut::of(&objects, Part::Object);
            if self.copying.is_some() {
                *list = BeamTerm::nil();
                return Ok(false);
            }
            *lists = call.cell(copy_out::list(call, &objects, Part::Object)?, *lists);
        }
        Ok(false)
    }
}

/// Deletes the objects of the keys in the second argument, once that is known for a proper list.
fn delete_many(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let work = DeleteMany {
        table: table.keep(),
    };
    let keys = call.args[1];
    yielding::run(call, work, call.tuple(&[keys, keys]))
}

/// The live term holds what has not been looked at of the list, and the keys to come.
struct DeleteMany {
    table: TableRef,
}

impl Work for DeleteMany {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let Some(&[mut unseen, mut keys]) = live.as_tuple() else {
            return Err(Failure::BadArg);
        };
        let stopped = loop {
            match self.portion(call, &mut unseen, &mut keys) {
                Ok(true) => return Ok(Step::Done(boolean(true))),
                Ok(false) if !slice.is_over() => {}
                Ok(false) => break Ok(Step::More),
                Err(failure) => break Err(failure),
            }
        };
        *live = call.tuple(&[unseen, keys]);
        stopped
    }
}

impl DeleteMany {
    /// Whether all keys are done.
    fn portion(
        &self,
        call: &Call<'_>,
        unseen: &mut BeamTerm,
        keys: &mut BeamTerm,
    ) -> Result<bool, Failure> {
        // Where there are snapshots, each key may have its leaf frozen, which takes its time.
        let keys_at_once = if self.table.table.has_snapshots() {
            1
        } else {
            KEYS
        };
        for _ in 0..keys_at_once {
            if let Some((_, rest)) = next(*unseen)? {
                *unseen = rest;
                continue;
            }
            let Some((key, rest)) = next(*keys)? else {
                return Ok(true);
            };
            self.table.table.delete(key, call.guard)?;
            *keys = rest;
        }
        Ok(false)
    }
}

/// The first key of a list and the others; `None` at its end.
fn next(keys: BeamTerm) -> Result<Option<(BeamTerm, BeamTerm)>, Failure> {
    match keys.as_cell() {
        None if keys != BeamTerm::nil() => Err(Failure::BadArg),
        cell => Ok(cell),
    }
}
