//! The objects of one key, as they were at one instant.

use std::marker::PhantomData;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;

use crate::run::RunView;
use crate::term::Term;

/// The objects of one key in the order of their insertion. They are valid while the guard lives
/// that they were read under.
pub struct Objects<'g, T: Term> {
    held: Held<T>,
    _guard: PhantomData<&'g Guard>,
}

#[derive(Clone)]
enum Held<T: Term> {
    Few(SmallVec<[T; 1]>),
    Run(RunView<T>),
}

impl<'g, T: Term> Objects<'g, T> {
    pub(crate) fn none() -> Self {
        Self::holding(Held::Few(SmallVec::new()))
    }

    pub(crate) fn run(view: RunView<T>) -> Self {
        Self::holding(Held::Run(view))
    }

    pub(crate) fn push(&mut self, object: T) {
        if let Held::Few(objects) = &mut self.held {
            objects.push(object);
        }
    }

    fn holding(held: Held<T>) -> Self {
        Objects {
            held,
            _guard: PhantomData,
        }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, at: usize) -> Option<T> {
        self.held.get(at)
    }

    pub fn first(&self) -> Option<T> {
        self.get(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Keeps the objects beyond the guard. `None` where they are few: those are to be read now.
    pub fn park(&self) -> Option<ParkedObjects<T>> {
        match &self.held {
            Held::Few(_) => None,
            Held::Run(view) => Some(ParkedObjects(view.clone())),
        }
    }
}

impl<T: Term> Held<T> {
    fn len(&self) -> usize {
        match self {
            Held::Few(objects) => objects.len(),
            Held::Run(view) => view.len(),
        }
    }

    fn get(&self, at: usize) -> Option<T> {
        match self {
            Held::Few(objects) => objects.get(at).copied(),
            Held::Run(view) => view.get(at),
        }
    }
}

/// Many objects of one key, kept alive; they are valid while this lives.
pub struct ParkedObjects<T: Term>(RunView<T>);

impl<T: Term> ParkedObjects<T> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, at: usize) -> Option<T> {
        self.0.get(at)
    }
}
