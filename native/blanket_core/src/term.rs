//! What a term is to the engine.
//!
//! The engine never looks inside a term: it hashes, compares, encodes and copies terms through
//! [`Term`] and [`Arena`], so the same code runs on the BEAM's terms and on a plain Rust type.

use std::cmp::Ordering;

/// An immutable value, named by one machine word.
///
/// A term is valid for as long as the place it lives in: the caller's own memory for a term that
/// was passed in, an epoch guard for a term that was read from a table.
pub trait Term: Copy + Send + Sync + 'static {
    type Arena: Arena<Self>;

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

    /// The elements of a tuple that is not being written: the caller's own, or one that is not
    /// flat.
    fn elements(&self) -> &[Self];

    /// Writes one element, atomically.
    ///
    /// # Safety
    ///
    /// The tuple is in an arena, nobody else writes to it, and whoever reads it meanwhile uses
    /// [`Term::element`]. Both the old element and the new one are immediates.
    unsafe fn set_element(self, index: usize, element: Self);
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

/// The leading bytes of a key's order-preserving encoding.
#[derive(Clone, Copy)]
pub struct Encoding {
    bytes: [u8; Encoding::MAX + 8],
    len: usize,
}

impl Encoding {
    /// Bytes beyond these are dropped: the keys' own comparison decides then.
    pub const MAX: usize = 40;

    /// Encodes `term`.
    #[inline]
    pub fn of<T: Term>(term: T) -> Self {
        let mut encoding = Encoding {
            bytes: [0; Self::MAX + 8],
            len: 0,
        };
        term.encode(&mut encoding);
        encoding
    }

    #[inline]
    pub fn push(&mut self, byte: u8) {
        if self.len < Self::MAX {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    #[inline]
    pub fn push_u64(&mut self, number: u64) {
        let bytes = number.to_be_bytes();
        if self.len + bytes.len() > Self::MAX {
            return self.extend(&bytes);
        }
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(&bytes);
        self.len += bytes.len();
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(Self::MAX - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
    }

    /// No byte more is taken.
    pub fn is_full(&self) -> bool {
        self.len == Self::MAX
    }

    /// The eight bytes from `skip` on, as a number in the same order; what is not there is 0.
    #[inline]
    pub fn head(&self, skip: usize) -> u64 {
        debug_assert!(skip <= Self::MAX);
        let mut head = [0; 8];
        head.copy_from_slice(&self.bytes[skip..skip + 8]);
        u64::from_be_bytes(head)
    }

    /// The number of leading bytes that both share.
    pub fn common(&self, other: &Self) -> usize {
        let shorter = self.len.min(other.len);
        (0..shorter)
            .find(|&i| self.bytes[i] != other.bytes[i])
            .unwrap_or(shorter)
    }
}
