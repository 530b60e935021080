//! Packed objects: what a compressed table keeps of its larger objects.
//!
//! An object is packed into a tuple of its key, which stays in its place, the bytes of its external
//! form, compressed, and a mark. Identical objects are packed into identical tuples, so the engine
//! finds one by the other. The bytes begin with a secret: no object of a user's is taken for packed.

use std::hash::{BuildHasher, Hasher, RandomState};

use blanket_core::{Arena, Object};
use lz4_flex::block::{compress_into, decompress, get_maximum_output_size};
use once_cell::sync::Lazy;
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use smallvec::SmallVec;

use crate::arena::{EnvArena, binary_size};
use crate::atoms;
use crate::raw::Call;
use crate::term::{BeamTerm, Type, make_tuple};

/// Bytes of the smallest and the largest object that is packed. To pack more at a time would hold
/// the scheduler.
const LEAST: usize = 128;
const MOST: usize = 128 << 10;

/// The secret and the length of the external form; 0 where that follows as it is.
const HEADER: usize = 12;

static SECRET: Lazy<[u8; 8]> =
    Lazy::new(|| RandomState::new().build_hasher().finish().to_le_bytes());

/// What a compressed table keeps of `object`: less than three quarters of it, or the object itself.
pub fn pack(env: *mut ErlNifEnv, object: BeamTerm, keypos: usize) -> BeamTerm {
    try_pack(env, object, keypos).unwrap_or(object)
}

fn try_pack(env: *mut ErlNifEnv, object: BeamTerm, keypos: usize) -> Option<BeamTerm> {
    let key = *object.as_tuple()?.get(keypos - 1)?;
    let size = EnvArena::size(object);
    if !(LEAST..=MOST).contains(&size) || !is_portable(object) {
        return None;
    }
    let bytes = object.with_external(compress)??;
    let packed_size = EnvArena::size(key) + binary_size(&bytes) + (keypos + 3) * size_of::<u64>();
    if packed_size * 4 > size * 3 {
        return None;
    }
    let mut elements: SmallVec<[BeamTerm; 8]> = SmallVec::from_elem(BeamTerm::nil(), keypos - 1);
    elements.extend([
        key,
        new_binary(env, &bytes),
        BeamTerm::from(atoms::packed()),
    ]);
    // SAFETY: the key is the caller's, as the binary is and the environment.
    Some(unsafe { make_tuple(env, &elements) })
}

/// The object, in the caller's environment, if `object` is a packed one.
#[inline]
pub fn unpack(call: &Call<'_>, object: &Object<BeamTerm>) -> Option<BeamTerm> {
    object.whole()?;
    unpack_elements(call, object.elements())
}

#[inline]
pub fn unpack_elements(call: &Call<'_>, elements: &[BeamTerm]) -> Option<BeamTerm> {
    match *elements {
        [.., bytes, mark] if mark == BeamTerm::from(atoms::packed()) => decode(call, bytes),
        _ => None,
    }
}

fn compress(external: &[u8]) -> Option<Vec<u8>> {
    if has_zero(external) {
        return None;
    }
    let mut bytes = vec![0; HEADER + get_maximum_output_size(external.len())];
    let compressed = compress_into(external, &mut bytes[HEADER..]).ok()?;
    let length = if compressed < external.len() {
        bytes.truncate(HEADER + compressed);
        external.len() as u32
    } else {
        bytes.truncate(HEADER);
        bytes.extend_from_slice(external);
        0
    };
    bytes[..8].copy_from_slice(&*SECRET);
    bytes[8..HEADER].copy_from_slice(&length.to_le_bytes());
    Some(bytes)
}

/// Calls `then` with the external form of an object, if it is a packed one.
pub fn with_external<R>(elements: &[BeamTerm], then: impl FnOnce(&[u8]) -> R) -> Option<R> {
    match *elements {
        [.., bytes, mark] if mark == BeamTerm::from(atoms::packed()) => unpacked(bytes, then),
        _ => None,
    }
}

#[cold]
fn decode(call: &Call<'_>, bytes: BeamTerm) -> Option<BeamTerm> {
    unpacked(bytes, |external| from_external(call, external))?
}

fn unpacked<R>(bytes: BeamTerm, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
    bytes.with_bytes(|bytes| {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let (secret, length) = header.split_at(8);
        if secret != *SECRET {
            return None;
        }
        match u32::from_le_bytes(length.try_into().ok()?) {
            0 => Some(then(rest)),
            length => Some(then(&decompress(rest, length as usize).ok()?)),
        }
    })?
}

fn from_external(call: &Call<'_>, external: &[u8]) -> Option<BeamTerm> {
    let mut term = ErlNifTerm::default();
    // SAFETY: the environment is that of the running call; the term is written when the call
    // answers that it read something.
    let read = unsafe {
        sys::enif_binary_to_term(call.env, external.as_ptr(), external.len(), &mut term, 0)
    };
    (read > 0).then(|| BeamTerm::from(term))
}

fn new_binary(env: *mut ErlNifEnv, bytes: &[u8]) -> BeamTerm {
    let mut term = ErlNifTerm::default();
    // SAFETY: the environment is that of the running call; the memory that is answered is as long
    // as was asked, and new.
    unsafe {
        let data = sys::enif_make_new_binary(env, bytes.len(), &mut term);
        data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
    BeamTerm::from(term)
}

/// Whether the term is the same after it was in its external form. References and funs may hold
/// resources, which live no longer than a term that names them.
fn is_portable(object: BeamTerm) -> bool {
    let mut rest: SmallVec<[BeamTerm; 32]> = SmallVec::new();
    rest.push(object);
    while let Some(term) = rest.pop() {
        if term.is_immediate() {
            continue;
        }
        if let Some((head, tail)) = term.as_cell() {
            rest.extend([tail, head]);
        } else if let Some(elements) = term.as_tuple() {
            rest.extend_from_slice(elements);
        } else {
            match term.type_of() {
                Type::Map => term.for_each_pair(|key, value| rest.extend([key, value])),
                Type::Bitstring | Type::Float | Type::Integer => {}
                _ => return false,
            }
        }
    }
    true
}

/// Whether there may be a zero among the floats: of the two that there are, older VMs take one for
/// the other, but not their external forms.
fn has_zero(external: &[u8]) -> bool {
    const FLOAT: u8 = 70;
    let is_zero = |float: &[u8]| float[0] & 0x7F == 0 && float[1..].iter().all(|&byte| byte == 0);
    let mut rest = external;
    while let Some(at) = rest.iter().position(|&byte| byte == FLOAT) {
        rest = &rest[at + 1..];
        if rest.get(..8).is_some_and(is_zero) {
            return true;
        }
    }
    false
}
