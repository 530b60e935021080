//! The objects of one key in a locked leaf, for both kinds of body.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_epoch::Guard;
use smallvec::SmallVec;

use super::locked::Locked;
use super::{Body, Context, Entry, Probe, collect, take_run};
use crate::discard::defer_discard;
use crate::lock::{Intact, Torn};
use crate::object;
use crate::objects::Objects;
use crate::page::Source;
use crate::run::Run;
use crate::term::Term;
use crate::usage::Usage;

/// The objects of one key in a locked leaf.
pub(crate) struct Group<'l, 'a, 'g, T: Term, B: Body<T>> {
    locked: &'l mut Locked<'a, T, B>,
    slots: Range<usize>,
    probe: B::Probe,
    context: Context<'l>,
    guard: &'g Guard,
}

/// The leaf has no room for one entry more.
pub(crate) struct Full;

impl<'l, 'a, 'g, T: Term, B: Body<T>> Group<'l, 'a, 'g, T, B> {
    #[inline(always)]
    pub(super) fn of(
        locked: &'l mut Locked<'a, T, B>,
        probe: B::Probe,
        context: Context<'l>,
        guard: &'g Guard,
    ) -> Self {
        let body = locked.body(guard);
        let slots = body.group(&probe, context.keypos, Intact::LOCKED, guard);
        let slots = slots.unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"));
        Group {
            locked,
            slots,
            probe,
            context,
            guard,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.body().has_room(self.body().len() + 1)
    }

    pub fn objects(&self) -> Objects<'g, T> {
        let (body, slots) = (self.body(), self.slots.clone());
        let mut objects = Objects::none();
        collect(body, slots, Intact::LOCKED, self.guard, &mut objects)
            .unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"));
        objects
    }

    /// The one object of a key that can have no other.
    pub fn only(&self) -> Option<T> {
        // SAFETY: the lock is held, and where keys are unique entries are objects.
        self.entries()
            .next()
            .map(|entry| unsafe { T::from_word(entry.word) })
    }

    /// Whether an object that matches is there.
    pub fn contains(&self, object: T) -> bool {
        match self.run() {
            Some(run) => run.contains(object, self.guard),
            None => self
                .entries()
                // SAFETY: the lock is held, and entries outside runs are objects.
                .any(|entry| unsafe { T::from_word(entry.word) }.matches(object)),
        }
    }

    /// Puts an object behind the others.
    pub fn push(&mut self, source: Source<'_, T>) -> Result<(), Full> {
        let bounds = self.context.bounds;
        if self.slots.len() >= bounds.run {
            self.turn_into_run();
        }
        if let Some(run) = self.run_to_change() {
            run.push(source, self.usage(), bounds, self.guard);
        } else {
            let (body, at) = (self.body(), self.slots.end);
            if !body.has_room(body.len() + 1) {
                return Err(Full);
            }
            let (entry, sparse) = self.locked.put(source, bounds);
            body.insert(at, &self.probe, entry);
            self.slots.end += 1;
            if let Some(sparse) = sparse {
                self.locked.evacuate(sparse, bounds, self.guard);
            }
        }
        self.usage().add_objects(1);
        Ok(())
    }

    /// Replaces the group's one object.
    pub fn replace(&mut self, source: Source<'_, T>) {
        let slot = self.slots.start;
        self.locked
            .replace_slot(slot, source, self.context, self.guard);
    }

    /// Writes an element of the group's one object in place, if it is written so.
    #[inline]
    pub fn write_element(&self, index: usize, change: impl FnOnce(T) -> Option<T>) -> Option<T> {
        let entry = self.entries().next()?;
        // SAFETY: the lock is held.
        unsafe { object::write_element(entry, index, self.context.keypos, change) }
    }

    /// Replaces one object that matches `old`, this very one if it is there. Answers whether there
    /// was one.
    pub fn exchange(&mut self, old: T, source: Source<'_, T>) -> bool {
        if let Some(run) = self.run_to_change() {
            return run.exchange(old, source, self.usage(), self.guard);
        }
        let found = |is_it: &dyn Fn(T) -> bool| {
            self.slots.clone().find(|&slot| {
                let entry = self.body().entry(slot);
                // SAFETY: the lock is held, and entries outside runs are objects.
                entry.is_some_and(|entry| is_it(unsafe { T::from_word(entry.word) }))
            })
        };
        let slot = found(&|there| there.to_word() == old.to_word())
            .or_else(|| found(&|there| there.matches(old)));
        if let Some(slot) = slot {
            self.locked
                .replace_slot(slot, source, self.context, self.guard);
        }
        slot.is_some()
    }

    /// Removes all objects.
    pub fn clear(&mut self) {
        let removed = match self.run() {
            Some(run) => run.len(self.guard),
            None => self.slots.len(),
        };
        while !self.slots.is_empty() {
            self.remove_slot(self.slots.end - 1);
        }
        self.usage().add_objects(-(removed as isize));
        self.shrink();
    }

    /// Removes the objects that match; answers how many.
    pub fn remove(&mut self, object: T) -> usize {
        let removed;
        if let Some(run) = self.run_to_change() {
            let bounds = self.context.bounds;
            removed = run.remove(object, self.usage(), bounds, self.guard);
            if run.len(self.guard) == 0 {
                self.remove_slot(self.slots.start);
            }
        } else {
            // All are found before the first is gone: to look at the caller's object may fail.
            let is_it = |slot: &usize| {
                self.body().entry(*slot).is_some_and(|entry| {
                    // SAFETY: the lock is held, and entries outside runs are objects.
                    unsafe { T::from_word(entry.word) }.matches(object)
                })
            };
            let found: SmallVec<[usize; 16]> = self.slots.clone().filter(is_it).collect();
            removed = found.len();
            for slot in found.into_iter().rev() {
                self.remove_slot(slot);
            }
        }
        self.usage().add_objects(-(removed as isize));
        self.shrink();
        removed
    }

    fn body(&self) -> &'g B {
        self.locked.body(self.guard)
    }

    fn usage(&self) -> &Arc<Usage> {
        // SAFETY: the lock is held; `usage` never changes.
        unsafe { (*self.locked.leaf.storage.get()).usage() }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let body = self.body();
        self.slots.clone().filter_map(|slot| body.entry(slot))
    }

    fn run(&self) -> Option<&'g Run<T>> {
        // SAFETY: the lock is held, so the entry is whole.
        self.entries()
            .next()
            .and_then(|entry| unsafe { entry.run(self.guard) })
    }

    /// The run, in whose place there is another one if it was shared.
    fn run_to_change(&mut self) -> Option<&'g Run<T>> {
        let run = self.run().filter(|run| run.is_shared());
        if let Some(shared) = run
            && let Some(entry) = self.entries().next()
        {
            let run = Entry::of_run(shared.replacement(self.guard));
            self.body().set(self.slots.start, run);
            // SAFETY: the entry had a share of the run and is gone but for readers that hold a guard now.
            unsafe { defer_discard(self.guard, take_run::<T>(entry), 0) };
        }
        self.run()
    }

    fn turn_into_run(&mut self) {
        // SAFETY: the lock is held, and entries outside runs are objects.
        let objects = self
            .entries()
            .map(|entry| unsafe { T::from_word(entry.word) });
        let objects: SmallVec<[T; 16]> = objects.collect();
        let key = self.probe.key();
        let run = Run::new(key, &objects, self.usage(), self.context.bounds);
        while self.slots.len() > 1 {
            self.remove_slot(self.slots.end - 1);
        }
        let slot = self.slots.start;
        let Some(old) = self.body().entry(slot) else {
            return;
        };
        self.body().set(slot, Entry::of_run(run));
        self.locked.forget(old, self.context, self.guard);
    }

    fn remove_slot(&mut self, slot: usize) {
        self.locked.remove_slot(slot, self.context, self.guard);
        self.slots.end -= 1;
    }

    fn shrink(&mut self) {
        self.locked.shrink(self.context, self.guard);
        // Slots have moved.
        self.slots = 0..0;
    }
}
