//! The objects of a slot.

use blanket_core::{Direction, HASH_SLOTS, Kind, Parked, Passed, Position, hash_slot};

use super::copy_out;
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
    let at = None;
    if table.table.kind() == Kind::OrderedSet {
        let table = call.keep(&table)?;
        let before = slot;
        return yielding::run(call, OrderedSlot { table, at, before }, BeamTerm::nil());
    }
    if slot < HASH_SLOTS {
        let table = call.keep(&table)?;
        return yielding::run(call, HashSlot { table, at, slot }, BeamTerm::nil());
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
            Some(&object) => call.list(&[copy_out::whole(call, object)]),
            None => BeamTerm::from(atoms::end_of_table()),
        }))
    }
}

/// Puts the objects of a slot before the list so far, the live term.
struct HashSlot {
    table: TableRef,
    at: Option<Parked<BeamTerm>>,
    slot: usize,
}

impl Work for HashSlot {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let table = &self.table.table;
        let key = table.keypos() - 1;
        let parked = self.at.take();
        let mut position = match &parked {
            Some(parked) => parked.unpark(),
            None => Position::before_hash_slot(self.slot),
        };
        let mut found = Vec::new();
        loop {
            found.clear();
            let direction = Direction::Forward;
            let from = position.clone();
            let next = match table.scan(from, direction, Slice::OBJECTS, call.guard, &mut found) {
                Ok(next) => next,
                Err(contended) => {
                    self.at = Some(position.park());
                    return Err(contended.into());
                }
            };
            let here =
                found.partition_point(|object| hash_slot(object.elements()[key]) == self.slot);
            for &object in found[..here].iter().rev() {
                *live = call.cell(copy_out::whole(call, object), *live);
            }
            match next {
                Some(next) if here == found.len() => {
                    position = next;
                    if slice.is_over() {
                        self.at = Some(position.park());
                        return Ok(Step::More);
                    }
                }
                _ => return Ok(Step::Done(*live)),
            }
        }
    }
}
