//! What a table has under its keys, as a store takes it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use blanket_core::{Contended, Direction, Object, Position, Table, pin};
use blanket_store::{Equality, Error, Header, NewStore, ObjectsBuilder, Record, canonical_key};
use rustler::sys::{self, ErlNifEnv};

use crate::packed;
use crate::term::{BeamTerm, make_tuple};

type Records = Vec<Record>;

/// Keys that are looked up under one guard.
const KEYS: usize = 64;
/// Objects that are handled in one environment.
const OBJECTS: usize = 256;

/// What a snapshot has under these keys, in the order of their bytes.
pub fn of_keys(
    snapshot: &Table<BeamTerm>,
    keys: impl Iterator<Item = BeamTerm>,
    equality: Equality,
) -> Result<Records, Error> {
    let mut scratch = Scratch::new();
    let mut records = Records::new();
    let mut guard = pin();
    for (number, key) in keys.enumerate() {
        if number % KEYS == 0 {
            guard.repin();
        }
        let objects = loop {
            match snapshot.lookup(key, &guard) {
                Ok(objects) => break objects,
                Err(Contended) => pause(),
            }
        };
        let record = scratch.objects(objects.iter())?;
        records.push((bytes_of(key, equality)?, record));
    }
    records.sort_unstable_by(|one, two| one.0.cmp(&two.0));
    records.dedup_by(|one, two| one.0 == two.0);
    Ok(records)
}

/// Writes all that a snapshot has to a store that is new; answers how many objects.
pub fn backup(snapshot: &Table<BeamTerm>, path: &Path, header: Header) -> Result<u64, Error> {
    let mut store = NewStore::create(path, header)?;
    let mut portion = Portion::default();
    let mut scratch = Scratch::new();
    let mut written = 0;
    let mut from = Some(Position::start().park());
    while let Some(parked) = from.take() {
        let guard = &pin();
        let mut objects = Vec::new();
        let next = loop {
            let (position, way) = (parked.unpark(), Direction::Forward);
            match snapshot.scan(position, way, OBJECTS, guard, &mut objects) {
                Ok(next) => break next,
                Err(Contended) => {
                    objects.clear();
                    pause();
                }
            }
        };
        written += objects.len() as u64;
        for object in &objects {
            let key = object.elements()[snapshot.keypos() - 1];
            let builder = portion.of_key(bytes_of(key, header.equality())?);
            scratch.push(object.elements(), builder)?;
        }
        if portion.records.len() >= PORTION {
            store.put(&std::mem::take(&mut portion.records))?;
        }
        from = next.map(Position::park);
    }
    store.put(&portion.finish())?;
    store.publish()?;
    Ok(written)
}

/// Keys that are put in a new store in one go.
const PORTION: usize = 100_000;

/// Objects that come key by key.
#[derive(Default)]
struct Portion {
    records: Records,
    last: Option<(Vec<u8>, ObjectsBuilder)>,
}

impl Portion {
    fn of_key(&mut self, key: Vec<u8>) -> &mut ObjectsBuilder {
        if self.last.as_ref().is_none_or(|(last, _)| *last != key) {
            self.complete();
        }
        let (_, builder) = self
            .last
            .get_or_insert_with(|| (key, ObjectsBuilder::default()));
        builder
    }

    fn complete(&mut self) {
        let last = self.last.take();
        self.records
            .extend(last.map(|(key, builder)| (key, Some(builder.finish()))));
    }

    fn finish(mut self) -> Records {
        self.complete();
        self.records
    }
}

fn pause() {
    thread::sleep(Duration::from_micros(50));
}

fn bytes_of(key: BeamTerm, equality: Equality) -> Result<Vec<u8>, Error> {
    // A kind of term that the store does not know is its key as the VM writes it.
    let canonical =
        |external: &[u8]| canonical_key(external, equality).unwrap_or_else(|_| external.to_vec());
    key.with_external(canonical).ok_or_else(too_large)
}

fn too_large() -> Error {
    Error::Io(std::io::Error::other(
        "a term is too large for the external format",
    ))
}

/// An environment to build objects in.
struct Scratch {
    env: *mut ErlNifEnv,
    objects: usize,
}

impl Scratch {
    fn new() -> Self {
        // SAFETY: the function may be called on any thread.
        let env = unsafe { sys::enif_alloc_env() };
        Scratch { env, objects: 0 }
    }

    /// The objects of one key, or `None` where there are none.
    fn objects(
        &mut self,
        objects: impl Iterator<Item = Object<BeamTerm>>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut builder = ObjectsBuilder::default();
        let mut any = false;
        for object in objects {
            any = true;
            self.push(object.elements(), &mut builder)?;
        }
        Ok(any.then(|| builder.finish()))
    }

    fn push(&mut self, elements: &[BeamTerm], builder: &mut ObjectsBuilder) -> Result<(), Error> {
        if packed::with_external(elements, |external| builder.push(external)).is_some() {
            return Ok(());
        }
        self.objects += 1;
        if self.objects.is_multiple_of(OBJECTS) {
            // SAFETY: no term of it is in use.
            unsafe { sys::enif_clear_env(self.env) };
        }
        // SAFETY: the environment is ours; a guard keeps the elements, which the tuple leads to, until it has
        // been written.
        let object = unsafe { make_tuple(self.env, elements) };
        object
            .with_external(|external| builder.push(external))
            .ok_or_else(too_large)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: it was allocated here, and no term of it is in use.
        unsafe { sys::enif_free_env(self.env) };
    }
}
