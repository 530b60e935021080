//! Tables against their models: random programs, and shapes that a random program does not reach.

mod support;

use std::ops::Range;

use blanket_core::{Bounds, BulkMode, Direction, Kind};
use support::*;

fn check_programs<const MASK: u64>(domain: Domain, kind: Kind, ops: usize, seeds: Range<u64>) {
    for seed in seeds {
        let program = Program {
            kind,
            keypos: [1, 2, 5][seed as usize % 3],
            domain,
            ops,
            tiny: seed % 2 == 0,
            clear_once_in: ops,
            scan_once_in: ops / 10,
        };
        program.check::<MASK>(seed);
    }
}

const GOOD: u64 = u64::MAX;
const FOUR_HASHES: u64 = 3 << 62;
const ONE_HASH: u64 = 0;

every_kind! {
    few_keys(kind) {
        check_programs::<GOOD>(Domain::Mixed(8), kind, 400, 0..40);
        check_programs::<GOOD>(Domain::Integers(5), kind, 1_000, 40..56);
    }

    many_keys(kind) {
        check_programs::<GOOD>(Domain::Mixed(1_000), kind, 4_000, 0..4);
        check_programs::<GOOD>(Domain::Integers(20_000), kind, 30_000, 4..6);
    }

    keys_with_shared_prefixes(kind) {
        check_programs::<GOOD>(Domain::SharedPrefix(6), kind, 400, 0..20);
        check_programs::<GOOD>(Domain::SharedPrefix(1_000), kind, 4_000, 20..24);
    }

    clashing_hashes(kind) {
        check_programs::<FOUR_HASHES>(Domain::Mixed(8), kind, 400, 0..20);
        check_programs::<FOUR_HASHES>(Domain::Mixed(300), kind, 3_000, 20..22);
        check_programs::<ONE_HASH>(Domain::Mixed(8), kind, 400, 22..42);
        check_programs::<ONE_HASH>(Domain::Mixed(300), kind, 3_000, 42..44);
    }

    many_objects_in_any_order(kind) {
        let ascending: Vec<_> = (0..20_000).collect();
        let descending = ascending.iter().rev().copied().collect();
        let inwards = (0..10_000).flat_map(|i| [i, 19_999 - i]).collect();
        let mut shuffled: Vec<_> = (0..100_000).collect();
        Rng::new(1).shuffle(&mut shuffled);
        for keys in [ascending, descending, inwards, shuffled] {
            fill_and_empty(kind, &keys);
        }
    }

    a_long_list_at_once(kind) {
        let census = Census::take();
        let mut pair = Pair::<GOOD>::new(kind, 1, Bounds::default());
        let objects = |keys: Range<i64>, mark: i64| -> Vec<_> {
            keys.map(|key| tuple([int(key % 30_000), int(mark)])).collect()
        };
        for (keys, mark, mode) in [
            (0..40_000, 1, BulkMode::InsertNew),
            (20_000..60_000, 2, BulkMode::Insert),
            (29_999..50_000, 3, BulkMode::InsertNew),
            (0..0, 4, BulkMode::InsertNew),
            (0..0, 5, BulkMode::Insert),
        ] {
            pair.step(&Op::Bulk(mode, objects(keys, mark))).unwrap();
        }
        pair.compare_all().unwrap();
        drop(pair);
        census.assert_all_reclaimed();
    }
}

fn fill_and_empty(kind: Kind, keys: &[i64]) {
    let census = Census::take();
    let mut pair = Pair::<GOOD>::new(kind, 1, Bounds::default());
    for &key in keys {
        let object = tuple([int(key), int(key)]);
        pair.step(&Op::Insert(object)).unwrap();
    }
    pair.compare_all().unwrap();
    for &key in keys.iter().filter(|&&key| key % 3 != 0) {
        pair.step(&Op::Delete(int(key))).unwrap();
    }
    pair.compare_all().unwrap();
    for &key in keys.iter().rev() {
        pair.step(&Op::Take(int(key))).unwrap();
    }
    pair.compare_all().unwrap();
    assert_eq!(pair.table.len(), 0);
    drop(pair);
    census.assert_all_reclaimed();
}

/// 50,000 objects under one key, and a few others on both sides of it in any order of keys.
fn check_long_run(kind: Kind) {
    const RUN: i64 = 50_000;
    let census = Census::take();
    let table = Table::<Term>::new(kind, 1);
    let object = |key: i64, number: i64| tuple([int(key), int(number)]);
    let numbers = |objects: Vec<Value>| -> Vec<i64> {
        let number = |object: &Value| object.elements()[1].as_int();
        objects.iter().map(number).collect()
    };
    let run = || numbers(lookup(&table, &int(0)));
    for key in 1..1_000 {
        insert(&table, &object(key, 0));
    }
    for number in 0..RUN {
        insert(&table, &object(0, number));
    }
    for key in 1_000..2_000 {
        insert(&table, &object(key, 0));
    }
    insert(&table, &object(0, 7));
    let mut expected: Vec<_> = (0..RUN).collect();
    if let Kind::DuplicateBag = kind {
        expected.push(7);
    }
    assert_eq!(run(), expected);

    for number in (0..RUN).filter(|number| number % 100 == 7) {
        let object = object(0, number);
        retry(|guard| table.delete_object(Heap::new().build(&object), guard));
    }
    expected.retain(|number| number % 100 != 7);
    assert_eq!(run(), expected);
    assert_eq!(table.len(), expected.len() + 1_999);
    for key in 1..2_000 {
        assert_eq!(lookup(&table, &int(key)).len(), 1);
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let mut seen = Vec::new();
        scan_all(&table, direction, 1_000, |object| {
            seen.push(object.to_value())
        });
        assert_eq!(seen.len(), table.len());
        seen.retain(|object| object.elements()[0] == int(0));
        assert_eq!(numbers(seen), expected);
    }

    let taken = numbers(take(&table, &int(0)));
    assert_eq!(taken, expected);
    assert_eq!(run(), []);
    assert_eq!(table.len(), 1_999);
    drop(table);
    census.assert_all_reclaimed();
}

#[test]
fn a_long_run_under_one_key_of_a_bag() {
    check_long_run(Kind::Bag);
}

#[test]
fn a_long_run_under_one_key_of_a_duplicate_bag() {
    check_long_run(Kind::DuplicateBag);
}

#[test]
fn the_same_object_many_times_in_a_duplicate_bag() {
    let census = Census::take();
    let table = Table::<Term>::new(Kind::DuplicateBag, 1);
    let object = tuple([int(0), int(1)]);
    let other = tuple([int(0), int(2)]);
    insert(&table, &other);
    for _ in 0..20_000 {
        insert(&table, &object);
    }
    insert(&table, &other);
    assert_eq!(table.len(), 20_002);
    retry(|guard| table.delete_object(Heap::new().build(&object), guard));
    assert_eq!(lookup(&table, &int(0)), [other.clone(), other]);
    assert_eq!(table.len(), 2);
    drop(table);
    census.assert_all_reclaimed();
}

#[test]
fn an_ordered_set_keeps_one_object_for_equal_numbers() {
    let mut pair = Pair::<GOOD>::new(Kind::OrderedSet, 1, Bounds::default());
    for key in [
        int(1),
        float(1.0),
        int(1 << 53),
        float((1i64 << 53) as f64),
        int((1 << 53) + 1),
    ] {
        pair.step(&Op::Insert(tuple([key]))).unwrap();
    }
    assert_eq!(pair.table.len(), 3);
    pair.compare_all().unwrap();
}

#[test]
fn a_set_keeps_equal_numbers_apart() {
    let mut pair = Pair::<GOOD>::new(Kind::Set, 1, Bounds::default());
    for key in [int(1), float(1.0)] {
        pair.step(&Op::Insert(tuple([key]))).unwrap();
    }
    assert_eq!(pair.table.len(), 2);
    pair.compare_all().unwrap();
}

/// As those of another table do when it is gone over: they crowd together, far from their homes.
#[test]
fn keys_that_come_in_the_order_of_their_hashes() {
    let heap = Heap::<{ u64::MAX }>::new();
    let mut keys: Vec<i64> = (0..5_000).collect();
    keys.sort_by_key(|&key| blanket_core::Term::hash(heap.build(&int(key))));
    for descending in [false, true] {
        if descending {
            keys.reverse();
        }
        let table: Table = Table::new(Kind::Set, 1);
        for (at, &key) in keys.iter().enumerate() {
            assert!(lookup(&table, &int(key)).is_empty());
            insert(&table, &tuple([int(key), int(0)]));
            insert(&table, &tuple([int(key), int(1)]));
            assert_eq!(table.len(), at + 1);
            let earlier = keys[at * 7 / 10];
            assert_eq!(
                lookup(&table, &int(earlier)),
                [tuple([int(earlier), int(1)])]
            );
        }
        for (at, &key) in keys.iter().enumerate() {
            delete(&table, &int(key));
            assert_eq!(table.len(), keys.len() - at - 1);
        }
    }
}
