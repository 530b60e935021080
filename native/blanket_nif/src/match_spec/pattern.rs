//! Heads: which objects a clause is about, and what its variables are bound to.

use blanket_core::Term;
use smallvec::SmallVec;

use super::variables::{Meaning, Slot, Variables, meaning};
use super::{DEPTH, Subject, Uncovered};
use crate::raw::Call;
use crate::term::{BeamTerm, Type};

/// What a whole object has to be.
pub enum Head {
    Anything,
    Bind(Slot),
    Tuple {
        arity: usize,
        parts: Parts,
    },
    /// No tuple.
    Nothing,
}

/// What the element of an index has to be. Those that may be anything are left out.
pub struct Part {
    index: usize,
    pattern: Pattern,
}

/// Most objects have few elements.
type Parts = SmallVec<[Part; 3]>;

impl Part {
    /// For elements in which nothing has a meaning of its own.
    fn constants(elements: &[BeamTerm]) -> Parts {
        let part = |(index, &element): (usize, &BeamTerm)| Part {
            index,
            pattern: match element.is_immediate() {
                true => Pattern::Immediate(element),
                false => Pattern::Identical(element),
            },
        };
        elements.iter().enumerate().map(part).collect()
    }
}

enum Pattern {
    Anything,
    Bind(Slot),
    /// Identical to what a variable is bound to.
    Bound(Slot),
    Immediate(BeamTerm),
    Identical(BeamTerm),
    /// By its bits: a head tells `0.0` from `-0.0`.
    Float(u64),
    Tuple {
        arity: usize,
        parts: Box<[Part]>,
    },
    List {
        elements: Box<[Pattern]>,
        tail: Box<Pattern>,
    },
    /// A map that has these pairs, and perhaps others.
    Map(Box<[(BeamTerm, Pattern)]>),
}

impl Head {
    pub fn compile(pattern: BeamTerm, variables: &mut Variables) -> Result<Self, Uncovered> {
        let mut compiler = Compiler { variables };
        if let Some(elements) = pattern.as_tuple() {
            return Ok(Head::Tuple {
                arity: elements.len(),
                parts: match compiler.parts(elements, 0)? {
                    None => Part::constants(elements),
                    Some(parts) => parts,
                },
            });
        }
        Ok(match compiler.pattern(pattern, 0)? {
            Pattern::Anything => Head::Anything,
            Pattern::Bind(slot) => Head::Bind(slot),
            _ => Head::Nothing,
        })
    }

    /// Whether it can match a tuple at all.
    pub fn is_for_objects(&self) -> bool {
        !matches!(self, Head::Nothing)
    }

    #[inline]
    pub fn matches(
        &self,
        call: &Call<'_>,
        subject: Subject<'_>,
        bindings: &mut [BeamTerm],
    ) -> bool {
        match self {
            Head::Anything => true,
            Head::Bind(slot) => {
                bindings[*slot] = subject.whole(call);
                true
            }
            Head::Tuple { arity, parts } => {
                subject.elements.len() == *arity && all_match(parts, subject.elements, bindings)
            }
            Head::Nothing => false,
        }
    }
}

#[inline]
fn all_match(parts: &[Part], elements: &[BeamTerm], bindings: &mut [BeamTerm]) -> bool {
    parts.iter().all(|part| {
        let element = elements[part.index];
        match &part.pattern {
            Pattern::Bind(slot) => {
                bindings[*slot] = element;
                true
            }
            Pattern::Immediate(wanted) => *wanted == element,
            pattern => pattern.matches(element, bindings),
        }
    })
}

impl Pattern {
    fn is_constant(&self) -> bool {
        matches!(self, Pattern::Immediate(_) | Pattern::Identical(_))
    }

    #[inline]
    fn matches(&self, term: BeamTerm, bindings: &mut [BeamTerm]) -> bool {
        match self {
            Pattern::Anything => true,
            Pattern::Bind(slot) => {
                bindings[*slot] = term;
                true
            }
            Pattern::Bound(slot) => bindings[*slot].matches(term),
            Pattern::Immediate(wanted) => *wanted == term,
            Pattern::Identical(wanted) => wanted.matches(term),
            _ => self.matches_inside(term, bindings),
        }
    }

    fn matches_inside(&self, term: BeamTerm, bindings: &mut [BeamTerm]) -> bool {
        match self {
            Pattern::Float(bits) => term.to_f64().is_some_and(|value| value.to_bits() == *bits),
            Pattern::Tuple { arity, parts } => term.as_tuple().is_some_and(|elements| {
                elements.len() == *arity && all_match(parts, elements, bindings)
            }),
            Pattern::List { elements, tail } => {
                let mut rest = term;
                for element in elements {
                    match rest.as_cell() {
                        Some((head, tail)) if element.matches(head, bindings) => rest = tail,
                        _ => return false,
                    }
                }
                tail.matches(rest, bindings)
            }
            Pattern::Map(pairs) => {
                term.map_size().is_some_and(|size| size >= pairs.len())
                    && pairs.iter().all(|(key, pattern)| {
                        term.map_value(*key)
                            .is_some_and(|value| pattern.matches(value, bindings))
                    })
            }
            _ => false,
        }
    }
}

struct Compiler<'v> {
    variables: &'v mut Variables,
}

impl Compiler<'_> {
    fn pattern(&mut self, term: BeamTerm, depth: usize) -> Result<Pattern, Uncovered> {
        if depth > DEPTH {
            return Err(Uncovered);
        }
        if term.is_immediate() {
            return self.immediate(term);
        }
        if let Some(elements) = term.as_tuple() {
            return self.tuple(term, elements, depth);
        }
        if term.as_cell().is_some() {
            return self.list(term, depth);
        }
        Ok(match term.type_of() {
            Type::Map => return self.map(term, depth),
            Type::Float => Pattern::Float(term.to_f64().ok_or(Uncovered)?.to_bits()),
            _ => Pattern::Identical(term),
        })
    }

    fn immediate(&mut self, term: BeamTerm) -> Result<Pattern, Uncovered> {
        Ok(match meaning(term)? {
            Meaning::Anything => Pattern::Anything,
            Meaning::Variable(number) => match self.variables.slot(number) {
                Some(slot) => Pattern::Bound(slot),
                None => Pattern::Bind(self.variables.bind(number)),
            },
            Meaning::Whole | Meaning::Bindings | Meaning::Itself => Pattern::Immediate(term),
        })
    }

    fn tuple(
        &mut self,
        term: BeamTerm,
        elements: &[BeamTerm],
        depth: usize,
    ) -> Result<Pattern, Uncovered> {
        Ok(match self.parts(elements, depth)? {
            None => Pattern::Identical(term),
            Some(parts) => Pattern::Tuple {
                arity: elements.len(),
                parts: parts.into_vec().into_boxed_slice(),
            },
        })
    }

    /// `None` where all of them are constants.
    fn parts(&mut self, elements: &[BeamTerm], depth: usize) -> Result<Option<Parts>, Uncovered> {
        // As the VM does it: what looks into elements comes last, beginning with the last of them.
        // A variable is bound where it is met first.
        let is_simple = |&index: &usize| elements[index].is_immediate();
        let simple = (0..elements.len()).filter(is_simple);
        let others = (0..elements.len()).rev().filter(|index| !is_simple(index));
        let mut parts = Parts::new();
        for index in simple.chain(others) {
            let pattern = self.pattern(elements[index], depth + 1)?;
            parts.push(Part { index, pattern });
        }
        if parts.iter().all(|part| part.pattern.is_constant()) {
            return Ok(None);
        }
        parts.retain(|part| !matches!(part.pattern, Pattern::Anything));
        Ok(Some(parts))
    }

    fn list(&mut self, term: BeamTerm, depth: usize) -> Result<Pattern, Uncovered> {
        let mut elements = Vec::new();
        let mut rest = term;
        while let Some((head, tail)) = rest.as_cell() {
            elements.push(self.pattern(head, depth + 1)?);
            rest = tail;
        }
        let tail = self.pattern(rest, depth + 1)?;
        if tail.is_constant() && elements.iter().all(Pattern::is_constant) {
            return Ok(Pattern::Identical(term));
        }
        Ok(Pattern::List {
            elements: elements.into_boxed_slice(),
            tail: Box::new(tail),
        })
    }

    fn map(&mut self, term: BeamTerm, depth: usize) -> Result<Pattern, Uncovered> {
        let mut pairs = Vec::new();
        let mut all = Vec::new();
        term.for_each_pair(|key, value| all.push((key, value)));
        for (key, value) in all {
            if matches!(meaning(key)?, Meaning::Anything | Meaning::Variable(_)) {
                return Err(Uncovered);
            }
            pairs.push((key, self.pattern(value, depth + 1)?));
        }
        Ok(Pattern::Map(pairs.into_boxed_slice()))
    }
}
