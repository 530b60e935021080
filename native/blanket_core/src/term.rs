//! What a term is to the engine.
//!
//! The engine never looks inside a term: it hashes, compares, encodes and copies terms through
//! [`Term`] and [`Arena`], so the same code runs on the BEAM's terms and on a plain Rust type.

use std::cmp::Ordering;

/// An immutable value, named by one machine word.
///
/// A term is valid for as long as the place it lives in: the caller's own memory for a term that
/// was passed in, an epoch guard for a term that was read from a table.
///
/// An operation on a term that was passed in may panic: then the table is as it was before the call or
/// as it is after it. One on a term that is in the table already must not, nor one on an immediate.
pub trait Term: Copy + Send + Sync + 'static {
    type Arena: Arena<Self>;
    type Tuples: Tuples<Self>;

    /// The word; never 0.
    fn to_word(self) -> u64;

    /// The term that `word` names.
    ///
    /// # Safety
    ///
    /// `word` came from [`Term::to_word`], and what it names is still alive.
    unsafe fn from_word(word: u64) -> Self;

    /// A hash with all 64 bits good; equal for terms that [match](Term::matches).
    fn hash(self) -> u64;

    /// Exact equality: `1` does not match `1.0`.
    fn matches(self, other: Self) -> bool;

    /// Term order, in which `1` and `1.0` are equal.
    fn compare(self, other: Self) -> Ordering;

    /// Writes bytes whose order never contradicts [`Term::compare`]: where one term is less than
    /// another, its bytes are less or equal; where two terms compare equal, so do their bytes.
    fn encode(self, out: &mut Encoding);

    /// The word is all there is to the term: it lives nowhere, and another word is another term.
    fn is_immediate(self) -> bool;

    // The following are called on objects only, which are tuples.

    fn arity(self) -> usize;

    /// One element, read atomically: a flat object may be written meanwhile.
    fn element(self, index: usize) -> Self;

    /// The elements of a tuple that is not being written.
    fn elements(&self) -> &[Self];

    /// Writes one element, atomically.
    ///
    /// # Safety
    ///
    /// The tuple was made by [`Tuples::tuple`] or [`Term::new_block`], nobody else writes to it, and
    /// whoever reads it meanwhile uses [`Term::element`]. The old element and the new one are
    /// immediates.
    unsafe fn set_element(self, index: usize, element: Self);

    // A block is memory of its own that one tuple lives in, with all that is in it.

    /// Bytes of a block for a tuple of these elements; `None` where it has to live in an arena.
    fn block_bytes(elements: &[Self]) -> Option<usize>;

    /// Copies a tuple of these elements to a block of so many bytes, which are what
    /// [`Term::block_bytes`] answered.
    fn new_block(elements: &[Self], bytes: usize) -> Self;

    /// The bytes of a tuple's block.
    ///
    /// # Safety
    ///
    /// The tuple lives in a block.
    unsafe fn bytes_of_block(self) -> usize;

    /// Has the block be freed once more before it is gone. Nobody writes to it until then.
    ///
    /// # Safety
    ///
    /// The tuple lives in a block, which is not freed meanwhile.
    unsafe fn share_block(self);

    /// Whether a block is to be freed more than once.
    ///
    /// # Safety
    ///
    /// The tuple lives in a block.
    unsafe fn is_block_shared(self) -> bool;

    /// Frees a block, once for its maker and once for each time that it was shared.
    ///
    /// # Safety
    ///
    /// The tuple lives in a block, and whoever this is for uses the tuple no more.
    unsafe fn free_block(self);
}

/// A place where copies of terms live until it is dropped as a whole.
pub trait Arena<T>: Send + Sync {
    fn new() -> Self;

    /// Bytes that the arena takes.
    fn bytes(&self) -> usize;

    /// Bytes that a copy of `term` takes; 0 for an immediate.
    fn size(term: T) -> usize;

    /// Bytes that [`Arena::tuple`] takes.
    fn tuple_size(elements: &[T]) -> usize;

    /// Copies `term`, which takes `size` bytes, into the arena.
    ///
    /// # Safety
    ///
    /// No other thread adds to this arena meanwhile. Other threads may read what is there.
    unsafe fn copy(&self, term: T, size: usize) -> T;

    /// Builds a tuple, which takes `size` bytes, in the arena from copies of `elements`.
    ///
    /// # Safety
    ///
    /// As for [`Arena::copy`].
    unsafe fn tuple(&self, elements: &[T], size: usize) -> T;
}

/// A place where tuples of immediates live until it is dropped as a whole. Others may read what is
/// there while one is added.
pub trait Tuples<T>: Send + Sync {
    fn new() -> Self;

    /// Bytes that it takes.
    fn bytes(&self) -> usize;

    fn tuple(&mut self, elements: &[T]) -> T;
}

/// The leading bytes of a key's order-preserving encoding.
#[derive(Clone, Copy)]
pub struct Encoding {
    /// The bytes, from the most significant one on; 0 where there are none.
    words: [u64; Encoding::MAX / WORD + 1],
    len: usize,
}

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

impl Encoding {
    /// Bytes beyond these are dropped: the keys' own comparison decides then.
    pub const MAX: usize = 40;

    pub(crate) const EMPTY: Self = Encoding {
        words: [0; Self::MAX / WORD + 1],
        len: 0,
    };

    /// Encodes `term`.
    #[inline(always)]
    pub fn of<T: Term>(term: T) -> Self {
        let mut encoding = Self::EMPTY;
        term.encode(&mut encoding);
        encoding
    }

    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut encoding = Self::EMPTY;
        encoding.extend(bytes);
        encoding
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes all bytes, and zeros behind them.
    pub fn write_to(&self, bytes: &mut [u8; Self::MAX]) {
        let (places, _) = bytes.as_chunks_mut();
        for (place, word) in places.iter_mut().zip(self.words) {
            *place = word.to_be_bytes();
        }
    }

    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        if self.len < Self::MAX {
            let shift = u64::BITS - 8 - self.len as u32 % 8 * 8;
            self.words[self.len / WORD] |= u64::from(byte) << shift;
            self.len += 1;
        }
    }

    /// Appends the first `count` bytes of a word, from the most significant one on; the others are 0.
    #[inline(always)]
    pub fn push_word(&mut self, word: u64, count: usize) {
        if self.len + WORD > Self::MAX {
            let bytes = &word.to_be_bytes()[..count];
            return bytes.iter().for_each(|&byte| self.push(byte));
        }
        let (place, used) = (self.len / WORD, self.len as u32 % 8 * 8);
        self.words[place] |= word >> used;
        // In two steps, since the whole width is not a shift.
        self.words[place + 1] |= word << (u64::BITS - 1 - used) << 1;
        self.len += count;
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        let room = Self::MAX - self.len;
        for &word in &words[..words.len().min(room / WORD + 1)] {
            self.push_word(u64::from_be_bytes(word), 8);
        }
        for &byte in rest {
            self.push(byte);
        }
    }

    /// No byte more is taken.
    pub fn is_full(&self) -> bool {
        self.len == Self::MAX
    }

    /// The eight bytes from `skip` on, as a number in the same order; what is not there is 0.
    #[inline]
    pub fn head(&self, skip: usize) -> u64 {
        debug_assert!(skip <= Self::MAX);
        let (word, skipped) = (skip / WORD, skip as u32 % 8 * 8);
        let next = self.words.get(word + 1).copied().unwrap_or(0);
        self.words[word] << skipped | next >> 1 >> (u64::BITS - 1 - skipped)
    }

    /// The order of the bytes.
    #[inline]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.words.cmp(&other.words)
    }

    /// The order of the first `bytes` bytes.
    #[inline]
    pub fn compare_leading(&self, other: &Self, bytes: usize) -> Ordering {
        let (whole, rest) = (bytes / WORD, bytes as u32 % 8 * 8);
        // In two steps, since the whole width is not a shift.
        let last = |words: &[u64]| words[whole] >> 1 >> (u64::BITS - 1 - rest);
        let leading = self.words[..whole].cmp(&other.words[..whole]);
        leading.then_with(|| last(&self.words).cmp(&last(&other.words)))
    }

    /// The number of leading bytes that both share.
    pub fn common(&self, other: &Self) -> usize {
        let pairs = self.words.iter().zip(&other.words);
        let differs = |(at, (one, two)): (usize, (&u64, &u64))| {
            (one != two).then(|| at * WORD + (one ^ two).leading_zeros() as usize / 8)
        };
        let shorter = self.len.min(other.len);
        let first = pairs.enumerate().find_map(differs);
        first.map_or(shorter, |first| first.min(shorter))
    }
}
