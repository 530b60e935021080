//! Where a thread's last step ended.
//!
//! Who goes through a table from key to key passes each key back in. Its place is remembered, so
//! that it need not be searched again.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_epoch::Guard;

use crate::leaf::{Body, Leaf};
use crate::term::Term;

/// Numbers the states of a directory, no two of which have the same number, nor those of two
/// directories: as long as it is the same, no leaf of the directory has been removed.
pub(crate) struct Generation(AtomicU64);

impl Generation {
    pub fn new() -> Self {
        Generation(AtomicU64::new(Self::next()))
    }

    /// To be called before a leaf is removed.
    pub fn advance(&self) {
        self.0.store(Self::next(), Ordering::Release);
    }

    fn next() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Clone, Copy)]
struct Hint {
    generation: u64,
    leaf: *const (),
    slot: usize,
}

thread_local! {
    static LAST: Cell<Hint> = const {
        Cell::new(Hint { generation: 0, leaf: ptr::null(), slot: 0 })
    };
}

/// Remembers a slot of a leaf of the directory.
#[inline]
pub(crate) fn remember<T: Term, B: Body<T>>(
    generation: &Generation,
    leaf: &Leaf<T, B>,
    slot: usize,
) {
    let hint = Hint {
        generation: generation.number(),
        leaf: ptr::from_ref(leaf).cast(),
        slot,
    };
    LAST.with(|last| last.set(hint));
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
    // SAFETY: the leaf was one of this directory when its generation was the same. Removing a leaf
    // begins with another generation and ends with deferring its end: a thread that still sees the
    // former generation under a guard keeps the leaf by that guard, as if it had met it there.
    (hint.generation == generation.number())
        .then(|| (unsafe { &*hint.leaf.cast::<Leaf<T, B>>() }, hint.slot))
}
