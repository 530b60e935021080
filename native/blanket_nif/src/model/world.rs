//! Does operations with the library's functions, and looks at what came of them.

use std::cell::RefCell;
use std::sync::Once;

use parking_lot::{Mutex, MutexGuard};

use super::rules::{Answer, Everything, Heir, Name, Op, Place, State, TABLES, Table, Transfer};
use super::turns;
use super::vm::{self, Monitor, PROCESSES, Process};
use crate::atoms;
use crate::ownership;
use crate::reaper;
use crate::registry;
use crate::resource::{Resource, TableRef, TableResource};
use crate::term::BeamTerm;

thread_local! {
    static WORLD: RefCell<[Option<TableRef>; TABLES]> = const { RefCell::new([const { None }; TABLES]) };
}

/// The registry is one for all models: they run one after another.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static OPENED: Once = Once::new();
    let guard = ALONE.lock();
    OPENED.call_once(|| {
        // SAFETY: it is opened before any other use of it.
        assert!(unsafe { TableResource::class().open(vm::env(PROCESSES)) });
        reaper::allow();
        blanket_core::set_reaper(|thing| reaper::run(Box::new(move || drop(thing))));
    });
    guard
}

/// Begins with no tables and all processes alive.
pub fn begin() {
    end();
    vm::begin();
}

/// Deletes all tables.
pub fn end() {
    WORLD.take();
    for table in registry::all() {
        if let Some(mut locked) = ownership::lock(&table, vm::env(PROCESSES)) {
            locked.delete();
        }
    }
}

fn table(table: Table) -> TableRef {
    WORLD.with_borrow(|tables| tables[table].clone().expect("the table was created"))
}

fn name(name: Name) -> BeamTerm {
    vm::atom(["one", "two", "three"][name])
}

fn name_of(term: BeamTerm) -> Name {
    (0..3).find(|&it| name(it) == term).expect("a name")
}

fn reference() -> BeamTerm {
    vm::atom("reference")
}

/// Has the process do `op`, an exit but for what its monitors do.
pub fn run(process: Process, op: Op) -> Answer {
    let term = |it: Table| table(it).to_term(vm::env(process));
    let pid = vm::pid_term;
    let answer = match op {
        Op::Exit => {
            turns::step();
            vm::exit(process);
            return Answer::Ok;
        }
        Op::WhereIs(it) => {
            let found = vm::call(process, "whereis", &[name(it)]).expect("no badarg");
            let found = TableRef::from_term(vm::env(process), found);
            return Answer::Found(found.map(|table| number(&table)));
        }
        Op::New(it, as_) => {
            let no = BeamTerm::from(atoms::no());
            let settings = vm::tuple(&[
                name(as_),
                atoms::set().into(),
                atoms::protected().into(),
                atoms::yes().into(),
                vm::integer(it as i64 + 1),
                atoms::none().into(),
                vm::tuple(&[no, no, no, no]),
            ]);
            let answer = vm::call(process, "new", &[settings]);
            if answer.is_some() {
                let created = registry::all()
                    .into_iter()
                    .find(|table| number(table) == it);
                WORLD.with_borrow_mut(|tables| tables[it] = created);
            }
            answer
        }
        Op::Rename(it, to) => vm::call(process, "rename", &[term(it), name(to)]),
        Op::Delete(it) => vm::call(process, "delete_table", &[term(it)]),
        Op::GiveAway(it, to) => vm::call(
            process,
            "give_away",
            &[term(it), pid(to), atoms::start().into()],
        ),
        Op::SetHeir(it, heir) => {
            let heir = match heir {
                Heir::None => atoms::none().into(),
                Heir::Immortal => atoms::immortal().into(),
                Heir::Process(heir) => vm::tuple(&[pid(heir), atoms::start().into()]),
            };
            let changes = vm::tuple(&[heir, atoms::unchanged().into()]);
            vm::call(process, "setopts", &[term(it), changes])
        }
        Op::Keep(it) => vm::call(
            process,
            "keep",
            &[term(it), reference(), atoms::start().into()],
        ),
        Op::Unkeep(it) => vm::call(process, "unkeep", &[term(it)]),
        Op::Orphan(it) => vm::call(process, "orphan", &[term(it)]),
        Op::Claim(it, by) => vm::call(process, "claim", &[term(it), pid(by)]),
    };
    answer.map_or(Answer::BadArg, read_answer)
}

fn read_answer(answer: BeamTerm) -> Answer {
    let Some(&[first, second]) = answer.as_tuple() else {
        return Answer::Ok;
    };
    if first != BeamTerm::from(atoms::error()) {
        return Answer::Ok;
    }
    [
        (atoms::not_owner(), Answer::NotOwner),
        (atoms::not_kept(), Answer::NotKept),
        (atoms::already_kept(), Answer::AlreadyKept),
        (atoms::already_owned(), Answer::AlreadyOwned),
        (atoms::noproc(), Answer::NoProcess),
    ]
    .into_iter()
    .find_map(|(reason, answer)| (BeamTerm::from(reason) == second).then_some(answer))
    .expect("a known reason")
}

/// Which table it is: that is where it has its keys.
fn number(table: &TableRef) -> Table {
    table.table.keypos() - 1
}

/// Monitors of dead processes, and which tables have them.
pub fn pending() -> Vec<(Table, Process, bool)> {
    let owner = |it: Monitor| (table_of(it), it.process, it.fired);
    vm::pending().into_iter().map(owner).collect()
}

fn table_of(monitor: Monitor) -> Table {
    (0..TABLES)
        .find(|&it| {
            WORLD.with_borrow(|tables| {
                tables[it]
                    .as_ref()
                    .is_some_and(|table| table.as_object() == monitor.object)
            })
        })
        .expect("a table that was created")
}

/// Has all monitors of dead processes tell their tables.
pub fn settle() {
    while let Some(&monitor) = vm::pending().first() {
        vm::fire(monitor);
        vm::deliver(monitor);
    }
}

/// Nothing is on its way any more: all is as it should be before anybody looks.
pub fn check_at_rest(all: &Everything) {
    check_registry(all);
    check_monitors(all);
    for it in 0..TABLES {
        let Some(table) = WORLD.with_borrow(|tables| tables[it].clone()) else {
            continue;
        };
        let owner = all.there(it).and_then(|state| state.owner);
        assert_eq!(table.access.is_dead(), all.there(it).is_none());
        assert_owner(&table, owner);
    }
}

fn assert_owner(table: &TableRef, owner: Option<Process>) {
    for process in 0..PROCESSES {
        let word = ownership::pid_word(&vm::pid(process));
        assert_eq!(table.access.is_owner(word), owner == Some(process), "owner");
    }
}

/// What is there, and that all that know of it agree.
pub fn look() -> Everything {
    let mut all = Everything::new();
    all.alive = std::array::from_fn(vm::is_alive);
    for it in 0..TABLES {
        let Some(table) = WORLD.with_borrow(|tables| tables[it].clone()) else {
            continue;
        };
        all.tables[it] = look_at(&table);
    }
    check_registry(&all);
    check_monitors(&all);
    all
}

fn look_at(table: &TableRef) -> Place {
    let Some(locked) = ownership::lock(table, vm::env(PROCESSES)) else {
        assert!(table.access.is_dead());
        return Place::Gone;
    };
    let owner = locked.owner().map(|pid| vm::process_of(pid_term(pid)));
    assert!(
        owner.is_none_or(vm::is_alive),
        "a dead process owns a table"
    );
    assert_owner(table, owner);
    Place::There(State {
        owner,
        heir: match locked.heir() {
            ownership::Heir::None => Heir::None,
            ownership::Heir::Immortal => Heir::Immortal,
            ownership::Heir::Process { pid, .. } => Heir::Process(vm::process_of(pid_term(*pid))),
        },
        kept: locked.kept().is_some(),
        name: name_of(table.name_term()),
    })
}

fn pid_term(pid: rustler::sys::ErlNifPid) -> BeamTerm {
    // SAFETY: as every word.
    unsafe { BeamTerm::from_word(ownership::pid_word(&pid)) }
}

/// Every table that is there is found under its name and by what it is kept as, and no other.
fn check_registry(all: &Everything) {
    let numbers = |tables: Vec<TableRef>| {
        let mut numbers: Vec<Table> = tables.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    };
    let those = |which: fn(&State) -> bool| -> Vec<Table> {
        let there = (0..TABLES).filter(|&it| all.there(it).as_ref().is_some_and(which));
        there.collect()
    };
    let kept = registry::all_kept().into_iter().map(|(_, table)| table);
    assert_eq!(numbers(registry::all()), those(|_| true), "registered");
    assert_eq!(numbers(kept.collect()), those(|state| state.kept), "kept");
    for it in 0..3 {
        let found = registry::lookup_name(name(it));
        assert_eq!(
            found.map(|table| number(&table)),
            all.named(it),
            "named {it}"
        );
    }
}

/// Those who own tables are watched by them, and nobody else.
fn check_monitors(all: &Everything) {
    let mut watched: Vec<_> = (vm::armed().into_iter())
        .map(|it| (table_of(it), it.process))
        .collect();
    watched.sort_unstable();
    let owner = |it| Some((it, all.there(it)?.owner?));
    let owners: Vec<_> = (0..TABLES).filter_map(owner).collect();
    assert_eq!(watched, owners, "watched");
}

/// What those who are alive were told, sorted.
pub fn transfers() -> Vec<Transfer> {
    let mut transfers: Vec<Transfer> = vm::messages()
        .into_iter()
        .map(|(to, message)| match message.as_tuple() {
            Some(&[tag, named, from, data]) => {
                assert_eq!(tag, atoms::ets_transfer().into());
                assert_eq!(data, atoms::start().into());
                (to, name_of(named), vm::process_of(from))
            }
            _ => panic!("no transfer"),
        })
        .collect();
    transfers.sort_unstable();
    transfers
}

/// The same of what the rules say.
pub fn seen(all: &Everything, transfers: &[Transfer]) -> Vec<Transfer> {
    let mut seen: Vec<Transfer> = transfers.to_vec();
    seen.retain(|&(to, ..)| all.alive[to]);
    seen.sort_unstable();
    seen
}
