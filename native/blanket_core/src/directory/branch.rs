//! Branches of the ordered directory: neighbouring leaves, by the keys that they begin at.
//!
//! A branch is never written: a change puts another in its place. Of the keys that its leaves begin
//! at, it has the eight bytes behind those that all of them share; so it is searched in few cache
//! lines, and a leaf is looked into only where these are equal.

use std::cmp::Ordering as Order;
use std::sync::Arc;

use crossbeam_epoch::Guard;

use super::ordered::OrderedLeaf;
use crate::leaf::ordered::{OrderedProbe, Separator};
use crate::term::{Encoding, Term};

/// The leaf is alive as long as a branch leads to it, and while a guard lives that was pinned then.
pub(super) struct LeafPointer<T: Term>(*const OrderedLeaf<T>);

// SAFETY: a leaf may be used on any thread, as may a pointer to it.
unsafe impl<T: Term> Send for LeafPointer<T> {}
// SAFETY: as above.
unsafe impl<T: Term> Sync for LeafPointer<T> {}

impl<T: Term> Clone for LeafPointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Term> Copy for LeafPointer<T> {}

impl<T: Term> LeafPointer<T> {
    pub fn new(leaf: OrderedLeaf<T>) -> Self {
        LeafPointer(Box::into_raw(Box::new(leaf)))
    }

    /// # Safety
    ///
    /// A branch has led to the leaf since the guard was pinned, and the directory is alive as long.
    #[inline]
    pub unsafe fn leaf(self, _guard: &Guard) -> &OrderedLeaf<T> {
        // SAFETY: leaves are dropped after the guards of the time when the last branch led to them.
        unsafe { &*self.0 }
    }

    /// # Safety
    ///
    /// No branch leads to the leaf any more, and nobody takes it again.
    pub unsafe fn into_box(self) -> Box<OrderedLeaf<T>> {
        // SAFETY: it came from `Box::into_raw`; the caller's promise.
        unsafe { Box::from_raw(self.0.cast_mut()) }
    }
}

pub(super) struct Branch<T: Term> {
    /// The leaf that begins below all keys has no place among the heads.
    leaves: Box<[LeafPointer<T>]>,
    heads: Box<[u64]>,
    /// The first `skip` bytes of this are those of all keys that leaves begin at.
    shared: Encoding,
    skip: usize,
}

impl<T: Term> Branch<T> {
    /// # Safety
    ///
    /// As for [`LeafPointer::leaf`], for each leaf. They are in order.
    pub unsafe fn of(leaves: Box<[LeafPointer<T>]>, guard: &Guard) -> Self {
        // SAFETY: passed on.
        let low = |leaf: &LeafPointer<T>| unsafe { leaf.leaf(guard) }.body(guard).span.low.as_ref();
        let lows: Vec<&Arc<Separator<T>>> = leaves.iter().filter_map(low).collect();
        let (shared, skip) = match &lows[..] {
            [] => (Encoding::of_bytes(&[]), 0),
            [first, .., last] => (first.encoding, first.encoding.common(&last.encoding)),
            [only] => (only.encoding, only.encoding.len()),
        };
        let heads = lows.iter().map(|low| low.encoding.head(skip)).collect();
        Branch {
            leaves,
            heads,
            shared,
            skip,
        }
    }

    pub fn leaves(&self) -> &[LeafPointer<T>] {
        &self.leaves
    }

    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.leaves) + size_of_val(&*self.heads)
    }

    /// How many leaves begin before `probe` or, if `included`, at it.
    #[inline]
    pub fn count(&self, probe: &OrderedProbe<T>, included: bool, guard: &Guard) -> usize {
        let bottom = self.leaves.len() - self.heads.len();
        match probe.encoding.compare_leading(&self.shared, self.skip) {
            Order::Less => return bottom,
            Order::Greater => return self.leaves.len(),
            Order::Equal => {}
        }
        let head = probe.encoding.head(self.skip);
        let mut low = self.heads.partition_point(|&there| there < head);
        let mut high = match self.heads.get(low) {
            Some(&there) if there == head => {
                low + self.heads[low..].partition_point(|&there| there == head)
            }
            _ => low,
        };
        while low < high {
            let middle = low.midpoint(high);
            // SAFETY: this branch was reached under the guard.
            let leaf = unsafe { self.leaves[bottom + middle].leaf(guard) };
            let begins = match &leaf.body(guard).span.low {
                Some(begin) => begin.order(probe),
                None => Order::Less,
            };
            match begins.is_lt() || included && begins.is_eq() {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        bottom + low
    }

    /// The same with one leaf more, in front of which there are `at`.
    ///
    /// # Safety
    ///
    /// As for [`LeafPointer::leaf`], for the new leaf.
    pub unsafe fn with(&self, at: usize, leaf: LeafPointer<T>, guard: &Guard) -> Self {
        let leaves = [&self.leaves[..at], &[leaf], &self.leaves[at..]].concat();
        // SAFETY: the caller's promise.
        let body = unsafe { leaf.leaf(guard) }.body(guard);
        if let Some(low) = &body.span.low
            && !self.heads.is_empty()
            && self.shared.common(&low.encoding) >= self.skip
        {
            let at = at - (self.leaves.len() - self.heads.len());
            let head = low.encoding.head(self.skip);
            return Branch {
                leaves: leaves.into(),
                heads: [&self.heads[..at], &[head], &self.heads[at..]]
                    .concat()
                    .into(),
                ..*self
            };
        }
        // SAFETY: the caller's promise; this branch leads to the others.
        unsafe { Self::of(leaves.into(), guard) }
    }

    /// The same without one leaf.
    pub fn without(&self, at: usize, guard: &Guard) -> Self {
        let leaves = [&self.leaves[..at], &self.leaves[at + 1..]].concat();
        // SAFETY: this branch leads to them.
        unsafe { Self::of(leaves.into(), guard) }
    }
}
