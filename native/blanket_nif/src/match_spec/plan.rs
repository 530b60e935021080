//! Where in a table the objects are that a match specification can match.

use blanket_core::{Kind, Term};
use smallvec::{SmallVec, smallvec};

use super::limits::Limits;
use super::range::Range;
use super::variables::{Meaning, meaning};
use super::{Clause, MatchSpec};
use crate::cut::Part;
use crate::term::BeamTerm;

/// Refers to terms of the match specification's source.
pub enum Plan {
    /// Under these keys, which differ; those of an `ordered_set` are in order.
    Keys(SmallVec<[BeamTerm; 1]>),
    /// In these ranges of keys, which are in order and apart.
    Ranges(SmallVec<[Range; 1]>),
}

/// Keys that are looked up one by one.
const MOST_KEYS: usize = 64;

impl MatchSpec {
    pub fn plan(&self, kind: Kind, keypos: usize) -> Plan {
        let reaches = self.clauses.iter().map(|clause| clause.reach(kind, keypos));
        let reaches: SmallVec<[Reach; 1]> = reaches.collect();
        let is_few = |reach: &Reach| matches!(reach, Reach::Nothing | Reach::Key(_));
        if reaches.len() <= MOST_KEYS && reaches.iter().all(is_few) {
            return Plan::Keys(distinct(reaches, kind));
        }
        if kind != Kind::OrderedSet {
            return Plan::Ranges(smallvec![Range::ALL]);
        }
        Plan::Ranges(Range::apart(reaches.into_iter().filter_map(
            |reach| match reach {
                Reach::Nothing => None,
                Reach::Key(key) => Some(Range::between(&[Part::Whole(key)], None, None)),
                Reach::Range(range) => Some(range),
            },
        )))
    }
}

/// Which keys the objects of one clause have.
enum Reach {
    Nothing,
    Key(BeamTerm),
    Range(Range),
}

impl Clause {
    fn reach(&self, kind: Kind, keypos: usize) -> Reach {
        if !self.head.is_for_objects() {
            return Reach::Nothing;
        }
        let Some(elements) = self.pattern().as_tuple() else {
            return Reach::Range(Range::ALL);
        };
        let Some(&key) = elements.get(keypos - 1) else {
            return Reach::Nothing;
        };
        if is_bound(key) {
            return Reach::Key(key);
        }
        if let Some(limits) = self.limits(key) {
            let equal = match kind {
                Kind::OrderedSet => limits.equal(),
                _ => limits.identical,
            };
            if let Some(key) = equal {
                return Reach::Key(key);
            }
        }
        match kind {
            Kind::OrderedSet => self.range(key).map_or(Reach::Nothing, Reach::Range),
            _ => Reach::Range(Range::ALL),
        }
    }

    /// The keys that begin as the pattern does, up to the first part that may be different ones.
    fn range(&self, pattern: BeamTerm) -> Option<Range> {
        let mut parts = Vec::new();
        let mut rest: SmallVec<[BeamTerm; 8]> = smallvec![pattern];
        let mut last = Limits::default();
        while let Some(term) = rest.pop() {
            if let Some(elements) = term.as_tuple() {
                parts.push(Part::Inside(term));
                rest.extend(elements.iter().rev().copied());
            } else if let Some((head, tail)) = term.as_cell() {
                parts.push(Part::Inside(term));
                rest.extend([tail, head]);
            } else if is_bound(term) {
                parts.push(Part::Whole(term));
            } else {
                let limits = self.limits(term).unwrap_or_default();
                let Some(value) = limits.equal() else {
                    last = limits;
                    break;
                };
                parts.push(Part::Whole(value));
            }
        }
        let range = Range::between(&parts, last.low, last.high);
        (!range.is_empty()).then_some(range)
    }

    /// What the guards say of a variable; `None` for what is none.
    fn limits(&self, pattern: BeamTerm) -> Option<Limits> {
        match meaning(pattern) {
            Ok(Meaning::Variable(number)) => {
                let slot = self.variables.slot(number)?;
                Some(Limits::of(slot, &self.guards))
            }
            _ => None,
        }
    }
}

/// Whether a pattern matches nothing but itself.
fn is_bound(pattern: BeamTerm) -> bool {
    let mut rest: SmallVec<[BeamTerm; 8]> = SmallVec::new();
    rest.push(pattern);
    while let Some(term) = rest.pop() {
        if term.is_immediate() {
            match meaning(term) {
                Ok(Meaning::Itself | Meaning::Whole | Meaning::Bindings) => {}
                _ => return false,
            }
        } else if let Some((head, tail)) = term.as_cell() {
            rest.extend([tail, head]);
        } else if let Some(elements) = term.as_tuple() {
            rest.extend(elements.iter().copied());
        } else if term.map_size().is_some() {
            return false;
        }
    }
    true
}

fn distinct(reaches: SmallVec<[Reach; 1]>, kind: Kind) -> SmallVec<[BeamTerm; 1]> {
    let mut keys: SmallVec<[BeamTerm; 1]> = SmallVec::new();
    for reach in reaches {
        if let Reach::Key(key) = reach
            && (kind == Kind::OrderedSet || !keys.iter().any(|known| known.matches(key)))
        {
            keys.push(key);
        }
    }
    if kind == Kind::OrderedSet {
        keys.sort_by(|one, two| one.compare(*two));
        keys.dedup_by(|one, two| one.compare(*two).is_eq());
    }
    keys
}
