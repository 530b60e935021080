//! Finding objects by match specifications, so many at a time.
//!
//! A continuation is `{Table, Key, Limit, MatchSpec, Rest, Way}`: the results in `Rest` come next, then
//! those of the objects behind `Key`, the last that was seen. `Way` is `forward` or `backward`, or
//! `'$end_of_table'` when nothing is behind `Key`.

use blanket_core::{Direction, Kind, Object, Term};

use super::select::{compile, uncovered};
use crate::atoms;
use crate::match_spec::{KeptSpec, Subject};
use crate::raw::{Answer, Call, Failure, export};
use crate::resource::{Ref, TableRef};
use crate::term::BeamTerm;
use crate::trail::{Left, Portion, Then, Trail};
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"select"/1 = select_more;
    c"select"/3 = select_forward;
    c"select_reverse"/3 = select_backward;
}

fn select_forward(call: &Call<'_>) -> Answer {
    select_first(call, Direction::Forward)
}

fn select_backward(call: &Call<'_>) -> Answer {
    select_first(call, Direction::Backward)
}

fn select_first(call: &Call<'_>, direction: Direction) -> Answer {
    let table = call.table_to_read()?;
    let limit = limit(call.args[2])?;
    let Some(spec) = compile(&table, call.args[1]) else {
        return Ok(uncovered());
    };
    let direction = match table.table.kind() {
        Kind::OrderedSet => direction,
        _ => Direction::Forward,
    };
    let work = SelectSome {
        table: table.keep(),
        spec,
        limit,
        phase: Phase::Search(Some(direction), Trail::new(direction)),
        found: 0,
    };
    let live = Live::new(BeamTerm::nil(), BeamTerm::nil());
    yielding::run(call, work, live.to_term(call))
}

fn select_more(call: &Call<'_>) -> Answer {
    let end_of_table = BeamTerm::from(atoms::end_of_table());
    if call.args[0] == end_of_table {
        return Ok(end_of_table);
    }
    let Some(args @ &[_, key, given_limit, spec, rest, way]) = call.args[0].as_tuple() else {
        return Err(Failure::BadArg);
    };
    let call = &Call { args, ..*call };
    let table = call.table_to_read()?;
    let (kind, keypos) = (table.table.kind(), table.table.keypos());
    let spec = Ref::<KeptSpec>::from_term(call.env, spec)
        .filter(|spec| spec.is_for(kind, keypos))
        .ok_or(Failure::BadArg)?;
    let direction = match way {
        _ if way == BeamTerm::from(atoms::forward()) => Some(Direction::Forward),
        _ if way == BeamTerm::from(atoms::backward()) => Some(Direction::Backward),
        _ if way == end_of_table => None,
        _ => return Err(Failure::BadArg),
    };
    let trail = direction
        .map(|direction| Trail::behind(key, direction, &spec.plan, kind).ok_or(Failure::BadArg));
    let work = SelectSome {
        table: table.keep(),
        spec,
        limit: limit(given_limit)?,
        phase: Phase::Drain(direction, trail.transpose()?),
        found: 0,
    };
    let live = Live::new(key, rest);
    yielding::run(call, work, live.to_term(call))
}

fn limit(term: BeamTerm) -> Result<usize, Failure> {
    let limit = term.small_integer().and_then(|limit| limit.try_into().ok());
    limit.filter(|&limit| limit > 0).ok_or(Failure::BadArg)
}

struct SelectSome {
    table: TableRef,
    spec: Ref<KeptSpec>,
    limit: usize,
    phase: Phase,
    /// The number of results.
    found: usize,
}

enum Phase {
    /// The results that an earlier call has left over are taken; then the search goes on, if it does.
    Drain(Way, Option<Trail>),
    Search(Way, Trail),
    /// The results are put in order; those that are too many become the rest. It goes on this way.
    Deliver(Way),
}

/// `None`: nothing comes any more.
type Way = Option<Direction>;

/// The caller's terms that the work needs.
struct Live {
    /// That of the last object that was seen.
    key: BeamTerm,
    rest: BeamTerm,
    /// In the opposite order.
    results: BeamTerm,
    delivered: BeamTerm,
}

impl Live {
    fn new(key: BeamTerm, rest: BeamTerm) -> Self {
        Live {
            key,
            rest,
            results: BeamTerm::nil(),
            delivered: BeamTerm::nil(),
        }
    }

    fn of(term: BeamTerm) -> Option<Self> {
        let &[key, rest, results, delivered] = term.as_tuple()? else {
            return None;
        };
        Some(Live {
            key,
            rest,
            results,
            delivered,
        })
    }

    fn to_term(&self, call: &Call<'_>) -> BeamTerm {
        call.tuple(&[self.key, self.rest, self.results, self.delivered])
    }
}

impl Work for SelectSome {
    fn table(&self) -> Option<&TableRef> {
        Some(&self.table)
    }

    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let mut terms = Live::of(*live).ok_or(Failure::BadArg)?;
        let step = self.go_on(call, &mut terms, slice);
        if !matches!(step, Ok(Step::Done(_))) {
            *live = terms.to_term(call);
        }
        step
    }
}

impl SelectSome {
    fn go_on(&mut self, call: &Call<'_>, live: &mut Live, slice: &Slice) -> Result<Step, Failure> {
        loop {
            let next = match &mut self.phase {
                Phase::Drain(way, trail) => {
                    let way = *way;
                    if !drain(call, live, self.limit, &mut self.found, slice)? {
                        return Ok(Step::More);
                    }
                    match trail.take() {
                        Some(trail) if self.found < self.limit => Phase::Search(way, trail),
                        _ => Phase::Deliver(way),
                    }
                }
                Phase::Search(way, _) => {
                    let way = *way;
                    match self.search(call, live, slice)? {
                        Left::SliceOver => return Ok(Step::More),
                        Left::AtEnd => Phase::Deliver(None),
                        Left::Stopped => Phase::Deliver(way),
                    }
                }
                Phase::Deliver(way) => {
                    let way = *way;
                    if !self.deliver(call, live, slice) {
                        return Ok(Step::More);
                    }
                    return Ok(Step::Done(self.answer(call, live, way)));
                }
            };
            self.phase = next;
        }
    }

    fn search(&mut self, call: &Call<'_>, live: &mut Live, slice: &Slice) -> Result<Left, Failure> {
        let Phase::Search(_, trail) = &mut self.phase else {
            return Ok(Left::AtEnd);
        };
        let KeptSpec { spec, plan, .. } = &*self.spec;
        let (table, limit, found) = (&self.table.table, self.limit, &mut self.found);
        let has_unique_keys = self.table.has_unique_keys();
        let mut spec = spec.runner();
        let key_of = |object: &Object<BeamTerm>| object.elements()[table.keypos() - 1];
        trail.follow(call, table, plan, slice, |portion: Portion<'_>| {
            let mut last = None;
            for object in portion.objects {
                let key = key_of(object);
                if *found >= limit
                    && let Some(last) = last
                    && (has_unique_keys || !key.matches(last))
                {
                    live.key = call.copy(last);
                    return Ok(Then::StopWithin);
                }
                if let Some(value) = spec.run(call, Subject::of(call, object)) {
                    live.results = call.cell(value.copy(call), live.results);
                    *found += 1;
                }
                last = Some(key);
            }
            match last {
                Some(last) if *found >= limit && portion.ends_key => {
                    live.key = call.copy(last);
                    Ok(Then::StopBehind)
                }
                _ => Ok(Then::Further),
            }
        })
    }

    /// Whether all is in order.
    fn deliver(&mut self, call: &Call<'_>, live: &mut Live, slice: &Slice) -> bool {
        let mut surplus = self.found.saturating_sub(self.limit);
        loop {
            for _ in 0..Slice::OBJECTS {
                let Some((result, others)) = live.results.as_cell() else {
                    return true;
                };
                live.results = others;
                if surplus > 0 {
                    surplus -= 1;
                    self.found -= 1;
                    live.rest = call.cell(result, live.rest);
                } else {
                    live.delivered = call.cell(result, live.delivered);
                }
            }
            if slice.is_over() {
                return false;
            }
        }
    }

    fn answer(&self, call: &Call<'_>, live: &Live, way: Way) -> BeamTerm {
        let end_of_table = BeamTerm::from(atoms::end_of_table());
        if self.found == 0 {
            return end_of_table;
        }
        let continuation = match way {
            None if live.rest == BeamTerm::nil() => end_of_table,
            way => {
                let limit = BeamTerm::small(self.limit as i64).unwrap_or(end_of_table);
                call.tuple(&[
                    self.table.to_term(call.env),
                    live.key,
                    limit,
                    self.spec.to_term(call.env),
                    live.rest,
                    match way {
                        Some(Direction::Forward) => BeamTerm::from(atoms::forward()),
                        Some(Direction::Backward) => BeamTerm::from(atoms::backward()),
                        None => end_of_table,
                    },
                ])
            }
        };
        call.tuple(&[live.delivered, continuation])
    }
}

/// Makes results of the rest; whether that is done. Badarg where the rest is no list.
fn drain(
    call: &Call<'_>,
    live: &mut Live,
    limit: usize,
    found: &mut usize,
    slice: &Slice,
) -> Result<bool, Failure> {
    loop {
        for _ in 0..Slice::OBJECTS {
            if *found >= limit || live.rest == BeamTerm::nil() {
                return Ok(true);
            }
            let (result, others) = live.rest.as_cell().ok_or(Failure::BadArg)?;
            live.results = call.cell(result, live.results);
            live.rest = others;
            *found += 1;
        }
        if slice.is_over() {
            return Ok(false);
        }
    }
}
