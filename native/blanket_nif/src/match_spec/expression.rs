//! Guards and bodies, compiled.

use smallvec::SmallVec;

use super::function::Function;
use super::variables::{Meaning, Slot, Variables, meaning};
use super::{DEPTH, Uncovered};
use crate::term::{BeamTerm, Type};

pub enum Expression {
    Constant(BeamTerm),
    Variable(Slot),
    /// `$_`
    Whole,
    /// `$$`
    Bindings(Box<[Slot]>),
    Tuple(Box<[Expression]>),
    List {
        elements: Box<[Expression]>,
        tail: Box<Expression>,
    },
    Map(Box<[(BeamTerm, Expression)]>),
    And(Box<[Expression]>),
    Or(Box<[Expression]>),
    AndAlso(Box<[Expression]>),
    OrElse(Box<[Expression]>),
    Myself,
    Call(Function, Box<[Expression]>),
}

/// The guards of a clause, or its body. There is one mostly, or none.
pub type Expressions = SmallVec<[Expression; 1]>;

impl Expression {
    /// The expressions of a proper list.
    pub fn compile_all(list: BeamTerm, variables: &Variables) -> Result<Expressions, Uncovered> {
        let compiler = Compiler { variables };
        let mut expressions = Expressions::new();
        let mut rest = list;
        while let Some((head, tail)) = rest.as_cell() {
            expressions.push(compiler.expression(head, 0)?);
            rest = tail;
        }
        match rest == BeamTerm::nil() {
            true => Ok(expressions),
            false => Err(Uncovered),
        }
    }

    /// Whether it is `source` that it stands for, as it is.
    fn is_just(&self, source: BeamTerm) -> bool {
        matches!(self, Expression::Constant(term) if *term == source)
    }
}

struct Compiler<'v> {
    variables: &'v Variables,
}

impl Compiler<'_> {
    fn expression(&self, term: BeamTerm, depth: usize) -> Result<Expression, Uncovered> {
        if depth > DEPTH {
            return Err(Uncovered);
        }
        if term.is_immediate() {
            return self.immediate(term);
        }
        if let Some(elements) = term.as_tuple() {
            return self.tuple(elements, depth);
        }
        if term.as_cell().is_some() {
            return self.list(term, depth);
        }
        match term.type_of() {
            Type::Map => self.map(term, depth),
            _ => Ok(Expression::Constant(term)),
        }
    }

    fn immediate(&self, term: BeamTerm) -> Result<Expression, Uncovered> {
        Ok(match meaning(term)? {
            Meaning::Variable(number) => {
                Expression::Variable(self.variables.slot(number).ok_or(Uncovered)?)
            }
            Meaning::Whole => Expression::Whole,
            Meaning::Bindings => Expression::Bindings(self.variables.slots()),
            Meaning::Anything | Meaning::Itself => Expression::Constant(term),
        })
    }

    fn all(&self, terms: &[BeamTerm], depth: usize) -> Result<Box<[Expression]>, Uncovered> {
        let expressions = terms.iter().map(|&term| self.expression(term, depth + 1));
        expressions.collect()
    }

    fn tuple(&self, elements: &[BeamTerm], depth: usize) -> Result<Expression, Uncovered> {
        if let &[inner] = elements
            && let Some(terms) = inner.as_tuple()
        {
            let expressions = self.all(terms, depth)?;
            let mut both = expressions.iter().zip(terms);
            return Ok(
                match both.all(|(expression, term)| expression.is_just(*term)) {
                    true => Expression::Constant(inner),
                    false => Expression::Tuple(expressions),
                },
            );
        }
        let [name, arguments @ ..] = elements else {
            return Err(Uncovered);
        };
        if !name.is_immediate() || name.type_of() != Type::Atom {
            return Err(Uncovered);
        }
        let called = name.with_text(|name| self.call(name, arguments, depth));
        called.unwrap_or(Err(Uncovered))
    }

    fn call(
        &self,
        name: &[u8],
        arguments: &[BeamTerm],
        depth: usize,
    ) -> Result<Expression, Uncovered> {
        let all = || self.all(arguments, depth);
        Ok(match (name, arguments) {
            (b"const", &[term]) => Expression::Constant(term),
            (b"self", []) => Expression::Myself,
            (b"and", [_, ..]) => Expression::And(all()?),
            (b"or", [_, ..]) => Expression::Or(all()?),
            (b"andalso", [_, ..]) => Expression::AndAlso(all()?),
            (b"orelse", [_, ..]) => Expression::OrElse(all()?),
            // With a name in that place it asks for a native record, on the VMs that have them.
            (b"is_record", [_, _, size]) if size.small_integer().is_none() => {
                return Err(Uncovered);
            }
            _ => {
                let function = Function::named(name, arguments.len()).ok_or(Uncovered)?;
                Expression::Call(function, all()?)
            }
        })
    }

    fn list(&self, term: BeamTerm, depth: usize) -> Result<Expression, Uncovered> {
        let mut elements = Vec::new();
        let mut constant = true;
        let mut rest = term;
        while let Some((head, tail)) = rest.as_cell() {
            let element = self.expression(head, depth + 1)?;
            constant &= element.is_just(head);
            elements.push(element);
            rest = tail;
        }
        let tail = self.expression(rest, depth + 1)?;
        if constant && tail.is_just(rest) {
            return Ok(Expression::Constant(term));
        }
        Ok(Expression::List {
            elements: elements.into_boxed_slice(),
            tail: Box::new(tail),
        })
    }

    fn map(&self, term: BeamTerm, depth: usize) -> Result<Expression, Uncovered> {
        let mut all = Vec::new();
        term.for_each_pair(|key, value| all.push((key, value)));
        let mut constant = true;
        let mut pairs = Vec::new();
        for (key, value) in all {
            if !self.expression(key, depth + 1)?.is_just(key) {
                return Err(Uncovered);
            }
            let expression = self.expression(value, depth + 1)?;
            constant &= expression.is_just(value);
            pairs.push((key, expression));
        }
        Ok(match constant {
            true => Expression::Constant(term),
            false => Expression::Map(pairs.into_boxed_slice()),
        })
    }
}
