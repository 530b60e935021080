//! The directory of ordered leaves: a skip list, by the key that each leaf begins at.

use std::cmp::Ordering as Order;
use std::ops::Bound;
use std::sync::Arc;

use crossbeam_epoch::{Guard, default_collector};

use super::Directory;
use crate::hint::Generation;
use crate::leaf::ordered::{OrderedBody, OrderedProbe, Separator, Span};
use crate::leaf::{Body, Context, Entry, Leaf, Locked, Probe, Rank, Seek, key_of};
use crate::lock::VersionLock;
use crate::page::Source;
use crate::storage::Storage;
use crate::sync::{AtomicUsize, Ordering, SkipList};
use crate::term::Term;
use crate::usage::Usage;

type OrderedLeaf<T> = Leaf<T, OrderedBody<T>>;

/// Where a leaf begins. The encoding's first bytes stand inline: comparing them is most of what
/// a search does.
struct LowKey<T: Term> {
    heads: Rank,
    /// `None` is below every key.
    key: Option<T>,
    /// What the key lives in, but for one that is searched for.
    _separator: Option<Arc<Separator<T>>>,
}

impl<T: Term> LowKey<T> {
    const LOWEST: Self = LowKey {
        heads: [0; 3],
        key: None,
        _separator: None,
    };

    fn of(separator: &Arc<Separator<T>>) -> Self {
        LowKey {
            _separator: Some(Arc::clone(separator)),
            ..Self::sought(&separator.probe())
        }
    }

    fn sought(probe: &OrderedProbe<T>) -> Self {
        LowKey {
            heads: probe.rank(),
            key: Some(probe.key()),
            _separator: None,
        }
    }
}

impl<T: Term> Ord for LowKey<T> {
    #[inline]
    fn cmp(&self, other: &Self) -> Order {
        self.heads
            .cmp(&other.heads)
            .then_with(|| match (self.key, other.key) {
                (Some(one), Some(two)) => one.compare(two),
                (one, two) => one.is_some().cmp(&two.is_some()),
            })
    }
}

impl<T: Term> PartialOrd for LowKey<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl<T: Term> PartialEq for LowKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Term> Eq for LowKey<T> {}

pub(crate) struct OrderedDirectory<T: Term> {
    /// Never empty: the lowest leaf stays.
    leaves: SkipList<LowKey<T>, OrderedLeaf<T>>,
    count: AtomicUsize,
    generation: Generation,
    usage: Arc<Usage>,
}

impl<T: Term> Directory<T> for OrderedDirectory<T> {
    type Body = OrderedBody<T>;

    fn new(usage: &Arc<Usage>) -> Self {
        let directory = OrderedDirectory {
            leaves: SkipList::new(default_collector().clone()),
            count: AtomicUsize::new(1),
            generation: Generation::new(),
            usage: Arc::clone(usage),
        };
        let everything = Span {
            low: None,
            high: None,
        };
        let body = OrderedBody::empty(everything);
        let leaf = Leaf::new(body, Storage::new(usage), VersionLock::new());
        let guard = &crossbeam_epoch::pin();
        directory
            .leaves
            .get_or_insert(LowKey::LOWEST, leaf, guard)
            .release(guard);
        directory
    }

    #[inline]
    fn generation(&self) -> &Generation {
        &self.generation
    }

    #[inline]
    fn leaf<'g>(&'g self, probe: &OrderedProbe<T>, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        self.last_leaf(Bound::Included(&LowKey::sought(probe)), guard)
    }

    fn leaf_at<'g>(&'g self, seek: &Seek<OrderedProbe<T>>, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        match seek {
            Seek::Start | Seek::Hash(_) => self.last_leaf(Bound::Included(&LowKey::LOWEST), guard),
            Seek::End => self.last_leaf(Bound::Unbounded, guard),
            Seek::From(probe) | Seek::After(probe) => self.leaf(probe, guard),
            Seek::Before(probe) => self.last_leaf(Bound::Excluded(&LowKey::sought(probe)), guard),
        }
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
        let ascending = probe.key().compare(key(&entries[used - 1])).is_gt();
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
        let upper = OrderedBody::build(upper, room(moved.len()), &moved, keypos);
        let leaf = Leaf::new(upper, storage, VersionLock::new_locked());
        let low = LowKey::of(&separator);
        let added = self.leaves.get_or_insert(low, leaf, guard);
        let leaf: *const OrderedLeaf<T> = added.value();
        added.release(guard);
        let kept = OrderedBody::build(lower, room(middle), &entries[..middle], keypos);
        full.replace_body(kept, guard);
        full.renew_slab(bounds, guard);
        if self.count.fetch_add(1, Ordering::Relaxed) >= bounds.spread {
            self.usage.spread();
        }
        // SAFETY: the guard keeps the leaf even if it should be removed, and it was made with its
        // lock held.
        Some(unsafe { (*leaf).adopt() })
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
        let low = LowKey::of(&low);
        self.generation.advance();
        if let Some(entry) = self.leaves.remove(&low, guard) {
            entry.release(guard);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<T: Term> OrderedDirectory<T> {
    /// The last leaf that begins within `bound`.
    #[inline]
    fn last_leaf<'g>(&'g self, bound: Bound<&LowKey<T>>, guard: &'g Guard) -> &'g OrderedLeaf<T> {
        self.leaves
            .upper_bound(bound, guard)
            .or_else(|| self.leaves.front(guard))
            .expect("the lowest leaf stays")
            .value()
    }
}
