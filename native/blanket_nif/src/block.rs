//! Blocks: the memory of one object each, and how terms are copied there and back.
//!
//! The VM's terms are words: immediates, pointers to other terms, and headers, each of which says how
//! many words follow. A *plain* term is all words that may stand anywhere: tuples, lists, small maps,
//! floats, large integers, short binaries and local references. An object that is plain is copied to a
//! block word by word, and from there to a process word by word, with its pointers moved along. What
//! hangs on more than words (binaries outside the heap, funs, resources, pids of other nodes, large
//! maps) is left to the VM's own copying.
//!
//! What the words of a kind of term look like is not taken for granted: see [`crate::layout`].

use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use rustler::sys::{self, ErlNifEnv};
use smallvec::SmallVec;

use crate::layout::{Kind, Known, is_ordinary};
use crate::spare;
use crate::term::{BOXED, BeamTerm, LIST, TAG, address};

pub const WORD: usize = size_of::<u64>();

/// Bytes that an allocation takes beyond what is asked for.
const ALLOCATION: usize = WORD;

/// Bytes of a block for a tuple of these elements, if it is plain.
///
/// A block is a word that says its bytes and how often it is shared, and behind it the words of the
/// tuple, its own first.
#[inline]
pub fn bytes(elements: &[BeamTerm]) -> Option<usize> {
    Some((words(elements)? + 1) * WORD + ALLOCATION)
}

/// Words of a tuple of these elements with all that is in it, if it is plain. Walks it with a stack of
/// its own: terms may nest as deep as they like.
fn words(elements: &[BeamTerm]) -> Option<usize> {
    let known = Known::get();
    let mut rest: SmallVec<[BeamTerm; 32]> = SmallVec::new();
    let compound = |terms: &[BeamTerm], rest: &mut SmallVec<[BeamTerm; 32]>| {
        for &term in terms {
            if !known.is_whole(term.word()) {
                rest.push(term);
            }
        }
    };
    compound(elements, &mut rest);
    let mut words = 1 + elements.len();
    while let Some(mut term) = rest.pop() {
        while term.word() & TAG == LIST {
            // SAFETY: a list cell is two terms, and lives as long as the term.
            let cell = unsafe { std::slice::from_raw_parts(address(term.word()).cast(), 2) };
            let &[head, tail]: &[BeamTerm; 2] = cell.try_into().ok()?;
            words += 2;
            if !known.is_whole(head.word()) {
                rest.push(head);
            }
            term = tail;
        }
        if known.is_whole(term.word()) {
            continue;
        }
        let from = address(term.word());
        // SAFETY: a pointer that is none to a list cell leads to a header, behind which is what the
        // kind of term says.
        unsafe {
            let header = *from;
            let len = (header >> 6) as usize;
            let terms = |skip, len| std::slice::from_raw_parts(from.add(skip).cast(), len);
            match known.kind(header) {
                Kind::Tuple => {
                    words += 1 + len;
                    compound(terms(1, len), &mut rest);
                }
                Kind::Reference if !is_ordinary(*from.add(1)) => return None,
                Kind::Data | Kind::Reference => words += 1 + len,
                Kind::Map => {
                    let pairs = *from.add(1) as usize;
                    words += 3 + pairs;
                    compound(terms(2, 1 + pairs), &mut rest);
                }
                Kind::Other => words += known.binary_words(term)?,
            }
        }
    }
    Some(words)
}

/// Copies a tuple of these elements to a block of so many bytes, as [`bytes`] answered.
pub fn new(elements: &[BeamTerm], bytes: usize) -> BeamTerm {
    // As large as the caller's object: that ends this call, and not the VM.
    let block = spare::take(memory_words(bytes))
        .unwrap_or_else(|| panic!("no memory for an object of {bytes} bytes"));
    // SAFETY: the memory is new, and as long as the words of the tuple and one more.
    unsafe {
        block.write(bytes as u64);
        copy_in(elements, block.add(1).as_ptr())
    }
}

/// The bits of the first word that say the bytes. Those above count the shares beyond the first.
const BYTES_BITS: u32 = 40;
const SHARE: u64 = 1 << BYTES_BITS;

/// # Safety
///
/// `block` came from [`new`] and is alive.
unsafe fn first_word<'a>(block: BeamTerm) -> &'a AtomicU64 {
    // SAFETY: the word before the tuple's, which is only used so once others know the block.
    unsafe { AtomicU64::from_ptr(address(block.word()).sub(1)) }
}

/// # Safety
///
/// `block` came from [`new`].
pub unsafe fn bytes_of(block: BeamTerm) -> usize {
    // SAFETY: as promised.
    (unsafe { first_word(block) }.load(Relaxed) & (SHARE - 1)) as usize
}

/// See [`blanket_core::Term::share_block`].
///
/// # Safety
///
/// `block` came from [`new`].
pub unsafe fn share(block: BeamTerm) {
    // SAFETY: as promised.
    unsafe { first_word(block) }.fetch_add(SHARE, Relaxed);
}

/// # Safety
///
/// `block` came from [`new`].
#[inline]
pub unsafe fn is_shared(block: BeamTerm) -> bool {
    // SAFETY: as promised.
    unsafe { first_word(block) }.load(Acquire) >= SHARE
}

/// See [`blanket_core::Term::free_block`].
///
/// # Safety
///
/// `block` came from [`new`], and is freed no more often than it was made and shared.
pub unsafe fn free(block: BeamTerm) {
    // SAFETY: as promised: who finds no share but its own is the last to know the block.
    unsafe {
        let bytes = bytes_of(block);
        if is_shared(block) && first_word(block).fetch_sub(SHARE, AcqRel) >= SHARE {
            return;
        }
        let memory = NonNull::new_unchecked(address(block.word()).sub(1));
        spare::give(memory, memory_words(bytes));
    }
}

fn memory_words(bytes: usize) -> usize {
    (bytes - ALLOCATION) / WORD
}

/// Copies a tuple of plain terms to `to`. What the words that are there point at is copied behind
/// them, and so on until no word points elsewhere.
///
/// # Safety
///
/// The elements are plain, and there is room for all of their words.
unsafe fn copy_in(elements: &[BeamTerm], to: *mut u64) -> BeamTerm {
    let known = Known::get();
    // SAFETY: every word that is read is one of a plain term; every word that is written was counted.
    unsafe {
        *to = BeamTerm::tuple_header(elements.len());
        ptr::copy_nonoverlapping(elements.as_ptr().cast(), to.add(1), elements.len());
        let (mut at, mut end) = (to.add(1), to.add(1 + elements.len()));
        while at < end {
            let word = *at;
            let tag = word & TAG;
            if tag == LIST {
                *at = end.expose_provenance() as u64 | LIST;
                end = end.add(copy_few(address(word), end, 2));
            } else if tag == BOXED && !known.is_whole(word) {
                let from = address(word);
                let len = match known.kind(*from) {
                    Kind::Tuple | Kind::Data | Kind::Reference => {
                        copy_few(from, end, 1 + (*from >> 6) as usize)
                    }
                    Kind::Map => copy_few(from, end, 3 + *from.add(1) as usize),
                    Kind::Other => known.write_binary(BeamTerm::from_word(word), end),
                };
                *at = end.expose_provenance() as u64 | BOXED;
                end = end.add(len);
            } else if tag == 0 {
                at = at.add(known.bare_words(word));
            }
            at = at.add(1);
        }
        BeamTerm::tuple_at(to)
    }
}

/// Copies words, and answers how many: few, for which a call would take longer than the copying.
///
/// # Safety
///
/// There are as many at `from`, and there is room for them at `to`.
#[inline(always)]
unsafe fn copy_few(from: *const u64, to: *mut u64, len: usize) -> usize {
    for at in 0..len {
        // SAFETY: as promised.
        unsafe { to.add(at).write(from.add(at).read()) };
    }
    len
}

/// Copies the object of a block to the caller, with those of its own elements that are immediates as
/// in `elements`: in the block, they may be others by now.
///
/// # Safety
///
/// `block` came from [`new`] and has such elements; `env` is that of the running call.
#[inline]
pub unsafe fn copy_out(env: *mut ErlNifEnv, block: BeamTerm, elements: &[BeamTerm]) -> BeamTerm {
    // SAFETY: as promised.
    let copy = unsafe { copy_words(env, block) };
    if block.as_tuple().is_some_and(|own| ptr::eq(own, elements)) {
        return copy;
    }
    for (index, element) in elements.iter().enumerate() {
        if element.is_immediate() {
            // SAFETY: the copy is the caller's, who does not know it yet; it has such an element.
            unsafe { *address(copy.word()).add(1 + index) = element.word() };
        }
    }
    copy
}

/// # Safety
///
/// As for [`copy_out`].
#[inline]
unsafe fn copy_words(env: *mut ErlNifEnv, block: BeamTerm) -> BeamTerm {
    // SAFETY: as promised.
    let words = memory_words(unsafe { bytes_of(block) }) - 1;
    let known = Known::get();
    let Some(room) = known.room(words - 1) else {
        // SAFETY: as promised.
        return unsafe { block.copy_to(env) };
    };
    // The VM makes a tuple that takes as many words, and these are filled with the words of the object:
    // whole terms one behind the other, as the VM finds them when it goes through a heap.
    // SAFETY: `room` is that many immediates. The memory that the VM gives is the caller's, and as
    // long as said; the words of the block are whole terms, whose pointers lead into the block.
    unsafe {
        let from = address(block.word());
        let tuple = sys::enif_make_tuple_from_array(env, room.as_ptr(), room.len() as u32);
        let to = address(BeamTerm::from(tuple).word());
        let moved = (to.addr() as u64).wrapping_sub(from.addr() as u64);
        // Elements of the object may be written meanwhile.
        let word = |at| AtomicU64::from_ptr(from.add(at)).load(Relaxed);
        let mut at = 0;
        while at < words {
            let first = word(at);
            match first & TAG {
                LIST | BOXED if !known.is_whole(first) => {
                    *to.add(at) = first.wrapping_add(moved);
                }
                0 => {
                    let bare = known.bare_words(first);
                    for at in at..=at + bare {
                        *to.add(at) = word(at);
                    }
                    at += bare;
                }
                _ => *to.add(at) = first,
            }
            at += 1;
        }
        BeamTerm::tuple_at(to)
    }
}
