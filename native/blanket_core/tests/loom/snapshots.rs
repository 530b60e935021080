//! Snapshots against writers: they see one instant, which comes behind all that was seen before, and
//! go on seeing it.

use std::sync::Arc;

use blanket_core::{BulkMode, Kind, pin};
use loom::thread;

use crate::lists::{HIGH, KINDS, LOW, insert_all, object, two_leaves, version};
use crate::support::*;
use crate::term::Owned;

fn snapshot(tables: &[&Table]) -> Vec<Table> {
    Table::snapshot(tables).expect("no table is a snapshot")
}

/// What the snapshot has of each key, which is the same later.
fn versions(snapshot: &Table, keys: &[i64]) -> Vec<i64> {
    keys.iter().map(|&key| version(snapshot, key)).collect()
}

#[test]
fn a_snapshot_stays_what_it_was() {
    for kind in KINDS {
        for form in [
            |version| Owned::flat(&[LOW, version]),
            |version| Owned::block(LOW, version),
            |version| Owned::paged(LOW, version),
        ] {
            explore(preemptions(kind), move || {
                let table = table(kind, [form(1)]);
                let writer = {
                    let table = Arc::clone(&table);
                    thread::spawn(move || {
                        insert(&table, &form(2));
                        reclaim();
                    })
                };
                let before = version(&table, LOW);
                let taken = snapshot(&[&table]);
                let seen = version(&taken[0], LOW);
                let after = version(&table, LOW);
                assert!(before <= seen && seen <= after, "{before}, {seen}, {after}");
                writer.join().unwrap();
                assert_eq!(version(&taken[0], LOW), seen);
                insert(&table, &form(3));
                assert_eq!(version(&taken[0], LOW), seen);
            });
        }
    }
}

#[test]
fn a_snapshot_has_a_list_whole_or_not_at_all() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    insert_all(&table, BulkMode::Insert, &[object(HIGH, 2), object(LOW, 2)])
                })
            };
            let taken = snapshot(&[&table]);
            let seen = versions(&taken[0], &[HIGH, LOW]);
            assert!(seen == [1, 1] || seen == [2, 2], "{seen:?}");
            writer.join().unwrap();
            assert_eq!(versions(&taken[0], &[HIGH, LOW]), seen);
        });
    }
}

/// Changes of two leaves, one behind the other: the second is not seen without the first.
#[test]
fn a_snapshot_has_what_came_before() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    insert(&table, &object(LOW, 2));
                    insert(&table, &object(HIGH, 2));
                })
            };
            let taken = snapshot(&[&table]);
            let seen = versions(&taken[0], &[HIGH, LOW]);
            assert!(seen != [2, 1], "{seen:?}");
            writer.join().unwrap();
            assert_eq!(versions(&taken[0], &[HIGH, LOW]), seen);
        });
    }
}

#[test]
fn tables_are_taken_at_one_instant() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let [one, two] = [(); 2].map(|()| table(kind, [object(LOW, 1)]));
            let writer = {
                let (one, two) = (Arc::clone(&one), Arc::clone(&two));
                thread::spawn(move || {
                    insert(&one, &object(LOW, 2));
                    insert(&two, &object(LOW, 2));
                })
            };
            let taken = snapshot(&[&one, &two]);
            let seen = [1, 0].map(|at: usize| version(&taken[at], LOW));
            assert!(seen != [2, 1], "{seen:?}");
            writer.join().unwrap();
            assert_eq!([1, 0].map(|at: usize| version(&taken[at], LOW)), seen);
        });
    }
}

/// The leaf that it sees is split by then.
#[test]
fn a_snapshot_finds_what_a_split_has_moved() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            // So many that another splits their leaf.
            let full = match kind {
                Kind::OrderedSet => 7,
                _ => 6,
            };
            let keys: Vec<i64> = (0..full).map(|at| at * 30).collect();
            let (&last, stay) = keys.split_last().expect("there are some");
            let table = table(kind, keys.iter().map(|&key| object(key, 1)));
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    insert(&table, &object(HIGH, 2));
                    insert(&table, &object(LOW + 1, 2));
                    delete(&table, last);
                })
            };
            let come_and_gone = move |taken: &[Table]| {
                [HIGH, LOW + 1, last].map(|key| lookup(&taken[0], key, &pin()).len())
            };
            let taken = snapshot(&[&table]);
            let seen = come_and_gone(&taken);
            writer.join().unwrap();
            let states = [[0, 0, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0]];
            assert!(states.contains(&seen), "{seen:?}");
            assert_eq!(come_and_gone(&taken), seen);
            assert!(versions(&taken[0], stay).iter().all(|&it| it == 1));
        });
    }
}
