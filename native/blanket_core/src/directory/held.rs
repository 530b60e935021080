//! A directory that is kept together with the store that it is part of.

use std::ops::Deref;
use std::sync::Arc;

use crate::discard::discard;
use crate::table::Store;
use crate::term::Term;

pub(crate) struct HeldDirectory<T: Term, D> {
    store: *const Store<T>,
    /// The one in the store.
    directory: *const D,
    /// Whether the store is held here, by what came from `Arc::into_raw`.
    is_held: bool,
}

// SAFETY: the pointers lead into the store, which is held and may be used on any thread.
unsafe impl<T: Term, D: Send + Sync> Send for HeldDirectory<T, D> {}
// SAFETY: as above.
unsafe impl<T: Term, D: Send + Sync> Sync for HeldDirectory<T, D> {}

impl<T: Term, D> HeldDirectory<T, D> {
    /// `directory` is the one in `store`.
    pub fn new(store: Arc<Store<T>>, directory: *const D) -> Self {
        HeldDirectory {
            store: Arc::into_raw(store),
            directory,
            is_held: true,
        }
    }

    /// The same without a count, which is a shared write.
    ///
    /// # Safety
    ///
    /// Something else keeps the store as long as this is used.
    pub unsafe fn lent(store: &Store<T>, directory: *const D) -> Self {
        HeldDirectory {
            store,
            directory,
            is_held: false,
        }
    }

    pub fn store(&self) -> &Store<T> {
        // SAFETY: the store is held, or kept by what was promised.
        unsafe { &*self.store }
    }
}

impl<T: Term, D> Deref for HeldDirectory<T, D> {
    type Target = D;

    fn deref(&self) -> &D {
        // SAFETY: the directory is part of the store: see there.
        unsafe { &*self.directory }
    }
}

impl<T: Term, D> Drop for HeldDirectory<T, D> {
    /// The table may have been emptied or deleted, and this be the last to have what it had.
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Arc::into_raw`, and this is the end of what it holds.
        let store = self.is_held.then(|| unsafe { Arc::from_raw(self.store) });
        if let Some(store) = store.and_then(Arc::into_inner) {
            discard(store);
        }
    }
}
