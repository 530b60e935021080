//! What the engine's tests share: a plain term, a naive twin of a table, and a few helpers.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test file uses a part of it"
)]

mod fuse;
mod model;
mod pair;
mod plain;
mod plan;
mod program;
mod rng;
mod scene;
mod value;

use std::thread;

use blanket_core::{
    Bounds, Bulk, BulkMode, Contended, Direction, Guard, Kind, Object, Position, Progress, pin,
};

pub use fuse::{Blown, blow_at};
pub use model::Model;
pub use pair::{Op, Pair};
pub use plain::{Census, Heap, Plain, Taken, meanwhile, reclaim_until};
pub use plan::{Deed, Plan};
pub use program::{Domain, Program};
pub use rng::Rng;
pub use scene::{Scene, THREADS, is_bag, sealed, version_of};
pub use value::{Value, bytes, float, int, matches, text, tuple};

pub const KINDS: [Kind; 4] = [Kind::Set, Kind::OrderedSet, Kind::Bag, Kind::DuplicateBag];

/// Terms with good hashes.
pub type Term = Plain<{ u64::MAX }>;
/// Terms of which many share one of four hashes.
pub type Clashing = Plain<{ 3 << 62 }>;
/// Terms that all share one hash.
pub type Colliding = Plain<0>;

pub type Table<T = Term> = blanket_core::Table<T>;

/// So small that a few dozen objects split leaves, fill pages and become runs.
pub fn tiny_bounds() -> Bounds {
    Bounds {
        hash_leaf: 16,
        ordered_leaf: 8,
        branch: 4,
        page_objects: 4,
        page_bytes: 1_000,
        large_object: 500,
        run: 3,
        run_index: 8,
        run_chunk: 3,
        spread: 3,
    }
}

/// Calls `operation` until it finds its leaf unlocked.
pub fn retry<R>(mut operation: impl FnMut(&Guard) -> Result<R, Contended>) -> R {
    loop {
        match operation(&pin()) {
            Ok(answer) => return answer,
            Err(Contended) => thread::yield_now(),
        }
    }
}

pub fn insert<const MASK: u64>(table: &Table<Plain<MASK>>, object: &Value) {
    retry(|guard| table.insert(Heap::new().build(object), guard));
}

pub fn delete<const MASK: u64>(table: &Table<Plain<MASK>>, key: &Value) {
    retry(|guard| table.delete(Heap::new().build(key), guard));
}

pub fn lookup<const MASK: u64>(table: &Table<Plain<MASK>>, key: &Value) -> Vec<Value> {
    retry(|guard| {
        let found = table.lookup(Heap::new().build(key), guard)?;
        Ok(found.iter().map(|object| object.to_value()).collect())
    })
}

pub fn take<const MASK: u64>(table: &Table<Plain<MASK>>, key: &Value) -> Vec<Value> {
    retry(|guard| {
        let taken = table.take(Heap::new().build(key), guard)?;
        Ok(taken.iter().map(|object| object.to_value()).collect())
    })
}

pub fn bulk<const MASK: u64>(
    table: &Table<Plain<MASK>>,
    mode: BulkMode,
    budget: usize,
    objects: impl IntoIterator<Item = Value>,
) -> bool {
    let mut bulk = Bulk::new(table, mode);
    for object in objects {
        bulk.push(Heap::new().build(&object));
    }
    finish(&mut bulk, budget)
}

/// Steps `bulk` to its end.
pub fn finish<const MASK: u64>(bulk: &mut Bulk<Plain<MASK>>, budget: usize) -> bool {
    loop {
        match bulk.step(budget) {
            Progress::Done(inserted) => return inserted,
            Progress::Pending | Progress::Contended => thread::yield_now(),
        }
    }
}

/// Scans the table in steps, with no guard between them.
pub fn scan_all<const MASK: u64>(
    table: &Table<Plain<MASK>>,
    direction: Direction,
    max: usize,
    mut see: impl FnMut(Object<Plain<MASK>>),
) {
    let mut parked = Position::start().park();
    loop {
        let guard = &pin();
        let mut out = Vec::new();
        let next = retry(|_| {
            out.clear();
            table.scan(parked.unpark(), direction, max, guard, &mut out)
        });
        out.into_iter().for_each(&mut see);
        match next {
            Some(position) => parked = position.park(),
            None => return,
        }
    }
}

/// Makes a test of each kind of table.
macro_rules! every_kind {
    ($($name:ident($kind:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn check($kind: blanket_core::Kind) $body

            #[test]
            fn set() {
                check(blanket_core::Kind::Set);
            }

            #[test]
            fn ordered_set() {
                check(blanket_core::Kind::OrderedSet);
            }

            #[test]
            fn bag() {
                check(blanket_core::Kind::Bag);
            }

            #[test]
            fn duplicate_bag() {
                check(blanket_core::Kind::DuplicateBag);
            }
        }
    )*};
}
pub(crate) use every_kind;
