//! Slots, and steps from keys that are not in the table.

mod support;

use blanket_core::{Direction, HASH_SLOTS, Kind, Objects, Passed, Position, hash_slot, pin};
use support::*;

const KEYS: i64 = 3_000;

/// Every second key of a range; a bag's have three objects each.
fn filled(kind: Kind) -> Table {
    let table = Table::with_bounds(kind, 1, tiny_bounds());
    for key in 0..KEYS {
        for other in 0..if is_bag(kind) { 3 } else { 1 } {
            insert(&table, &tuple([int(key * 2), int(other)]));
        }
    }
    table
}

fn key_of(object: &Value) -> i64 {
    object.elements()[0].as_int()
}

/// The objects of a slot of a hash table, by portions of two.
fn in_slot(table: &Table, slot: usize) -> Vec<Value> {
    let mut parked = Position::before_hash_slot(slot).park();
    let mut objects = Vec::new();
    loop {
        let guard = &pin();
        let mut found = Vec::new();
        let next = retry(|_| {
            found.clear();
            table.scan(parked.unpark(), Direction::Forward, 2, guard, &mut found)
        });
        let here = |object: &&blanket_core::Object<Term>| hash_slot(object.elements()[0]) == slot;
        let mine: Vec<Value> = found
            .iter()
            .take_while(here)
            .map(|o| o.to_value())
            .collect();
        let over = mine.len() < found.len();
        objects.extend(mine);
        match next {
            Some(next) if !over => parked = next.park(),
            _ => return objects,
        }
    }
}

#[test]
fn hash_slots_hold_every_object_once() {
    for kind in [Kind::Set, Kind::Bag, Kind::DuplicateBag] {
        let table = filled(kind);
        let mut seen = Vec::new();
        for slot in 0..HASH_SLOTS {
            seen.extend(in_slot(&table, slot).iter().map(key_of));
        }
        assert_eq!(seen.len(), table.len());
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.into_iter().eq((0..KEYS).map(|key| key * 2)));
    }
}

#[test]
fn a_key_stays_in_its_slot_while_the_table_grows() {
    let table = filled(Kind::Set);
    let slots: Vec<Vec<i64>> = (0..HASH_SLOTS)
        .map(|slot| in_slot(&table, slot).iter().map(key_of).collect())
        .collect();
    for key in KEYS..KEYS * 4 {
        insert(&table, &tuple([int(key * 2), int(0)]));
    }
    for (slot, before) in slots.iter().enumerate() {
        let now: Vec<i64> = in_slot(&table, slot).iter().map(key_of).collect();
        assert!(before.iter().all(|key| now.contains(key)));
    }
}

#[test]
fn an_ordered_table_is_passed_by_numbers() {
    let table = filled(Kind::OrderedSet);
    let first_behind = |count: usize| {
        let guard = &pin();
        let (mut at, mut wanted) = (Position::start(), count);
        while wanted > 0 {
            match retry(|_| table.pass(at.clone(), wanted, guard)) {
                Passed::At(next, less) => (at, wanted) = (next, less),
                Passed::End(less) => return Err(less),
            }
        }
        let mut found = Vec::new();
        retry(|_| table.scan(at.clone(), Direction::Forward, 1, guard, &mut found));
        Ok(found.first().map(|object| key_of(&object.to_value())))
    };
    for count in 0..KEYS as usize {
        assert_eq!(first_behind(count), Ok(Some(count as i64 * 2)));
    }
    assert_eq!(first_behind(KEYS as usize), Ok(None));
    assert_eq!(first_behind(KEYS as usize + 5), Err(5));

    let empty: Table = Table::with_bounds(Kind::OrderedSet, 1, tiny_bounds());
    let guard = &pin();
    assert!(matches!(
        retry(|_| empty.pass(Position::start(), 3, guard)),
        Passed::End(3)
    ));
}

every_kind! {
    steps_go_on_behind_keys_that_are_gone(kind) {
        let table = filled(kind);
        let mut walked = Vec::new();
        let guard = &pin();
        let mut found = Objects::none();
        retry(|_| table.first(&mut found, guard));
        while let Some(object) = found.first() {
            let key = object.elements()[0];
            walked.push(key_of(&object.to_value()));
            retry(|guard| table.delete(key, guard));
            retry(|_| table.behind(&mut found, key, guard));
        }
        assert!(table.is_empty());
        walked.sort_unstable();
        assert!(walked.into_iter().eq((0..KEYS).map(|key| key * 2)));
    }
}
