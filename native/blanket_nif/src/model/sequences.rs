//! All that can come to pass, one operation after another, with the VM telling tables of exits at any
//! later time.
//!
//! From each state that can be reached, each process does everything that it can do. What has the same
//! owners, names and pending exits goes on in the same way, so there is an end to it: what is tried is
//! all, and no sample.

use std::collections::{HashSet, VecDeque};

use super::rules::{Answer, Everything, Heir, Op, Place, Transfer};
use super::vm::{self, PROCESSES, Process};
use super::world;

#[derive(Clone, Copy, Debug)]
enum Step {
    Does(Process, Op),
    /// The monitor at this place among those of dead processes can be taken back no more.
    Fire(usize),
    /// It tells its table.
    Deliver(usize),
}

/// A table of one of these names can be in the way of the other.
const NAMES: usize = 2;

#[test]
fn one_table() {
    explore(1);
}

#[test]
fn two_tables() {
    explore(2);
}

/// How a state was reached, from which other.
struct Reached {
    last: Option<(usize, Step)>,
    all: Everything,
    pending: Vec<(usize, Process, bool)>,
}

fn explore(tables: usize) {
    let _alone = world::alone();
    let mut reached = vec![Reached {
        last: None,
        all: Everything::new(),
        pending: Vec::new(),
    }];
    let mut known = HashSet::from([(reached[0].all.clone(), Vec::new())]);
    let mut waiting = VecDeque::from([0]);
    let mut transitions = 0;
    while let Some(from) = waiting.pop_front() {
        let path = path_to(&reached, from);
        for step in steps(tables, &reached[from]) {
            transitions += 1;
            let (all, pending) = walk(&path, step);
            if known.insert((all.clone(), sorted(&pending))) {
                waiting.push_back(reached.len());
                reached.push(Reached {
                    last: Some((from, step)),
                    all,
                    pending,
                });
            }
        }
    }
    world::end();
    println!("{} states, {transitions} steps", reached.len());
}

fn sorted(pending: &[(usize, Process, bool)]) -> Vec<(usize, Process, bool)> {
    let mut pending = pending.to_vec();
    pending.sort_unstable();
    pending
}

fn path_to(reached: &[Reached], to: usize) -> Vec<Step> {
    let mut path = Vec::new();
    let mut at = to;
    while let Some((from, step)) = reached[at].last {
        path.push(step);
        at = from;
    }
    path.reverse();
    path
}

fn steps(tables: usize, at: &Reached) -> Vec<Step> {
    let mut steps = Vec::new();
    for process in (0..PROCESSES).filter(|&it| at.all.alive[it]) {
        let mut does = |op| steps.push(Step::Does(process, op));
        does(Op::Exit);
        for name in 0..NAMES {
            does(Op::WhereIs(name));
        }
        for table in 0..tables {
            if at.all.tables[table] == Place::NotYet {
                (0..NAMES).for_each(|name| does(Op::New(table, name)));
                continue;
            }
            (0..NAMES).for_each(|name| does(Op::Rename(table, name)));
            for op in [Op::Delete, Op::Keep, Op::Unkeep, Op::Orphan] {
                does(op(table));
            }
            for other in 0..PROCESSES {
                does(Op::GiveAway(table, other));
                does(Op::Claim(table, other));
                does(Op::SetHeir(table, Heir::Process(other)));
            }
            does(Op::SetHeir(table, Heir::None));
            does(Op::SetHeir(table, Heir::Immortal));
        }
    }
    for (at, &(_, _, fired)) in at.pending.iter().enumerate() {
        steps.push(if fired {
            Step::Deliver(at)
        } else {
            Step::Fire(at)
        });
    }
    steps
}

/// Goes the path once more, and one step further, and looks whether all is as the rules say.
fn walk(path: &[Step], last: Step) -> (Everything, Vec<(usize, Process, bool)>) {
    world::begin();
    let mut all = Everything::new();
    let mut transfers: Vec<Transfer> = Vec::new();
    for &step in path.iter().chain([&last]) {
        let (answer, expected) = take(step, &mut all, &mut transfers);
        assert_eq!(answer, expected, "{step:?} at the end of {path:?}");
    }
    let pending = world::pending();
    if pending.is_empty() {
        world::check_at_rest(&all);
    }
    assert_eq!(world::look(), all, "after {path:?} and {last:?}");
    world::settle();
    assert_eq!(
        world::look(),
        all,
        "after {path:?}, {last:?}, and all exits"
    );
    let told = world::seen(&all, &transfers);
    assert_eq!(world::transfers(), told, "after {path:?} and {last:?}");
    (all, pending)
}

fn take(step: Step, all: &mut Everything, transfers: &mut Vec<Transfer>) -> (Answer, Answer) {
    match step {
        Step::Does(process, op) => (world::run(process, op), all.apply(process, op, transfers)),
        Step::Fire(at) => {
            vm::fire(vm::pending()[at]);
            (Answer::Ok, Answer::Ok)
        }
        Step::Deliver(at) => {
            vm::deliver(vm::pending()[at]);
            (Answer::Ok, Answer::Ok)
        }
    }
}
