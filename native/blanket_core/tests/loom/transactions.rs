//! Commits: at one instant, of what was read at one, and never waiting in a circle.

use std::sync::Arc;

use blanket_core::{Commit, Direction, Expected, Kind, Operation, Position, pin};
use loom::thread;

use crate::lists::{HIGH, KINDS, LOW, insert_in_steps, object, two_leaves, version};
use crate::support::*;
use crate::term::{Num, Owned, num};

/// What a transaction has read and writes, with the numbers of tables.
struct Plan<'a> {
    tables: &'a [&'a Table],
    reads: &'a [(usize, Owned)],
    writes: &'a [(usize, Owned)],
    watches: &'a [(usize, &'a Table)],
}

fn commit(plan: &Plan<'_>) -> bool {
    let guard = &pin();
    retry(|| {
        let mut commit = Commit::new();
        for table in plan.tables {
            commit.table(table, 4, guard);
        }
        for (table, object) in plan.reads {
            let key = object.term();
            let objects = Expected::Objects([key].into_iter().collect());
            commit.expect(*table, key_of(object), objects);
        }
        for (table, object) in plan.writes {
            commit.change(*table, Operation::Insert(object.term()));
        }
        for (table, watch) in plan.watches {
            commit.unchanged(*table, watch, guard);
        }
        // It keeps the locks that it has while it waits for others.
        commit.run(|| {
            thread::yield_now();
            true
        })
    })
}

fn key_of(object: &Owned) -> Num {
    use blanket_core::Term;
    object.term().element(0)
}

/// The versions of all objects, as a scan of a watch shows them.
fn look(watch: &Table) -> Vec<i64> {
    let guard = &pin();
    retry(|| {
        let mut out = Vec::new();
        let mut from = Some(Position::start());
        while let Some(position) = from {
            from = watch.scan(position, Direction::Forward, 100, guard, &mut out)?;
        }
        Ok(out.iter().map(|object| numbers(object)[1]).collect())
    })
}

#[test]
fn a_commit_comes_all_at_once() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    assert!(commit(&Plan {
                        tables: &[&table],
                        reads: &[(0, object(LOW, 1))],
                        writes: &[(0, object(LOW, 2)), (0, object(HIGH, 2))],
                        watches: &[],
                    }))
                })
            };
            // A thread of its own: it may begin behind the writer, which is no preemption then.
            let reader = thread::spawn(move || {
                let seen = [LOW, HIGH, LOW].map(|key| version(&table, key));
                assert!(seen.is_sorted(), "{seen:?}");
            });
            writer.join().unwrap();
            reader.join().unwrap();
        });
    }
}

/// Two that read the same and write it: one of them is refused.
#[test]
fn of_two_that_compete_one_wins() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let (one, two) = (table(kind, [object(1, 1)]), table(kind, [object(1, 1)]));
            let run = |one: &Table, two: &Table, version| {
                commit(&Plan {
                    tables: &[one, two],
                    reads: &[(0, object(1, 1)), (1, object(1, 1))],
                    writes: &[(0, object(1, version)), (1, object(1, version))],
                    watches: &[],
                })
            };
            let other = {
                let (one, two) = (Arc::clone(&one), Arc::clone(&two));
                // The tables in the opposite order.
                thread::spawn(move || run(&two, &one, 2))
            };
            let won = run(&one, &two, 3);
            assert_ne!(won, other.join().unwrap());
            let winner = if won { 3 } else { 2 };
            assert_eq!([version(&one, 1), version(&two, 1)], [winner; 2]);
        });
    }
}

/// Each goes over what the other one writes, and writes elsewhere: not both may be done.
#[test]
fn no_write_skew() {
    for by_key in [true, false] {
        explore(2, move || {
            let kind = Kind::Set;
            let (one, two) = (table(kind, [object(1, 1)]), table(kind, [object(1, 1)]));
            let run = move |seen: &Table, written: &Table| {
                let watch = seen.watch(&pin()).unwrap();
                let (reads, watches): (&[_], &[_]) = match by_key {
                    true => (&[(0, object(1, 1))], &[]),
                    false => (&[], &[(0, &watch)]),
                };
                if (match by_key {
                    true => vec![version(seen, 1)],
                    false => look(&watch),
                }) != [1]
                {
                    return false;
                }
                commit(&Plan {
                    tables: &[seen, written],
                    reads,
                    writes: &[(1, object(1, 2))],
                    watches,
                })
            };
            let other = {
                let (one, two) = (Arc::clone(&one), Arc::clone(&two));
                thread::spawn(move || run(&one, &two))
            };
            let done = run(&two, &one);
            match other.join().unwrap() {
                // Each may have found the other at work.
                false => assert!(done || !by_key),
                true => assert!(!done),
            }
        });
    }
}

#[test]
fn a_commit_and_a_list_do_not_block_each_other() {
    for kind in KINDS {
        explore(preemptions(kind), move || {
            let table = two_leaves(kind);
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || insert_in_steps(&table, &[object(HIGH, 2), object(LOW, 2)]))
            };
            let writes = &[(0, object(HIGH, 3)), (0, object(LOW, 3))];
            assert!(commit(&Plan {
                tables: &[&table],
                reads: &[],
                writes,
                watches: &[]
            }));
            writer.join().unwrap();
            assert_eq!(version(&table, LOW), version(&table, HIGH));
        });
    }
}

/// A snapshot of two tables has a commit in both or in none.
#[test]
fn a_snapshot_has_all_of_it_or_nothing() {
    explore(2, move || {
        let tables = [Kind::Set, Kind::Set].map(|kind| table(kind, [object(1, 1)]));
        let writer = {
            let [one, two] = tables.clone();
            thread::spawn(move || {
                let writes = &[(0, object(1, 2)), (1, object(1, 2))];
                assert!(commit(&Plan {
                    tables: &[&one, &two],
                    reads: &[],
                    writes,
                    watches: &[]
                }));
            })
        };
        let taken = blanket_core::Table::snapshot(&[&*tables[0], &*tables[1]]).unwrap();
        let seen = [version(&taken[1], 1), version(&taken[0], 1)];
        assert_eq!(seen[0], seen[1]);
        writer.join().unwrap();
        assert_eq!([version(&taken[0], 1), version(&taken[1], 1)], seen);
    });
}

/// A reader that is in the midst of a leaf when a commit takes its lock and lets go without a change.
#[test]
fn what_is_only_read_is_not_disturbed() {
    explore(2, move || {
        let table = table(Kind::Set, [object(1, 1)]);
        let watch = table.watch(&pin()).unwrap();
        assert_eq!(look(&watch), [1]);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let reads = &[(0, object(1, 1))];
                commit(&Plan {
                    tables: &[&table],
                    reads,
                    writes: &[],
                    watches: &[],
                })
            })
        };
        assert_eq!(lookup(&table, 1, &pin()), [[1, 1]]);
        assert!(retry(|| table.member(num(1), &pin())));
        assert!(other.join().unwrap());
        assert!(commit(&Plan {
            tables: &[&table],
            reads: &[],
            writes: &[],
            watches: &[(0, &watch)]
        }));
    });
}
