//! Changing elements of an object in place.

use blanket_core::{Kind, UpdateError, Updated};
use rustler::sys::ErlNifEnv;
use smallvec::SmallVec;

use super::read::index;
use crate::integer::Integer;
use crate::packed;
use crate::raw::{Answer, Call, Failure, boolean, export};
use crate::resource::TableResource;
use crate::term::BeamTerm;

export! {
    c"update_counter"/3 = update_counter;
    c"update_counter"/4 = update_counter_or;
    c"update_element"/3 = update_element;
    c"update_element"/4 = update_element_or;
}

type Elements = blanket_core::Elements<BeamTerm>;

fn update_counter(call: &Call<'_>) -> Answer {
    count(call, None)
}

fn update_counter_or(call: &Call<'_>) -> Answer {
    count(call, Some(default(call)?))
}

fn count(call: &Call<'_>, default: Option<BeamTerm>) -> Answer {
    let given = call.args[2];
    if let Some(count) = count_in_place(call, given)? {
        return Ok(count);
    }
    let answer = update(call, default, |elements, keypos| {
        if let Some(increment) = Integer::from_term(given) {
            return Counting {
                index: keypos,
                increment,
                limit: None,
            }
            .run(elements, keypos, call.env);
        }
        if given.as_tuple().is_some() {
            return Counting::parse(given)?.run(elements, keypos, call.env);
        }
        let mut results: SmallVec<[BeamTerm; 8]> = SmallVec::new();
        each(given, |operation| {
            let result = Counting::parse(operation)?.run(elements, keypos, call.env)?;
            results.push(result);
            Ok(())
        })?;
        Ok(call.list(&results))
    })?;
    answer.ok_or(Failure::BadArg)
}

/// A small increment of a small counter.
#[inline]
fn count_in_place(call: &Call<'_>, given: BeamTerm) -> Result<Option<BeamTerm>, Failure> {
    let table = call.table_to_write()?;
    let (index, increment) = match given.as_tuple() {
        None => (table.table.keypos(), given),
        Some(&[position, increment]) => (index(position)?, increment),
        Some(_) => return Ok(None),
    };
    let Some(increment) = increment.small_integer() else {
        return Ok(None);
    };
    if !table.has_unique_keys() {
        return Ok(None);
    }
    let add = |counter: BeamTerm| BeamTerm::small(counter.small_integer()?.checked_add(increment)?);
    Ok(table
        .table
        .write_element(call.args[1], index, call.guard, add)?)
}

/// One operation of `update_counter`.
struct Counting {
    index: usize,
    increment: Integer,
    /// A threshold, and what the counter is set to when it goes beyond.
    limit: Option<(Integer, Integer)>,
}

impl Counting {
    /// `{Pos, Incr}` or `{Pos, Incr, Threshold, SetValue}`.
    fn parse(operation: BeamTerm) -> Result<Self, Failure> {
        let integer = |term| Integer::from_term(term).ok_or(Failure::BadArg);
        let (position, increment, limit) = match operation.as_tuple() {
            Some(&[position, increment]) => (position, increment, None),
            Some(&[position, increment, threshold, value]) => (
                position,
                increment,
                Some((integer(threshold)?, integer(value)?)),
            ),
            _ => return Err(Failure::BadArg),
        };
        Ok(Counting {
            index: index(position)?,
            increment: integer(increment)?,
            limit,
        })
    }

    fn run(
        self,
        elements: &mut Elements,
        keypos: usize,
        env: *mut ErlNifEnv,
    ) -> Result<BeamTerm, Failure> {
        let counter = element(elements, self.index, keypos)?;
        let mut value = Integer::from_term(*counter)
            .ok_or(Failure::BadArg)?
            .plus(&self.increment);
        if let Some((threshold, reset)) = self.limit {
            let order = value.compare(&threshold);
            if if self.increment.is_negative() {
                order.is_lt()
            } else {
                order.is_gt()
            } {
                value = reset;
            }
        }
        // SAFETY: the environment of the running call.
        *counter = unsafe { value.to_term(env) }.ok_or(Failure::BadArg)?;
        Ok(*counter)
    }
}

fn update_element(call: &Call<'_>) -> Answer {
    set_elements(call, None)
}

fn update_element_or(call: &Call<'_>) -> Answer {
    set_elements(call, Some(default(call)?))
}

fn set_elements(call: &Call<'_>, default: Option<BeamTerm>) -> Answer {
    let given = call.args[2];
    let answer = update(call, default, |elements, keypos| {
        let mut set = |spec: BeamTerm| match spec.as_tuple() {
            Some(&[position, value]) => {
                *element(elements, index(position)?, keypos)? = value;
                Ok(())
            }
            _ => Err(Failure::BadArg),
        };
        if given.as_tuple().is_some() {
            set(given)
        } else {
            each(given, set)
        }
    })?;
    Ok(boolean(answer.is_some()))
}

/// The last argument, an object for when there is none.
fn default(call: &Call<'_>) -> Answer {
    let default = call.args[3];
    default.as_tuple().map(|_| default).ok_or(Failure::BadArg)
}

/// The element that may be changed: any but the key.
fn element(elements: &mut Elements, index: usize, keypos: usize) -> Result<&mut BeamTerm, Failure> {
    if index + 1 == keypos {
        return Err(Failure::BadArg);
    }
    elements.get_mut(index).ok_or(Failure::BadArg)
}

/// Calls `each` with the members of a proper list.
fn each(
    mut list: BeamTerm,
    mut each: impl FnMut(BeamTerm) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some((head, tail)) = list.as_cell() {
        each(head)?;
        list = tail;
    }
    if list == BeamTerm::nil() {
        Ok(())
    } else {
        Err(Failure::BadArg)
    }
}

/// Changes the elements of the object under the second argument, a key, or those of `default` with
/// that key. None: there is no object and no default.
fn update<R>(
    call: &Call<'_>,
    default: Option<BeamTerm>,
    change: impl FnOnce(&mut Elements, usize) -> Result<R, Failure>,
) -> Result<Option<R>, Failure> {
    let table = call.table_to_write()?;
    if !table.has_unique_keys() {
        return Err(Failure::BadArg);
    }
    let key = call.args[1];
    let keypos = table.table.keypos();
    let changed = |elements: &mut Elements, updated| {
        if updated == Updated::Default {
            *elements.get_mut(keypos - 1).ok_or(Failure::BadArg)? = key;
        }
        if table.options.compressed && updated == Updated::Object {
            *elements = to_caller(call, elements);
        }
        let result = change(elements, keypos)?;
        if table.options.compressed {
            let object = packed::pack(call.env, call.tuple(elements), keypos);
            *elements = Elements::from_slice(object.as_tuple().unwrap_or_default());
        }
        Ok(result)
    };
    let updated = table.table.update(key, default, call.guard, changed);
    updated.map_err(|error| match error {
        UpdateError::Contended => Failure::Contended,
        UpdateError::Rejected(failure) => failure,
    })
}

/// The elements of an object of a compressed table, as the caller may have them: they are packed anew, and
/// for that put into a term of its own.
fn to_caller(call: &Call<'_>, elements: &Elements) -> Elements {
    match packed::unpack_elements(call, elements) {
        Some(object) => Elements::from_slice(object.as_tuple().unwrap_or_default()),
        None => elements.iter().map(|element| call.copy(*element)).collect(),
    }
}

impl TableResource {
    /// A key has one object at most.
    #[inline]
    pub fn has_unique_keys(&self) -> bool {
        matches!(self.table.kind(), Kind::Set | Kind::OrderedSet)
    }
}
