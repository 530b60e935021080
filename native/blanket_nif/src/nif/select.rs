//! Finding objects by match specifications.
//!
//! A match specification that is not covered here is answered by `uncovered`.

use blanket_core::{Direction, Kind, Object};

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
    search(call, Trail::new(direction), Found::List)
}

/// The number of objects for which the match specification comes to `true`.
fn select_count(call: &Call<'_>) -> Answer {
    search(call, Trail::new(Direction::Forward), Found::Count(0))
}

/// The match specification is kept only if the search takes more than one slice.
fn search(call: &Call<'_>, trail: Trail, mut found: Found) -> Answer {
    let table = call.table_to_read()?;
    // SAFETY: the source is an argument of this call.
    let Ok(spec) = (unsafe { MatchSpec::compile(call.args[1]) }) else {
        return Ok(uncovered());
    };
    let plan = spec.plan(table.table.kind(), table.table.keypos());
    let mut list = BeamTerm::nil();
    if let Plan::Keys(keys) = &plan
        && let [key] = **keys
    {
        let objects = table.table.lookup(key, call.guard)?;
        if objects.len() <= 1 {
            let object = objects.only().map_or(&[][..], std::slice::from_ref);
            found.see(call, &spec, object, &mut list);
            return found.answer(list);
        }
    }
    let mut search = Search { trail, found };
    let slice = Slice::new();
    match search.go_on(call, &table.table, &spec, &plan, &mut list, &slice) {
        Ok(Step::Done(answer)) => {
            slice.charge(call);
            Ok(answer)
        }
        Ok(Step::More) | Err(Failure::Contended) => {
            let spec = compile(&table, call.args[1]).ok_or(Failure::BadArg)?;
            let table = table.keep();
            let search = KeptSearch {
                table,
                spec,
                search,
            };
            Ok(yielding::later(call, search, list))
        }
        Err(failure) => Err(failure),
    }
}

struct Search {
    trail: Trail,
    found: Found,
}

enum Found {
    /// The results are in the caller's list.
    List,
    Count(i64),
}

impl Search {
    fn go_on(
        &mut self,
        call: &Call<'_>,
        table: &blanket_core::Table<BeamTerm>,
        spec: &MatchSpec,
        plan: &Plan,
        list: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let Search { trail, found } = self;
        let left = trail.follow(call, table, plan, slice, |portion| {
            found.see(call, spec, portion.objects, list);
            Ok(Then::Further)
        })?;
        match left {
            Left::SliceOver => Ok(Step::More),
            Left::AtEnd | Left::Stopped => self.found.answer(*list).map(Step::Done),
        }
    }
}

impl Found {
    #[inline]
    fn see(
        &mut self,
        call: &Call<'_>,
        spec: &MatchSpec,
        objects: &[Object<BeamTerm>],
        list: &mut BeamTerm,
    ) {
        let mut spec = spec.runner();
        match self {
            Found::List => {
                for object in objects {
                    if let Some(value) = spec.run(call, Subject::of(call, object)) {
                        *list = call.cell(value.copy(call), *list);
                    }
                }
            }
            Found::Count(count) => {
                let holds = |object: &&_| spec.holds(call, Subject::of(call, object));
                *count += objects.iter().filter(holds).count() as i64;
            }
        }
    }

    fn answer(&self, list: BeamTerm) -> Answer {
        match self {
            Found::List => Ok(list),
            Found::Count(count) => BeamTerm::small(*count).ok_or(Failure::BadArg),
        }
    }
}

struct KeptSearch {
    table: TableRef,
    spec: Ref<KeptSpec>,
    search: Search,
}

impl Work for KeptSearch {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let KeptSpec { spec, plan, .. } = &*self.spec;
        let table = &self.table.table;
        self.search.go_on(call, table, spec, plan, live, slice)
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
