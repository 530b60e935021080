//! What is recorded of changes is all that it takes to have a copy follow a table.

mod support;

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{
    Bounds, BulkMode, Change, Changed, Commit, Contended, Direction, Kind, Operation, Position, pin,
};
use support::*;

const GOOD: u64 = u64::MAX;
const FOUR_HASHES: u64 = 3 << 62;

/// A copy of a table that knows only what is recorded.
struct Copy(Model);

impl Copy {
    fn follow<const MASK: u64>(
        &mut self,
        (snapshot, changed): &(Table<Plain<MASK>>, Changed<Plain<MASK>>),
    ) {
        if changed.is_all() {
            self.0.clear();
        }
        for key in changed.keys() {
            let key = key.to_value();
            self.0.take(&key);
            for object in lookup(snapshot, &key) {
                self.0.insert(&object);
            }
        }
    }

    /// Follows, and sees whether it is what the table was at that instant.
    fn catch_up<const MASK: u64>(&mut self, table: &Table<Plain<MASK>>) {
        let changed = table.changes().expect("it records");
        self.follow(&changed);
        let mut shown = Vec::new();
        scan_all(&changed.0, Direction::Forward, 100, |object| {
            shown.push(object.to_value());
        });
        assert_eq!(shown.len(), self.0.len());
        for object in shown {
            let key = self.0.key_of(&object);
            assert!(
                self.0.lookup(&key).contains(&object),
                "{object:?} is missing"
            );
        }
    }
}

fn recording<const MASK: u64>(kind: Kind, bounds: Bounds) -> Table<Plain<MASK>> {
    let table = Table::recording(kind, 1, bounds);
    table.record();
    table
}

fn delete_all_by_sweep(table: &Table) {
    let mut sweeping = loop {
        match table.begin_sweep() {
            Ok(sweeping) => break sweeping,
            Err(Contended) => thread::yield_now(),
        }
    };
    let guard = &pin();
    let mut from = Some(Position::start());
    while let Some(position) = from.take() {
        let delete = |_| Change::Delete;
        from = retry(|_| table.sweep(position.clone(), 5, guard, &mut sweeping, delete)).next;
        if let Some((objects, behind)) = from.as_ref().and_then(Position::many) {
            for at in 0..objects.len() {
                retry(|_| table.sweep_many(&objects, at, guard, &mut sweeping, delete));
            }
            from = Some(behind);
        }
    }
}

fn check_programs<const MASK: u64>(domain: Domain, kind: Kind, ops: usize, seeds: Range<u64>) {
    for seed in seeds {
        let program = Program {
            kind,
            keypos: 1,
            domain,
            ops,
            tiny: seed % 3 != 0,
            clear_once_in: ops / 4,
            scan_once_in: ops,
        };
        let check = || {
            let census = Census::take();
            let mut rng = Rng::new(seed);
            let mut pair = Pair::<MASK> {
                table: recording(kind, program.bounds()),
                model: Model::new(kind, 1),
            };
            let mut copy = Copy(Model::new(kind, 1));
            for op in program.generate(seed) {
                pair.step(&op)?;
                if rng.once_in(ops / 30) {
                    copy.catch_up(&pair.table);
                }
            }
            copy.catch_up(&pair.table);
            assert!(!pair.table.has_changes());
            drop(pair);
            census.assert_all_reclaimed();
            Ok::<_, String>(())
        };
        if let Err(failure) = check() {
            panic!("seed {seed} of {program:?}: {failure}");
        }
    }
}

fn version(key: i64, version: i64) -> Value {
    tuple([int(key), int(version)])
}

every_kind! {
    a_copy_follows_a_program(kind) {
        check_programs::<GOOD>(Domain::Mixed(8), kind, 400, 0..8);
        check_programs::<FOUR_HASHES>(Domain::Mixed(8), kind, 400, 8..12);
        check_programs::<GOOD>(Domain::Mixed(1_000), kind, 4_000, 12..14);
    }

    a_copy_follows_writers_of_many_keys(kind) {
        const KEYS: usize = 40;
        let census = Census::take();
        let table = recording::<GOOD>(kind, tiny_bounds());
        let at_work = AtomicUsize::new(3);
        let write = |number: u64, deed: &dyn Fn(&mut Rng, i64)| {
            let mut rng = Rng::new(number);
            for round in 0..60 {
                deed(&mut rng, round);
            }
            at_work.fetch_sub(1, SeqCst);
        };
        thread::scope(|scope| {
            scope.spawn(|| write(1, &|rng, round| {
                let first = rng.below(KEYS) as i64;
                let objects = (first..first + 80).map(|key| version(key % 60, round));
                let budget = 1 + rng.below(10);
                if rng.once_in(2) {
                    bulk(&table, BulkMode::Insert, budget, objects);
                } else {
                    insert(&table, &version(first, round));
                }
            }));
            scope.spawn(|| write(2, &|rng, round| {
                let keys = [0; 5].map(|_| rng.below(KEYS) as i64);
                loop {
                    let (heap, guard) = (Heap::new(), &pin());
                    let mut commit = Commit::new();
                    let number = commit.table(&table, keys.len(), guard);
                    for (at, &key) in keys.iter().enumerate() {
                        commit.change(number, match at % 2 {
                            0 => Operation::Delete(heap.build(&int(key))),
                            _ => Operation::Insert(heap.build(&version(key, round))),
                        });
                    }
                    if commit.run(|| false).is_ok() {
                        break;
                    }
                    thread::yield_now();
                }
            }));
            scope.spawn(|| write(3, &|rng, _| {
                match rng.once_in(10) {
                    true => drop(table.clear()),
                    false => delete(&table, &int(rng.below(KEYS) as i64)),
                }
            }));
            let mut copy = Copy(Model::new(kind, 1));
            while at_work.load(SeqCst) > 0 {
                copy.catch_up(&table);
                // Others go on with the clock, and a snapshot is taken while they mark.
                drop(Table::snapshot(&[&table]));
            }
            copy.catch_up(&table);
        });
        drop(table);
        census.assert_all_reclaimed();
    }

    a_sweep_is_taken_as_a_whole(kind) {
        const KEYS: i64 = 100;
        let table = recording::<GOOD>(kind, tiny_bounds());
        // Of some keys a bag has many objects.
        let many = |key: i64| if is_bag(kind) && key % 10 == 0 { 20 } else { 1 };
        let objects = || (0..KEYS).flat_map(|key| (0..many(key)).map(move |number| version(key, number)));
        let at_work = AtomicUsize::new(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..40 {
                    bulk(&table, BulkMode::Insert, 50, objects());
                    delete_all_by_sweep(&table);
                }
                at_work.fetch_sub(1, SeqCst);
            });
            let mut copy = Copy(Model::new(kind, 1));
            while at_work.load(SeqCst) > 0 {
                copy.catch_up(&table);
                assert!([0, objects().count()].contains(&copy.0.len()), "{}", copy.0.len());
            }
            copy.catch_up(&table);
            assert_eq!(copy.0.len(), 0);
        });
    }

    a_sweep_that_is_given_up_is_no_longer_waited_for(kind) {
        let table = recording::<GOOD>(kind, tiny_bounds());
        for key in 0..100 {
            insert(&table, &version(key, 1));
        }
        let mut copy = Copy(Model::new(kind, 1));
        copy.catch_up(&table);
        let guard = &pin();
        let mut sweeping = table.begin_sweep().unwrap();
        let sweep = table.sweep(Position::start(), 5, guard, &mut sweeping, |_| Change::Delete);
        assert!(sweep.unwrap().changed > 0);
        drop(sweeping);
        copy.catch_up(&table);
    }

    the_end_of_a_snapshot_is_no_change(kind) {
        let table = recording::<GOOD>(kind, tiny_bounds());
        insert(&table, &version(1, 1));
        drop(table.changes().unwrap());
        let held = Table::snapshot(&[&table]).unwrap().remove(0);
        drop(held.clear());
        drop(table.watch(&pin()).map(|watch| watch.clear()));
        assert!(!table.has_changes());
    }

    what_is_put_back_is_taken_again(kind) {
        let table = recording::<GOOD>(kind, tiny_bounds());
        for key in 0..100 {
            insert(&table, &version(key, 0));
        }
        drop(table.clear());
        insert(&table, &version(7, 1));
        table.put_back(table.changes().unwrap().1);
        insert(&table, &version(8, 1));
        let changed = table.changes().unwrap();
        assert!(changed.1.is_all());
        let mut copy = Copy(Model::new(kind, 1));
        copy.follow(&changed);
        assert_eq!(copy.0.len(), 2);
    }
}

#[test]
fn changes_of_one_key_do_not_add_up() {
    let table = recording::<GOOD>(Kind::Set, Bounds::default());
    for number in 0..10_000 {
        insert(
            &table,
            &tuple([text("the same key again and again"), int(number)]),
        );
        let few = (0..5).map(|key| version(key, number)).collect::<Vec<_>>();
        let heap = Heap::new();
        let objects: Vec<Term> = few.iter().map(|object| heap.build(object)).collect();
        retry(|guard| table.insert_all(&objects, BulkMode::Insert, guard));
    }
    assert_eq!(table.changes().unwrap().1.keys().count(), 6);
}

#[test]
fn lists_of_the_same_keys_do_not_add_up() {
    for is_compacted in [true, false] {
        let table = recording::<GOOD>(Kind::Set, Bounds::default());
        let mut copy = Copy(Model::new(Kind::Set, 1));
        for round in 0..500 {
            if round == 100 {
                drop(table.clear());
            }
            let heap = Heap::new();
            let object = |key| heap.build(&version(key, round));
            let objects: Vec<Term> = (0..100).map(object).collect();
            retry(|guard| table.insert_all(&objects, BulkMode::Insert, guard));
            if is_compacted && round % 100 == 0 {
                table.compact_changes();
                assert!(table.has_changes());
            }
        }
        let changed = table.changes().unwrap();
        assert!(changed.1.is_all());
        assert_eq!(changed.1.keys().count(), 100);
        copy.follow(&changed);
        assert_eq!(copy.0.len(), 100);
        assert!(!table.has_changes());
        copy.catch_up(&table);
    }
}

#[test]
fn nothing_is_recorded_before_it_is_asked_for() {
    let table = Table::<Term>::recording(Kind::Set, 1, Bounds::default());
    insert(&table, &version(1, 1));
    table.record();
    assert!(!table.has_changes());
    insert(&table, &version(2, 1));
    assert!(table.has_changes());
    assert_eq!(table.changes().unwrap().1.keys().count(), 1);
    assert!(Table::<Term>::new(Kind::Set, 1).changes().is_none());
}
