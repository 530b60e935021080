//! Durable tables: opening and loading them, asking for what has changed to be written, backups.
//!
//! - `durable_open({path, type, keypos, compressed, sync})` answers `{ok, opening, keys}`, `closing` where a
//!   deleted table still has the store, or `{error, reason}`; `sync` is `always`, `manual` or milliseconds,
//! - `durable_load(opening)` reads some more: `{more, keys}` or `{done, keys}` read so far, or
//!   `{error, reason}`,
//! - `new_durable(settings, opening)` is `new` of a table that was read, or `{error, reason}`,
//! - `durable_ask(table, reference)` answers whether `{reference, answer}` will come: a table that is not
//!   durable has nothing to write. `nil` is a badarg.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use blanket_core::{Kind, Table};
use blanket_store::{Error as StoreError, Header, Store};
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, Env, Error, NifResult, Term};

use super::lifecycle::{Settings, check_read, create, lock, read_kind};
use crate::atoms;
use crate::durable::{self, Loading, Opened, Sync};
use crate::reaper;
use crate::registry;
use crate::resource::{Class, Ref, Resource, TableRef};
use crate::term::BeamTerm;

/// A store that a process is reading.
pub struct Opening(Mutex<Option<Loading>>);

impl Resource for Opening {
    const NAME: &'static std::ffi::CStr = c"Blanket.Opening";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<Opening> = Class::new();
        &CLASS
    }
}

impl Drop for Opening {
    /// Whoever was reading it is gone: to close a store takes its time.
    fn drop(&mut self) {
        if let Some(loading) = self.0.get_mut().take() {
            loading.begin_to_close();
            reaper::run(Box::new(move || loading.close()));
        }
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn durable_open<'a>(
    env: Env<'a>,
    settings: (Binary<'a>, Atom, usize, bool, Term<'a>),
) -> NifResult<Term<'a>> {
    let (path, kind, keypos, is_compressed, sync) = settings;
    let (kind, sync) = (read_kind(kind)?, read_sync(sync)?);
    let path = as_path(&path);
    let header = header(kind, keypos);
    let open = || Store::open(path, header);
    let loading = match durable::open(env.as_c_arg(), path, open) {
        Ok(Opened::Closing) => return Ok(atoms::closing().encode(env)),
        Ok(Opened::Done(store)) => Loading::of(store, kind, is_compressed, path.into(), sync),
        Err(error) => Err(error),
    };
    Ok(match loading {
        Ok(loading) => {
            let keys = loading.keys;
            let opening = Ref::new(Opening(Mutex::new(Some(loading))));
            // SAFETY: the term was just made in `env`.
            let opening = unsafe { Term::new(env, opening.to_term(env.as_c_arg()).raw()) };
            (atoms::ok(), opening, keys).encode(env)
        }
        Err(error) => failure(env, &error),
    })
}

#[rustler::nif(schedule = "DirtyIo")]
fn durable_load<'a>(env: Env<'a>, opening: Term<'a>) -> NifResult<Term<'a>> {
    let opening = read_opening(opening)?;
    let mut loading = opening.0.lock();
    let loading = loading.as_mut().ok_or(Error::BadArg)?;
    Ok(match loading.step() {
        Ok(true) => (atoms::more(), loading.loaded).encode(env),
        Ok(false) => (atoms::done(), loading.loaded).encode(env),
        Err(error) => failure(env, &error),
    })
}

/// Whoever was reading gives up.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_close(opening: Term) -> NifResult<Atom> {
    if let Some(loading) = read_opening(opening)?.0.lock().take() {
        loading.begin_to_close();
        loading.close();
    }
    Ok(atoms::ok())
}

#[rustler::nif]
fn new_durable<'a>(env: Env<'a>, settings: Settings<'a>, opening: Term<'a>) -> NifResult<Term<'a>> {
    let opening = read_opening(opening)?;
    let ready = opening.0.lock().take().and_then(Loading::finish);
    create(env, settings, Some(ready.ok_or(Error::BadArg)?))
}

/// It must not raise: the caller has made the reference for the `receive` that follows already.
#[rustler::nif]
fn durable_ask<'a>(env: Env<'a>, table: Term<'a>, reference: Term<'a>) -> Option<bool> {
    ask(env, table, reference).ok()
}

fn ask<'a>(env: Env<'a>, table: Term<'a>, reference: Term<'a>) -> NifResult<bool> {
    let table: TableRef = table.decode()?;
    drop(lock(env, &table)?);
    check_read(env, &table)?;
    let Some(durable) = &table.durable else {
        return Ok(false);
    };
    match durable.ask(*env.pid().as_c_arg(), reference.into()) {
        true => Ok(true),
        // It was deleted just now.
        false => Err(Error::BadArg),
    }
}

/// Whether a deleted table still has the store: `closing`, after some time, or `ok`.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_closing(path: Binary) -> Atom {
    match durable::is_being_closed(as_path(&path)) {
        true => atoms::closing(),
        false => atoms::ok(),
    }
}

/// Writes what has changed in all durable tables, and waits until those that were deleted are closed.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_flush_all() -> Atom {
    for table in registry::all() {
        if let Some(durable) = &table.durable {
            let _ = durable.flush();
        }
    }
    while durable::is_closing() {}
    atoms::ok()
}

/// Writes what a snapshot has to a new store; `{ok, objects}` or `{error, reason}`.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_backup<'a>(env: Env<'a>, table: TableRef, path: Binary<'a>) -> NifResult<Term<'a>> {
    drop(lock(env, &table)?);
    check_read(env, &table)?;
    let snapshot = Table::snapshot(&[&table.table]);
    let snapshot = snapshot.and_then(|mut taken| taken.pop());
    // It may be a snapshot itself.
    let snapshot = snapshot.as_ref().unwrap_or(&table.table);
    let header = header(table.table.kind(), table.table.keypos());
    let written = durable::backup(snapshot, as_path(&path), header);
    Ok(match written {
        Ok(objects) => (atoms::ok(), objects).encode(env),
        Err(error) => failure(env, &error),
    })
}

/// Copies a store that nobody has open, once all of it was looked at: `ok`, `closing` or `{error, reason}`.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_restore<'a>(env: Env<'a>, from: Binary<'a>, to: Binary<'a>) -> Term<'a> {
    let from = as_path(&from);
    match durable::open(env.as_c_arg(), from, || Store::copy(from, as_path(&to))) {
        Ok(Opened::Done(())) => atoms::ok().encode(env),
        Ok(Opened::Closing) => atoms::closing().encode(env),
        Err(error) => failure(env, &error),
    }
}

/// Looks at all of a store that nobody has open: `closing`, `{ok, {type, keypos, keys, objects}}` or `{error, reason}`.
#[rustler::nif(schedule = "DirtyIo")]
fn durable_verify<'a>(env: Env<'a>, path: Binary<'a>) -> Term<'a> {
    let path = as_path(&path);
    match durable::open(env.as_c_arg(), path, || Store::verify(path)) {
        Ok(Opened::Closing) => atoms::closing().encode(env),
        Ok(Opened::Done(summary)) => {
            let kind = durable::kind_atom(summary.header.kind);
            let facts = (kind, summary.header.keypos, summary.keys, summary.objects);
            (atoms::ok(), facts).encode(env)
        }
        Err(error) => failure(env, &error),
    }
}

/// What `info` tells of a table's store: `false`, or `{path, sync, ok | {error, reason}}`.
pub fn facts<'a>(env: Env<'a>, table: &TableRef) -> Term<'a> {
    let Some(durable) = &table.durable else {
        return false.encode(env);
    };
    let sync = match durable.sync {
        Sync::Always => atoms::always().encode(env),
        Sync::Manual => atoms::manual().encode(env),
        Sync::Interval(pause) => (pause.as_millis() as u64).encode(env),
    };
    let path = path(env, table);
    let written = durable.failure().map_or(Ok(()), Err);
    // SAFETY: the term was just made in `env`.
    let state = unsafe { Term::new(env, durable::answer(env.as_c_arg(), &written).raw()) };
    (path, sync, state).encode(env)
}

/// The path of a table's store.
pub fn path<'a>(env: Env<'a>, table: &TableRef) -> Option<Term<'a>> {
    let path = table.durable.as_ref()?.path.as_os_str().as_bytes();
    let mut binary = rustler::NewBinary::new(env, path.len());
    binary.copy_from_slice(path);
    Some(binary.into())
}

fn header(kind: Kind, keypos: usize) -> Header {
    use blanket_store::Kind as StoreKind;
    Header {
        kind: match kind {
            Kind::Set => StoreKind::Set,
            Kind::OrderedSet => StoreKind::OrderedSet,
            Kind::Bag => StoreKind::Bag,
            Kind::DuplicateBag => StoreKind::DuplicateBag,
        },
        keypos,
        two_zeros: durable::two_zeros(),
    }
}

fn read_sync(sync: Term) -> NifResult<Sync> {
    if atoms::always() == sync {
        Ok(Sync::Always)
    } else if atoms::manual() == sync {
        Ok(Sync::Manual)
    } else {
        let pause: u64 = sync.decode()?;
        Ok(Sync::Interval(Duration::from_millis(pause)))
    }
}

fn read_opening(term: Term) -> NifResult<Ref<Opening>> {
    let env = term.get_env().as_c_arg();
    Ref::from_term(env, BeamTerm::from(term)).ok_or(Error::BadArg)
}

fn as_path<'a>(path: &'a Binary<'_>) -> &'a Path {
    Path::new(OsStr::from_bytes(path.as_slice()))
}

pub fn failure<'a>(env: Env<'a>, error: &StoreError) -> Term<'a> {
    // SAFETY: the term was just made in `env`.
    let reason = unsafe { Term::new(env, durable::reason(env.as_c_arg(), error).raw()) };
    (atoms::error(), reason).encode(env)
}
