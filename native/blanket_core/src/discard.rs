//! Where things go whose dropping takes long.

use crossbeam_epoch::Guard;
use once_cell::sync::OnceCell;

type Reaper = fn(Box<dyn Send>);

static REAPER: OnceCell<Reaper> = OnceCell::new();

/// Has `reaper` drop what would take long to drop, on a thread that may take its time. Without it
/// such things are dropped where they fall out of use. The first call decides.
pub fn set_reaper(reaper: Reaper) {
    let _ = REAPER.set(reaper);
}

pub(crate) fn discard<T: Send + 'static>(thing: T) {
    match REAPER.get() {
        Some(reaper) => reaper(Box::new(thing)),
        None => drop(thing),
    }
}

/// Drops `thing` after the guards of now, wherever the epoch happens to advance. Many such ends come
/// together: this is for what a few blocks of memory are freed with.
///
/// # Safety
///
/// Only those who hold a guard now can still reach `thing`, which may be dropped on any thread.
pub(crate) unsafe fn defer_drop<T: Send + 'static>(guard: &Guard, thing: T) {
    // SAFETY: the caller's promise.
    unsafe { guard.defer_unchecked(move || drop(thing)) };
}

/// As [`defer_drop`], for what takes longer to drop, if only now and then.
///
/// # Safety
///
/// As for [`defer_drop`].
pub(crate) unsafe fn defer_discard<T: Send + 'static>(guard: &Guard, thing: T) {
    // SAFETY: the caller's promise.
    unsafe { guard.defer_unchecked(move || discard(thing)) };
}
