//! Which keys of a table have changed: what has to be written where the table is kept elsewhere, too.
//!
//! A change *marks* its keys. [`Table::changes`] takes the marks together with a snapshot of the same
//! instant: whatever the snapshot shows that those before it did not is under a key that is marked, and a
//! change of many keys has all of its marks taken, or the snapshot shows nothing of it.
//!
//! Marks are numbered by the [`clock`] of snapshots. Whoever is about to change keys holds the locks of
//! their leaves, reads the clock, marks, and only then looks for the instant of the change, for which it
//! reads the clock again. Whoever takes the marks has advanced the clock to its snapshot's number before, and
//! takes those with lesser numbers:
//!
//! - a change that comes before the snapshot did not see the clock advanced when it looked for its instant, so
//!   its marks had been made when they were taken, with a lesser number;
//! - a change that comes after it and had made its marks before makes them again, with the new number,
//!   before it goes on. One of many keys looks for its instant again, too: its marks and its instant are
//!   of one reading of the clock.
//!
//! A mark may be taken for nothing: what the snapshot shows under its key is then what it was.
//!
//! A sweep changes one object after the other, and is to be taken as a whole nevertheless. So nobody takes
//! marks while a sweep goes on, and no sweep begins while somebody waits to take them; what a sweep has changed is
//! marked when it is over. One that does not come to its end is not waited for [forever](PATIENCE).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Condvar;
use smallvec::SmallVec;

use crate::lock::Contended;
use crate::page::OwnedTerm;
use crate::snapshot::{clock, hold_clock};
use crate::storage::Block;
use crate::sync::Mutex;
use crate::table::{Shape, Table};
use crate::term::Term;

/// A key that has changed, in a copy of its own.
pub struct Key<T: Term>(Copied<T>);

enum Copied<T: Term> {
    Immediate(T),
    /// A tuple of the key alone.
    Block(Block<T>),
    Arena(OwnedTerm<T>),
}

impl<T: Term> Key<T> {
    pub(crate) fn new(key: T) -> Self {
        Key(match T::block_bytes(&[key]) {
            _ if key.is_immediate() => Copied::Immediate(key),
            Some(bytes) => Copied::Block(Block(T::new_block(&[key], bytes))),
            None => Copied::Arena(OwnedTerm::new(key)),
        })
    }

    /// Valid while `self` lives.
    pub fn term(&self) -> T {
        match &self.0 {
            Copied::Immediate(key) => *key,
            Copied::Block(block) => block.0.element(0),
            Copied::Arena(owned) => owned.term(),
        }
    }
}

/// Keys of one change.
pub type Keys<T> = Vec<Key<T>>;

/// The marks of a table.
pub(crate) struct Changes<T: Term> {
    is_on: AtomicBool,
    shards: [CachePadded<Mutex<Marks<T>>>; SHARDS],
    lists: Mutex<Vec<(u64, List<T>)>>,
    sweeps: parking_lot::Mutex<Sweeps>,
    no_sweep: Condvar,
}

/// Sweeps that go on, and whether somebody waits for their end.
#[derive(Default)]
struct Sweeps {
    number: usize,
    is_awaited: bool,
}

/// How long a sweep is waited for whose process may have been suspended.
pub const PATIENCE: Duration = Duration::from_secs(5);

const SHARDS: usize = 16;

/// So many lists are kept as they are.
const LISTS: usize = 64;

/// The keys of one change.
pub(crate) enum Together<T: Term> {
    /// They are marked one by one, so that many changes of the same keys do not add up.
    Few(SmallVec<[T; 8]>),
    Many(Arc<Keys<T>>),
}

impl<T: Term> Together<T> {
    const FEW: usize = 64;

    pub fn of(keys: impl Iterator<Item = T> + Clone) -> Self {
        match keys.clone().nth(Self::FEW) {
            None => Together::Few(keys.collect()),
            Some(_) => Together::Many(Arc::new(keys.map(Key::new).collect())),
        }
    }
}

type Marks<T> = HashTable<Mark<T>>;

struct Mark<T: Term> {
    hash: u64,
    key: Key<T>,
    first: u64,
    last: u64,
}

/// Keys that are marked together.
#[derive(Clone)]
enum List<T: Term> {
    Keys(Arc<Keys<T>>),
    /// Whatever was in the table.
    All,
}

impl<T: Term> Changes<T> {
    pub fn new() -> Self {
        let shard = |_| CachePadded::new(Mutex::new(HashTable::new()));
        Changes {
            is_on: AtomicBool::new(false),
            shards: std::array::from_fn(shard),
            lists: Mutex::new(Vec::new()),
            sweeps: parking_lot::Mutex::default(),
            no_sweep: Condvar::new(),
        }
    }

    /// Waits for the sweeps that go on; none begins while the answer lives.
    fn hold_sweeps(&self) -> parking_lot::MutexGuard<'_, Sweeps> {
        let mut sweeps = self.sweeps.lock();
        sweeps.is_awaited = true;
        let goes_on = |sweeps: &mut Sweeps| sweeps.number > 0;
        self.no_sweep.wait_while_for(&mut sweeps, goes_on, PATIENCE);
        sweeps.is_awaited = false;
        sweeps
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Marks a key, before its change looks for its instant; answers the number, to be
    /// [confirmed](Changes::confirm) then.
    pub fn mark(&self, key: T) -> u64 {
        let number = clock();
        self.mark_at(key, number);
        number
    }

    /// The change of a key that was marked with that number has its instant.
    pub fn confirm(&self, key: T, number: u64) {
        let now = clock();
        if now != number {
            self.mark_at(key, now);
        }
    }

    fn mark_at(&self, key: T, number: u64) {
        self.mark_from_to(key, number, number, || Key::new(key));
    }

    fn mark_from_to(&self, key: T, first: u64, last: u64, copy: impl FnOnce() -> Key<T>) {
        let hash = key.hash();
        // The hash decides by its leading bits in the directory, and by others here.
        let mut marks = self.shards[hash as usize % SHARDS].lock();
        let is_it = |mark: &Mark<T>| mark.hash == hash && mark.key.term().matches(key);
        match marks.entry(hash, is_it, |mark| mark.hash) {
            Entry::Occupied(mut there) => {
                let mark = there.get_mut();
                mark.first = mark.first.min(first);
                mark.last = mark.last.max(last);
            }
            Entry::Vacant(place) => {
                place.insert(Mark {
                    hash,
                    key: copy(),
                    first,
                    last,
                });
            }
        }
    }

    /// Marks all keys of a change that has its instant when `begin` reads the clock.
    pub fn mark_together<R>(&self, keys: &Together<T>, mut begin: impl FnMut() -> R) -> R {
        loop {
            let number = clock();
            self.mark_together_at(keys, number);
            let begun = begin();
            if clock() == number {
                return begun;
            }
        }
    }

    /// The same for one who reads the clock himself, and marks again if it has advanced.
    pub fn mark_together_at(&self, keys: &Together<T>, number: u64) {
        match keys {
            Together::Few(keys) => keys.iter().for_each(|&key| self.mark_at(key, number)),
            Together::Many(keys) => self.add(number, List::Keys(Arc::clone(keys))),
        }
    }

    /// The table is emptied while the clock is held.
    pub fn mark_all(&self) {
        self.add(clock(), List::All);
    }

    fn add(&self, number: u64, list: List<T>) {
        self.lists.lock().push((number, list));
    }

    fn any(&self) -> bool {
        let is_marked = |marks: &CachePadded<Mutex<Marks<T>>>| !marks.lock().is_empty();
        !self.lists.lock().is_empty() || self.shards.iter().any(is_marked)
    }

    /// Takes the marks that were made before the snapshot of that number.
    fn take(&self, number: u64, taken: &mut Changed<T>) {
        self.lists.lock().retain_mut(|(made, list)| {
            let is_before = *made < number;
            if is_before {
                match list {
                    List::Keys(keys) => taken.lists.push(Arc::clone(keys)),
                    List::All => taken.all = true,
                }
            }
            !is_before
        });
        for shard in &self.shards {
            // Whoever marks waits for the lock: what takes its time is done without it.
            let marks = std::mem::take(&mut *shard.lock());
            for mark in marks {
                let key = mark.key.term();
                if mark.last < number {
                    taken.keys.push(mark.key);
                } else if mark.first < number {
                    self.mark_from_to(key, mark.last, mark.last, || Key::new(key));
                    taken.keys.push(mark.key);
                } else {
                    self.mark_from_to(key, mark.first, mark.last, || mark.key);
                }
            }
        }
    }

    /// Marks the keys of lists one by one where there are many lists: their keys may be the same ones again
    /// and again. Only whoever takes marks calls this.
    fn unite_lists(&self) {
        let lists: Vec<(u64, List<T>)> = self.lists.lock().clone();
        if lists.len() < LISTS {
            return;
        }
        let mut emptied = None;
        for (number, list) in &lists {
            match list {
                List::Keys(keys) => keys
                    .iter()
                    .for_each(|key| self.mark_at(key.term(), *number)),
                List::All => emptied = Some((*number, List::All)),
            }
        }
        let mut there = self.lists.lock();
        let united: Vec<_> = there.splice(..lists.len(), emptied).collect();
        drop(there);
        drop(united);
    }
}

/// What has changed in a table up to the instant of a snapshot.
pub struct Changed<T: Term> {
    all: bool,
    keys: Keys<T>,
    lists: Vec<Arc<Keys<T>>>,
}

impl<T: Term> Changed<T> {
    /// Whether the table was emptied: what it has since then is under [keys](Changed::keys) that changed.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The keys that have changed, some more than once, and keys that have not.
    pub fn keys(&self) -> impl Iterator<Item = T> {
        let lists = self.lists.iter().flat_map(|keys| keys.iter());
        self.keys.iter().chain(lists).map(Key::term)
    }
}

impl<T: Term> Table<T> {
    /// From here on, changes are recorded, if the table was made [to do so](Table::recording).
    pub fn record(&self) {
        if let Some(changes) = &self.shape().changes {
            changes.is_on.store(true, Relaxed);
        }
    }

    /// Whether anything may have changed since changes were taken.
    pub fn has_changes(&self) -> bool {
        self.shape().changes().is_some_and(Changes::any)
    }

    /// A snapshot, and what has changed since the one that was taken so before. `None` where changes are
    /// not recorded.
    pub fn changes(&self) -> Option<(Self, Changed<T>)> {
        let changes = self.shape().changes()?;
        changes.unite_lists();
        let no_sweep = changes.hold_sweeps();
        let (mut snapshots, number) = Table::numbered_snapshot(&[self])?;
        drop(no_sweep);
        let mut taken = Changed {
            all: false,
            keys: Vec::new(),
            lists: Vec::new(),
        };
        changes.take(number, &mut taken);
        Some((snapshots.pop()?, taken))
    }

    /// Keeps the record as small as the keys that have changed are. Whoever takes changes seldom calls this
    /// now and then, and not while he takes some.
    pub fn compact_changes(&self) {
        if let Some(changes) = self.shape().changes() {
            changes.unite_lists();
        }
    }

    /// Has what was taken be taken again with the next changes.
    pub fn put_back(&self, changed: Changed<T>) {
        if let Some(changes) = self.shape().changes() {
            let Changed { all, keys, lists } = changed;
            let lists = lists.into_iter().chain([Arc::new(keys)]);
            let mut there = changes.lists.lock();
            if all {
                there.push((0, List::All));
            }
            there.extend(lists.map(|keys| (0, List::Keys(keys))));
        }
    }

    /// Begins a [sweep](Table::sweep). Where changes are recorded, somebody may be waiting to take them.
    pub fn begin_sweep(&self) -> Result<Sweeping<T>, Contended> {
        let Some(changes) = self.shape().changes() else {
            return Ok(Sweeping {
                shape: None,
                keys: Keys::new(),
            });
        };
        let mut sweeps = changes.sweeps.lock();
        if sweeps.is_awaited {
            return Err(Contended);
        }
        sweeps.number += 1;
        Ok(Sweeping {
            shape: Some(self.hold_shape()),
            keys: Keys::new(),
        })
    }
}

/// A sweep that goes on, as far as the record of changes is concerned. It is over when this is dropped.
pub struct Sweeping<T: Term> {
    /// That of the table, where changes are recorded.
    shape: Option<Arc<Shape<T>>>,
    keys: Keys<T>,
}

impl<T: Term> Sweeping<T> {
    /// An object with this key is about to be changed.
    pub(crate) fn changes(&mut self, key: T) {
        if self.shape.is_some() {
            self.keys.push(Key::new(key));
        }
    }
}

impl<T: Term> Drop for Sweeping<T> {
    fn drop(&mut self) {
        let changes = self.shape.as_ref().and_then(|shape| shape.changes());
        let Some(changes) = changes else { return };
        let keys = std::mem::take(&mut self.keys);
        if !keys.is_empty() {
            let _no_snapshot = hold_clock();
            changes.add(clock(), List::Keys(Arc::new(keys)));
        }
        changes.sweeps.lock().number -= 1;
        changes.no_sweep.notify_all();
    }
}
