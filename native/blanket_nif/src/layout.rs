//! What the words of terms look like, as far as blocks need to know.
//!
//! [`learn`] makes terms of each kind that may be plain, looks at their headers, and copies them to
//! blocks and back before it believes what it saw. A kind that looks otherwise in some later VM is not
//! plain there, and slower.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, slice};

use rustler::sys::{self, ErlNifEnv, ErlNifTerm};

use crate::block;
use crate::resource::{Resource, TableResource};
use crate::term::{BOXED, BeamTerm, IMMEDIATE, TAG, address, make_tuple};

/// What a header begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Terms, as many as the header says.
    Tuple,
    /// Words of bare data, as many as the header says.
    Data,
    /// Such words, the first of which says whether it is [ordinary](is_ordinary).
    Reference,
    /// A bare word, the number of pairs; then terms: the tuple of the keys, and the values.
    Map,
    Other,
}

/// Which kinds of terms are plain, and how they are told apart.
#[derive(Clone)]
pub struct Known {
    /// A bit for each value of the four bits by which headers differ: it begins bare data.
    data: u16,
    /// The header of a local reference; 0 where it is not known.
    reference: u64,
    /// The header of a small map; 0 where it is not known.
    map: u64,
    /// Of a binary on the heap, those four bits, and what the word of its length counts for a byte.
    binary: Option<(u64, NonZeroU64)>,
    /// The word of the empty tuple, where the VM has one for all: it must not be on a heap.
    empty: u64,
    /// Terms to fill memory with.
    room: Vec<ErlNifTerm>,
}

/// The most words that there is [room](Known::room) for.
const ROOM: usize = 4096;
/// Bytes of a binary that is kept on the heap.
const SHORT: usize = 64;

static NOTHING: Known = Known {
    data: 0,
    reference: 0,
    map: 0,
    binary: None,
    empty: 0,
    room: Vec::new(),
};

/// What was learnt when the library was loaded. It stays.
static KNOWN: AtomicPtr<Known> = AtomicPtr::new(ptr::from_ref(&NOTHING).cast_mut());

impl Known {
    #[inline]
    pub fn get() -> &'static Self {
        // SAFETY: it points at NOTHING or at what was leaked.
        unsafe { &*KNOWN.load(Ordering::Acquire) }
    }

    fn set(self) {
        KNOWN.store(Box::leak(Box::new(self)), Ordering::Release);
    }

    #[inline]
    pub fn kind(&self, header: u64) -> Kind {
        if header & 0x3F == 0 {
            Kind::Tuple
        } else if self.data >> bits(header) & 1 == 1 {
            Kind::Data
        } else if header == self.reference {
            Kind::Reference
        } else if header == self.map {
            Kind::Map
        } else {
            Kind::Other
        }
    }

    /// The bare words behind a header, before other terms follow.
    #[inline]
    pub fn bare_words(&self, header: u64) -> usize {
        match self.kind(header) {
            Kind::Data | Kind::Reference => (header >> 6) as usize,
            Kind::Map => 1,
            Kind::Tuple | Kind::Other => 0,
        }
    }

    /// The word is no pointer, or one to what is never copied.
    #[inline]
    pub fn is_whole(&self, word: u64) -> bool {
        word & TAG == IMMEDIATE || word == self.empty
    }

    /// Terms, in place of as many words, if they are not too many.
    #[inline]
    pub fn room(&self, words: usize) -> Option<&[ErlNifTerm]> {
        self.room.get(..words)
    }

    /// The bytes of a binary on the heap.
    #[inline]
    pub fn short_bytes<'a>(&self, term: BeamTerm) -> Option<&'a [u8]> {
        let (bits_of_binary, unit) = self.binary?;
        if term.word() & TAG != BOXED {
            return None;
        }
        let from = address(term.word());
        // SAFETY: the header is that of a binary on the heap: the word behind it says how many bytes
        // follow. They live as long as the term.
        unsafe {
            if bits(*from) != bits_of_binary {
                return None;
            }
            // Where it counts bits, there may be some that are no byte.
            let size = *from.add(1);
            let len = (size % unit == 0).then_some(size / unit)?;
            Some(slice::from_raw_parts(from.add(2).cast(), len as usize))
        }
    }

    /// The words of a binary that is part of a larger one, or alone outside the heap, but short.
    pub fn binary_words(&self, term: BeamTerm) -> Option<usize> {
        self.binary?;
        term.with_bytes(|bytes| (bytes.len() <= SHORT).then(|| 2 + bytes.len().div_ceil(8)))?
    }

    /// Writes such a binary as one on the heap; answers its words.
    ///
    /// # Safety
    ///
    /// [`Known::binary_words`] has counted them, and there is room for as many at `to`.
    pub unsafe fn write_binary(&self, term: BeamTerm, to: *mut u64) -> usize {
        let Some((bits, unit)) = self.binary else {
            return 0;
        };
        let write = |bytes: &[u8]| {
            let data = bytes.len().div_ceil(8);
            // SAFETY: there is room for a header, a length and the bytes, filled up to words.
            unsafe {
                *to = ((1 + data as u64) << 6) | bits << 2;
                *to.add(1) = bytes.len() as u64 * unit.get();
                if data > 0 {
                    *to.add(1 + data) = 0;
                }
                to.add(2)
                    .cast::<u8>()
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            2 + data
        };
        term.with_bytes(write).unwrap_or(0)
    }
}

/// Of a local reference, the word behind its header: ordinary ones are marked, all others (of resources,
/// atomics, tables of the VM's own) have a pointer there.
#[inline]
pub fn is_ordinary(word: u64) -> bool {
    word as u32 == u32::MAX
}

/// The four bits by which headers differ that are not those of tuples.
#[inline]
fn bits(header: u64) -> u64 {
    header >> 2 & 0xF
}

/// Finds out what terms look like, once: the blocks that are there stay what they are.
///
/// # Safety
///
/// `env` is the environment of a load or upgrade, and the resource types are open.
pub unsafe fn learn(env: *mut ErlNifEnv) {
    // SAFETY: all terms are made and looked at in the environment of the running call.
    unsafe {
        if !ptr::eq(Known::get(), &raw const NOTHING) {
            return;
        }
        let nil = BeamTerm::nil();
        let samples = Samples::new(env);
        let mut known = Known {
            room: vec![nil.raw(); ROOM],
            ..NOTHING.clone()
        };
        for term in &samples.data {
            known.data |= 1 << bits(header(*term));
        }
        for term in &samples.other {
            known.data &= !(1 << bits(header(*term)));
        }
        known.binary = samples
            .binary_layout()
            .filter(|&(bits, _)| known.data >> bits & 1 == 1);
        known.reference = samples.reference_header().unwrap_or(0);
        known.map = samples.map_header().unwrap_or(0);
        let [one, other] = samples.empty.map(BeamTerm::word);
        known.empty = if one == other { one } else { 0 };
        known.set();
        if !samples.survive(env) {
            NOTHING.clone().set();
        }
    }
}

/// Terms to learn from.
struct Samples {
    /// Floats, large integers, binaries on the heap.
    data: Vec<BeamTerm>,
    /// Binaries on the heap, by their length.
    binaries: Vec<BeamTerm>,
    reference: BeamTerm,
    /// A short part of a large binary.
    part: BeamTerm,
    /// Empty tuples.
    empty: [BeamTerm; 2],
    /// Small maps, by their size.
    maps: Vec<BeamTerm>,
    /// What is not plain.
    other: Vec<BeamTerm>,
}

impl Samples {
    /// # Safety
    ///
    /// As for [`learn`].
    unsafe fn new(env: *mut ErlNifEnv) -> Self {
        // SAFETY: the environment is that of the running call.
        unsafe {
            let binaries: Vec<_> = (0..=SHORT).map(|len| binary(env, len)).collect();
            let floats = [0.0, 0.5, -1.0e300].map(|value| sys::enif_make_double(env, value));
            let integers = [1 << 59, i64::MAX, -(1 << 59) - 1, i64::MIN]
                .map(|value| sys::enif_make_int64(env, value));
            let larger = [[131, 110, 12, 0], [131, 110, 12, 1]].map(|head| {
                let mut bytes = head.to_vec();
                bytes.extend([7; 12]);
                external(env, &bytes)
            });
            let mut data: Vec<_> = floats
                .into_iter()
                .chain(integers)
                .map(BeamTerm::from)
                .collect();
            data.extend(larger);
            data.extend(&binaries);
            data.push(BeamTerm::from(sys::enif_make_uint64(env, u64::MAX)));

            let large = binary(env, SHORT + 36);
            let part = |len| BeamTerm::from(sys::enif_make_sub_binary(env, large.raw(), 8, len));
            let export: &[u8] = b"\x83q\x77\x05lists\x77\x03mapa\x02";
            let pid: &[u8] = b"\x83X\x77\x0aother@node\0\0\0\x01\0\0\0\0\0\0\0\x01";
            let other = vec![
                large,
                part(SHORT + 8),
                external(env, export),
                external(env, pid),
                map(env, 40),
                TableResource::class().sample(env),
            ];
            Samples {
                data,
                binaries,
                reference: BeamTerm::from(sys::enif_make_ref(env)),
                part: part(16),
                empty: [(); 2].map(|()| make_tuple(env, &[])),
                maps: (0..=32).map(|size| map(env, size)).collect(),
                other,
            }
        }
    }

    fn binary_layout(&self) -> Option<(u64, NonZeroU64)> {
        let bits = bits(header(*self.binaries.first()?));
        let unit = NonZeroU64::new(word(*self.binaries.get(1)?, 1))?;
        let as_expected = self.binaries.iter().enumerate().all(|(len, &term)| {
            let data = len.div_ceil(8) as u64;
            header(term) == ((1 + data) << 6) | bits << 2
                && word(term, 1) == len as u64 * unit.get()
        });
        as_expected.then_some((bits, unit))
    }

    fn reference_header(&self) -> Option<u64> {
        let reference = header(self.reference);
        let is_plain = |term: &BeamTerm| header(*term) == reference && is_ordinary(word(*term, 1));
        (is_plain(&self.reference) && !self.other.iter().any(is_plain)).then_some(reference)
    }

    fn map_header(&self) -> Option<u64> {
        let map = header(*self.maps.first()?);
        let is_other = |term: &BeamTerm| header(*term) == map;
        let as_expected = self.maps.iter().enumerate().all(|(size, &term)| {
            // SAFETY: a map has a header and more; what is behind the number of its pairs is looked
            // at only where that is as expected.
            header(term) == map
                && word(term, 1) == size as u64
                && unsafe {
                    let keys = BeamTerm::from_word(word(term, 2));
                    let values = slice::from_raw_parts(address(term.word()).add(3), size);
                    let pair = |(key, value): (&BeamTerm, &u64)| {
                        term.map_value(*key)
                            .is_some_and(|there| there.word() == *value)
                    };
                    let keys = keys.as_tuple();
                    keys.is_some_and(|keys| keys.len() == size && keys.iter().zip(values).all(pair))
                }
        });
        (as_expected && !self.other.iter().any(is_other)).then_some(map)
    }

    /// Whether terms that are plain are the same in a block, and when they come back.
    ///
    /// # Safety
    ///
    /// As for [`learn`].
    unsafe fn survive(&self, env: *mut ErlNifEnv) -> bool {
        let mut all: Vec<BeamTerm> = [&self.data[..], &self.maps, &self.empty].concat();
        all.extend([self.reference, self.part, BeamTerm::nil()]);
        // SAFETY: the terms are the caller's, and so is the environment.
        unsafe {
            let list = sys::enif_make_list_from_array(env, all.as_ptr().cast(), all.len() as u32);
            let improper = sys::enif_make_list_cell(env, list, all[0].raw());
            all.extend([list, improper].map(BeamTerm::from));
            all.push(make_tuple(env, &all));
            let mut tuples: Vec<Vec<BeamTerm>> = all.iter().map(|&term| vec![term]).collect();
            tuples.push(all);
            tuples.iter().all(|elements| {
                let Some(bytes) = block::bytes(elements) else {
                    return true;
                };
                let tuple = make_tuple(env, elements);
                let block = block::new(elements, bytes);
                let copy = block::copy_out(env, block, &[]);
                let is_same = |term: BeamTerm| {
                    let identical = sys::enif_is_identical(term.raw(), tuple.raw()) != 0;
                    let bytes = |term: BeamTerm| term.with_external(<[u8]>::to_vec);
                    identical && bytes(term) == bytes(tuple)
                };
                let survives = is_same(block);
                block::free(block);
                survives && is_same(copy)
            })
        }
    }
}

/// The header of a term that has one.
fn header(term: BeamTerm) -> u64 {
    word(term, 0)
}

/// One of the words of a term that has a header; 0 where the term has none.
fn word(term: BeamTerm, at: usize) -> u64 {
    match term.word() & TAG {
        // SAFETY: the terms that are looked at have two words at least, but for empty tuples.
        BOXED => unsafe { *address(term.word()).add(at) },
        _ => 0,
    }
}

/// # Safety
///
/// `env` is that of the running call.
unsafe fn binary(env: *mut ErlNifEnv, len: usize) -> BeamTerm {
    let mut term = ErlNifTerm::default();
    // SAFETY: the memory that is answered is as long as was asked, and new.
    unsafe {
        let data = sys::enif_make_new_binary(env, len, &mut term);
        data.write_bytes(b'a', len);
    }
    BeamTerm::from(term)
}

/// # Safety
///
/// `env` is that of the running call.
unsafe fn map(env: *mut ErlNifEnv, size: i64) -> BeamTerm {
    // SAFETY: keys and values are immediates.
    unsafe {
        let mut map = sys::enif_make_new_map(env);
        for key in 0..size {
            let (key, value) = (
                sys::enif_make_int64(env, key),
                sys::enif_make_int64(env, -key),
            );
            let mut larger = ErlNifTerm::default();
            sys::enif_make_map_put(env, map, key, value, &mut larger);
            map = larger;
        }
        BeamTerm::from(map)
    }
}

/// What the external form says; `[]` where the VM does not take it.
///
/// # Safety
///
/// `env` is that of the running call.
unsafe fn external(env: *mut ErlNifEnv, bytes: &[u8]) -> BeamTerm {
    let mut term = ErlNifTerm::default();
    // SAFETY: the term is written when the call answers that it read something.
    let read = unsafe { sys::enif_binary_to_term(env, bytes.as_ptr(), bytes.len(), &mut term, 0) };
    match read {
        0 => BeamTerm::nil(),
        _ => BeamTerm::from(term),
    }
}
