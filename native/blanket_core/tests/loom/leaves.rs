//! One leaf: what is written in place, moved and freed under the eyes of a reader.

use std::sync::Arc;

use blanket_core::{Kind, UpdateError, pin};
use loom::thread;

use crate::support::*;
use crate::term::{Owned, num};

const KINDS: [Kind; 2] = [Kind::Set, Kind::OrderedSet];

/// `write` on a thread of its own, while this one looks up key 7, and again when all is over. The answer is
/// one of `seen`, and at the end the last of these.
fn one_key(
    kind: Kind,
    objects: impl IntoIterator<Item = Owned>,
    write: impl FnOnce(&Table) + Send + 'static,
    seen: &[&[&[i64]]],
) {
    let table = table(kind, objects);
    let writer = {
        let table = Arc::clone(&table);
        thread::spawn(move || write(&table))
    };
    let found = lookup(&table, 7, &pin());
    assert!(seen.iter().any(|&seen| found == seen), "{found:?}");
    writer.join().unwrap();
    assert_eq!(lookup(&table, 7, &pin()), seen[seen.len() - 1]);
}

#[test]
fn a_flat_object_is_written_in_place() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let object = |value| Owned::flat(&[7, value, value]);
            let write = move |table: &Table| insert(table, &object(2));
            one_key(kind, [object(1)], write, &[&[&[7, 1, 1]], &[&[7, 2, 2]]]);
        });
    }
}

#[test]
fn a_block_is_written_in_place() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let object = |value| Owned::keyed(7, &[value, value]);
            let write = move |table: &Table| insert(table, &object(2));
            one_key(kind, [object(1)], write, &[&[&[7, 1, 1]], &[&[7, 2, 2]]]);
        });
    }
}

#[test]
fn a_vacant_place_takes_another_object() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let write = |table: &Table| {
                delete(table, 7);
                insert(table, &Owned::flat(&[8, 2, 2]));
            };
            one_key(
                kind,
                [Owned::flat(&[7, 1, 1])],
                write,
                &[&[&[7, 1, 1]], &[]],
            );
        });
    }
}

#[test]
fn entries_move_when_another_comes() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let objects = [Owned::flat(&[7, 1, 1]), Owned::flat(&[200, 3, 3])];
            let write = |table: &Table| {
                insert(table, &Owned::flat(&[6, 2, 2]));
            };
            one_key(kind, objects, write, &[&[&[7, 1, 1]]]);
        });
    }
}

/// A block that is replaced is freed when no reader can be at it.
#[test]
fn a_block_is_freed() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let write = |table: &Table| {
                insert(table, &Owned::block(7, 2));
                reclaim();
            };
            let seen: [&[&[i64]]; 2] = [&[&[7, 1, 1]], &[&[7, 2, 2]]];
            one_key(kind, [Owned::block(7, 1)], write, &seen);
        });
    }
}

/// A page that is mostly garbage is evacuated, and freed when no reader can be at it.
#[test]
fn a_page_is_evacuated() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let objects = [(7, 1), (8, 8), (9, 9)].map(|(key, value)| Owned::paged(key, value));
            let write = |table: &Table| {
                // The first page has the object under 8 and garbage now, or garbage alone.
                insert(table, &Owned::paged(8, 2));
                insert(table, &Owned::paged(7, 2));
                reclaim();
            };
            let seen: [&[&[i64]]; 2] = [&[&[7, 1, 1]], &[&[7, 2, 2]]];
            one_key(kind, objects, write, &seen);
        });
    }
}

#[test]
fn no_step_of_a_counter_is_lost() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = table(kind, [Owned::flat(&[7, 0])]);
            let step = |table: &Table| {
                let guard = &pin();
                loop {
                    let stepped =
                        table.update(num(7), None, guard, |elements, _| -> Result<_, ()> {
                            let count = elements[1].value() + 1;
                            elements[1] = num(count);
                            Ok(count)
                        });
                    match stepped {
                        Ok(count) => return count.expect("the counter is there"),
                        Err(UpdateError::Contended) => thread::yield_now(),
                        Err(UpdateError::Rejected(())) => unreachable!(),
                    }
                }
            };
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || step(&table))
            };
            let mut counts = [step(&table), other.join().unwrap()];
            counts.sort_unstable();
            assert_eq!(counts, [1, 2]);
            assert_eq!(lookup(&table, 7, &pin()), [[7, 2]]);
        });
    }
}
