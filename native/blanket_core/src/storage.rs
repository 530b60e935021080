//! Where the objects of a leaf are: flat ones in its slab, others in blocks of their own, and what
//! no block can hold in its pages.

use std::sync::Arc;

use crossbeam_epoch::Guard;

use crate::discard::defer_drop;
use crate::leaf::Entry;
use crate::object::is_flat;
use crate::page::{PageIndex, Pages, Source};
use crate::slab::Slab;
use crate::table::Bounds;
use crate::term::Term;
use crate::usage::Usage;

pub(crate) struct Storage<T: Term> {
    slab: Slab<T>,
    pages: Pages<T>,
    /// Bytes of blocks that the usage does not know of yet.
    uncounted: isize,
    usage: Arc<Usage>,
}

impl<T: Term> Storage<T> {
    pub fn new(usage: &Arc<Usage>) -> Self {
        Storage {
            slab: Slab::new(),
            pages: Pages::new(usage),
            uncounted: 0,
            usage: Arc::clone(usage),
        }
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Puts an object here. The second answer is a page that ought to be evacuated.
    ///
    /// # Safety
    ///
    /// The lock of the leaf is held whose storage this is.
    #[inline]
    pub unsafe fn put(
        &mut self,
        source: Source<'_, T>,
        bounds: &Bounds,
    ) -> (Entry, Option<PageIndex>) {
        let elements = source.elements();
        if let Source::Block(object) = source {
            // SAFETY: the object is in a block.
            self.count(unsafe { object.bytes_of_block() } as isize);
            return (Entry::of_block(object), None);
        }
        if is_flat(elements) {
            // SAFETY: the caller holds the lock.
            let object = unsafe { self.slab.put(elements, &self.usage) };
            return (Entry::of_flat(object), None);
        }
        if let Some(bytes) = T::block_bytes(elements) {
            let block = T::new_block(elements, bytes);
            self.count(bytes as isize);
            return (Entry::of_block(block), None);
        }
        let (object, page, sparse) = self.pages.put(source, bounds);
        let word = object.to_word();
        (Entry { word, page }, sparse)
    }

    /// An entry is gone. Answers a page that ought to be evacuated.
    #[inline]
    pub fn forget(&mut self, entry: Entry, guard: &Guard) -> Option<PageIndex> {
        // SAFETY: an entry that leads to no run leads to an object.
        let object = || unsafe { T::from_word(entry.word) };
        match entry.page {
            Entry::RUN => None,
            Entry::FLAT => {
                self.slab.vacate(object(), &self.usage);
                None
            }
            Entry::BLOCK => {
                let block = Block(object());
                let bytes = block.bytes();
                self.count(-(bytes as isize));
                // SAFETY: no entry leads to the block any more; only readers that hold a guard now
                // may still be at it.
                unsafe { defer_drop(guard, block, bytes) };
                None
            }
            page => self.pages.forget(page, guard).then_some(page),
        }
    }

    /// An object was deleted: closes the open page where most of it is garbage, and answers it.
    pub fn close_if_sparse(&mut self, bounds: &Bounds, guard: &Guard) -> Option<PageIndex> {
        self.pages.close_if_sparse(bounds, guard)
    }

    /// The slab has much more memory than objects, for a leaf of so many slots.
    pub fn has_sparse_slab(&self, slots: usize) -> bool {
        self.slab.is_sparse(slots)
    }

    pub fn has_no_flat(&self) -> bool {
        self.slab.is_empty()
    }

    /// Begins a new slab; the one before is the answer, to be retired when it is empty.
    pub fn renew_slab(&mut self) -> Slab<T> {
        std::mem::replace(&mut self.slab, Slab::new())
    }

    /// An entry goes to a leaf whose storage is `other`; answers what leads there to its object. A
    /// flat object leaves nothing behind: the slab is to be renewed.
    ///
    /// # Safety
    ///
    /// The locks of both leaves are held.
    pub unsafe fn hand_on(
        &mut self,
        entry: Entry,
        other: &mut Storage<T>,
        renamed: &mut Renamed,
    ) -> Entry {
        match entry.page {
            Entry::RUN => entry,
            Entry::FLAT => {
                // SAFETY: the locks are held: the object is this leaf's, and the other slab is
                // added to by nobody else.
                Entry::of_flat(unsafe {
                    let object = T::from_word(entry.word);
                    other.slab.put(object.elements(), &other.usage)
                })
            }
            Entry::BLOCK => {
                // SAFETY: the entry leads to an object in a block.
                let bytes = unsafe { T::from_word(entry.word).bytes_of_block() } as isize;
                self.uncounted -= bytes;
                other.uncounted += bytes;
                entry
            }
            page => Entry {
                page: self.pages.hand_on(page, &mut other.pages, renamed),
                ..entry
            },
        }
    }

    /// For a copy of the leaf that never changes.
    pub fn aside(&self) -> Self {
        let usage = Arc::default();
        Storage {
            slab: Slab::new(),
            pages: self.pages.shared(&usage),
            uncounted: self.pages.bytes() as isize,
            usage,
        }
    }

    /// What an entry of this leaf is in the copy of it whose storage is `aside`.
    ///
    /// # Safety
    ///
    /// The lock of this leaf is held, and nobody else uses `aside`, which was made of it.
    pub unsafe fn share(entry: Entry, aside: &mut Storage<T>, guard: &Guard) -> Entry {
        // SAFETY: the lock is held; an entry that leads to no run leads to an object.
        let object = || unsafe { T::from_word(entry.word) };
        match entry.page {
            Entry::RUN => {
                // SAFETY: the lock is held, so the entry is whole.
                if let Some(run) = unsafe { entry.run::<T>(guard) } {
                    run.share();
                }
                entry
            }
            // SAFETY: nobody else uses the slab.
            Entry::FLAT => Entry::of_flat(unsafe {
                let object = object();
                aside.slab.put(object.elements(), &aside.usage)
            }),
            Entry::BLOCK => {
                // SAFETY: the object is in a block, which this leaf frees only under its lock.
                unsafe { object().share_block() };
                // SAFETY: as above.
                aside.count(unsafe { object().bytes_of_block() } as isize);
                entry
            }
            _ => entry,
        }
    }

    /// Gives back what [`Storage::hand_on`] left without an object.
    pub fn drop_unused(&mut self, guard: &Guard) {
        self.pages.drop_unused(guard);
    }

    /// For [`Storage::hand_on`]: the indices of this leaf's pages among those of the other leaf.
    pub fn renaming(&self) -> Renamed {
        vec![Pages::<T>::NONE; self.pages.len()]
    }

    fn count(&mut self, bytes: isize) {
        self.uncounted += bytes;
    }

    /// A change is over: has the usage count what it came to, if that is worth it.
    #[inline]
    pub fn settle(&mut self) {
        if self.uncounted.abs() >= COUNT_STEP {
            self.settle_all();
        }
    }

    /// Has the usage count all.
    pub fn settle_all(&mut self) {
        self.usage.add_bytes(std::mem::take(&mut self.uncounted));
    }
}

pub(crate) type Renamed = Vec<PageIndex>;

/// Bytes that are counted together: counting is a shared write.
const COUNT_STEP: isize = 256;

/// An object in a block that nothing else will free.
pub(crate) struct Block<T: Term>(pub T);

impl<T: Term> Block<T> {
    pub fn bytes(&self) -> usize {
        // SAFETY: the object is in a block.
        unsafe { self.0.bytes_of_block() }
    }
}

impl<T: Term> Drop for Block<T> {
    fn drop(&mut self) {
        // SAFETY: the block is this one's.
        unsafe { self.0.free_block() };
    }
}

impl<T: Term> Drop for Storage<T> {
    fn drop(&mut self) {
        let counted = self.slab.counted() as isize - self.uncounted;
        self.usage.add_bytes(-counted);
    }
}
