//! Tables: the operations, each on one key and atomic, but for those that say otherwise.

use std::ops::Range;
use std::sync::{Arc, atomic};

use crossbeam_epoch::{Guard, pin};
use smallvec::SmallVec;

use crate::bulk::{Batch, BulkMode};
use crate::changes::Changes;
use crate::cursor::{Position, StepError, Walk};
use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::directory::{Directory, Leaves, ProbeOf};
use crate::discard::Unread;
use crate::leaf::{Body, Context, Direction, Full, Group, Probe, Seek, collect, key_of};
use crate::lock::{Contended, Intact, Torn};
use crate::object::Object;
use crate::objects::Objects;
use crate::page::Source;
use crate::snapshot::{HashView, OrderedView, hold_clock};
use crate::sync::{AtomicPtr, Ordering, fence};
use crate::term::Term;
use crate::transaction::{HashWatch, OrderedWatch};
use crate::usage::Usage;

/// How a table treats objects with equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One object a key; keys match.
    Set,
    /// One object a key, in term order; keys compare equal.
    OrderedSet,
    /// Different objects under a key.
    Bag,
    /// Any objects under a key.
    DuplicateBag,
}

/// Sizes at which things are split, closed or built differently.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Slots of a hash leaf before it is split, at least 8.
    pub hash_leaf: usize,
    /// Entries of an ordered leaf before it is split, at least 8.
    pub ordered_leaf: usize,
    /// Leaves of a branch of an ordered directory before it is split, at least 2.
    pub branch: usize,
    /// Objects that are put in one page.
    pub page_objects: u32,
    /// Bytes that are put in one page.
    pub page_bytes: usize,
    /// Bytes from which an object has a page of its own.
    pub large_object: usize,
    /// Objects of one key before they become a run.
    pub run: usize,
    /// Objects of a run before it is indexed.
    pub run_index: usize,
    /// Pages of a run that are listed together.
    pub run_chunk: usize,
    /// Leaves of a table before its cores count apart.
    pub spread: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            hash_leaf: 2048,
            ordered_leaf: 256,
            branch: 256,
            page_objects: 128,
            page_bytes: 32 << 10,
            large_object: 4 << 10,
            run: 16,
            run_index: 256,
            run_chunk: 128,
            spread: 8,
        }
    }
}

/// Why an object was not updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateError<E> {
    Contended,
    /// The change was refused; the object is what it was.
    Rejected(E),
}

impl<E> From<Contended> for UpdateError<E> {
    fn from(Contended: Contended) -> Self {
        UpdateError::Contended
    }
}

/// The elements of an object that is being changed.
pub type Elements<T> = SmallVec<[T; 8]>;

/// What an update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    Object,
    Default,
}

/// What never changes about a table.
pub(crate) struct Shape<T: Term> {
    pub kind: Kind,
    pub keypos: usize,
    pub bounds: Bounds,
    pub changes: Option<Box<Changes<T>>>,
}

impl<T: Term> Shape<T> {
    /// The marks of changes, where they are recorded.
    #[inline]
    pub fn changes(&self) -> Option<&Changes<T>> {
        let changes = self.changes.as_deref();
        changes.filter(|changes| changes.is_on())
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            keypos: self.keypos,
            bounds: &self.bounds,
        }
    }

    /// What inserting an object does to the objects of its key.
    pub fn put<B: Body<T>>(
        &self,
        group: &mut Group<'_, '_, '_, T, B>,
        source: Source<'_, T>,
    ) -> Result<(), Full> {
        match (self.kind, source) {
            (Kind::Set | Kind::OrderedSet, _) if !group.is_empty() => group.replace(source),
            (Kind::Bag, Source::Object(object) | Source::Block(object))
                if group.contains(object) =>
            {
                source.discard();
            }
            _ => group.push(source)?,
        }
        Ok(())
    }
}

/// The contents of a table; `delete_all_objects` puts an empty one in their place.
pub(crate) struct Store<T: Term> {
    /// Stores are locked in the order of these, by those who lock several.
    pub number: u64,
    pub shape: Arc<Shape<T>>,
    pub directory: AnyDirectory<T>,
    pub usage: Arc<Usage>,
}

pub(crate) enum AnyDirectory<T: Term> {
    Hash(HashDirectory<T>),
    Ordered(Box<OrderedDirectory<T>>),
    /// Those of snapshots, which are read only.
    HashView(HashView<T>),
    OrderedView(OrderedView<T>),
    /// Those of watches, which are too.
    HashWatch(HashWatch<T>),
    OrderedWatch(OrderedWatch<T>),
}

impl<T: Term> AnyDirectory<T> {
    /// Neither a snapshot's nor a watch's.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Hash(_) | Self::Ordered(_))
    }

    pub fn is_view(&self) -> bool {
        matches!(self, Self::HashView(_) | Self::OrderedView(_))
    }
}

impl<T: Term> Store<T> {
    fn next_number() -> u64 {
        static NEXT: atomic::AtomicU64 = atomic::AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn new(shape: Arc<Shape<T>>) -> Self {
        let usage = Arc::default();
        let directory = match shape.kind {
            Kind::OrderedSet => AnyDirectory::Ordered(Box::new(OrderedDirectory::new(&usage))),
            _ => AnyDirectory::Hash(HashDirectory::new(&usage)),
        };
        Store {
            number: Self::next_number(),
            shape,
            directory,
            usage,
        }
    }
}

/// A concurrent table of objects, which are tuples.
///
/// Readers take no lock and write to no shared memory. A change locks one leaf for microseconds.
pub struct Table<T: Term> {
    shape: Arc<Shape<T>>,
    /// From `Arc::into_raw`.
    store: AtomicPtr<Store<T>>,
}

/// Runs the same code on either directory, to change it.
macro_rules! with_directory {
    ($store:expr, $directory:ident => $body:expr) => {
        match &$store.directory {
            AnyDirectory::Hash($directory) => $body,
            AnyDirectory::Ordered($directory) => {
                let $directory = &**$directory;
                $body
            }
            _ => $crate::table::read_only(),
        }
    };
}

pub(crate) use with_directory;

#[cold]
pub(crate) fn read_only() -> ! {
    panic!("a snapshot or a watch does not change")
}

/// Runs the same code on either directory, or a snapshot's, to read it; or other code for the kinds
/// that are ordered.
macro_rules! with_leaves {
    ($store:expr, $directory:ident => $body:expr) => {
        $crate::table::with_leaves!($store, hash $directory => $body, ordered $directory => $body)
    };
    ($store:expr, hash $hash:ident => $of_hash:expr, ordered $ordered:ident => $of_ordered:expr) => {
        match &$store.directory {
            AnyDirectory::Hash($hash) => $of_hash,
            AnyDirectory::Ordered($ordered) => {
                let $ordered = &**$ordered;
                $of_ordered
            }
            AnyDirectory::HashView($hash) => $of_hash,
            AnyDirectory::OrderedView($ordered) => $of_ordered,
            AnyDirectory::HashWatch($hash) => $of_hash,
            AnyDirectory::OrderedWatch($ordered) => $of_ordered,
        }
    };
}

pub(crate) use with_leaves;

impl<T: Term> Table<T> {
    /// A table whose objects have their key at `keypos`, counted from 1.
    pub fn new(kind: Kind, keypos: usize) -> Self {
        Self::with_bounds(kind, keypos, Bounds::default())
    }

    pub fn with_bounds(kind: Kind, keypos: usize, bounds: Bounds) -> Self {
        Self::of_shape(Shape {
            kind,
            keypos,
            bounds,
            changes: None,
        })
    }

    /// A table whose [changes](Table::changes) are recorded from [`Table::record`] on.
    pub fn recording(kind: Kind, keypos: usize, bounds: Bounds) -> Self {
        Self::of_shape(Shape {
            kind,
            keypos,
            bounds,
            changes: Some(Box::new(Changes::new())),
        })
    }

    fn of_shape(shape: Shape<T>) -> Self {
        let shape = Arc::new(shape);
        let store = Arc::new(Store::new(Arc::clone(&shape)));
        Table {
            shape,
            store: AtomicPtr::new(Arc::into_raw(store).cast_mut()),
        }
    }

    pub fn kind(&self) -> Kind {
        self.shape.kind
    }

    pub fn keypos(&self) -> usize {
        self.shape.keypos
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        let guard = &pin();
        let store = self.store(guard);
        match &store.directory {
            AnyDirectory::HashView(view) => view.len(self.keypos()),
            AnyDirectory::OrderedView(view) => view.len(self.keypos()),
            _ => store.usage.objects(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the table holds, its own structures included. Of a snapshot, those of the leaves
    /// that were set aside for it, with what they still share with the table.
    pub fn bytes(&self) -> usize {
        let guard = &pin();
        let store = self.store(guard);
        let held = match &store.directory {
            AnyDirectory::HashView(view) => view.bytes(),
            AnyDirectory::OrderedView(view) => view.bytes(),
            _ => store.usage.bytes(),
        };
        size_of::<Self>() + size_of::<Store<T>>() + held
    }

    pub fn member(&self, key: T, guard: &Guard) -> Result<bool, Contended> {
        with_leaves!(self.store(guard), directory => {
            read(directory, key, self.shape.keypos, guard, |_, slots, _| Ok(!slots.is_empty()))
        })
    }

    pub fn lookup<'g>(&self, key: T, guard: &'g Guard) -> Result<Objects<'g, T>, Contended> {
        let mut found = Objects::none();
        self.lookup_into(&mut found, key, guard)?;
        Ok(found)
    }

    /// As [`Table::lookup`], for callers that nanoseconds matter to.
    #[inline(always)]
    pub fn lookup_into<'g>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<(), Contended> {
        with_leaves!(self.store(guard), directory => {
            read(directory, key, self.shape.keypos, guard, |body, slots, intact| {
                collect(body, slots, intact, guard, found)
            })
        })
    }

    pub fn insert(&self, object: T, guard: &Guard) -> Result<(), Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, self.key(object), guard, |group| {
                self.shape.put(group, Source::Object(object))
            })
        })
    }

    /// Inserts only if no object has the key; answers whether it did.
    pub fn insert_new(&self, object: T, guard: &Guard) -> Result<bool, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, self.key(object), guard, |group| {
                if !group.is_empty() {
                    return Ok(false);
                }
                group.push(Source::Object(object))?;
                Ok(true)
            })
        })
    }

    /// Inserts all objects at one instant; with [`BulkMode::InsertNew`] only if none of their
    /// keys is there. For as many objects as are handled in one go; see [`crate::Bulk`] for more.
    pub fn insert_all(
        &self,
        objects: &[T],
        mode: BulkMode,
        guard: &Guard,
    ) -> Result<bool, Contended> {
        if let ([object], BulkMode::Insert) = (objects, mode) {
            return self.insert(*object, guard).map(|()| true);
        }
        with_directory!(self.store(guard), directory => {
            Batch::of(self.hold_store(guard), directory, objects).run(mode, guard)
        })
    }

    pub fn delete(&self, key: T, guard: &Guard) -> Result<(), Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, key, guard, |group| {
                group.clear();
                Ok(())
            })
        })
    }

    /// Deletes the objects that match `object`; answers how many.
    pub fn delete_object(&self, object: T, guard: &Guard) -> Result<usize, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, self.key(object), guard, |group| Ok(group.remove(object)))
        })
    }

    /// The same for a sweep, which marks what it has changed in the end.
    pub(crate) fn delete_object_unmarked(
        &self,
        object: T,
        guard: &Guard,
    ) -> Result<usize, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit_with(None, directory, self.key(object), guard, |group| {
                Ok(group.remove(object))
            })
        })
    }

    /// Replaces one object that matches `old`, this very one if it is there, by one with the same
    /// key; answers whether there was one.
    pub fn exchange(&self, old: T, new: T, guard: &Guard) -> Result<bool, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, self.key(old), guard, |group| {
                Ok(group.exchange(old, Source::Object(new)))
            })
        })
    }

    /// The same for a sweep, which marks what it has changed in the end.
    pub(crate) fn exchange_unmarked(
        &self,
        old: T,
        new: T,
        guard: &Guard,
    ) -> Result<bool, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit_with(None, directory, self.key(old), guard, |group| {
                Ok(group.exchange(old, Source::Object(new)))
            })
        })
    }

    /// Deletes a key's objects and answers them.
    pub fn take<'g>(&self, key: T, guard: &'g Guard) -> Result<Objects<'g, T>, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, key, guard, |group| {
                let objects = group.objects();
                group.clear();
                Ok(objects)
            })
        })
    }

    /// Replaces the one object under `key`, or `default` where there is none, by what `change` makes
    /// of its elements; it is told which of the two they are. `None` where there is neither.
    ///
    /// `change` runs under the leaf's lock, at most once.
    pub fn update<R, E>(
        &self,
        key: T,
        default: Option<T>,
        guard: &Guard,
        change: impl FnOnce(&mut Elements<T>, Updated) -> Result<R, E>,
    ) -> Result<Option<R>, UpdateError<E>> {
        let mut change = Some(change);
        let updated = with_directory!(self.store(guard), directory => {
            self.edit(directory, key, guard, |group| {
                let (object, updated) = match (group.only(), default) {
                    (Some(object), _) => (object, Updated::Object),
                    (None, Some(default)) => (default, Updated::Default),
                    (None, None) => return Ok(Ok(None)),
                };
                if updated == Updated::Default && !group.has_room() {
                    return Err(Full);
                }
                let Some(change) = change.take() else { return Ok(Ok(None)) };
                let mut elements = Elements::from_slice(object.elements());
                let result = match change(&mut elements, updated) {
                    Ok(result) => result,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let source = Source::Elements(&elements);
                match updated {
                    Updated::Object => group.replace(source),
                    Updated::Default => group.push(source)?,
                }
                Ok(Ok(Some(result)))
            })
        })?;
        updated.map_err(UpdateError::Rejected)
    }

    /// Replaces one element of the one object under `key` by what `change` makes of it, both of them
    /// immediates, where such an object is written in place. `None` where it is not, or `change`
    /// answers nothing: see [`Table::update`] then, for nothing has happened.
    ///
    /// `change` runs under the leaf's lock, at most once.
    #[inline]
    pub fn write_element(
        &self,
        key: T,
        index: usize,
        guard: &Guard,
        change: impl Fn(T) -> Option<T>,
    ) -> Result<Option<T>, Contended> {
        with_directory!(self.store(guard), directory => {
            self.edit(directory, key, guard, |group| Ok(group.write_element(index, &change)))
        })
    }

    /// Fills in the objects of the first key.
    pub fn first<'g>(&self, found: &mut Objects<'g, T>, guard: &'g Guard) -> Result<(), Contended> {
        with_leaves!(self.store(guard), directory => {
            self.walk(directory, Direction::Forward).step(found, Seek::Start, guard)
        })
    }

    /// Fills in the objects of the last key; in the hash kinds, of the first.
    pub fn last<'g>(&self, found: &mut Objects<'g, T>, guard: &'g Guard) -> Result<(), Contended> {
        with_leaves!(
            self.store(guard),
            hash _directory => self.first(found, guard),
            ordered directory => {
                self.walk(directory, Direction::Backward).step(found, Seek::End, guard)
            }
        )
    }

    /// Fills in the objects of the key behind `key`, which has to be in the table if its kind is a
    /// hash kind.
    pub fn next<'g>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<(), StepError> {
        let is_there = with_leaves!(self.store(guard), directory => {
            self.walk(directory, Direction::Forward).step_from(found, key, guard)?
        });
        match is_there || self.kind() == Kind::OrderedSet {
            true => Ok(()),
            false => Err(StepError::NoSuchKey),
        }
    }

    /// Fills in the objects of the key behind `key`, whether that is in the table or not.
    pub fn behind<'g>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<(), Contended> {
        with_leaves!(self.store(guard), directory => {
            self.walk(directory, Direction::Forward).step_from(found, key, guard)?;
        });
        Ok(())
    }

    /// Fills in the objects of the key before `key`; in the hash kinds, of the one behind it.
    pub fn prev<'g>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<(), StepError> {
        with_leaves!(
            self.store(guard),
            hash _directory => self.next(found, key, guard),
            ordered directory => {
                let walk = self.walk(directory, Direction::Backward);
                walk.step_from(found, key, guard)?;
                Ok(())
            }
        )
    }

    /// Appends objects from `from` on to `out`: about `max`, more only to complete a key of few
    /// objects, fewer before and behind a key of many. Answers where to go on; `None` at the end.
    /// A contended scan may have appended some already: they come again.
    ///
    /// What is in the table throughout a scan is seen exactly once; what is inserted or deleted
    /// meanwhile may be seen or not.
    pub fn scan<'g>(
        &self,
        from: Position<'g, T>,
        direction: Direction,
        max: usize,
        guard: &'g Guard,
        out: &mut Vec<Object<T>>,
    ) -> Result<Option<Position<'g, T>>, Contended> {
        self.scan_until(from, None, direction, max, guard, out)
    }

    /// As [`Table::scan`], and ends at `until`: a forward scan before that key, a backward scan with it.
    /// Hash kinds have no such end.
    pub fn scan_until<'g>(
        &self,
        from: Position<'g, T>,
        until: Option<T>,
        direction: Direction,
        max: usize,
        guard: &'g Guard,
        out: &mut Vec<Object<T>>,
    ) -> Result<Option<Position<'g, T>>, Contended> {
        with_leaves!(
            self.store(guard),
            hash directory => {
                self.walk(directory, Direction::Forward).scan(from, None, max, guard, out)
            },
            ordered directory => {
                let until = until.map(ProbeOf::<T, OrderedDirectory<T>>::of);
                self.walk(directory, direction).scan(from, until.as_ref(), max, guard, out)
            }
        )
    }

    /// Deletes all objects at one instant, whatever their number.
    pub fn clear(&self) -> Discarded<T> {
        let empty = Arc::new(Store::new(Arc::clone(&self.shape)));
        // A snapshot of several tables comes before it or after it in all of them.
        let _no_snapshot = hold_clock();
        // Snapshots and watches are cleared when they end, and the table stays what it is.
        if let Some(changes) = self.shape.changes()
            && self.store(&pin()).directory.is_table()
        {
            changes.mark_all();
        }
        let old = self
            .store
            .swap(Arc::into_raw(empty).cast_mut(), Ordering::AcqRel);
        // Whoever does this and does not see a lock that a commit has taken is seen by that.
        fence(Ordering::SeqCst);
        // SAFETY: the pointer came from `Arc::into_raw`, and the swap gave us its reference.
        Discarded::new(unsafe { Arc::from_raw(old) })
    }

    /// A table of the same shape.
    pub(crate) fn with_directory_of_its_own(&self, directory: AnyDirectory<T>) -> Self {
        let shape = Arc::clone(&self.shape);
        let store = Store {
            number: Store::<T>::next_number(),
            shape: Arc::clone(&shape),
            directory,
            usage: Arc::default(),
        };
        Table {
            shape,
            store: AtomicPtr::new(Arc::into_raw(Arc::new(store)).cast_mut()),
        }
    }

    /// The store, to be held beyond the guard.
    pub(crate) fn hold_store(&self, guard: &Guard) -> Arc<Store<T>> {
        let store: *const Store<T> = self.store(guard);
        // SAFETY: the pointer came from `Arc::into_raw`, and the guard keeps the reference that
        // the table had when it was loaded.
        unsafe {
            Arc::increment_strong_count(store);
            Arc::from_raw(store)
        }
    }

    fn key(&self, object: T) -> T {
        key_of(object, self.shape.keypos)
    }

    #[inline]
    pub(crate) fn store<'g>(&self, _guard: &'g Guard) -> &'g Store<T> {
        // SAFETY: never null; a store that was replaced is dropped after the guards of that time.
        unsafe { &*self.store.load(Ordering::Acquire) }
    }

    pub(crate) fn hold_shape(&self) -> Arc<Shape<T>> {
        Arc::clone(&self.shape)
    }

    pub(crate) fn shape(&self) -> &Shape<T> {
        &self.shape
    }

    pub(crate) fn walk<'a, D>(&self, directory: &'a D, direction: Direction) -> Walk<'a, D> {
        Walk {
            directory,
            keypos: self.shape.keypos,
            direction,
        }
    }

    /// Changes the objects of one key under their leaf's lock. `change` is called again where it
    /// found the leaf full.
    fn edit<'g, D: Directory<T>, R>(
        &self,
        directory: &'g D,
        key: T,
        guard: &'g Guard,
        change: impl FnMut(&mut Group<'_, '_, 'g, T, D::Body>) -> Result<R, Full>,
    ) -> Result<R, Contended> {
        self.edit_with(self.shape.changes(), directory, key, guard, change)
    }

    /// The same, marked in `changes`.
    #[inline(always)]
    fn edit_with<'g, D: Directory<T>, R>(
        &self,
        changes: Option<&Changes<T>>,
        directory: &'g D,
        key: T,
        guard: &'g Guard,
        mut change: impl FnMut(&mut Group<'_, '_, 'g, T, D::Body>) -> Result<R, Full>,
    ) -> Result<R, Contended> {
        let context = self.shape.context();
        let probe = ProbeOf::<T, D>::of(key);
        loop {
            let mut locked = directory.leaf(&probe, guard).lock()?;
            if !locked.body(guard).covers(&probe) {
                continue;
            }
            let marked = changes.map(|changes| changes.mark(key));
            directory.snapshots().prepare(&mut locked, guard);
            if let (Some(changes), Some(number)) = (changes, marked) {
                changes.confirm(key, number);
            }
            let before = locked.body(guard).len();
            match change(&mut locked.group(probe, context, guard)) {
                Ok(result) => {
                    if locked.body(guard).len() < before {
                        directory.merge(locked, context, guard);
                    }
                    return Ok(result);
                }
                Err(Full) => {
                    let entries = locked.body(guard).len() + 1;
                    if !locked.make_room(entries, context, guard) {
                        directory.split(&mut locked, &[probe; 2], context, guard);
                    }
                }
            }
        }
    }
}

/// Reads the group of one key.
#[inline(always)]
fn read<'g, T: Term, D: Leaves<T>, R>(
    directory: &'g D,
    key: T,
    keypos: usize,
    guard: &'g Guard,
    mut read: impl FnMut(&'g D::Body, Range<usize>, Intact<'_>) -> Result<R, Torn>,
) -> Result<R, Contended> {
    let probe = ProbeOf::<T, D>::of(key);
    loop {
        let leaf = directory.leaf(&probe, guard);
        let found = directory.read(
            leaf,
            guard,
            |body| body.covers(&probe),
            |body, intact| {
                let slots = body.group(&probe, keypos, intact, guard)?;
                read(body, slots, intact)
            },
        )?;
        if let Some(result) = found {
            return Ok(result);
        }
    }
}

impl<T: Term> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Arc::into_raw`, and the table ends here.
        drop(Discarded::new(unsafe {
            Arc::from_raw(self.store.load(Ordering::Relaxed))
        }));
    }
}

/// The former contents of a table, which are freed when no reader is at them any more: by the
/// [reaper](crate::set_reaper), or where there is none by whoever drops this, after a wait.
pub struct Discarded<T: Term> {
    _store: Unread<Arc<Store<T>>>,
}

impl<T: Term> Discarded<T> {
    fn new(store: Arc<Store<T>>) -> Self {
        // SAFETY: nobody reaches the store any more but readers that hold a guard now; stores may
        // be dropped on any thread.
        let store = unsafe { Unread::new(store) };
        Discarded { _store: store }
    }
}
