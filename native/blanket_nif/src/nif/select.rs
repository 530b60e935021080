//! Finding objects by match specifications.
//!
//! A match specification that is not covered here is answered by `uncovered`.

use blanket_core::{Direction, Kind};
use smallvec::SmallVec;

use crate::atoms;
use crate::match_spec::{KeptSpec, MatchSpec, Plan, Subject};
use crate::raw::{Answer, Call, Failure, Table, boolean, export};
use crate::resource::{self, Ref, TableRef};
use crate::term::BeamTerm;
use crate::trail::{Left, Then, Trail};
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"select"/2 = select;
    c"select_reverse"/2 = select_reverse;
    c"select_count"/2 = select_count;
    c"compile_match_spec"/3 = compile_match_spec;
    c"is_match_spec"/1 = is_match_spec;
}

/// What is answered for a match specification that is left to the VM.
pub fn uncovered() -> BeamTerm {
    BeamTerm::from(atoms::uncovered())
}

/// The match specification, compiled for the table; `None` where it is uncovered.
pub fn compile(table: &Table<'_>, source: BeamTerm) -> Option<Ref<KeptSpec>> {
    let (kind, keypos) = (table.table.kind(), table.table.keypos());
    KeptSpec::compile(source, kind, keypos).ok().map(Ref::new)
}

fn select(call: &Call<'_>) -> Answer {
    select_all(call, Direction::Backward)
}

fn select_reverse(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    select_all(
        call,
        match table.table.kind() {
            Kind::OrderedSet => Direction::Forward,
            _ => Direction::Backward,
        },
    )
}

/// All results in one list, which is built from its end.
fn select_all(call: &Call<'_>, direction: Direction) -> Answer {
    let table = call.table_to_read()?;
    if let Some(results) = select_at_once(call, &table, direction)? {
        return Ok(results);
    }
    let Some(spec) = compile(&table, call.args[1]) else {
        return Ok(uncovered());
    };
    let work = SelectAll {
        table: table.keep(),
        spec,
        trail: Trail::new(direction),
    };
    yielding::run(call, work, BeamTerm::nil())
}

/// The results of a match specification for few keys with few objects.
fn select_at_once(
    call: &Call<'_>,
    table: &Table<'_>,
    direction: Direction,
) -> Result<Option<BeamTerm>, Failure> {
    // SAFETY: the source is an argument of this call.
    let Ok(spec) = (unsafe { MatchSpec::compile(call.args[1]) }) else {
        return Ok(None);
    };
    let Plan::Keys(mut keys) = spec.plan(table.table.kind(), table.table.keypos()) else {
        return Ok(None);
    };
    if direction == Direction::Backward {
        keys.reverse();
    }
    let mut list = BeamTerm::nil();
    for key in keys {
        let objects = table.table.lookup(key, call.guard)?;
        if objects.len() > Slice::OBJECTS {
            return Ok(None);
        }
        let objects: SmallVec<[_; 1]> = objects.iter().collect();
        for object in objects.iter().rev() {
            if let Some(value) = spec.run(call, Subject::of(call, object)) {
                list = call.cell(value.copy(call), list);
            }
        }
    }
    Ok(Some(list))
}

/// The live term is the list so far.
struct SelectAll {
    table: TableRef,
    spec: Ref<KeptSpec>,
    trail: Trail,
}

impl Work for SelectAll {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let KeptSpec { spec, plan, .. } = &*self.spec;
        let table = &self.table.table;
        let left = self.trail.follow(call, table, plan, slice, |portion| {
            for object in portion.objects {
                if let Some(value) = spec.run(call, Subject::of(call, object)) {
                    *live = call.cell(value.copy(call), *live);
                }
            }
            Ok(Then::Further)
        })?;
        Ok(match left {
            Left::SliceOver => Step::More,
            Left::AtEnd | Left::Stopped => Step::Done(*live),
        })
    }
}

/// The number of objects for which the match specification comes to `true`.
fn select_count(call: &Call<'_>) -> Answer {
    let table = call.table_to_read()?;
    let Some(spec) = compile(&table, call.args[1]) else {
        return Ok(uncovered());
    };
    let work = SelectCount {
        table: table.keep(),
        spec,
        trail: Trail::new(Direction::Forward),
        count: 0,
    };
    yielding::run(call, work, BeamTerm::nil())
}

struct SelectCount {
    table: TableRef,
    spec: Ref<KeptSpec>,
    trail: Trail,
    count: i64,
}

impl Work for SelectCount {
    fn step(
        &mut self,
        call: &Call<'_>,
        _live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let KeptSpec { spec, plan, .. } = &*self.spec;
        let (table, count) = (&self.table.table, &mut self.count);
        let left = self.trail.follow(call, table, plan, slice, |portion| {
            let holds = |object: &&_| spec.holds(call, Subject::of(call, object));
            *count += portion.objects.iter().filter(holds).count() as i64;
            Ok(Then::Further)
        })?;
        Ok(match left {
            Left::SliceOver => Step::More,
            Left::AtEnd | Left::Stopped => {
                Step::Done(BeamTerm::small(self.count).ok_or(Failure::BadArg)?)
            }
        })
    }
}

/// A match specification compiled for tables of the type and key position that are the other
/// arguments.
fn compile_match_spec(call: &Call<'_>) -> Answer {
    let kind = kind_of(call.args[1]).ok_or(Failure::BadArg)?;
    let keypos = call.args[2].small_integer().filter(|&keypos| keypos > 0);
    let keypos = keypos.ok_or(Failure::BadArg)? as usize;
    Ok(match KeptSpec::compile(call.args[0], kind, keypos) {
        Ok(spec) => Ref::new(spec).to_term(call.env),
        Err(_) => uncovered(),
    })
}

fn kind_of(term: BeamTerm) -> Option<Kind> {
    let kinds = [
        (atoms::set(), Kind::Set),
        (atoms::ordered_set(), Kind::OrderedSet),
        (atoms::bag(), Kind::Bag),
        (atoms::duplicate_bag(), Kind::DuplicateBag),
    ];
    let is_it = |(name, _): &(_, _)| BeamTerm::from(*name) == term;
    kinds.into_iter().find(is_it).map(|(_, kind)| kind)
}

fn is_match_spec(call: &Call<'_>) -> Answer {
    // SAFETY: the term is an argument of this call.
    let spec = unsafe { resource::borrow::<KeptSpec>(call.env, call.args[0]) };
    Ok(boolean(spec.is_some()))
}
