//! What the guards of a clause say of one variable: between which values it is.

use std::cmp::Ordering;

use blanket_core::Term;

use super::expression::Expression;
use super::function::Function;
use super::variables::Slot;
use crate::cut::Side;
use crate::term::BeamTerm;

/// Values that all others are compared with; on which side of it the variable may be equal to it.
#[derive(Default)]
pub struct Limits {
    pub low: Option<(BeamTerm, Side)>,
    pub high: Option<(BeamTerm, Side)>,
    /// The variable matches this value.
    pub identical: Option<BeamTerm>,
}

impl Limits {
    pub fn of(slot: Slot, guards: &[Expression]) -> Self {
        let mut limits = Limits::default();
        let mut rest: Vec<&Expression> = guards.iter().collect();
        while let Some(guard) = rest.pop() {
            match guard {
                Expression::And(all) | Expression::AndAlso(all) => rest.extend(all),
                Expression::Call(function, arguments) => match **arguments {
                    [Expression::Variable(here), Expression::Constant(limit)] if here == slot => {
                        limits.narrow(*function, limit);
                    }
                    [Expression::Constant(limit), Expression::Variable(here)] if here == slot => {
                        limits.narrow(turned(*function), limit);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        limits
    }

    /// The one value that the variable can be equal to.
    pub fn equal(&self) -> Option<BeamTerm> {
        match (self.low, self.high) {
            (Some((low, Side::Before)), Some((high, Side::Behind))) => {
                low.compare(high).is_eq().then_some(low)
            }
            _ => None,
        }
    }

    fn narrow(&mut self, function: Function, limit: BeamTerm) {
        match function {
            Function::Less => self.narrow_high(limit, Side::Before),
            Function::LessOrEqual => self.narrow_high(limit, Side::Behind),
            Function::Greater => self.narrow_low(limit, Side::Behind),
            Function::GreaterOrEqual => self.narrow_low(limit, Side::Before),
            Function::Equal | Function::Identical => {
                self.narrow_low(limit, Side::Before);
                self.narrow_high(limit, Side::Behind);
                if function == Function::Identical {
                    self.identical = Some(limit);
                }
            }
            _ => {}
        }
    }

    fn narrow_low(&mut self, limit: BeamTerm, side: Side) {
        if (self.low).is_none_or(|low| order(low, (limit, side)).is_lt()) {
            self.low = Some((limit, side));
        }
    }

    fn narrow_high(&mut self, limit: BeamTerm, side: Side) {
        if (self.high).is_none_or(|high| order(high, (limit, side)).is_gt()) {
            self.high = Some((limit, side));
        }
    }
}

fn order(one: (BeamTerm, Side), two: (BeamTerm, Side)) -> Ordering {
    one.0.compare(two.0).then(one.1.cmp(&two.1))
}

/// The comparison with its arguments the other way round.
fn turned(function: Function) -> Function {
    match function {
        Function::Less => Function::Greater,
        Function::LessOrEqual => Function::GreaterOrEqual,
        Function::Greater => Function::Less,
        Function::GreaterOrEqual => Function::LessOrEqual,
        other => other,
    }
}
