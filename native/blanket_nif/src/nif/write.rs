//! Writing and deleting objects.

use super::bulk;
use super::copy_out::{self, Part};
use crate::packed;
use crate::raw::{Answer, Call, Failure, boolean, export};
use crate::resource::TableResource;
use crate::term::BeamTerm;
use crate::yielding::Slice;
use blanket_core::BulkMode;
use rustler::sys::ErlNifEnv;

export! {
    c"insert"/2 = insert;
    c"insert_new"/2 = insert_new;
    c"delete"/2 = delete;
    c"delete_object"/2 = delete_object;
    c"delete_all_objects"/1 = delete_all_objects;
    c"take"/2 = take;
}

fn insert(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let given = call.args[1];
    if given.as_tuple().is_none() {
        return bulk::insert(call, table, BulkMode::Insert);
    }
    table
        .table
        .insert(object(call.env, &table, given)?, call.guard)?;
    Ok(boolean(true))
}

fn insert_new(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let given = call.args[1];
    if given.as_tuple().is_none() {
        return bulk::insert(call, table, BulkMode::InsertNew);
    }
    let inserted = table
        .table
        .insert_new(object(call.env, &table, given)?, call.guard)?;
    Ok(boolean(inserted))
}

fn delete(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    table.table.delete(call.args[1], call.guard)?;
    Ok(boolean(true))
}

fn delete_object(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let slice = Slice::new();
    table
        .table
        .delete_object(object(call.env, &table, call.args[1])?, call.guard)?;
    // It may have searched among many objects of one key.
    slice.charge(call);
    Ok(boolean(true))
}

fn delete_all_objects(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    drop(table.table.clear());
    Ok(boolean(true))
}

fn take(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let objects = table.table.take(call.args[1], call.guard)?;
    copy_out::list(call, &objects, Part::Object)
}

/// `term`, the caller's, as an object of `table`: a tuple that has a key, as the table keeps it.
#[inline]
pub fn object(env: *mut ErlNifEnv, table: &TableResource, term: BeamTerm) -> Answer {
    let keypos = table.table.keypos();
    match term.as_tuple() {
        Some(elements) if elements.len() >= keypos => Ok(match table.options.compressed {
            false => term,
            true => packed::pack(env, term, keypos),
        }),
        _ => Err(Failure::BadArg),
    }
}
