//! Ordered leaves: dense arrays in the order of the keys.
//!
//! A leaf has the keys from its low bound up to its high bound. The bytes that both bounds'
//! encodings share are shared by every key between them, so heads begin behind those. Heads stand
//! in an array of their own: a search reads few cache lines, and follows no word unless heads are
//! equal.

use std::cmp::Ordering as Order;
use std::ops::{Bound, Range};
use std::sync::Arc;

use crossbeam_epoch::Guard;

use super::{Body, Context, Direction, Entry, Probe, Seek, key_of};
use crate::lock::{Intact, Torn};
use crate::page::{OwnedTerm, PageIndex};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::term::{Encoding, Term};
use crate::usage::Usage;

#[derive(Clone, Copy)]
pub(crate) struct OrderedProbe<T> {
    pub encoding: Encoding,
    key: T,
}

/// The first bytes of a key's encoding.
pub(crate) type Rank = [u64; 3];

impl<T: Term> Probe<T> for OrderedProbe<T> {
    type Rank = Rank;

    #[inline(always)]
    fn of(key: T) -> Self {
        OrderedProbe {
            encoding: Encoding::of(key),
            key,
        }
    }

    fn ranked(_rank: Rank, key: T) -> Self {
        Self::of(key)
    }

    fn key(&self) -> T {
        self.key
    }

    fn rank(&self) -> Rank {
        [0, 8, 16].map(|skip| self.encoding.head(skip))
    }

    fn tie(one: T, two: T) -> Order {
        one.compare(two)
    }
}

/// A key that separates two leaves: the first that may stand in the upper one.
pub(crate) struct Separator<T: Term> {
    pub encoding: Encoding,
    key: OwnedTerm<T>,
    usage: Arc<Usage>,
}

impl<T: Term> Separator<T> {
    pub fn new(key: T, usage: &Arc<Usage>) -> Self {
        let separator = Separator {
            encoding: Encoding::of(key),
            key: OwnedTerm::new(key),
            usage: Arc::clone(usage),
        };
        usage.add_bytes(separator.bytes() as isize);
        separator
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.bytes()
    }

    /// Valid while `self` lives.
    pub fn key(&self) -> T {
        self.key.term()
    }

    pub fn probe(&self) -> OrderedProbe<T> {
        OrderedProbe {
            encoding: self.encoding,
            key: self.key(),
        }
    }

    /// Where this stands, seen from `probe`.
    #[inline]
    pub fn order(&self, probe: &OrderedProbe<T>) -> Order {
        match self.encoding.compare(&probe.encoding) {
            Order::Equal => self.key().compare(probe.key),
            order => order,
        }
    }

    #[inline]
    fn is_above(&self, probe: &OrderedProbe<T>) -> bool {
        self.order(probe).is_gt()
    }
}

impl<T: Term> Drop for Separator<T> {
    fn drop(&mut self) {
        self.usage.add_bytes(-(self.bytes() as isize));
    }
}

/// Where a leaf's keys begin and end; `None` is the end of the order.
#[derive(Clone)]
pub(crate) struct Span<T: Term> {
    pub low: Option<Arc<Separator<T>>>,
    pub high: Option<Arc<Separator<T>>>,
}

impl<T: Term> Span<T> {
    /// The number of leading bytes that the encodings of all keys in the span share.
    fn skip(&self) -> usize {
        match (&self.low, &self.high) {
            (Some(low), Some(high)) => low.encoding.common(&high.encoding),
            _ => 0,
        }
    }
}

/// Where a leaf, or a branch of them, begins.
pub(crate) struct Low<T: Term> {
    encoding: Encoding,
    /// `None` is below every key.
    key: Option<T>,
    /// What the key lives in, but for one that is searched for.
    separator: Option<Arc<Separator<T>>>,
}

impl<T: Term> Low<T> {
    pub const LOWEST: Self = Low {
        encoding: Encoding::EMPTY,
        key: None,
        separator: None,
    };

    pub fn of(separator: &Arc<Separator<T>>) -> Self {
        Low {
            separator: Some(Arc::clone(separator)),
            ..Self::at(&separator.probe())
        }
    }

    #[inline]
    pub fn at(probe: &OrderedProbe<T>) -> Self {
        Low {
            encoding: probe.encoding,
            key: Some(probe.key),
            separator: None,
        }
    }
}

impl<T: Term> Ord for Low<T> {
    #[inline]
    fn cmp(&self, other: &Self) -> Order {
        let order = self.encoding.compare(&other.encoding);
        order.then_with(|| match (self.key, other.key) {
            (Some(one), Some(two)) => one.compare(two),
            (one, two) => one.is_some().cmp(&two.is_some()),
        })
    }
}

impl<T: Term> PartialOrd for Low<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl<T: Term> PartialEq for Low<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Term> Eq for Low<T> {}

pub(crate) struct OrderedBody<T: Term> {
    pub span: Span<T>,
    /// The leaf was taken out of the directory; its span belongs to the leaf below.
    pub removed: bool,
    /// The leading words of the encoding that the span ends at: they decide for nearly all keys.
    high: Rank,
    skip: usize,
    len: AtomicUsize,
    heads: Box<[AtomicU64]>,
    /// Objects' words, with the page's index in the bits that no address uses.
    objects: Box<[AtomicU64]>,
}

/// The end of a span that ends with the order of all keys.
const ENDLESS: Rank = [u64::MAX; 3];

impl<T: Term> OrderedBody<T> {
    const SMALLEST: usize = 8;

    pub fn empty(span: Span<T>) -> Self {
        Self::build(span, Self::SMALLEST, &[], 1)
    }

    /// A body of `entries`, which are in order.
    pub fn build(span: Span<T>, capacity: usize, entries: &[Entry], keypos: usize) -> Self {
        let skip = span.skip();
        let high = span.high.as_ref().map(|high| high.probe().rank());
        let numbers = |len| (0..len).map(|_| AtomicU64::new(0)).collect();
        let body = OrderedBody {
            span,
            removed: false,
            high: high.unwrap_or(ENDLESS),
            skip,
            len: AtomicUsize::new(entries.len()),
            heads: numbers(capacity),
            objects: numbers(capacity),
        };
        for (slot, &entry) in entries.iter().enumerate() {
            // SAFETY: the caller holds the lock of the leaf that the entries come from.
            let key = key_of(unsafe { T::from_word(entry.word) }, keypos);
            body.put(slot, Encoding::of(key).head(skip), entry);
        }
        body
    }

    /// The same entries and others, each with its head and the slot that it is to be put in front of.
    fn rebuilt(&self, others: impl Iterator<Item = (usize, u64, Entry)>, capacity: usize) -> Self {
        let body = Self::build(self.span.clone(), capacity, &[], 1);
        let mut others = others.peekable();
        let mut len = 0;
        let mut push = |head, entry| {
            body.put(len, head, entry);
            len += 1;
        };
        for slot in 0..self.used() {
            while let Some((_, head, entry)) = others.next_if(|(before, ..)| *before <= slot) {
                push(head, entry);
            }
            push(self.heads[slot].load(Ordering::Relaxed), self.at(slot));
        }
        others.for_each(|(_, head, entry)| push(head, entry));
        body.len.store(len, Ordering::Relaxed);
        body
    }

    pub fn entries(&self, slots: Range<usize>) -> Vec<Entry> {
        slots.map(|slot| self.at(slot)).collect()
    }

    pub fn capacity(&self) -> usize {
        self.heads.len()
    }

    pub fn used(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the greatest key below `probe` would be in this leaf.
    fn covers_below(&self, probe: &OrderedProbe<T>) -> bool {
        let above_low = match &self.span.low {
            None => true,
            Some(low) => low.key().compare(probe.key).is_lt(),
        };
        let high_is_below = |high: &Arc<Separator<T>>| high.key().compare(probe.key).is_lt();
        !self.removed && above_low && !self.span.high.as_ref().is_some_and(high_is_below)
    }

    /// The key's slot, or the one where it would be.
    fn search(
        &self,
        probe: &OrderedProbe<T>,
        keypos: usize,
        intact: Intact<'_>,
    ) -> Result<Result<usize, usize>, Torn> {
        let head = probe.encoding.head(self.skip);
        // Torn lengths must not lead out of the arrays.
        let len = self.used().min(self.capacity());
        let heads = &self.heads[..len];
        // Keys that come in their order go behind the last leaf's last.
        if self.high == ENDLESS
            && let Some(last) = heads.last()
            && last.load(Ordering::Relaxed) < head
        {
            return Ok(Err(len));
        }
        let mut low = heads.partition_point(|there| there.load(Ordering::Relaxed) < head);
        let is_equal = |there: &AtomicU64| there.load(Ordering::Relaxed) == head;
        let mut high = match heads.get(low..low + 2) {
            // Keys of few bytes have heads of their own.
            Some([one, two]) if !is_equal(two) => low + usize::from(is_equal(one)),
            _ => low + heads[low..].partition_point(is_equal),
        };
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.at(middle);
            intact.check()?;
            // SAFETY: the leaf was intact, so the word is an object.
            let key = key_of(unsafe { T::from_word(entry.word) }, keypos);
            match probe.key.compare(key) {
                Order::Less => high = middle,
                Order::Equal => return Ok(Ok(middle)),
                Order::Greater => low = middle + 1,
            }
        }
        Ok(Err(low))
    }

    #[inline]
    fn at(&self, slot: usize) -> Entry {
        let object = self.objects[slot].load(Ordering::Relaxed);
        Entry {
            word: object & ADDRESS_MASK,
            page: (object >> ADDRESS_BITS) as PageIndex,
        }
    }

    fn put(&self, slot: usize, head: u64, entry: Entry) {
        self.heads[slot].store(head, Ordering::Relaxed);
        self.objects[slot].store(packed(entry), Ordering::Relaxed);
    }
}

/// Objects are on a heap, and user space ends below this many bits on the machines that the BEAM
/// runs on.
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

fn packed(entry: Entry) -> u64 {
    assert!(
        entry.word <= ADDRESS_MASK,
        "an address of more than 48 bits"
    );
    entry.word | u64::from(entry.page) << ADDRESS_BITS
}

/// Copies `range` of `words` one place up or down.
fn shift(words: &[AtomicU64], range: Range<usize>, up: bool) {
    let copy = |from: &AtomicU64, to: &AtomicU64| {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    if up {
        let pairs = words[range.start..range.end + 1].windows(2).rev();
        pairs.for_each(|pair| copy(&pair[0], &pair[1]));
    } else {
        let pairs = words[range.start - 1..range.end].windows(2);
        pairs.for_each(|pair| copy(&pair[1], &pair[0]));
    }
}

impl<T: Term> Body<T> for OrderedBody<T> {
    const MERGING: usize = 24;

    type Probe = OrderedProbe<T>;
    type Low = Low<T>;

    fn low(&self) -> Low<T> {
        self.span.low.as_ref().map_or(Low::LOWEST, Low::of)
    }

    fn begins_at(&self, low: &Low<T>) -> bool {
        match (&self.span.low, &low.separator) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        }
    }

    fn at_low(low: &Low<T>) -> Seek<OrderedProbe<T>> {
        match &low.separator {
            Some(separator) => Seek::From(separator.probe()),
            None => Seek::Start,
        }
    }

    fn bound(seek: &Seek<OrderedProbe<T>>) -> Bound<Low<T>> {
        match seek {
            Seek::Start | Seek::Hash(_) => Bound::Included(Low::LOWEST),
            Seek::End => Bound::Unbounded,
            Seek::From(probe) | Seek::After(probe) => Bound::Included(Low::at(probe)),
            Seek::Before(probe) => Bound::Excluded(Low::at(probe)),
        }
    }

    /// The directory answers no leaf whose keys begin above what it was asked for, and where a
    /// leaf's keys begin never changes: so only their end is looked at.
    #[inline]
    fn covers(&self, probe: &OrderedProbe<T>) -> bool {
        let ends_above = match probe.rank().cmp(&self.high) {
            Order::Less => true,
            Order::Equal | Order::Greater => {
                let high = self.span.high.as_ref();
                high.is_none_or(|high| high.is_above(probe))
            }
        };
        !self.removed && ends_above
    }

    fn covers_seek(&self, seek: &Seek<OrderedProbe<T>>) -> bool {
        match seek {
            Seek::Start | Seek::Hash(_) => !self.removed,
            Seek::End => !self.removed && self.span.high.is_none(),
            Seek::From(probe) | Seek::After(probe) => self.covers(probe),
            Seek::Before(probe) => self.covers_below(probe),
        }
    }

    fn beyond(&self, direction: Direction) -> Option<Seek<OrderedProbe<T>>> {
        match direction {
            Direction::Forward => self.span.high.as_ref().map(|high| Seek::From(high.probe())),
            Direction::Backward => self.span.low.as_ref().map(|low| Seek::Before(low.probe())),
        }
    }

    fn same_group(
        &self,
        _slot: usize,
        _other: usize,
        _keypos: usize,
        _intact: Intact<'_>,
        _guard: &Guard,
    ) -> Result<bool, Torn> {
        Ok(false)
    }

    #[inline]
    fn group(
        &self,
        probe: &OrderedProbe<T>,
        keypos: usize,
        intact: Intact<'_>,
        _guard: &Guard,
    ) -> Result<Range<usize>, Torn> {
        Ok(match self.search(probe, keypos, intact)? {
            Ok(slot) => slot..slot + 1,
            Err(slot) => slot..slot,
        })
    }

    fn seek(
        &self,
        from: &Seek<OrderedProbe<T>>,
        keypos: usize,
        intact: Intact<'_>,
        _guard: &Guard,
    ) -> Result<usize, Torn> {
        Ok(match from {
            Seek::Start | Seek::Hash(_) => 0,
            Seek::End => self.used(),
            Seek::After(probe) => match self.search(probe, keypos, intact)? {
                Ok(slot) => slot + 1,
                Err(slot) => slot,
            },
            Seek::From(probe) | Seek::Before(probe) => match self.search(probe, keypos, intact)? {
                Ok(slot) | Err(slot) => slot,
            },
        })
    }

    /// Only a key of this leaf shares the bytes that its heads leave out.
    fn until(
        &self,
        key: &OrderedProbe<T>,
        keypos: usize,
        intact: Intact<'_>,
    ) -> Result<usize, Torn> {
        let Span { low, high } = &self.span;
        if low.as_ref().is_some_and(|low| low.is_above(key)) {
            return Ok(0);
        }
        if high.as_ref().is_some_and(|high| !high.is_above(key)) {
            return Ok(self.slots());
        }
        match self.search(key, keypos, intact)? {
            Ok(slot) | Err(slot) => Ok(slot),
        }
    }

    fn slots(&self) -> usize {
        self.used().min(self.capacity())
    }

    #[inline]
    fn entry(&self, slot: usize) -> Option<Entry> {
        Some(self.at(slot))
    }

    fn len(&self) -> usize {
        self.used()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<u64>() * self.capacity()
    }

    fn has_room(&self, entries: usize) -> bool {
        entries <= self.capacity()
    }

    fn set(&self, slot: usize, entry: Entry) {
        self.objects[slot].store(packed(entry), Ordering::Relaxed);
    }

    fn insert(&self, slot: usize, probe: &OrderedProbe<T>, entry: Entry) {
        let len = self.used();
        shift(&self.heads, slot..len, true);
        shift(&self.objects, slot..len, true);
        self.put(slot, probe.encoding.head(self.skip), entry);
        self.len.store(len + 1, Ordering::Relaxed);
    }

    fn remove(&self, slot: usize) {
        let len = self.used();
        shift(&self.heads, slot + 1..len, false);
        shift(&self.objects, slot + 1..len, false);
        self.len.store(len - 1, Ordering::Relaxed);
    }

    fn grown(&self, entries: usize, context: Context<'_>) -> Option<Self> {
        let most = context.bounds.ordered_leaf;
        let capacity = entries.max(self.capacity() * 2).min(most);
        (self.capacity() < most).then(|| self.rebuilt(std::iter::empty(), capacity))
    }

    fn copied(&self, mut entry: impl FnMut(Entry) -> Entry) -> Self {
        let copy = |numbers: &AtomicU64| AtomicU64::new(numbers.load(Ordering::Relaxed));
        let used = self.used();
        OrderedBody {
            span: self.span.clone(),
            removed: self.removed,
            high: self.high,
            skip: self.skip,
            len: AtomicUsize::new(used),
            heads: self.heads[..used].iter().map(copy).collect(),
            objects: (0..used)
                .map(|slot| AtomicU64::new(packed(entry(self.at(slot)))))
                .collect(),
        }
    }

    fn room(&self, context: Context<'_>) -> usize {
        context.bounds.ordered_leaf.saturating_sub(self.used())
    }

    fn head(&self, probe: &OrderedProbe<T>) -> u64 {
        probe.encoding.head(self.skip)
    }

    fn merged(
        &self,
        others: impl Iterator<Item = (usize, u64, Entry)>,
        entries: usize,
        context: Context<'_>,
    ) -> Self {
        let capacity = entries.min(context.bounds.ordered_leaf);
        self.rebuilt(others, capacity.max(self.capacity()))
    }

    fn shrunk(&self) -> Option<Self> {
        let (len, capacity) = (self.used(), self.capacity());
        (capacity > Self::SMALLEST && len * 8 < capacity).then(|| {
            let capacity = (len * 2).max(Self::SMALLEST);
            self.rebuilt(std::iter::empty(), capacity)
        })
    }
}
