//! Snapshots: a table as it was at one instant, while it goes on changing.
//!
//! Snapshots are numbered in the order of their instants. A leaf has a *stamp*, the number of the
//! snapshot that it was last made ready to be changed after. So a snapshot sees a leaf as it is if its
//! stamp is less than the snapshot's number. Before a leaf whose stamp is less than the newest
//! snapshot's is changed, a copy of it is *frozen* for the snapshots in between, and then it is
//! stamped. A snapshot that comes to a leaf with a stamp that is not less finds the leaf that had the
//! key at its instant among its frozen ones: whatever has become of a leaf since, splits, joins and all,
//! it was stamped before, and so are those that came from it.
//!
//! The *clock* is the number of the last snapshot that was taken. Taking one makes its number known
//! to all of its tables, and then advances the clock: that is its instant. A writer that holds the
//! locks of all leaves that it is going to change looks at the number and, if it is news, at the clock;
//! its change comes before a snapshot that it does not see there, and nobody sees anything of the
//! leaves until it is done.

use std::sync::Arc;
use std::sync::atomic::{self, Ordering::Relaxed};

use crossbeam_epoch::{Guard, default_collector, pin};
use once_cell::sync::OnceCell;
use smallvec::SmallVec;

use crate::cursor::{Position, Walk};
use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::directory::{Directory, HeldDirectory, LeafOf, Leaves, ProbeOf};
use crate::discard::discard;
use crate::hint::Generation;
use crate::leaf::{Body, Direction, Leaf, Locked, Seek};
use crate::lock::{Contended, Intact, Torn};
use crate::sync::{AtomicU64, Mutex, Ordering, SkipList, fence, global};
use crate::table::{AnyDirectory, Store, Table, with_leaves};
use crate::term::Term;

/// The clock, and the lock of those who advance it.
struct Clock {
    number: AtomicU64,
    taking: Mutex<()>,
}

global! {
    static CLOCK: Clock = Clock {
        number: AtomicU64::new(0),
        taking: Mutex::new(()),
    };
}

/// Keeps the clock from advancing: while this lives, no snapshot is taken.
pub(crate) fn hold_clock() -> impl Drop {
    CLOCK.taking.lock()
}

/// The number of the last snapshot that was taken.
pub(crate) fn clock() -> u64 {
    CLOCK.number.load(Ordering::SeqCst)
}

/// The snapshots of a directory.
pub(crate) struct Snapshots<T: Term, B: Body<T>> {
    /// The number of the newest one; its instant may still be to come.
    newest: AtomicU64,
    taken: Mutex<Vec<Arc<Frozen<T, B>>>>,
}

impl<T: Term, B: Body<T>> Snapshots<T, B> {
    pub fn none() -> Self {
        Snapshots {
            newest: AtomicU64::new(0),
            taken: Mutex::new(Vec::new()),
        }
    }

    /// Makes a leaf ready to be changed, whose lock the caller has just taken.
    #[inline]
    pub fn prepare(&self, locked: &mut Locked<'_, T, B>, guard: &Guard) {
        // Whoever does not see a snapshot here took the lock before the snapshot's instant, and whoever
        // reads the snapshot sees the lock taken: see `VersionLock::lock`.
        if locked.stamp() < self.newest.load(Ordering::SeqCst) {
            self.freeze(locked, self.instant(), guard);
        }
    }

    /// The instant of a change of leaves whose locks the caller has taken: see [`Snapshots::freeze`].
    pub fn instant(&self) -> u64 {
        let newest = self.newest.load(Ordering::SeqCst);
        newest.min(clock())
    }

    /// The same of a change of several tables, when the [`clock`] was read that all locks were taken
    /// before.
    pub fn instant_by(&self, clock: u64) -> u64 {
        self.newest.load(Ordering::SeqCst).min(clock)
    }

    /// As [`Snapshots::prepare`], for one of the leaves of a change of that instant. Answers whether there
    /// was something to do.
    pub fn freeze(&self, locked: &mut Locked<'_, T, B>, instant: u64, guard: &Guard) -> bool {
        let stamp = locked.stamp();
        if stamp >= instant {
            return false;
        }
        let seeing: SmallVec<[_; 4]> = {
            let taken = self.taken.lock();
            let sees = |frozen: &&Arc<Frozen<T, B>>| (stamp + 1..=instant).contains(&frozen.number);
            taken.iter().filter(sees).map(Arc::clone).collect()
        };
        if !seeing.is_empty() {
            let leaf = Arc::new(locked.frozen(guard));
            for frozen in &seeing {
                frozen.add(Arc::clone(&leaf), guard);
            }
        }
        locked.set_stamp(instant);
        !seeing.is_empty()
    }

    /// Whether any snapshot is kept.
    pub fn any(&self) -> bool {
        self.newest.load(Ordering::Relaxed) > 0 && !self.taken.lock().is_empty()
    }

    fn begin(&self, number: u64) -> Arc<Frozen<T, B>> {
        let frozen = Arc::new(Frozen::new(number));
        self.taken.lock().push(Arc::clone(&frozen));
        self.newest.store(number, Ordering::SeqCst);
        frozen
    }

    fn end(&self, frozen: &Arc<Frozen<T, B>>) {
        let is_another = |other: &Arc<_>| !Arc::ptr_eq(other, frozen);
        self.taken.lock().retain(is_another);
    }
}

/// Leaves by where they begin.
type FrozenLeaves<T, B> = SkipList<<B as Body<T>>::Low, Arc<Leaf<T, B>>>;

/// The frozen leaves that a snapshot sees.
struct Frozen<T: Term, B: Body<T>> {
    number: u64,
    leaves: Option<FrozenLeaves<T, B>>,
    bytes: atomic::AtomicUsize,
}

impl<T: Term, B: Body<T>> Frozen<T, B> {
    fn new(number: u64) -> Self {
        Frozen {
            number,
            leaves: Some(SkipList::new(default_collector().clone())),
            bytes: atomic::AtomicUsize::new(0),
        }
    }

    fn leaves(&self) -> &FrozenLeaves<T, B> {
        self.leaves.as_ref().expect("they are there until the end")
    }

    fn add(&self, leaf: Arc<Leaf<T, B>>, guard: &Guard) {
        self.bytes.fetch_add(leaf.frozen_bytes(), Relaxed);
        let low = leaf.body(guard).low();
        self.leaves().get_or_insert(low, leaf, guard).release(guard);
    }

    fn leaf_at<'g>(&'g self, seek: &Seek<B::Probe>, guard: &'g Guard) -> Option<&'g Leaf<T, B>> {
        let found = self.leaves().upper_bound(B::bound(seek).as_ref(), guard)?;
        Some(&**found.value())
    }
}

impl<T: Term, B: Body<T>> Drop for Frozen<T, B> {
    /// The last to know it may be a writer.
    fn drop(&mut self) {
        if let Some(leaves) = self.leaves.take()
            && *self.bytes.get_mut() > 0
        {
            discard(leaves);
        }
    }
}

/// The directory of a snapshot: the leaves that it sees.
pub(crate) struct View<T: Term, D: Directory<T>> {
    directory: HeldDirectory<T, D>,
    frozen: Arc<Frozen<T, D::Body>>,
    len: OnceCell<usize>,
}

impl<T: Term, D: Directory<T>> View<T, D> {
    fn new(store: &Arc<Store<T>>, directory: &D, number: u64) -> Self {
        View {
            directory: HeldDirectory::new(Arc::clone(store), directory),
            frozen: directory.snapshots().begin(number),
            len: OnceCell::new(),
        }
    }

    /// From here on no leaf is frozen for it.
    pub fn end(&self) {
        self.directory.snapshots().end(&self.frozen);
    }

    pub fn bytes(&self) -> usize {
        self.frozen.bytes.load(Relaxed)
    }

    /// Whether what is in the leaf now is what the snapshot shows.
    #[inline]
    fn shows(&self, leaf: &LeafOf<T, Self>) -> bool {
        leaf.stamp() < self.frozen.number
    }

    /// The number of objects.
    pub fn len(&self, keypos: usize) -> usize {
        let walk = Walk {
            directory: self,
            keypos,
            direction: Direction::Forward,
        };
        *self.len.get_or_init(|| {
            let (mut len, mut from) = (0, Some(Position::start()));
            let guard = &pin();
            while let Some(position) = from.take() {
                match walk.count(position.clone(), guard) {
                    Ok((count, next)) => {
                        len += count;
                        from = next;
                    }
                    Err(Contended) => {
                        std::thread::yield_now();
                        from = Some(position);
                    }
                }
            }
            len
        })
    }
}

impl<T: Term, D: Directory<T>> Leaves<T> for View<T, D> {
    type Body = D::Body;

    /// Its leaves are removed by those who change the table.
    fn generation(&self) -> Option<&Generation> {
        None
    }

    fn leaf<'g>(&'g self, probe: &ProbeOf<T, Self>, guard: &'g Guard) -> &'g LeafOf<T, Self> {
        self.leaf_at(&Seek::From(*probe), guard)
    }

    fn leaf_at<'g>(
        &'g self,
        seek: &Seek<ProbeOf<T, Self>>,
        guard: &'g Guard,
    ) -> &'g LeafOf<T, Self> {
        let leaf = self.directory.leaf_at(seek, guard);
        if self.shows(leaf) {
            return leaf;
        }
        self.frozen.leaf_at(seek, guard).unwrap_or(leaf)
    }

    fn read<'g, R>(
        &self,
        leaf: &LeafOf<T, Self>,
        guard: &'g Guard,
        covers: impl Fn(&D::Body) -> bool,
        read: impl FnMut(&'g D::Body, Intact<'_>) -> Result<R, Torn>,
    ) -> Result<Option<R>, Contended> {
        let read = leaf.read(guard, |body| self.shows(leaf) && covers(body), read)?;
        Ok(read.map(|(result, _)| result))
    }
}

impl<T: Term, D: Directory<T>> Drop for View<T, D> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T: Term> Table<T> {
    /// The tables as they are at one instant, in tables that are read only and do not change. `None`
    /// where one of them is a snapshot itself.
    ///
    /// It takes the same time for any number of objects, and holds back no writer. As long as a snapshot
    /// lives, the leaves that are changed are kept as they were.
    pub fn snapshot(tables: &[&Self]) -> Option<Vec<Self>> {
        Self::numbered_snapshot(tables).map(|(snapshots, _)| snapshots)
    }

    /// The same, with its number.
    pub(crate) fn numbered_snapshot(tables: &[&Self]) -> Option<(Vec<Self>, u64)> {
        let guard = &pin();
        let _taking = hold_clock();
        let number = CLOCK.number.load(Ordering::Relaxed) + 1;
        let snapshots: Option<Vec<Self>> = tables
            .iter()
            .map(|table| {
                let store = table.hold_store(guard);
                let directory = match &store.directory {
                    AnyDirectory::Hash(directory) => {
                        AnyDirectory::HashView(View::new(&store, directory, number))
                    }
                    AnyDirectory::Ordered(directory) => {
                        AnyDirectory::OrderedView(View::new(&store, &**directory, number))
                    }
                    _ => return None,
                };
                Some(table.with_directory_of_its_own(directory))
            })
            .collect();
        CLOCK.number.store(number, Ordering::SeqCst);
        // A writer that does not see the number has its lock by now, and whoever reads the snapshot from here on
        // sees that lock.
        fence(Ordering::SeqCst);
        Some((snapshots?, number))
    }

    /// Whether this is a snapshot.
    pub fn is_snapshot(&self) -> bool {
        self.store(&pin()).directory.is_view()
    }

    /// Whether there is a snapshot of this table, for which leaves are frozen.
    pub fn has_snapshots(&self) -> bool {
        match &self.store(&pin()).directory {
            AnyDirectory::Hash(directory) => directory.snapshots().any(),
            AnyDirectory::Ordered(directory) => directory.snapshots().any(),
            _ => false,
        }
    }

    /// The snapshot is going to be dropped, and no longer read: no leaf is frozen for it any more.
    pub fn end_snapshot(&self) {
        match &self.store(&pin()).directory {
            AnyDirectory::HashView(view) => view.end(),
            AnyDirectory::OrderedView(view) => view.end(),
            _ => {}
        }
    }

    /// The number of objects in some of the leaves from `from` on, and where to go on.
    pub fn count<'g>(
        &self,
        from: Position<'g, T>,
        guard: &'g Guard,
    ) -> Result<(usize, Option<Position<'g, T>>), Contended> {
        with_leaves!(self.store(guard), directory => {
            self.walk(directory, Direction::Forward).count(from, guard)
        })
    }
}

/// Directories of which there are snapshots.
pub(crate) type HashView<T> = View<T, HashDirectory<T>>;
pub(crate) type OrderedView<T> = View<T, OrderedDirectory<T>>;
