//! Leaves: where the entries of a table are.
//!
//! A leaf is a version lock, a body that holds the entries, and the storage of their objects. The
//! two kinds of body, [`hash`] and [`ordered`], keep the [`Body`] contract; all that is done to
//! the objects of one key is done through a [`Group`], for both.

pub(crate) mod hash;
pub(crate) mod ordered;

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_epoch::{Atomic, Guard, Owned};
use smallvec::SmallVec;

use crate::discard::{LARGE, defer_discard, defer_drop};
use crate::lock::{Contended, Intact, Torn, VersionLock};
use crate::object;
use crate::objects::Objects;
use crate::page::{PageIndex, Source};
use crate::run::Run;
use crate::storage::{Block, Storage};
use crate::table::Bounds;
use crate::term::Term;
use crate::usage::Usage;

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

/// The leading words of a key's place in the order of the entries.
pub(crate) type Rank = [u64; 3];

/// Where a key is looked for. Made once for each call.
pub(crate) trait Probe<T>: Copy {
    fn of(key: T) -> Self;

    /// The probe of a key whose [rank](Probe::rank) is known.
    fn ranked(rank: Rank, key: T) -> Self;

    fn key(&self) -> T;

    /// Numbers in the order of the leaves' entries.
    fn rank(&self) -> Rank;

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

    /// The same entries in less memory, where it is worth it.
    fn shrunk(&self, keypos: usize, guard: &Guard) -> Option<Self>;
}

pub(crate) struct Leaf<T: Term, B: Body<T>> {
    pub lock: VersionLock,
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
            body: Atomic::new(body),
            storage: UnsafeCell::new(storage),
        }
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
    /// whether the body is still what it was; it answers what is true of that one instant.
    /// `None`: the body does not cover what is looked for.
    #[inline(always)]
    pub fn read<'g, R>(
        &self,
        guard: &'g Guard,
        covers: impl Fn(&B) -> bool,
        mut read: impl FnMut(&'g B, Intact<'_>) -> Result<R, Torn>,
    ) -> Result<Option<R>, Contended> {
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
                return Ok(result);
            }
        }
        let locked = self.lock()?;
        let body = locked.body(guard);
        if !covers(body) {
            return Ok(None);
        }
        Ok(read(body, Intact::LOCKED).ok())
    }
}

/// Tries of a reader before it takes the lock like a writer, so that it is not kept waiting.
const READS: u32 = 16;

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
                // SAFETY: the entry owned its run, and nobody else can reach it.
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
unsafe fn take_run<T: Term>(entry: Entry) -> Box<Run<T>> {
    // SAFETY: the word came from `Box::into_raw`; the caller owns what it leads to.
    unsafe { Box::from_raw(ptr::with_exposed_provenance_mut(entry.word as usize)) }
}

/// A leaf whose lock is held.
pub(crate) struct Locked<'a, T: Term, B: Body<T>> {
    leaf: &'a Leaf<T, B>,
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
        let body = self.body(guard);
        let slots = body.group(&probe, context.keypos, Intact::LOCKED, guard);
        let slots = slots.unwrap_or_else(|Torn| unreachable!("a locked leaf is intact"));
        Group {
            locked: self,
            slots,
            probe,
            context,
            guard,
        }
    }

    /// Removes the entry in a slot. Others may take its slot; none moves up.
    pub fn remove_slot(&mut self, slot: usize, context: Context<'_>, guard: &Guard) {
        let body = self.body(guard);
        let Some(entry) = body.entry(slot) else {
            return;
        };
        body.remove(slot);
        if entry.page == Entry::RUN {
            // SAFETY: the slot owned the run and is gone but for readers that hold a guard now.
            unsafe { defer_discard(guard, take_run::<T>(entry), LARGE) };
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

    fn forget(&mut self, entry: Entry, context: Context<'_>, guard: &Guard) {
        if let Some(page) = self.storage().forget(entry, guard) {
            self.evacuate(page, context.bounds, guard);
        }
    }

    /// Gives memory back that entries no longer need. Slots may move.
    pub fn shrink(&mut self, context: Context<'_>, guard: &Guard) {
        if let Some(shrunk) = self.body(guard).shrunk(context.keypos, guard) {
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
    fn evacuate(&mut self, index: PageIndex, bounds: &Bounds, guard: &Guard) {
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

/// What a change of a group needs to know of its table.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub keypos: usize,
    pub bounds: &'a Bounds,
}

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

impl<'g, T: Term, B: Body<T>> Group<'_, '_, 'g, T, B> {
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
        if let Some(run) = self.run() {
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
        if let Some(run) = self.run() {
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
        let mut removed = 0;
        if let Some(run) = self.run() {
            let bounds = self.context.bounds;
            removed = run.remove(object, self.usage(), bounds, self.guard);
            if run.len(self.guard) == 0 {
                self.remove_slot(self.slots.start);
            }
        } else {
            let mut slot = self.slots.end;
            while slot > self.slots.start {
                slot -= 1;
                let matches = self.body().entry(slot).is_some_and(|entry| {
                    // SAFETY: the lock is held, and entries outside runs are objects.
                    unsafe { T::from_word(entry.word) }.matches(object)
                });
                if matches {
                    self.remove_slot(slot);
                    removed += 1;
                }
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
