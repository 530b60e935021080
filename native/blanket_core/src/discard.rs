//! Where things go that readers may still be at, or whose dropping takes long.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_epoch::{Guard, pin};
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

/// What is dropped when no reader of now can be at it any more. Dropping this waits for them, however
/// little else happens meanwhile: it is for what is to be freed soon, on a thread that may take its
/// time.
pub(crate) struct Unread<T: Send + 'static>(ManuallyDrop<T>);

impl<T: Send + 'static> Unread<T> {
    /// # Safety
    ///
    /// As for [`defer_drop`].
    pub unsafe fn new(thing: T) -> Self {
        Unread(ManuallyDrop::new(thing))
    }

    /// Has the reaper drop it, where there is one.
    pub fn discard(mut self, guard: &Guard) {
        if let Some(reaper) = REAPER.get() {
            return reaper(Box::new(self));
        }
        // SAFETY: taken once: `self` is forgotten.
        let thing = unsafe { ManuallyDrop::take(&mut self.0) };
        std::mem::forget(self);
        // SAFETY: as promised to `new`.
        unsafe { defer_drop(guard, thing) };
    }
}

impl<T: Send + 'static> Drop for Unread<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let thing = unsafe { ManuallyDrop::take(&mut self.0) };
        let unread = Arc::new(AtomicBool::new(false));
        {
            let guard = pin();
            let unread = Arc::clone(&unread);
            guard.defer(move || unread.store(true, Ordering::Release));
            guard.flush();
        }
        for _ in 0..GRACE_TRIES {
            if unread.load(Ordering::Acquire) {
                return drop(thing);
            }
            pin().flush();
            std::thread::sleep(GRACE_PAUSE);
        }
        // A reader, perhaps this thread itself, takes long: whoever comes after it drops the thing.
        // SAFETY: as promised to `new`.
        unsafe { defer_drop(&pin(), thing) };
    }
}

const GRACE_TRIES: u32 = 100;
const GRACE_PAUSE: Duration = Duration::from_micros(100);
