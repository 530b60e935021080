//! Hash leaves: a gapped array in the order of the hashes.
//!
//! An entry's home is its hash, scaled to the array; it stands there or to the right of it, behind
//! neighbours with smaller hashes (linear probing kept in hash order). A removal moves those behind
//! it back towards their homes. So it is a hash table, and it is sorted: growing and splitting
//! keep the order, and a traversal can go on at a hash. No slot between an entry's home and its
//! place is vacant.

use std::ops::{Bound, Range};

use crossbeam_epoch::Guard;

use super::{Body, Context, Direction, Entry, Probe, Seek};
use crate::lock::{Intact, Torn};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::term::Term;

/// The part of a hash that entries keep; the other bits of their head are the page's index.
pub(crate) const HASH_BITS: u32 = 48;
const PAGE_MASK: u64 = (1 << (64 - HASH_BITS)) - 1;

#[derive(Clone, Copy)]
pub(crate) struct HashProbe<T> {
    pub hash: u64,
    key: T,
}

impl<T: Term> Probe<T> for HashProbe<T> {
    type Rank = u64;

    #[inline]
    fn of(key: T) -> Self {
        HashProbe {
            hash: key.hash() & !PAGE_MASK,
            key,
        }
    }

    #[inline]
    fn ranked(hash: u64, key: T) -> Self {
        HashProbe { hash, key }
    }

    fn key(&self) -> T {
        self.key
    }

    fn rank(&self) -> u64 {
        self.hash
    }

    fn tie(_one: T, _two: T) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

struct Slot {
    /// Hash and page.
    head: AtomicU64,
    /// The entry's word; 0 where the slot is vacant.
    word: AtomicU64,
}

impl Slot {
    fn vacant() -> Self {
        Slot {
            head: AtomicU64::new(0),
            word: AtomicU64::new(0),
        }
    }
}

pub(crate) struct HashBody {
    /// The leaf has all hashes that begin with these bits of `prefix`.
    depth: u32,
    prefix: u64,
    /// Homes; there are more slots than these, for what the last ones push out.
    capacity: usize,
    len: AtomicUsize,
    slots: Box<[Slot]>,
}

impl HashBody {
    const SMALLEST: usize = 8;

    /// Nearly all entries are as near to their homes as this. Those of keys that come in the order of their hashes,
    /// as from another table, are not: until the leaf is full, they stand side by side.
    const NEAR: usize = 8;

    pub fn empty() -> Self {
        Self::build(0, 0, Self::SMALLEST, std::iter::empty())
    }

    /// A body of `entries`, which are in order.
    fn build(
        depth: u32,
        prefix: u64,
        capacity: usize,
        entries: impl Iterator<Item = (u64, u64)>,
    ) -> Self {
        let slack = 4 + capacity / 16;
        let mut slots: Vec<Slot> = Vec::with_capacity(capacity + slack);
        let mut len = 0;
        for (head, word) in entries {
            let place = scale(head, depth, capacity).max(slots.len());
            slots.resize_with(place, Slot::vacant);
            slots.push(Slot {
                head: AtomicU64::new(head),
                word: AtomicU64::new(word),
            });
            len += 1;
        }
        let total = (capacity + slack).max(slots.len() + slack);
        slots.resize_with(total, Slot::vacant);
        HashBody {
            depth,
            prefix,
            capacity,
            len: AtomicUsize::new(len),
            slots: slots.into_boxed_slice(),
        }
    }

    /// With room for as many again and a half.
    fn roomy(depth: u32, prefix: u64, entries: &[(u64, u64)]) -> Self {
        let capacity = (entries.len() * 2).max(Self::SMALLEST);
        Self::build(depth, prefix, capacity, entries.iter().copied())
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }

    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The first hash behind this leaf's.
    fn end(&self) -> Option<u64> {
        match self.depth {
            0 => None,
            depth => self.prefix.checked_add(1 << (64 - depth)),
        }
    }

    fn covers_hash(&self, hash: u64) -> bool {
        self.depth == 0 || (hash ^ self.prefix) >> (64 - self.depth) == 0
    }

    pub fn hash(&self, slot: usize) -> u64 {
        self.head(slot) & !PAGE_MASK
    }

    /// The number of leading bits that all hashes here, and those of `coming`, share.
    pub fn shared_bits(&self, coming: [u64; 2]) -> u32 {
        let mut occupied = (0..self.slots.len()).filter(|&slot| self.word(slot) != 0);
        let here = [occupied.next(), occupied.next_back()];
        let hashes = here.into_iter().flatten().map(|slot| self.hash(slot));
        let apart = hashes
            .chain(coming)
            .fold(0, |apart, hash| apart | hash ^ coming[0]);
        apart.leading_zeros()
    }

    /// The same entries in twice the memory, whatever the bounds.
    pub fn widened(&self) -> Self {
        Self::build(self.depth, self.prefix, self.capacity * 2, self.occupied())
    }

    /// The two halves of this body. `hand_on` answers an entry as the upper half's leaf has it.
    pub fn split(&self, mut hand_on: impl FnMut(Entry) -> Entry) -> (Self, Self) {
        let depth = self.depth + 1;
        let bit = 1 << (64 - depth);
        let mut entries: Vec<(u64, u64)> = self.occupied().collect();
        let middle = entries.partition_point(|&(head, _)| head & bit == 0);
        for (head, word) in &mut entries[middle..] {
            let moved = hand_on(entry_of(*head, *word));
            *head = *head & !PAGE_MASK | u64::from(moved.page);
            *word = moved.word;
        }
        (
            Self::roomy(depth, self.prefix, &entries[..middle]),
            Self::roomy(depth, self.prefix | bit, &entries[middle..]),
        )
    }

    fn occupied(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.slots.len())
            .map(|slot| (self.head(slot), self.word(slot)))
            .filter(|&(_, word)| word != 0)
    }

    fn home(&self, head: u64) -> usize {
        scale(head, self.depth, self.capacity)
    }

    #[inline]
    fn head(&self, slot: usize) -> u64 {
        self.slots[slot].head.load(Ordering::Relaxed)
    }

    #[inline]
    fn word(&self, slot: usize) -> u64 {
        self.slots[slot].word.load(Ordering::Relaxed)
    }

    /// The first slot from the hash's home on that is vacant or has a hash that is not below it. Up to there,
    /// entries stand in order and without a gap.
    #[cold]
    #[inline(never)]
    fn behind_lower(&self, hash: u64) -> usize {
        let home = self.home(hash).min(self.slots.len());
        let is_lower = |slot: &Slot| {
            slot.word.load(Ordering::Relaxed) != 0
                && slot.head.load(Ordering::Relaxed) & !PAGE_MASK < hash
        };
        home + self.slots[home..].partition_point(is_lower)
    }

    fn put(&self, slot: usize, head: u64, word: u64) {
        self.slots[slot].head.store(head, Ordering::Relaxed);
        self.slots[slot].word.store(word, Ordering::Relaxed);
    }
}

/// The homes for so many entries: a quarter more than these.
fn homes(entries: usize) -> usize {
    (entries * 5).div_ceil(4)
}

#[inline]
fn scale(head: u64, depth: u32, capacity: usize) -> usize {
    let hash = (head & !PAGE_MASK) << depth;
    ((u128::from(hash) * capacity as u128) >> 64) as usize
}

impl<T: Term> Body<T> for HashBody {
    const MERGING: usize = 2;

    type Probe = HashProbe<T>;
    type Low = u64;

    fn low(&self) -> u64 {
        self.prefix
    }

    fn begins_at(&self, low: &u64) -> bool {
        self.prefix == *low
    }

    fn at_low(low: &u64) -> Seek<HashProbe<T>> {
        Seek::Hash(*low)
    }

    fn bound(seek: &Seek<HashProbe<T>>) -> Bound<u64> {
        Bound::Included(hash_of(seek))
    }

    #[inline]
    fn covers(&self, probe: &HashProbe<T>) -> bool {
        self.covers_hash(probe.hash)
    }

    fn covers_seek(&self, seek: &Seek<HashProbe<T>>) -> bool {
        self.covers_hash(hash_of(seek))
    }

    fn beyond(&self, _direction: Direction) -> Option<Seek<HashProbe<T>>> {
        self.end().map(Seek::Hash)
    }

    fn same_group(
        &self,
        slot: usize,
        other: usize,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<bool, Torn> {
        let (Some(one), Some(two)) = (Body::<T>::entry(self, slot), Body::<T>::entry(self, other))
        else {
            return Ok(false);
        };
        if self.hash(slot) != self.hash(other) {
            return Ok(false);
        }
        intact.check()?;
        // SAFETY: the leaf was intact, so the entries are whole.
        let (one, two) = unsafe { (one.key::<T>(keypos, guard), two.key::<T>(keypos, guard)) };
        Ok(one.matches(two))
    }

    #[inline(always)]
    fn group(
        &self,
        probe: &HashProbe<T>,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<Range<usize>, Torn> {
        let mut slot = self.home(probe.hash);
        let mut far = slot + Self::NEAR;
        let mut start = None;
        while slot < self.slots.len() {
            let (head, word) = (self.head(slot), self.word(slot));
            let hash = head & !PAGE_MASK;
            if word == 0 || hash > probe.hash {
                break;
            }
            if hash == probe.hash {
                let entry = entry_of(head, word);
                intact.check()?;
                // SAFETY: the leaf was intact, so the entry is whole.
                let key = unsafe { entry.key::<T>(keypos, guard) };
                if key.matches(probe.key) {
                    start = start.or(Some(slot));
                    // One entry is a run or, in a set, the only one.
                    if entry.page == Entry::RUN {
                        slot += 1;
                        break;
                    }
                } else if start.is_some() || probe.key.compare(key).is_lt() {
                    break;
                }
            } else if slot == far {
                slot = self.behind_lower(probe.hash);
                far = usize::MAX;
                continue;
            }
            slot += 1;
        }
        Ok(start.unwrap_or(slot)..slot)
    }

    fn seek(
        &self,
        from: &Seek<HashProbe<T>>,
        keypos: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<usize, Torn> {
        let hash = match *from {
            Seek::Start | Seek::End => return Ok(0),
            Seek::Hash(hash) => hash,
            Seek::From(probe) => return Ok(self.group(&probe, keypos, intact, guard)?.start),
            Seek::After(probe) | Seek::Before(probe) => {
                return Ok(self.group(&probe, keypos, intact, guard)?.end);
            }
        };
        Ok(self.behind_lower(hash))
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn entry(&self, slot: usize) -> Option<Entry> {
        let word = self.word(slot);
        (word != 0).then(|| entry_of(self.head(slot), word))
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.slots)
    }

    fn has_room(&self, entries: usize) -> bool {
        homes(entries) <= self.capacity && self.word(self.slots.len() - 1) == 0
    }

    fn set(&self, slot: usize, entry: Entry) {
        self.put(slot, self.hash(slot) | u64::from(entry.page), entry.word);
    }

    fn insert(&self, slot: usize, probe: &HashProbe<T>, entry: Entry) {
        let vacant = (slot..self.slots.len()).find(|&slot| self.word(slot) == 0);
        let vacant = vacant.expect("the last slot is vacant where there is room");
        for slot in (slot..vacant).rev() {
            self.put(slot + 1, self.head(slot), self.word(slot));
        }
        self.put(slot, probe.hash | u64::from(entry.page), entry.word);
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, slot: usize) {
        let mut hole = slot;
        for next in slot + 1..self.slots.len() {
            let (head, word) = (self.head(next), self.word(next));
            if word == 0 || self.home(head) == next {
                break;
            }
            self.put(hole, head, word);
            hole = next;
        }
        self.put(hole, 0, 0);
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    fn grown(&self, entries: usize, context: Context<'_>) -> Option<Self> {
        let is_worth_it =
            homes(entries) <= self.capacity || self.capacity < context.bounds.hash_leaf;
        is_worth_it.then(|| Body::<T>::merged(self, std::iter::empty(), entries, context))
    }

    fn room(&self, context: Context<'_>) -> usize {
        let most = self.capacity.max(context.bounds.hash_leaf) * 4 / 5;
        most.saturating_sub(self.len.load(Ordering::Relaxed))
    }

    fn head(&self, probe: &HashProbe<T>) -> u64 {
        probe.hash
    }

    fn merged(
        &self,
        others: impl Iterator<Item = (usize, u64, Entry)>,
        entries: usize,
        context: Context<'_>,
    ) -> Self {
        let (mut capacity, most) = (self.capacity, context.bounds.hash_leaf);
        while homes(entries) > capacity && capacity < most {
            capacity = (capacity * 2).min(most);
        }
        let others =
            others.map(|(slot, hash, entry)| (slot, hash | u64::from(entry.page), entry.word));
        let mut others = others.peekable();
        let mut slots = (0..self.slots.len())
            .filter(|&slot| self.word(slot) != 0)
            .peekable();
        let merged = std::iter::from_fn(|| {
            let next = slots.peek().copied();
            let other = others.next_if(|(before, ..)| next.is_none_or(|slot| *before <= slot));
            match other {
                Some((_, head, word)) => Some((head, word)),
                None => slots.next().map(|slot| (self.head(slot), self.word(slot))),
            }
        });
        Self::build(self.depth, self.prefix, capacity, merged)
    }

    fn copied(&self, mut entry: impl FnMut(Entry) -> Entry) -> Self {
        let slots = self.slots.iter().enumerate().map(|(at, _)| {
            let (head, word) = (self.head(at), self.word(at));
            if word == 0 {
                return Slot::vacant();
            }
            let Entry { word, page } = entry(entry_of(head, word));
            Slot {
                head: AtomicU64::new(head & !PAGE_MASK | u64::from(page)),
                word: AtomicU64::new(word),
            }
        });
        HashBody {
            depth: self.depth,
            prefix: self.prefix,
            capacity: self.capacity,
            len: AtomicUsize::new(self.len.load(Ordering::Relaxed)),
            slots: slots.collect(),
        }
    }

    fn shrunk(&self) -> Option<Self> {
        let len = self.len.load(Ordering::Relaxed);
        (self.capacity > Self::SMALLEST && len * 8 < self.capacity).then(|| {
            let entries: Vec<_> = self.occupied().collect();
            Self::roomy(self.depth, self.prefix, &entries)
        })
    }
}

/// The hash at which a traversal goes on.
pub(crate) fn hash_of<T>(seek: &Seek<HashProbe<T>>) -> u64 {
    match seek {
        Seek::Start | Seek::End => 0,
        Seek::Hash(hash) => *hash,
        Seek::From(probe) | Seek::After(probe) | Seek::Before(probe) => probe.hash,
    }
}

#[inline]
fn entry_of(head: u64, word: u64) -> Entry {
    Entry {
        word,
        page: (head & PAGE_MASK) as u16,
    }
}
