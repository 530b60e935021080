//! An object as a reader sees it.
//!
//! What hangs below an object never changes: a new version of it is put elsewhere. But an immediate
//! in a short object may be written in place: all of a *flat* object, a short tuple of immediates, and
//! in a block those elements beside the key, where all of them are immediates. So a reader takes the
//! elements of short objects along, and uses them only after it saw that the leaf was intact while it
//! read.

use std::mem::MaybeUninit;

use crate::leaf::Entry;
use crate::term::Term;

/// An object as it was at one instant; valid while the guard lives that it was read under.
pub struct Object<T> {
    object: T,
    place: Place,
    /// Elements that were taken; those of an object with more are not written in place.
    taken: u32,
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
    /// In the slab.
    Slab,
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
            taken: 0,
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
        taken.place = match entry.page {
            Entry::FLAT => Place::Slab,
            Entry::BLOCK => Place::Block,
            _ => return taken,
        };
        let arity = object.arity();
        if arity <= MOST {
            for (index, place) in taken.elements[..arity].iter_mut().enumerate() {
                place.write(object.element(index));
            }
            taken.taken = arity as u32;
        }
        taken
    }

    #[inline]
    pub fn elements(&self) -> &[T] {
        match self.taken {
            0 => self.object.elements(),
            // SAFETY: so many were written.
            taken => unsafe {
                std::slice::from_raw_parts(self.elements.as_ptr().cast(), taken as usize)
            },
        }
    }

    /// The object itself; `None` where it is flat, and may be something else by now. The immediates
    /// among its own elements may be others by now, too.
    #[inline]
    pub fn whole(&self) -> Option<Whole<T>> {
        match self.place {
            Place::Slab => None,
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

/// The object whose immediates may be written in place, but for the key: it is in the slab or in a
/// block that is not shared, and short, so that who reads it without the lock takes its elements.
///
/// # Safety
///
/// The entry was read whole, and what it leads to is alive.
#[inline]
unsafe fn short<T: Term>(entry: Entry) -> Option<T> {
    // SAFETY: such an entry leads to an object.
    let object = || unsafe { T::from_word(entry.word) };
    let is_taken = match entry.page {
        Entry::FLAT => true,
        // SAFETY: the entry leads to an object in a block.
        Entry::BLOCK => unsafe { !object().is_block_shared() },
        _ => false,
    };
    is_taken
        .then(object)
        .filter(|object| object.arity() <= MOST)
}

/// Writes the elements in place, if they can be written so; answers whether they were.
///
/// # Safety
///
/// The lock of the leaf is held whose `entry` this is.
#[inline]
pub(crate) unsafe fn overwrite<T: Term>(entry: Entry, elements: &[T], keypos: usize) -> bool {
    // SAFETY: the lock is held.
    let Some(object) = (unsafe { short::<T>(entry) }) else {
        return false;
    };
    let is_block = entry.page == Entry::BLOCK;
    let is_key = |index: usize| is_block && index + 1 == keypos;
    let fits = object.arity() == elements.len()
        && elements.iter().enumerate().all(|(index, element)| {
            is_key(index) || element.is_immediate() && object.element(index).is_immediate()
        })
        && (!is_block || object.element(keypos - 1).matches(elements[keypos - 1]));
    if fits {
        for (index, &element) in elements.iter().enumerate() {
            if !is_key(index) {
                // SAFETY: the lock is held; the old element and the new one are immediates.
                unsafe { object.set_element(index, element) };
            }
        }
    }
    fits
}

/// Writes one element in place; see [`crate::Table::write_element`].
///
/// # Safety
///
/// As for [`overwrite`].
#[inline]
pub(crate) unsafe fn write_element<T: Term>(
    entry: Entry,
    index: usize,
    keypos: usize,
    change: impl FnOnce(T) -> Option<T>,
) -> Option<T> {
    // SAFETY: the lock is held.
    let object = unsafe { short::<T>(entry) }?;
    if index >= object.arity() || index + 1 == keypos || !object.element(index).is_immediate() {
        return None;
    }
    let element = change(object.element(index)).filter(|element| element.is_immediate())?;
    // SAFETY: the lock is held; the old element and the new one are immediates.
    unsafe { object.set_element(index, element) };
    Some(element)
}

/// Writes the elements of a flat object, for another one.
///
/// # Safety
///
/// `object` is in a slab and has as many elements; they are immediates; the lock of the leaf is held.
#[inline]
pub(crate) unsafe fn write_flat<T: Term>(object: T, elements: &[T]) {
    for (index, &element) in elements.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { object.set_element(index, element) };
    }
}
