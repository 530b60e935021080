//! Going from key to key.

use blanket_core::{Objects, StepError};

use super::copy_out;
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

type Found<'g> = Objects<'g, BeamTerm>;

#[inline(always)]
fn step(
    call: &Call<'_>,
    to: impl for<'g> Fn(&'g Call<'_>, &'g TableResource, &mut Found<'g>) -> Result<(), Failure>,
    show: impl Fn(&Call<'_>, &Found<'_>, usize) -> Answer,
) -> Answer {
    let table = call.table_to_read()?;
    let mut found = Objects::none();
    to(call, &table, &mut found)?;
    match found.is_empty() {
        false => show(call, &found, table.table.keypos()),
        true => Ok(BeamTerm::from(atoms::end_of_table())),
    }
}

fn to_first<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: &mut Found<'g>,
) -> Result<(), Failure> {
    Ok(table.table.first(found, call.guard)?)
}

fn to_last<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: &mut Found<'g>,
) -> Result<(), Failure> {
    Ok(table.table.last(found, call.guard)?)
}

fn to_next<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: &mut Found<'g>,
) -> Result<(), Failure> {
    match table.table.next(found, call.args[1], call.guard) {
        Ok(()) => Ok(()),
        Err(error) => behind(call, table, found, error),
    }
}

fn to_prev<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: &mut Found<'g>,
) -> Result<(), Failure> {
    match table.table.prev(found, call.args[1], call.guard) {
        Ok(()) => Ok(()),
        Err(error) => behind(call, table, found, error),
    }
}

/// In a table that is fixed, a traversal goes on behind a key that is gone.
#[cold]
fn behind<'g>(
    call: &'g Call<'_>,
    table: &'g TableResource,
    found: &mut Found<'g>,
    error: StepError,
) -> Result<(), Failure> {
    match error {
        StepError::Contended => Err(Failure::Contended),
        StepError::NoSuchKey if fixation::is_fixed(table, call.env) => {
            Ok(table.table.behind(found, call.args[1], call.guard)?)
        }
        StepError::NoSuchKey => Err(Failure::BadArg),
    }
}

/// The key of the objects found, copied to the caller.
fn key(call: &Call<'_>, found: &Found<'_>, keypos: usize) -> Answer {
    if let Some(object) = found.only() {
        return copy_out::key(call, object, keypos);
    }
    let object = found.first().ok_or(Failure::BadArg)?;
    copy_out::key(call, &object, keypos)
}
