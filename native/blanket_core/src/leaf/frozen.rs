//! Frozen leaves: what a leaf had before it was changed, for the snapshots that see it so.

use crossbeam_epoch::Guard;

use super::locked::Locked;
use super::{Body, Leaf};
use crate::lock::VersionLock;
use crate::storage::Storage;
use crate::sync::Ordering;
use crate::term::Term;

impl<T: Term, B: Body<T>> Locked<'_, T, B> {
    pub fn stamp(&self) -> u64 {
        self.leaf.stamp()
    }

    /// From here on the leaf is as the snapshots before this one, and it, do not see it.
    pub fn set_stamp(&self, stamp: u64) {
        self.leaf.stamp.store(stamp, Ordering::Release);
    }

    /// A leaf that has what this one has, and is never changed. Objects are shared with it but for
    /// flat ones, which are copied.
    pub fn frozen(&mut self, guard: &Guard) -> Leaf<T, B> {
        let body = self.body(guard);
        let mut storage = self.storage().aside();
        // SAFETY: the lock is held, and nobody knows the storage yet.
        let body = body.copied(|entry| unsafe { Storage::share(entry, &mut storage, guard) });
        storage.settle_all();
        Leaf::new(body, storage, VersionLock::new()).stamped(self.stamp())
    }
}

impl<T: Term, B: Body<T>> Leaf<T, B> {
    /// The bytes of a frozen leaf. What it shares counts as if it did not.
    pub fn frozen_bytes(&self) -> usize {
        // SAFETY: nobody changes a frozen leaf.
        unsafe { (*self.storage.get()).usage() }.bytes()
    }
}
