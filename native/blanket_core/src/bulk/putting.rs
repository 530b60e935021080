//! How the objects of a list are put in their leaves, which are held.

use crossbeam_epoch::Guard;
use smallvec::{SmallVec, smallvec};

use super::item::ItemOf;
use crate::directory::{Directory, ProbeOf};
use crate::holding::{Holding, Placed};
use crate::leaf::Body;
use crate::table::{Kind, Shape};
use crate::term::Term;

/// Sorted pieces of a list, one behind the other; none is empty.
pub(super) type Pieces<'a, T, D> = SmallVec<[&'a [ItemOf<T, D>]; 4]>;

/// Objects that are put in a leaf one by one before another look at what is coming.
const FEW: usize = 64;

impl<T: Term, D: Directory<T>> Holding<T, D> {
    /// More items than one leaf can take.
    pub(super) fn most(&self) -> usize {
        2 * self.shape().bounds.hash_leaf
    }

    fn probe(&self, item: &ItemOf<T, D>) -> ProbeOf<T, D> {
        Placed::<T, D>::probe(item, self.shape().keypos)
    }

    /// Whether the item's key is there already.
    pub(super) fn is_there(&mut self, item: &ItemOf<T, D>, guard: &Guard) -> bool {
        let probe = self.probe(item);
        self.go_to(&probe, guard);
        !self
            .group(self.body_at_work(guard), &probe, guard)
            .is_empty()
    }

    /// Puts the first item in its leaf.
    pub(super) fn put_first(&mut self, items: &[ItemOf<T, D>], guard: &Guard) {
        self.prepare(&smallvec![items], guard);
        self.put_one(&items[0], guard);
    }

    /// Puts some of the first items in their leaf, which is prepared; answers how many.
    pub(super) fn put(&mut self, items: &[ItemOf<T, D>], guard: &Guard) -> usize {
        let coming = &items[..self.covered_at_work(items, guard)];
        let there = self.body_at_work(guard).len();
        if coming.len() > 1 && coming.len() * D::Body::MERGING >= there {
            return self.merge(coming, guard);
        }
        let few = &coming[..coming.len().min(FEW)];
        few.iter().for_each(|item| self.put_one(item, guard));
        few.len()
    }

    fn put_one(&mut self, item: &ItemOf<T, D>, guard: &Guard) {
        let probe = self.probe(item);
        self.edit(&probe, guard, |shape, group| {
            shape.put(group, item.source())
        });
    }

    /// Puts items in the leaf at work, which has their keys: those that are new in one go, with a new
    /// body. Answers how many it came to: none where the leaf had to be split.
    fn merge(&mut self, coming: &[ItemOf<T, D>], guard: &Guard) -> usize {
        let (context, body) = (self.shape().context(), self.body_at_work(guard));
        let (room, last) = (body.room(context), &coming[coming.len() - 1]);
        if body.len() == 0
            && let Some(behind) = coming.get(room)
            && coming[0].cmp::<D>(behind, context.keypos).is_lt()
        {
            self.split([behind, last].map(|item| self.probe(item)), guard);
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
                self.split([item, last].map(|item| self.probe(item)), guard);
                return 0;
            } else {
                new.push((slots.start, body.head(&probe), item));
            }
        }
        if !new.is_empty() {
            let mut locked = self.change();
            // Items come in the order of the slots: a leaf that grew with each of their pieces would
            // have them crowd together in its front.
            let entries = body.len() + new.len() + large;
            let entries = entries.max(self.coming().unwrap_or(0));
            let put = new.iter().map(|&(slot, head, item)| {
                let (entry, _) = locked.put(item.source(), context.bounds);
                (slot, head, entry)
            });
            let merged = body.merged(put, entries, context);
            locked.replace_body(merged, guard);
            self.store().usage.add_objects(new.len() as isize);
        }
        others
            .into_iter()
            .for_each(|item| self.put_one(item, guard));
        coming.len()
    }

    /// Makes the first item's leaf the one at work, and ready for what is coming. Answers whether it was
    /// frozen for that, which takes its time.
    pub(super) fn prepare(&mut self, pieces: &Pieces<'_, T, D>, guard: &Guard) -> bool {
        self.go_to(&self.probe(&pieces[0][0]), guard);
        if self.coming().is_some() {
            return false;
        }
        let frozen = self.freeze(guard);
        let slots = self.split_for(pieces, guard);
        self.set_coming(slots);
        frozen
    }

    /// Splits the leaf at work as often as it takes for what is coming, if all of it is new; answers
    /// the slots that this takes.
    fn split_for(&mut self, pieces: &Pieces<'_, T, D>, guard: &Guard) -> usize {
        let first = &pieces[0][0];
        loop {
            let (shape, body) = (self.shape(), self.body_at_work(guard));
            let (mut entries, mut last) = (0, first);
            for items in pieces {
                let coming = &items[..self.covered_at_work(items, guard)];
                entries += slots::<T, D>(shape, coming);
                last = coming.last().unwrap_or(last);
                if coming.len() < items.len() {
                    break;
                }
            }
            let probes = [first, last].map(|item| self.probe(item));
            let (directory, context) = (self.directory(), shape.context());
            if entries <= body.len() || !directory.splits_ahead(body, entries, &probes, context) {
                return entries;
            }
            self.split(probes, guard);
            self.go_to(&probes[0], guard);
        }
    }
}

/// The slots that items take in a leaf, if they are all new.
fn slots<T: Term, D: Directory<T>>(shape: &Shape<T>, items: &[ItemOf<T, D>]) -> usize {
    let most = match shape.kind {
        Kind::Set | Kind::OrderedSet => 1,
        Kind::Bag | Kind::DuplicateBag => shape.bounds.run,
    };
    items
        .chunk_by(|one, two| one.has_rank_of(two))
        .map(|group| if group.len() > most { 1 } else { group.len() })
        .sum()
}
