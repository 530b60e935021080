//! Where in a table the objects are that a match specification can match.

use blanket_core::{Kind, Term};
use smallvec::SmallVec;

use super::variables::{Meaning, meaning};
use super::{Clause, MatchSpec};
use crate::term::BeamTerm;

/// Refers to terms of the match specification's source.
pub enum Plan {
    /// Under these keys, which differ; those of an `ordered_set` are in order.
    Keys(SmallVec<[BeamTerm; 1]>),
    Anywhere,
}

impl MatchSpec {
    pub fn plan(&self, kind: Kind, keypos: usize) -> Plan {
        let mut keys = SmallVec::<[BeamTerm; 1]>::new();
        for clause in &self.clauses {
            match clause.reach(keypos) {
                Reach::Nothing => {}
                Reach::Key(key) => keys.push(key),
                Reach::Anything => return Plan::Anywhere,
            }
        }
        if keys.len() > MOST_KEYS {
            return Plan::Anywhere;
        }
        distinct(&mut keys, kind);
        Plan::Keys(keys)
    }
}

/// Keys that are looked up one by one.
const MOST_KEYS: usize = 64;

/// Which keys the objects of one clause have.
enum Reach {
    Nothing,
    Key(BeamTerm),
    Anything,
}

impl Clause {
    fn reach(&self, keypos: usize) -> Reach {
        if !self.head.is_for_objects() {
            return Reach::Nothing;
        }
        match self.pattern().as_tuple() {
            None => Reach::Anything,
            Some(elements) => match elements.get(keypos - 1) {
                None => Reach::Nothing,
                Some(&key) if is_bound(key) => Reach::Key(key),
                Some(_) => Reach::Anything,
            },
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

fn distinct(keys: &mut SmallVec<[BeamTerm; 1]>, kind: Kind) {
    if kind == Kind::OrderedSet {
        keys.sort_by(|one, two| one.compare(*two));
        keys.dedup_by(|one, two| one.compare(*two).is_eq());
        return;
    }
    let mut at = 0;
    while at < keys.len() {
        let key = keys[at];
        match keys[..at].iter().any(|known| known.matches(key)) {
            true => drop(keys.remove(at)),
            false => at += 1,
        }
    }
}
