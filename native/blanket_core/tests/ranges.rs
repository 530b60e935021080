//! Scans that end at a key: they look at what is before it, and at nothing else.

mod support;

use blanket_core::{Direction, Kind, Position, pin};
use support::*;

const KEYS: i64 = 500;

/// The even keys, by twos of a range.
fn filled(key: impl Fn(i64) -> Value) -> Table {
    let table = Table::with_bounds(Kind::OrderedSet, 1, tiny_bounds());
    for number in 0..KEYS {
        insert(&table, &tuple([key(number * 2), int(number * 2)]));
    }
    table
}

/// What a scan from behind `from` until `until` looks at, in portions of `max`.
fn looked_at(
    table: &Table,
    from: &Value,
    until: &Value,
    direction: Direction,
    max: usize,
) -> Vec<i64> {
    let heap = Heap::new();
    let (from, until) = (heap.build(from), heap.build(until));
    let mut parked = Position::after(from).park();
    let mut numbers = Vec::new();
    loop {
        let guard = &pin();
        let mut found = Vec::new();
        let next = retry(|_| {
            found.clear();
            let from = parked.unpark();
            table.scan_until(from, Some(until), direction, max, guard, &mut found)
        });
        assert!(found.len() <= max);
        numbers.extend(
            found
                .iter()
                .map(|object| object.to_value().elements()[1].as_int()),
        );
        match next {
            Some(next) => parked = next.park(),
            None => return numbers,
        }
    }
}

fn check(key: impl Fn(i64) -> Value) {
    let table = filled(&key);
    let mut rng = Rng::new(7);
    for _ in 0..2_000 {
        let mut bound = || rng.below(2 * KEYS as usize + 20) as i64 - 10;
        let (low, high) = (bound(), bound());
        let within: Vec<i64> = (0..KEYS)
            .map(|number| number * 2)
            .filter(|number| (low + 1..high).contains(number))
            .collect();
        let max = 1 + rng.below(20);
        let forward = looked_at(&table, &key(low), &key(high), Direction::Forward, max);
        assert_eq!(forward, within, "from {low} until {high}");

        // Backwards, the end is the least key that is seen.
        let mut backward = looked_at(&table, &key(high), &key(low + 1), Direction::Backward, max);
        backward.reverse();
        assert_eq!(backward, within, "from {high} back until {low}");
    }
}

#[test]
fn of_numbers() {
    check(int);
}

#[test]
fn of_keys_that_begin_alike() {
    check(|number| tuple([text("a long beginning that all of them share"), int(number)]));
}

#[test]
fn of_an_empty_table() {
    let table = Table::with_bounds(Kind::OrderedSet, 1, tiny_bounds());
    for direction in [Direction::Forward, Direction::Backward] {
        assert!(looked_at(&table, &int(1), &int(9), direction, 3).is_empty());
    }
}
