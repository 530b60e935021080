//! All objects of a table, or of one slot of it, as a list.

use blanket_core::{Direction, Kind, Object, Parked, Position, hash_slot};

use super::copy_out::{self, CopyOut};
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"tab2list"/1 = tab2list;
}

fn tab2list(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let work = Listing {
        table: table.keep(),
        slot: None,
        at: None,
        copying: None,
    };
    yielding::run(call, work, BeamTerm::nil())
}

/// Puts objects before the list so far, the live term.
///
/// An ordered table's list is built from its end. Else the order of keys is free; the objects of one
/// key keep theirs.
pub struct Listing {
    table: TableRef,
    /// The one slot of a hash table that is wanted.
    slot: Option<usize>,
    /// Where to go on from; none before the first slice.
    at: Option<Parked<BeamTerm>>,
    /// The objects of a key that has many.
    copying: Option<CopyOut>,
}

impl Listing {
    pub fn of_slot(table: TableRef, slot: usize) -> Self {
        Listing {
            table,
            at: Some(Position::before_hash_slot(slot).park()),
            slot: Some(slot),
            copying: None,
        }
    }

    fn is_wanted(&self, object: &Object<BeamTerm>) -> bool {
        let key = self.table.table.keypos() - 1;
        self.slot
            .is_none_or(|slot| hash_slot(object.elements()[key]) == slot)
    }
}

impl Work for Listing {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let direction = match self.table.table.kind() {
            Kind::OrderedSet => Direction::Backward,
            _ => Direction::Forward,
        };
        let parked = self.at.take();
        let mut position = match &parked {
            Some(parked) => parked.unpark(),
            None => Position::start(),
        };
        let mut found = Vec::new();
        loop {
            if let Some(copying) = &mut self.copying {
                match copying.step(call, live, slice)? {
                    Step::Done(_) => self.copying = None,
                    Step::More => {
                        self.at = Some(position.park());
                        return Ok(Step::More);
                    }
                }
            }
            found.clear();
            let from = position.clone();
            let table = &self.table.table;
            let next = match table.scan(from, direction, Slice::OBJECTS, call.guard, &mut found) {
                Ok(next) => next,
                Err(contended) => {
                    self.at = Some(position.park());
                    return Err(contended.into());
                }
            };
            let wanted = found.partition_point(|object| self.is_wanted(object));
            let is_over = wanted < found.len();
            let next = match next {
                Some(next) if !is_over => match next.many() {
                    Some((objects, behind)) => {
                        self.copying = Some(CopyOut::of_many(objects));
                        Some(behind)
                    }
                    None => Some(next),
                },
                _ => None,
            };
            if self.copying.is_none() {
                found.truncate(wanted);
                if direction == Direction::Forward {
                    found.reverse();
                }
                copy_out::expect(&found);
                for object in &found {
                    *live = call.cell(copy_out::whole(call, object), *live);
                }
            }
            match next {
                None => return Ok(Step::Done(*live)),
                Some(next) if slice.is_over() => {
                    self.at = Some(next.park());
                    return Ok(Step::More);
                }
                Some(next) => position = next,
            }
        }
    }
}
