//! The directory of hash leaves: an array over the top bits of the hash, which doubles when a leaf
//! is split that has only one place in it.

use std::sync::Arc;

use crossbeam_epoch::{Atomic, Guard, Owned};

use super::{Directory, Leaves};
use crate::discard::defer_discard;
use crate::hint::Generation;
use crate::leaf::hash::{HashBody, HashProbe, hash_of};
use crate::leaf::{Context, Leaf, Locked, Seek};
use crate::lock::VersionLock;
use crate::snapshot::Snapshots;
use crate::storage::Storage;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering};
use crate::term::Term;
use crate::usage::Usage;

type HashLeaf<T> = Leaf<T, HashBody>;

struct Places<T: Term> {
    /// There are two to this power of them.
    depth: u32,
    leaves: Box<[AtomicPtr<HashLeaf<T>>]>,
}

impl<T: Term> Places<T> {
    #[inline]
    fn index(&self, hash: u64) -> usize {
        // In two steps, since the whole width is not a shift.
        (hash >> 1 >> (u64::BITS - 1 - self.depth)) as usize
    }
}

pub(crate) struct HashDirectory<T: Term> {
    places: Atomic<Places<T>>,
    snapshots: Snapshots<T, HashBody>,
    leaves: AtomicUsize,
    generation: Generation,
    /// Held by those who change the places.
    changing: Mutex<()>,
    usage: Arc<Usage>,
}

impl<T: Term> Leaves<T> for HashDirectory<T> {
    type Body = HashBody;

    #[inline]
    fn generation(&self) -> Option<&Generation> {
        Some(&self.generation)
    }

    #[inline]
    fn leaf<'g>(&'g self, probe: &HashProbe<T>, guard: &'g Guard) -> &'g HashLeaf<T> {
        self.leaf_of(probe.hash, guard)
    }

    fn leaf_at<'g>(&'g self, seek: &Seek<HashProbe<T>>, guard: &'g Guard) -> &'g HashLeaf<T> {
        self.leaf_of(hash_of(seek), guard)
    }
}

impl<T: Term> Directory<T> for HashDirectory<T> {
    fn new(usage: &Arc<Usage>) -> Self {
        let leaf = Box::new(Leaf::new(
            HashBody::empty(),
            Storage::new(usage),
            VersionLock::new(),
        ));
        HashDirectory {
            places: Atomic::new(Places {
                depth: 0,
                leaves: Box::new([AtomicPtr::new(Box::into_raw(leaf))]),
            }),
            snapshots: Snapshots::none(),
            leaves: AtomicUsize::new(1),
            generation: Generation::new(),
            changing: Mutex::new(()),
            usage: Arc::clone(usage),
        }
    }

    #[inline]
    fn snapshots(&self) -> &Snapshots<T, HashBody> {
        &self.snapshots
    }

    fn splits_ahead(
        &self,
        body: &HashBody,
        entries: usize,
        coming: &[HashProbe<T>; 2],
        context: Context<'_>,
    ) -> bool {
        entries > context.bounds.hash_leaf * 4 / 5 && self.is_worth_splitting(body, coming)
    }

    fn split<'g>(
        &'g self,
        full: &mut Locked<'_, T, HashBody>,
        coming: &[HashProbe<T>; 2],
        context: Context<'_>,
        guard: &'g Guard,
    ) -> Option<Locked<'g, T, HashBody>> {
        let body = full.body(guard);
        if !self.is_worth_splitting(body, coming) {
            full.replace_body(body.widened(), guard);
            return None;
        }
        let mut storage = Storage::new(&self.usage);
        let mut renamed = full.storage().renaming();
        // SAFETY: this leaf is locked, and nobody knows the other one yet.
        let hand_on = |entry| unsafe { full.storage().hand_on(entry, &mut storage, &mut renamed) };
        let (lower, upper) = body.split(hand_on);
        full.storage().drop_unused(guard);

        let (prefix, depth) = (upper.prefix(), upper.depth());
        let leaf = Leaf::new(upper, storage, VersionLock::new_locked()).stamped(full.stamp());
        let leaf = Box::into_raw(Box::new(leaf));
        self.place(leaf, prefix, depth, guard);
        full.replace_body(lower, guard);
        full.renew_slab(context.bounds, guard);
        if self.leaves.fetch_add(1, Ordering::Relaxed) >= context.bounds.spread {
            self.usage.spread();
        }
        // SAFETY: leaves live as long as the directory, and this one was made with its lock held.
        Some(unsafe { (*leaf).adopt() })
    }

    /// Hash leaves stay: an empty one takes little.
    fn merge(&self, _: Locked<'_, T, HashBody>, _: Context<'_>, _: &Guard) {}
}

impl<T: Term> HashDirectory<T> {
    #[inline]
    fn leaf_of<'g>(&'g self, hash: u64, guard: &'g Guard) -> &'g HashLeaf<T> {
        let places = self.places(guard);
        let leaf = places.leaves[places.index(hash)].load(Ordering::Acquire);
        // SAFETY: places are never null, and leaves live as long as the directory.
        unsafe { &*leaf }
    }

    #[inline]
    fn places<'g>(&self, guard: &'g Guard) -> &'g Places<T> {
        // SAFETY: never null, and the guard keeps what was loaded.
        unsafe { self.places.load(Ordering::Acquire, guard).deref() }
    }

    /// The directory must not grow far beyond the number of leaves because of keys that were
    /// chosen to have the same leading bits of hash.
    fn is_worth_splitting(&self, body: &HashBody, coming: &[HashProbe<T>; 2]) -> bool {
        let leaves = self.leaves.load(Ordering::Relaxed) as u64;
        body.shared_bits(coming.map(|probe| probe.hash)) < leaves.ilog2() + MOST_EXTRA_BITS
    }

    /// Makes the hashes with these leading bits lead to `leaf`.
    fn place(&self, leaf: *mut HashLeaf<T>, prefix: u64, depth: u32, guard: &Guard) {
        let _changing = self.changing.lock();
        if depth > self.places(guard).depth {
            self.grow(depth, guard);
        }
        let places = self.places(guard);
        let first = places.index(prefix);
        for place in &places.leaves[first..first + (1 << (places.depth - depth))] {
            place.store(leaf, Ordering::Release);
        }
    }

    fn grow(&self, depth: u32, guard: &Guard) {
        let old = self.places(guard);
        let times = 1 << (depth - old.depth);
        let leaves = old
            .leaves
            .iter()
            .flat_map(|leaf| {
                let leaf = leaf.load(Ordering::Relaxed);
                (0..times).map(move |_| AtomicPtr::new(leaf))
            })
            .collect();
        let places = Owned::new(Places { depth, leaves });
        let bytes = size_of_val(&*places.leaves) - size_of_val(&*old.leaves);
        self.usage.add_bytes(bytes as isize);
        let old = self.places.swap(places, Ordering::AcqRel, guard);
        // SAFETY: not null, and no longer reachable but for readers that hold a guard now.
        unsafe { defer_discard(guard, old.into_owned(), bytes) };
    }
}

/// A split makes at most this many more bits of directory than the number of leaves calls for.
const MOST_EXTRA_BITS: u32 = 8;

impl<T: Term> Drop for HashDirectory<T> {
    fn drop(&mut self) {
        // SAFETY: a directory is dropped when nobody can reach it any more.
        let places = unsafe {
            self.places
                .load(Ordering::Relaxed, crossbeam_epoch::unprotected())
        };
        // SAFETY: as above; never null.
        let places = unsafe { places.into_owned() };
        let mut last = std::ptr::null_mut();
        for leaf in &places.leaves {
            let leaf = leaf.load(Ordering::Relaxed);
            // A leaf's places stand side by side.
            if leaf != last {
                // SAFETY: the directory owns its leaves, and each is dropped once.
                drop(unsafe { Box::from_raw(leaf) });
                last = leaf;
            }
        }
    }
}
