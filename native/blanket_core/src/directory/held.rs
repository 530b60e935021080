//! A directory that is kept together with the store that it is part of.

use std::ops::Deref;
use std::sync::Arc;

use crate::discard::discard;
use crate::table::Store;
use crate::term::Term;

pub(crate) struct HeldDirectory<T: Term, D> {
    /// There until the end.
    store: Option<Arc<Store<T>>>,
    /// The one in the store.
    directory: *const D,
}

// SAFETY: the pointer leads into the store, which is held here and may be used on any thread.
unsafe impl<T: Term, D: Send + Sync> Send for HeldDirectory<T, D> {}
// SAFETY: as above.
unsafe impl<T: Term, D: Send + Sync> Sync for HeldDirectory<T, D> {}

impl<T: Term, D> HeldDirectory<T, D> {
    /// `directory` is the one in `store`.
    pub fn new(store: Arc<Store<T>>, directory: *const D) -> Self {
        HeldDirectory {
            store: Some(store),
            directory,
        }
    }

    pub fn store(&self) -> &Arc<Store<T>> {
        self.store.as_ref().expect("it is there until the end")
    }
}

impl<T: Term, D> Deref for HeldDirectory<T, D> {
    type Target = D;

    fn deref(&self) -> &D {
        // SAFETY: the directory is part of the store, which is held.
        unsafe { &*self.directory }
    }
}

impl<T: Term, D> Drop for HeldDirectory<T, D> {
    /// The table may have been emptied or deleted, and this be the last to have what it had.
    fn drop(&mut self) {
        if let Some(store) = self.store.take().and_then(Arc::into_inner) {
            discard(store);
        }
    }
}
