//! Inserts of lists: at one instant, and never waiting for each other in a circle.

use std::sync::Arc;

use blanket_core::{Bulk, BulkMode, Contended, Kind, Progress, pin};
use loom::thread;

use crate::support::*;
use crate::term::{Num, Owned};

pub const KINDS: [Kind; 2] = [Kind::Set, Kind::OrderedSet];
/// Keys of two leaves.
pub const LOW: i64 = 0;
pub const HIGH: i64 = 210;

pub fn object(key: i64, version: i64) -> Owned {
    Owned::flat(&[key, version])
}

pub fn two_leaves(kind: Kind) -> Arc<Table> {
    let table = table(kind, (0..9).map(|key| object(key * 30 % 256, 1)));
    insert(&table, &object(LOW, 1));
    insert(&table, &object(HIGH, 1));
    table
}

pub fn insert_all(table: &Table, mode: BulkMode, objects: &[Owned]) -> bool {
    let terms: Vec<Num> = objects.iter().map(Owned::term).collect();
    retry(|| table.insert_all(&terms, mode, &pin()))
}

pub fn version(table: &Table, key: i64) -> i64 {
    lookup(table, key, &pin())[0][1]
}

#[test]
fn a_list_comes_all_at_once() {
    comes_all_at_once(|table, objects| {
        insert_all(table, BulkMode::Insert, objects);
    });
}

#[test]
fn a_list_in_steps_comes_all_at_once() {
    comes_all_at_once(|table, objects| {
        insert_in_steps(table, objects);
    });
}

/// It keeps the locks that it has while it waits for others.
pub fn insert_in_steps(table: &Table, objects: &[Owned]) {
    let mut bulk = Bulk::new(table, BulkMode::Insert);
    objects.iter().for_each(|object| bulk.push(object.term()));
    while bulk.step(100) != Progress::Done(true) {
        thread::yield_now();
    }
}

/// Who sees what is new of one key sees it of the other, too, whichever was put there first.
fn comes_all_at_once(insert: fn(&Arc<Table>, &[Owned])) {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert(&table, &[object(HIGH, 2), object(LOW, 2)]))
            };
            // A thread of its own: it may begin behind the writer, which is no preemption then.
            let reader = thread::spawn(move || {
                let seen = [LOW, HIGH, LOW].map(|key| version(&table, key));
                assert!(seen.is_sorted(), "{seen:?}");
            });
            writer.join().unwrap();
            reader.join().unwrap();
        });
    }
}

#[test]
fn two_lists_do_not_block_each_other() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert_in_steps(&table, &[object(LOW, 2), object(HIGH, 2)]))
            };
            insert_in_steps(&table, &[object(HIGH, 3), object(LOW, 3)]);
            writer.join().unwrap();
            assert_eq!(version(&table, LOW), version(&table, HIGH));
        });
    }
}

#[test]
fn a_new_list_wins_whole_or_not_at_all() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let list = |version| [object(LOW + 1, version), object(HIGH + 1, version)];
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert_all(&table, BulkMode::InsertNew, &list(2)))
            };
            let won = insert_all(&table, BulkMode::InsertNew, &list(3));
            assert_ne!(won, other.join().unwrap());
            let winner = if won { 3 } else { 2 };
            assert_eq!(version(&table, LOW + 1), winner);
            assert_eq!(version(&table, HIGH + 1), winner);
        });
    }
}

/// A list that is dropped before its first object is in the table leaves no lock behind.
#[test]
fn a_list_that_is_given_up_lets_go() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let mut bulk = Bulk::new(&table, BulkMode::InsertNew);
                    bulk.push(object(LOW + 1, 2).term());
                    bulk.push(object(HIGH, 2).term());
                    let mut steps = 0;
                    while !bulk.must_finish() && steps < 7 {
                        match bulk.step(1) {
                            Progress::Done(inserted) => return assert!(!inserted),
                            Progress::Contended => thread::yield_now(),
                            Progress::Pending => {}
                        }
                        steps += 1;
                    }
                })
            };
            insert(&table, &object(HIGH, 3));
            other.join().unwrap();
            assert_eq!(version(&table, HIGH), 3);
            let there: Result<bool, Contended> = table.member(crate::term::num(LOW + 1), &pin());
            assert_eq!(there, Ok(false));
        });
    }
}
