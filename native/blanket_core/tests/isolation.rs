//! Threads on one table: lists, clearing and traversals while others write.

mod support;

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{BulkMode, Contended, Direction, Kind, Objects, StepError};
use support::*;

every_kind! {
    a_list_comes_all_at_once(kind) {
        const KEYS: i64 = 400;
        const LISTS: i64 = 50;
        let write = |scene: &Scene| {
            for version in 1..=LISTS {
                let keys = (0..KEYS).map(|i| i * 7 % KEYS);
                let objects = keys.map(|key| sealed(key, version));
                assert!(bulk(&scene.table, BulkMode::Insert, 50, objects));
            }
        };
        let read = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            let mut newest = 0;
            while scene.is_written() {
                let key = rng.below(KEYS as usize) as i64;
                let found = lookup(&scene.table, &int(key));
                let version = found.last().map_or(0, version_of);
                assert!(version >= newest, "{key}: {version} after {newest} elsewhere");
                newest = version;
                if is_bag(scene.kind) {
                    assert!(found.iter().map(version_of).eq(1..=version));
                }
            }
        };
        // Another writer changes the same leaves meanwhile.
        let disturb = |scene: &Scene| {
            let mut rng = Rng::new(9);
            while scene.is_written() {
                let key = KEYS + rng.below(5_000) as i64;
                match rng.below(2) {
                    0 => insert(&scene.table, &sealed(key, 0)),
                    _ => delete(&scene.table, &int(key)),
                }
            }
        };
        let role = |scene: &Scene, number| match number {
            0 => write(scene),
            1 => disturb(scene),
            _ => read(scene, number),
        };
        Scene::play(kind, 1, |_| (), role, |_| ());
    }

    lists_in_any_order_do_not_block_each_other(kind) {
        const KEYS: i64 = 2_000;
        const LISTS: i64 = 12;
        let role = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            for list in 0..LISTS {
                let mut keys: Vec<_> = (0..KEYS).collect();
                rng.shuffle(&mut keys);
                let id = list * THREADS as i64 + number as i64;
                let objects = keys.into_iter().map(|key| sealed(key, id));
                assert!(bulk(&scene.table, BulkMode::Insert, 100, objects));
            }
        };
        // Every key has the lists in the same order.
        let check = |table: &Table| {
            let order = lookup(table, &int(0)).iter().map(version_of).collect::<Vec<_>>();
            assert_eq!(order.len(), if is_bag(kind) { LISTS as usize * THREADS } else { 1 });
            for key in 1..KEYS {
                assert!(lookup(table, &int(key)).iter().map(version_of).eq(order.iter().copied()));
            }
        };
        Scene::play(kind, THREADS, |_| (), role, check);
    }

    a_new_list_wins_whole_or_not_at_all(kind) {
        const KEYS: i64 = 60;
        const ROUNDS: i64 = 100;
        let winners: Vec<_> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
        let role = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            for round in 0..ROUNDS {
                let mut keys: Vec<_> = (0..KEYS).collect();
                rng.shuffle(&mut keys);
                let objects = keys.iter().map(|key| sealed(round * KEYS + key, number as i64));
                if bulk(&scene.table, BulkMode::InsertNew, 7, objects) {
                    let others = winners[round as usize].swap(number + 1, SeqCst);
                    assert_eq!(others, 0, "round {round} has two winners");
                }
            }
        };
        let check = |table: &Table| {
            for round in 0..ROUNDS {
                let winner = winners[round as usize].load(SeqCst) as i64 - 1;
                for key in round * KEYS..(round + 1) * KEYS {
                    assert_eq!(lookup(table, &int(key)), [sealed(key, winner)]);
                }
            }
        };
        Scene::play(kind, THREADS, |_| (), role, check);
    }

    a_reader_sees_all_of_a_clear(kind) {
        const KEYS: i64 = 1_000;
        const GENERATIONS: i64 = 25;
        let write = |scene: &Scene| {
            for generation in 1..=GENERATIONS {
                let objects = (0..KEYS).map(|key| sealed(key, generation));
                assert!(bulk(&scene.table, BulkMode::InsertNew, 100, objects));
                drop(scene.table.clear());
            }
        };
        let read = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            let (mut seen, mut oldest) = (0, 0);
            while scene.is_written() {
                let key = int(rng.below(KEYS as usize) as i64);
                match &lookup(&scene.table, &key)[..] {
                    // What was seen last is gone, for every key.
                    [] => oldest = seen + 1,
                    [object] => {
                        seen = version_of(object);
                        assert!(seen >= oldest, "{seen} after {oldest} was awaited");
                        oldest = seen;
                    }
                    objects => panic!("{objects:?}"),
                }
            }
        };
        let role = |scene: &Scene, number| match number {
            0 => write(scene),
            _ => read(scene, number),
        };
        Scene::play(kind, 1, |_| (), role, |table| assert_eq!(table.len(), 0));
    }

    what_survives_a_clear_is_what_came_after_it(kind) {
        const KEYS: i64 = 60_000;
        let write = |scene: &Scene, number: usize| {
            for key in (0..KEYS).filter(|key| *key as usize % 2 == number) {
                insert(&scene.table, &sealed(key, 0));
            }
        };
        let clear = |scene: &Scene| {
            while scene.is_written() {
                drop(scene.table.clear());
                for _ in 0..20 {
                    thread::yield_now();
                }
            }
        };
        let role = |scene: &Scene, number| match number {
            0 | 1 => write(scene, number),
            2 => clear(scene),
            _ => while scene.is_written() {
                let mut seen = HashSet::new();
                scan_all(&scene.table, Direction::Forward, 50, |object| {
                    assert!(seen.insert(object.int_at(0)), "{:?} came twice", object.to_value());
                });
            },
        };
        let check = |table: &Table| {
            for number in 0..2 {
                let keys = (0..KEYS).filter(|key| key % 2 == number);
                let there: Vec<_> = keys.map(|key| !lookup(table, &int(key)).is_empty()).collect();
                assert!(there.is_sorted(), "an object from before a clear is still there");
            }
        };
        Scene::play(kind, 2, |_| (), role, check);
    }

    a_traversal_sees_what_stays_once(kind) {
        // Every tenth key stays; the others come and go.
        const KEYS: i64 = 30_000;
        let is_steady = |key: i64| key % 10 == 0;
        let write = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            for round in 0..4 {
                let mut keys: Vec<_> = (0..KEYS)
                    .filter(|&key| !is_steady(key) && key as usize % 2 == number)
                    .collect();
                rng.shuffle(&mut keys);
                for &key in &keys {
                    insert(&scene.table, &sealed(key, round));
                }
                keys.iter().for_each(|&key| delete(&scene.table, &int(key)));
            }
        };
        let read = |scene: &Scene, direction: Direction| {
            while scene.is_written() {
                let mut steady = HashSet::new();
                let mut last = None;
                scan_all(&scene.table, direction, 37, |object| {
                    let key = object.int_at(0);
                    version_of(&object.to_value());
                    assert!(!is_steady(key) || steady.insert(key), "{key} came twice");
                    if let Kind::OrderedSet = kind {
                        let in_order = match direction {
                            Direction::Forward => last < Some(key),
                            Direction::Backward => last.is_none_or(|last| last > key),
                        };
                        assert!(in_order, "{key} after {last:?}");
                        last = Some(key);
                    }
                });
                assert_eq!(steady.len() as i64, KEYS / 10, "some were not seen");
            }
        };
        let prepare = |table: &Table| {
            for key in (0..KEYS).filter(|&key| is_steady(key)) {
                insert(table, &sealed(key, 0));
            }
        };
        let role = |scene: &Scene, number| match number {
            0 | 1 => write(scene, number),
            2 => read(scene, Direction::Forward),
            _ => read(scene, Direction::Backward),
        };
        Scene::play(kind, 2, prepare, role, |_| ());
    }
}

#[test]
fn an_ordered_set_is_walked_in_order_while_it_changes() {
    const KEYS: i64 = 20_000;
    let write = |scene: &Scene| {
        for round in 0..4 {
            for key in (0..KEYS).filter(|key| key % 10 != 0) {
                let key = key * 7_919 % KEYS;
                match (round % 2, key % 10) {
                    (_, 0) => {}
                    (0, _) => insert(&scene.table, &sealed(key, round)),
                    _ => delete(&scene.table, &int(key)),
                }
            }
        }
    };
    let read = |scene: &Scene| {
        while scene.is_written() {
            let mut steady = 0;
            let mut last = -1;
            let step = |key: i64| {
                retry(|guard| {
                    let heap = Heap::new();
                    let mut found = Objects::none();
                    match key {
                        -1 => scene.table.first(&mut found, guard)?,
                        _ => match scene.table.next(&mut found, heap.build(&int(key)), guard) {
                            Ok(()) => {}
                            Err(StepError::Contended) => return Err(Contended),
                            Err(error) => panic!("{error:?} in an ordered set"),
                        },
                    }
                    Ok(found.first().map(|object| object.int_at(0)))
                })
            };
            while let Some(key) = step(last) {
                assert!(key > last, "{key} after {last}");
                steady += i64::from(key % 10 == 0);
                last = key;
            }
            assert_eq!(steady, KEYS / 10, "some were not seen");
        }
    };
    let prepare = |table: &Table| {
        (0..KEYS)
            .step_by(10)
            .for_each(|key| insert(table, &sealed(key, 0)));
    };
    let role = |scene: &Scene, number| match number {
        0 => write(scene),
        _ => read(scene),
    };
    Scene::play(Kind::OrderedSet, 1, prepare, role, |_| ());
}
