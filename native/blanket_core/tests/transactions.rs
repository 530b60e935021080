//! Transactions against models of their tables, and with many threads.

mod support;

use std::ops::Range;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{Bounds, BulkMode, Direction, Kind, Position, pin};
use support::*;

/// The objects from behind a key on, at most so many, as a scan shows them.
fn look<const MASK: u64>(
    table: &Table<Plain<MASK>>,
    from: Option<&Value>,
    direction: Direction,
    most: usize,
) -> Vec<Value> {
    retry(|guard| {
        let heap = Heap::<MASK>::new();
        let mut from = match from {
            Some(key) => Position::after(heap.build(key)),
            None => Position::start(),
        };
        let mut seen = Vec::new();
        loop {
            let mut out = Vec::new();
            let next = table.scan(from, direction, 3, guard, &mut out)?;
            seen.extend(out.iter().map(|object| object.to_value()));
            match next {
                Some(next) if seen.len() < most => from = next,
                _ => return Ok(seen),
            }
        }
    })
}

/// Runs random transactions on several tables, with random changes between what they read and their end.
fn check_programs<const MASK: u64>(
    domain: Domain,
    kinds: &[Kind],
    tiny: bool,
    rounds: usize,
    seeds: Range<u64>,
) {
    for seed in seeds {
        if let Err(failure) = check_program::<MASK>(domain, kinds, tiny, rounds, seed) {
            panic!("seed {seed} of {domain:?}, {kinds:?}: {failure}");
        }
    }
}

fn check_program<const MASK: u64>(
    domain: Domain,
    kinds: &[Kind],
    tiny: bool,
    rounds: usize,
    seed: u64,
) -> Result<(), String> {
    let census = Census::take();
    let rng = &mut Rng::new(seed);
    let bounds = || {
        if tiny {
            tiny_bounds()
        } else {
            Bounds::default()
        }
    };
    let mut pairs: Vec<Pair<MASK>> = kinds
        .iter()
        .map(|kind| Pair::new(*kind, 1, bounds()))
        .collect();
    let mut snapshots = Vec::new();
    let (mut done, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut plan = Plan::default();
        for _ in 0..rng.below(4) {
            let number = rng.below(pairs.len());
            let key = domain.key(rng);
            let there = pairs[number].model.lookup(&key).to_vec();
            match rng.once_in(4) && !there.is_empty() {
                true => plan.reads.push((number, key, None)),
                false => plan.read(number, key, there),
            }
        }
        let scans: Vec<_> = (0..rng.below(6).saturating_sub(3))
            .map(|_| {
                let number = rng.below(pairs.len());
                let watch = pairs[number]
                    .table
                    .watch(&pin())
                    .ok_or("it is no snapshot")?;
                let from = (!rng.once_in(3)).then(|| domain.key(rng));
                let way = *rng.pick(&[Direction::Forward, Direction::Backward]);
                let most = 1 + rng.below(20);
                let seen = look(&watch, from.as_ref(), way, most);
                Ok::<_, String>((number, watch, from, way, most, seen))
            })
            .collect::<Result<_, _>>()?;
        for _ in 0..rng.below(5) {
            let number = rng.below(pairs.len());
            plan.deeds.push((number, deed(domain.key(rng), rng)));
        }
        let others = rng.below(6).saturating_sub(3);
        for _ in 0..others {
            let number = rng.below(pairs.len());
            let key = match rng.once_in(2) {
                true => plan.reads.first().map(|(_, key, _)| key.clone()),
                false => None,
            };
            let op = match deed(key.unwrap_or_else(|| domain.key(rng)), rng) {
                _ if rng.once_in(rounds / 4) => Op::Clear,
                Deed::Insert(object) => Op::Insert(object),
                Deed::DeleteObject(object) => Op::DeleteObject(object),
                Deed::Delete(key) => Op::Delete(key),
            };
            pairs[number].step(&op)?;
        }
        if rng.once_in(10) {
            let tables: Vec<_> = pairs.iter().map(|pair| &pair.table).collect();
            let taken = Table::snapshot(&tables).ok_or("none is a snapshot")?;
            for (table, pair) in taken.into_iter().zip(&pairs) {
                let model = pair.model.clone();
                snapshots.push(Pair { table, model });
            }
        }
        let is_read = plan.reads.iter().all(|(number, key, objects)| {
            let there = pairs[*number].model.lookup(key);
            match objects {
                None => !there.is_empty(),
                Some(objects) => there == objects,
            }
        });
        let is_seen = scans.iter().all(|(number, _, from, way, most, seen)| {
            look(&pairs[*number].table, from.as_ref(), *way, *most) == *seen
        });
        let tables: Vec<_> = pairs.iter().map(|pair| &pair.table).collect();
        let watches: Vec<_> = scans
            .iter()
            .map(|(number, watch, ..)| (*number, watch))
            .collect();
        let committed = plan.commit(&tables, &watches);
        match committed {
            true if !is_read => return Err(format!("round {round}: another object under a key")),
            true if !is_seen => return Err(format!("round {round}: a scan shows others")),
            false if is_read && (others == 0 || scans.is_empty()) => {
                return Err(format!("round {round}: {plan:?} is refused"));
            }
            _ => {}
        }
        match committed {
            true => done += 1,
            false => refused += 1,
        }
        if committed {
            for (number, deed) in &plan.deeds {
                deed.apply(&mut pairs[*number].model);
            }
        }
        if rng.once_in(20) {
            pairs.iter().try_for_each(Pair::compare_all)?;
            snapshots.iter().try_for_each(Pair::compare_all)?;
            snapshots.truncate(rng.below(4));
        }
    }
    pairs.iter().try_for_each(Pair::compare_all)?;
    snapshots.iter().try_for_each(Pair::compare_all)?;
    assert!(
        done > rounds / 4 && refused > rounds / 100,
        "{done} of {rounds}, {refused} refused"
    );
    drop((pairs, snapshots));
    census.assert_all_reclaimed();
    Ok(())
}

fn deed(key: Value, rng: &mut Rng) -> Deed {
    let object = match rng.below(3) {
        0 => tuple([key.clone(), int(rng.below(3) as i64)]),
        1 => tuple([key.clone(), text("in a block"), int(rng.below(3) as i64)]),
        _ => tuple([key.clone(), bytes("in a page"), int(rng.below(3) as i64)]),
    };
    match rng.below(6) {
        0 | 1 => Deed::Delete(key),
        2 => Deed::DeleteObject(object),
        _ => Deed::Insert(object),
    }
}

every_kind! {
    programs_of_few_keys(kind) {
        check_programs::<{ u64::MAX }>(Domain::Mixed(8), &[kind, kind], true, 400, 0..20);
        check_programs::<{ u64::MAX }>(Domain::Integers(5), &[kind], true, 400, 20..30);
    }

    programs_of_many_keys(kind) {
        let kinds = [kind, Kind::Set, Kind::OrderedSet];
        check_programs::<{ u64::MAX }>(Domain::Mixed(200), &kinds, true, 2_000, 0..4);
        check_programs::<{ u64::MAX }>(Domain::Integers(2_000), &kinds, false, 3_000, 4..7);
        check_programs::<{ u64::MAX }>(Domain::SharedPrefix(60), &kinds, true, 1_000, 8..11);
    }

    programs_of_clashing_hashes(kind) {
        check_programs::<{ 3 << 62 }>(Domain::Mixed(8), &[kind, kind], true, 400, 0..20);
        check_programs::<0>(Domain::Mixed(30), &[kind], true, 400, 20..24);
    }

    one_of_many_keys(kind) {
        let census = Census::take();
        let mut pair = Pair::<{ u64::MAX }>::new(kind, 1, tiny_bounds());
        for key in 0..500 {
            pair.step(&Op::Insert(tuple([int(key * 2), int(0)]))).unwrap();
        }
        for (from, by) in [(1, 2), (0, 1), (2, 4)] {
            let mut plan = Plan::default();
            for key in (from..1_000).step_by(by) {
                plan.read(0, int(key), pair.model.lookup(&int(key)).to_vec());
                match by {
                    4 => plan.deeds.push((0, Deed::Delete(int(key)))),
                    _ => plan.insert(0, tuple([int(key), int(by as i64)])),
                }
            }
            assert!(plan.commit(&[&pair.table], &[]));
            for (_, deed) in &plan.deeds {
                deed.apply(&mut pair.model);
            }
            pair.compare_all().unwrap();
        }
        drop(pair);
        census.assert_all_reclaimed();
    }

    a_look_at_the_table_holds_until_it_changes_there(kind) {
        let table = Table::<Term>::with_bounds(kind, 1, tiny_bounds());
        (0..100).for_each(|key| insert(&table, &tuple([int(key), int(0)])));
        let refused = (0..100).filter(|&key| {
            let watch = table.watch(&pin()).unwrap();
            let seen = look(&watch, None, Direction::Forward, 5);
            insert(&table, &tuple([int(key), int(key)]));
            let holds = Plan::default().commit(&[&table], &[(0, &watch)]);
            let is_seen = seen.iter().any(|object| object.elements()[0] == int(key));
            assert!(!(holds && is_seen), "the change of {key} was not seen");
            !holds
        });
        let refused = refused.count();
        assert!((5..=40).contains(&refused), "{refused} were refused");
    }

    what_is_looked_at_and_changed_holds(kind) {
        let table = Table::<Term>::with_bounds(kind, 1, tiny_bounds());
        (0..100).for_each(|key| insert(&table, &tuple([int(key), int(0)])));
        let watch = table.watch(&pin()).unwrap();
        look(&watch, None, Direction::Forward, 1_000);
        let mut plan = Plan::default();
        (50..150).for_each(|key| plan.insert(0, tuple([int(key), int(1)])));
        assert!(plan.commit(&[&table], &[(0, &watch)]));
        assert!(!plan.commit(&[&table], &[(0, &watch)]));
    }

    a_leaf_is_noted_once_however_often_it_is_looked_at(kind) {
        let table = Table::<Term>::with_bounds(kind, 1, tiny_bounds());
        (0..100).for_each(|key| insert(&table, &tuple([int(key), int(0)])));
        let watch = table.watch(&pin()).unwrap();
        assert_eq!(look(&watch, None, Direction::Forward, 1_000).len(), 100);
        let leaves = watch.watched(&pin());
        assert!((5..100).contains(&leaves), "{leaves} leaves");
        for _ in 0..3 {
            (0..100).for_each(|key| {
                look(&watch, Some(&int(key)), Direction::Forward, 1);
                look(&watch, Some(&int(99 - key)), Direction::Backward, 1);
            });
        }
        assert_eq!(watch.watched(&pin()), leaves);
    }

    to_delete_what_is_not_there_disturbs_nobody(kind) {
        let table = Table::<Term>::with_bounds(kind, 1, tiny_bounds());
        (0..100).for_each(|key| insert(&table, &tuple([int(key * 2), int(0)])));
        let watch = table.watch(&pin()).unwrap();
        look(&watch, None, Direction::Forward, 1_000);
        let mut plan = Plan::default();
        for key in (1..200).step_by(2) {
            plan.deeds.push((0, Deed::Delete(int(key))));
            plan.deeds.push((0, Deed::DeleteObject(tuple([int(key), int(0)]))));
        }
        assert!(plan.commit(&[&table], &[]));
        assert!(Plan::default().commit(&[&table], &[(0, &watch)]));
        plan.deeds.push((0, Deed::Delete(int(2))));
        assert!(plan.commit(&[&table], &[]));
        assert!(!Plan::default().commit(&[&table], &[(0, &watch)]));
    }

    a_table_that_was_emptied_is_another(kind) {
        let table = Table::<Term>::new(kind, 1);
        let watch = table.watch(&pin()).unwrap();
        assert!(look(&watch, None, Direction::Forward, 9).is_empty());
        drop(table.clear());
        assert!(!Plan::default().commit(&[&table], &[(0, &watch)]));
    }

    // Of two that look at everything and then take from their own account, one is refused.
    no_write_skew(kind) {
        for by_key in [true, false] {
            check_write_skew(kind, by_key);
        }
    }

    no_phantoms(kind) {
        const MOST: usize = 120;
        const WRITERS: usize = 3;
        let table = &Table::<Term>::with_bounds(kind, 1, tiny_bounds());
        thread::scope(|scope| {
            for number in 0..WRITERS as i64 {
                scope.spawn(move || {
                    let mut rng = Rng::new(number as u64);
                    loop {
                        let watch = table.watch(&pin()).unwrap();
                        let seen = look(&watch, None, Direction::Forward, usize::MAX);
                        if seen.len() >= MOST {
                            return;
                        }
                        let key = rng.below(1_000_000) as i64 * WRITERS as i64 + number;
                        let mut plan = Plan::default();
                        plan.insert(0, tuple([int(key), int(0)]));
                        plan.commit(&[table], &[(0, &watch)]);
                    }
                });
            }
        });
        assert_eq!(table.len(), MOST);
    }
}

/// Every account may go below zero as long as their sum does not.
fn check_write_skew(kind: Kind, by_key: bool) {
    const WRITERS: i64 = 3;
    const START: i64 = 100;
    let tables: Vec<_> = (0..WRITERS)
        .map(|_| Table::<Term>::with_bounds(kind, 1, tiny_bounds()))
        .collect();
    for table in &tables {
        insert(table, &tuple([int(0), int(START)]));
    }
    let tables: Vec<_> = tables.iter().collect();
    let balance = |objects: &[Value]| objects[0].elements()[1].as_int();
    thread::scope(|scope| {
        for mine in 0..WRITERS as usize {
            let tables = &tables;
            scope.spawn(move || {
                loop {
                    let mut plan = Plan::default();
                    let mut watches = Vec::new();
                    let mut own = 0;
                    let mut sum = 0;
                    for (number, table) in tables.iter().enumerate() {
                        let there = match by_key {
                            true => lookup(table, &int(0)),
                            false => {
                                let watch = table.watch(&pin()).unwrap();
                                let seen = look(&watch, None, Direction::Forward, 9);
                                watches.push((number, watch));
                                seen
                            }
                        };
                        sum += balance(&there);
                        if number == mine {
                            own = balance(&there);
                        }
                        if by_key {
                            plan.read(number, int(0), there);
                        }
                    }
                    if sum == 0 {
                        return;
                    }
                    plan.deeds.push((mine, Deed::Delete(int(0))));
                    plan.insert(mine, tuple([int(0), int(own - 1)]));
                    let watches: Vec<_> = watches.iter().map(|(at, watch)| (*at, watch)).collect();
                    plan.commit(tables, &watches);
                }
            });
        }
    });
    let sum: i64 = tables
        .iter()
        .map(|table| balance(&lookup(table, &int(0))))
        .sum();
    assert_eq!(sum, 0);
}

/// Transfers between the accounts of several tables, while lists of other accounts come in steps and
/// snapshots are taken: the sum is what it was at every instant.
fn check_transfers(kinds: [Kind; 2], accounts: i64) {
    const WRITERS: usize = 2;
    const START: i64 = 1_000;
    let census = Census::take();
    let tables = kinds.map(|kind| Table::<Term>::with_bounds(kind, 1, tiny_bounds()));
    let account = |key: i64, balance: i64| tuple([int(key * 2), int(balance)]);
    for table in &tables {
        (0..accounts).for_each(|key| insert(table, &account(key, START)));
    }
    let at_work = AtomicI64::new(WRITERS as i64);
    let transfer = |tables: &[&Table], rng: &mut Rng| {
        let [from, to] = [0, 1].map(|_| (rng.below(2), rng.below(accounts as usize) as i64));
        if from == to {
            return;
        }
        loop {
            let mut plan = Plan::default();
            for ((number, key), amount) in [(from, -1), (to, 1)] {
                let there = lookup(tables[number], &int(key * 2));
                let [object] = &there[..] else {
                    panic!("{there:?} under one key");
                };
                let balance = object.elements()[1].as_int();
                plan.deeds.push((number, Deed::Delete(int(key * 2))));
                plan.insert(number, account(key, balance + amount));
                plan.read(number, int(key * 2), there);
            }
            if plan.commit(tables, &[]) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let (tables, at_work, census, transfer) = (&tables, &at_work, &census, &transfer);
            scope.spawn(move || {
                census.join();
                let mut rng = Rng::new(number as u64);
                let tables: Vec<_> = tables.iter().collect();
                (0..3_000).for_each(|_| transfer(&tables, &mut rng));
                at_work.fetch_sub(1, SeqCst);
            });
        }
        scope.spawn(|| {
            census.join();
            for version in 0.. {
                for table in &tables {
                    let objects = (0..accounts).map(|key| tuple([int(key * 2 + 1), int(version)]));
                    bulk(table, BulkMode::Insert, 3, objects);
                    (0..accounts).for_each(|key| delete(table, &int(key * 2 + 1)));
                }
                if at_work.load(SeqCst) == 0 {
                    return;
                }
            }
        });
        scope.spawn(|| {
            census.join();
            while at_work.load(SeqCst) > 0 {
                let held = Table::snapshot(&[&tables[1], &tables[0]]).unwrap();
                for _ in 0..2 {
                    let mut sum = 0;
                    for table in &held {
                        scan_all(table, Direction::Forward, 20, |object| {
                            if object.int_at(0) % 2 == 0 {
                                sum += object.int_at(1);
                            }
                        });
                    }
                    assert_eq!(sum, 2 * accounts * START);
                }
            }
        });
    });
    drop(tables);
    census.assert_all_reclaimed();
}

#[test]
fn transfers_keep_the_sum() {
    check_transfers([Kind::Set, Kind::Set], 2);
    check_transfers([Kind::Set, Kind::OrderedSet], 50);
    check_transfers([Kind::OrderedSet, Kind::Bag], 50);
    check_transfers([Kind::DuplicateBag, Kind::OrderedSet], 8);
}

#[test]
fn a_watch_of_a_watch_is_none() {
    let table = Table::<Term>::new(Kind::Set, 1);
    let watch = table.watch(&pin()).unwrap();
    assert!(watch.watch(&pin()).is_none());
    assert!(Table::snapshot(&[&watch]).is_none());
}
