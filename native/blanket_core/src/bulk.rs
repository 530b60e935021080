//! List inserts: all objects at one instant.
//!
//! The leaves of all objects are locked, in their order; then the objects are put there; then the
//! locks are let go. A reader sees the table before or after. A short list is handled in one go
//! ([`Batch`]), a long one in steps ([`Bulk`]), between which the locks stay held.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_epoch::{Guard, pin};

use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::directory::{Directory, LeafOf, LockedOf, ProbeOf};
use crate::discard::discard;
use crate::leaf::{Body, Full, Probe, Rank, key_of};
use crate::lock::{Contended, Intact};
use crate::object::is_flat;
use crate::page::Source;
use crate::storage::Block;
use crate::table::{AnyDirectory, Kind, Shape, Store, Table, read_only};
use crate::term::{Arena, Term, Tuples};

/// What a list insert does about keys that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkMode {
    /// It inserts as each insert would.
    Insert,
    /// It inserts nothing at all if one of the keys is there.
    InsertNew,
}

/// How far a list insert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    Pending,
    /// Call again after others have run: one of them has a leaf that is needed.
    Contended,
    /// It is over; whether the objects were inserted.
    Done(bool),
}

#[derive(Clone, Copy)]
struct Item<T> {
    rank: Rank,
    object: T,
    /// The object is in a block, which goes over to the table.
    is_block: bool,
}

impl<T: Term> Item<T> {
    fn of<D: Directory<T>>(object: T, keypos: usize, is_block: bool) -> Self {
        Item {
            rank: ProbeOf::<T, D>::of(key_of(object, keypos)).rank(),
            object,
            is_block,
        }
    }

    fn source(&self) -> Source<'_, T> {
        match self.is_block {
            true => Source::Block(self.object),
            false => Source::Object(self.object),
        }
    }

    fn probe<D: Directory<T>>(&self, keypos: usize) -> ProbeOf<T, D> {
        ProbeOf::<T, D>::ranked(self.rank, key_of(self.object, keypos))
    }

    fn cmp<D: Directory<T>>(&self, other: &Self, keypos: usize) -> Ordering {
        self.rank.cmp(&other.rank).then_with(|| {
            ProbeOf::<T, D>::tie(key_of(self.object, keypos), key_of(other.object, keypos))
        })
    }
}

/// The leaves of a list insert, locked.
struct Holding<T: Term, D: Directory<T>> {
    store: Arc<Store<T>>,
    directory: *const D,
    leaves: Vec<*const LeafOf<T, D>>,
    /// The leaf that is at work.
    at: usize,
    /// It may be changed, and has room for what is coming.
    prepared: bool,
    /// When the change happens, as far as snapshots are concerned; known when all leaves are locked.
    instant: u64,
}

// SAFETY: the pointers lead into the store, which is held here and may be used on any thread.
unsafe impl<T: Term, D: Directory<T>> Send for Holding<T, D> {}
// SAFETY: as above; a shared reference gives access to nothing.
unsafe impl<T: Term, D: Directory<T>> Sync for Holding<T, D> {}

impl<T: Term, D: Directory<T>> Holding<T, D> {
    /// `directory` is the one in `store`.
    fn new(store: Arc<Store<T>>, directory: *const D) -> Self {
        Holding {
            store,
            directory,
            leaves: Vec::new(),
            at: 0,
            prepared: false,
            instant: 0,
        }
    }

    fn shape(&self) -> &Shape {
        &self.store.shape
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

    /// How many of `items` are in a leaf that is held, which has the first.
    fn covered(&self, at: usize, items: &[Item<T>], guard: &Guard) -> usize {
        let (locked, keypos) = (self.adopt(at), self.shape().keypos);
        let body = locked.body(guard);
        items.partition_point(|item| body.covers(&item.probe::<D>(keypos)))
    }

    /// Locks the leaf of the first item; answers how many of the items it has. Items come in the
    /// order of the leaves, so two list inserts never wait for each other in a circle.
    fn lock(&mut self, items: &[Item<T>], guard: &Guard) -> Result<usize, Contended> {
        let Some(first) = items.first() else {
            return Ok(0);
        };
        let probe = first.probe::<D>(self.shape().keypos);
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
    fn is_there(&mut self, item: &Item<T>, guard: &Guard) -> bool {
        let keypos = self.shape().keypos;
        let probe = item.probe::<D>(keypos);
        self.go_to(&probe, guard);
        let locked = self.adopt(self.at);
        let body = locked.body(guard);
        let group = body.group(&probe, keypos, Intact::LOCKED, guard);
        group.is_ok_and(|slots| !slots.is_empty())
    }

    /// All leaves are locked: the change happens now.
    fn begin(&mut self) {
        self.rewind();
        self.instant = self.directory().snapshots().instant();
    }

    /// Puts the first item in its leaf. Answers whether that was frozen first, which takes its time.
    fn put(&mut self, items: &[Item<T>], guard: &Guard) -> bool {
        let Some(item) = items.first() else {
            return false;
        };
        let probe = item.probe::<D>(self.shape().keypos);
        self.go_to(&probe, guard);
        let mut has_frozen = false;
        if !std::mem::replace(&mut self.prepared, true) {
            let snapshots = self.directory().snapshots();
            has_frozen = snapshots.freeze(&mut self.adopt(self.at), self.instant, guard);
            self.prepare(items, guard);
        }
        loop {
            let (shape, mut locked) = (self.shape(), self.adopt(self.at));
            let context = shape.context();
            let put = shape.put(&mut locked.group(probe, context, guard), item.source());
            let Err(Full) = put else { return has_frozen };
            let entries = locked.body(guard).len() + 1;
            if !locked.make_room(entries, context, guard) {
                self.split([item, item], guard);
                self.go_to(&probe, guard);
            }
        }
    }

    /// Sees to it that the leaf at work is large enough for the items that it is going to have, but
    /// no larger than if none of them were new. Items come in the order of the slots: a leaf that
    /// grew with them would have them crowd together in its front.
    fn prepare(&mut self, items: &[Item<T>], guard: &Guard) {
        let bounds = &self.shape().bounds;
        let window = &items[..items.len().min(2 * bounds.hash_leaf)];
        loop {
            let (shape, mut locked) = (self.shape(), self.adopt(self.at));
            let coming = &window[..self.covered(self.at, window, guard)];
            let entries = slots(shape, coming);
            let body = locked.body(guard);
            if entries <= body.len() || body.has_room(entries) {
                return;
            }
            let [Some(first), Some(last)] = [coming.first(), coming.last()] else {
                return;
            };
            let (context, ends) = (shape.context(), [first, last]);
            let probes = ends.map(|item| item.probe::<D>(context.keypos));
            if !self
                .directory()
                .splits_ahead(body, entries, &probes, context)
            {
                locked.make_room(entries, context, guard);
                return;
            }
            self.split(ends, guard);
            self.go_to(&probes[0], guard);
        }
    }

    /// Splits the leaf at work, which is too small for what comes from one item to the other.
    fn split(&mut self, ends: [&Item<T>; 2], guard: &Guard) {
        let (shape, mut locked) = (self.shape(), self.adopt(self.at));
        let probes = ends.map(|item| item.probe::<D>(shape.keypos));
        let directory = self.directory();
        let upper = directory.split(&mut locked, &probes, shape.context(), guard);
        if let Some(leaf) = upper.map(LockedOf::<T, D>::keep) {
            self.leaves.insert(self.at + 1, leaf);
        }
    }

    /// Makes the leaf that has `probe` the one at work.
    fn go_to(&mut self, probe: &ProbeOf<T, D>, guard: &Guard) {
        while !self.adopt(self.at).body(guard).covers(probe) {
            self.at += 1;
            self.prepared = false;
        }
    }

    fn rewind(&mut self) {
        self.at = 0;
        self.prepared = false;
    }

    /// Lets go of the lock taken last; false when none is left.
    fn unlock_one(&mut self) -> bool {
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
fn slots<T: Term>(shape: &Shape, items: &[Item<T>]) -> usize {
    let most = match shape.kind {
        Kind::Set | Kind::OrderedSet => 1,
        Kind::Bag | Kind::DuplicateBag => shape.bounds.run,
    };
    items
        .chunk_by(|one, two| one.rank == two.rank)
        .map(|group| if group.len() > most { 1 } else { group.len() })
        .sum()
}

/// A list insert that is handled in one go. The objects are the caller's.
///
/// Should an operation on one of them panic when the first is in the table, then the rest is put there
/// while the panic goes on, but for what fails again.
pub(crate) struct Batch<T: Term, D: Directory<T>> {
    items: Vec<Item<T>>,
    holding: Holding<T, D>,
    /// Items that are in the table; `None` before the first is put there.
    put: Option<usize>,
}

impl<T: Term, D: Directory<T>> Batch<T, D> {
    /// `directory` is the one in `store`.
    pub fn of(store: Arc<Store<T>>, directory: &D, objects: &[T]) -> Self {
        let keypos = store.shape.keypos;
        let mut items: Vec<_> = objects
            .iter()
            .map(|&object| Item::of::<D>(object, keypos, false))
            .collect();
        items.sort_by(|one, two| one.cmp::<D>(two, keypos));
        Batch {
            items,
            holding: Holding::new(store, directory),
            put: None,
        }
    }

    pub fn run(mut self, mode: BulkMode, guard: &Guard) -> Result<bool, Contended> {
        let (items, holding) = (&self.items, &mut self.holding);
        let mut locked = 0;
        while locked < items.len() {
            locked += holding.lock(&items[locked..], guard)?;
        }
        if mode == BulkMode::InsertNew && items.iter().any(|item| holding.is_there(item, guard)) {
            return Ok(false);
        }
        holding.begin();
        for at in 0..items.len() {
            self.put = Some(at);
            holding.put(&items[at..], guard);
        }
        self.put = None;
        Ok(true)
    }
}

impl<T: Term, D: Directory<T>> Drop for Batch<T, D> {
    fn drop(&mut self) {
        let Some(put) = self.put else { return };
        for at in put..self.items.len() {
            let put = || self.holding.put(&self.items[at..], &pin());
            let _ = catch_unwind(AssertUnwindSafe(put));
        }
    }
}

/// A list insert in steps: push all objects, then step until it is done.
///
/// Dropping it before it began to put objects in the table lets go of its locks, and nothing has
/// happened. After that ([`Bulk::must_finish`]) dropping it puts in the rest, however long it takes.
pub struct Bulk<T: Term>(AnyWork<T>);

enum AnyWork<T: Term> {
    Hash(Work<T, HashDirectory<T>>),
    Ordered(Work<T, OrderedDirectory<T>>),
}

macro_rules! with_work {
    ($bulk:expr, $work:ident => $body:expr) => {
        match $bulk {
            AnyWork::Hash($work) => $body,
            AnyWork::Ordered($work) => $body,
        }
    };
}

impl<T: Term> Bulk<T> {
    pub fn new(table: &Table<T>, mode: BulkMode) -> Self {
        let store = table.hold_store(&pin());
        Bulk(match &store.directory {
            AnyDirectory::Hash(directory) => {
                let directory: *const _ = directory;
                AnyWork::Hash(Work::new(store, directory, mode))
            }
            AnyDirectory::Ordered(directory) => {
                let directory: *const _ = &**directory;
                AnyWork::Ordered(Work::new(store, directory, mode))
            }
            AnyDirectory::HashView(_) | AnyDirectory::OrderedView(_) => read_only(),
        })
    }

    /// Copies an object for the insert; the table does not show it yet.
    pub fn push(&mut self, object: T) {
        with_work!(&mut self.0, work => work.push(object))
    }

    /// Goes on, with at most `budget` objects.
    pub fn step(&mut self, budget: usize) -> Progress {
        with_work!(&mut self.0, work => work.step(budget))
    }

    /// The table has begun to change.
    pub fn must_finish(&self) -> bool {
        with_work!(&self.0, work => matches!(work.phase, Phase::Put(_) | Phase::Unlock(true)))
    }
}

struct Work<T: Term, D: Directory<T>> {
    mode: BulkMode,
    holding: Holding<T, D>,
    /// Objects in blocks, which are ours until they are put in the table.
    blocks: Vec<T>,
    /// Where the copies of flat objects and of others live until they are copied again to the slabs
    /// and pages of their leaves.
    flat: T::Tuples,
    arenas: Vec<T::Arena>,
    /// Sorted portions of the list, the last one not yet sorted.
    portions: Vec<Vec<Item<T>>>,
    /// The whole list, as far as it has been merged.
    sorted: Vec<Item<T>>,
    phase: Phase<T, D>,
}

enum Phase<T: Term, D: Directory<T>> {
    Collect,
    /// The first items of the portions, as far as they are known.
    Line(Vec<Front<T, D>>),
    Merge(BinaryHeap<Front<T, D>>),
    Lock(usize),
    Check(usize),
    Put(usize),
    Unlock(bool),
}

/// The next item of a portion. The greatest of these is the one to take first.
struct Front<T: Term, D: Directory<T>> {
    item: Item<T>,
    portion: usize,
    at: usize,
    keypos: usize,
    _directory: std::marker::PhantomData<fn() -> D>,
}

impl<T: Term, D: Directory<T>> Front<T, D> {
    fn of(portions: &[Vec<Item<T>>], portion: usize, at: usize, keypos: usize) -> Option<Self> {
        Some(Front {
            item: *portions[portion].get(at)?,
            portion,
            at,
            keypos,
            _directory: std::marker::PhantomData,
        })
    }
}

impl<T: Term, D: Directory<T>> Ord for Front<T, D> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.item.cmp::<D>(&other.item, self.keypos);
        order.then(self.portion.cmp(&other.portion)).reverse()
    }
}

impl<T: Term, D: Directory<T>> PartialOrd for Front<T, D> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Term, D: Directory<T>> PartialEq for Front<T, D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Term, D: Directory<T>> Eq for Front<T, D> {}

/// Objects that are sorted at once.
const PORTION: usize = 1024;

impl<T: Term, D: Directory<T>> Work<T, D> {
    fn new(store: Arc<Store<T>>, directory: *const D, mode: BulkMode) -> Self {
        Work {
            mode,
            holding: Holding::new(store, directory),
            blocks: Vec::new(),
            flat: T::Tuples::new(),
            arenas: Vec::new(),
            portions: Vec::new(),
            sorted: Vec::new(),
            phase: Phase::Collect,
        }
    }

    fn keypos(&self) -> usize {
        self.holding.shape().keypos
    }

    fn push(&mut self, object: T) {
        let (object, is_block) = self.copy(object);
        let item = Item::of::<D>(object, self.keypos(), is_block);
        match self.portions.last_mut() {
            Some(portion) if portion.len() < PORTION => portion.push(item),
            _ => {
                self.sort_last();
                let mut portion = Vec::with_capacity(PORTION);
                portion.push(item);
                self.portions.push(portion);
            }
        }
    }

    /// A copy, and whether it is in a block.
    fn copy(&mut self, object: T) -> (T, bool) {
        let elements = object.elements();
        if is_flat(elements) {
            return (self.flat.tuple(elements), false);
        }
        if let Some(bytes) = T::block_bytes(elements) {
            let block = T::new_block(elements, bytes);
            self.blocks.push(block);
            return (block, true);
        }
        let bounds = &self.holding.shape().bounds;
        let full = |arena: &T::Arena| arena.bytes() >= bounds.page_bytes;
        if self.arenas.last().is_none_or(full) {
            self.arenas.push(T::Arena::new());
        }
        let arena = self
            .arenas
            .last()
            .expect("one was just pushed if there was none");
        // SAFETY: the arena is this insert's own.
        (unsafe { arena.copy(object, T::Arena::size(object)) }, false)
    }

    /// From here on all objects go to the table: a list insert that is dropped is finished first.
    fn begin_to_put(&mut self) {
        self.holding.begin();
        self.blocks.clear();
        self.phase = Phase::Put(0);
    }

    fn sort_last(&mut self) {
        let keypos = self.keypos();
        if let Some(portion) = self.portions.last_mut() {
            portion.sort_by(|one, two| one.cmp::<D>(two, keypos));
        }
    }

    fn step(&mut self, mut budget: usize) -> Progress {
        let (guard, keypos) = (&pin(), self.keypos());
        loop {
            match &mut self.phase {
                Phase::Collect => {
                    self.sort_last();
                    let count = self.portions.iter().map(Vec::len).sum();
                    // As long as the caller's list: that ends this call, and not the process.
                    let reserved = self.sorted.try_reserve_exact(count);
                    reserved.expect("memory to line up the objects of a list");
                    self.phase = Phase::Line(Vec::with_capacity(self.portions.len()));
                }
                Phase::Line(fronts) if fronts.len() < self.portions.len() => {
                    let front = Front::of(&self.portions, fronts.len(), 0, keypos);
                    fronts.push(front.expect("no portion is empty"));
                }
                Phase::Line(fronts) => {
                    self.phase = Phase::Merge(std::mem::take(fronts).into());
                }
                Phase::Merge(fronts) => match fronts.pop() {
                    Some(front) => {
                        self.sorted.push(front.item);
                        match Front::of(&self.portions, front.portion, front.at + 1, keypos) {
                            Some(next) => fronts.push(next),
                            None => self.portions[front.portion] = Vec::new(),
                        }
                    }
                    None => self.phase = Phase::Lock(0),
                },
                Phase::Lock(at) if *at < self.sorted.len() => {
                    match self.holding.lock(&self.sorted[*at..], guard) {
                        Ok(locked) => *at += locked,
                        Err(Contended) => return Progress::Contended,
                    }
                }
                Phase::Lock(_) => match self.mode {
                    BulkMode::Insert => self.begin_to_put(),
                    BulkMode::InsertNew => self.phase = Phase::Check(0),
                },
                Phase::Check(at) => match self.sorted.get(*at) {
                    Some(item) if self.holding.is_there(item, guard) => {
                        self.phase = Phase::Unlock(false);
                    }
                    Some(_) => *at += 1,
                    None => self.begin_to_put(),
                },
                Phase::Put(at) if *at < self.sorted.len() => {
                    let has_frozen = self.holding.put(&self.sorted[*at..], guard);
                    *at += 1;
                    if has_frozen {
                        return Progress::Pending;
                    }
                }
                Phase::Put(_) => self.phase = Phase::Unlock(true),
                Phase::Unlock(inserted) => {
                    if !self.holding.unlock_one() {
                        return Progress::Done(*inserted);
                    }
                }
            }
            budget = budget.saturating_sub(1);
            if budget == 0 {
                return Progress::Pending;
            }
        }
    }
}

impl<T: Term, D: Directory<T>> Drop for Work<T, D> {
    fn drop(&mut self) {
        while matches!(self.phase, Phase::Put(_)) {
            // The objects are copies, which do not fail. If one did, another panic here would end the VM.
            let finish = || self.step(usize::MAX);
            if catch_unwind(AssertUnwindSafe(finish)).is_err() {
                break;
            }
        }
        let blocks = std::mem::take(&mut self.blocks);
        let blocks: Vec<Block<T>> = blocks.into_iter().map(Block).collect();
        if blocks.len() > PORTION || self.arenas.len() > 4 {
            discard((blocks, std::mem::take(&mut self.arenas)));
        }
    }
}
