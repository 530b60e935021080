//! The objects of a slot.

use blanket_core::{Direction, HASH_SLOTS, Kind, Parked, Passed, Position};

use super::copy_out;
use super::listing::Listing;
use crate::atoms;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"slot"/2 = slot;
}

fn slot(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let slot = call.args[1].small_integer();
    let slot = slot
        .and_then(|slot| usize::try_from(slot).ok())
        .ok_or(Failure::BadArg)?;
    if table.table.kind() == Kind::OrderedSet {
        let work = OrderedSlot {
            table: table.keep(),
            at: None,
            before: slot,
        };
        return yielding::run(call, work, BeamTerm::nil());
    }
    if slot < HASH_SLOTS {
        let listing = Listing::of_slot(table.keep(), slot);
        return yielding::run(call, listing, BeamTerm::nil());
    }
    match slot {
        HASH_SLOTS => Ok(BeamTerm::from(atoms::end_of_table())),
        _ => Err(Failure::BadArg),
    }
}

/// Passes the objects before the wanted one.
struct OrderedSlot {
    table: TableRef,
    at: Option<Parked<BeamTerm>>,
    before: usize,
}

impl Work for OrderedSlot {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        _live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let table = &self.table.table;
        let parked = self.at.take();
        let mut position = match &parked {
            Some(parked) => parked.unpark(),
            None => Position::start(),
        };
        while self.before > 0 {
            match table.pass(position.clone(), self.before, call.guard) {
                Ok(Passed::At(at, before)) => {
                    position = at;
                    self.before = before;
                }
                Ok(Passed::End(_)) => return Err(Failure::BadArg),
                Err(contended) => {
                    self.at = Some(position.park());
                    return Err(contended.into());
                }
            }
            if self.before > 0 && slice.is_over() {
                self.at = Some(position.park());
                return Ok(Step::More);
            }
        }
        let mut found = Vec::new();
        let direction = Direction::Forward;
        if let Err(contended) = table.scan(position.clone(), direction, 1, call.guard, &mut found) {
            self.at = Some(position.park());
            return Err(contended.into());
        }
        Ok(Step::Done(match found.first() {
            Some(object) => call.list(&[copy_out::whole(call, object)]),
            None => BeamTerm::from(atoms::end_of_table()),
        }))
    }
}
