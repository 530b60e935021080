//! The flat objects of a leaf: short tuples of immediates, in memory that is used again at once.
//!
//! A reader takes a flat object's elements along and uses them only after it saw that the leaf was
//! intact while it read. So such an object may be overwritten, and the memory of a deleted one
//! holds the next of its arity, without a wait for readers.

use crossbeam_epoch::Guard;

use crate::discard::defer_drop;
use crate::object::{is_flat, write_flat};
use crate::term::{Term, Tuples};
use crate::usage::Usage;

pub(crate) struct Slab<T: Term> {
    /// Made with the first object.
    tuples: Option<T::Tuples>,
    /// Bytes that the usage knows of.
    counted: usize,
    /// By arity, the objects that no entry leads to any more.
    vacant: Vec<Vec<T>>,
    vacancies: usize,
    /// Objects that were made, vacant ones included.
    objects: usize,
}

impl<T: Term> Slab<T> {
    pub fn new() -> Self {
        Slab {
            tuples: None,
            counted: 0,
            vacant: Vec::new(),
            vacancies: 0,
            objects: 0,
        }
    }

    /// An object of these elements, which are immediates.
    ///
    /// # Safety
    ///
    /// The lock of the leaf is held whose slab this is.
    pub unsafe fn put(&mut self, elements: &[T], usage: &Usage) -> T {
        debug_assert!(is_flat(elements));
        let vacant = self.vacant.get_mut(elements.len()).and_then(Vec::pop);
        if let Some(object) = vacant {
            self.vacancies -= 1;
            // SAFETY: the object is the slab's; no entry leads to it, and readers that came upon it
            // earlier take it.
            unsafe { write_flat(object, elements) };
            return object;
        }
        self.objects += 1;
        let before = self.tuples.as_ref().map_or(0, T::Tuples::bytes);
        let tuples = self.tuples.get_or_insert_with(T::Tuples::new);
        let object = tuples.tuple(elements);
        let grown = tuples.bytes() - before;
        if grown > 0 {
            usage.add_bytes(grown as isize);
            self.counted += grown;
        }
        object
    }

    /// No entry leads to `object` any more.
    pub fn vacate(&mut self, object: T, usage: &Usage) {
        let arity = object.arity();
        if self.vacant.len() <= arity {
            self.vacant.resize_with(arity + 1, Vec::new);
        }
        let vacant = &mut self.vacant[arity];
        let before = vacant.capacity();
        vacant.push(object);
        let grown = (vacant.capacity() - before) * size_of::<T>();
        if grown > 0 {
            usage.add_bytes(grown as isize);
            self.counted += grown;
        }
        self.vacancies += 1;
    }

    /// No memory was needed yet.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Most of the memory is vacant, of a leaf with so many slots.
    pub fn is_sparse(&self, slots: usize) -> bool {
        self.vacancies >= LEAST_VACANCIES.max(slots / 16) && self.vacancies > self.objects / 4 * 3
    }

    /// Lets go of the memory, for a slab that takes its place.
    ///
    /// # Safety
    ///
    /// No entry leads into the slab any more; only readers that hold a guard now may still read in it.
    pub unsafe fn retire(self, usage: &Usage, guard: &Guard) {
        usage.add_bytes(-(self.counted as isize));
        if let Some(tuples) = self.tuples {
            // SAFETY: the caller's promise; tuples may be dropped on any thread.
            unsafe { defer_drop(guard, tuples, self.counted) };
        }
    }

    /// Bytes that are counted for it.
    pub fn counted(&self) -> usize {
        self.counted
    }
}

/// Fewer than these are not worth to look for those that are in use.
const LEAST_VACANCIES: usize = 16;
