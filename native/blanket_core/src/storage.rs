//! Where the objects of a leaf are: flat ones in its slab, all others in its pages.

use std::sync::Arc;

use crossbeam_epoch::Guard;

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
    usage: Arc<Usage>,
}

impl<T: Term> Storage<T> {
    pub fn new(usage: &Arc<Usage>) -> Self {
        Storage {
            slab: Slab::new(),
            pages: Pages::new(usage),
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
    pub unsafe fn put(
        &mut self,
        source: Source<'_, T>,
        bounds: &Bounds,
    ) -> (Entry, Option<PageIndex>) {
        let elements = source.elements();
        if is_flat(elements) {
            // SAFETY: the caller holds the lock.
            let object = unsafe { self.slab.put(elements, &self.usage) };
            return (Entry::of_flat(object), None);
        }
        let (object, page, sparse) = self.pages.put(source, bounds);
        let word = object.to_word();
        (Entry { word, page }, sparse)
    }

    /// An entry is gone. Answers a page that ought to be evacuated.
    pub fn forget(&mut self, entry: Entry, guard: &Guard) -> Option<PageIndex> {
        match entry.page {
            Entry::RUN => None,
            Entry::FLAT => {
                // SAFETY: a flat entry leads to an object of the slab, which lives as long as the
                // slab.
                self.slab
                    .vacate(unsafe { T::from_word(entry.word) }, &self.usage);
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

    /// Begins a new slab; the one before is the answer, to be retired when it is empty.
    pub fn renew_slab(&mut self) -> Slab<T> {
        std::mem::replace(&mut self.slab, Slab::new())
    }

    /// An entry goes to a leaf whose storage is `other`; answers what leads there to its object.
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
                let object = unsafe {
                    let object = T::from_word(entry.word);
                    self.slab.vacate(object, &self.usage);
                    other.slab.put(object.elements(), &other.usage)
                };
                Entry::of_flat(object)
            }
            page => Entry {
                page: self.pages.hand_on(page, &mut other.pages, renamed),
                ..entry
            },
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
}

pub(crate) type Renamed = Vec<PageIndex>;

impl<T: Term> Drop for Storage<T> {
    fn drop(&mut self) {
        self.usage.add_bytes(-(self.slab.counted() as isize));
    }
}
