//! Transactions as the tests write them.

use std::thread;

use blanket_core::{Commit, Contended, Expected, Operation, pin};

use super::{Heap, Model, Plain, Table, Value};

/// What a transaction does to a table.
#[derive(Clone, Debug)]
pub enum Deed {
    Insert(Value),
    DeleteObject(Value),
    Delete(Value),
}

impl Deed {
    pub fn apply(&self, model: &mut Model) {
        match self {
            Deed::Insert(object) => model.insert(object),
            Deed::DeleteObject(object) => model.delete_object(object),
            Deed::Delete(key) => drop(model.take(key)),
        }
    }
}

/// What a transaction has read and is going to do, each with the number of a table.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// A key and its objects; `None` where it was only seen that there are some.
    pub reads: Vec<(usize, Value, Option<Vec<Value>>)>,
    pub deeds: Vec<(usize, Deed)>,
}

impl Plan {
    pub fn read(&mut self, table: usize, key: Value, objects: Vec<Value>) {
        self.reads.push((table, key, Some(objects)));
    }

    pub fn insert(&mut self, table: usize, object: Value) {
        self.deeds.push((table, Deed::Insert(object)));
    }

    /// Whether it was done, with all leaves that `watches` have shown as they were.
    pub fn commit<const MASK: u64>(
        &self,
        tables: &[&Table<Plain<MASK>>],
        watches: &[(usize, &Table<Plain<MASK>>)],
    ) -> bool {
        loop {
            match self.try_commit(tables, watches) {
                Ok(done) => return done,
                Err(Contended) => thread::yield_now(),
            }
        }
    }

    pub fn try_commit<const MASK: u64>(
        &self,
        tables: &[&Table<Plain<MASK>>],
        watches: &[(usize, &Table<Plain<MASK>>)],
    ) -> Result<bool, Contended> {
        let heap = Heap::<MASK>::new();
        let guard = &pin();
        let mut commit = Commit::new();
        for table in tables {
            match self.deeds.len() % 2 {
                0 => commit.table(table, self.deeds.len(), guard),
                _ => commit.table_for_long(table, self.reads.len()),
            };
        }
        for (table, key, objects) in &self.reads {
            let expected = match objects {
                None => Expected::Any,
                Some(objects) => {
                    Expected::Objects(objects.iter().map(|object| heap.build(object)).collect())
                }
            };
            commit.expect(*table, heap.build(key), expected);
        }
        for (table, deed) in &self.deeds {
            commit.change(
                *table,
                match deed {
                    Deed::Insert(object) => Operation::Insert(heap.build(object)),
                    Deed::DeleteObject(object) => Operation::DeleteObject(heap.build(object)),
                    Deed::Delete(key) => Operation::Delete(heap.build(key)),
                },
            );
        }
        for (table, watch) in watches {
            assert!(commit.unchanged(*table, watch, guard));
        }
        commit.run(|| false)
    }
}
