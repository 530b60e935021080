//! Going from key to key, and through the whole table.

use blanket_core::{Direction, Kind, Objects, Parked, Position, StepError};

use super::copy_out::{self, Part};
use crate::atoms;
use crate::fixation;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::{TableRef, TableResource};
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"first"/1 = first;
    c"last"/1 = last;
    c"next"/2 = next;
    c"prev"/2 = prev;
    c"first_lookup"/1 = first_lookup;
    c"last_lookup"/1 = last_lookup;
    c"next_lookup"/2 = next_lookup;
    c"prev_lookup"/2 = prev_lookup;
    c"tab2list"/1 = tab2list;
}

fn first(call: &Call<'_>) -> Answer {
    step(call, to_first, key)
}

fn last(call: &Call<'_>) -> Answer {
    step(call, to_last, key)
}

fn next(call: &Call<'_>) -> Answer {
    step(call, to_next, key)
}

fn prev(call: &Call<'_>) -> Answer {
    step(call, to_prev, key)
}

fn first_lookup(call: &Call<'_>) -> Answer {
    step(call, to_first, copy_out::with_key)
}

fn last_lookup(call: &Call<'_>) -> Answer {
    step(call, to_last, copy_out::with_key)
}

fn next_lookup(call: &Call<'_>) -> Answer {
    step(call, to_next, copy_out::with_key)
}

fn prev_lookup(call: &Call<'_>) -> Answer {
    step(call, to_prev, copy_out::with_key)
}

type Found<'g> = Result<Option<Objects<'g, BeamTerm>>, Failure>;

#[inline(always)]
fn step(
    call: &Call<'_>,
    to: impl for<'g> Fn(&'g Call<'_>, &'g TableResource) -> Found<'g>,
    show: impl Fn(&Call<'_>, &Objects<'_, BeamTerm>, usize) -> Answer,
) -> Answer {
    let table = call.table_to_read()?;
    match to(call, &table)? {
        Some(objects) => show(call, &objects, table.table.keypos()),
        None => Ok(BeamTerm::from(atoms::end_of_table())),
    }
}

fn to_first<'g>(call: &'g Call<'_>, table: &'g TableResource) -> Found<'g> {
    Ok(table.table.first(call.guard)?)
}

fn to_last<'g>(call: &'g Call<'_>, table: &'g TableResource) -> Found<'g> {
    Ok(table.table.last(call.guard)?)
}

fn to_next<'g>(call: &'g Call<'_>, table: &'g TableResource) -> Found<'g> {
    let key = call.args[1];
    or_behind(call, table, table.table.next(key, call.guard))
}

fn to_prev<'g>(call: &'g Call<'_>, table: &'g TableResource) -> Found<'g> {
    let key = call.args[1];
    or_behind(call, table, table.table.prev(key, call.guard))
}

/// In a table that is fixed, a traversal goes on behind a key that is gone.
#[inline(always)]
fn or_behind<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: Result<Option<Objects<'g, BeamTerm>>, StepError>,
) -> Found<'g> {
    match found {
        Ok(found) => Ok(found),
        Err(StepError::Contended) => Err(Failure::Contended),
        Err(StepError::NoSuchKey) if fixation::is_fixed(table, call.env) => {
            Ok(table.table.behind(call.args[1], call.guard)?)
        }
        Err(StepError::NoSuchKey) => Err(Failure::BadArg),
    }
}

/// The key of the objects found, copied to the caller.
fn key(call: &Call<'_>, found: &Objects<'_, BeamTerm>, keypos: usize) -> Answer {
    let object = found.first().ok_or(Failure::BadArg)?;
    copy_out::part(call, object, Part::Element(keypos - 1))
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
