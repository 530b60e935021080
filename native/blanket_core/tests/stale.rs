//! What a thread remembers of a table when the table has changed.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;

use blanket_core::{Kind, Objects, pin};
use support::*;

/// Fills what is freed, and keeps it: who uses it after all finds no sense in it.
struct Spoiling;

// SAFETY: the system's own memory; freed blocks are written once more and never used again.
unsafe impl GlobalAlloc for Spoiling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: nobody but the allocator owns the block any more.
        unsafe { block.write_bytes(0x55, layout.size()) };
    }
}

#[global_allocator]
static ALLOCATOR: Spoiling = Spoiling;

/// Keys whose encodings are the same, so that they have to be compared.
fn key(number: i64) -> Value {
    text(format!("{}{number:02}", "x".repeat(64)))
}

fn object(number: i64) -> Value {
    tuple([key(number), int(number)])
}

fn next(table: &Table, number: i64) -> Option<Value> {
    let heap = Heap::new();
    let mut found = Objects::none();
    let guard = &pin();
    table
        .next(&mut found, heap.build(&key(number)), guard)
        .expect("no leaf is locked");
    found.first().map(|object| object.to_value())
}

#[test]
fn a_leaf_that_is_removed_during_a_step_is_forgotten() {
    let happened = (0..).take_while(|&nth| {
        let table = Arc::new(Table::<Term>::with_bounds(
            Kind::OrderedSet,
            1,
            tiny_bounds(),
        ));
        // The second leaf begins with 80. It is thin, and so is the first.
        for number in (0..=80).step_by(10).chain([85, 90]) {
            insert(&table, &object(number));
        }
        for number in [0, 10, 20, 30, 40, 80] {
            delete(&table, &key(number));
        }
        let happens = {
            let table = Arc::clone(&table);
            // The second leaf is joined to the first, where what was in it goes, too.
            move || {
                [90, 85]
                    .iter()
                    .for_each(|&number| delete(&table, &key(number)))
            }
        };
        let happened = meanwhile(nth, happens, || {
            next(&table, 82);
        });
        for _ in 0..100 {
            pin().flush();
        }
        if happened {
            assert_eq!(next(&table, 82), None);
            assert_eq!(next(&table, 60), Some(object(70)));
        }
        happened
    });
    assert!(happened.count() > 2);
}
