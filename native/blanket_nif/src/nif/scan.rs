//! Going through a table in portions, with a cursor in between.
//!
//! `scan(table, from)` answers `{objects, next}`: `from` is `:start` or a cursor, and so is `next`,
//! but for `:"$end_of_table"` behind the last portion. `scan_back` does so from the end, of an
//! `ordered_set`.

use blanket_core::{Direction, Kind, Position};
use smallvec::SmallVec;

use super::copy_out;
use crate::atoms;
use crate::cursor::Cursor;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::{self, Ref};
use crate::term::BeamTerm;
use crate::yielding::Slice;

export! {
    c"scan"/2 = forward;
    c"scan_back"/2 = backward;
}

/// Objects of a portion, about.
const PORTION: usize = 4 * Slice::OBJECTS;

fn forward(call: &Call<'_>) -> Answer {
    scan(call, Direction::Forward)
}

fn backward(call: &Call<'_>) -> Answer {
    match call.table_to_read()?.table.kind() {
        Kind::OrderedSet => scan(call, Direction::Backward),
        _ => Err(Failure::BadArg),
    }
}

fn scan(call: &Call<'_>, direction: Direction) -> Answer {
    let table = call.table_to_read()?;
    let from = call.args[1];
    // SAFETY: the cursor is an argument of this call.
    let cursor = unsafe { resource::borrow::<Cursor>(call.env, from) };
    let mut position = match cursor.as_deref() {
        Some(Cursor(parked)) => parked.unpark(),
        None if from == BeamTerm::from(atoms::start()) => Position::start(),
        None => return Err(Failure::BadArg),
    };
    let slice = Slice::new();
    let mut found = Vec::new();
    let mut objects: SmallVec<[BeamTerm; PORTION]> = SmallVec::new();
    let next = loop {
        found.clear();
        let next =
            (table.table).scan(position, direction, Slice::OBJECTS, call.guard, &mut found)?;
        copy_out::expect(&found);
        objects.extend(found.iter().map(|object| copy_out::whole(call, object)));
        match next {
            Some(next) if objects.len() < PORTION && !slice.is_over() => position = next,
            next => break next,
        }
    };
    let next = match next {
        Some(next) => Ref::new(Cursor(next.park())).to_term(call.env),
        None => BeamTerm::from(atoms::end_of_table()),
    };
    slice.charge(call);
    Ok(call.tuple(&[call.list(&objects), next]))
}
