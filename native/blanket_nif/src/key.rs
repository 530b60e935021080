//! Hashing and comparing keys of the common kinds without calls into the VM: binaries, and tuples of
//! these and of immediates. All others are left to the VM.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use foldhash::fast::FixedState;
use once_cell::sync::Lazy;
use rustler::sys::{self, ErlNifHash};

use crate::layout::Known;
use crate::term::{BeamTerm, mix};

/// Tuples within tuples that are looked into here.
const DEPTH: u32 = 3;
/// Elements of a tuple that is looked into here.
const ARITY: usize = 8;

/// Seeded anew in each VM: nobody can choose binaries whose hashes collide.
static HASHES: Lazy<FixedState> =
    Lazy::new(|| FixedState::with_seed(RandomState::new().build_hasher().finish()));

/// What is hashed here, and how, depends on nothing but the term's value.
#[inline]
pub fn hash(term: BeamTerm) -> u64 {
    match term.is_immediate() {
        true => mix(term.word()),
        false => hash_compound(term, DEPTH),
    }
}

fn hash_compound(term: BeamTerm, depth: u32) -> u64 {
    if let Some(elements) = term.as_tuple()
        && elements.len() <= ARITY
        && depth > 0
    {
        let hash_element = |element: BeamTerm| match element.is_immediate() {
            true => element.word(),
            false => hash_compound(element, depth - 1),
        };
        return elements
            .iter()
            .fold(elements.len() as u64, |hash, &element| {
                mix(hash.rotate_left(32) ^ hash_element(element))
            });
    }
    if let Some(bytes) = Known::get().short_bytes(term) {
        return hash_bytes(bytes);
    }
    if term.is_binary()
        && let Some(hash) = term.with_bytes(hash_bytes)
    {
        return hash;
    }
    // SAFETY: the function takes any term.
    mix(unsafe { sys::enif_hash(ErlNifHash::ERL_NIF_INTERNAL_HASH, term.raw(), 0) })
}

#[inline]
fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = HASHES.build_hasher();
    hasher.write(bytes);
    mix(hasher.finish() ^ bytes.len() as u64)
}

/// Whether two terms are the same: `1` and `1.0` are not.
#[inline]
pub fn matches(one: BeamTerm, two: BeamTerm) -> bool {
    matches_within(one, two, DEPTH)
}

#[inline]
fn matches_within(one: BeamTerm, two: BeamTerm, depth: u32) -> bool {
    // An immediate matches nothing but itself.
    one.word() == two.word()
        || !one.is_immediate() && !two.is_immediate() && match_compounds(one, two, depth)
}

fn match_compounds(one: BeamTerm, two: BeamTerm, depth: u32) -> bool {
    if let (Some(one), Some(two)) = (one.as_tuple(), two.as_tuple())
        && depth > 0
    {
        let mut pairs = one.iter().zip(two);
        return one.len() == two.len()
            && pairs.all(|(&one, &two)| matches_within(one, two, depth - 1));
    }
    let known = Known::get();
    if let (Some(one), Some(two)) = (known.short_bytes(one), known.short_bytes(two)) {
        return one == two;
    }
    // SAFETY: the function takes any terms.
    unsafe { sys::enif_is_identical(one.raw(), two.raw()) != 0 }
}

/// Term order, in which `1` and `1.0` are equal.
#[inline]
pub fn compare(one: BeamTerm, two: BeamTerm) -> Ordering {
    compare_within(one, two, DEPTH)
}

#[inline]
fn compare_within(one: BeamTerm, two: BeamTerm, depth: u32) -> Ordering {
    match (one.small_integer(), two.small_integer()) {
        _ if one.word() == two.word() => Ordering::Equal,
        (Some(one), Some(two)) => one.cmp(&two),
        _ => compare_others(one, two, depth),
    }
}

fn compare_others(one: BeamTerm, two: BeamTerm, depth: u32) -> Ordering {
    if let (Some(one), Some(two)) = (one.as_tuple(), two.as_tuple())
        && depth > 0
    {
        let pairs = one.iter().zip(two);
        let mut orders = pairs.map(|(&one, &two)| compare_within(one, two, depth - 1));
        return one.len().cmp(&two.len()).then_with(|| {
            orders
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
    }
    let known = Known::get();
    if let (Some(one), Some(two)) = (known.short_bytes(one), known.short_bytes(two)) {
        return one.cmp(two);
    }
    // SAFETY: the function takes any terms of the VM's.
    unsafe { sys::enif_compare(one.raw(), two.raw()) }.cmp(&0)
}
