//! Memory for blocks: what a thread has freed is kept there for its next block of the same size, as far as
//! it is little. Overwriting an object takes a new block and frees an old one of that size, and the VM's
//! allocators look for the best place each time.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

/// Words of the largest block that is kept.
const WORDS: usize = 64;

/// Bytes that a thread keeps at most: none where sanitizers are to see every block come and go.
const MOST_KEPT: usize = if cfg!(debug_assertions) { 0 } else { 64 << 10 };

const WORD: usize = size_of::<u64>();

/// The spare blocks of a thread, by their words: each has the address of the next one of its list.
struct Spare {
    lists: UnsafeCell<[*mut Block; WORDS + 1]>,
    bytes: Cell<usize>,
}

struct Block {
    next: *mut Block,
}

thread_local! {
    static SPARE: Spare = const {
        Spare { lists: UnsafeCell::new([ptr::null_mut(); WORDS + 1]), bytes: Cell::new(0) }
    };
}

fn layout(words: usize) -> Layout {
    Layout::array::<u64>(words).expect("no term is as large as the memory")
}

/// Memory for so many words, of which there are some.
#[inline]
pub fn take(words: usize) -> Option<NonNull<u64>> {
    let spare = match words {
        0..=WORDS => SPARE.try_with(|spare| spare.pop(words)).ok().flatten(),
        _ => None,
    };
    // SAFETY: the layout is of some words.
    spare.or_else(|| NonNull::new(unsafe { alloc(layout(words)) }.cast()))
}

/// Gives memory of so many words back.
///
/// # Safety
///
/// It came from [`take`] with as many words, and nobody uses it any more.
#[inline]
pub unsafe fn give(memory: NonNull<u64>, words: usize) {
    let kept = words <= WORDS
        // SAFETY: as promised.
        && SPARE.try_with(|spare| unsafe { spare.push(memory, words) }).unwrap_or(false);
    if !kept {
        // SAFETY: as promised.
        unsafe { dealloc(memory.as_ptr().cast(), layout(words)) };
    }
}

impl Spare {
    #[inline]
    fn pop(&self, words: usize) -> Option<NonNull<u64>> {
        // SAFETY: the lists are this thread's, and no reference to them leaves a function here.
        let list = unsafe { &mut (*self.lists.get())[words] };
        let block = NonNull::new(*list)?;
        // SAFETY: what is in a list is memory that nobody else uses, and has the next one's address.
        *list = unsafe { block.read() }.next;
        self.bytes.set(self.bytes.get() - words * WORD);
        Some(block.cast())
    }

    /// Whether there was room for it.
    ///
    /// # Safety
    ///
    /// As for [`give`].
    #[inline]
    unsafe fn push(&self, memory: NonNull<u64>, words: usize) -> bool {
        let bytes = self.bytes.get() + words * WORD;
        if bytes > MOST_KEPT {
            return false;
        }
        self.bytes.set(bytes);
        // SAFETY: see `pop`.
        let list = unsafe { &mut (*self.lists.get())[words] };
        let block = memory.cast::<Block>();
        // SAFETY: as promised: it is a word at least.
        unsafe { block.write(Block { next: *list }) };
        *list = block.as_ptr();
        true
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        for words in 1..=WORDS {
            while let Some(memory) = self.pop(words) {
                // SAFETY: as for `give`.
                unsafe { dealloc(memory.as_ptr().cast(), layout(words)) };
            }
        }
    }
}
