//! Where a thread's last step ended.
//!
//! Who goes through a table from key to key passes each key back in. Its place is remembered, so
//! that it need not be searched again.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic;

use crossbeam_epoch::Guard;

use crate::leaf::{Body, Leaf};
use crate::sync::{AtomicU64, Ordering, thread_local};
use crate::term::Term;

/// Numbers the states of a directory, no two of which have the same number, nor those of two
/// directories: as long as it is the same, no leaf of the directory has been removed.
pub(crate) struct Generation(AtomicU64);

impl Generation {
    pub fn new() -> Self {
        Generation(AtomicU64::new(Self::next()))
    }

    /// To be called before a leaf is removed, when it is locked.
    pub fn advance(&self) {
        self.0.store(Self::next(), Ordering::Release);
    }

    fn next() -> u64 {
        static NEXT: atomic::AtomicU64 = atomic::AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A slot of a leaf of a directory.
#[derive(Clone, Copy)]
pub(crate) struct Hint {
    generation: u64,
    leaf: *const (),
    slot: usize,
}

thread_local! {
    static LAST: Cell<Hint> = const {
        Cell::new(Hint { generation: 0, leaf: ptr::null(), slot: 0 })
    };
}

impl Hint {
    #[inline]
    pub fn of<T: Term, B: Body<T>>(
        generation: &Generation,
        leaf: &Leaf<T, B>,
        slot: usize,
    ) -> Self {
        Hint {
            generation: generation.number(),
            leaf: ptr::from_ref(leaf).cast(),
            slot,
        }
    }

    /// # Safety
    ///
    /// The leaf has been found intact, and one of the directory, since this was made.
    #[inline]
    pub unsafe fn remember(self) {
        LAST.with(|last| last.set(self));
    }
}

/// The leaf and the slot that were remembered last, if they are of this directory. What is in the
/// slot now has to be looked at.
///
/// # Safety
///
/// The generation is that of the directory of `Leaf<T, B>`s, which the guard keeps.
#[inline]
pub(crate) unsafe fn recall<'g, T: Term, B: Body<T>>(
    generation: &Generation,
    _guard: &'g Guard,
) -> Option<(&'g Leaf<T, B>, usize)> {
    let hint = LAST.with(Cell::get);
    // SAFETY: the leaf was one of this directory when its generation was the same, and not locked for
    // its removal. That goes on with another generation and ends with deferring the leaf's end: a
    // thread that still sees the former generation under a guard keeps the leaf by that guard, as if
    // it had met it there.
    (hint.generation == generation.number())
        .then(|| (unsafe { &*hint.leaf.cast::<Leaf<T, B>>() }, hint.slot))
}
