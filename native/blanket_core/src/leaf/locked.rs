//! A leaf whose lock is held: what may be changed in it.

use crossbeam_epoch::{Guard, Owned};

use super::group::Group;
use super::{Body, Context, Entry, Leaf, take_run};
use crate::discard::{WORTH_WAKING, defer_discard, defer_drop};
use crate::lock::Version;
use crate::object;
use crate::page::{PageIndex, Source};
use crate::storage::Storage;
use crate::sync::Ordering;
use crate::table::Bounds;
use crate::term::Term;

/// A leaf whose lock is held.
pub(crate) struct Locked<'a, T: Term, B: Body<T>> {
    pub(super) leaf: &'a Leaf<T, B>,
}

impl<T: Term, B: Body<T>> Drop for Locked<'_, T, B> {
    fn drop(&mut self) {
        self.storage().settle();
        self.leaf.lock.unlock();
    }
}

impl<'a, T: Term, B: Body<T>> Locked<'a, T, B> {
    pub fn body<'g>(&self, guard: &'g Guard) -> &'g B {
        self.leaf.body(guard)
    }

    pub fn storage(&mut self) -> &mut Storage<T> {
        // SAFETY: the lock is held, and `&mut self` is the only way to the storage.
        unsafe { &mut *self.leaf.storage.get() }
    }

    /// Keeps the leaf locked, to be [adopted](Leaf::adopt) later.
    pub fn keep(self) -> *const Leaf<T, B> {
        std::mem::ManuallyDrop::new(self).leaf
    }

    /// Lets go of a leaf that has not been changed since its lock was taken.
    pub fn unlock_unchanged(self) -> Version {
        std::mem::ManuallyDrop::new(self)
            .leaf
            .lock
            .unlock_unchanged()
    }

    pub fn replace_body(&mut self, body: B, guard: &Guard) {
        let bytes = self.body(guard).bytes();
        let change = body.bytes() as isize - bytes as isize;
        self.storage().usage().add_bytes(change);
        let old = self
            .leaf
            .body
            .swap(Owned::new(body), Ordering::AcqRel, guard);
        // SAFETY: the old body, which is not null, is no longer reachable but for readers that hold
        // a guard now.
        unsafe { defer_drop(guard, old.into_owned(), bytes) };
    }

    /// Makes room for that many entries without a split, as far as it can be made; answers whether
    /// there is more than before.
    pub fn make_room(&mut self, entries: usize, context: Context<'_>, guard: &Guard) -> bool {
        match self.body(guard).grown(entries, context) {
            None => false,
            Some(grown) => {
                self.replace_body(grown, guard);
                true
            }
        }
    }

    pub fn group<'l, 'g>(
        &'l mut self,
        probe: B::Probe,
        context: Context<'l>,
        guard: &'g Guard,
    ) -> Group<'l, 'a, 'g, T, B> {
        Group::of(self, probe, context, guard)
    }

    /// Removes the entry in a slot. Others may take its slot; none moves up.
    pub fn remove_slot(&mut self, slot: usize, context: Context<'_>, guard: &Guard) {
        let body = self.body(guard);
        let Some(entry) = body.entry(slot) else {
            return;
        };
        body.remove(slot);
        if entry.page == Entry::RUN {
            // SAFETY: the slot had a share of the run and is gone but for readers that hold a guard now.
            unsafe { defer_discard(guard, take_run::<T>(entry), WORTH_WAKING) };
        } else {
            self.forget(entry, context, guard);
        }
    }

    /// Replaces the object in a slot.
    pub fn replace_slot(
        &mut self,
        slot: usize,
        source: Source<'_, T>,
        context: Context<'_>,
        guard: &Guard,
    ) {
        let body = self.body(guard);
        let Some(old) = body.entry(slot) else { return };
        // SAFETY: the lock is held.
        if unsafe { object::overwrite(old, source.elements(), context.keypos) } {
            return source.discard();
        }
        self.set_slot(slot, source, context, guard);
        self.forget(old, context, guard);
    }

    /// Has a slot lead to a new object in place of what it leads to.
    fn set_slot(
        &mut self,
        slot: usize,
        source: Source<'_, T>,
        context: Context<'_>,
        guard: &Guard,
    ) {
        let (entry, sparse) = self.put(source, context.bounds);
        self.body(guard).set(slot, entry);
        if let Some(sparse) = sparse {
            self.evacuate(sparse, context.bounds, guard);
        }
    }

    /// Puts an object where this leaf's are. The second answer is a page that ought to be evacuated.
    pub fn put(&mut self, source: Source<'_, T>, bounds: &Bounds) -> (Entry, Option<PageIndex>) {
        // SAFETY: the lock is held.
        unsafe { self.storage().put(source, bounds) }
    }

    pub(super) fn forget(&mut self, entry: Entry, context: Context<'_>, guard: &Guard) {
        if let Some(page) = self.storage().forget(entry, guard) {
            self.evacuate(page, context.bounds, guard);
        }
    }

    /// Gives memory back that entries no longer need. Slots may move.
    pub fn shrink(&mut self, context: Context<'_>, guard: &Guard) {
        if let Some(shrunk) = self.body(guard).shrunk() {
            self.replace_body(shrunk, guard);
        }
        if let Some(page) = self.storage().close_if_sparse(context.bounds, guard) {
            self.evacuate(page, context.bounds, guard);
        }
        let slots = self.body(guard).slots();
        if self.storage().has_sparse_slab(slots) {
            self.renew_slab(context.bounds, guard);
        }
    }

    /// Moves this leaf's objects out of a page that is mostly garbage, and so on for pages that
    /// turn out to be so on the way.
    pub(super) fn evacuate(&mut self, index: PageIndex, bounds: &Bounds, guard: &Guard) {
        let mut next = Some(index);
        while let Some(index) = next.take() {
            next = self.move_objects(index, bounds, guard, |locked, entry| {
                locked.storage().forget(entry, guard);
            });
            next = next.filter(|&next| next != index);
        }
    }

    /// Moves the flat objects to a slab with no vacancies.
    pub fn renew_slab(&mut self, bounds: &Bounds, guard: &Guard) {
        if self.storage().has_no_flat() {
            return;
        }
        let old = self.storage().renew_slab();
        self.move_objects(Entry::FLAT, bounds, guard, |_, _| {});
        // SAFETY: all flat entries lead to the new slab now.
        unsafe { old.retire(self.storage().usage(), guard) };
    }

    /// Puts the objects that are in one page, or the flat ones, there again where new objects go;
    /// `moved` is told the entry that led to each. Answers a page that ought to be evacuated.
    fn move_objects(
        &mut self,
        page: PageIndex,
        bounds: &Bounds,
        guard: &Guard,
        mut moved: impl FnMut(&mut Self, Entry),
    ) -> Option<PageIndex> {
        let mut sparse = None;
        let body = self.body(guard);
        for slot in 0..body.slots() {
            let Some(old) = body.entry(slot).filter(|entry| entry.page == page) else {
                continue;
            };
            // SAFETY: the lock is held, so the entry is whole and its object alive.
            let object = unsafe { T::from_word(old.word) };
            let (entry, full) = self.put(Source::Object(object), bounds);
            body.set(slot, entry);
            moved(self, old);
            sparse = sparse.or(full);
        }
        sparse
    }
}
