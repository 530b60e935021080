//! Leaves: where the entries of a table are.
//!
//! A leaf is a version lock, a body that holds the entries, and the storage of their objects. The
//! two kinds of body, [`hash`] and [`ordered`], keep the [`Body`] contract; all that is done to
//! the objects of one key is done through a [`Group`], for both.

mod frozen;
mod group;
pub(crate) mod hash;
mod locked;
pub(crate) mod ordered;

use std::ops::{Bound, Range};
use std::ptr::{self, NonNull};

use crossbeam_epoch::{Atomic, Guard};
use smallvec::SmallVec;

use crate::lock::{Contended, Intact, Torn, Version, VersionLock};
use crate::objects::Objects;
use crate::page::PageIndex;
use crate::run::{Run, RunShare};
use crate::storage::{Block, Storage};
use crate::sync::{AtomicU64, Ordering, UnsafeCell};
use crate::table::Bounds;
use crate::term::Term;
pub(crate) use group::{Full, Group};
pub(crate) use locked::Locked;

/// One object of a table, or a run of them.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// An object, or where `page` is [`Entry::RUN`] a [`Run`].
    pub word: u64,
    pub page: PageIndex,
}

impl Entry {
    pub const RUN: PageIndex = PageIndex::MAX;
    /// In place of a page's index: the object is flat, and in the leaf's slab.
    pub const FLAT: PageIndex = PageIndex::MAX - 1;

    /// In place of a page's index: the object is in a block of its own.
    pub const BLOCK: PageIndex = PageIndex::MAX - 2;

    pub fn of_flat<T: Term>(object: T) -> Self {
        Entry {
            word: object.to_word(),
            page: Self::FLAT,
        }
    }

    pub fn of_block<T: Term>(object: T) -> Self {
        Entry {
            word: object.to_word(),
            page: Self::BLOCK,
        }
    }

    /// The run that this entry leads to.
    ///
    /// # Safety
    ///
    /// The entry was read whole (its two words belong together) and under `_guard`.
    pub unsafe fn run<T: Term>(self, _guard: &Guard) -> Option<&Run<T>> {
        // SAFETY: such a word came from `Box::into_raw`, and a run that an entry no longer leads
        // to is freed after the guards of that time.
        (self.page == Self::RUN)
            .then(|| unsafe { &*ptr::with_exposed_provenance(self.word as usize) })
    }

    /// The key.
    ///
    /// # Safety
    ///
    /// As for [`Entry::run`].
    pub unsafe fn key<T: Term>(self, keypos: usize, guard: &Guard) -> T {
        // SAFETY: the caller's promise; objects live as long as the guards of their time.
        unsafe {
            match self.run(guard) {
                None => key_of(T::from_word(self.word), keypos),
                Some(run) => run.key(),
            }
        }
    }

    fn of_run<T: Term>(run: Run<T>) -> Self {
        let pointer = Box::into_raw(Box::new(run));
        Entry {
            word: pointer.expose_provenance() as u64,
            page: Self::RUN,
        }
    }
}

/// The key of an object.
#[inline]
pub(crate) fn key_of<T: Term>(object: T, keypos: usize) -> T {
    object.element(keypos - 1)
}

/// Where a key is looked for. Made once for each call.
pub(crate) trait Probe<T>: Copy {
    /// Leading words of a key's place in the order of the entries.
    type Rank: Copy + Ord + Send + Sync;

    fn of(key: T) -> Self;

    /// The probe of a key whose [rank](Probe::rank) is known.
    fn ranked(rank: Self::Rank, key: T) -> Self;

    fn key(&self) -> T;

    fn rank(&self) -> Self::Rank;

    /// The order of two keys with equal ranks, as far as it decides which leaf they are in.
    fn tie(one: T, two: T) -> std::cmp::Ordering;
}

/// The way that a traversal takes. Hash kinds know only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Where a traversal goes on in a leaf.
#[derive(Clone, Copy)]
pub(crate) enum Seek<P> {
    /// At the first entry.
    Start,
    /// At the last entry, backwards.
    End,
    /// At the first entry with a hash that is not less.
    Hash(u64),
    /// At the objects of this key or, where there are none, behind it.
    From(P),
    /// Behind all objects of this key.
    After(P),
    /// Before all objects of this key, backwards.
    Before(P),
}

/// What both layouts of a leaf's entries can do.
///
/// Entries are in the order of their heads and, under one head, of their keys. The entries of one
/// key are a group: they stand side by side in the order of their insertion.
///
/// Those who hold the leaf's lock may do all, with [`Intact::LOCKED`]. A reader passes its look at
/// the version, and no word is followed before that has been found to hold.
pub(crate) trait Body<T: Term>: Send + Sync + Sized + 'static {
    type Probe: Probe<T>;
    /// Where a leaf begins, in the order of the leaves.
    type Low: Ord + Send + Sync + 'static;

    /// Where this leaf begins, which never changes.
    fn low(&self) -> Self::Low;

    /// Whether this is the leaf that begins there: of two that begin at the same key, one came when the
    /// other was gone.
    fn begins_at(&self, low: &Self::Low) -> bool;

    /// Where the leaf is that begins there.
    fn at_low(low: &Self::Low) -> Seek<Self::Probe>;

    /// The last leaf that begins within this is the one that a traversal goes on in.
    fn bound(seek: &Seek<Self::Probe>) -> Bound<Self::Low>;

    /// Whether the key belongs to this leaf.
    fn covers(&self, probe: &Self::Probe) -> bool;

    /// Whether a traversal can go on in this leaf.
    fn covers_seek(&self, seek: &Seek<Self::Probe>) -> bool;

    /// Where a traversal goes on behind this leaf.
    fn beyond(&self, direction: Direction) -> Option<Seek<Self::Probe>>;

    /// The slots of a key's group; an empty range says where it would begin.
    fn group(
        &self,
        probe: &Self::Probe,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<Range<usize>, Torn>;

    /// Whether two neighbours are of one group.
    fn same_group(
        &self,
        slot: usize,
        other: usize,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<bool, Torn>;

    /// The slot that a traversal begins at, or backwards the one behind it. It may be vacant.
    fn seek(
        &self,
        from: &Seek<Self::Probe>,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<usize, Torn>;

    /// The slot of the first entry that does not come before a key, which may be another leaf's. In
    /// hash kinds all of them do.
    fn until(
        &self,
        _key: &Self::Probe,
        _keypos: usize,
        _intact: Intact<'_>,
    ) -> Result<usize, Torn> {
        Ok(self.slots())
    }

    /// Slots, vacant ones included.
    fn slots(&self) -> usize;

    /// What is in a slot; two reads that may not belong together unless the leaf is intact.
    fn entry(&self, slot: usize) -> Option<Entry>;

    fn len(&self) -> usize;
    fn bytes(&self) -> usize;

    /// Whether it can have so many entries.
    fn has_room(&self, entries: usize) -> bool;

    // Under the lock only:

    /// Replaces what is in an occupied slot by something with the same key.
    fn set(&self, slot: usize, entry: Entry);

    /// Puts an entry where `slot` says, moving others. There is room.
    fn insert(&self, slot: usize, probe: &Self::Probe, entry: Entry);

    /// Empties a slot, moving others.
    fn remove(&self, slot: usize);

    /// The same entries with room for so many, as far as the bounds allow; `None` where the leaf
    /// ought to be split instead.
    fn grown(&self, entries: usize, context: Context<'_>) -> Option<Self>;

    /// The same slots with other entries for the same objects.
    fn copied(&self, entry: impl FnMut(Entry) -> Entry) -> Self;

    /// How many entries more the leaf takes, all in all, before it is to be split.
    fn room(&self, context: Context<'_>) -> usize;

    /// The head of an entry for this key.
    fn head(&self, probe: &Self::Probe) -> u64;

    /// [`Body::merged`] takes less time than so many entries take that are inserted one by one, of which
    /// each moves others: as a part of the entries that are there.
    const MERGING: usize;

    /// The same entries and others, each with its head and the slot that it is to be put in front of, in
    /// order; with room for so many.
    fn merged(
        &self,
        others: impl Iterator<Item = (usize, u64, Entry)>,
        entries: usize,
        context: Context<'_>,
    ) -> Self;

    /// The same entries in less memory, where it is worth it.
    fn shrunk(&self) -> Option<Self>;
}

pub(crate) struct Leaf<T: Term, B: Body<T>> {
    pub lock: VersionLock,
    /// The snapshot that the leaf was last made ready to be changed after: later ones see it as it is.
    /// Changed under the lock.
    stamp: AtomicU64,
    body: Atomic<B>,
    storage: UnsafeCell<Storage<T>>,
}

// SAFETY: `storage` is touched only by the holder of the lock, `body` is atomic, and both may be
// used on any thread.
unsafe impl<T: Term, B: Body<T>> Sync for Leaf<T, B> {}
// SAFETY: as above.
unsafe impl<T: Term, B: Body<T>> Send for Leaf<T, B> {}

impl<T: Term, B: Body<T>> Leaf<T, B> {
    pub fn new(body: B, storage: Storage<T>, lock: VersionLock) -> Self {
        let bytes = size_of::<Self>() + body.bytes();
        storage.usage().add_bytes(bytes as isize);
        Leaf {
            lock,
            stamp: AtomicU64::new(0),
            body: Atomic::new(body),
            storage: UnsafeCell::new(storage),
        }
    }

    /// For a leaf that came from another one by splitting.
    pub fn stamped(mut self, stamp: u64) -> Self {
        self.stamp = AtomicU64::new(stamp);
        self
    }

    #[inline]
    pub fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    pub fn body<'g>(&self, guard: &'g Guard) -> &'g B {
        let body = self.body.load(Ordering::Acquire, guard);
        // SAFETY: the body is never null, and the guard keeps the one that was loaded.
        unsafe { body.deref() }
    }

    /// Takes the lock.
    pub fn lock(&self) -> Result<Locked<'_, T, B>, Contended> {
        self.lock.lock()?;
        Ok(Locked { leaf: self })
    }

    /// Takes the lock if it is free now.
    pub fn try_lock(&self) -> Option<Locked<'_, T, B>> {
        self.lock.try_lock().then(|| Locked { leaf: self })
    }

    /// Takes over a lock that is held already.
    ///
    /// # Safety
    ///
    /// The caller took this leaf's lock, still holds it, and has no other [`Locked`] for it.
    pub unsafe fn adopt(&self) -> Locked<'_, T, B> {
        Locked { leaf: self }
    }

    /// One look at the leaf that is not disturbed by writers. `read` gets a body and a way to see
    /// whether the body is still what it was; it answers what is true of that one instant, and of
    /// every other at which the leaf has the version that comes with it.
    /// `None`: the body does not cover what is looked for.
    #[inline(always)]
    pub fn read<'g, R>(
        &self,
        guard: &'g Guard,
        covers: impl Fn(&B) -> bool,
        mut read: impl FnMut(&'g B, Intact<'_>) -> Result<R, Torn>,
    ) -> Result<Option<(R, Version)>, Contended> {
        for _ in 0..READS {
            let version = self.lock.version()?;
            let body = self.body(guard);
            let intact = Intact::since(&self.lock, version);
            let result = match covers(body) {
                true => read(body, intact).map(Some),
                false => Ok(None),
            };
            if let Ok(result) = result
                && intact.holds()
            {
                return Ok(result.map(|result| (result, version)));
            }
        }
        let locked = self.lock()?;
        let body = locked.body(guard);
        let result = match covers(body) {
            true => read(body, Intact::LOCKED).ok(),
            false => None,
        };
        let version = locked.unlock_unchanged();
        Ok(result.map(|result| (result, version)))
    }
}

/// Tries of a reader before it takes the lock like a writer, so that it is not kept waiting.
const READS: u32 = if cfg!(loom) { 2 } else { 16 };

impl<T: Term, B: Body<T>> Drop for Leaf<T, B> {
    fn drop(&mut self) {
        // SAFETY: a leaf is dropped when nobody can reach it any more.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        let body = self.body.load(Ordering::Relaxed, guard);
        // SAFETY: as above; the body is never null.
        let body = unsafe { body.into_owned() };
        let mut bytes = size_of::<Self>() + body.bytes();
        for entry in (0..body.slots()).filter_map(|slot| body.entry(slot)) {
            match entry.page {
                // SAFETY: the entry had a share of its run, and nobody else can reach it.
                Entry::RUN => drop(unsafe { take_run::<T>(entry) }),
                Entry::BLOCK => {
                    // SAFETY: the entry owned its block, and nobody else can reach it.
                    let block = Block(unsafe { T::from_word(entry.word) });
                    bytes += block.bytes();
                }
                _ => {}
            }
        }
        let usage = self.storage.get_mut().usage();
        usage.add_bytes(-(bytes as isize));
    }
}

/// # Safety
///
/// `entry` leads to a run and has given up its ownership of it.
unsafe fn take_run<T: Term>(entry: Entry) -> RunShare<T> {
    let run = NonNull::new(ptr::with_exposed_provenance_mut(entry.word as usize));
    // SAFETY: the word came from `Box::into_raw`; the caller owns a share of what it leads to.
    unsafe { RunShare::of(run.expect("a run has an address")) }
}

/// What a change of a leaf needs to know of its table.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub keypos: usize,
    pub bounds: &'a Bounds,
}

/// Fills in the objects in some slots, which are one group.
#[inline(always)]
pub(crate) fn collect<'g, T: Term, B: Body<T>>(
    body: &B,
    slots: Range<usize>,
    intact: Intact<'_>,
    guard: &'g Guard,
    found: &mut Objects<'g, T>,
) -> Result<(), Torn> {
    let Some(entry) = slots.clone().next().and_then(|slot| body.entry(slot)) else {
        found.clear();
        return Ok(());
    };
    intact.check()?;
    if slots.len() == 1 {
        // SAFETY: the leaf was intact, so the entry is whole; the guard keeps what it leads to.
        match unsafe { entry.run(guard) } {
            Some(run) => found.set_run(run.view(guard)),
            // SAFETY: as above.
            None => unsafe { found.take_one(entry) },
        }
        return Ok(());
    }
    let entries: SmallVec<[Entry; 16]> = slots.filter_map(|slot| body.entry(slot)).collect();
    intact.check()?;
    // SAFETY: as above, for each.
    unsafe { found.take_few(entries.into_iter()) };
    Ok(())
}
