//! Panics inside the engine: whatever operation on a caller's term fails, in whatever call, the table is
//! afterwards as it was before that call or as it is after it, no lock is held, and no memory lost. A snapshot of before shows what it showed.

mod support;

use std::panic;
use std::sync::Once;

use blanket_core::{Bulk, BulkMode, Change, Direction, Kind, Object, Position, pin};
use support::*;

/// The panics that are meant would fill pages.
fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<Blown>().is_none() {
                usual(info);
            }
        }));
    });
}

/// Has every operation on a term that `op` makes fail, one after the other, each on a table that `before`
/// has filled. Answers how many there were.
fn check_op<const MASK: u64>(kind: Kind, before: &[Op], op: &Op, after: &[Op]) -> usize {
    be_quiet();
    for nth in 0.. {
        let census = Census::take();
        let mut pair = Pair::<MASK>::new(kind, 1, tiny_bounds());
        for op in before {
            pair.step(op).unwrap();
        }
        let snapshot = Table::snapshot(&[&pair.table]).unwrap().remove(0);
        let seen = contents(&snapshot);
        let blown = blow_at(nth, || change(&pair.table, op)).is_err();
        assert_eq!(contents(&snapshot), seen, "{kind:?}: {op:?} in a snapshot");
        drop(snapshot);
        let as_before = pair.compare_all();
        if let Err(difference) = as_before {
            apply(&mut pair.model, op);
            if let Err(other) = pair.compare_all() {
                panic!(
                    "{kind:?}: {op:?} whose operation {nth} fails leaves a half: neither as before \
                     ({difference}) nor as after ({other}), where before were {before:#?}"
                );
            }
        }
        for op in after {
            pair.step(op).unwrap();
        }
        pair.compare_all().unwrap();
        drop(pair);
        census.assert_all_reclaimed();
        if !blown {
            return nth;
        }
    }
    unreachable!("every operation comes to an end")
}

fn contents<const MASK: u64>(table: &Table<Plain<MASK>>) -> Vec<String> {
    let mut seen = Vec::new();
    scan_all(table, Direction::Forward, 10, |object| {
        seen.push(format!("{:?}", object.to_value()));
    });
    seen.sort();
    seen
}

/// Does `op` to a table alone.
fn change<const MASK: u64>(table: &Table<Plain<MASK>>, op: &Op) {
    let heap = Heap::<MASK>::new();
    let term = |value: &Value| heap.build(value);
    let guard = &pin();
    match op {
        Op::Insert(object) => table.insert(term(object), guard).unwrap(),
        Op::InsertNew(object) => drop(table.insert_new(term(object), guard).unwrap()),
        Op::InsertAll(mode, objects) => {
            let objects: Vec<_> = objects.iter().map(term).collect();
            table.insert_all(&objects, *mode, guard).unwrap();
        }
        Op::Bulk(mode, objects) => {
            let mut bulk = Bulk::new(table, *mode);
            for object in objects {
                bulk.push(term(object));
            }
            finish(&mut bulk, 3);
        }
        Op::Delete(key) => table.delete(term(key), guard).unwrap(),
        Op::DeleteObject(object) => drop(table.delete_object(term(object), guard).unwrap()),
        Op::Take(key) => drop(table.take(term(key), guard).unwrap()),
        Op::Update(key, default, by) => {
            let default = default.as_ref().map(term);
            let add = |elements: &mut blanket_core::Elements<_>, _| -> Result<(), ()> {
                let last: Plain<MASK> = elements.pop().unwrap();
                elements.push(term(&int(last.to_value().as_int() + by)));
                Ok(())
            };
            table.update(term(key), default, guard, add).unwrap();
        }
        op => panic!("{op:?} changes nothing"),
    }
}

/// Does `op` to a model alone.
fn apply(model: &mut Model, op: &Op) {
    match op {
        Op::Insert(object) => model.insert(object),
        Op::InsertNew(object) => drop(model.insert_new(std::slice::from_ref(object))),
        Op::InsertAll(mode, objects) | Op::Bulk(mode, objects) => match mode {
            BulkMode::Insert => objects.iter().for_each(|object| model.insert(object)),
            BulkMode::InsertNew => drop(model.insert_new(objects)),
        },
        Op::Delete(key) => drop(model.take(key)),
        Op::DeleteObject(object) => model.delete_object(object),
        Op::Take(key) => drop(model.take(key)),
        Op::Update(key, default, by) => {
            if let Some(object) = model.lookup(key).first().or(default.as_ref()).cloned() {
                let mut elements = object.elements().to_vec();
                let sum = elements.pop().unwrap().as_int() + by;
                elements.push(int(sum));
                model.insert(&tuple(elements));
            }
        }
        op => panic!("{op:?} changes nothing"),
    }
}

/// Keys that are operated upon, and are not alike.
fn key(number: i64) -> Value {
    match number % 2 {
        0 => text(format!("{number:04}")),
        _ => tuple([text(format!("{number:04}")), int(number)]),
    }
}

/// Objects that live in blocks and in pages.
fn object(number: i64, version: i64) -> Value {
    match number % 3 {
        0 => tuple([key(number), int(version)]),
        1 => tuple([key(number), text("in a block"), int(version)]),
        _ => tuple([key(number), bytes("in a page"), int(version)]),
    }
}

fn is_set(kind: Kind) -> bool {
    matches!(kind, Kind::Set | Kind::OrderedSet)
}

fn changes(number: i64, version: i64) -> Vec<Op> {
    let some = || {
        (number - 4..number + 4)
            .map(|number| object(number, version))
            .collect()
    };
    vec![
        Op::Insert(object(number, version)),
        Op::InsertNew(object(number, version)),
        Op::InsertAll(BulkMode::Insert, some()),
        Op::InsertAll(BulkMode::InsertNew, some()),
        Op::Bulk(BulkMode::Insert, some()),
        Op::Bulk(BulkMode::InsertNew, some()),
        Op::Delete(key(number)),
        Op::DeleteObject(object(number, 0)),
        Op::Take(key(number)),
        Op::Update(key(number), Some(object(number, 7)), 1),
    ]
}

every_kind! {
    any_change_of_a_growing_table(kind) {
        let mut failed = 0;
        for size in [0, 7, 8, 9, 15, 16, 17, 40] {
            let before: Vec<_> = (0..size).map(|key| Op::Insert(object(key * 2, 0))).collect();
            let after: Vec<_> = (0..60).map(|key| Op::Insert(object(key, 9))).collect();
            for key in [size, size + 3] {
                for op in changes(key, 1) {
                    if is_set(kind) || !matches!(op, Op::Update(..)) {
                        failed += check_op::<{ u64::MAX }>(kind, &before, &op, &after);
                    }
                }
            }
        }
        assert!(failed > 1_000);
    }

    any_change_of_many_objects_under_one_key(kind) {
        for size in [2, 3, 4, 8, 9, 14] {
            let before: Vec<_> = (0..size)
                .map(|version| Op::Insert(object(1 + version % 2, version)))
                .chain((0..size).map(|version| Op::Insert(object(1, version))))
                .collect();
            let after: Vec<_> = (0..20).flat_map(|version| {
                [Op::Insert(object(1, version)), Op::DeleteObject(object(1, version / 2))]
            }).collect();
            for op in [changes(1, 30), changes(1, 0), vec![Op::DeleteObject(object(1, 2))]].concat() {
                if is_set(kind) || !matches!(op, Op::Update(..)) {
                    check_op::<{ u64::MAX }>(kind, &before, &op, &after);
                }
            }
        }
    }

    any_change_where_hashes_clash(kind) {
        let before: Vec<_> = (0..20).map(|key| Op::Insert(object(key * 2, 0))).collect();
        for op in changes(10, 1) {
            if is_set(kind) || !matches!(op, Op::Update(..)) {
                check_op::<{ 3 << 62 }>(kind, &before, &op, &[]);
            }
        }
    }

    a_shrinking_table(kind) {
        let before: Vec<_> = (0..60).map(|key| Op::Insert(object(key, 0)))
            .chain((0..50).map(|number| Op::Delete(key(number))))
            .collect();
        let after: Vec<_> = (0..60).map(|key| Op::Insert(object(key, 9))).collect();
        for number in 50..60 {
            for op in [Op::Delete(key(number)), Op::Take(key(number)), Op::DeleteObject(object(number, 0))] {
                check_op::<{ u64::MAX }>(kind, &before, &op, &after);
            }
        }
    }

    a_commit_to_several_tables(kind) {
        be_quiet();
        let kinds = [kind, Kind::OrderedSet, Kind::Set];
        for size in [0, 7, 8, 9, 16, 40] {
            for nth in 0.. {
                let census = Census::take();
                let mut pairs = kinds.map(|kind| Pair::<{ u64::MAX }>::new(kind, 1, tiny_bounds()));
                let mut plan = Plan::default();
                for (number, pair) in pairs.iter_mut().enumerate() {
                    (0..size).for_each(|key| pair.step(&Op::Insert(object(key * 2, 0))).unwrap());
                    for at in size - 2..size + 4 {
                        plan.read(number, key(at), pair.model.lookup(&key(at)).to_vec());
                        plan.deeds.push((number, match at % 3 {
                            0 => Deed::Delete(key(at)),
                            1 => Deed::DeleteObject(object(at, 0)),
                            _ => Deed::Insert(object(at, 2)),
                        }));
                        plan.insert(number, object(at + 1, 1));
                    }
                }
                let blown = blow_at(nth, || {
                    let tables: Vec<_> = pairs.iter().map(|pair| &pair.table).collect();
                    assert!(plan.try_commit(&tables, &[]).unwrap());
                });
                if pairs.iter().any(|pair| pair.compare_all().is_err()) {
                    for (number, deed) in &plan.deeds {
                        deed.apply(&mut pairs[*number].model);
                    }
                }
                pairs.iter().for_each(|pair| pair.compare_all().unwrap());
                drop(pairs);
                census.assert_all_reclaimed();
                if blown.is_ok() {
                    assert!(nth > 20, "{nth} operations");
                    break;
                }
            }
        }
    }

    a_sweep_whose_visitor_panics(kind) {
        be_quiet();
        for nth in 0..40 {
            let census = Census::take();
            let mut pair = Pair::<{ u64::MAX }>::new(kind, 1, tiny_bounds());
            for number in 0..40 {
                pair.step(&Op::Insert(object(number, 0))).unwrap();
            }
            let mut seen = 0;
            let mut deleted = Vec::new();
            let mut sweeping = pair.table.begin_sweep().unwrap();
            let swept = blow_at(usize::MAX, || {
                let guard = &pin();
                let mut from = Some(Position::start());
                while let Some(position) = from {
                    let visit = |object: Object<Term>| {
                        if seen == nth {
                            std::panic::panic_any(Blown);
                        }
                        seen += 1;
                        if seen % 2 == 0 {
                            return Change::Keep;
                        }
                        deleted.push(object.to_value());
                        Change::Delete
                    };
                    from = pair.table.sweep(position, 8, guard, &mut sweeping, visit).unwrap().next;
                }
            });
            assert_eq!(swept, Err(Blown));
            for object in &deleted {
                pair.model.delete_object(object);
            }
            pair.compare_all().unwrap();
            drop(pair);
            census.assert_all_reclaimed();
        }
    }
}
