//! Sweeps: changing many objects, each at one instant.
//!
//! A sweep goes on behind a key, as a scan does. It locks a leaf, offers some of its objects, changes
//! those that it is told to, and lets go. The objects of a key that has many are offered without the
//! lock, for they never change, and changed one by one if they are still there.

use std::ops::Range;

use crossbeam_epoch::Guard;

use crate::changes::Sweeping;
use crate::cursor::{Position, Walk};
use crate::directory::{Directory, LockedOf, ProbeOf};
use crate::leaf::{Body, Context, Direction, Probe, key_of};
use crate::lock::{Contended, Intact, Torn};
use crate::object::{Object, Whole};
use crate::objects::ParkedObjects;
use crate::page::Source;
use crate::table::{AnyDirectory, Store, Table, with_directory};
use crate::term::Term;
use crate::usage::Usage;

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<T> {
    Keep,
    Delete,
    /// By an object with the same key.
    Replace(T),
}

/// How far a sweep has come.
pub struct Swept<'g, T: Term> {
    /// Objects that were deleted or replaced.
    pub changed: usize,
    /// Where to go on, be it with the [many](Position::many) objects of a key; `None` at the end.
    pub next: Option<Position<'g, T>>,
}

impl<T: Term> Table<T> {
    /// Offers at least one object from `from` on to `change`, and about `max`. Where a key with many
    /// objects comes next, it ends before them: they are for [`Table::sweep_many`].
    ///
    /// `change` runs under the leaf's lock. What is in the table throughout a sweep is offered exactly
    /// once. `sweeping` is what the sweep has [begun](Table::begin_sweep) with.
    pub fn sweep<'g>(
        &self,
        from: Position<'g, T>,
        max: usize,
        guard: &'g Guard,
        sweeping: &mut Sweeping<T>,
        change: impl FnMut(Object<T>) -> Change<T>,
    ) -> Result<Swept<'g, T>, Contended> {
        let store = self.store(guard);
        with_directory!(store, directory => {
            self.sweeping(store, directory, guard, sweeping, change).sweep(from, max)
        })
    }

    /// Offers the objects of one key; see [`Table::sweep`].
    pub fn sweep_key<'g>(
        &self,
        key: T,
        guard: &'g Guard,
        sweeping: &mut Sweeping<T>,
        change: impl FnMut(Object<T>) -> Change<T>,
    ) -> Result<Swept<'g, T>, Contended> {
        let store = self.store(guard);
        with_directory!(store, directory => {
            self.sweeping(store, directory, guard, sweeping, change).sweep_key(key)
        })
    }

    /// Offers an object of those that a key has many of, the one at `at`. Answers how many objects
    /// were changed: none where it is gone, several where equal ones were deleted with it.
    pub fn sweep_many(
        &self,
        objects: &ParkedObjects<T>,
        at: usize,
        guard: &Guard,
        sweeping: &mut Sweeping<T>,
        change: impl FnOnce(Object<T>) -> Change<T>,
    ) -> Result<usize, Contended> {
        let Some(object) = objects.get(at) else {
            return Ok(0);
        };
        let Some(term) = object.whole().map(Whole::term) else {
            return Ok(0);
        };
        let changed = match change(object) {
            Change::Keep => 0,
            Change::Delete => self.delete_object_unmarked(term, guard)?,
            Change::Replace(new) => usize::from(self.exchange_unmarked(term, new, guard)?),
        };
        if changed > 0 {
            sweeping.changes(key_of(term, self.keypos()));
        }
        Ok(changed)
    }

    fn sweeping<'a, 'g, D, F>(
        &'a self,
        store: &'g Store<T>,
        directory: &'g D,
        guard: &'g Guard,
        sweeping: &'a mut Sweeping<T>,
        change: F,
    ) -> Sweep<'a, 'g, T, D, F> {
        let shape = self.shape();
        Sweep {
            walk: self.walk(directory, Direction::Forward),
            context: shape.context(),
            usage: &store.usage,
            guard,
            sweeping,
            change,
            changed: 0,
            deleted: 0,
        }
    }
}

struct Sweep<'a, 'g, T: Term, D, F> {
    walk: Walk<'g, D>,
    context: Context<'a>,
    usage: &'g Usage,
    guard: &'g Guard,
    sweeping: &'a mut Sweeping<T>,
    change: F,
    changed: usize,
    deleted: isize,
}

impl<T: Term, D, F> Drop for Sweep<'_, '_, T, D, F> {
    /// What was deleted is counted, though `change` should panic.
    fn drop(&mut self) {
        self.usage.add_objects(-self.deleted);
    }
}

impl<'g, T: Term, D, F> Sweep<'_, 'g, T, D, F> {
    fn sweep(mut self, from: Position<'g, T>, max: usize) -> Result<Swept<'g, T>, Contended>
    where
        D: Directory<T>,
        F: FnMut(Object<T>) -> Change<T>,
    {
        let Walk {
            directory, keypos, ..
        } = self.walk;
        let mut seek = self.walk.onward(&from);
        loop {
            let mut locked = directory.leaf_at(&seek, self.guard).lock()?;
            let body = locked.body(self.guard);
            if !body.covers_seek(&seek) {
                continue;
            }
            let mut at = whole(body.seek(&seek, keypos, Intact::LOCKED, self.guard));
            let mut next = None;
            let mut seen = 0;
            let beyond = loop {
                if seen >= max {
                    break None;
                }
                let group = self.walk.group_at(body, at, Intact::LOCKED, self.guard);
                let Some(slots) = whole(group) else {
                    break body.beyond(Direction::Forward);
                };
                if let Some(run) = run_at(body, slots.start, self.guard) {
                    next = next.or(Some(run));
                    break None;
                }
                seen += slots.len();
                let (end, key) = self.offer(&mut locked, slots);
                (at, next) = (end, key.map(Position::after));
            };
            self.finish(locked);
            match beyond {
                Some(beyond) if next.is_none() => seek = beyond,
                _ => {
                    let changed = self.changed;
                    return Ok(Swept { changed, next });
                }
            }
        }
    }

    fn sweep_key(mut self, key: T) -> Result<Swept<'g, T>, Contended>
    where
        D: Directory<T>,
        F: FnMut(Object<T>) -> Change<T>,
    {
        let Walk {
            directory, keypos, ..
        } = self.walk;
        let probe = ProbeOf::<T, D>::of(key);
        loop {
            let mut locked = directory.leaf(&probe, self.guard).lock()?;
            let body = locked.body(self.guard);
            if !body.covers(&probe) {
                continue;
            }
            let slots = whole(body.group(&probe, keypos, Intact::LOCKED, self.guard));
            let next = match slots.is_empty() {
                true => None,
                false => run_at(body, slots.start, self.guard),
            };
            if next.is_none() {
                self.offer(&mut locked, slots);
            }
            self.finish(locked);
            let changed = self.changed;
            return Ok(Swept { changed, next });
        }
    }

    /// Offers the objects in these slots, which are one key's. Answers the slot behind those that
    /// stay, and the key.
    fn offer(
        &mut self,
        locked: &mut LockedOf<'_, T, D>,
        mut slots: Range<usize>,
    ) -> (usize, Option<T>)
    where
        D: Directory<T>,
        F: FnMut(Object<T>) -> Change<T>,
    {
        let (body, guard) = (locked.body(self.guard), self.guard);
        let mut key = None;
        while !slots.is_empty()
            && let Some(entry) = body.entry(slots.start)
        {
            // SAFETY: the lock is held, and the entry is none of a run.
            let object = unsafe { T::from_word(entry.word) };
            key = Some(key_of(object, self.context.keypos));
            // SAFETY: as above.
            let change = (self.change)(unsafe { Object::take(entry) });
            if !matches!(change, Change::Keep) {
                self.sweeping.changes(key_of(object, self.context.keypos));
                self.walk.directory.snapshots().prepare(locked, guard);
            }
            match change {
                Change::Keep => slots.start += 1,
                Change::Delete => {
                    locked.remove_slot(slots.start, self.context, guard);
                    slots.end -= 1;
                    self.deleted += 1;
                    self.changed += 1;
                }
                Change::Replace(new) => {
                    let source = Source::Object(new);
                    locked.replace_slot(slots.start, source, self.context, guard);
                    slots.start += 1;
                    self.changed += 1;
                }
            }
        }
        (slots.end, key)
    }

    fn finish(&self, mut locked: LockedOf<'g, T, D>)
    where
        D: Directory<T>,
    {
        if self.deleted > 0 {
            locked.shrink(self.context, self.guard);
            let directory = self.walk.directory;
            directory.merge(locked, self.context, self.guard);
        }
    }
}

/// The run that a slot leads to, as a position.
fn run_at<'g, T: Term, B: Body<T>>(
    body: &B,
    slot: usize,
    guard: &'g Guard,
) -> Option<Position<'g, T>> {
    // SAFETY: the leaf is locked, so the entry is whole.
    let run = unsafe { body.entry(slot)?.run::<T>(guard) }?;
    Some(Position::run(run.view(guard)))
}

fn whole<R>(read: Result<R, Torn>) -> R {
    read.unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"))
}
