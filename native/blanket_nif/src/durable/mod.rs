//! Durable tables: a table whose changes are written to a [`Store`], by a thread of its own.
//!
//! Reads and writes go to the table in memory, which [records](Table::changes) what changes. The thread writes
//! that, whenever somebody asks for it or the time has come: it takes a snapshot with the changes, puts the
//! objects of the changed keys into one transaction of the store, and tells those who asked before it took
//! the snapshot. Whoever asks is a process that waits for a message; no scheduler waits. The thread belongs
//! to no process, so nothing that a process does to another stops it, and ends when the table is deleted.
//!
//! What could not be written stays recorded. Until it is written, a table that promises more than
//! [`Sync::Manual`] refuses changes.

mod load;
mod opening;
mod records;
mod report;
mod threads;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use blanket_core::{Changed, Table};
use blanket_store::{Change, Equality, Error, FileId, Header, Store};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustler::sys::ErlNifPid;

use crate::resource::{TableRef, TableResource};
use crate::term::{BeamTerm, Stored};
pub use load::Loading;
pub use opening::{Opened, is_being_closed, is_closing, open, two_zeros};
pub use records::backup;
pub use report::{answer, kind_atom, reason};
pub use threads::join_all;

/// When changes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the call that makes them returns.
    Always,
    Interval(Duration),
    /// When somebody asks for it.
    Manual,
}

/// The least time between two attempts to write what could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// How often the record of changes is made smaller where nobody may ask for long.
const COMPACTION: Duration = Duration::from_secs(1);

/// What a table knows of its store.
pub struct Durable {
    pub path: PathBuf,
    pub id: Option<FileId>,
    pub sync: Sync,
    requests: Mutex<Requests>,
    wake: Condvar,
    is_writing: AtomicBool,
    is_failing: AtomicBool,
    failure: Mutex<Option<Arc<Error>>>,
}

#[derive(Default)]
struct Requests {
    waiting: Vec<Waiting>,
    is_closing: bool,
    /// There is no thread that would answer.
    has_ended: bool,
}

enum Waiting {
    /// It waits for `{reference, answer}`.
    Process {
        pid: ErlNifPid,
        reference: Stored,
    },
    Thread(mpsc::Sender<Result<(), Arc<Error>>>),
}

impl Durable {
    /// Whether a call that changes the table has to wait until that is written.
    pub fn waits(&self) -> bool {
        self.sync == Sync::Always
    }

    /// Whether changes are refused, since the last ones could not be written.
    pub fn is_closed_to_changes(&self) -> bool {
        self.is_failing.load(Ordering::Acquire) && self.sync != Sync::Manual
    }

    pub fn failure(&self) -> Option<Arc<Error>> {
        self.failure.lock().clone()
    }

    /// Whether anything that was changed may not be on disk.
    pub fn has_unwritten(&self, table: &Table<BeamTerm>) -> bool {
        // What is no longer among the changes is being written.
        table.has_changes() || self.is_writing.load(Ordering::Acquire)
    }

    /// Asks for what has changed so far to be written; `pid` gets `{reference, ok}` or
    /// `{reference, {error, reason}}` then. Answers whether there is still somebody to ask.
    pub fn ask(&self, pid: ErlNifPid, reference: BeamTerm) -> bool {
        let reference = Stored::new(reference);
        self.push(Waiting::Process { pid, reference })
    }

    /// Writes what has changed so far; waits for that.
    pub fn flush(&self) -> Result<(), Arc<Error>> {
        let (sender, receiver) = mpsc::channel();
        self.push(Waiting::Thread(sender));
        receiver.recv().unwrap_or(Ok(()))
    }

    fn push(&self, waiting: Waiting) -> bool {
        let mut requests = self.requests.lock();
        if requests.has_ended {
            return false;
        }
        requests.waiting.push(waiting);
        drop(requests);
        self.wake.notify_one();
        true
    }

    /// The table is deleted: what it has is written, and the store closed.
    pub fn close(&self) {
        opening::begin_to_close(self.id);
        self.requests.lock().is_closing = true;
        self.wake.notify_one();
    }

    /// Waits for something to do; answers who waits for it, and whether it is the last.
    fn next(&self, table: &Table<BeamTerm>) -> (Vec<Waiting>, bool) {
        let mut requests = self.requests.lock();
        loop {
            if !requests.waiting.is_empty() || requests.is_closing {
                return (std::mem::take(&mut requests.waiting), requests.is_closing);
            }
            let is_failing = self.is_failing.load(Ordering::Acquire);
            let pause = match self.sync {
                Sync::Interval(pause) if is_failing => pause.max(RETRY),
                Sync::Interval(pause) => pause,
                Sync::Always if is_failing => RETRY,
                Sync::Always => {
                    self.wake.wait(&mut requests);
                    continue;
                }
                Sync::Manual => {
                    if self.wake.wait_for(&mut requests, COMPACTION).timed_out() {
                        MutexGuard::unlocked(&mut requests, || table.compact_changes());
                    }
                    continue;
                }
            };
            if self.wake.wait_for(&mut requests, pause).timed_out() && table.has_changes() {
                return (Vec::new(), false);
            }
        }
    }

    /// Nothing more is written, unless somebody waits for it.
    fn end(&self) -> bool {
        let mut requests = self.requests.lock();
        requests.has_ended = requests.waiting.is_empty();
        requests.has_ended
    }

    fn note(&self, written: &Result<(), Arc<Error>>) {
        let mut failure = self.failure.lock();
        *failure = written.as_ref().err().cloned();
        self.is_failing.store(failure.is_some(), Ordering::Release);
    }
}

impl Waiting {
    fn tell(&self, written: &Result<(), Arc<Error>>) {
        match self {
            Waiting::Process { pid, reference } => report::send(pid, reference, written),
            // It may have given up.
            Waiting::Thread(sender) => drop(sender.send(written.clone())),
        }
    }
}

/// A store with its table, which has no thread yet.
pub struct Ready {
    table: Table<BeamTerm>,
    store: Store,
    path: PathBuf,
    sync: Sync,
}

impl Ready {
    pub fn split(self) -> (Table<BeamTerm>, Durable, Store) {
        let durable = Durable {
            path: self.path,
            id: self.store.id(),
            sync: self.sync,
            requests: Mutex::default(),
            wake: Condvar::new(),
            is_writing: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        (self.table, durable, self.store)
    }
}

/// Has a thread write what changes in `table`, until that is deleted.
pub fn keep_written(table: TableRef, mut store: Store) -> Result<(), Error> {
    let spawned = threads::spawn(move || {
        if let Some(durable) = &table.durable {
            write_until_closed(&table, durable, &mut store);
            drop(store);
            opening::closed(durable.id);
        }
        drop(table.table.clear());
    });
    let no_thread = |error| Error::Io(io::Error::other(format!("no thread for it: {error}")));
    spawned.map_err(no_thread)
}

fn write_until_closed(table: &TableResource, durable: &Durable, store: &mut Store) {
    let equality = Header {
        two_zeros: two_zeros(),
        ..store.header()
    }
    .equality();
    loop {
        let (waiting, is_closing) = durable.next(&table.table);
        durable.is_writing.store(true, Ordering::Release);
        let written = write_changes(&table.table, store, equality).map_err(Arc::new);
        durable.note(&written);
        durable.is_writing.store(false, Ordering::Release);
        waiting.iter().for_each(|waiting| waiting.tell(&written));
        if is_closing && durable.end() {
            if let Err(error) = &written {
                report::lost(&durable.path, error);
            }
            return;
        }
    }
}

fn write_changes(
    table: &Table<BeamTerm>,
    store: &mut Store,
    equality: Equality,
) -> Result<(), Error> {
    let Some((snapshot, changed)) = table.changes() else {
        return Ok(());
    };
    let write = AssertUnwindSafe(|| write_changed(snapshot, &changed, store, equality));
    let gave_up = |_| Err(Error::Damaged("what was to write it gave up".into()));
    let written = catch_unwind(write).unwrap_or_else(gave_up);
    if written.is_err() {
        table.put_back(changed);
    }
    written
}

fn write_changed(
    snapshot: Table<BeamTerm>,
    changed: &Changed<BeamTerm>,
    store: &mut Store,
    equality: Equality,
) -> Result<(), Error> {
    let records = records::of_keys(&snapshot, changed.keys(), equality)?;
    drop(snapshot);
    let change = Change {
        clear: changed.is_all(),
        records: &records,
    };
    match change.clear {
        true => store.rewrite(two_zeros(), &change),
        false if records.is_empty() => Ok(()),
        false => store.write(&change),
    }
}
