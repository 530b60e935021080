//! Match specifications, compiled once and run over the elements of stored objects.
//!
//! What is not covered here, be it wrong or merely rare, is [`Uncovered`] as a whole and left to the
//! VM's own match specifications. Whatever is accepted here, the VM accepts as well, and it answers
//! the same.

mod arithmetic;
mod evaluate;
mod expression;
mod function;
mod keeps_key;
mod kept;
mod limits;
mod pattern;
mod plan;
mod range;
mod variables;

use blanket_core::{Object, Whole};
use smallvec::SmallVec;

use crate::packed;
use crate::raw::Call;
use crate::term::BeamTerm;
pub use arithmetic::learn as learn_arithmetic;
use evaluate::Machine;
pub use evaluate::Value;
use expression::{Expression, Expressions};
pub use kept::KeptSpec;
use pattern::Head;
pub use plan::Plan;
pub use range::Range;
use variables::Variables;

/// Left to the VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uncovered;

/// The program of a match specification. It refers to terms of its source.
pub struct MatchSpec {
    clauses: SmallVec<[Clause; 1]>,
}

struct Clause {
    /// The tuple that the clause was compiled from.
    source: BeamTerm,
    head: Head,
    guards: Expressions,
    /// The value of a body is that of its last expression, and expressions have no effects.
    body: Expression,
    variables: Variables,
}

/// Something to match: the elements of a tuple and, where it is at hand, the tuple.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    elements: &'a [BeamTerm],
    whole: Option<Whole<BeamTerm>>,
}

impl<'a> Subject<'a> {
    pub fn of(call: &Call<'_>, object: &'a Object<BeamTerm>) -> Self {
        match packed::unpack(call, object) {
            None => Subject {
                elements: object.elements(),
                whole: object.whole(),
            },
            Some(unpacked) => Subject {
                elements: unpacked.as_tuple().unwrap_or_default(),
                whole: Some(Whole::Arena(unpacked)),
            },
        }
    }
}

/// What the variables of a clause are bound to, by their slots.
type Bindings = SmallVec<[BeamTerm; 8]>;

/// The depth to which terms are looked into by functions that call themselves.
const DEPTH: usize = 64;

impl MatchSpec {
    /// # Safety
    ///
    /// `source` outlives the program.
    pub unsafe fn compile(source: BeamTerm) -> Result<Self, Uncovered> {
        let mut clauses = SmallVec::new();
        let mut rest = source;
        while let Some((clause, tail)) = rest.as_cell() {
            clauses.push(Clause::compile(clause)?);
            rest = tail;
        }
        match rest == BeamTerm::nil() {
            true => Ok(MatchSpec { clauses }),
            false => Err(Uncovered),
        }
    }

    /// To be run on many objects, one after the other.
    pub fn runner(&self) -> Runner<'_> {
        let variables = self.clauses.iter().map(|clause| clause.variables.len());
        let most = variables.max().unwrap_or(0);
        Runner {
            spec: self,
            bindings: SmallVec::from_elem(BeamTerm::nil(), most),
        }
    }
}

/// A match specification with room for the values of its variables.
pub struct Runner<'s> {
    spec: &'s MatchSpec,
    bindings: Bindings,
}

impl Runner<'_> {
    /// The value of the first clause that matches.
    #[inline]
    pub fn run(&mut self, call: &Call<'_>, subject: Subject<'_>) -> Option<Value> {
        let Runner { spec, bindings } = self;
        let mut clauses = spec.clauses.iter();
        clauses.find_map(|clause| clause.run(call, subject, bindings))
    }

    /// Whether the value is `true`.
    #[inline]
    pub fn holds(&mut self, call: &Call<'_>, subject: Subject<'_>) -> bool {
        self.run(call, subject).is_some_and(Value::is_true)
    }
}

impl Clause {
    fn compile(clause: BeamTerm) -> Result<Self, Uncovered> {
        let Some(&[pattern, guards, body]) = clause.as_tuple() else {
            return Err(Uncovered);
        };
        let mut variables = Variables::default();
        let head = Head::compile(pattern, &mut variables)?;
        let guards = Expression::compile_all(guards, &variables)?;
        let body = Expression::compile_all(body, &variables)?;
        Ok(Clause {
            source: clause,
            head,
            guards,
            body: body.into_iter().next_back().ok_or(Uncovered)?,
            variables,
        })
    }

    fn pattern(&self) -> BeamTerm {
        let [pattern, ..] = *self.source.as_tuple().unwrap_or_default() else {
            return BeamTerm::nil();
        };
        pattern
    }

    #[inline]
    fn run(
        &self,
        call: &Call<'_>,
        subject: Subject<'_>,
        bindings: &mut [BeamTerm],
    ) -> Option<Value> {
        if !self.head.matches(call, subject, bindings) {
            return None;
        }
        let guard = Machine::for_guards(call, subject, bindings);
        if !self.guards.iter().all(|expression| guard.holds(expression)) {
            return None;
        }
        Machine::for_body(call, subject, bindings).value(&self.body)
    }
}
