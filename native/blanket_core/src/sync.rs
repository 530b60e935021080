//! What threads meet at: the standard library's and others', or under `--cfg loom` what loom has in
//! their place, to try the orders in which threads can come there (`tests/loom`).
//!
//! What only counts, and orders nothing, takes the standard library's atomics in both.

#[cfg(loom)]
mod model;

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use {
    crossbeam_skiplist::base::SkipList,
    parking_lot::Mutex,
    std::{
        cell::UnsafeCell,
        hint::spin_loop,
        sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence},
        thread::sleep,
        thread_local,
    },
};

/// One for all tables; in a model, for all of an execution.
#[cfg(not(loom))]
macro_rules! global {
    (static $name:ident: $type:ty = $first:expr;) => {
        static $name: $type = $first;
    };
}
#[cfg(not(loom))]
pub(crate) use global;
