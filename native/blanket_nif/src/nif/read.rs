//! Reading objects by their key.

use blanket_core::Objects;

use super::copy_out::{self, Part};
use crate::atoms;
use crate::raw::{Answer, Call, Failure, boolean, export};
use crate::term::BeamTerm;

export! {
    c"lookup"/2 = lookup;
    c"lookup_element"/3 = lookup_element;
    c"lookup_element"/4 = lookup_element_or;
    c"member"/2 = member;
    c"fetch"/2 = fetch;
    c"get"/3 = get;
}

fn lookup(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let mut objects = Objects::none();
    table
        .table
        .lookup_into(&mut objects, call.args[1], call.guard)?;
    copy_out::list(call, &objects, Part::Object)
}

fn lookup_element(call: &Call<'_>) -> Answer {
    element(call, None)
}

fn lookup_element_or(call: &Call<'_>) -> Answer {
    element(call, Some(call.args[3]))
}

fn element(call: &Call<'_>, default: Option<BeamTerm>) -> Answer {
    let table = call.table_to_read()?;
    let index = index(call.args[2])?;
    let mut objects = Objects::none();
    table
        .table
        .lookup_into(&mut objects, call.args[1], call.guard)?;
    match objects.only() {
        Some(object) if table.has_unique_keys() => {
            copy_out::part(call, object, Part::Element(index))
        }
        None if objects.is_empty() => default.ok_or(Failure::BadArg),
        _ => copy_out::list(call, &objects, Part::Element(index)),
    }
}

fn member(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    Ok(boolean(table.table.member(call.args[1], call.guard)?))
}

fn fetch(call: &Call<'_>) -> Answer {
    Ok(match one(call)? {
        Some(object) => call.tuple(&[BeamTerm::from(atoms::ok()), object]),
        None => BeamTerm::from(atoms::error()),
    })
}

fn get(call: &Call<'_>) -> Answer {
    Ok(one(call)?.unwrap_or(call.args[2]))
}

/// The object of a key that can have no other, copied.
fn one(call: &Call<'_>) -> Result<Option<BeamTerm>, Failure> {
    let table = call.table_to_read()?;
    if !table.has_unique_keys() {
        return Err(Failure::BadArg);
    }
    let objects = table.table.lookup(call.args[1], call.guard)?;
    Ok(objects.only().map(|object| copy_out::whole(call, object)))
}

/// The index that a position, counted from 1, stands for.
pub fn index(position: BeamTerm) -> Result<usize, Failure> {
    position
        .small_integer()
        .and_then(|position| usize::try_from(position).ok()?.checked_sub(1))
        .ok_or(Failure::BadArg)
}
