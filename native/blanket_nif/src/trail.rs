//! The way through the objects that a match specification may match, in portions.

use blanket_core::{
    Direction, Kind, Object, Objects, Parked, ParkedObjects, Position, Table, Term,
};

use crate::match_spec::{Plan, Range};
use crate::raw::{Call, Failure};
use crate::term::BeamTerm;
use crate::yielding::Slice;

/// How far the way has come.
///
/// The objects of a key come together, in the order of their insertion; backwards, in the opposite
/// order.
pub struct Trail {
    direction: Direction,
    /// Keys or ranges of the plan that have been seen.
    seen: usize,
    /// Where in the next range; `None` is its beginning.
    at: Option<Parked<BeamTerm>>,
    /// A key with many objects, and how many of them have been seen. They are kept until the next
    /// portion, for the last one is valid as long as they are.
    many: Option<(ParkedObjects<BeamTerm>, usize)>,
}

/// Some objects on the way.
pub struct Portion<'a> {
    pub objects: &'a [Object<BeamTerm>],
    /// No more objects follow of the last one's key.
    pub ends_key: bool,
}

/// What comes after a portion.
pub enum Then {
    Further,
    /// The portion has been seen as a whole.
    StopBehind,
    StopWithin,
}

/// Why the way was left.
#[derive(PartialEq, Eq)]
pub enum Left {
    AtEnd,
    Stopped,
    SliceOver,
}

impl Trail {
    pub fn new(direction: Direction) -> Self {
        Trail {
            direction,
            seen: 0,
            at: None,
            many: None,
        }
    }

    /// The way from behind a key on; `None` where it does not go by that key.
    pub fn behind(key: BeamTerm, direction: Direction, plan: &Plan, kind: Kind) -> Option<Self> {
        let trail = Self::new(direction);
        match plan {
            Plan::Ranges(ranges) => {
                let is_passed =
                    |at: &usize| place(*at, ranges, direction).is_passed(key, direction);
                let seen = (0..ranges.len()).take_while(is_passed).count();
                let is_ahead = |range: &Range| range.is_ahead(key, direction);
                let within = seen < ranges.len() && !is_ahead(place(seen, ranges, direction));
                Some(Trail {
                    seen,
                    at: within.then(|| Position::after(key).park()),
                    ..trail
                })
            }
            Plan::Keys(keys) => {
                let is_there = |there: &BeamTerm| match kind {
                    Kind::OrderedSet => there.compare(key).is_eq(),
                    _ => there.matches(key),
                };
                let at = keys.iter().position(is_there)?;
                Some(Trail {
                    seen: match direction {
                        Direction::Forward => at + 1,
                        Direction::Backward => keys.len() - at,
                    },
                    ..trail
                })
            }
        }
    }

    /// Follows the way until its end, or that of the slice, or until `visit` stops.
    pub fn follow(
        &mut self,
        call: &Call<'_>,
        table: &Table<BeamTerm>,
        plan: &Plan,
        slice: &Slice,
        mut visit: impl FnMut(Portion<'_>) -> Result<Then, Failure>,
    ) -> Result<Left, Failure> {
        let parked = self.at.take();
        let mut position = parked.as_ref().map(Parked::unpark);
        let mut found = Vec::new();
        let left = loop {
            found.clear();
            let is_last = match self.next_portion(call, table, plan, &mut position, &mut found) {
                Ok(is_last) => is_last,
                Err(failure) => break Err(failure),
            };
            let then = visit(Portion {
                objects: &found,
                ends_key: self.is_at_end_of_key(),
            })?;
            match then {
                Then::Further if is_last => return Ok(Left::AtEnd),
                // As in `:ets`, the end of a range is found when the search goes on.
                Then::StopBehind if matches!(plan, Plan::Keys(_)) && self.is_at_last(plan) => {
                    return Ok(Left::AtEnd);
                }
                Then::StopBehind | Then::StopWithin => return Ok(Left::Stopped),
                Then::Further if slice.is_over() => break Ok(Left::SliceOver),
                Then::Further => {}
            }
        };
        self.at = position.map(Position::park);
        left
    }

    /// Whether there is nothing behind this portion.
    fn next_portion<'g>(
        &mut self,
        call: &Call<'g>,
        table: &'g Table<BeamTerm>,
        plan: &Plan,
        position: &mut Option<Position<'g, BeamTerm>>,
        found: &mut Vec<Object<BeamTerm>>,
    ) -> Result<bool, Failure> {
        if self.some_of_many(found) {
            return Ok(self.is_at_end_of_key() && self.is_at_last(plan));
        }
        match plan {
            Plan::Keys(keys) => {
                if self.is_at_last(plan) {
                    return Ok(true);
                }
                let objects = table.lookup(*place(self.seen, keys, self.direction), call.guard)?;
                self.seen += 1;
                self.take(&objects, found);
                Ok(self.is_at_end_of_key() && self.is_at_last(plan))
            }
            Plan::Ranges(ranges) => {
                if self.is_at_last(plan) {
                    return Ok(true);
                }
                let (direction, range) = (self.direction, place(self.seen, ranges, self.direction));
                let from = position.clone().unwrap_or_else(|| {
                    // SAFETY: the plan stays where it is while this portion is looked for.
                    unsafe { range.start(direction) }
                });
                // SAFETY: as above.
                let until = unsafe { range.end(direction) };
                let max = Slice::OBJECTS;
                let Some(next) =
                    table.scan_until(from, until, direction, max, call.guard, found)?
                else {
                    self.turn(table, found);
                    *position = None;
                    self.seen += 1;
                    return Ok(self.is_at_last(plan));
                };
                *position = Some(match next.many() {
                    Some((objects, behind)) => {
                        found.clear();
                        self.many = Some((objects, 0));
                        self.some_of_many(found);
                        behind
                    }
                    None => {
                        self.turn(table, found);
                        next
                    }
                });
                Ok(false)
            }
        }
    }

    fn take(&mut self, objects: &Objects<'_, BeamTerm>, found: &mut Vec<Object<BeamTerm>>) {
        match objects.park() {
            Some(many) => {
                self.many = Some((many, 0));
                self.some_of_many(found);
            }
            None => {
                found.extend(objects.iter());
                if self.direction == Direction::Backward {
                    found.reverse();
                }
            }
        }
    }

    /// A hash table is scanned one way only.
    fn turn(&self, table: &Table<BeamTerm>, found: &mut [Object<BeamTerm>]) {
        if self.direction == Direction::Backward && table.kind() != Kind::OrderedSet {
            found.reverse();
        }
    }

    /// The next of a key's many objects; false where there are none.
    fn some_of_many(&mut self, found: &mut Vec<Object<BeamTerm>>) -> bool {
        if self.is_at_end_of_key() {
            self.many = None;
        }
        let Some((objects, seen)) = &mut self.many else {
            return false;
        };
        let end = objects.len().min(*seen + Slice::OBJECTS);
        let place = |at: usize| match self.direction {
            Direction::Forward => at,
            Direction::Backward => objects.len() - 1 - at,
        };
        found.extend((*seen..end).filter_map(|at| objects.get(place(at))));
        *seen = end;
        true
    }

    fn is_at_end_of_key(&self) -> bool {
        let is_seen = |(objects, seen): &(ParkedObjects<_>, usize)| *seen == objects.len();
        self.many.as_ref().is_none_or(is_seen)
    }

    /// Whether no key or range comes any more.
    fn is_at_last(&self, plan: &Plan) -> bool {
        self.seen
            >= match plan {
                Plan::Keys(keys) => keys.len(),
                Plan::Ranges(ranges) => ranges.len(),
            }
    }
}

/// What comes after `seen` others on the way.
fn place<T>(seen: usize, all: &[T], direction: Direction) -> &T {
    match direction {
        Direction::Forward => &all[seen],
        Direction::Backward => &all[all.len() - 1 - seen],
    }
}
