//! Panics in the midst of the engine: at any call of an operation of a term or of its memory.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

thread_local! {
    /// Operations until the one that panics.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The panic of a fuse.
#[derive(Debug, PartialEq, Eq)]
pub struct Blown;

/// Runs `work`, in which the `nth` operation on a term, counted from 0, panics instead. It does so once.
pub fn blow_at<R>(nth: usize, work: impl FnOnce() -> R) -> Result<R, Blown> {
    LEFT.set(Some(nth));
    let result = catch_unwind(AssertUnwindSafe(work));
    LEFT.set(None);
    result.map_err(|panic| match panic.downcast::<Blown>() {
        Ok(blown) => *blown,
        Err(other) => resume_unwind(other),
    })
}

/// An operation on a term.
pub fn burn() {
    match LEFT.get() {
        None => {}
        Some(0) => {
            LEFT.set(None);
            panic_any(Blown);
        }
        Some(left) => LEFT.set(Some(left - 1)),
    }
}
