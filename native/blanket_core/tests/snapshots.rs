//! Snapshots against copies of the model, made at the same instant; and with many threads.

mod support;

use std::ops::Range;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{
    Bounds, Bulk, BulkMode, Change, Contended, Direction, Elements, Guard, Kind, Object, Position,
    Progress, pin,
};
use support::*;

const GOOD: u64 = u64::MAX;
const FOUR_HASHES: u64 = 3 << 62;

fn snapshot<const MASK: u64>(table: &Table<Plain<MASK>>) -> Table<Plain<MASK>> {
    let mut snapshots = Table::snapshot(&[table]).expect("it is no snapshot");
    snapshots.pop().expect("one for each table")
}

/// Deletes the objects whose last element is `number`, each for itself.
fn sweep<const MASK: u64>(pair: &mut Pair<MASK>, number: i64) {
    let guard = &pin();
    let (mut gone, mut sweeping) = (Vec::new(), pair.table.begin_sweep().unwrap());
    let mut from = Some(Position::start());
    while let Some(position) = from.take() {
        let change = |object: Object<_>| delete_if(object, number, &mut gone);
        from = pair
            .table
            .sweep(position, 5, guard, &mut sweeping, change)
            .unwrap()
            .next;
        if let Some((objects, behind)) = from.as_ref().and_then(Position::many) {
            for at in 0..objects.len() {
                let change = |object: Object<_>| delete_if(object, number, &mut gone);
                let sweeping = &mut sweeping;
                pair.table
                    .sweep_many(&objects, at, guard, sweeping, change)
                    .unwrap();
            }
            from = Some(behind);
        }
    }
    for object in gone {
        pair.model.delete_object(&object);
    }
}

fn delete_if<const MASK: u64>(
    object: Object<Plain<MASK>>,
    number: i64,
    gone: &mut Vec<Value>,
) -> Change<Plain<MASK>> {
    let object = object.to_value();
    match object.elements().last().map(Value::as_int) {
        Some(last) if last == number => {
            gone.push(object);
            Change::Delete
        }
        _ => Change::Keep,
    }
}

/// Runs random programs, and takes, looks at and releases snapshots on the way.
fn check_programs<const MASK: u64>(domain: Domain, kind: Kind, ops: usize, seeds: Range<u64>) {
    for seed in seeds {
        let program = Program {
            kind,
            keypos: [1, 2][seed as usize % 2],
            domain,
            ops,
            tiny: seed % 3 != 0,
            clear_once_in: ops / 2,
            scan_once_in: ops,
        };
        let check = || {
            let census = Census::take();
            let mut rng = Rng::new(seed);
            let mut pair = Pair::<MASK>::new(kind, program.keypos, program.bounds());
            let mut snapshots = Vec::new();
            for op in program.generate(seed) {
                pair.step(&op)?;
                if rng.once_in(ops / 20) {
                    sweep(&mut pair, rng.below(3) as i64);
                }
                if rng.once_in(ops / 30) {
                    let table = snapshot(&pair.table);
                    let model = pair.model.clone();
                    snapshots.push(Pair { table, model });
                }
                if snapshots.len() > 4 || !snapshots.is_empty() && rng.once_in(ops / 10) {
                    snapshots.swap_remove(rng.below(snapshots.len()));
                }
                if !snapshots.is_empty() && rng.once_in(ops / 20) {
                    rng.pick(&snapshots).compare_all()?;
                }
            }
            pair.compare_all()?;
            for snapshot in &snapshots {
                snapshot.compare_all()?;
            }
            drop(pair);
            for snapshot in &snapshots {
                snapshot.compare_all()?;
            }
            drop(snapshots);
            census.assert_all_reclaimed();
            Ok::<_, String>(())
        };
        if let Err(failure) = check() {
            panic!("seed {seed} of {program:?}: {failure}");
        }
    }
}

every_kind! {
    of_few_keys(kind) {
        check_programs::<GOOD>(Domain::Mixed(8), kind, 400, 0..30);
        check_programs::<GOOD>(Domain::Integers(5), kind, 1_000, 30..42);
    }

    of_many_keys(kind) {
        check_programs::<GOOD>(Domain::Mixed(1_000), kind, 4_000, 0..4);
        check_programs::<GOOD>(Domain::Integers(20_000), kind, 20_000, 4..7);
        check_programs::<GOOD>(Domain::SharedPrefix(1_000), kind, 3_000, 8..11);
    }

    of_clashing_hashes(kind) {
        check_programs::<FOUR_HASHES>(Domain::Mixed(8), kind, 400, 0..20);
        check_programs::<0>(Domain::Mixed(100), kind, 1_000, 20..23);
    }

    memory_is_what_it_was_when_it_is_released(kind) {
        let census = Census::take();
        let table = Table::<Term>::new(kind, 1);
        let object = |key: i64, version: i64| {
            let payload = "payload ".repeat(key as usize % 4);
            tuple([int(key), text(payload), bytes(format!("{key}")), int(version)])
        };
        for key in 0..5_000 {
            insert(&table, &object(key, 0));
        }
        let replace_all = || {
            for key in 0..5_000 {
                delete(&table, &int(key));
                insert(&table, &object(key, 0));
            }
        };
        // How full pages are differs from round to round.
        let rounds = (0..5).map(|_| {
            replace_all();
            for _ in 0..50 {
                pin().flush();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            census.arenas()
        });
        let arenas = rounds.max().expect("five");
        let bytes = table.bytes();
        let held = snapshot(&table);
        let empty = held.bytes();
        replace_all();
        assert!(held.bytes() > empty + bytes / 4);
        assert_eq!(held.len(), 5_000);
        drop(held);
        let most = arenas + arenas / 4;
        reclaim_until(|| match census.arenas() {
            now if now <= most => Ok(()),
            now => Err(format!("{now} arenas of {arenas}")),
        });
        assert!(table.bytes() <= bytes + bytes / 4, "{} of {bytes}", table.bytes());
        drop(table);
        census.assert_all_reclaimed();
    }

    an_untouched_table_gives_a_snapshot_nothing_to_hold(kind) {
        let table = Table::<Term>::new(kind, 1);
        for key in 0..1_000 {
            insert(&table, &sealed(key, 0));
        }
        let held = snapshot(&table);
        let empty = held.bytes();
        assert_eq!(lookup(&held, &int(7)).len(), 1);
        assert!(!retry(|guard| table.insert_new(Heap::new().build(&sealed(7, 0)), guard)));
        scan_all(&held, Direction::Forward, 100, |_| ());
        assert!(held.bytes() < empty + table.bytes());
    }

    a_list_is_in_it_whole_or_not_at_all(kind) {
        const KEYS: i64 = 300;
        let write = |scene: &Scene| {
            for version in 1..=60 {
                let mut list = Bulk::new(&scene.table, BulkMode::Insert);
                for key in (0..KEYS).map(|i| i * 7 % KEYS) {
                    list.push(Heap::new().build(&sealed(key, version)));
                }
                while !matches!(list.step(7), Progress::Done(_)) {
                    thread::yield_now();
                }
            }
        };
        let look = |scene: &Scene| {
            while scene.is_written() {
                let held = snapshot(&scene.table);
                let versions = |_: &()| {
                    let mut versions = vec![0; KEYS as usize];
                    scan_all(&held, Direction::Forward, 50, |object| {
                        let object = object.to_value();
                        let newest = &mut versions[object.elements()[0].as_int() as usize];
                        *newest = version_of(&object).max(*newest);
                    });
                    versions
                };
                let once = versions(&());
                assert!(once.iter().all(|version| *version == once[0]), "{once:?}");
                thread::yield_now();
                assert_eq!(versions(&()), once);
            }
        };
        let role = |scene: &Scene, number: usize| match number {
            0 => write(scene),
            _ => look(scene),
        };
        Scene::play(kind, 1, |_| (), role, |_| ());
    }
}

/// Several writers move something from one table to the other, one object at a time: the sum is at
/// most by one short for each of them, and never too large. What a snapshot has, it has again.
fn check_several_tables(kinds: [Kind; 2]) {
    const ACCOUNTS: i64 = 200;
    const START: i64 = 1_000;
    let census = Census::take();
    // With others in between, it takes a while from the first table to the second.
    let others: Vec<Table> = (0..200).map(|_| Table::new(Kind::Set, 1)).collect();
    let tables = kinds.map(|kind| Table::<Term>::with_bounds(kind, 1, tiny_bounds()));
    for table in &tables {
        for key in 0..ACCOUNTS {
            insert(table, &tuple([int(key), int(START)]));
        }
    }
    let add = |table: &Table, key: i64, amount: i64| {
        retry(|guard: &Guard| {
            let change = |elements: &mut Elements<Term>, _| {
                let balance = elements[1].to_value().as_int() + amount;
                elements[1] = Heap::new().build(&int(balance));
                Ok::<_, ()>(())
            };
            let key = Heap::new().build(&int(key));
            match table.update(key, None, guard, change) {
                Ok(Some(())) => Ok(()),
                Ok(None) => panic!("no account is closed"),
                Err(_) => Err(Contended),
            }
        });
    };
    const WRITERS: usize = 2;
    let at_work = AtomicI64::new(WRITERS as i64);
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let (tables, add, at_work, census) = (&tables, &add, &at_work, &census);
            scope.spawn(move || {
                census.join();
                let mut rng = Rng::new(number as u64);
                for _ in 0..6_000 {
                    let from = rng.below(2);
                    add(&tables[from], rng.below(ACCOUNTS as usize) as i64, -1);
                    add(&tables[1 - from], rng.below(ACCOUNTS as usize) as i64, 1);
                }
                at_work.fetch_sub(1, SeqCst);
            });
        }
        for _ in 0..2 {
            let (tables, others, at_work, census) = (&tables, &others, &at_work, &census);
            scope.spawn(move || {
                census.join();
                let sum = |tables: &[Table]| {
                    let mut sum = 0;
                    for table in tables {
                        scan_all(table, Direction::Forward, 20, |object| {
                            sum += object.int_at(1)
                        });
                    }
                    sum
                };
                while at_work.load(SeqCst) > 0 {
                    let (first, last) = (&tables[0], &tables[1]);
                    let between = others.iter();
                    let all: Vec<_> = [first].into_iter().chain(between).chain([last]).collect();
                    let held = Table::snapshot(&all).unwrap();
                    let missing = 2 * ACCOUNTS * START - sum(&held);
                    assert!(
                        (0..=WRITERS as i64).contains(&missing),
                        "{missing} are missing"
                    );
                    assert_eq!(2 * ACCOUNTS * START - sum(&held), missing);
                }
            });
        }
    });
    drop((tables, others));
    census.assert_all_reclaimed();
}

#[test]
fn several_tables_at_one_instant() {
    check_several_tables([Kind::Set, Kind::Set]);
    check_several_tables([Kind::Set, Kind::OrderedSet]);
    check_several_tables([Kind::OrderedSet, Kind::OrderedSet]);
}

#[test]
fn a_snapshot_of_a_snapshot_is_none() {
    let table = Table::<Term>::new(Kind::Set, 1);
    let held = snapshot(&table);
    assert!(Table::snapshot(&[&table, &held]).is_none());
    assert!(held.is_snapshot() && !table.is_snapshot());
}

#[test]
fn many_objects_under_one_key_stay_as_they_were() {
    let census = Census::take();
    let mut pair = Pair::<GOOD>::new(Kind::Bag, 1, Bounds::default());
    let mut snapshots = Vec::new();
    for number in 0..3_000 {
        pair.step(&Op::Insert(tuple([int(0), int(number)])))
            .unwrap();
        if number % 7 == 0 {
            pair.step(&Op::DeleteObject(tuple([int(0), int(number / 2)])))
                .unwrap();
        }
        if number % 500 == 3 {
            let (table, model) = (snapshot(&pair.table), pair.model.clone());
            snapshots.push(Pair { table, model });
        }
    }
    for snapshot in &snapshots {
        snapshot.compare_all().unwrap();
    }
    drop((pair, snapshots));
    census.assert_all_reclaimed();
}
