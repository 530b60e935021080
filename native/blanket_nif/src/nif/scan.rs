//! Going through a table in portions, with a cursor in between.
//!
//! `scan(table, from)` answers `{objects, next}`: `from` is `:start` or a cursor, and so is `next`,
//! but for `:"$end_of_table"` behind the last portion.

use blanket_core::{Direction, Position};
use smallvec::SmallVec;

use super::copy_out;
use crate::atoms;
use crate::cursor::Cursor;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::{self, Ref};
use crate::term::BeamTerm;
use crate::yielding::Slice;

export! {
    c"scan"/2 = scan;
}

/// Objects of a portion, about.
const PORTION: usize = 4 * Slice::OBJECTS;

fn scan(call: &Call<'_>) -> Answer {
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
        let direction = Direction::Forward;
        let next =
            (table.table).scan(position, direction, Slice::OBJECTS, call.guard, &mut found)?;
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
