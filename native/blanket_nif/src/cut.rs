//! Cuts: places between the keys of an `ordered_set`.
//!
//! The keys that a pattern with a known beginning can match stand together in term order, between a
//! cut before and one behind all keys that begin so. To the engine a cut is a term as any other, but
//! one that no key is equal to: see [`BeamTerm::cut`].

use std::cmp::Ordering;

use blanket_core::Term;
use smallvec::{SmallVec, smallvec};

use crate::term::BeamTerm;

/// A place in the term order, before or behind all keys that begin with the same parts.
pub struct Cut {
    parts: Box<[Part]>,
    side: Side,
}

/// A part of a key, in the order in which keys are compared.
#[derive(Clone, Copy)]
pub enum Part {
    Whole(BeamTerm),
    /// A tuple or a list cell, of which only that is known so far. The parts in it come next.
    Inside(BeamTerm),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Before,
    /// That of a key itself.
    Here,
    Behind,
}

impl Cut {
    pub fn new(parts: &[Part], side: Side) -> Self {
        let parts = parts.into();
        Cut { parts, side }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn is_behind(&self) -> bool {
        self.side == Side::Behind
    }

    /// Never equal for a key.
    pub fn compare(&self, other: &Cut) -> Ordering {
        compare(Walk::through(self), Walk::through(other))
    }

    pub fn compare_with_key(&self, key: BeamTerm) -> Ordering {
        compare(Walk::through(self), Walk::into(key))
    }
}

impl Part {
    fn term(self) -> BeamTerm {
        match self {
            Part::Whole(term) | Part::Inside(term) => term,
        }
    }

    /// Whether both are tuples of one size, or list cells: then what is inside decides.
    fn is_alike(self, other: Part) -> bool {
        let (one, two) = (self.term(), other.term());
        match (one.as_tuple(), two.as_tuple()) {
            (Some(one), Some(two)) => one.len() == two.len(),
            (None, None) => one.as_cell().is_some() && two.as_cell().is_some(),
            _ => false,
        }
    }
}

/// A walk from part to part.
struct Walk<'a> {
    parts: &'a [Part],
    /// Terms in a part that has been gone into; the last come first.
    inside: SmallVec<[Terms<'a>; 4]>,
    side: Side,
}

enum Terms<'a> {
    One(BeamTerm),
    Many(&'a [BeamTerm]),
}

impl<'a> Walk<'a> {
    fn through(cut: &'a Cut) -> Self {
        Walk {
            parts: &cut.parts,
            inside: SmallVec::new(),
            side: cut.side,
        }
    }

    fn into(key: BeamTerm) -> Self {
        Walk {
            parts: &[],
            inside: smallvec![Terms::One(key)],
            side: Side::Here,
        }
    }

    fn next(&mut self) -> Option<Part> {
        while let Some(terms) = self.inside.last_mut() {
            match terms {
                Terms::One(term) => {
                    let term = *term;
                    self.inside.pop();
                    return Some(Part::Whole(term));
                }
                Terms::Many([term, rest @ ..]) => {
                    let term = *term;
                    *terms = Terms::Many(rest);
                    return Some(Part::Whole(term));
                }
                Terms::Many([]) => drop(self.inside.pop()),
            }
        }
        let (part, rest) = self.parts.split_first()?;
        self.parts = rest;
        Some(*part)
    }

    fn enter(&mut self, part: Part) {
        let Part::Whole(term) = part else { return };
        if let Some(elements) = term.as_tuple() {
            self.inside.push(Terms::Many(elements));
        } else if let Some((head, tail)) = term.as_cell() {
            self.inside.extend([Terms::One(tail), Terms::One(head)]);
        }
    }
}

/// Where one ends first, the other goes on on one side of it.
fn compare(mut one: Walk<'_>, mut two: Walk<'_>) -> Ordering {
    loop {
        let (first, second) = match (one.next(), two.next()) {
            (Some(first), Some(second)) => (first, second),
            (None, None) => return one.side.cmp(&two.side),
            (None, Some(_)) => return one.side.cmp(&Side::Here),
            (Some(_), None) => return Side::Here.cmp(&two.side),
        };
        match (first, second) {
            (Part::Whole(term), Part::Whole(other)) => match term.compare(other) {
                Ordering::Equal => {}
                order => return order,
            },
            _ if first.is_alike(second) => {
                one.enter(first);
                two.enter(second);
            }
            _ => return first.term().compare(second.term()),
        }
    }
}
