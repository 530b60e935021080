//! The threads of durable tables. None may be left behind when the library is unmapped.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;

static THREADS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

pub fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = Builder::new()
        .name("blanket_durable".into())
        .spawn(move || {
            let _ = catch_unwind(AssertUnwindSafe(work));
        })?;
    let mut threads = THREADS.lock();
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
    Ok(())
}

/// Waits for all of them. Called when the library is unloaded: no table is left then.
pub fn join_all() {
    for thread in std::mem::take(&mut *THREADS.lock()) {
        let _ = thread.join();
    }
}
