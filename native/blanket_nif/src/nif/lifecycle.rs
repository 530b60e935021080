//! A table's life, but for its objects.
//!
//! Options are read on the Elixir side; what comes here is complete and of the right types, and
//! what is not is a badarg:
//!
//! - `new({name, type, protection, named?, keypos, heir, {read_concurrency, write_concurrency,
//!   decentralized_counters, compressed}})` answers the table,
//! - `heir` is `:none`, `:immortal`, `{pid}` or `{pid, data}`,
//! - `setopts(table, {heir, protection})`, each `:unchanged` where it is.

use std::sync::atomic::AtomicU64;

use rustler::{Atom, Encoder, Env, Error, LocalPid, NifResult, Term};

use super::kept::whose_heir;
use crate::atoms;
use crate::durable::{self, Ready};
use crate::fixation;
use crate::ownership::{self, Access, Heir, Locked, Protection};
use crate::registry;
use crate::resource::{Options, TableRef, TableResource};
use crate::snapshot;
use crate::term::{BeamTerm, Stored};
use blanket_core::{Kind, Table};

pub type Settings<'a> = (
    Atom,
    Atom,
    Atom,
    bool,
    usize,
    Term<'a>,
    (Atom, Atom, Atom, bool),
);

#[rustler::nif]
fn new<'a>(env: Env<'a>, settings: Settings<'a>) -> NifResult<Term<'a>> {
    create(env, settings, None)
}

/// A table, or what was read from a store as one.
pub fn create<'a>(
    env: Env<'a>,
    settings: Settings<'a>,
    ready: Option<Ready>,
) -> NifResult<Term<'a>> {
    let (name, kind, protection, named, keypos, heir, options) = settings;
    let (read_concurrency, write_concurrency, decentralized_counters, compressed) = options;
    let name = BeamTerm::from(name);
    let heir = read_heir(heir)?;
    if keypos == 0 {
        return Err(Error::BadArg);
    }
    let (kind, protection) = (read_kind(kind)?, read_protection(protection)?);
    let (table, access, durable, store) = match ready.map(Ready::split) {
        None => (
            Table::new(kind, keypos),
            Access::new(protection),
            None,
            None,
        ),
        Some((table, durable, store)) => {
            let access = Access::durable(protection);
            (table, access, Some(durable), Some(store))
        }
    };
    let table = TableRef::new(TableResource {
        table,
        access,
        named,
        name: AtomicU64::new(name.word()),
        options: Options {
            read_concurrency: read_concurrency.into(),
            write_concurrency: write_concurrency.into(),
            decentralized_counters: decentralized_counters.into(),
            compressed,
        },
        ownership: Default::default(),
        fixations: Default::default(),
        durable,
        origin: None,
    });
    if let Some(store) = store
        && let Err(error) = durable::keep_written(table.clone(), store)
    {
        return Ok(super::durable::failure(env, &error));
    }
    if named {
        free_name(env, name);
    }
    let mut locked = lock(env, &table)?;
    if named && !registry::insert_name(name, &table) {
        if let Some(durable) = &table.durable {
            durable.close();
        }
        return Err(Error::BadArg);
    }
    registry::insert(&table);
    if locked.pass_to(*env.pid().as_c_arg()).is_err() {
        locked.delete();
        return Err(Error::BadArg);
    }
    locked.set_heir(heir);
    drop(locked);
    Ok(identity(env, &table))
}

/// Answers [`whose_heir`] is to be told; of a durable table `{closing, path, whose heir}`, or where it has
/// changes which are not on disk yet that it was not deleted.
#[rustler::nif]
fn delete_table<'a>(env: Env<'a>, table: TableRef) -> NifResult<Term<'a>> {
    let locked = lock(env, &table)?;
    check_write(env, &table)?;
    let durable = table.durable.as_ref();
    match durable.is_some_and(|durable| durable.has_unwritten(&table.table)) {
        true => Ok(atoms::unsynced().encode(env)),
        false => Ok(delete(env, &table, locked)),
    }
}

/// The same, be there such changes or not: they are written while the store is being closed.
#[rustler::nif]
fn durable_delete<'a>(env: Env<'a>, table: TableRef) -> NifResult<Term<'a>> {
    let locked = lock(env, &table)?;
    check_write(env, &table)?;
    Ok(delete(env, &table, locked))
}

fn delete<'a>(env: Env<'a>, table: &TableRef, mut locked: Locked<'_>) -> Term<'a> {
    let answer = whose_heir(env, &locked);
    locked.delete();
    match super::durable::path(env, table) {
        Some(path) => (atoms::closing(), path, answer).encode(env),
        None => answer,
    }
}

/// Answers the new name of a named table, the reference of another.
#[rustler::nif]
fn rename<'a>(env: Env<'a>, table: TableRef, name: Atom) -> NifResult<Term<'a>> {
    let name = BeamTerm::from(name);
    if table.named {
        free_name(env, name);
    }
    let mut locked = lock(env, &table)?;
    check_write(env, &table)?;
    if locked.rename(name) {
        Ok(identity(env, &table))
    } else {
        Err(Error::BadArg)
    }
}

/// The reference of the table of that name, or `:undefined`.
#[rustler::nif]
fn whereis<'a>(env: Env<'a>, name: Atom) -> Term<'a> {
    let table = registry::lookup_name(name.into());
    match table.filter(|table| lock(env, table).is_ok()) {
        Some(table) => table.encode(env),
        None => atoms::undefined().encode(env),
    }
}

/// All tables: named ones by name.
#[rustler::nif(schedule = "DirtyCpu")]
fn all<'a>(env: Env<'a>) -> Vec<Term<'a>> {
    let tables = registry::all();
    let alive = tables.iter().filter(|table| lock(env, table).is_ok());
    alive.map(|table| identity(env, table)).collect()
}

/// A map of what is known of a table but for `:node`, or `:undefined` when it is deleted.
#[rustler::nif]
fn info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let undefined = || Ok(atoms::undefined().encode(env));
    let Ok(table) = table.decode::<TableRef>() else {
        // A name that nobody has is as good as a deleted table.
        return if table.is_atom() {
            undefined()
        } else {
            Err(Error::BadArg)
        };
    };
    let Ok(locked) = lock(env, &table) else {
        return undefined();
    };
    let owner = match locked.owner() {
        Some(pid) => LocalPid::from_c_arg(pid).encode(env),
        None => atoms::none().encode(env),
    };
    let heir = match locked.heir() {
        Heir::None => atoms::none().encode(env),
        Heir::Immortal => atoms::immortal().encode(env),
        Heir::Process { pid, .. } => LocalPid::from_c_arg(*pid).encode(env),
    };
    let fixations = match fixation::fixed_by(&table, env.as_c_arg()) {
        None => atoms::no().encode(env),
        Some((since, by)) => {
            let fixing = |(pid, times)| (LocalPid::from_c_arg(pid), times);
            let by: Vec<_> = by.into_iter().map(fixing).collect();
            (since, by).encode(env)
        }
    };
    let passages = locked.passages();
    // The objects of a snapshot have to be counted, which takes time.
    let size = match table.origin {
        Some(_) => atoms::undefined().encode(env),
        None => table.table.len().encode(env),
    };
    let protection = match &table.origin {
        Some(origin) => origin.access.last_protection(),
        None => table.access.protection(),
    };
    let facts = [
        (atoms::id(), table.encode(env)),
        (atoms::name(), immediate(env, table.name_term())),
        (atoms::named_table(), table.named.encode(env)),
        (atoms::type_(), kind_atom(table.table.kind()).encode(env)),
        (atoms::keypos(), table.table.keypos().encode(env)),
        (atoms::protection(), protection_atom(protection).encode(env)),
        (atoms::owner(), owner),
        (atoms::heir(), heir),
        (atoms::snapshot(), table.origin.is_some().encode(env)),
        (atoms::size(), size),
        (
            atoms::memory(),
            table.table.bytes().div_ceil(size_of::<usize>()).encode(env),
        ),
        (
            atoms::read_concurrency(),
            immediate(env, table.options.read_concurrency),
        ),
        (
            atoms::write_concurrency(),
            immediate(env, table.options.write_concurrency),
        ),
        (
            atoms::decentralized_counters(),
            immediate(env, table.options.decentralized_counters),
        ),
        (atoms::compressed(), table.options.compressed.encode(env)),
        (atoms::durable(), super::durable::facts(env, &table)),
        (atoms::fixations(), fixations),
        (atoms::hand_overs(), passages.hand_overs.encode(env)),
        (atoms::since(), passages.since.encode(env)),
        (atoms::waited(), passages.waited.encode(env)),
    ];
    Term::map_from_pairs(env, &facts)
}

#[rustler::nif]
fn setopts<'a>(env: Env<'a>, table: TableRef, changes: (Term<'a>, Atom)) -> NifResult<bool> {
    let (heir, protection) = changes;
    let unchanged = atoms::unchanged();
    let heir = if unchanged == heir {
        None
    } else {
        Some(read_heir(heir)?)
    };
    let protection = if unchanged == protection {
        None
    } else {
        Some(read_protection(protection)?)
    };
    let mut locked = lock_owned(env, &table)?;
    if table.origin.is_some() {
        return Err(Error::BadArg);
    }
    if let Some(heir) = heir {
        locked.set_heir(heir);
    }
    if let Some(protection) = protection {
        locked.set_protection(protection);
    }
    Ok(true)
}

/// Answers [`whose_heir`] is to be told.
#[rustler::nif]
fn give_away<'a>(
    env: Env<'a>,
    table: TableRef,
    to: LocalPid,
    data: Term<'a>,
) -> NifResult<Term<'a>> {
    let mut locked = lock_owned(env, &table)?;
    let from = *env.pid().as_c_arg();
    let to = *to.as_c_arg();
    if locked.is_owner(&to) || !ownership::is_alive(env.as_c_arg(), &to) {
        return Err(Error::BadArg);
    }
    locked.pass_to(to).map_err(|_| Error::BadArg)?;
    locked.send_transfer(&to, &from, data.into());
    Ok(whose_heir(env, &locked))
}

pub fn lock<'t>(env: Env, table: &'t TableRef) -> NifResult<Locked<'t>> {
    ownership::lock(table, env.as_c_arg()).ok_or(Error::BadArg)
}

fn lock_owned<'t>(env: Env, table: &'t TableRef) -> NifResult<Locked<'t>> {
    let locked = lock(env, table)?;
    if locked.is_owner(env.pid().as_c_arg()) {
        Ok(locked)
    } else {
        Err(Error::BadArg)
    }
}

pub fn check_read(env: Env, table: &TableRef) -> NifResult<()> {
    let caller = || ownership::pid_word(env.pid().as_c_arg());
    if table.access.may_read(caller) || snapshot::may_read(table, caller) {
        Ok(())
    } else {
        Err(Error::BadArg)
    }
}

fn check_write(env: Env, table: &TableRef) -> NifResult<()> {
    let caller = || ownership::pid_word(env.pid().as_c_arg());
    if table.access.might_write(caller) {
        Ok(())
    } else {
        Err(Error::BadArg)
    }
}

/// Takes the name from a table whose owner is dead, if there is such a table: who was told of the
/// owner's exit must find its name free.
fn free_name(env: Env, name: BeamTerm) {
    if let Some(table) = registry::lookup_name(name) {
        let _ = lock(env, &table);
    }
}

fn identity<'a>(env: Env<'a>, table: &TableRef) -> Term<'a> {
    immediate(env, ownership::identity(table, env.as_c_arg()))
}

fn immediate<'a>(env: Env<'a>, term: BeamTerm) -> Term<'a> {
    // SAFETY: an immediate belongs to every environment; a reference was just made in this one.
    unsafe { Term::new(env, term.raw()) }
}

fn read_heir(heir: Term) -> NifResult<Heir> {
    if atoms::none() == heir {
        Ok(Heir::None)
    } else if atoms::immortal() == heir {
        Ok(Heir::Immortal)
    } else if let Ok((pid,)) = heir.decode::<(LocalPid,)>() {
        Ok(Heir::Process {
            pid: *pid.as_c_arg(),
            data: None,
        })
    } else {
        let (pid, data): (LocalPid, Term) = heir.decode()?;
        Ok(Heir::Process {
            pid: *pid.as_c_arg(),
            data: Some(Stored::new(data.into())),
        })
    }
}

pub fn read_kind(kind: Atom) -> NifResult<Kind> {
    [Kind::Set, Kind::OrderedSet, Kind::Bag, Kind::DuplicateBag]
        .into_iter()
        .find(|&known| kind_atom(known) == kind)
        .ok_or(Error::BadArg)
}

pub fn kind_atom(kind: Kind) -> Atom {
    match kind {
        Kind::Set => atoms::set(),
        Kind::OrderedSet => atoms::ordered_set(),
        Kind::Bag => atoms::bag(),
        Kind::DuplicateBag => atoms::duplicate_bag(),
    }
}

fn read_protection(protection: Atom) -> NifResult<Protection> {
    [
        Protection::Public,
        Protection::Protected,
        Protection::Private,
    ]
    .into_iter()
    .find(|&known| protection_atom(known) == protection)
    .ok_or(Error::BadArg)
}

fn protection_atom(protection: Protection) -> Atom {
    match protection {
        Protection::Public => atoms::public(),
        Protection::Protected => atoms::protected(),
        _ => atoms::private(),
    }
}
