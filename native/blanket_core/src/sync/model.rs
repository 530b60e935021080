//! Loom's types, where they are those of the standard library but for their form, and a list of leaves
//! that stands in for the skip list, whose nodes are not made for loom.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_epoch::{Atomic, Collector, Guard, Owned, unprotected};
pub(crate) use loom::hint::spin_loop;
use loom::sync::MutexGuard;
use loom::sync::atomic::AtomicBool;
pub(crate) use loom::sync::atomic::{Ordering, fence};

/// An atomic of loom's with a shadow that every access writes. Of the accesses to an atomic, loom tries
/// other orders only for the last one: a thread that reads and then writes hides from it what others
/// have read before. Writes it does not lose sight of.
macro_rules! shadowed {
    ($name:ident$(<$param:ident>)?, $value:ty) => {
        pub(crate) struct $name$(<$param>)? {
            value: loom::sync::atomic::$name$(<$param>)?,
            shadow: AtomicBool,
        }

        #[allow(dead_code, reason = "the types have the same functions, of which some use a part")]
        impl$(<$param>)? $name$(<$param>)? {
            #[track_caller]
            pub fn new(value: $value) -> Self {
                $name {
                    value: loom::sync::atomic::$name::new(value),
                    shadow: AtomicBool::new(false),
                }
            }

            fn accessed(&self) -> &loom::sync::atomic::$name$(<$param>)? {
                self.shadow.store(true, Ordering::Relaxed);
                &self.value
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                sequentially(order, || self.accessed().load(order))
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                sequentially(order, || self.accessed().store(value, order))
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                sequentially(order, || self.accessed().swap(value, order))
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                sequentially(success, || self.accessed().compare_exchange(current, new, success, failure))
            }

            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

/// Loom takes accesses that are sequentially consistent for acquiring and releasing ones, and orders
/// fences alone.
fn sequentially<R>(order: Ordering, access: impl FnOnce() -> R) -> R {
    if order != Ordering::SeqCst {
        return access();
    }
    fence(Ordering::SeqCst);
    let result = access();
    fence(Ordering::SeqCst);
    result
}

shadowed!(AtomicU64, u64);
shadowed!(AtomicUsize, usize);
shadowed!(AtomicPtr<T>, *mut T);

impl AtomicUsize {
    #[track_caller]
    pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.accessed().fetch_add(value, order)
    }

    #[track_caller]
    pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.accessed().fetch_sub(value, order)
    }
}

/// There is no time in a model.
pub(crate) fn sleep(_: Duration) {
    loom::thread::yield_now();
}

/// Loom's takes no `const` block for what a variable begins with.
macro_rules! variable_of_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = const $first:block;) => {
        loom::thread_local! { $(#[$doc])* static $name: $type = $first }
    };
}
pub(crate) use variable_of_thread as thread_local;

/// Loom makes it anew in each execution.
macro_rules! global_of_execution {
    (static $name:ident: $type:ty = $first:expr;) => {
        loom::lazy_static! { static ref $name: $type = $first; }
    };
}
pub(crate) use global_of_execution as global;

/// Each time that it is asked for, who asks is taken for the only one who uses what is in it.
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> Self {
        UnsafeCell(loom::cell::UnsafeCell::new(value))
    }

    #[track_caller]
    pub fn get(&self) -> *mut T {
        self.0.with_mut(|value| value)
    }

    #[track_caller]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: nobody else has a reference.
        unsafe { &mut *self.get() }
    }
}

pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("a thread that panics ends the model")
    }
}

/// A sorted list that is replaced as a whole. It promises no more than a skip list does: who searches
/// it takes no lock and may come upon a former state of it, and an entry that is removed lives until
/// the guards of that time are gone.
pub(crate) struct SkipList<K, V> {
    nodes: Atomic<Vec<Arc<Entry<K, V>>>>,
    changing: Mutex<()>,
}

pub(crate) struct Entry<K, V> {
    key: K,
    value: V,
}

impl<K, V> Entry<K, V> {
    pub fn key(&self) -> &K {
        &self.key
    }

    pub fn value(&self) -> &V {
        &self.value
    }

    pub fn release(&self, _guard: &Guard) {}
}

impl<K: Ord + 'static, V: 'static> SkipList<K, V> {
    pub fn new(_collector: Collector) -> Self {
        SkipList {
            nodes: Atomic::new(Vec::new()),
            changing: Mutex::new(()),
        }
    }

    pub fn get_or_insert<'g>(&self, key: K, value: V, guard: &'g Guard) -> &'g Entry<K, V> {
        let _changing = self.changing.lock();
        let mut nodes = self.nodes(guard).clone();
        let at = nodes.partition_point(|node| node.key < key);
        assert!(nodes.get(at).is_none_or(|node| node.key != key));
        nodes.insert(at, Arc::new(Entry { key, value }));
        self.replace(nodes, guard);
        &self.nodes(guard)[at]
    }

    pub fn remove<'g>(&self, key: &K, guard: &'g Guard) -> Option<&'g Entry<K, V>> {
        let _changing = self.changing.lock();
        let before = self.nodes(guard);
        let at = before.binary_search_by(|node| node.key.cmp(key)).ok()?;
        let mut nodes = before.clone();
        nodes.remove(at);
        self.replace(nodes, guard);
        Some(&before[at])
    }

    pub fn upper_bound<'g>(&self, bound: Bound<&K>, guard: &'g Guard) -> Option<&'g Entry<K, V>> {
        let nodes = self.nodes(guard);
        let end = nodes.partition_point(|node| match bound {
            Bound::Included(key) => node.key <= *key,
            Bound::Excluded(key) => node.key < *key,
            Bound::Unbounded => true,
        });
        Some(&nodes[end.checked_sub(1)?])
    }

    fn nodes<'g>(&self, guard: &'g Guard) -> &'g Vec<Arc<Entry<K, V>>> {
        // SAFETY: never null, and the guard keeps what was loaded.
        unsafe { self.nodes.load(Ordering::Acquire, guard).deref() }
    }

    fn replace(&self, nodes: Vec<Arc<Entry<K, V>>>, guard: &Guard) {
        let old = self.nodes.swap(Owned::new(nodes), Ordering::AcqRel, guard);
        // SAFETY: no longer reachable but for readers that hold a guard now.
        unsafe { guard.defer_destroy(old) };
    }
}

impl<K, V> Drop for SkipList<K, V> {
    fn drop(&mut self) {
        // SAFETY: a list is dropped when nobody can reach it any more; it is never null.
        drop(unsafe {
            self.nodes
                .load(Ordering::Relaxed, unprotected())
                .into_owned()
        });
    }
}
