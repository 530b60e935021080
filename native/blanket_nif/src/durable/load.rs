//! Filling a table from its store.

use std::path::PathBuf;

use blanket_core::{Bounds, Contended, Kind, Table, pin};
use blanket_store::{Error, Loader, Objects, Store};
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};

use super::{Ready, Sync, opening, two_zeros};
use crate::packed;
use crate::term::BeamTerm;

/// A store that is being read.
pub struct Loading {
    ready: Ready,
    loader: Option<Loader>,
    is_compressed: bool,
    pub keys: u64,
    pub loaded: u64,
}

/// Bytes that are read in one call, and objects that are read into one environment.
const PORTION: usize = 256 << 10;
const OBJECTS: usize = 256;

impl Loading {
    pub fn of(
        store: Store,
        kind: Kind,
        is_compressed: bool,
        path: PathBuf,
        sync: Sync,
    ) -> Result<Self, Error> {
        let header = store.header();
        let table = Table::recording(kind, header.keypos, Bounds::default());
        if header.two_zeros != two_zeros() {
            // Keys may be others to this VM: all of it is written again.
            table.record();
            drop(table.clear());
        }
        let loader = store.loader()?;
        Ok(Loading {
            keys: loader.keys(),
            loaded: 0,
            loader: Some(loader),
            is_compressed,
            ready: Ready {
                table,
                store,
                path,
                sync,
            },
        })
    }

    /// Reads some; answers whether there is more.
    pub fn step(&mut self) -> Result<bool, Error> {
        let Some(loader) = &mut self.loader else {
            return Ok(false);
        };
        let mut filling = Filling {
            table: &self.ready.table,
            is_compressed: self.is_compressed,
            // SAFETY: the function may be called on any thread.
            env: unsafe { sys::enif_alloc_env() },
            objects: 0,
        };
        let loaded = &mut self.loaded;
        let more = loader.next(PORTION, |_key, objects| {
            *loaded += 1;
            Objects(objects).try_for_each(|object| filling.push(object.map_err(|()| damaged())?))
        })?;
        if !more {
            self.loader = None;
        }
        Ok(more)
    }

    /// It will not be finished: its store is about to be closed.
    pub fn begin_to_close(&self) {
        opening::begin_to_close(self.ready.store.id());
    }

    pub fn close(self) {
        let id = self.ready.store.id();
        drop(self);
        opening::closed(id);
    }

    /// What was read, when that is all.
    pub fn finish(self) -> Option<Ready> {
        if self.loader.is_some() {
            return None;
        }
        self.ready.table.record();
        Some(self.ready)
    }
}

fn damaged() -> Error {
    Error::Damaged("an object".into())
}

/// Puts objects in a table that nobody else knows.
struct Filling<'a> {
    table: &'a Table<BeamTerm>,
    is_compressed: bool,
    env: *mut ErlNifEnv,
    objects: usize,
}

impl Filling<'_> {
    fn push(&mut self, external: &[u8]) -> Result<(), Error> {
        let mut term = ErlNifTerm::default();
        // SAFETY: the environment is ours; the term is written when the call answers that it read something.
        let read = unsafe {
            sys::enif_binary_to_term(self.env, external.as_ptr(), external.len(), &mut term, 0)
        };
        let object = BeamTerm::from(term);
        let keypos = self.table.keypos();
        let is_object = read == external.len()
            && object
                .as_tuple()
                .is_some_and(|elements| elements.len() >= keypos);
        if !is_object {
            return Err(damaged());
        }
        self.insert(object, keypos);
        self.objects += 1;
        if self.objects.is_multiple_of(OBJECTS) {
            // SAFETY: no term of it is in use: the table has copies.
            unsafe { sys::enif_clear_env(self.env) };
        }
        Ok(())
    }

    fn insert(&self, object: BeamTerm, keypos: usize) {
        let guard = &pin();
        let object = match self.is_compressed {
            true => packed::pack(self.env, object, keypos),
            false => object,
        };
        while self.table.insert(object, guard) == Err(Contended) {}
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // SAFETY: it was allocated for this, and no term of it is in use.
        unsafe { sys::enif_free_env(self.env) };
    }
}
