//! Threads on one table: what happens to single objects.

mod support;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{Contended, Kind, Objects, StepError, UpdateError, pin};
use support::*;

/// The first object of the next key, or of the one before; of the first or last one behind `None`.
/// A key that is gone ends the walk where its kind says so.
fn step(table: &Table, key: Option<i64>, onward: bool) -> Option<Value> {
    retry(|guard| {
        let mut found = Objects::none();
        let heap = Heap::new();
        let stepped = match key.map(|key| heap.build(&int(key))) {
            None if onward => table.first(&mut found, guard).map_err(StepError::from),
            None => table.last(&mut found, guard).map_err(StepError::from),
            Some(key) if onward => table.next(&mut found, key, guard),
            Some(key) => table.prev(&mut found, key, guard),
        };
        match stepped {
            Ok(()) => Ok(found.first().map(|object| object.to_value())),
            Err(StepError::Contended) => Err(Contended),
            Err(StepError::NoSuchKey) => Ok(None),
        }
    })
}

every_kind! {
    a_reader_never_sees_an_older_version_again(kind) {
        const KEYS: i64 = 200;
        const VERSIONS: i64 = 300;
        let write = |scene: &Scene, number: usize| {
            let table = &scene.table;
            for version in 1..=VERSIONS {
                for key in (0..KEYS).filter(|key| *key as usize % 2 == number) {
                    insert(table, &sealed(key, version));
                    if is_bag(scene.kind) {
                        let old = sealed(key, version - 1);
                        retry(|guard| table.delete_object(Heap::new().build(&old), guard));
                    }
                    // Others come and go between these keys: leaves grow, split and move.
                    let other = KEYS + (version % 50) * KEYS + key;
                    match version / 50 % 2 {
                        0 => insert(table, &sealed(other, 0)),
                        _ => delete(table, &int(other)),
                    }
                }
            }
        };
        let read = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            let mut newest = [0; KEYS as usize];
            while scene.is_written() {
                let key = rng.below(KEYS as usize);
                let found = lookup(&scene.table, &int(key as i64));
                let versions: Vec<_> = found.iter().map(version_of).collect();
                let version = match versions[..] {
                    [version] => version,
                    [old, new] if is_bag(scene.kind) && old + 1 == new => new,
                    _ => panic!("key {key} has {versions:?}"),
                };
                assert!(version >= newest[key], "key {key}: {version} after {}", newest[key]);
                newest[key] = version;
            }
        };
        let prepare = |table: &Table| (0..KEYS).for_each(|key| insert(table, &sealed(key, 0)));
        let check = |table: &Table| {
            for key in 0..KEYS {
                assert_eq!(lookup(table, &int(key)), [sealed(key, VERSIONS)]);
            }
        };
        let role = |scene: &Scene, number| match number {
            0 | 1 => write(scene, number),
            _ => read(scene, number),
        };
        Scene::play(kind, 2, prepare, role, check);
    }

    steps_go_on_while_leaves_come_and_go(kind) {
        const KEYS: i64 = 2_000;
        const ROUNDS: i64 = 60;
        let write = |scene: &Scene, number: usize| {
            let keys = || (0..KEYS).filter(|key| *key as usize % 2 == number);
            for version in 0..ROUNDS {
                keys().for_each(|key| insert(&scene.table, &sealed(key, version)));
                keys().rev().for_each(|key| delete(&scene.table, &int(key)));
            }
        };
        let read = |scene: &Scene, number: usize| {
            let onward = number == 2 || scene.kind != Kind::OrderedSet;
            while scene.is_written() {
                let mut last: Option<i64> = None;
                while let Some(object) = step(&scene.table, last, onward) {
                    version_of(&object);
                    let key = object.elements()[0].as_int();
                    if let (Kind::OrderedSet, Some(last)) = (scene.kind, last) {
                        assert_eq!(key > last, onward, "{key} after {last}");
                    }
                    last = Some(key);
                }
            }
        };
        let role = |scene: &Scene, number| match number {
            0 | 1 => write(scene, number),
            _ => read(scene, number),
        };
        Scene::play(kind, 2, |_| (), role, |table| assert_eq!(table.len(), 0));
    }

    insert_new_has_one_winner(kind) {
        const KEYS: i64 = 20_000;
        let wins: Vec<_> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
        let role = |scene: &Scene, number: usize| {
            for key in 0..KEYS {
                let object = tuple([int(key), int(number as i64)]);
                let new = |guard: &_| scene.table.insert_new(Heap::new().build(&object), guard);
                if retry(new) {
                    let others = wins[key as usize].swap(number + 1, SeqCst);
                    assert_eq!(others, 0, "key {key} has two winners");
                }
            }
        };
        let check = |table: &Table| {
            for (key, winner) in wins.iter().enumerate() {
                let winner = winner.load(SeqCst) as i64 - 1;
                let expected = tuple([int(key as i64), int(winner)]);
                assert_eq!(lookup(table, &int(key as i64)), [expected]);
            }
        };
        Scene::play(kind, THREADS, |_| (), role, check);
    }

    every_object_is_taken_once(kind) {
        const TOKENS: i64 = 30_000;
        const KEYS: usize = 40;
        let taken = Mutex::new(Vec::new());
        let token = |object: &Value| object.elements()[1].as_int();
        let produce = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            for token in (0..TOKENS).filter(|token| *token as usize % 2 == number) {
                let object = tuple([int(rng.below(KEYS) as i64), int(token)]);
                if is_bag(scene.kind) {
                    insert(&scene.table, &object);
                } else {
                    let new = |guard: &_| scene.table.insert_new(Heap::new().build(&object), guard);
                    if !retry(new) {
                        taken.lock().unwrap().push(token);
                    }
                }
            }
        };
        let consume = |scene: &Scene, number: usize| {
            let mut rng = Rng::new(number as u64);
            while scene.is_written() {
                let objects = take(&scene.table, &int(rng.below(KEYS) as i64));
                taken.lock().unwrap().extend(objects.iter().map(token));
            }
        };
        let role = |scene: &Scene, number| match number {
            0 | 1 => produce(scene, number),
            _ => consume(scene, number),
        };
        let check = |table: &Table| {
            let mut all = taken.lock().unwrap().clone();
            for key in 0..KEYS {
                all.extend(take(table, &int(key as i64)).iter().map(token));
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..TOKENS), "an object was lost or taken twice");
        };
        Scene::play(kind, 2, |_| (), role, check);
    }
}

/// Several threads count up the same few counters; no step is lost, none is seen twice.
fn check_counters(kind: Kind) {
    const COUNTERS: usize = 7;
    const STEPS: usize = 15_000;
    let answers = Mutex::new(HashSet::new());
    let role = |scene: &Scene, number: usize| {
        let mut mine = Vec::new();
        let mut rng = Rng::new(number as u64);
        for _ in 0..STEPS {
            let key = rng.below(COUNTERS) as i64;
            let heap = Heap::new();
            let default = heap.build(&tuple([int(key), int(0)]));
            let count = loop {
                let answer = scene.table.update(
                    heap.build(&int(key)),
                    Some(default),
                    &pin(),
                    |elements, _| -> Result<_, ()> {
                        let count = elements[1].to_value().as_int() + 1;
                        elements[1] = heap.build(&int(count));
                        Ok(count)
                    },
                );
                match answer {
                    Ok(count) => break count.expect("there is a default"),
                    Err(UpdateError::Contended) => thread::yield_now(),
                    Err(UpdateError::Rejected(())) => panic!("nothing was rejected"),
                }
            };
            mine.push((key, count));
        }
        let mut answers = answers.lock().unwrap();
        for answer in mine {
            assert!(answers.insert(answer), "{answer:?} was answered twice");
        }
    };
    let check = |table: &Table| {
        let count = |key| lookup(table, &int(key))[0].elements()[1].as_int();
        let sum: i64 = (0..COUNTERS as i64).map(count).sum();
        assert_eq!(sum as usize, THREADS * STEPS);
    };
    Scene::play(kind, THREADS, |_| (), role, check);
}

#[test]
fn no_step_of_a_counter_is_lost_in_a_set() {
    check_counters(Kind::Set);
}

#[test]
fn no_step_of_a_counter_is_lost_in_an_ordered_set() {
    check_counters(Kind::OrderedSet);
}

/// Objects whose only other term is their key are written in their blocks, under the eyes of readers.
fn check_written_in_blocks(kind: Kind) {
    const KEYS: i64 = 8;
    const VERSIONS: i64 = 40_000;
    let key = |number: i64| text(format!("the key of number {number}"));
    let object = |number, version| match sealed(number, version).elements() {
        [_, version, seal] => tuple([key(number), version.clone(), seal.clone()]),
        _ => unreachable!("three elements are sealed"),
    };
    let read = |found: &Value, number: i64| {
        let elements = found.elements();
        assert_eq!(elements[0], key(number));
        version_of(&tuple([
            int(number),
            elements[1].clone(),
            elements[2].clone(),
        ]))
    };
    let role = |scene: &Scene, number: usize| {
        let mut newest = [0; KEYS as usize];
        match number {
            0 | 1 => {
                for version in 1..=VERSIONS {
                    let number = version % (KEYS / 2) * 2 + number as i64;
                    insert(&scene.table, &object(number, version));
                }
            }
            _ => {
                while scene.is_written() {
                    for (number, newest) in newest.iter_mut().enumerate() {
                        let number = number as i64;
                        let version = read(&lookup(&scene.table, &key(number))[0], number);
                        assert!(version >= *newest, "{version} after {newest}");
                        *newest = version;
                    }
                }
            }
        }
    };
    let prepare = |table: &Table| (0..KEYS).for_each(|number| insert(table, &object(number, 0)));
    Scene::play(kind, 2, prepare, role, |table| {
        assert_eq!(table.len(), KEYS as usize);
    });
}

#[test]
fn what_is_written_in_blocks_is_read_whole_in_a_set() {
    check_written_in_blocks(Kind::Set);
}

#[test]
fn what_is_written_in_blocks_is_read_whole_in_an_ordered_set() {
    check_written_in_blocks(Kind::OrderedSet);
}

/// One key whose objects are a queue: a writer appends, another removes from the front. Each
/// look-up is one instant of it, and stays so while it is parked.
fn check_queue_under_one_key(kind: Kind) {
    const OBJECTS: i64 = 20_000;
    const WINDOW: i64 = 2_000;
    let appended = AtomicUsize::new(0);
    let object = |number: i64| tuple([int(0), int(number)]);
    let append = |scene: &Scene| {
        for number in 0..OBJECTS {
            insert(&scene.table, &object(number));
            appended.store(number as usize, SeqCst);
        }
    };
    let remove = |scene: &Scene| {
        for number in 0..OBJECTS - WINDOW {
            while (appended.load(SeqCst) as i64) < number + WINDOW {
                thread::yield_now();
            }
            let old = object(number);
            retry(|guard| scene.table.delete_object(Heap::new().build(&old), guard));
        }
    };
    let read = |scene: &Scene| {
        let mut parked = Vec::new();
        let mut front = 0;
        while scene.is_written() {
            let before = appended.load(SeqCst) as i64;
            let key = Heap::new();
            let look_up = |guard: &_| Ok(scene.table.lookup(key.build(&int(0)), guard)?.park());
            let Some(objects) = retry(look_up) else {
                continue;
            };
            let first = objects.get(0).expect("a run is not empty");
            let first = first.int_at(1);
            assert!(first >= front, "{first} came back");
            assert!(
                first + objects.len() as i64 >= before,
                "what was there is missing"
            );
            front = first;
            parked.push((first, objects));
            if parked.len() == 20 {
                for (first, objects) in parked.drain(..) {
                    for at in 0..objects.len() {
                        assert_eq!(objects.get(at).unwrap().int_at(1), first + at as i64);
                    }
                }
            }
        }
    };
    let role = |scene: &Scene, number| match number {
        0 => append(scene),
        1 => remove(scene),
        _ => read(scene),
    };
    let check = |table: &Table| {
        let left: Vec<_> = (OBJECTS - WINDOW..OBJECTS).map(object).collect();
        assert_eq!(lookup(table, &int(0)), left);
    };
    Scene::play(kind, 2, |_| (), role, check);
}

#[test]
fn a_look_up_in_a_bag_is_one_instant() {
    check_queue_under_one_key(Kind::Bag);
}

#[test]
fn a_look_up_in_a_duplicate_bag_is_one_instant() {
    check_queue_under_one_key(Kind::DuplicateBag);
}
