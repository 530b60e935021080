//! The node-wide registry: every live table, by reference to its resource, by its name, and by what
//! it is kept as. It holds the tables, so they outlive every process.

use std::hash::{BuildHasherDefault, Hasher};
use std::mem::ManuallyDrop;
use std::sync::Arc;

use blanket_core::{Guard, Term, pin};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use once_cell::sync::Lazy;

use crate::resource::{Borrowed, TableRef, TableResource};
use crate::sync::{HashMap, Mutex};
use crate::term::{BeamTerm, Stored, mix};

type Words = BuildHasherDefault<WordHasher>;
type Tables = HashMap<u64, TableRef, Words>;

/// A table in the map of names. Who found it there holds an epoch guard and nothing else, so the
/// reference is let go after the guards of its time.
struct Named(ManuallyDrop<TableRef>);

impl Drop for Named {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let table = unsafe { ManuallyDrop::take(&mut self.0) };
        pin().defer(move || drop(table));
    }
}

static TABLES: Lazy<Tables> = Lazy::new(Tables::default);
static NAMES: Lazy<HashMap<u64, Named, Words>> = Lazy::new(HashMap::default);
static KEPT: Mutex<HashTable<(Arc<Kept>, TableRef)>> = Mutex::new(HashTable::new());

/// What a table is kept as, and what its keeper wants to remember with it.
pub struct Kept {
    hash: u64,
    pub reference: Stored,
    pub data: Stored,
}

impl Kept {
    pub fn new(reference: BeamTerm, data: BeamTerm) -> Self {
        Kept {
            hash: reference.hash(),
            reference: Stored::new(reference),
            data: Stored::new(data),
        }
    }

    fn is(&self, reference: BeamTerm) -> bool {
        self.reference.term().matches(reference)
    }
}

/// The table of that name.
pub fn lookup_name(name: BeamTerm) -> Option<TableRef> {
    borrow_named(name, &pin()).map(Borrowed::keep)
}

/// The table of that name, without a reference counted.
#[cold]
pub fn borrow_named<'g>(name: BeamTerm, _guard: &'g Guard) -> Option<Borrowed<'g, TableResource>> {
    let names = NAMES.pin();
    let Named(table) = names.get(&name.word())?;
    // SAFETY: what the map has shown is let go after the guards of now.
    Some(unsafe { table.lend() })
}

/// False when another table has that name.
pub fn insert_name(name: BeamTerm, table: &TableRef) -> bool {
    let named = Named(ManuallyDrop::new(table.clone()));
    NAMES.pin().try_insert(name.word(), named).is_ok()
}

pub fn remove_name(name: BeamTerm) {
    NAMES.pin().remove(&name.word());
}

pub fn insert(table: &TableRef) {
    TABLES.pin().insert(address(table), table.clone());
}

pub fn remove(table: &TableRef) {
    TABLES.pin().remove(&address(table));
}

pub fn all() -> Vec<TableRef> {
    TABLES.pin().values().cloned().collect()
}

/// False when another table is kept as the same.
pub fn insert_kept(kept: &Arc<Kept>, table: &TableRef) -> bool {
    let mut tables = KEPT.lock();
    let same = |(other, _): &(Arc<Kept>, _)| other.is(kept.reference.term());
    match tables.entry(kept.hash, same, |(kept, _)| kept.hash) {
        Entry::Occupied(_) => false,
        Entry::Vacant(vacant) => {
            vacant.insert((kept.clone(), table.clone()));
            true
        }
    }
}

pub fn remove_kept(kept: &Arc<Kept>) {
    let mut tables = KEPT.lock();
    if let Ok(entry) = tables.find_entry(kept.hash, |(other, _)| Arc::ptr_eq(other, kept)) {
        entry.remove();
    }
}

pub fn lookup_kept(reference: BeamTerm) -> Option<(Arc<Kept>, TableRef)> {
    let tables = KEPT.lock();
    tables
        .find(reference.hash(), |(kept, _)| kept.is(reference))
        .cloned()
}

pub fn all_kept() -> Vec<(Arc<Kept>, TableRef)> {
    KEPT.lock().iter().cloned().collect()
}

fn address(table: &TableRef) -> u64 {
    table.as_object().addr() as u64
}

/// Atoms and addresses are distinct words already: one multiplication spreads them.
#[derive(Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
