//! Kept tables: those that wait for a new owner when theirs exits.
//!
//! `reference` and `data` are any terms. The table in an answer is always its reference, which
//! stays the same when a name goes to another table. `:ok`, `{:ok, _}` or `{:error, why}`, where
//! `why` is `:not_owner`, `:not_kept`, `:already_kept`, `:already_owned` or `:noproc`; a table that
//! is deleted is a badarg.

use rustler::{Atom, Encoder, Env, Error, LocalPid, NifResult, Term};

use super::lifecycle::lock;
use crate::atoms;
use crate::ownership::{Locked, Refusal};
use crate::registry::{self, Kept};
use crate::resource::TableRef;
use crate::term::Stored;

/// Keeps a table that the caller owns. Its heir is none from then on, until `setopts` sets one.
#[rustler::nif]
fn keep<'a>(
    env: Env<'a>,
    table: TableRef,
    reference: Term<'a>,
    data: Term<'a>,
) -> NifResult<Term<'a>> {
    refuse_snapshot(&table)?;
    let mut locked = lock(env, &table)?;
    let answer =
        check_owner(env, &locked).and_then(|()| locked.keep(reference.into(), data.into()));
    Ok(ok_or_error(env, answer))
}

/// `{table, data}`, or `nil` when no table is kept as `reference`.
#[rustler::nif]
fn kept<'a>(env: Env<'a>, reference: Term<'a>) -> Term<'a> {
    match registry::lookup_kept(reference.into()) {
        Some((kept, table)) => (table, load(env, &kept.data)).encode(env),
        None => rustler::types::atom::nil().encode(env),
    }
}

/// `{reference, table, data}` of all kept tables.
#[rustler::nif(name = "kept", schedule = "DirtyCpu")]
fn all_kept<'a>(env: Env<'a>) -> Vec<Term<'a>> {
    let row = |(kept, table): (std::sync::Arc<Kept>, TableRef)| {
        (load(env, &kept.reference), table, load(env, &kept.data)).encode(env)
    };
    registry::all_kept().into_iter().map(row).collect()
}

/// `{:ok, reference}`: what the table is kept as.
#[rustler::nif]
fn kept_as<'a>(env: Env<'a>, table: TableRef) -> NifResult<Term<'a>> {
    let locked = lock(env, &table)?;
    let kept = locked.kept().ok_or(Refusal::NotKept);
    Ok(match kept {
        Ok(kept) => (rustler::types::atom::ok(), load(env, &kept.reference)).encode(env),
        Err(refusal) => error(env, refusal),
    })
}

/// Keeps the table no longer: the caller's own lives on with it alone, an orphan is deleted.
/// `{:ok, reference}`: what it was kept as.
#[rustler::nif]
fn unkeep<'a>(env: Env<'a>, table: TableRef) -> NifResult<Term<'a>> {
    unkeep_locked(env, &mut lock(env, &table)?)
}

/// The same, unless somebody has owned it since that hand-over.
#[rustler::nif(name = "unkeep")]
fn unkeep_since<'a>(env: Env<'a>, table: TableRef, hand_overs: u64) -> NifResult<Term<'a>> {
    let mut locked = lock(env, &table)?;
    if locked.passages().hand_overs != hand_overs {
        return Ok(error(env, Refusal::AlreadyOwned));
    }
    unkeep_locked(env, &mut locked)
}

fn unkeep_locked<'a>(env: Env<'a>, locked: &mut Locked) -> NifResult<Term<'a>> {
    Ok(match locked.unkeep(env.pid().as_c_arg()) {
        Ok(kept) => (rustler::types::atom::ok(), load(env, &kept.reference)).encode(env),
        Err(refusal) => error(env, refusal),
    })
}

/// The caller, who owns it, lets go of a kept table.
#[rustler::nif]
fn orphan<'a>(env: Env<'a>, table: TableRef) -> NifResult<Term<'a>> {
    let mut locked = lock(env, &table)?;
    let answer = check_owner(env, &locked).and_then(|()| locked.orphan());
    Ok(ok_or_error(env, answer))
}

/// Makes `pid` the owner of a table that has none, or whose owner is dead.
#[rustler::nif]
fn claim<'a>(env: Env<'a>, table: TableRef, pid: LocalPid) -> NifResult<Term<'a>> {
    refuse_snapshot(&table)?;
    let answer = lock(env, &table)?.claim(*pid.as_c_arg());
    Ok(ok_or_error(env, answer))
}

/// `{:kept, reference}` for a kept table, `:ok` for another.
pub fn whose_heir<'a>(env: Env<'a>, locked: &Locked) -> Term<'a> {
    match locked.kept() {
        Some(kept) => (atoms::kept(), load(env, &kept.reference)).encode(env),
        None => rustler::types::atom::ok().encode(env),
    }
}

/// A snapshot has the owner that it is given.
fn refuse_snapshot(table: &TableRef) -> NifResult<()> {
    match table.origin {
        None => Ok(()),
        Some(_) => Err(Error::BadArg),
    }
}

fn check_owner(env: Env, locked: &Locked) -> Result<(), Refusal> {
    if locked.is_owner(env.pid().as_c_arg()) {
        Ok(())
    } else {
        Err(Refusal::NotOwner)
    }
}

fn load<'a>(env: Env<'a>, stored: &Stored) -> Term<'a> {
    // SAFETY: `stored` keeps the term alive; the copy was just made in `env`.
    unsafe { Term::new(env, stored.term().copy_to(env.as_c_arg()).raw()) }
}

fn ok_or_error<'a>(env: Env<'a>, answer: Result<(), Refusal>) -> Term<'a> {
    match answer {
        Ok(()) => rustler::types::atom::ok().encode(env),
        Err(refusal) => error(env, refusal),
    }
}

fn error<'a>(env: Env<'a>, refusal: Refusal) -> Term<'a> {
    (rustler::types::atom::error(), reason(refusal)).encode(env)
}

fn reason(refusal: Refusal) -> Atom {
    match refusal {
        Refusal::NotOwner => atoms::not_owner(),
        Refusal::NotKept => atoms::not_kept(),
        Refusal::AlreadyKept => atoms::already_kept(),
        Refusal::AlreadyOwned => atoms::already_owned(),
        Refusal::NoProcess => atoms::noproc(),
    }
}
