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

/// Bytes of a block for a tuple of these elements, if it is plain and not too large.
///
/// A block is a [`First`] word and, behind it, the words of the tuple, its own first.
#[inline]
pub fn bytes(elements: &[BeamTerm]) -> Option<usize> {
    let words = words(elements)? + 1;
    (words <= First::MOST_WORDS).then_some(words * WORD + ALLOCATION)
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

/// The keys and the values of a map, if it is a small one of known words.
#[inline]
pub fn pairs<'a>(map: BeamTerm) -> Option<(&'a [BeamTerm], &'a [BeamTerm])> {
    if map.word() & TAG != BOXED {
        return None;
    }
    let from = address(map.word());
    // SAFETY: the pointer leads to a header; that of a small map is followed by the number of pairs, the
    // tuple of the keys, and the values, all of which live as long as the map.
    unsafe {
        let Kind::Map = Known::get().kind(*from) else {
            return None;
        };
        let len = *from.add(1) as usize;
        let keys = BeamTerm::from_word(*from.add(2)).as_tuple()?;
        let values = std::slice::from_raw_parts(from.add(3).cast(), len);
        (keys.len() == len).then_some((keys, values))
    }
}

/// Copies a tuple of these elements to a block of so many bytes, as [`bytes`] answered.
pub fn new(elements: &[BeamTerm], bytes: usize) -> BeamTerm {
    let words = (bytes - ALLOCATION) / WORD;
    // As large as the caller's object: that ends this call, and not the VM.
    let block =
        spare::take(words).unwrap_or_else(|| panic!("no memory for an object of {bytes} bytes"));
    // SAFETY: the memory is new, and as long as the words of the tuple and one more.
    unsafe {
        let tuple = block.add(1).as_ptr();
        let pointers = copy_in(elements, tuple);
        block.write(First::new(words, pointers).0);
        BeamTerm::tuple_at(tuple)
    }
}

/// The first word of a block: how many words there are, this one included; which of the tuple's are
/// pointers; and how often the block is shared beyond the first.
#[derive(Clone, Copy)]
struct First(u64);

impl First {
    const WORDS_BITS: u32 = 24;
    const MOST_WORDS: usize = (1 << Self::WORDS_BITS) - 1;
    const SHARE: u64 = 1 << (Self::WORDS_BITS + Pointers::BITS);
    /// With as many shares, the block is never freed: there is no room to count more.
    const MOST_SHARES: u64 = !(Self::SHARE - 1);

    fn new(words: usize, pointers: Pointers) -> Self {
        First(words as u64 | pointers.0 << Self::WORDS_BITS)
    }

    /// # Safety
    ///
    /// `block` came from [`new`] and is alive.
    #[inline]
    unsafe fn of(block: BeamTerm) -> Self {
        // SAFETY: as promised.
        First(unsafe { first_word(block) }.load(Relaxed))
    }

    #[inline]
    fn words(self) -> usize {
        self.0 as usize & Self::MOST_WORDS
    }

    #[inline]
    fn pointers(self) -> Pointers {
        Pointers(self.0 >> Self::WORDS_BITS & ((1 << Pointers::BITS) - 1))
    }

    fn share(first: &AtomicU64) {
        let share = |word| (word < Self::MOST_SHARES).then(|| word + Self::SHARE);
        let _ = first.fetch_update(Relaxed, Relaxed, share);
    }

    /// Gives up a share; false where it was the last, and what was shared is to be freed.
    fn unshare(first: &AtomicU64) -> bool {
        let unshare = |word| match word {
            Self::MOST_SHARES.. => Some(word),
            _ => u64::checked_sub(word, Self::SHARE),
        };
        first.fetch_update(AcqRel, Acquire, unshare).is_ok()
    }
}

/// Which words of a tuple lead to others of it: a bit for each of the first words, and the last bit for
/// all of the rest.
#[derive(Clone, Copy)]
struct Pointers(u64);

impl Pointers {
    const BITS: u32 = 20;
    const REST: usize = Self::BITS as usize - 1;

    fn note(&mut self, place: usize) {
        self.0 |= 1 << place.min(Self::REST);
    }

    /// The places of all of them, where none is among the rest.
    #[inline]
    fn places(self) -> Option<impl Iterator<Item = usize>> {
        let mut bits = self.0;
        let next = move || {
            let place = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(place)
        };
        (self.0 >> Self::REST == 0).then(|| std::iter::from_fn(next))
    }
}

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
    unsafe { First::of(block) }.words() * WORD + ALLOCATION
}

/// See [`blanket_core::Term::share_block`].
///
/// # Safety
///
/// `block` came from [`new`].
pub unsafe fn share(block: BeamTerm) {
    // SAFETY: as promised.
    First::share(unsafe { first_word(block) });
}

/// # Safety
///
/// `block` came from [`new`].
#[inline]
pub unsafe fn is_shared(block: BeamTerm) -> bool {
    // SAFETY: as promised.
    unsafe { first_word(block) }.load(Acquire) >= First::SHARE
}

/// See [`blanket_core::Term::free_block`].
///
/// # Safety
///
/// `block` came from [`new`], and is freed no more often than it was made and shared.
pub unsafe fn free(block: BeamTerm) {
    // SAFETY: as promised: who finds no share but its own is the last to know the block.
    unsafe {
        let words = First::of(block).words();
        if is_shared(block) && First::unshare(first_word(block)) {
            return;
        }
        spare::give(NonNull::new_unchecked(address(block.word()).sub(1)), words);
    }
}

/// Copies a tuple of plain terms to `to`. What the words that are there point at is copied behind
/// them, and so on until no word points elsewhere. Answers which words lead to others.
///
/// # Safety
///
/// The elements are plain, and there is room for all of their words.
unsafe fn copy_in(elements: &[BeamTerm], to: *mut u64) -> Pointers {
    let known = Known::get();
    let mut pointers = Pointers(0);
    // SAFETY: every word that is read is one of a plain term; every word that is written was counted.
    unsafe {
        *to = BeamTerm::tuple_header(elements.len());
        ptr::copy_nonoverlapping(elements.as_ptr().cast(), to.add(1), elements.len());
        let (mut at, mut end) = (to.add(1), to.add(1 + elements.len()));
        while at < end {
            let word = *at;
            let tag = word & TAG;
            if tag == LIST {
                pointers.note(at.offset_from_unsigned(to));
                *at = end.expose_provenance() as u64 | LIST;
                end = end.add(copy_few(address(word), end, 2));
            } else if tag == BOXED && !known.is_whole(word) {
                pointers.note(at.offset_from_unsigned(to));
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
    }
    pointers
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
    let first = unsafe { First::of(block) };
    let words = first.words() - 1;
    let Some(room) = Known::get().room(words - 1) else {
        // SAFETY: as promised.
        return unsafe { block.copy_to(env) };
    };
    // The VM makes a tuple that takes as many words, and these are filled with the words of the object:
    // whole terms one behind the other, as the VM finds them when it goes through a heap.
    // SAFETY: `room` is that many immediates. The memory that the VM gives is the caller's, and as
    // long as said; the words of the block are whole terms, whose pointers lead into the block.
    unsafe {
        let from = address(block.word());
        prefetch_words(from, words);
        let tuple = sys::enif_make_tuple_from_array(env, room.as_ptr(), room.len() as u32);
        let to = address(BeamTerm::from(tuple).word());
        let elements = (*from >> 6) as usize;
        // Elements of the object may be written meanwhile, what hangs below them never is.
        for at in 0..=elements {
            *to.add(at) = AtomicU64::from_ptr(from.add(at)).load(Relaxed);
        }
        let behind = 1 + elements;
        to.add(behind)
            .copy_from_nonoverlapping(from.add(behind), words - behind);
        let moved = (to.addr() as u64).wrapping_sub(from.addr() as u64);
        match first.pointers().places() {
            Some(places) => places.for_each(|at| move_pointer(to.add(at), moved)),
            None => move_pointers(to, words, moved),
        }
        BeamTerm::tuple_at(to)
    }
}

/// Has the memory of a block come that is going to be copied.
///
/// # Safety
///
/// `block` came from [`new`] and is alive.
pub unsafe fn prefetch(block: BeamTerm) {
    // SAFETY: as promised.
    let first = unsafe { First::of(block) };
    prefetch_words(address(block.word()), first.words());
}

/// All but the first words, which are there already.
#[inline]
fn prefetch_words(_from: *const u64, _words: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (LINE.._words).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, wherever the pointer leads.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(_from.wrapping_add(at).cast()) };
    }
}

/// Words of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 8;

/// Moves all pointers of a copied object.
///
/// # Safety
///
/// There are as many words, of whole terms, and they are the caller's.
unsafe fn move_pointers(words: *mut u64, len: usize, by: u64) {
    let known = Known::get();
    let mut at = 0;
    while at < len {
        // SAFETY: as promised.
        unsafe {
            let word = *words.add(at);
            match word & TAG {
                LIST | BOXED if !known.is_whole(word) => move_pointer(words.add(at), by),
                0 => at += known.bare_words(word),
                _ => {}
            }
        }
        at += 1;
    }
}

/// # Safety
///
/// The word is the caller's.
#[inline]
unsafe fn move_pointer(word: *mut u64, by: u64) {
    // SAFETY: as promised.
    unsafe { *word = (*word).wrapping_add(by) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> AtomicU64 {
        AtomicU64::new(First::new(3, Pointers(1 << Pointers::REST)).0)
    }

    #[test]
    fn a_block_is_freed_by_the_last_that_shares_it() {
        let first = first();
        (0..5).for_each(|_| First::share(&first));
        assert!((0..5).all(|_| First::unshare(&first)));
        assert!(!First::unshare(&first));
    }

    #[test]
    fn more_shares_than_can_be_counted_keep_a_block() {
        let first = first();
        let shares = (1 << (u64::BITS - First::WORDS_BITS - Pointers::BITS)) + 1;
        (0..shares).for_each(|_| First::share(&first));
        assert!((0..=shares).all(|_| First::unshare(&first)));
        let First(word) = First(first.load(Relaxed));
        assert_eq!(First(word).words(), 3);
        assert!(word >= First::SHARE);
    }
}
