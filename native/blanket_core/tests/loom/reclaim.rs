//! What readers still look at is freed after them.

use std::sync::Arc;

use blanket_core::{Kind, pin};
use loom::thread;

use crate::support::*;
use crate::term::{Owned, num};

const KINDS: [Kind; 2] = [Kind::Set, Kind::OrderedSet];

/// What came out of a table stays while the guard is held, whatever becomes of it.
#[test]
fn an_object_outlives_its_table() {
    for kind in KINDS {
        for object in [|| Owned::block(7, 1), || Owned::paged(7, 1)] {
            explore(preemptions(kind), move || {
                let table = table(kind, [object()]);
                let writer = {
                    let table = Arc::clone(&table);
                    thread::spawn(move || {
                        drop(table.clear());
                        insert(&table, &Owned::block(8, 8));
                    })
                };
                {
                    let guard = &pin();
                    let found = retry(|| table.lookup(num(7), guard));
                    thread::yield_now();
                    for object in found.iter() {
                        assert_eq!(numbers(&object), [7, 1, 1]);
                    }
                }
                writer.join().unwrap();
                assert!(lookup(&table, 7, &pin()).is_empty());
                assert_eq!(lookup(&table, 8, &pin()), [[8, 8, 8]]);
            });
        }
    }
}

#[test]
fn an_object_that_is_taken_stays_for_the_taker() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = table(kind, [Owned::block(7, 1)]);
            let take = |table: &Table| {
                let guard = &pin();
                let taken = retry(|| table.take(num(7), guard));
                reclaim();
                taken
                    .iter()
                    .map(|object| numbers(&object))
                    .collect::<Vec<_>>()
            };
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || take(&table))
            };
            let mut taken = take(&table);
            taken.extend(other.join().unwrap());
            assert_eq!(taken, [[7, 1, 1]]);
        });
    }
}

/// Many objects under one key: a look-up is one instant of them, and stays so when it is parked.
#[test]
fn a_run_is_read_at_one_instant() {
    for form in [
        |value| Owned::flat(&[7, value]),
        |value| Owned::paged(7, value),
    ] {
        explore(2, move || {
            let table = table(Kind::Bag, (1..4).map(form));
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    insert(&table, &form(4));
                    retry(|| table.delete_object(form(1).term(), &pin()));
                    reclaim();
                })
            };
            let parked = {
                let guard = &pin();
                retry(|| table.lookup(num(7), guard)).park()
            };
            let parked = parked.expect("three objects are a run");
            let seen: Vec<i64> = (0..parked.len())
                .map(|at| numbers(&parked.get(at).unwrap())[1])
                .collect();
            let states = [vec![1, 2, 3], vec![1, 2, 3, 4], vec![2, 3, 4]];
            assert!(states.contains(&seen), "{seen:?}");
            writer.join().unwrap();
        });
    }
}

/// A key gets so many objects that they become a run, and loses them.
#[test]
fn a_run_comes_and_goes() {
    explore(2, || {
        let form = |value| Owned::paged(7, value);
        let table = table(Kind::Bag, [form(1), form(2)]);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                insert(&table, &form(3));
                delete(&table, 7);
                reclaim();
            })
        };
        let seen: Vec<i64> = lookup(&table, 7, &pin()).iter().map(|it| it[1]).collect();
        let states = [vec![], vec![1, 2], vec![1, 2, 3]];
        assert!(states.contains(&seen), "{seen:?}");
        writer.join().unwrap();
    });
}
