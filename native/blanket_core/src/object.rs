//! An object as a reader sees it.
//!
//! Most objects never change: a new version of one is put elsewhere. But a *flat* object, a short
//! tuple of immediates, is overwritten in place. So a reader does not follow the word of such an
//! object but takes its elements along, and uses them only after it saw that the leaf was intact
//! while it read.

use std::mem::MaybeUninit;

use crate::leaf::Entry;
use crate::term::Term;

/// An object as it was at one instant; valid while the guard lives that it was read under.
pub struct Object<T> {
    object: T,
    place: Place,
    elements: [MaybeUninit<T>; MOST],
}

impl<T: Copy> Clone for Object<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy> Copy for Object<T> {}

#[derive(Clone, Copy)]
enum Place {
    /// So many elements of it were taken.
    Taken(u32),
    Block,
    Arena,
}

/// An object that can be named by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole<T> {
    /// It lives in a block.
    Block(T),
    Arena(T),
}

impl<T> Whole<T> {
    pub fn term(self) -> T {
        match self {
            Whole::Block(term) | Whole::Arena(term) => term,
        }
    }
}

/// The largest arity of a flat object.
const MOST: usize = 6;

impl<T: Term> Object<T> {
    /// For an object that lives in an arena.
    #[inline]
    pub(crate) fn in_arena(object: T) -> Self {
        Object {
            object,
            place: Place::Arena,
            elements: [MaybeUninit::uninit(); MOST],
        }
    }

    /// What the entry leads to, which is no run.
    ///
    /// # Safety
    ///
    /// The entry was read whole, and a guard keeps what it leads to. A flat object may be written
    /// while it is taken: what came out means nothing then.
    #[inline(always)]
    pub(crate) unsafe fn take(entry: Entry) -> Self {
        let mut taken = MaybeUninit::uninit();
        // SAFETY: passed on.
        *unsafe { Self::take_into(entry, &mut taken) }
    }

    /// # Safety
    ///
    /// As for [`Object::take`].
    #[inline(always)]
    pub(crate) unsafe fn take_into(entry: Entry, place: &mut MaybeUninit<Self>) -> &mut Self {
        // SAFETY: the word of an entry that is no run is an object.
        let object = unsafe { T::from_word(entry.word) };
        let taken = place.write(Self::in_arena(object));
        match entry.page {
            Entry::BLOCK => taken.place = Place::Block,
            Entry::FLAT => {
                let arity = object.arity().min(MOST);
                for (index, place) in taken.elements[..arity].iter_mut().enumerate() {
                    place.write(object.element(index));
                }
                taken.place = Place::Taken(arity as u32);
            }
            _ => {}
        }
        taken
    }

    #[inline]
    pub fn elements(&self) -> &[T] {
        match self.place {
            // SAFETY: so many were written.
            Place::Taken(taken) => unsafe {
                std::slice::from_raw_parts(self.elements.as_ptr().cast(), taken as usize)
            },
            _ => self.object.elements(),
        }
    }

    /// The object itself; `None` where it is flat, and may be something else by now.
    #[inline]
    pub fn whole(&self) -> Option<Whole<T>> {
        match self.place {
            Place::Taken(_) => None,
            Place::Block => Some(Whole::Block(self.object)),
            Place::Arena => Some(Whole::Arena(self.object)),
        }
    }
}

/// Whether an object of these elements is flat: short, and nothing but immediates.
#[inline]
pub(crate) fn is_flat<T: Term>(elements: &[T]) -> bool {
    elements.len() <= MOST && elements.iter().all(|element| element.is_immediate())
}

/// Writes the elements of a flat object.
///
/// # Safety
///
/// `object` is a flat object of a slab and has as many elements; they are immediates; the lock of
/// the leaf is held; those who read it without that lock [take](Object::take) it.
#[inline]
pub(crate) unsafe fn write_flat<T: Term>(object: T, elements: &[T]) {
    for (index, &element) in elements.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { object.set_element(index, element) };
    }
}
