//! Which stores are open or about to be closed.

use std::path::Path;
use std::time::Duration;

use blanket_store::{Error, FileId};
use parking_lot::{Condvar, Mutex};
use rustler::sys::ErlNifEnv;

use crate::ownership;
use crate::registry;
use crate::term::BeamTerm;

/// Stores of deleted tables, which are still being written.
static CLOSING: Mutex<Vec<FileId>> = Mutex::new(Vec::new());
static CLOSED: Condvar = Condvar::new();

/// How long one call waits for a store to be closed.
const PATIENCE: Duration = Duration::from_millis(100);

pub enum Opened<R> {
    Done(R),
    /// It is being closed: ask again.
    Closing,
}

/// Does what takes a store that nobody has open. One that a deleted table, or one of a dead owner, still has
/// is about to be closed.
pub fn open<R>(
    env: *mut ErlNifEnv,
    path: &Path,
    open: impl Fn() -> Result<R, Error>,
) -> Result<Opened<R>, Error> {
    match open() {
        Err(Error::AlreadyOpen) => {}
        opened => return opened.map(Opened::Done),
    }
    let id = FileId::of(path)?;
    for table in registry::all() {
        if table
            .durable
            .as_ref()
            .is_some_and(|durable| durable.id == Some(id))
        {
            // An exit that nobody has told the table of is dealt with first.
            drop(ownership::lock(&table, env));
        }
    }
    let mut closing = CLOSING.lock();
    if !closing.contains(&id) {
        drop(closing);
        // It may have been closed meanwhile.
        return open().map(Opened::Done);
    }
    CLOSED.wait_for(&mut closing, PATIENCE);
    Ok(Opened::Closing)
}

pub fn begin_to_close(id: Option<FileId>) {
    CLOSING.lock().extend(id);
}

pub fn closed(id: Option<FileId>) {
    let mut closing = CLOSING.lock();
    if let Some(at) = closing.iter().position(|there| Some(*there) == id) {
        closing.swap_remove(at);
    }
    drop(closing);
    CLOSED.notify_all();
}

/// Whether a store is still being closed; waits a little if so.
pub fn is_being_closed(path: &Path) -> bool {
    let Ok(id) = FileId::of(path) else {
        return false;
    };
    let mut closing = CLOSING.lock();
    if closing.contains(&id) {
        CLOSED.wait_for(&mut closing, PATIENCE);
    }
    closing.contains(&id)
}

/// Whether any store is being closed; waits a little if so.
pub fn is_closing() -> bool {
    let mut closing = CLOSING.lock();
    if !closing.is_empty() {
        CLOSED.wait_for(&mut closing, PATIENCE);
    }
    !closing.is_empty()
}

/// Whether this VM takes 0.0 and -0.0 for two terms.
pub fn two_zeros() -> bool {
    use blanket_core::Term;
    let zero = |zero: f64| {
        // SAFETY: the environment lives as long as the term.
        let env = unsafe { rustler::sys::enif_alloc_env() };
        // SAFETY: as above.
        let term = BeamTerm::from(unsafe { rustler::sys::enif_make_double(env, zero) });
        (env, term)
    };
    let (positive, negative) = (zero(0.0), zero(-0.0));
    let differ = !positive.1.matches(negative.1);
    for (env, _) in [positive, negative] {
        // SAFETY: it was allocated above, and its term is used no more.
        unsafe { rustler::sys::enif_free_env(env) };
    }
    differ
}
