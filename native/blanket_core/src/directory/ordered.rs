//! The directory of ordered leaves: a skip list of branches, by the key that each begins at, and in a
//! branch the leaves.
//!
//! A branch may be empty, or its first leaf may begin above where the branch does: leaves were joined
//! to those below. What lies in front of all leaves of a branch is the last leaf's of the one before.

use std::ops::Bound;
use std::sync::Arc;

use crossbeam_epoch::{Atomic, Guard, Owned, default_collector};

use super::branch::{Branch, LeafPointer};
use super::{Directory, Leaves};
use crate::discard::defer_drop;
use crate::hint::Generation;
use crate::leaf::ordered::{Low, OrderedBody, OrderedProbe, Separator, Span};
use crate::leaf::{Body, Context, Entry, Leaf, Locked, Probe, Seek, key_of};
use crate::lock::VersionLock;
use crate::page::Source;
use crate::snapshot::Snapshots;
use crate::storage::Storage;
use crate::sync::{AtomicUsize, Mutex, Ordering, SkipList};
use crate::term::Term;
use crate::usage::Usage;

pub(super) type OrderedLeaf<T> = Leaf<T, OrderedBody<T>>;

/// The branch of a node of the skip list; never null.
struct Place<T: Term>(Atomic<Branch<T>>);

impl<T: Term> Place<T> {
    fn new(branch: Branch<T>) -> Self {
        Place(Atomic::new(branch))
    }

    #[inline]
    fn branch<'g>(&self, guard: &'g Guard) -> &'g Branch<T> {
        // SAFETY: never null, and the guard keeps what was loaded.
        unsafe { self.0.load(Ordering::Acquire, guard).deref() }
    }

    fn replace(&self, branch: Branch<T>, guard: &Guard) {
        let old = self.0.swap(Owned::new(branch), Ordering::AcqRel, guard);
        // SAFETY: not null, and no longer reachable but for readers that hold a guard now.
        unsafe {
            let bytes = old.deref().bytes();
            defer_drop(guard, old.into_owned(), bytes);
        }
    }
}

impl<T: Term> Drop for Place<T> {
    fn drop(&mut self) {
        // SAFETY: a place is dropped when nobody can reach it any more.
        let branch = unsafe {
            let guard = crossbeam_epoch::unprotected();
            self.0.load(Ordering::Relaxed, guard).into_owned()
        };
        for leaf in branch.leaves() {
            // SAFETY: one branch leads to a leaf, and that of a removed place leads to none.
            drop(unsafe { leaf.into_box() });
        }
    }
}

/// A leaf that no branch leads to any more. It is no box before it is dropped: who removed it still holds
/// its lock, and writes to it.
struct Removed<T: Term>(LeafPointer<T>);

impl<T: Term> Drop for Removed<T> {
    fn drop(&mut self) {
        // SAFETY: no branch leads to it, and who made this took it once.
        drop(unsafe { self.0.into_box() });
    }
}

pub(crate) struct OrderedDirectory<T: Term> {
    /// Never empty: the lowest branch stays, as does the lowest leaf.
    branches: SkipList<Low<T>, Place<T>>,
    snapshots: Snapshots<T, OrderedBody<T>>,
    count: AtomicUsize,
    generation: Generation,
    /// Held by those who change branches.
    changing: Mutex<()>,
    usage: Arc<Usage>,
}

impl<T: Term> Leaves<T> for OrderedDirectory<T> {
    type Body = OrderedBody<T>;

    #[inline]
    fn generation(&self) -> Option<&Generation> {
        Some(&self.generation)
    }

    #[inline]
    fn leaf<'g>(&'g self, probe: &OrderedProbe<T>, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        self.last_leaf(Some(probe), true, guard)
    }

    fn leaf_at<'g>(&'g self, seek: &Seek<OrderedProbe<T>>, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        match seek {
            Seek::Start | Seek::Hash(_) => self.lowest_leaf(guard),
            Seek::End => self.last_leaf(None, true, guard),
            Seek::From(probe) | Seek::After(probe) => self.leaf(probe, guard),
            Seek::Before(probe) => self.last_leaf(Some(probe), false, guard),
        }
    }
}

impl<T: Term> Directory<T> for OrderedDirectory<T> {
    fn new(usage: &Arc<Usage>) -> Self {
        let directory = OrderedDirectory {
            branches: SkipList::new(default_collector().clone()),
            snapshots: Snapshots::none(),
            count: AtomicUsize::new(1),
            generation: Generation::new(),
            changing: Mutex::new(()),
            usage: Arc::clone(usage),
        };
        let everything = Span {
            low: None,
            high: None,
        };
        let body = OrderedBody::empty(everything);
        let leaf = LeafPointer::new(Leaf::new(body, Storage::new(usage), VersionLock::new()));
        let guard = &crossbeam_epoch::pin();
        // SAFETY: the leaf was just made.
        let branch = unsafe { Branch::of(Box::new([leaf]), guard) };
        directory.add(Low::LOWEST, branch, guard);
        directory
    }

    #[inline]
    fn snapshots(&self) -> &Snapshots<T, OrderedBody<T>> {
        &self.snapshots
    }

    /// Only the keys that are there can say where.
    fn splits_ahead(
        &self,
        _body: &OrderedBody<T>,
        _entries: usize,
        _coming: &[OrderedProbe<T>; 2],
        _context: Context<'_>,
    ) -> bool {
        false
    }

    fn split<'g>(
        &'g self,
        full: &mut Locked<'_, T, OrderedBody<T>>,
        [probe, _]: &[OrderedProbe<T>; 2],
        context: Context<'_>,
        guard: &'g Guard,
    ) -> Option<Locked<'g, T, OrderedBody<T>>> {
        let (bounds, keypos) = (context.bounds, context.keypos);
        let body = full.body(guard);
        let used = body.used();
        let entries = body.entries(0..used);
        // SAFETY: the leaf is locked, so its words are objects.
        let key = |entry: &Entry| key_of(unsafe { T::from_word(entry.word) }, keypos);
        // Keys that come in ascending order leave full leaves behind.
        let last = entries.last().map(key);
        let ascending = last.is_none_or(|last| probe.key().compare(last).is_gt());
        let (middle, separator) = match ascending {
            true => (used, Separator::new(probe.key(), &self.usage)),
            false => (
                used / 2,
                Separator::new(key(&entries[used / 2]), &self.usage),
            ),
        };
        let separator = Arc::new(separator);
        let lower = Span {
            low: body.span.low.clone(),
            high: Some(Arc::clone(&separator)),
        };
        let upper = Span {
            low: Some(Arc::clone(&separator)),
            high: body.span.high.clone(),
        };

        let mut storage = Storage::new(&self.usage);
        let mut renamed = full.storage().renaming();
        let moved = entries[middle..].iter().map(|&entry| {
            // SAFETY: this leaf is locked, and nobody knows the other one yet.
            unsafe { full.storage().hand_on(entry, &mut storage, &mut renamed) }
        });
        let moved: Vec<Entry> = moved.collect();
        full.storage().drop_unused(guard);

        let room = |used: usize| (used + used / 2).clamp(8, bounds.ordered_leaf);
        let capacity = match ascending {
            true => bounds.ordered_leaf / 2,
            false => room(moved.len()),
        };
        let upper = OrderedBody::build(upper, capacity, &moved, keypos);
        let leaf = Leaf::new(upper, storage, VersionLock::new_locked()).stamped(full.stamp());
        let leaf = LeafPointer::new(leaf);
        // SAFETY: the leaf was just made, and is the one above the leaf that is split and locked.
        unsafe { self.place(leaf, &separator.probe(), bounds.branch, guard) };
        let kept = OrderedBody::build(lower, room(middle), &entries[..middle], keypos);
        full.replace_body(kept, guard);
        full.renew_slab(bounds, guard);
        if self.count.fetch_add(1, Ordering::Relaxed) >= bounds.spread {
            self.usage.spread();
        }
        // SAFETY: the guard keeps the leaf even if it should be removed, and it was made with its
        // lock held.
        Some(unsafe { leaf.leaf(guard).adopt() })
    }

    /// The leaf below takes over a thin one's keys. Leaves are locked from below upwards by those
    /// who wait; so the one below is only tried, and a thin leaf that stays now is found again when
    /// it has become half as thin.
    fn merge(&self, mut thin: Locked<'_, T, OrderedBody<T>>, context: Context<'_>, guard: &Guard) {
        let body = thin.body(guard);
        let most = context.bounds.ordered_leaf;
        if body.used() > most / 8 || !(body.used() == 0 || body.used().is_power_of_two()) {
            return;
        }
        let Some(low) = body.span.low.clone() else {
            return;
        };
        let below = Seek::Before(low.probe());
        let Some(mut lower) = self.leaf_at(&below, guard).try_lock() else {
            return;
        };
        let lower_body = lower.body(guard);
        let used = lower_body.used() + body.used();
        if !lower_body.covers_seek(&below) || used > most / 2 && body.used() > 0 {
            return;
        }
        let instant = self.snapshots.instant();
        self.snapshots.freeze(&mut thin, instant, guard);
        self.snapshots.freeze(&mut lower, instant, guard);
        let mut entries = lower_body.entries(0..lower_body.used());
        let thin_entries = body.entries(0..body.used());
        entries.extend(thin_entries.into_iter().map(|entry| match entry.page {
            Entry::BLOCK => {
                let mut renamed = thin.storage().renaming();
                // SAFETY: both leaves are locked.
                unsafe { thin.storage().hand_on(entry, lower.storage(), &mut renamed) }
            }
            _ => {
                // SAFETY: the leaf is locked, so the word is an object.
                let object = unsafe { T::from_word(entry.word) };
                let (there, _) = lower.put(Source::Object(object), context.bounds);
                thin.storage().forget(entry, guard);
                there
            }
        }));
        let span = Span {
            low: lower_body.span.low.clone(),
            high: body.span.high.clone(),
        };
        let capacity = lower_body.capacity().max(used);
        let widened = OrderedBody::build(span, capacity, &entries, context.keypos);
        lower.replace_body(widened, guard);

        let mut removed = OrderedBody::empty(body.span.clone());
        removed.removed = true;
        thin.replace_body(removed, guard);
        self.generation.advance();
        self.remove(&low.probe(), guard);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Term> OrderedDirectory<T> {
    /// The last leaf that begins before `probe` or, if `included`, at it; the last of all for none.
    #[inline]
    fn last_leaf<'g>(
        &'g self,
        probe: Option<&OrderedProbe<T>>,
        included: bool,
        guard: &'g Guard,
    ) -> &'g OrderedLeaf<T> {
        let mut node = match probe {
            None => self.node(Bound::Unbounded, guard),
            Some(probe) => self.node(Bound::Included(&Low::at(probe)), guard),
        };
        loop {
            let branch = node.1.branch(guard);
            let leaves = match probe {
                None => branch.leaves().len(),
                Some(probe) => branch.count(probe, included, guard),
            };
            if let Some(last) = leaves.checked_sub(1) {
                // SAFETY: the branch was reached under the guard.
                return unsafe { branch.leaves()[last].leaf(guard) };
            }
            node = self.node(Bound::Excluded(node.0), guard);
        }
    }

    fn lowest_leaf<'g>(&'g self, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        let (_, place) = self.node(Bound::Included(&Low::LOWEST), guard);
        // SAFETY: the branch was reached under the guard.
        unsafe { place.branch(guard).leaves()[0].leaf(guard) }
    }

    /// The last branch that begins within `bound`.
    #[inline]
    fn node<'g>(&'g self, bound: Bound<&Low<T>>, guard: &'g Guard) -> (&'g Low<T>, &'g Place<T>) {
        let node = self.branches.upper_bound(bound, guard);
        let node = node.expect("the lowest branch stays, and begins below every key");
        (node.key(), node.value())
    }

    fn add(&self, low: Low<T>, branch: Branch<T>, guard: &Guard) {
        self.usage.add_bytes(branch.bytes() as isize);
        let added = self.branches.get_or_insert(low, Place::new(branch), guard);
        added.release(guard);
    }

    fn replace(&self, place: &Place<T>, branch: Branch<T>, guard: &Guard) {
        let grown = branch.bytes() as isize - place.branch(guard).bytes() as isize;
        self.usage.add_bytes(grown);
        place.replace(branch, guard);
    }

    /// Makes a new leaf known, which begins at `probe`.
    ///
    /// # Safety
    ///
    /// The leaf is alive. The leaf below it is locked, so that neither is removed meanwhile.
    unsafe fn place(
        &self,
        leaf: LeafPointer<T>,
        probe: &OrderedProbe<T>,
        most: usize,
        guard: &Guard,
    ) {
        let _changing = self.changing.lock();
        let (_, place) = self.node(Bound::Included(&Low::at(probe)), guard);
        let branch = place.branch(guard);
        let at = branch.count(probe, true, guard);
        // SAFETY: the caller's promise.
        let grown = unsafe { branch.with(at, leaf, guard) };
        let leaves = grown.leaves();
        if leaves.len() <= most {
            return self.replace(place, grown, guard);
        }
        // Keys that come in ascending order leave full branches behind.
        let middle = match at + 1 == leaves.len() {
            true => at,
            false => leaves.len() / 2,
        };
        let (lower, upper) = leaves.split_at(middle);
        // SAFETY: the caller's promise; the branch led to the others.
        let [lower, upper_branch] =
            [lower, upper].map(|leaves| unsafe { Branch::of(leaves.into(), guard) });
        // SAFETY: as above.
        let first = unsafe { upper[0].leaf(guard) }.body(guard);
        let low = first
            .span
            .low
            .as_ref()
            .expect("only the lowest leaf has none");
        // Both lead to the upper leaves until the lower one is replaced: none of them is removed
        // before that, since `changing` is held.
        self.add(Low::of(low), upper_branch, guard);
        self.replace(place, lower, guard);
    }

    /// Takes out the leaf that begins at `probe`, which is locked.
    fn remove(&self, probe: &OrderedProbe<T>, guard: &Guard) {
        let _changing = self.changing.lock();
        let (begin, place) = self.node(Bound::Included(&Low::at(probe)), guard);
        let branch = place.branch(guard);
        let at = branch.count(probe, true, guard) - 1;
        let leaf = branch.leaves()[at];
        self.replace(place, branch.without(at, guard), guard);
        if branch.leaves().len() == 1 {
            let bytes = place.branch(guard).bytes();
            self.usage.add_bytes(-(bytes as isize));
            if let Some(node) = self.branches.remove(begin, guard) {
                node.release(guard);
            }
        }
        // SAFETY: no branch leads to it any more.
        unsafe { defer_drop(guard, Removed(leaf), size_of::<OrderedLeaf<T>>()) };
    }
}
