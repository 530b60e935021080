//! The functions that guards and bodies may call.

use std::cmp::Ordering;

use blanket_core::Term;

use super::arithmetic::{self, Operation};
use crate::raw::Call;
use crate::term::{BeamTerm, Type};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Function {
    IsAtom,
    IsBinary,
    IsFloat,
    IsFun,
    IsInteger,
    IsList,
    IsMap,
    IsMapKey,
    IsNumber,
    IsPid,
    IsPort,
    IsRecord,
    IsReference,
    IsTuple,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Identical,
    NotIdentical,
    Not,
    Xor,
    Element,
    Head,
    Tail,
    Length,
    Size,
    ByteSize,
    BitSize,
    MapSize,
    MapGet,
    Arithmetic(Operation),
}

use Function::*;

impl Function {
    /// The function of a name, if it is one of those that every VM knows which Blanket runs on.
    pub fn named(name: &[u8], arity: usize) -> Option<Self> {
        Some(match (name, arity) {
            (b"is_atom", 1) => IsAtom,
            (b"is_binary", 1) => IsBinary,
            (b"is_float", 1) => IsFloat,
            (b"is_function", 1) => IsFun,
            (b"is_integer", 1) => IsInteger,
            (b"is_list", 1) => IsList,
            (b"is_map", 1) => IsMap,
            (b"is_map_key", 2) => IsMapKey,
            (b"is_number", 1) => IsNumber,
            (b"is_pid", 1) => IsPid,
            (b"is_port", 1) => IsPort,
            (b"is_record", 3) => IsRecord,
            (b"is_reference", 1) => IsReference,
            (b"is_tuple", 1) => IsTuple,
            (b"<", 2) => Less,
            (b"=<", 2) => LessOrEqual,
            (b">", 2) => Greater,
            (b">=", 2) => GreaterOrEqual,
            (b"==", 2) => Equal,
            (b"/=", 2) => NotEqual,
            (b"=:=", 2) => Identical,
            (b"=/=", 2) => NotIdentical,
            (b"not", 1) => Not,
            (b"xor", 2) => Xor,
            (b"element", 2) => Element,
            (b"hd", 1) => Head,
            (b"tl", 1) => Tail,
            (b"length", 1) => Length,
            (b"size", 1) => Size,
            (b"byte_size", 1) => ByteSize,
            (b"bit_size", 1) => BitSize,
            (b"map_size", 1) => MapSize,
            (b"map_get", 2) => MapGet,
            _ => Arithmetic(Operation::named(name, arity)?),
        })
    }

    /// What the function tells of its arguments; `None` where it tells no truth or fails.
    #[inline]
    pub fn truth(self, arguments: &[BeamTerm]) -> Option<bool> {
        match (self, arguments) {
            (_, &[one]) => self.truth_of_one(one),
            (_, &[one, two]) => self.truth_of_two(one, two),
            (IsRecord, &[term, tag, size]) => {
                let size = size.small_integer().filter(|_| is_atom(tag))?;
                Some(term.as_tuple().is_some_and(|elements| {
                    elements.len() as i64 == size && elements.first() == Some(&tag)
                }))
            }
            _ => None,
        }
    }

    fn truth_of_one(self, term: BeamTerm) -> Option<bool> {
        Some(match self {
            IsAtom => is_atom(term),
            IsBinary => term.is_binary(),
            IsFloat => is_of(term, Type::Float),
            IsFun => is_of(term, Type::Fun),
            IsInteger => is_integer(term),
            IsList => is_of(term, Type::List),
            IsMap => is_of(term, Type::Map),
            IsNumber => is_integer(term) || is_of(term, Type::Float),
            IsPid => is_of(term, Type::Pid),
            IsPort => is_of(term, Type::Port),
            IsReference => is_of(term, Type::Reference),
            IsTuple => term.as_tuple().is_some(),
            Not => !term.boolean()?,
            _ => return None,
        })
    }

    #[inline]
    fn truth_of_two(self, one: BeamTerm, two: BeamTerm) -> Option<bool> {
        Some(match self {
            Less => one.compare(two) == Ordering::Less,
            LessOrEqual => one.compare(two) != Ordering::Greater,
            Greater => one.compare(two) == Ordering::Greater,
            GreaterOrEqual => one.compare(two) != Ordering::Less,
            Equal => is_equal(one, two),
            NotEqual => !is_equal(one, two),
            Identical => one.matches(two),
            NotIdentical => !one.matches(two),
            Xor => one.boolean()? != two.boolean()?,
            IsMapKey => two.map_size().map(|_| two.map_value(one).is_some())?,
            _ => return None,
        })
    }

    /// What a function answers that tells no truth, and whether that was made by this call; `None`
    /// where it fails.
    pub fn answer(self, call: &Call<'_>, arguments: &[BeamTerm]) -> Option<(BeamTerm, bool)> {
        let part = |term| Some((term, false));
        let number = |number: usize| Some((BeamTerm::small(number as i64)?, true));
        match (self, arguments) {
            (Element, &[index, tuple]) => {
                let index = usize::try_from(index.small_integer()?).ok()?;
                part(*tuple.as_tuple()?.get(index.checked_sub(1)?)?)
            }
            (Head, &[list]) => part(list.as_cell()?.0),
            (Tail, &[list]) => part(list.as_cell()?.1),
            (Length, &[list]) => number(length(list)?),
            (Size, &[term]) => match term.as_tuple() {
                Some(elements) => number(elements.len()),
                None => number(bit_size(term)? / 8),
            },
            (ByteSize, &[term]) => number(bit_size(term)?.div_ceil(8)),
            (BitSize, &[term]) => number(bit_size(term)?),
            (MapSize, &[map]) => number(map.map_size()?),
            (MapGet, &[key, map]) => part(map.map_size().and_then(|_| map.map_value(key))?),
            (Arithmetic(operation), _) => {
                Some((arithmetic::compute(call, operation, arguments)?, true))
            }
            _ => None,
        }
    }
}

fn is_of(term: BeamTerm, wanted: Type) -> bool {
    term.small_integer().is_none() && term.type_of() == wanted
}

fn is_atom(term: BeamTerm) -> bool {
    term.is_immediate() && is_of(term, Type::Atom)
}

fn is_integer(term: BeamTerm) -> bool {
    term.small_integer().is_some() || !term.is_immediate() && term.type_of() == Type::Integer
}

#[inline]
fn is_equal(one: BeamTerm, two: BeamTerm) -> bool {
    match one.is_immediate() && two.is_immediate() {
        true => one == two,
        false => one.compare(two) == Ordering::Equal,
    }
}

fn bit_size(term: BeamTerm) -> Option<usize> {
    match term.is_immediate() {
        true => None,
        false => term.bit_size(),
    }
}

/// The length of a proper list.
fn length(list: BeamTerm) -> Option<usize> {
    let mut rest = list;
    let mut length = 0;
    while let Some((_, tail)) = rest.as_cell() {
        rest = tail;
        length += 1;
    }
    (rest == BeamTerm::nil()).then_some(length)
}
