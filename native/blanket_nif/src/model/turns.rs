//! Where processes take turns, when they run as loom's threads. All of these are one thread to the
//! operating system, and others run at these places only.

use std::cell::RefCell;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

/// All take it for each of their steps, so that loom tries these in all orders.
#[derive(Default)]
struct Turn {
    taken: Mutex<()>,
    unlocked: Condvar,
}

thread_local! {
    static TURN: RefCell<Option<Arc<Turn>>> = const { RefCell::new(None) };
}

/// Runs `run` so that what it spawns takes turns with it.
pub fn take_turns<R>(run: impl FnOnce() -> R) -> R {
    TURN.set(Some(Arc::default()));
    let result = run();
    TURN.set(None);
    result
}

/// There are no others.
pub fn be_alone() {
    TURN.set(None);
}

fn turn() -> Option<Arc<Turn>> {
    TURN.with_borrow(Option::clone)
}

/// Others may go on here, if there are any.
pub fn step() {
    if let Some(turn) = turn() {
        drop(turn.taken.lock());
    }
}

/// Lets others go on until one of them has [told](tell_waiting) what makes `attempt` succeed; `None`
/// where there are no others.
pub fn wait_until<R>(attempt: impl Fn() -> Option<R>) -> Option<R> {
    let turn = turn()?;
    let mut taken = turn.taken.lock().ok()?;
    loop {
        match attempt() {
            Some(result) => return Some(result),
            None => taken = turn.unlocked.wait(taken).ok()?,
        }
    }
}

pub fn tell_waiting(unlock: impl FnOnce()) {
    unlock();
    if let Some(turn) = turn() {
        let _taken = turn.taken.lock();
        turn.unlocked.notify_all();
    }
}
