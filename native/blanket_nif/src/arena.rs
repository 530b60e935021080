//! Where the table's copies of terms live that are not in blocks: memory that belongs to no process.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use blanket_core::{Arena, Tuples};
use rustler::sys::{self, ErlNifEnv};
use smallvec::SmallVec;

use crate::block::WORD;
use crate::term::{BeamTerm, Type, make_tuple};

/// An environment of `enif_alloc_env`, which is made when it is needed.
///
/// One thread may add to it while others read what is in it: an environment moves no term when
/// another is added. It allocates room behind the terms that are there, in the current heap fragment
/// or a new one, and links what hangs off the heap (binaries, references to resources) at the head of
/// a list that readers never look at. It is not collected; its terms stay where they are until it is
/// freed as a whole.
pub struct EnvArena {
    env: UnsafeCell<Option<NonNull<ErlNifEnv>>>,
    bytes: AtomicUsize,
}

// SAFETY: nothing here belongs to a thread; see above for what threads may do at a time.
unsafe impl Send for EnvArena {}
// SAFETY: as above; the calls that add to it are unsafe and demand one thread at a time.
unsafe impl Sync for EnvArena {}

/// Bytes that an empty environment takes.
const ENV: usize = 1024;
/// Bytes of a binary beyond which the VM keeps them outside the heap.
const HEAP_BINARY: usize = 64;
const SMALL_MAP: usize = 32;

impl EnvArena {
    fn add_bytes(&self, bytes: usize) {
        let before = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(before + bytes, Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// As for [`Arena::copy`].
    unsafe fn env(&self) -> *mut ErlNifEnv {
        // SAFETY: the caller is the only one to add to the arena.
        let env = unsafe { &mut *self.env.get() };
        env.get_or_insert_with(|| {
            self.add_bytes(ENV);
            // SAFETY: the function may be called on any thread.
            let env = unsafe { sys::enif_alloc_env() };
            NonNull::new(env).expect("the VM aborts when out of memory")
        })
        .as_ptr()
    }
}

impl Arena<BeamTerm> for EnvArena {
    fn new() -> Self {
        EnvArena {
            env: UnsafeCell::new(None),
            bytes: AtomicUsize::new(0),
        }
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn size(term: BeamTerm) -> usize {
        if term.is_immediate() {
            return 0;
        }
        size_of_compound(term)
    }

    fn tuple_size(elements: &[BeamTerm]) -> usize {
        let inner: usize = elements.iter().map(|&element| Self::size(element)).sum();
        (elements.len() + 1) * WORD + inner
    }

    unsafe fn copy(&self, term: BeamTerm, size: usize) -> BeamTerm {
        self.add_bytes(size);
        // SAFETY: the caller is the only one to add to the arena.
        unsafe { term.copy_to(self.env()) }
    }

    unsafe fn tuple(&self, elements: &[BeamTerm], size: usize) -> BeamTerm {
        self.add_bytes(size);
        // SAFETY: the caller is the only one to add to the arena.
        unsafe {
            let env = self.env();
            let copies: SmallVec<[BeamTerm; 16]> = elements
                .iter()
                .map(|element| element.copy_to(env))
                .collect();
            make_tuple(env, &copies)
        }
    }
}

impl Drop for EnvArena {
    fn drop(&mut self) {
        if let Some(env) = self.env.get_mut() {
            // SAFETY: made by enif_alloc_env, freed once; nobody holds a term of it any more.
            unsafe { sys::enif_free_env(env.as_ptr()) };
        }
    }
}

/// Tuples of immediates in memory of our own.
pub struct Chunks {
    chunks: Vec<Box<[MaybeUninit<u64>]>>,
    /// Words of the last chunk that are in use.
    used: usize,
    words: usize,
}

/// Words of the first chunk; later ones have a quarter of all before them.
const FIRST_CHUNK: usize = 12;
/// Words of the largest chunk: giving one back takes no time to speak of.
const LARGEST_CHUNK: usize = 4096;

impl Tuples<BeamTerm> for Chunks {
    fn new() -> Self {
        Chunks {
            chunks: Vec::new(),
            used: 0,
            words: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.words * WORD + self.chunks.capacity() * size_of::<Box<[u64]>>()
    }

    #[inline]
    fn tuple(&mut self, elements: &[BeamTerm]) -> BeamTerm {
        let words = elements.len() + 1;
        let room = self
            .chunks
            .last()
            .map_or(0, |chunk| chunk.len() - self.used);
        if room < words {
            self.grow(words);
        }
        let chunk = self
            .chunks
            .last_mut()
            .expect("it was just grown if there was none");
        let place = &mut chunk[self.used..self.used + words];
        self.used += words;
        place[0].write(BeamTerm::tuple_header(elements.len()));
        for (place, element) in place[1..].iter_mut().zip(elements) {
            place.write(element.word());
        }
        // SAFETY: a header and that many elements, which live as long as the chunks.
        unsafe { BeamTerm::tuple_at(place.as_mut_ptr().cast()) }
    }
}

impl Chunks {
    #[cold]
    fn grow(&mut self, least: usize) {
        let words = (self.words / 4)
            .clamp(FIRST_CHUNK, LARGEST_CHUNK)
            .max(least);
        self.chunks.push(Box::new_uninit_slice(words));
        self.words += words + 1;
        self.used = 0;
    }
}

fn size_of_compound(term: BeamTerm) -> usize {
    size_up_to(term, usize::MAX)
}

/// Bytes of a copy of `term`; where these are more than `most`, it may stop looking. Walks it with a stack of
/// its own: terms may nest as deep as they like.
pub fn size_up_to(term: BeamTerm, most: usize) -> usize {
    let mut rest: SmallVec<[BeamTerm; 32]> = SmallVec::new();
    rest.push(term);
    let mut bytes = 0;
    while let Some(term) = rest.pop() {
        if bytes > most {
            break;
        }
        if term.is_immediate() {
            continue;
        }
        if let Some((head, tail)) = term.as_cell() {
            bytes += 2 * WORD;
            rest.push(tail);
            rest.push(head);
        } else if let Some(elements) = term.as_tuple() {
            bytes += (elements.len() + 1) * WORD;
            if bytes > most {
                break;
            }
            rest.extend(
                elements
                    .iter()
                    .copied()
                    .filter(|element| !element.is_immediate()),
            );
        } else {
            bytes += match term.type_of() {
                Type::Map => {
                    let size = map_words(term.map_size().unwrap_or(0)) * WORD;
                    if size <= most {
                        term.for_each_pair(|key, value| rest.extend([key, value]));
                    }
                    size
                }
                Type::Float => 2 * WORD,
                Type::Bitstring => term
                    .with_bytes(binary_size)
                    .unwrap_or_else(|| external_size(term)),
                Type::Integer | Type::Fun | Type::Other => external_size(term),
                _ => 6 * WORD,
            };
        }
    }
    bytes
}

/// A small map is two arrays; a large one a tree, whose nodes take about as much again as its pairs.
fn map_words(pairs: usize) -> usize {
    if pairs <= SMALL_MAP {
        4 + 2 * pairs
    } else {
        4 * pairs
    }
}

pub fn binary_size(bytes: &[u8]) -> usize {
    if bytes.len() <= HEAP_BINARY {
        2 * WORD + bytes.len().next_multiple_of(WORD)
    } else {
        6 * WORD + bytes.len()
    }
}

/// What a term that cannot be looked into takes, judged by its external form.
fn external_size(term: BeamTerm) -> usize {
    let external = term.with_external(|bytes| bytes.len()).unwrap_or(0);
    WORD + external.next_multiple_of(WORD)
}
