//! Leaves that are split and joined, and the directories that lead to them.

use std::sync::Arc;

use blanket_core::{Bounds, Contended, Guard, Kind, Objects, StepError, pin};
use loom::thread;

use crate::support::*;
use crate::term::{Owned, num};

const KINDS: [Kind; 2] = [Kind::Set, Kind::OrderedSet];

fn flat(key: i64) -> Owned {
    Owned::flat(&[key, key])
}

/// A table of one leaf which is full, with keys in both of its halves.
fn full(kind: Kind, object: fn(i64) -> Owned) -> Arc<Table> {
    Arc::new(filled(kind, bounds(), object))
}

fn filled(kind: Kind, bounds: Bounds, object: fn(i64) -> Owned) -> Table {
    let table = Table::with_bounds(kind, 1, bounds);
    let keys = match kind {
        Kind::OrderedSet => 0..8,
        _ => 0..6,
    };
    keys.for_each(|key| insert(&table, &object(key * 30)));
    table
}

/// A thread inserts what there is no room for, while this one looks up one of the objects.
fn read_while_inserting(table: &Arc<Table>, object: fn(i64) -> Owned) {
    let writer = {
        let table = Arc::clone(table);
        thread::spawn(move || {
            insert(&table, &object(135));
            reclaim();
        })
    };
    let guard = &pin();
    assert_eq!(lookup(table, 150, guard)[0][0], 150);
    writer.join().unwrap();
    for key in [0, 30, 60, 90, 120, 135, 150] {
        assert_eq!(lookup(table, key, guard)[0][0], key);
    }
}

/// The key behind this one.
fn next(table: &Table, key: i64, guard: &Guard) -> Option<i64> {
    let mut found = Objects::none();
    retry(|| match table.next(&mut found, num(key), guard) {
        Ok(()) => Ok(()),
        Err(StepError::Contended) => Err(Contended),
        Err(StepError::NoSuchKey) => unreachable!("the key is there, or the table is ordered"),
    });
    found.first().map(|object| numbers(&object)[0])
}

/// The leaf at work is replaced by one with more room.
#[test]
fn a_leaf_grows() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let roomy = Bounds {
                hash_leaf: 16,
                ordered_leaf: 16,
                ..bounds()
            };
            read_while_inserting(&Arc::new(filled(kind, roomy, flat)), flat);
        });
    }
}

#[test]
fn a_leaf_of_flat_objects_is_split() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            read_while_inserting(&full(kind, flat), flat)
        });
    }
}

#[test]
fn a_leaf_of_blocks_is_split() {
    let block = |key| Owned::block(key, key);
    for kind in KINDS {
        explore(preemptions(kind), move || {
            read_while_inserting(&full(kind, block), block)
        });
    }
}

#[test]
fn a_leaf_of_pages_is_split() {
    let paged = |key| Owned::paged(key, key);
    for kind in KINDS {
        explore(preemptions(kind), move || {
            read_while_inserting(&full(kind, paged), paged)
        });
    }
}

/// Two writers find the leaf full.
#[test]
fn two_writers_split_a_leaf() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = full(kind, flat);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert(&table, &flat(15)))
            };
            insert(&table, &flat(135));
            writer.join().unwrap();
            for key in [0, 15, 30, 60, 90, 120, 135, 150] {
                assert_eq!(lookup(&table, key, &pin()), [[key, key]]);
            }
        });
    }
}

/// The places of a hash directory double; a branch of an ordered one becomes two.
#[test]
fn the_directory_grows() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = full(kind, flat);
            let more: &[i64] = match kind {
                Kind::OrderedSet => &[15, 45, 75, 105],
                _ => &[15, 45, 75, 105, 110, 115],
            };
            more.iter().for_each(|&key| insert(&table, &flat(key)));
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    insert(&table, &flat(100));
                    reclaim();
                })
            };
            let guard = &pin();
            // It moves to the new leaf.
            assert_eq!(lookup(&table, 105, guard), [[105, 105]]);
            assert_eq!(lookup(&table, 0, guard), [[0, 0]]);
            writer.join().unwrap();
        });
    }
}

/// A thread steps on from where it remembers to have been, in a leaf that is split meanwhile.
#[test]
fn a_walk_goes_on_while_a_leaf_is_split() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = full(kind, flat);
            let guard = &pin();
            assert_eq!(next(&table, 60, guard), Some(90));
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert(&table, &flat(15)))
            };
            assert_eq!(next(&table, 90, guard), Some(120));
            writer.join().unwrap();
        });
    }
}

/// The upper one of two leaves loses its last object, and is taken out of the directory, while a
/// thread steps on from where it remembers to have been in it.
#[test]
fn a_leaf_is_joined_to_the_one_below() {
    explore(2, || {
        let table = full(Kind::OrderedSet, flat);
        insert(&table, &flat(15));
        for key in [15, 120, 150, 180] {
            delete(&table, key);
        }
        {
            let guard = &pin();
            assert_eq!(next(&table, 90, guard), Some(210));
        }
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                delete(&table, 210);
                reclaim();
            })
        };
        assert_eq!(next(&table, 210, &pin()), None);
        writer.join().unwrap();
        assert_eq!(next(&table, 90, &pin()), None);
    });
}
