//! An object as a reader sees it.
//!
//! Most objects never change: a new version of one is put elsewhere. But a *flat* object, a short
//! tuple of immediates, is overwritten in place. So a reader does not follow the word of such an
//! object but takes its elements along, and uses them only after it saw that the leaf was intact
//! while it read.

use std::mem::MaybeUninit;

use crate::term::Term;

/// An object as it was at one instant; valid while the guard lives that it was read under.
#[derive(Clone, Copy)]
pub struct Object<T> {
    object: T,
    /// Of a flat object, its elements.
    taken: u32,
    elements: [T; MOST],
}

/// The largest arity of a flat object.
const MOST: usize = 6;

impl<T: Term> Object<T> {
    /// For an object that is not written in place.
    #[inline]
    pub(crate) fn fixed(object: T) -> Self {
        Object {
            object,
            taken: 0,
            elements: [object; MOST],
        }
    }

    /// For an object that may be written while it is taken: what came out means nothing then.
    #[inline]
    pub(crate) fn take(object: T) -> Self {
        let mut taken = MaybeUninit::uninit();
        *Self::take_into(object, &mut taken)
    }

    #[inline(always)]
    pub(crate) fn take_into(object: T, place: &mut MaybeUninit<Self>) -> &mut Self {
        let taken = place.write(Self::fixed(object));
        let arity = object.arity();
        if arity <= MOST {
            let mut flat = true;
            for (index, place) in taken.elements[..arity].iter_mut().enumerate() {
                let element = object.element(index);
                flat &= element.is_immediate();
                *place = element;
            }
            if flat {
                taken.taken = arity as u32;
            }
        }
        taken
    }

    #[inline]
    pub fn elements(&self) -> &[T] {
        match self.taken {
            0 => self.object.elements(),
            taken => &self.elements[..taken as usize],
        }
    }

    /// The object itself; `None` where it is flat, and may be something else by now.
    #[inline]
    pub fn whole(&self) -> Option<T> {
        (self.taken == 0).then_some(self.object)
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
