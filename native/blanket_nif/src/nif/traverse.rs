//! Going from key to key, and through the whole table.

use blanket_core::{Direction, Kind, Objects, Parked, Position, StepError};

use super::copy_out;
use crate::atoms;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::TableRef;
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"first"/1 = first;
    c"last"/1 = last;
    c"next"/2 = next;
    c"prev"/2 = prev;
    c"tab2list"/1 = tab2list;
}

fn first(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let found = table.table.first(call.guard)?;
    key(call, found, table.table.keypos())
}

fn last(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let found = table.table.last(call.guard)?;
    key(call, found, table.table.keypos())
}

fn next(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let found = table.table.next(call.args[1], call.guard)?;
    key(call, found, table.table.keypos())
}

fn prev(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let found = table.table.prev(call.args[1], call.guard)?;
    key(call, found, table.table.keypos())
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Contended => Failure::Contended,
            StepError::NoSuchKey => Failure::BadArg,
        }
    }
}

/// The key of the objects found, copied to the caller.
fn key(call: &Call<'_>, found: Option<Objects<'_, BeamTerm>>, keypos: usize) -> Answer {
    let object = found.and_then(|objects| objects.first());
    Ok(match object {
        Some(object) => call.copy(object.elements()[keypos - 1]),
        None => BeamTerm::from(atoms::end_of_table()),
    })
}

fn tab2list(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let work = TabToList {
        table: call.keep(&table)?,
        at: None,
    };
    yielding::run(call, work, BeamTerm::nil())
}

/// Puts objects before the list so far, the live term.
struct TabToList {
    table: TableRef,
    /// Where to go on from; none before the first slice.
    at: Option<Parked<BeamTerm>>,
}

impl Work for TabToList {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let table = &self.table.table;
        // An ordered_set's list is built from its end. Else the order is free, but for the objects
        // of one key, which a scan finds together and in order.
        let (direction, reverse) = match table.kind() {
            Kind::OrderedSet => (Direction::Backward, false),
            _ => (Direction::Forward, true),
        };
        let parked = self.at.take();
        let mut position = match &parked {
            Some(parked) => parked.unpark(),
            None => Position::start(),
        };
        let mut found = Vec::new();
        loop {
            found.clear();
            let from = position.clone();
            let next = match table.scan(from, direction, Slice::OBJECTS, call.guard, &mut found) {
                Ok(next) => next,
                Err(contended) => {
                    self.at = Some(position.park());
                    return Err(contended.into());
                }
            };
            if reverse {
                found.reverse();
            }
            for &object in &found {
                *live = call.cell(copy_out::whole(call, object), *live);
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
