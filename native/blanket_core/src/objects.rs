//! The objects of one key, as they were at one instant.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;

use crate::leaf::Entry;
use crate::object::Object;
use crate::run::RunView;
use crate::term::Term;

/// The objects of one key in the order of their insertion. They are valid while the guard lives
/// that they were read under.
///
/// A reader fills it in place: moving it costs as much as finding an object.
pub struct Objects<'g, T: Term> {
    one: MaybeUninit<Object<T>>,
    held: Held<T>,
    _guard: PhantomData<&'g Guard>,
}

/// Objects of one key that are held without an allocation.
const FEW: usize = 12;

enum Held<T: Term> {
    None,
    /// `one` is there.
    One,
    Few(SmallVec<[Object<T>; FEW]>),
    Run(RunView<T>),
}

impl<'g, T: Term> Objects<'g, T> {
    #[inline(always)]
    pub fn none() -> Self {
        Objects {
            one: MaybeUninit::uninit(),
            held: Held::None,
            _guard: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.held = Held::None;
    }

    /// The only object of a key.
    ///
    /// # Safety
    ///
    /// As for [`Object::take`].
    #[inline(always)]
    pub(crate) unsafe fn take_one(&mut self, entry: Entry) {
        // SAFETY: passed on.
        unsafe { Object::take_into(entry, &mut self.one) };
        self.held = Held::One;
    }

    /// The objects of a key that has several.
    ///
    /// # Safety
    ///
    /// As for [`Object::take`], of each.
    #[inline]
    pub(crate) unsafe fn take_few(&mut self, entries: impl Iterator<Item = Entry>) {
        self.held = Held::Few(SmallVec::new());
        if let Held::Few(few) = &mut self.held {
            // SAFETY: passed on.
            few.extend(entries.map(|entry| unsafe { Object::take(entry) }));
        }
    }

    #[cold]
    pub(crate) fn set_run(&mut self, view: RunView<T>) {
        self.held = Held::Run(view);
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.held {
            Held::None => 0,
            Held::One => 1,
            Held::Few(objects) => objects.len(),
            Held::Run(view) => view.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(self.held, Held::None)
    }

    #[inline]
    pub fn get(&self, at: usize) -> Option<Object<T>> {
        match &self.held {
            Held::None => None,
            // SAFETY: `held` says that it is there.
            Held::One => (at == 0).then(|| unsafe { self.one.assume_init() }),
            Held::Few(objects) => objects.get(at).copied(),
            Held::Run(view) => view.get(at).map(Object::in_arena),
        }
    }

    #[inline]
    pub fn first(&self) -> Option<Object<T>> {
        self.get(0)
    }

    /// The only object of a key that has no other.
    #[inline]
    pub fn only(&self) -> Option<&Object<T>> {
        // SAFETY: `held` says that it is there.
        matches!(self.held, Held::One).then(|| unsafe { self.one.assume_init_ref() })
    }

    pub fn iter(&self) -> impl Iterator<Item = Object<T>> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Keeps the objects beyond the guard. `None` where they are few: those are to be read now.
    pub fn park(&self) -> Option<ParkedObjects<T>> {
        match &self.held {
            Held::Run(view) => Some(ParkedObjects(view.clone())),
            _ => None,
        }
    }
}

/// Many objects of one key, kept alive; they are valid while this lives.
pub struct ParkedObjects<T: Term>(RunView<T>);

impl<T: Term> ParkedObjects<T> {
    pub(crate) fn of(view: RunView<T>) -> Self {
        ParkedObjects(view)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, at: usize) -> Option<Object<T>> {
        self.0.get(at).map(Object::in_arena)
    }
}
