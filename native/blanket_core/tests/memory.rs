//! What a table holds on to: as much as its objects take and little more, whatever was done to it.

mod support;

use std::sync::Arc;

use blanket_core::{BulkMode, Kind, pin};
use support::*;

/// An object of the slab, one of a block, one of a page.
const FORMS: [fn(i64, i64) -> Value; 3] = [flat, object, paged];

fn flat(key: i64, version: i64) -> Value {
    tuple([int(key), int(version)])
}

fn object(key: i64, version: i64) -> Value {
    tuple([int(key), int(version), text("a payload of some bytes")])
}

fn paged(key: i64, version: i64) -> Value {
    tuple([int(key), int(version), bytes("a payload of some bytes")])
}

/// Waits until the table, and all of its terms that are alive, take at most `most` bytes.
fn assert_settles(table: &Table, census: &Arc<Census>, most: usize) {
    reclaim_until(|| match (table.bytes(), census.bytes()) {
        (bytes, alive) if bytes <= most && alive <= most => Ok(()),
        (bytes, alive) => Err(format!("{bytes} of {most} bytes, {alive} alive")),
    });
}

every_kind! {
    bytes_are_those_of_the_objects(kind) {
        for form in FORMS {
            let census = Census::take();
            let table = Table::<Term>::new(kind, 1);
            let empty = table.bytes();
            for key in 0..20_000 {
                insert(&table, &form(key, 0));
            }
            reclaim_until(|| match (table.bytes(), census.bytes()) {
                (bytes, alive) if bytes > alive => Ok(()),
                (bytes, alive) => Err(format!("{bytes} bytes counted of {alive}")),
            });
            let full = census.bytes();
            assert_settles(&table, &census, full * 2);
            for key in 0..20_000 {
                delete(&table, &int(key));
            }
            assert_settles(&table, &census, empty + full / 50);
        }
    }

    a_queue_stays_small(kind) {
        for form in FORMS {
            let census = Census::take();
            let table = Table::<Term>::new(kind, 1);
            for key in 0..1_000 {
                insert(&table, &form(key, 0));
            }
            let most = table.bytes() * 3;
            for key in 1_000..100_000 {
                insert(&table, &form(key, 0));
                delete(&table, &int(key - 1_000));
                if key % 10_000 == 0 {
                    assert_settles(&table, &census, most);
                }
            }
            assert_eq!(table.len(), 1_000);
            drop(table);
            census.assert_all_reclaimed();
        }
    }

    objects_written_again_and_again_stay_small(kind) {
        for form in FORMS {
            let census = Census::take();
            let table = Table::<Term>::new(kind, 1);
            for key in 0..1_000 {
                insert(&table, &form(key, 0));
            }
            let most = table.bytes() * 3;
            let mut rng = Rng::new(1);
            let mut versions = [0; 1_000];
            for round in 1..=100_000 {
                let key = rng.below(1_000);
                let old = form(key as i64, versions[key]);
                versions[key] = round;
                insert(&table, &form(key as i64, round));
                if let Kind::Bag | Kind::DuplicateBag = kind {
                    retry(|guard| table.delete_object(Heap::new().build(&old), guard));
                }
                if round % 20_000 == 0 {
                    assert_settles(&table, &census, most);
                }
            }
            for (key, &version) in versions.iter().enumerate() {
                assert_eq!(lookup(&table, &int(key as i64)), [form(key as i64, version)]);
            }
            drop(table);
            census.assert_all_reclaimed();
        }
    }

    a_few_survivors_hold_little(kind) {
        for form in FORMS {
            let census = Census::take();
            let table = Table::<Term>::new(kind, 1);
            for key in 0..50_000 {
                insert(&table, &form(key, 0));
            }
            let full = table.bytes();
            for key in (0..50_000).filter(|key| key % 100 != 0) {
                delete(&table, &int(key));
            }
            assert_settles(&table, &census, full / 20);
            assert_eq!(table.len(), 500);
            for key in (0..50_000).step_by(100) {
                assert_eq!(lookup(&table, &int(key)), [form(key, 0)]);
            }
        }
    }

    a_large_object_goes_at_once(kind) {
        let census = Census::take();
        let table = Table::<Term>::new(kind, 1);
        let large = 1 << 20;
        for key in 0..200 {
            let payload = match key % 2 {
                0 => bytes(vec![1; large]),
                _ => text("x".repeat(large)),
            };
            insert(&table, &tuple([int(key), payload]));
            insert(&table, &object(key + 1_000, 0));
            delete(&table, &int(key));
        }
        assert_settles(&table, &census, large);
    }

    a_cleared_table_is_empty_at_once_and_frees_what_it_had(kind) {
        let census = Census::take();
        let table = Table::<Term>::new(kind, 1);
        let empty = table.bytes();
        for _ in 0..3 {
            bulk(&table, BulkMode::Insert, 1_000, (0..20_000).map(|key| object(key, 0)));
            let discarded = table.clear();
            assert_eq!(table.len(), 0);
            assert_eq!(lookup(&table, &int(7)), []);
            insert(&table, &object(7, 1));
            drop(discarded);
            assert_eq!(lookup(&table, &int(7)), [object(7, 1)]);
            assert_settles(&table, &census, empty + 100_000);
        }
    }

    a_dropped_list_leaves_nothing(kind) {
        let census = Census::take();
        let table = Table::<Term>::new(kind, 1);
        insert(&table, &object(1, 0));
        for steps in 0..20 {
            let mut list = blanket_core::Bulk::new(&table, BulkMode::InsertNew);
            for key in [2, 3, 4, 1, 5].into_iter().chain(1_000..1_000 + steps) {
                list.push(Heap::new().build(&object(key, 1)));
            }
            for _ in 0..steps {
                if let blanket_core::Progress::Done(inserted) = list.step(1) {
                    assert!(!inserted);
                    break;
                }
            }
        }
        assert_eq!(table.len(), 1);
        for key in 2..6 {
            insert(&table, &object(key, 2));
        }
        assert_eq!(table.len(), 5);
        drop(table);
        census.assert_all_reclaimed();
    }
}

fn check_parked(kind: Kind) {
    const NUMBERS: i64 = 3_000;
    let census = Census::take();
    let table = Table::<Term>::new(kind, 1);
    for number in 0..NUMBERS {
        insert(&table, &object(1, number));
    }
    let key = Heap::new();
    let parked = retry(|guard| Ok(table.lookup(key.build(&int(1)), guard)?.park()));
    let parked = parked.expect("many objects can be parked");
    drop(key);
    delete(&table, &int(1));
    drop(table);
    for _ in 0..100 {
        pin().flush();
    }
    assert_eq!(parked.len(), NUMBERS as usize);
    for number in 0..NUMBERS {
        let found = parked.get(number as usize).unwrap();
        assert_eq!(found.to_value(), object(1, number));
    }
    assert!(parked.get(NUMBERS as usize).is_none());
    drop(parked);
    census.assert_all_reclaimed();
}

#[test]
fn what_is_parked_outlives_a_bag() {
    check_parked(Kind::Bag);
}

#[test]
fn what_is_parked_outlives_a_duplicate_bag() {
    check_parked(Kind::DuplicateBag);
}

#[test]
fn a_run_goes_though_its_writer_does_nothing_more() {
    let census = Census::take();
    let table = Table::<Term>::new(Kind::Bag, 1);
    let (written, all_written) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (table, shared) = (&table, &census);
        scope.spawn(move || {
            shared.join();
            for version in 0..5_000 {
                insert(table, &paged(1, version));
            }
            written.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        all_written.recv().unwrap();
        let full = census.bytes();
        delete(table, &int(1));
        reclaim_until(|| match census.bytes() {
            bytes if bytes < full / 20 => Ok(()),
            bytes => Err(format!("{bytes} of {full} bytes")),
        });
        drop(end);
    });
    drop(table);
    census.assert_all_reclaimed();
}
