//! Deleting and replacing objects by match specifications: each object at one instant.

use blanket_core::{
    Change, Contended, Direction, Kind, Object, Parked, ParkedObjects, Position, Sweeping, Term,
};

use super::select::{compile, uncovered};
use super::write::object;
use crate::match_spec::{KeptSpec, Plan, Subject};
use crate::packed;
use crate::raw::{Answer, Call, Failure, boolean, export};
use crate::resource::{Ref, TableRef};
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

export! {
    c"select_delete"/2 = select_delete;
    c"select_replace"/2 = select_replace;
    c"remove"/2 = remove;
    c"exchange"/3 = exchange;
    c"compare_and_swap"/3 = compare_and_swap;
}

fn select_delete(call: &Call<'_>) -> Answer {
    select_change(call, Action::Delete)
}

/// What the VM alone can see to keep the keys is uncovered too.
fn select_replace(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    if table.table.kind() == Kind::Bag {
        return Err(Failure::BadArg);
    }
    select_change(call, Action::Replace)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Delete,
    Replace,
}

fn select_change(call: &Call<'_>, action: Action) -> Answer {
    let table = call.table_to_write()?;
    let keeps_key = |spec: &Ref<KeptSpec>| spec.spec.keeps_key(table.table.keypos());
    let spec = compile(&table, call.args[1]);
    let Some(spec) = spec.filter(|spec| action == Action::Delete || keeps_key(spec)) else {
        call.waits.set(false);
        return Ok(uncovered());
    };
    let sweeping = table.table.begin_sweep()?;
    let work = SelectChange {
        table: table.keep(),
        spec,
        action,
        done: 0,
        at: None,
        many: None,
        changed: 0,
        sweeping,
    };
    yielding::run(call, work, BeamTerm::nil())
}

struct SelectChange {
    table: TableRef,
    spec: Ref<KeptSpec>,
    action: Action,
    /// Keys or ranges of the plan that are done.
    done: usize,
    /// Where in the next range; `None` is its beginning.
    at: Option<Parked<BeamTerm>>,
    /// A key with many objects, and how many of them are done.
    many: Option<(ParkedObjects<BeamTerm>, usize)>,
    changed: usize,
    sweeping: Sweeping<BeamTerm>,
}

impl Work for SelectChange {
    fn step(
        &mut self,
        call: &Call<'_>,
        _live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        let parked = self.at.take();
        let mut position = parked.as_ref().map(Parked::unpark);
        let step = loop {
            match self.portion(call, &mut position) {
                Ok(Progress::Done) => {
                    let changed = BeamTerm::small(self.changed as i64);
                    return changed.map(Step::Done).ok_or(Failure::BadArg);
                }
                Ok(Progress::Pending) if !slice.is_over() => {}
                Ok(Progress::Pending) => break Ok(Step::More),
                Err(contended) => break Err(contended.into()),
            }
        };
        self.at = position.map(Position::park);
        step
    }
}

enum Progress {
    Pending,
    Done,
}

impl SelectChange {
    fn portion<'g>(
        &mut self,
        call: &Call<'g>,
        position: &mut Option<Position<'g, BeamTerm>>,
    ) -> Result<Progress, Contended> {
        let KeptSpec { spec, plan, .. } = &*self.spec;
        let (table, action) = (&self.table.table, self.action);
        let sweeping = &mut self.sweeping;
        let mut spec = spec.runner();
        let mut change = |object: Object<BeamTerm>| {
            let subject = Subject::of(call, &object);
            match action {
                Action::Delete if spec.holds(call, subject) => Change::Delete,
                Action::Delete => Change::Keep,
                Action::Replace => match spec.run(call, subject) {
                    // What is packed has to be the caller's own.
                    Some(new) if self.table.options.compressed => {
                        Change::Replace(packed::pack(call.env, new.copy(call), table.keypos()))
                    }
                    Some(new) => Change::Replace(new.term()),
                    None => Change::Keep,
                },
            }
        };
        if let Some((objects, seen)) = &mut self.many {
            let end = objects.len().min(*seen + Slice::OBJECTS);
            while *seen < end {
                self.changed +=
                    table.sweep_many(objects, *seen, call.guard, sweeping, &mut change)?;
                *seen += 1;
            }
            if end == objects.len() {
                self.many = None;
            }
            return Ok(Progress::Pending);
        }
        let next = match plan {
            Plan::Keys(keys) => {
                let Some(&key) = keys.get(self.done) else {
                    return Ok(Progress::Done);
                };
                let swept = table.sweep_key(key, call.guard, sweeping, change)?;
                self.done += 1;
                self.changed += swept.changed;
                swept.next
            }
            Plan::Ranges(ranges) => {
                let Some(range) = ranges.get(self.done) else {
                    return Ok(Progress::Done);
                };
                let from = position.clone().unwrap_or_else(|| {
                    // SAFETY: the plan stays where it is while this portion is swept.
                    unsafe { range.start(Direction::Forward) }
                });
                let mut is_passed = false;
                let change = |object: Object<BeamTerm>| {
                    let key = object.elements()[table.keypos() - 1];
                    is_passed = is_passed || range.is_passed(key, Direction::Forward);
                    if is_passed {
                        Change::Keep
                    } else {
                        change(object)
                    }
                };
                let swept = table.sweep(from, Slice::OBJECTS, call.guard, sweeping, change)?;
                self.changed += swept.changed;
                if is_passed || swept.next.is_none() {
                    self.done += 1;
                    *position = None;
                    return Ok(Progress::Pending);
                }
                swept.next
            }
        };
        if let Some(next) = next {
            match next.many() {
                Some((objects, behind)) => {
                    self.many = Some((objects, 0));
                    *position = Some(behind);
                }
                None => *position = Some(next),
            }
        }
        Ok(Progress::Pending)
    }
}

/// Deletes the objects that match the second argument; answers how many.
fn remove(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    let object = object(call.env, &table, call.args[1])?;
    let removed = table.table.delete_object(object, call.guard)?;
    BeamTerm::small(removed as i64).ok_or(Failure::BadArg)
}

/// Replaces one object that matches the second argument by the third, which has the same key. Not in
/// a bag, which may have the third already.
fn exchange(call: &Call<'_>) -> Answer {
    let table = call.table_to_write()?;
    if table.table.kind() == Kind::Bag {
        return Err(Failure::BadArg);
    }
    let old = object(call.env, &table, call.args[1])?;
    let new = object(call.env, &table, call.args[2])?;
    let keypos = table.table.keypos();
    let keys = [old, new].map(|object| object.elements()[keypos - 1]);
    let same = match table.table.kind() {
        Kind::OrderedSet => keys[0].compare(keys[1]).is_eq(),
        _ => keys[0].matches(keys[1]),
    };
    match same {
        true => Ok(boolean(table.table.exchange(old, new, call.guard)?)),
        false => Err(Failure::BadArg),
    }
}

/// As [`exchange`], where a key has one object at most.
fn compare_and_swap(call: &Call<'_>) -> Answer {
    match call.table_to_write()?.has_unique_keys() {
        true => exchange(call),
        false => Err(Failure::BadArg),
    }
}
