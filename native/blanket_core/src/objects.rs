//! The objects of one key, as they were at one instant.

use std::marker::PhantomData;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;

use crate::object::Object;
use crate::run::RunView;
use crate::term::Term;

/// The objects of one key in the order of their insertion. They are valid while the guard lives
/// that they were read under.
pub struct Objects<'g, T: Term> {
    held: Held<T>,
    _guard: PhantomData<&'g Guard>,
}

enum Held<T: Term> {
    None,
    One(Object<T>),
    Few(SmallVec<[T; 6]>),
    Run(RunView<T>),
}

impl<'g, T: Term> Objects<'g, T> {
    #[inline]
    pub(crate) fn none() -> Self {
        Self::holding(Held::None)
    }

    #[inline]
    pub(crate) fn one(object: Object<T>) -> Self {
        Self::holding(Held::One(object))
    }

    /// The objects of a key that has several; such are not written in place.
    pub(crate) fn few(objects: impl Iterator<Item = T>) -> Self {
        Self::holding(Held::Few(objects.collect()))
    }

    pub(crate) fn run(view: RunView<T>) -> Self {
        Self::holding(Held::Run(view))
    }

    #[inline]
    fn holding(held: Held<T>) -> Self {
        Objects {
            held,
            _guard: PhantomData,
        }
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.held {
            Held::None => 0,
            Held::One(_) => 1,
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
            Held::One(object) => (at == 0).then_some(*object),
            Held::Few(objects) => objects.get(at).map(|&object| Object::fixed(object)),
            Held::Run(view) => view.get(at).map(Object::fixed),
        }
    }

    #[inline]
    pub fn first(&self) -> Option<Object<T>> {
        self.get(0)
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
        self.0.get(at).map(Object::fixed)
    }
}
