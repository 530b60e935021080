//! List inserts: all objects at one instant.
//!
//! The leaves of all objects are locked, in their order; then the objects are put there; then the
//! locks are let go. A reader sees the table before or after. A short list is handled in one go
//! ([`Batch`]), a long one in steps ([`Bulk`]), between which the locks stay held.

mod item;
mod putting;
mod sorting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_epoch::{Guard, pin};
use smallvec::smallvec;

use crate::changes::{Key, Keys, Together};
use crate::directory::Directory;
use crate::directory::ProbeOf;
use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::holding::Holding;
use crate::leaf::Probe;
use crate::lock::Contended;
use crate::object::is_flat;
use crate::table::{AnyDirectory, Store, Table, read_only};
use crate::term::{Arena, Term, Tuples};
use item::{Item, ItemOf};
use putting::Pieces;
use sorting::Sorting;

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

/// A list insert that is handled in one go. The objects are the caller's.
///
/// Should an operation on one of them panic when the first is in the table, then the rest is put there
/// while the panic goes on, but for what fails again.
pub(crate) struct Batch<T: Term, D: Directory<T>> {
    items: Vec<ItemOf<T, D>>,
    holding: Holding<T, D>,
    /// Items that are in the table; `None` before the first is put there.
    put: Option<usize>,
}

impl<T: Term, D: Directory<T>> Batch<T, D> {
    /// `directory` is the one in `store`.
    pub fn of(store: Arc<Store<T>>, directory: &D, objects: &[T]) -> Self {
        let keypos = store.shape.keypos;
        let objects = objects.iter().enumerate();
        let items = objects.map(|(at, &object)| Item::of::<D>(object, keypos, false, at));
        let mut items: Vec<ItemOf<T, D>> = items.collect();
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
        let keypos = holding.shape().keypos;
        holding.begin(|| Together::of(items.iter().map(|item| item.key(keypos))));
        for at in 0..items.len() {
            self.put = Some(at);
            holding.put_first(&items[at..], guard);
        }
        self.put = None;
        Ok(true)
    }
}

impl<T: Term, D: Directory<T>> Drop for Batch<T, D> {
    fn drop(&mut self) {
        let Some(put) = self.put else { return };
        for at in put..self.items.len() {
            let put = || self.holding.put_first(&self.items[at..], &pin());
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
            _ => read_only(),
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
    /// Where the copies of flat objects and of others live until they are copied again to the slabs
    /// and pages of their leaves. Those in blocks are ours until they are put in the table.
    flat: T::Tuples,
    arenas: Vec<T::Arena>,
    sorting: Sorting<T, <ProbeOf<T, D> as Probe<T>>::Rank>,
    /// The whole list, when it is sorted. A piece that is in the table is empty.
    sorted: Vec<Vec<ItemOf<T, D>>>,
    /// Copies of the keys, where changes are recorded.
    keys: Keys<T>,
    phase: Phase,
}

enum Phase {
    Sort,
    Lock(Place),
    Check(Place),
    Mark(Place),
    Put(Place),
    Unlock(bool),
}

/// How many items of the sorted list are done with.
#[derive(Clone, Copy, Default)]
struct Place {
    pieces: usize,
    items: usize,
}

impl Place {
    /// What is left of a piece.
    fn rest<I>(self, sorted: &[Vec<I>]) -> Option<&[I]> {
        sorted.get(self.pieces).map(|piece| &piece[self.items..])
    }

    /// Answers whether a piece has come to its end.
    fn advance<I>(&mut self, by: usize, sorted: &[Vec<I>]) -> bool {
        self.items += by;
        let is_over = self.items == sorted[self.pieces].len();
        if is_over {
            *self = Place {
                pieces: self.pieces + 1,
                items: 0,
            };
        }
        is_over
    }
}

impl<T: Term, D: Directory<T>> Work<T, D> {
    fn new(store: Arc<Store<T>>, directory: *const D, mode: BulkMode) -> Self {
        Work {
            mode,
            holding: Holding::new(store, directory),
            flat: T::Tuples::new(),
            arenas: Vec::new(),
            sorting: Sorting::new(),
            sorted: Vec::new(),
            keys: Keys::new(),
            phase: Phase::Sort,
        }
    }

    fn keypos(&self) -> usize {
        self.holding.shape().keypos
    }

    fn push(&mut self, object: T) {
        let (object, is_block) = self.copy(object);
        let arrival = self.sorting.pushed();
        let keypos = self.keypos();
        let item = Item::of::<D>(object, keypos, is_block, arrival);
        self.sorting
            .push(item, |one, two| one.cmp::<D>(two, keypos));
    }

    /// A copy, and whether it is in a block.
    fn copy(&mut self, object: T) -> (T, bool) {
        let elements = object.elements();
        if is_flat(elements) {
            return (self.flat.tuple(elements), false);
        }
        if let Some(bytes) = T::block_bytes(elements) {
            return (T::new_block(elements, bytes), true);
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
        let keys = std::mem::take(&mut self.keys);
        self.holding.begin(|| Together::Many(Arc::new(keys)));
        self.phase = Phase::Put(Place::default());
    }

    fn step(&mut self, mut budget: usize) -> Progress {
        let (guard, keypos) = (&pin(), self.keypos());
        loop {
            let done = match &mut self.phase {
                Phase::Sort => match self.sorting.step(|one, two| one.cmp::<D>(two, keypos)) {
                    Some(sorted) => sorted,
                    None => {
                        self.sorted = self.sorting.take_sorted();
                        self.phase = Phase::Lock(Place::default());
                        1
                    }
                },
                Phase::Lock(place) => match place.rest(&self.sorted) {
                    Some(items) => match self.holding.lock(items, guard) {
                        Ok(locked) => {
                            place.advance(locked, &self.sorted);
                            1
                        }
                        Err(Contended) => return Progress::Contended,
                    },
                    None => {
                        self.phase = match self.mode {
                            BulkMode::Insert => Phase::Mark(Place::default()),
                            BulkMode::InsertNew => Phase::Check(Place::default()),
                        };
                        1
                    }
                },
                Phase::Check(place) => {
                    match place.rest(&self.sorted) {
                        Some([item, ..]) if self.holding.is_there(item, guard) => {
                            self.phase = Phase::Unlock(false);
                        }
                        Some(_) => {
                            place.advance(1, &self.sorted);
                        }
                        None => self.phase = Phase::Mark(Place::default()),
                    }
                    1
                }
                Phase::Mark(place) => {
                    let is_recorded = self.holding.shape().changes().is_some();
                    match place.rest(&self.sorted).filter(|_| is_recorded) {
                        Some(items) => {
                            self.keys.push(Key::new(items[0].key(keypos)));
                            place.advance(1, &self.sorted);
                        }
                        None => self.begin_to_put(),
                    }
                    1
                }
                Phase::Put(place) => match place.rest(&self.sorted) {
                    Some(items) => {
                        let mut pieces: Pieces<'_, T, D> = smallvec![items];
                        let mut coming = items.len();
                        for piece in &self.sorted[place.pieces + 1..] {
                            if coming >= self.holding.most() {
                                break;
                            }
                            coming += piece.len();
                            pieces.push(piece);
                        }
                        let frozen = self.holding.prepare(&pieces, guard);
                        let put = self.holding.put(items, guard);
                        drop(pieces);
                        let piece = place.pieces;
                        if place.advance(put, &self.sorted) {
                            self.sorted[piece] = Vec::new();
                        }
                        if frozen {
                            return Progress::Pending;
                        }
                        put
                    }
                    None => {
                        self.phase = Phase::Unlock(true);
                        1
                    }
                },
                Phase::Unlock(inserted) => {
                    if !self.holding.unlock_one() {
                        return Progress::Done(*inserted);
                    }
                    1
                }
            };
            budget = budget.saturating_sub(done.max(1));
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
        // The blocks are the table's.
        if let Phase::Put(_) | Phase::Unlock(true) = self.phase {
            return;
        }
        let items = std::mem::replace(&mut self.sorting, Sorting::new()).into_items();
        let sorted = std::mem::take(&mut self.sorted).into_iter().flatten();
        items
            .chain(sorted)
            .filter_map(Item::into_block)
            .for_each(drop);
    }
}
