//! Going from key to key.

use blanket_core::{Objects, StepError};

use super::copy_out::{self, Part};
use crate::atoms;
use crate::fixation;
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::TableResource;
use crate::term::BeamTerm;

export! {
    c"first"/1 = first;
    c"last"/1 = last;
    c"next"/2 = next;
    c"prev"/2 = prev;
    c"first_lookup"/1 = first_lookup;
    c"last_lookup"/1 = last_lookup;
    c"next_lookup"/2 = next_lookup;
    c"prev_lookup"/2 = prev_lookup;
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
