//! The node-wide registry: every live table, by reference to its resource, by its name, and by what
//! it is kept as. It holds the tables, so they outlive every process.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use blanket_core::Term;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use once_cell::sync::Lazy;
use papaya::{HashMap, HashMapRef, LocalGuard};
use parking_lot::Mutex;

use crate::resource::TableRef;
use crate::term::{BeamTerm, Stored, mix};

type Words = BuildHasherDefault<WordHasher>;
type Tables = HashMap<u64, TableRef, Words>;

/// The named tables as one moment shows them: `names().get(&word)` borrows a table, without a lock
/// and without counting a reference.
pub type Names = HashMapRef<'static, u64, TableRef, Words, LocalGuard<'static>>;

static TABLES: Lazy<Tables> = Lazy::new(Tables::default);
static NAMES: Lazy<Tables> = Lazy::new(Tables::default);
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

pub fn names() -> Names {
    NAMES.pin()
}

/// The table of that name.
pub fn lookup_name(name: BeamTerm) -> Option<TableRef> {
    names().get(&name.word()).cloned()
}

/// False when another table has that name.
pub fn insert_name(name: BeamTerm, table: &TableRef) -> bool {
    names().try_insert(name.word(), table.clone()).is_ok()
}

pub fn remove_name(name: BeamTerm) {
    names().remove(&name.word());
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
