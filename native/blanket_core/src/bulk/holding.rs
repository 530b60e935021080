//! The leaves of a list insert, locked, and how objects are put there.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_epoch::Guard;
use smallvec::{SmallVec, smallvec};

use super::item::ItemOf;
use crate::directory::{Directory, LeafOf, LockedOf, ProbeOf};
use crate::leaf::{Body, Full};
use crate::lock::{Contended, Intact, Torn};
use crate::table::{Kind, Shape, Store};
use crate::term::Term;

/// Sorted pieces of a list, one behind the other; none is empty.
pub(super) type Pieces<'a, T, D> = SmallVec<[&'a [ItemOf<T, D>]; 4]>;

/// Leaves that are locked, in their order.
pub(super) struct Holding<T: Term, D: Directory<T>> {
    store: Arc<Store<T>>,
    directory: *const D,
    leaves: Vec<*const LeafOf<T, D>>,
    /// The leaf that is at work.
    at: usize,
    /// The slots that what is coming takes in it, when it may be changed and has been split for that.
    coming: Option<usize>,
    /// When the change happens, as far as snapshots are concerned; known when all leaves are locked.
    instant: u64,
}

// SAFETY: the pointers lead into the store, which is held here and may be used on any thread.
unsafe impl<T: Term, D: Directory<T>> Send for Holding<T, D> {}
// SAFETY: as above; a shared reference gives access to nothing.
unsafe impl<T: Term, D: Directory<T>> Sync for Holding<T, D> {}

/// Objects that are put in a leaf one by one before another look at what is coming.
const FEW: usize = 64;

impl<T: Term, D: Directory<T>> Holding<T, D> {
    /// `directory` is the one in `store`.
    pub fn new(store: Arc<Store<T>>, directory: *const D) -> Self {
        Holding {
            store,
            directory,
            leaves: Vec::new(),
            at: 0,
            coming: None,
            instant: 0,
        }
    }

    pub fn shape(&self) -> &Shape {
        &self.store.shape
    }

    /// More items than one leaf can take.
    pub fn most(&self) -> usize {
        2 * self.shape().bounds.hash_leaf
    }

    fn directory(&self) -> &D {
        // SAFETY: the directory is part of the store, which is held.
        unsafe { &*self.directory }
    }

    /// A leaf that is held.
    fn adopt(&self, at: usize) -> ManuallyDrop<LockedOf<'_, T, D>> {
        // SAFETY: the store keeps the leaf: a leaf is removed only under its lock, which is held
        // here; `ManuallyDrop` leaves it held.
        ManuallyDrop::new(unsafe { (*self.leaves[at]).adopt() })
    }

    fn body<'g>(&self, at: usize, guard: &'g Guard) -> &'g D::Body {
        self.adopt(at).body(guard)
    }

    fn probe(&self, item: &ItemOf<T, D>) -> ProbeOf<T, D> {
        item.probe::<D>(self.shape().keypos)
    }

    /// How many of `items` are in a leaf that is held. It has the first of them, or none.
    fn covered(&self, at: usize, items: &[ItemOf<T, D>], guard: &Guard) -> usize {
        let body = self.body(at, guard);
        let covers = |item: &ItemOf<T, D>| body.covers(&self.probe(item));
        match items {
            [.., last] if covers(last) => items.len(),
            _ => items.partition_point(covers),
        }
    }

    /// Locks the leaf of the first item, if it is not the one locked last; answers how many of the
    /// items it has. Items come in the order of the leaves, so two list inserts never wait for each
    /// other in a circle.
    pub fn lock(&mut self, items: &[ItemOf<T, D>], guard: &Guard) -> Result<usize, Contended> {
        let probe = self.probe(&items[0]);
        let last = self.leaves.len().checked_sub(1);
        if let Some(last) = last.filter(|&last| self.body(last, guard).covers(&probe)) {
            return Ok(self.covered(last, items, guard));
        }
        loop {
            let locked = self.directory().leaf(&probe, guard).lock()?;
            if !locked.body(guard).covers(&probe) {
                continue;
            }
            let leaf: *const _ = locked.keep();
            self.leaves.push(leaf);
            return Ok(self.covered(self.leaves.len() - 1, items, guard));
        }
    }

    /// Whether the item's key is there already.
    pub fn is_there(&mut self, item: &ItemOf<T, D>, guard: &Guard) -> bool {
        let probe = self.probe(item);
        self.go_to(&probe, guard);
        !self
            .group(self.body(self.at, guard), &probe, guard)
            .is_empty()
    }

    fn group(&self, body: &D::Body, probe: &ProbeOf<T, D>, guard: &Guard) -> Range<usize> {
        let slots = body.group(probe, self.shape().keypos, Intact::LOCKED, guard);
        slots.unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"))
    }

    /// All leaves are locked: the change happens now.
    pub fn begin(&mut self) {
        self.at = 0;
        self.coming = None;
        self.instant = self.directory().snapshots().instant();
    }

    /// Puts the first item in its leaf.
    pub fn put_first(&mut self, items: &[ItemOf<T, D>], guard: &Guard) {
        self.prepare(&smallvec![items], guard);
        self.put_one(&items[0], guard);
    }

    /// Puts some of the first items in their leaf, which is prepared; answers how many.
    pub fn put(&mut self, items: &[ItemOf<T, D>], guard: &Guard) -> usize {
        let coming = &items[..self.covered(self.at, items, guard)];
        if coming.len() > 1 && coming.len() * D::Body::MERGING >= self.body(self.at, guard).len() {
            return self.merge(coming, guard);
        }
        let few = &coming[..coming.len().min(FEW)];
        few.iter().for_each(|item| self.put_one(item, guard));
        few.len()
    }

    fn put_one(&mut self, item: &ItemOf<T, D>, guard: &Guard) {
        let probe = self.probe(item);
        loop {
            self.go_to(&probe, guard);
            let (shape, mut locked) = (self.shape(), self.adopt(self.at));
            let context = shape.context();
            let put = shape.put(&mut locked.group(probe, context, guard), item.source());
            let Err(Full) = put else { return };
            let entries = locked.body(guard).len() + 1;
            if !locked.make_room(entries, context, guard) {
                self.split([item, item], guard);
            }
        }
    }

    /// Puts items in the leaf at work, which has their keys: those that are new in one go, with a new
    /// body. Answers how many it came to: none where the leaf had to be split.
    fn merge(&mut self, coming: &[ItemOf<T, D>], guard: &Guard) -> usize {
        let (context, body) = (self.shape().context(), self.body(self.at, guard));
        let (room, last) = (body.room(context), &coming[coming.len() - 1]);
        if body.len() == 0
            && let Some(behind) = coming.get(room)
            && coming[0].cmp::<D>(behind, context.keypos).is_lt()
        {
            self.split([behind, last], guard);
            return 0;
        }
        let mut new: Vec<(usize, u64, &ItemOf<T, D>)> = Vec::with_capacity(coming.len());
        let mut others = Vec::new();
        let mut large = 0;
        let mut previous: Option<&ItemOf<T, D>> = None;
        for item in coming {
            let probe = self.probe(item);
            let slots = self.group(body, &probe, guard);
            // What comes later under a key is to be put there later.
            let repeats = |last: &ItemOf<T, D>| last.cmp::<D>(item, context.keypos).is_eq();
            if previous.replace(item).is_some_and(repeats) || !slots.is_empty() {
                others.push(item);
            } else if item.source().is_in_page() {
                // Another page may be evacuated for it, which takes the objects that the body has.
                others.push(item);
                large += 1;
            } else if new.len() == room {
                self.split([item, last], guard);
                return 0;
            } else {
                new.push((slots.start, body.head(&probe), item));
            }
        }
        let mut locked = self.adopt(self.at);
        if !new.is_empty() {
            // Items come in the order of the slots: a leaf that grew with each of their pieces would
            // have them crowd together in its front.
            let entries = body.len() + new.len() + large;
            let entries = entries.max(self.coming.unwrap_or(0));
            let put = new.iter().map(|&(slot, head, item)| {
                let (entry, _) = locked.put(item.source(), context.bounds);
                (slot, head, entry)
            });
            let merged = body.merged(put, entries, context);
            locked.replace_body(merged, guard);
            self.store.usage.add_objects(new.len() as isize);
        }
        others
            .into_iter()
            .for_each(|item| self.put_one(item, guard));
        coming.len()
    }

    /// Makes the first item's leaf the one at work, and ready for what is coming. Answers whether it was
    /// frozen for that, which takes its time.
    pub fn prepare(&mut self, pieces: &Pieces<'_, T, D>, guard: &Guard) -> bool {
        self.go_to(&self.probe(&pieces[0][0]), guard);
        if self.coming.is_some() {
            return false;
        }
        let snapshots = self.directory().snapshots();
        let frozen = snapshots.freeze(&mut self.adopt(self.at), self.instant, guard);
        self.coming = Some(self.split_for(pieces, guard));
        frozen
    }

    /// Splits the leaf at work as often as it takes for what is coming, if all of it is new; answers
    /// the slots that this takes.
    fn split_for(&mut self, pieces: &Pieces<'_, T, D>, guard: &Guard) -> usize {
        let first = &pieces[0][0];
        loop {
            let (shape, body) = (self.shape(), self.body(self.at, guard));
            let (mut entries, mut last) = (0, first);
            for items in pieces {
                let coming = &items[..self.covered(self.at, items, guard)];
                entries += slots::<T, D>(shape, coming);
                last = coming.last().unwrap_or(last);
                if coming.len() < items.len() {
                    break;
                }
            }
            let probes = [first, last].map(|item| self.probe(item));
            let context = shape.context();
            if entries <= body.len()
                || !self
                    .directory()
                    .splits_ahead(body, entries, &probes, context)
            {
                return entries;
            }
            self.split([first, last], guard);
            self.go_to(&probes[0], guard);
        }
    }

    /// Splits the leaf at work, which is too small for what comes from one item to the other.
    fn split(&mut self, ends: [&ItemOf<T, D>; 2], guard: &Guard) {
        let (shape, mut locked) = (self.shape(), self.adopt(self.at));
        let probes = ends.map(|item| self.probe(item));
        let directory = self.directory();
        let upper = directory.split(&mut locked, &probes, shape.context(), guard);
        if let Some(leaf) = upper.map(LockedOf::<T, D>::keep) {
            self.leaves.insert(self.at + 1, leaf);
        }
    }

    /// Makes the leaf that has `probe` the one at work.
    fn go_to(&mut self, probe: &ProbeOf<T, D>, guard: &Guard) {
        while !self.body(self.at, guard).covers(probe) {
            self.at += 1;
            self.coming = None;
        }
    }

    /// Lets go of the lock taken last; false when none is left.
    pub fn unlock_one(&mut self) -> bool {
        let Some(last) = self.leaves.len().checked_sub(1) else {
            return false;
        };
        drop(ManuallyDrop::into_inner(self.adopt(last)));
        self.leaves.pop();
        true
    }
}

impl<T: Term, D: Directory<T>> Drop for Holding<T, D> {
    fn drop(&mut self) {
        while self.unlock_one() {}
    }
}

/// The slots that items take in a leaf, if they are all new.
fn slots<T: Term, D: Directory<T>>(shape: &Shape, items: &[ItemOf<T, D>]) -> usize {
    let most = match shape.kind {
        Kind::Set | Kind::OrderedSet => 1,
        Kind::Bag | Kind::DuplicateBag => shape.bounds.run,
    };
    items
        .chunk_by(|one, two| one.has_rank_of(two))
        .map(|group| if group.len() > most { 1 } else { group.len() })
        .sum()
}
