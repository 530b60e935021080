//! Sorting in steps: none takes long, however many items there are and however often one repeats.
//!
//! Items are dealt out to parts between sample items, and so on until the parts are small. Those that
//! are equal to a sample have a part of their own, which needs no sorting.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::item::Item;
use crate::term::Term;

/// Items that are sorted at once, and that stand together in memory.
pub(super) const PORTION: usize = 1024;

/// Parts that are made of one.
const MOST_PARTS: usize = 64;
/// Items that such a part has room for at first: it takes a millisecond to come by room for a whole portion in
/// each of them.
const FEW: usize = 64;
/// Items of such a part.
const PART: usize = 512;
/// Samples for each part, of which one is used: the parts come out the more even.
const SAMPLES: usize = 4;

type Chunk<I> = Vec<I>;

/// Items in the order in which they came. All chunks but the last are full.
struct Part<I> {
    chunks: VecDeque<Chunk<I>>,
    /// All items are equal, or came in their order.
    is_sorted: bool,
    /// Items that the first chunk has room for at first.
    room: usize,
}

impl<I: Copy> Part<I> {
    fn new(is_sorted: bool, room: usize) -> Self {
        Part {
            chunks: VecDeque::new(),
            is_sorted,
            room,
        }
    }

    fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    #[inline]
    fn push(&mut self, item: I) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < PORTION => chunk.push(item),
            _ => self.begin_chunk(item),
        }
    }

    #[cold]
    fn begin_chunk(&mut self, item: I) {
        let is_first = self.chunks.is_empty();
        let mut chunk = Vec::with_capacity(if is_first { self.room } else { PORTION });
        chunk.push(item);
        self.chunks.push_back(chunk);
    }

    fn get(&self, at: usize) -> I {
        self.chunks[at / PORTION][at % PORTION]
    }

    /// Some of the items, from all over the part.
    fn samples(&self, count: usize) -> Vec<I> {
        let len = self.len();
        let scattered = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
        let place = |at| ((u128::from(scattered(at)) * len as u128) >> 53) as usize;
        (0..count).map(|at| self.get(place(at))).collect()
    }
}

/// A part that is being dealt out.
struct Dealing<I> {
    rest: Part<I>,
    /// Sorted, no two of them equal.
    samples: Vec<I>,
    /// The parts before the samples, between them and behind them, and those of each sample's equals:
    /// by turns.
    parts: Vec<Part<I>>,
}

/// Push all items, then step until there is nothing left to do.
pub(super) struct Sorting<T, R> {
    /// To be sorted, the least last.
    parts: Vec<Part<Item<T, R>>>,
    dealing: Option<Dealing<Item<T, R>>>,
    sorted: Vec<Vec<Item<T, R>>>,
    pushed: usize,
}

impl<T: Term, R: Copy + Ord> Sorting<T, R> {
    pub fn new() -> Self {
        Sorting {
            parts: Vec::new(),
            dealing: None,
            sorted: Vec::new(),
            pushed: 0,
        }
    }

    pub fn pushed(&self) -> usize {
        self.pushed
    }

    pub fn push(&mut self, item: Item<T, R>, order: impl Fn(&Item<T, R>, &Item<T, R>) -> Ordering) {
        if self.parts.is_empty() {
            self.parts.push(Part::new(true, PORTION));
        }
        let part = &mut self.parts[0];
        let last = part.chunks.back().and_then(|chunk| chunk.last());
        part.is_sorted &= last.is_none_or(|last| order(last, &item).is_le());
        part.push(item);
        self.pushed += 1;
    }

    /// Goes on; answers how many items it looked at, `None` when all are sorted.
    pub fn step(
        &mut self,
        order: impl Fn(&Item<T, R>, &Item<T, R>) -> Ordering + Copy,
    ) -> Option<usize> {
        if let Some(dealing) = &mut self.dealing {
            let Some(chunk) = dealing.rest.chunks.pop_front() else {
                let dealt = self.dealing.take().map(|dealing| dealing.parts);
                let parts = dealt.into_iter().flatten().rev();
                self.parts.extend(parts.filter(|part| part.len() > 0));
                return Some(1);
            };
            let count = chunk.len();
            dealing.deal(chunk, order);
            return Some(count);
        }
        let part = self.parts.pop()?;
        let len = part.len();
        if len <= PORTION || part.is_sorted {
            for mut chunk in part.chunks {
                if !part.is_sorted {
                    chunk.sort_unstable_by(|one, two| order(one, two).then(one.cmp_arrival(two)));
                }
                match self.sorted.last_mut() {
                    Some(last) if last.len() + chunk.len() <= PORTION => last.append(&mut chunk),
                    _ => self.sorted.push(chunk),
                }
            }
        } else {
            self.dealing = Some(Dealing::of(part, order));
        }
        Some(len.min(PORTION))
    }

    /// Takes out all items in their order, in pieces of at most [`PORTION`], none of them empty.
    pub fn take_sorted(&mut self) -> Vec<Vec<Item<T, R>>> {
        std::mem::take(&mut self.sorted)
    }

    /// All items, in any order.
    pub fn into_items(self) -> impl Iterator<Item = Item<T, R>> {
        let dealing = self.dealing.into_iter();
        let dealing = dealing.flat_map(|dealing| dealing.parts.into_iter().chain([dealing.rest]));
        let parts = self.parts.into_iter().chain(dealing);
        let chunks = parts.flat_map(|part| part.chunks).chain(self.sorted);
        chunks.flatten()
    }
}

impl<I: Copy> Dealing<I> {
    fn of(part: Part<I>, order: impl Fn(&I, &I) -> Ordering) -> Self {
        let parts = (part.len() / PART).next_power_of_two().min(MOST_PARTS);
        let mut samples = part.samples(SAMPLES * parts);
        samples.sort_unstable_by(&order);
        let mut samples: Vec<I> = samples
            .into_iter()
            .skip(SAMPLES / 2)
            .step_by(SAMPLES)
            .collect();
        samples.dedup_by(|one, two| order(one, two).is_eq());
        let part_at = |at| match at % 2 {
            0 => Part::new(false, FEW),
            _ => Part::new(true, 1),
        };
        Dealing {
            rest: part,
            parts: (0..=2 * samples.len()).map(part_at).collect(),
            samples,
        }
    }

    fn deal(&mut self, chunk: Chunk<I>, order: impl Fn(&I, &I) -> Ordering) {
        for item in chunk {
            let at = self
                .samples
                .partition_point(|sample| order(sample, &item).is_lt());
            let is_equal = self
                .samples
                .get(at)
                .is_some_and(|sample| order(sample, &item).is_eq());
            self.parts[2 * at + usize::from(is_equal)].push(item);
        }
    }
}
