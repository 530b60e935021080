//! What processes do at the same time: three of them an operation each, in all orders of its steps.
//!
//! A step is a use of a lock or of the registry, and whatever the VM is asked for. Loom tries the
//! orders. Whatever comes of one has to be what comes of the operations one after another, in one order or
//! another.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rules::{Answer, Everything, Heir, Op, Transfer};
use super::turns;
use super::vm::{self, PROCESSES, Process};
use super::world;

/// What each process does.
type Round = [Op; PROCESSES];
type Outcome = ([Answer; PROCESSES], Everything, Vec<Transfer>);

/// How it begins.
#[derive(Clone, Copy)]
struct Before(&'static [(Process, Op)]);

const OWNED: Before = Before(&[(0, Op::New(0, 0))]);
const INHERITED: Before = Before(&[(0, Op::New(0, 0)), (0, Op::SetHeir(0, Heir::Process(1)))]);
const KEPT: Before = Before(&[(0, Op::New(0, 0)), (0, Op::Keep(0))]);
const ORPHAN: Before = Before(&[(0, Op::New(0, 0)), (0, Op::Keep(0)), (0, Op::Orphan(0))]);
const TWO: Before = Before(&[(0, Op::New(0, 0)), (1, Op::New(1, 1))]);
const TWO_OF_WHICH_ONE_IS_KEPT: Before =
    Before(&[(0, Op::New(0, 0)), (0, Op::Keep(0)), (1, Op::New(1, 1))]);

#[test]
fn an_owned_table() {
    explore(OWNED, &[]);
}

#[test]
fn a_table_that_is_inherited() {
    explore(INHERITED, &[]);
}

#[test]
fn a_kept_table() {
    explore(KEPT, &[]);
}

#[test]
fn an_orphan() {
    explore(ORPHAN, &[]);
}

#[test]
fn two_tables() {
    explore(TWO, &[1]);
}

#[test]
fn two_tables_of_which_one_is_kept() {
    explore(TWO_OF_WHICH_ONE_IS_KEPT, &[1]);
}

fn explore(before: Before, others: &[usize]) {
    let _alone = world::alone();
    let executions = Arc::new(AtomicUsize::new(0));
    let mut rounds = 0;
    let [first, second, third] = [0, 1, 2].map(|process| operations(process, others));
    for &a in &first {
        for &b in &second {
            for &c in &third {
                let round = [a, b, c];
                if creates_twice(round) {
                    continue;
                }
                rounds += 1;
                try_all_orders(before, round, Arc::clone(&executions));
            }
        }
    }
    println!(
        "{rounds} rounds, {} executions",
        executions.load(Ordering::Relaxed)
    );
}

/// What a process may do, to the first table and to the others that are there.
fn operations(process: Process, others: &[usize]) -> Vec<Op> {
    let next = (process + 1) % PROCESSES;
    let mut operations = vec![Op::Exit, Op::WhereIs(0), Op::WhereIs(2)];
    if others.is_empty() {
        operations.extend([Op::New(1, 0), Op::New(1, 2)]);
    }
    for table in [0].iter().chain(others).copied() {
        operations.extend([
            Op::Rename(table, 2),
            Op::Delete(table),
            Op::GiveAway(table, next),
            Op::SetHeir(table, Heir::Process(next)),
            Op::Keep(table),
            Op::Unkeep(table),
            Op::Orphan(table),
            Op::Claim(table, process),
        ]);
    }
    operations
}

fn creates_twice(round: Round) -> bool {
    let creates = |op: &&Op| matches!(op, Op::New(..));
    round.iter().filter(creates).count() > 1
}

fn try_all_orders(before: Before, round: Round, executions: Arc<AtomicUsize>) {
    let expected = one_after_another(before, round);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.max_branches = 100_000;
    model.check(move || {
        executions.fetch_add(1, Ordering::Relaxed);
        let outcome = at_once(before, round);
        assert!(
            expected.contains(&outcome),
            "{round:?} came to {outcome:?}, none of {expected:?}"
        );
    });
}

fn at_once(before: Before, round: Round) -> Outcome {
    world::begin();
    for &(process, op) in before.0 {
        assert_eq!(world::run(process, op), Answer::Ok);
    }
    let answers = turns::take_turns(|| {
        let others = [1, 2].map(|process| loom::thread::spawn(move || act(process, round)));
        let first = act(0, round);
        let [second, third] = others.map(|other| other.join().expect("no panic"));
        [first, second, third]
    });
    world::settle();
    let outcome = (answers, world::look(), world::transfers());
    world::end();
    outcome
}

/// With an exit, what the VM does behind it.
fn act(process: Process, round: Round) -> Answer {
    let answer = world::run(process, round[process]);
    if round[process] == Op::Exit {
        for monitor in vm::pending() {
            turns::step();
            if monitor.process == process && vm::fire(monitor) {
                turns::step();
                vm::deliver(monitor);
            }
        }
    }
    answer
}

fn one_after_another(before: Before, round: Round) -> HashSet<Outcome> {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let outcome = |order: [Process; PROCESSES]| {
        let mut all = Everything::new();
        let mut transfers = Vec::new();
        for &(process, op) in before.0 {
            all.apply(process, op, &mut transfers);
        }
        let mut answers = [Answer::Ok; PROCESSES];
        for process in order {
            answers[process] = all.apply(process, round[process], &mut transfers);
        }
        let told = world::seen(&all, &transfers);
        (answers, all, told)
    };
    orders.map(outcome).into()
}
