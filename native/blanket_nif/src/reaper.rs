//! The thread that does what may take its time: dropping a table of ten million objects must not
//! hold a scheduler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;

type Work = Box<dyn FnOnce() + Send>;

enum Reaper {
    /// No module instance uses the library: no thread may be left behind when it is unmapped.
    Stopped,
    Idle,
    Running(Sender<Work>, JoinHandle<()>),
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper::Stopped);

/// Lets `run` start the thread when there is work for it.
pub fn allow() {
    let mut reaper = REAPER.lock();
    if let Reaper::Stopped = *reaper {
        *reaper = Reaper::Idle;
    }
}

/// Runs `work` on the reaper thread; on this one where there is none.
pub fn run(work: Work) {
    let mut reaper = REAPER.lock();
    if let Reaper::Idle = *reaper
        && let Some((sender, thread)) = start()
    {
        *reaper = Reaper::Running(sender, thread);
    }
    let rejected = match &*reaper {
        Reaper::Running(sender, _) => sender.send(work).err().map(|error| error.0),
        Reaper::Idle | Reaper::Stopped => Some(work),
    };
    drop(reaper);
    if let Some(work) = rejected {
        work();
    }
}

/// Ends the thread when its work is done; called when the library is unloaded.
pub fn stop() {
    let reaper = std::mem::replace(&mut *REAPER.lock(), Reaper::Stopped);
    if let Reaper::Running(sender, thread) = reaper {
        drop(sender);
        let _ = thread.join();
    }
}

fn start() -> Option<(Sender<Work>, JoinHandle<()>)> {
    let (sender, receiver) = channel::<Work>();
    let thread = Builder::new()
        .name("blanket_reaper".into())
        .spawn(move || {
            for work in receiver {
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        })
        .ok()?;
    Some((sender, thread))
}
