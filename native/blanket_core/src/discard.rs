//! Where things go that readers may still be at, or whose dropping takes long.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_epoch::{Guard, pin};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use crate::sync::{sleep, thread_local};

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

/// Drops `thing`, which gives back so many bytes, after the guards of now, wherever the epoch happens
/// to advance.
///
/// # Safety
///
/// Only those who hold a guard now can still reach `thing`, which may be dropped on any thread.
pub(crate) unsafe fn defer_drop<T: Send + 'static>(guard: &Guard, thing: T, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        guard.defer_unchecked(move || match bytes < LARGE {
            true => drop(thing),
            false => discard(thing),
        });
    }
    hasten(guard, bytes);
}

/// As [`defer_drop`], for what takes long to drop whatever its bytes.
///
/// # Safety
///
/// As for [`defer_drop`].
pub(crate) unsafe fn defer_discard<T: Send + 'static>(guard: &Guard, thing: T, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { guard.defer_unchecked(move || discard(thing)) };
    hasten(guard, bytes);
}

/// Bytes that take long to give back.
const LARGE: usize = 64 << 10;

thread_local! {
    /// What this thread has deferred since it last saw to it that the epoch advances, and the bytes
    /// since it last woke the reaper for that.
    static DEFERRED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Deferred bytes after which the epoch is to advance: left to itself, it does so once in so many
/// guards, however much they leave behind.
const MOST_DEFERRED: usize = 256 << 10;

/// What a thing counts for beyond its bytes: a flush drops no more than some hundred things.
const THING: usize = 1 << 10;

/// Deferred bytes for which the reaper is woken, lest nothing else should happen; what may have as many
/// counts for them.
pub(crate) const WORTH_WAKING: usize = 1 << 20;

fn hasten(guard: &Guard, bytes: usize) {
    let (deferred, asleep) = DEFERRED.with(Cell::get);
    let deferred = deferred.saturating_add(bytes).saturating_add(THING);
    let asleep = asleep.saturating_add(bytes);
    if deferred < MOST_DEFERRED {
        return DEFERRED.with(|counts| counts.set((deferred, asleep)));
    }
    guard.flush();
    if asleep < WORTH_WAKING {
        return DEFERRED.with(|counts| counts.set((0, asleep)));
    }
    DEFERRED.with(|counts| counts.set((0, 0)));
    if let Some(reaper) = REAPER.get()
        && !Grace::AHEAD.swap(true, Ordering::AcqRel)
    {
        reaper(Box::new(Grace));
    }
}

/// Dropping it lets the epoch advance until the guards of now are gone, though nothing else should
/// happen meanwhile.
struct Grace;

impl Grace {
    /// One is going to be dropped.
    const AHEAD: &AtomicBool = {
        static AHEAD: AtomicBool = AtomicBool::new(false);
        &AHEAD
    };
}

impl Drop for Grace {
    fn drop(&mut self) {
        Self::AHEAD.store(false, Ordering::Release);
        wait_for_guards();
    }
}

/// Whether all guards of now are gone, after a wait.
pub fn wait_for_guards() -> bool {
    let gone = Arc::new(AtomicBool::new(false));
    {
        let (guard, gone) = (pin(), Arc::clone(&gone));
        guard.defer(move || gone.store(true, Ordering::Release));
        guard.flush();
    }
    for _ in 0..GRACE_TRIES {
        if gone.load(Ordering::Acquire) {
            return true;
        }
        pin().flush();
        sleep(GRACE_PAUSE);
    }
    false
}

const GRACE_TRIES: u32 = 100;
const GRACE_PAUSE: Duration = Duration::from_micros(100);

/// What is dropped when no reader of now can be at it any more: with a reaper by that, which waits once for
/// all that have come together; without one by whoever drops this, after a wait.
pub(crate) struct Unread<T: Send + 'static>(ManuallyDrop<T>);

impl<T: Send + 'static> Unread<T> {
    /// # Safety
    ///
    /// As for [`defer_drop`].
    pub unsafe fn new(thing: T) -> Self {
        Unread(ManuallyDrop::new(thing))
    }
}

impl<T: Send + 'static> Drop for Unread<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let thing = Box::new(unsafe { ManuallyDrop::take(&mut self.0) });
        let Some(reaper) = REAPER.get() else {
            return drop_unread(vec![thing]);
        };
        let mut unread = UNREAD.lock();
        unread.push(thing);
        let is_first = unread.len() == 1;
        drop(unread);
        if is_first {
            reaper(Box::new(NextBatch));
        }
    }
}

/// Things that nobody has waited for yet.
static UNREAD: Mutex<Vec<Box<dyn Send>>> = Mutex::new(Vec::new());

/// Dropping it waits for the readers of what has come together up to then.
struct NextBatch;

impl Drop for NextBatch {
    fn drop(&mut self) {
        let things = std::mem::take(&mut *UNREAD.lock());
        drop_unread(things);
    }
}

/// Drops what was in [`Unread`]s, after a wait.
fn drop_unread(things: Vec<Box<dyn Send>>) {
    if wait_for_guards() {
        return drop(things);
    }
    // A reader, perhaps this thread itself, takes long.
    // SAFETY: as promised to `Unread::new`, for each.
    unsafe { defer_discard(&pin(), things, LARGE) };
}
