//! Guards and bodies, run.

use blanket_core::Whole;
use rustler::sys;
use smallvec::SmallVec;

use super::Subject;
use super::arithmetic::small;
use super::expression::Expression;
use super::function::Function;
use crate::atoms;
use crate::block;
use crate::raw::{Call, boolean};
use crate::term::BeamTerm;

/// What an expression comes to.
#[derive(Clone, Copy)]
pub struct Value {
    term: BeamTerm,
    /// It was made by this call, and not found in the object or the match specification.
    made: bool,
}

impl Value {
    fn found(term: BeamTerm) -> Self {
        Value { term, made: false }
    }

    fn made(term: BeamTerm) -> Self {
        Value { term, made: true }
    }

    #[inline]
    pub fn is_true(self) -> bool {
        self.term == BeamTerm::from(atoms::yes())
    }

    /// The term, valid as long as the object and the match specification.
    pub fn term(self) -> BeamTerm {
        self.term
    }

    /// The term, for the caller.
    #[inline]
    pub fn copy(self, call: &Call<'_>) -> BeamTerm {
        match self.made {
            true => self.term,
            false => call.copy(self.term),
        }
    }
}

impl Subject<'_> {
    pub fn whole(&self, call: &Call<'_>) -> BeamTerm {
        self.value(call).term
    }

    /// An object that may be written meanwhile is made again, as it was.
    fn value(&self, call: &Call<'_>) -> Value {
        match self.whole {
            None => Value::made(call.tuple(self.elements)),
            Some(Whole::Block(block)) => {
                // SAFETY: the environment is that of the running call; the guard keeps the block.
                Value::made(unsafe { block::copy_out(call.env, block, self.elements) })
            }
            Some(Whole::Arena(term)) => Value::found(term),
        }
    }
}

/// Evaluates the expressions of a clause whose head has matched.
pub struct Machine<'a> {
    call: &'a Call<'a>,
    subject: Subject<'a>,
    bindings: &'a [BeamTerm],
    /// In a body, a function that fails answers `EXIT`; in a guard, everything fails with it.
    catches: bool,
}

impl<'a> Machine<'a> {
    #[inline]
    pub fn for_guards(call: &'a Call<'a>, subject: Subject<'a>, bindings: &'a [BeamTerm]) -> Self {
        Machine {
            call,
            subject,
            bindings,
            catches: false,
        }
    }

    #[inline]
    pub fn for_body(call: &'a Call<'a>, subject: Subject<'a>, bindings: &'a [BeamTerm]) -> Self {
        Machine {
            catches: true,
            ..Self::for_guards(call, subject, bindings)
        }
    }

    /// Whether a guard is true.
    #[inline]
    pub fn holds(&self, guard: &Expression) -> bool {
        match guard {
            Expression::Call(function, arguments) => match self.truth(*function, arguments) {
                Some(truth) => truth,
                None => self.value(guard).is_some_and(Value::is_true),
            },
            _ => self.value(guard).is_some_and(Value::is_true),
        }
    }

    /// What a function tells whose arguments are at hand.
    #[inline]
    fn truth(&self, function: Function, arguments: &[Expression]) -> Option<bool> {
        match arguments {
            [one] => function.truth(&[self.simple(one)?]),
            [one, two] => function.truth(&[self.simple(one)?, self.simple(two)?]),
            _ => None,
        }
    }

    #[inline]
    fn simple(&self, expression: &Expression) -> Option<BeamTerm> {
        match expression {
            Expression::Constant(term) => Some(*term),
            Expression::Variable(slot) => Some(self.bindings[*slot]),
            Expression::Call(Function::Arithmetic(operation), operands) => match &**operands {
                [one, two] => small(*operation, self.simple(one)?, self.simple(two)?),
                _ => None,
            },
            _ => None,
        }
    }

    /// `None` where a guard fails.
    pub fn value(&self, expression: &Expression) -> Option<Value> {
        match expression {
            Expression::Constant(term) => Some(Value::found(*term)),
            Expression::Variable(slot) => Some(Value::found(self.bindings[*slot])),
            Expression::Whole => Some(self.subject.value(self.call)),
            Expression::Bindings(slots) => {
                let copies = slots
                    .iter()
                    .map(|&slot| self.call.copy(self.bindings[slot]));
                let copies: SmallVec<[BeamTerm; 8]> = copies.collect();
                Some(Value::made(self.call.list(&copies)))
            }
            Expression::Tuple(elements) => {
                Some(Value::made(self.call.tuple(&self.copies(elements)?)))
            }
            Expression::List { elements, tail } => {
                let copies = self.copies(elements)?;
                let tail = self.value(tail)?.copy(self.call);
                let cons = |tail, &head: &BeamTerm| self.call.cell(head, tail);
                Some(Value::made(copies.iter().rev().fold(tail, cons)))
            }
            Expression::Map(pairs) => self.map(pairs),
            Expression::And(all) => self.each(all, true),
            Expression::Or(all) => self.each(all, false),
            Expression::AndAlso(all) => self.until(all, false),
            Expression::OrElse(all) => self.until(all, true),
            Expression::Myself => Some(Value::made(self.call.myself())),
            Expression::Call(function, arguments) => self.called(*function, arguments),
        }
    }

    fn copies(&self, expressions: &[Expression]) -> Option<SmallVec<[BeamTerm; 8]>> {
        let copy = |expression| Some(self.value(expression)?.copy(self.call));
        expressions.iter().map(copy).collect()
    }

    fn called(&self, function: Function, arguments: &[Expression]) -> Option<Value> {
        let mut terms: SmallVec<[BeamTerm; 3]> = SmallVec::new();
        let mut made = true;
        for argument in arguments {
            let value = self.value(argument)?;
            made &= value.made;
            terms.push(value.term);
        }
        if let Some(truth) = function.truth(&terms) {
            return Some(Value::found(boolean(truth)));
        }
        match function.answer(self.call, &terms) {
            Some((term, anew)) => Some(Value {
                term,
                made: made || anew,
            }),
            None => self.failed(),
        }
    }

    fn failed(&self) -> Option<Value> {
        self.catches
            .then(|| Value::found(BeamTerm::from(atoms::exit())))
    }

    /// All are evaluated: `neutral` if all are that.
    fn each(&self, expressions: &[Expression], neutral: bool) -> Option<Value> {
        let mut result = neutral;
        for expression in expressions {
            match self.value(expression)?.term.boolean() {
                Some(truth) if truth == neutral => {}
                Some(_) => result = !neutral,
                None => return self.failed(),
            }
        }
        Some(Value::found(boolean(result)))
    }

    /// Up to the first that is `decisive`. The last one's value is the answer, whatever it is.
    fn until(&self, expressions: &[Expression], decisive: bool) -> Option<Value> {
        let (last, others) = expressions.split_last()?;
        for expression in others {
            match self.value(expression)?.term.boolean() {
                Some(truth) if truth == decisive => return Some(Value::found(boolean(decisive))),
                Some(_) => {}
                None => return self.failed(),
            }
        }
        self.value(last)
    }

    fn map(&self, pairs: &[(BeamTerm, Expression)]) -> Option<Value> {
        let env = self.call.env;
        // SAFETY: the environment is that of the running call.
        let mut map = unsafe { sys::enif_make_new_map(env) };
        for (key, expression) in pairs {
            let key = self.call.copy(*key);
            let value = self.value(expression)?.copy(self.call);
            let from = map;
            // SAFETY: as above, and all terms are in it.
            unsafe { sys::enif_make_map_put(env, from, key.raw(), value.raw(), &mut map) };
        }
        Some(Value::made(BeamTerm::from(map)))
    }
}
