//! Transactions: reads of many keys, in several tables, and changes that are made at one instant if what
//! was read is still there then.
//!
//! A transaction takes no lock before its commit. What it has read it brings along: what it found under
//! keys, and by [watches](Table::watch) the versions of the leaves that it went over. A commit
//!
//! 1. locks the leaves of all keys that were read or are to be changed: table by table, in the order of
//!    their stores' numbers, and in a table in the order of the leaves. A list insert takes its locks
//!    in the same order; so nobody waits in a circle;
//! 2. sees whether the tables still have these stores, the keys the objects that were read, and the
//!    leaves that were gone over their versions, with nobody else about to change them. All of that is
//!    then true of the instant at which the last lock was taken, for it has not changed since: a
//!    leaf whose version is the same was neither changed nor split nor joined, and no key has come to
//!    it. It is as if the transaction had happened as a whole at that instant;
//! 3. makes the changes;
//! 4. lets go of the locks; of leaves that were not changed such that they have their version again.
//!
//! Two transactions of which each changes what the other one went over cannot both miss that: each has
//! taken its locks before it looks at the other's versions.
//!
//! A snapshot has a commit as a whole or not at all: the clock is looked at when all locks are taken, for
//! all tables, and then what is changed is frozen for those snapshots whose instant came before. A table
//! that is emptied gets another store: who found the former one still in its place comes before that.

mod watch;

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_epoch::{Guard, pin};
use smallvec::SmallVec;

use crate::changes::{Changes, Together};
use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::directory::{Directory, HeldDirectory, ProbeOf};
use crate::holding::{Holding, Placed};
use crate::leaf::{Probe, key_of};
use crate::lock::Contended;
use crate::object::Object;
use crate::objects::Objects;
use crate::page::Source;
use crate::snapshot;
use crate::sync::{Ordering as Memory, fence};
use crate::table::{AnyDirectory, Store, Table, read_only};
use crate::term::Term;
pub(crate) use watch::{HashWatch, OrderedWatch, Watch};

/// What was read under a key.
#[derive(Clone, Debug)]
pub enum Expected<T> {
    /// Some object, or several.
    Any,
    /// These objects, in their order, and no others.
    Objects(SmallVec<[T; 1]>),
}

/// What is done to a key.
#[derive(Clone, Copy, Debug)]
pub enum Operation<T> {
    /// As [`Table::insert`].
    Insert(T),
    /// As [`Table::delete_object`].
    DeleteObject(T),
    /// As [`Table::delete`].
    Delete(T),
}

/// What a transaction has read, its *read set*, and is going to change, its *write set*. The terms are the
/// caller's.
///
/// Should an operation on one of them panic when the first change is made, then the rest is done while the
/// panic goes on, but for what fails again.
pub struct Commit<'a, T: Term> {
    parts: SmallVec<[Part<'a, T>; 1]>,
    /// The part and the entry that come next, while changes are made.
    at: Option<(usize, usize)>,
}

struct Part<'a, T: Term> {
    table: &'a Table<T>,
    entries: AnyEntries<T>,
}

enum AnyEntries<T: Term> {
    Hash(Entries<T, HashDirectory<T>>),
    Ordered(Entries<T, OrderedDirectory<T>>),
}

macro_rules! with_entries {
    ($any:expr, $entries:ident => $body:expr) => {
        match $any {
            AnyEntries::Hash($entries) => $body,
            AnyEntries::Ordered($entries) => $body,
        }
    };
}

/// Keys that are locked, looked at, or changed under one guard.
const PORTION: usize = 256;

impl<'a, T: Term> Commit<'a, T> {
    pub fn new() -> Self {
        Commit {
            parts: SmallVec::new(),
            at: None,
        }
    }

    /// Takes in a table, which is no snapshot, and of which so many things are going to be said; answers
    /// its number. `'a` is not longer than the guard.
    pub fn table(&mut self, table: &'a Table<T>, things: usize, guard: &'a Guard) -> usize {
        let store = table.store(guard);
        // SAFETY: the guard keeps the store for `'a`.
        let entries = unsafe {
            match &store.directory {
                AnyDirectory::Hash(directory) => {
                    AnyEntries::Hash(Entries::of(HeldDirectory::lent(store, directory), things))
                }
                AnyDirectory::Ordered(directory) => AnyEntries::Ordered(Entries::of(
                    HeldDirectory::lent(store, &**directory),
                    things,
                )),
                _ => read_only(),
            }
        };
        self.add(table, entries)
    }

    /// The same for a commit that takes its time, and holds no guard.
    pub fn table_for_long(&mut self, table: &'a Table<T>, things: usize) -> usize {
        let store = table.hold_store(&pin());
        let entries = match &store.directory {
            AnyDirectory::Hash(directory) => {
                let directory: *const _ = directory;
                let directory = HeldDirectory::new(store, directory);
                AnyEntries::Hash(Entries::of(directory, things))
            }
            AnyDirectory::Ordered(directory) => {
                let directory: *const _ = &**directory;
                let directory = HeldDirectory::new(store, directory);
                AnyEntries::Ordered(Entries::of(directory, things))
            }
            _ => read_only(),
        };
        self.add(table, entries)
    }

    fn add(&mut self, table: &'a Table<T>, entries: AnyEntries<T>) -> usize {
        let number = self.parts.len();
        self.parts.push(Part { table, entries });
        number
    }

    /// This was read under a key of the table of that number: it belongs to the read set.
    pub fn expect(&mut self, number: usize, key: T, expected: Expected<T>) {
        with_entries!(&mut self.parts[number].entries, entries => {
            entries.push(key, Action::Expect(expected))
        })
    }

    /// This is to be done in the table of that number, after what else is to be done to the key: it belongs to the
    /// write set.
    pub fn change(&mut self, number: usize, operation: Operation<T>) {
        let keypos = self.parts[number].table.keypos();
        let key = match operation {
            Operation::Insert(object) | Operation::DeleteObject(object) => key_of(object, keypos),
            Operation::Delete(key) => key,
        };
        with_entries!(&mut self.parts[number].entries, entries => {
            entries.push(key, Action::Change(operation))
        })
    }

    /// What `watch`, one of the table of that number, has shown was read. False where it is none, or
    /// has been cleared.
    pub fn unchanged(&mut self, number: usize, watch: &Table<T>, guard: &Guard) -> bool {
        let store = watch.hold_store(guard);
        match (&mut self.parts[number].entries, &store.directory) {
            (AnyEntries::Hash(entries), AnyDirectory::HashWatch(watch)) => {
                let watch: *const _ = watch;
                entries.watches.push(HeldDirectory::new(store, watch));
            }
            (AnyEntries::Ordered(entries), AnyDirectory::OrderedWatch(watch)) => {
                let watch: *const _ = watch;
                entries.watches.push(HeldDirectory::new(store, watch));
            }
            _ => return false,
        }
        true
    }

    /// Makes the changes, if all that was read is still there; answers whether it was. Where a leaf stays
    /// locked for long, it asks `wait`, which waits and answers `true`, or else ends the commit: nothing has
    /// happened then.
    pub fn run(mut self, mut wait: impl FnMut() -> bool) -> Result<bool, Contended> {
        self.parts
            .sort_unstable_by_key(|part| part.entries.store().number);
        for part in &mut self.parts {
            with_entries!(&mut part.entries, entries => entries.lock(&mut wait)?);
        }
        // Whoever has emptied a table, or taken a lock, before these locks were taken is seen now.
        fence(Memory::SeqCst);
        let clock = self.mark();
        if !self.parts.iter_mut().all(Part::is_as_it_was) {
            return Ok(false);
        }
        for part in &mut self.parts {
            with_entries!(&mut part.entries, entries => entries.holding.begin_by(clock));
        }
        self.at = Some((0, 0));
        while self.change_some() {}
        Ok(true)
    }

    /// Marks the keys that are going to change, where changes are recorded; answers what the clock was
    /// meanwhile.
    fn mark(&self) -> u64 {
        let marks: SmallVec<[_; 1]> = self.parts.iter().filter_map(Part::marks).collect();
        loop {
            let number = snapshot::clock();
            for (changes, keys) in &marks {
                changes.mark_together_at(keys, number);
            }
            if marks.is_empty() || snapshot::clock() == number {
                return number;
            }
        }
    }

    /// Makes some of the changes; false when all are made.
    fn change_some(&mut self) -> bool {
        let Some((number, at)) = &mut self.at else {
            return false;
        };
        let Some(part) = self.parts.get_mut(*number) else {
            self.at = None;
            return false;
        };
        let more = with_entries!(&mut part.entries, entries => entries.change_some(at));
        if !more {
            self.at = Some((*number + 1, 0));
        }
        true
    }
}

impl<T: Term> Default for Commit<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Term> Drop for Commit<'_, T> {
    fn drop(&mut self) {
        while let Some(before) = self.at {
            let changed = catch_unwind(AssertUnwindSafe(|| self.change_some()));
            if changed.is_err() && self.at == Some(before) {
                self.at = Some((before.0, before.1 + 1));
            }
        }
    }
}

impl<T: Term> Part<'_, T> {
    fn marks(&self) -> Option<(&Changes<T>, Together<T>)> {
        let changes = self.table.shape().changes()?;
        let keys = with_entries!(&self.entries, entries => Together::of(entries.changed()));
        Some((changes, keys))
    }

    fn is_as_it_was(&mut self) -> bool {
        let is_store = std::ptr::eq(self.table.store(&pin()), self.entries.store());
        is_store && with_entries!(&mut self.entries, entries => entries.are_as_they_were())
    }
}

impl<T: Term> AnyEntries<T> {
    fn store(&self) -> &Store<T> {
        with_entries!(self, entries => entries.holding.store())
    }
}

/// What a transaction has to do with one table.
struct Entries<T: Term, D: Directory<T>> {
    holding: Holding<T, D>,
    entries: Vec<EntryOf<T, D>>,
    watches: SmallVec<[HeldDirectory<T, Watch<T, D>>; 1]>,
}

type EntryOf<T, D> = Entry<T, <ProbeOf<T, D> as Probe<T>>::Rank>;

struct Entry<T, R> {
    rank: R,
    key: T,
    action: Action<T>,
}

enum Action<T> {
    Expect(Expected<T>),
    Change(Operation<T>),
}

impl<T: Term, R, D> Placed<T, D> for Entry<T, R>
where
    R: Copy,
    D: Directory<T>,
    ProbeOf<T, D>: Probe<T, Rank = R>,
{
    fn probe(&self, _keypos: usize) -> ProbeOf<T, D> {
        ProbeOf::<T, D>::ranked(self.rank, self.key)
    }
}

impl<T: Term, D: Directory<T>> Entries<T, D> {
    fn of(directory: HeldDirectory<T, D>, things: usize) -> Self {
        Entries {
            holding: Holding::of(directory),
            entries: Vec::with_capacity(things),
            watches: SmallVec::new(),
        }
    }

    fn push(&mut self, key: T, action: Action<T>) {
        self.entries.push(Entry {
            rank: ProbeOf::<T, D>::of(key).rank(),
            key,
            action,
        });
    }

    /// The keys that are going to change.
    fn changed(&self) -> impl Iterator<Item = T> + Clone {
        let is_change = |entry: &&EntryOf<T, D>| matches!(entry.action, Action::Change(_));
        self.entries.iter().filter(is_change).map(|entry| entry.key)
    }

    /// Locks the leaves of all keys. Operations on one key stay in their order.
    fn lock(&mut self, wait: &mut impl FnMut() -> bool) -> Result<(), Contended> {
        let order = |one: &EntryOf<T, D>, two: &EntryOf<T, D>| -> Ordering {
            let ties = || ProbeOf::<T, D>::tie(one.key, two.key);
            one.rank.cmp(&two.rank).then_with(ties)
        };
        self.entries.sort_by(order);
        let mut locked = 0;
        while locked < self.entries.len() {
            match self.holding.lock(&self.entries[locked..], &pin()) {
                Ok(more) => locked += more,
                Err(Contended) if wait() => {}
                Err(Contended) => return Err(Contended),
            }
        }
        Ok(())
    }

    fn are_as_they_were(&mut self) -> bool {
        for portion in self.entries.chunks(PORTION) {
            let guard = &pin();
            for entry in portion {
                if let Action::Expect(expected) = &entry.action {
                    let probe = ProbeOf::<T, D>::ranked(entry.rank, entry.key);
                    if !expected.is_met_by(&self.holding.objects(&probe, guard)) {
                        return false;
                    }
                }
            }
        }
        if self.watches.is_empty() {
            return true;
        }
        let mine = self.holding.sorted_leaves();
        self.watches.iter().all(|watch| {
            std::ptr::eq(watch.watched(), self.holding.store())
                && watch.holds(|leaf| mine.binary_search(&leaf).is_ok(), &pin())
        })
    }

    /// Makes some of the changes, from the entry at `next` on; false when all are made.
    fn change_some(&mut self, next: &mut usize) -> bool {
        let guard = &pin();
        for _ in 0..PORTION {
            let Some(entry) = self.entries.get(*next) else {
                return false;
            };
            if let Action::Change(operation) = entry.action {
                let probe = ProbeOf::<T, D>::ranked(entry.rank, entry.key);
                let is_insert = matches!(operation, Operation::Insert(_));
                // To delete what is not there leaves the leaf as it was, for those who have gone over it.
                if is_insert || !self.holding.is_vacant(&probe, guard) {
                    self.holding.edit(&probe, guard, |shape, group| {
                        match operation {
                            Operation::Insert(object) => {
                                shape.put(group, Source::Object(object))?
                            }
                            Operation::DeleteObject(object) => {
                                group.remove(object);
                            }
                            Operation::Delete(_) => group.clear(),
                        }
                        Ok(())
                    });
                }
            }
            *next += 1;
        }
        true
    }
}

impl<T: Term> Expected<T> {
    fn is_met_by(&self, there: &Objects<'_, T>) -> bool {
        let Expected::Objects(objects) = self else {
            return !there.is_empty();
        };
        match (there.only(), &objects[..]) {
            (Some(there), [object]) => are_same(there, *object),
            _ => {
                let mut pairs = there.iter().zip(objects);
                let are_same = |(there, object): (Object<T>, &T)| are_same(&there, *object);
                there.len() == objects.len() && pairs.all(are_same)
            }
        }
    }
}

fn are_same<T: Term>(there: &Object<T>, object: T) -> bool {
    let (there, elements) = (there.elements(), object.elements());
    let mut pairs = there.iter().zip(elements);
    there.len() == elements.len() && pairs.all(|(one, two)| one.matches(*two))
}
