//! Leaves of a directory that are locked together, and how they are changed: for list inserts and for
//! the commits of transactions.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_epoch::{Guard, pin};
use smallvec::SmallVec;

use crate::changes::Together;
use crate::directory::{Directory, HeldDirectory, LeafOf, LockedOf, ProbeOf};
use crate::leaf::{Body, Full, Group, collect};
use crate::lock::{Contended, Intact, Torn};
use crate::objects::Objects;
use crate::table::{Shape, Store};
use crate::term::Term;

/// What has its place in a leaf.
pub(crate) trait Placed<T: Term, D: Directory<T>> {
    fn probe(&self, keypos: usize) -> ProbeOf<T, D>;
}

/// Leaves that are locked, in their order.
pub(crate) struct Holding<T: Term, D: Directory<T>> {
    directory: HeldDirectory<T, D>,
    leaves: SmallVec<[HeldLeaf<T, D>; 2]>,
    /// How many of the first have been let go of.
    free: usize,
    /// The leaf that is at work.
    at: usize,
    /// When the change happens, as far as snapshots are concerned; known when all leaves are locked.
    instant: u64,
}

// SAFETY: the pointers of the leaves lead into the store, which is held and may be used on any thread.
unsafe impl<T: Term, D: Directory<T>> Send for Holding<T, D> {}

struct HeldLeaf<T: Term, D: Directory<T>> {
    leaf: *const LeafOf<T, D>,
    state: Cell<State>,
    /// The slots that what is coming takes in it, where it has been made ready for that.
    coming: Option<usize>,
}

/// What has been done to a leaf since its lock was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unchanged,
    Changed,
    /// It has fewer entries than before: it may be joined to another.
    Thinned,
}

impl<T: Term, D: Directory<T>> HeldLeaf<T, D> {
    fn new(leaf: *const LeafOf<T, D>, state: State) -> Self {
        HeldLeaf {
            leaf,
            state: Cell::new(state),
            coming: None,
        }
    }
}

impl<T: Term, D: Directory<T>> Holding<T, D> {
    /// `directory` is the one in `store`.
    pub fn new(store: Arc<Store<T>>, directory: *const D) -> Self {
        Self::of(HeldDirectory::new(store, directory))
    }

    pub fn of(directory: HeldDirectory<T, D>) -> Self {
        Holding {
            directory,
            leaves: SmallVec::new(),
            free: 0,
            at: 0,
            instant: 0,
        }
    }

    pub fn store(&self) -> &Store<T> {
        self.directory.store()
    }

    pub fn shape(&self) -> &Shape<T> {
        &self.store().shape
    }

    pub fn directory(&self) -> &D {
        &self.directory
    }

    /// Locks the leaf of the first item, if it is not the one locked last; answers how many of the
    /// items it has. Items come in the order of the leaves, so two who hold leaves never wait for each
    /// other in a circle.
    pub fn lock<I>(&mut self, items: &[I], guard: &Guard) -> Result<usize, Contended>
    where
        I: Placed<T, D>,
    {
        let probe = items[0].probe(self.shape().keypos);
        let last = self.leaves.len().checked_sub(1);
        if let Some(last) = last.filter(|&last| self.body(last, guard).covers(&probe)) {
            return Ok(self.covered(last, items, guard));
        }
        loop {
            let locked = self.directory.leaf(&probe, guard).lock()?;
            if !locked.body(guard).covers(&probe) {
                continue;
            }
            let leaf: *const _ = locked.keep();
            self.leaves.push(HeldLeaf::new(leaf, State::Unchanged));
            return Ok(self.covered(self.leaves.len() - 1, items, guard));
        }
    }

    /// How many of `items` are in a leaf that is held. It has the first of them, or none.
    fn covered<I>(&self, at: usize, items: &[I], guard: &Guard) -> usize
    where
        I: Placed<T, D>,
    {
        let (body, keypos) = (self.body(at, guard), self.shape().keypos);
        let covers = |item: &I| body.covers(&item.probe(keypos));
        match items {
            [.., last] if covers(last) => items.len(),
            _ => items.partition_point(covers),
        }
    }

    /// The same for the leaf at work.
    pub fn covered_at_work<I>(&self, items: &[I], guard: &Guard) -> usize
    where
        I: Placed<T, D>,
    {
        self.covered(self.at, items, guard)
    }

    /// A leaf that is held.
    fn adopt(&self, at: usize) -> ManuallyDrop<LockedOf<'_, T, D>> {
        // SAFETY: the store keeps the leaf: a leaf is removed only under its lock, which is held
        // here; `ManuallyDrop` leaves it held.
        ManuallyDrop::new(unsafe { (*self.leaves[at].leaf).adopt() })
    }

    fn body<'g>(&self, at: usize, guard: &'g Guard) -> &'g D::Body {
        self.adopt(at).body(guard)
    }

    pub fn body_at_work<'g>(&self, guard: &'g Guard) -> &'g D::Body {
        self.body(self.at, guard)
    }

    /// The leaf at work, to be changed.
    pub fn change(&self) -> ManuallyDrop<LockedOf<'_, T, D>> {
        self.mark(State::Changed);
        self.adopt(self.at)
    }

    fn mark(&self, state: State) {
        let there = &self.leaves[self.at].state;
        if there.get() != State::Thinned {
            there.set(state);
        }
    }

    /// Makes the leaf that has `probe` the one at work.
    pub fn go_to(&mut self, probe: &ProbeOf<T, D>, guard: &Guard) {
        while !self.body(self.at, guard).covers(probe) {
            self.at += 1;
        }
    }

    /// The slots of a key in the body of a leaf that is held.
    pub fn group(&self, body: &D::Body, probe: &ProbeOf<T, D>, guard: &Guard) -> Range<usize> {
        let slots = body.group(probe, self.shape().keypos, Intact::LOCKED, guard);
        slots.unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"))
    }

    /// The objects of a key, which does not come before those that were asked for.
    pub fn objects<'g>(&mut self, probe: &ProbeOf<T, D>, guard: &'g Guard) -> Objects<'g, T> {
        self.go_to(probe, guard);
        let body = self.body_at_work(guard);
        let slots = self.group(body, probe, guard);
        let mut objects = Objects::none();
        collect(body, slots, Intact::LOCKED, guard, &mut objects)
            .unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"));
        objects
    }

    /// Whether a key, which does not come before those that were asked for, has no object.
    pub fn is_vacant(&mut self, probe: &ProbeOf<T, D>, guard: &Guard) -> bool {
        self.go_to(probe, guard);
        self.group(self.body_at_work(guard), probe, guard)
            .is_empty()
    }

    /// The leaves that are held, in the order of their addresses.
    pub fn sorted_leaves(&self) -> Vec<*const LeafOf<T, D>> {
        let mut leaves: Vec<_> = self.leaves.iter().map(|held| held.leaf).collect();
        leaves.sort_unstable();
        leaves
    }

    /// All leaves are locked: the change of these keys happens now.
    pub fn begin(&mut self, keys: impl FnOnce() -> Together<T>) {
        let snapshots = self.directory.snapshots();
        let instant = match self.shape().changes() {
            None => snapshots.instant(),
            Some(changes) => changes.mark_together(&keys(), || snapshots.instant()),
        };
        self.begin_at(instant);
    }

    /// The same, of a change of several tables, when the clock was read: see
    /// [`crate::snapshot::Snapshots::instant_by`].
    pub fn begin_by(&mut self, clock: u64) {
        self.begin_at(self.directory.snapshots().instant_by(clock));
    }

    fn begin_at(&mut self, instant: u64) {
        self.at = 0;
        self.instant = instant;
    }

    /// Sets the leaf at work aside for the snapshots that see it as it is; answers whether there are any.
    pub fn freeze(&self, guard: &Guard) -> bool {
        let snapshots = self.directory.snapshots();
        snapshots.freeze(&mut self.adopt(self.at), self.instant, guard)
    }

    /// Changes the objects of a key, which does not come before those that were changed; `change` is
    /// called again where it found the leaf full.
    pub fn edit(
        &mut self,
        probe: &ProbeOf<T, D>,
        guard: &Guard,
        mut change: impl FnMut(&Shape<T>, &mut Group<'_, '_, '_, T, D::Body>) -> Result<(), Full>,
    ) {
        loop {
            self.go_to(probe, guard);
            self.freeze(guard);
            let (shape, mut locked) = (self.shape(), self.change());
            let context = shape.context();
            let before = locked.body(guard).len();
            match change(shape, &mut locked.group(*probe, context, guard)) {
                Ok(()) if locked.body(guard).len() < before => return self.mark(State::Thinned),
                Ok(()) => return,
                Err(Full) => {
                    if !locked.make_room(before + 1, context, guard) {
                        self.split([*probe; 2], guard);
                    }
                }
            }
        }
    }

    /// Splits the leaf at work, which is too small for what comes from one key to the other.
    pub fn split(&mut self, ends: [ProbeOf<T, D>; 2], guard: &Guard) {
        let (shape, mut locked) = (self.shape(), self.change());
        let upper = { &*self.directory }.split(&mut locked, &ends, shape.context(), guard);
        if let Some(leaf) = upper.map(LockedOf::<T, D>::keep) {
            let upper = HeldLeaf::new(leaf, State::Changed);
            self.leaves.insert(self.at + 1, upper);
        }
    }

    /// The slots that what is coming takes in the leaf at work; `None` where that was not looked at.
    pub fn coming(&self) -> Option<usize> {
        self.leaves[self.at].coming
    }

    pub fn set_coming(&mut self, slots: usize) {
        self.leaves[self.at].coming = Some(slots);
    }

    /// Lets go of the first leaf, which may be joined to the one below: that is free by now. False when
    /// none is left.
    pub fn unlock_one(&mut self) -> bool {
        let Some(first) = self.leaves.get(self.free) else {
            return false;
        };
        let state = first.state.get();
        self.free += 1;
        let locked = ManuallyDrop::into_inner(self.adopt(self.free - 1));
        match state {
            State::Unchanged => {
                locked.unlock_unchanged();
            }
            State::Changed => drop(locked),
            State::Thinned => {
                let context = self.shape().context();
                self.directory.merge(locked, context, &pin());
            }
        }
        true
    }
}

impl<T: Term, D: Directory<T>> Drop for Holding<T, D> {
    fn drop(&mut self) {
        while self.unlock_one() {}
    }
}
