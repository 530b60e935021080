//! The objects of a list insert, and their order.

use std::cmp::Ordering;

use crate::directory::{Directory, ProbeOf};
use crate::holding::Placed;
use crate::leaf::{Probe, key_of};
use crate::page::Source;
use crate::storage::Block;
use crate::term::Term;

pub(super) type ItemOf<T, D> = Item<T, <ProbeOf<T, D> as Probe<T>>::Rank>;

#[derive(Clone, Copy)]
pub(super) struct Item<T, R> {
    rank: R,
    object: T,
    /// How many came before it, twice, and one more where the object is in a block, which goes over to
    /// the table.
    arrival: u64,
}

impl<T: Term, R, D> Placed<T, D> for Item<T, R>
where
    R: Copy,
    D: Directory<T>,
    ProbeOf<T, D>: Probe<T, Rank = R>,
{
    fn probe(&self, keypos: usize) -> ProbeOf<T, D> {
        ProbeOf::<T, D>::ranked(self.rank, key_of(self.object, keypos))
    }
}

impl<T: Term, R: Copy + Ord> Item<T, R> {
    pub fn of<D>(object: T, keypos: usize, is_block: bool, arrival: usize) -> Self
    where
        D: Directory<T>,
        ProbeOf<T, D>: Probe<T, Rank = R>,
    {
        Item {
            rank: ProbeOf::<T, D>::of(key_of(object, keypos)).rank(),
            object,
            arrival: (arrival as u64) << 1 | u64::from(is_block),
        }
    }

    fn is_block(&self) -> bool {
        self.arrival & 1 == 1
    }

    pub fn key(&self, keypos: usize) -> T {
        key_of(self.object, keypos)
    }

    pub fn source(&self) -> Source<'_, T> {
        match self.is_block() {
            true => Source::Block(self.object),
            false => Source::Object(self.object),
        }
    }

    /// The block that the object is in.
    pub fn into_block(self) -> Option<Block<T>> {
        self.is_block().then(|| Block(self.object))
    }

    /// The order of the leaves. Equal in it are those with equal keys and, in hash kinds, with equal
    /// hashes.
    #[inline]
    pub fn cmp<D>(&self, other: &Self, keypos: usize) -> Ordering
    where
        D: Directory<T>,
        ProbeOf<T, D>: Probe<T, Rank = R>,
    {
        self.rank.cmp(&other.rank).then_with(|| {
            ProbeOf::<T, D>::tie(key_of(self.object, keypos), key_of(other.object, keypos))
        })
    }

    pub fn has_rank_of(&self, other: &Self) -> bool {
        self.rank == other.rank
    }

    /// The order in which they came.
    #[inline]
    pub fn cmp_arrival(&self, other: &Self) -> Ordering {
        self.arrival.cmp(&other.arrival)
    }
}
