//! Numbers: integers of any size, and floats.

use std::cmp::Ordering;
use std::sync::atomic::{self, AtomicBool};

use num_bigint::{BigInt, BigUint, Sign};
use rustler::sys;

use crate::integer::Integer;
use crate::raw::Call;
use crate::term::{BeamTerm, Type};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Plus,
    Minus,
    Times,
    Divide,
    Quotient,
    Remainder,
    And,
    Or,
    Xor,
    Not,
    ShiftLeft,
    ShiftRight,
    Negate,
    Keep,
    Absolute,
    Float,
    Round,
    Truncate,
}

use Operation::*;

impl Operation {
    pub fn named(name: &[u8], arity: usize) -> Option<Self> {
        Some(match (name, arity) {
            (b"+", 1) => Keep,
            (b"+", 2) => Plus,
            (b"-", 1) => Negate,
            (b"-", 2) => Minus,
            (b"*", 2) => Times,
            (b"/", 2) => Divide,
            (b"div", 2) => Quotient,
            (b"rem", 2) => Remainder,
            (b"band", 2) => And,
            (b"bor", 2) => Or,
            (b"bxor", 2) => Xor,
            (b"bnot", 1) => Not,
            (b"bsl", 2) => ShiftLeft,
            (b"bsr", 2) => ShiftRight,
            (b"abs", 1) => Absolute,
            (b"float", 1) => Float,
            (b"round", 1) => Round,
            (b"trunc", 1) => Truncate,
            _ => return None,
        })
    }
}

/// An integer larger than a word becomes the nearest float; in older VMs one that is about as near.
static TO_NEAREST: AtomicBool = AtomicBool::new(false);
/// The absolute value of -0.0 is 0.0; in older VMs it is -0.0.
static UNSIGNED_ZERO: AtomicBool = AtomicBool::new(false);

/// Learns the VM's arithmetic, of `abs(-0.0)` and `float(((1 bsl 53) + 1) bsl 64 + 1)`.
pub fn learn(absolute: BeamTerm, float: BeamTerm) -> Result<(), &'static str> {
    let (Some(absolute), Some(float)) = (absolute.to_f64(), float.to_f64()) else {
        return Err("the samples of the VM's arithmetic are no floats");
    };
    UNSIGNED_ZERO.store(absolute.is_sign_positive(), atomic::Ordering::Relaxed);
    TO_NEAREST.store(float > 2f64.powi(117), atomic::Ordering::Relaxed);
    Ok(())
}

/// The result, in the caller's environment; `None` where the operation fails.
pub fn compute(call: &Call<'_>, operation: Operation, operands: &[BeamTerm]) -> Option<BeamTerm> {
    if let &[one, two] = operands
        && let Some(result) = small(operation, one, two)
    {
        return Some(result);
    }
    let result = match *operands {
        [one] => unary(operation, Number::of(one)?)?,
        [one, two] => binary(operation, Number::of(one)?, Number::of(two)?)?,
        _ => return None,
    };
    result.into_term(call)
}

/// The result where that and the operands need no more than a word.
#[inline]
pub fn small(operation: Operation, one: BeamTerm, two: BeamTerm) -> Option<BeamTerm> {
    let (one, two) = (one.small_integer()?, two.small_integer()?);
    BeamTerm::small(match operation {
        Plus => one + two,
        Minus => one - two,
        Times => one.checked_mul(two)?,
        Quotient => one.checked_div(two)?,
        Remainder => one.checked_rem(two)?,
        And => one & two,
        Or => one | two,
        Xor => one ^ two,
        _ => return None,
    })
}

enum Number {
    Integer(BigInt),
    Float(f64),
}

impl Number {
    fn of(term: BeamTerm) -> Option<Self> {
        if let Some(integer) = Integer::from_term(term) {
            return Some(Number::Integer(integer.to_big()));
        }
        let is_float = !term.is_immediate() && term.type_of() == Type::Float;
        is_float.then(|| term.to_f64().map(Number::Float))?
    }

    fn into_term(self, call: &Call<'_>) -> Option<BeamTerm> {
        match self {
            // SAFETY: the environment of the running call.
            Number::Integer(value) => unsafe { Integer::from(value).to_term(call.env) },
            Number::Float(value) => value.is_finite().then(|| {
                // SAFETY: as above.
                BeamTerm::from(unsafe { sys::enif_make_double(call.env, value) })
            }),
        }
    }

    fn to_f64(&self) -> Option<f64> {
        match self {
            Number::Float(value) => Some(*value),
            Number::Integer(value) => to_f64(value),
        }
    }

    fn integer(self) -> Option<BigInt> {
        match self {
            Number::Integer(value) => Some(value),
            Number::Float(_) => None,
        }
    }
}

/// As the VM does it.
fn to_f64(value: &BigInt) -> Option<f64> {
    let magnitude = value.magnitude();
    let float = if TO_NEAREST.load(atomic::Ordering::Relaxed) {
        nearest(magnitude)
    } else {
        let digits = magnitude.iter_u64_digits().rev();
        digits.fold(0.0, |sum, digit| sum * 2f64.powi(64) + digit as f64)
    };
    let signed = match value.sign() {
        Sign::Minus => -float,
        _ => float,
    };
    signed.is_finite().then_some(signed)
}

fn nearest(value: &BigUint) -> f64 {
    let cut = value.bits().saturating_sub(64);
    let leading = (value >> cut).iter_u64_digits().next().unwrap_or(0);
    // A word has bits to spare, so the last may stand for all that were cut off.
    let inexact = value.trailing_zeros().is_some_and(|zeros| zeros < cut);
    let scale = 2f64.powi(i32::try_from(cut).unwrap_or(i32::MAX));
    (leading | u64::from(inexact)) as f64 * scale
}

/// The integer that a float without a fraction is.
fn to_integer(value: f64) -> BigInt {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i32 - 1075;
    let mantissa = BigInt::from(bits & ((1 << 52) - 1) | 1 << 52);
    let magnitude = match exponent {
        0.. => mantissa << exponent,
        _ => mantissa >> (-exponent).min(64),
    };
    if value < 0.0 { -magnitude } else { magnitude }
}

fn unary(operation: Operation, operand: Number) -> Option<Number> {
    Some(match (operation, operand) {
        (Keep, number) => number,
        (Negate, Number::Integer(value)) => Number::Integer(-value),
        (Negate, Number::Float(value)) => Number::Float(-value),
        (Absolute, Number::Integer(value)) => Number::Integer(value.magnitude().clone().into()),
        (Absolute, Number::Float(value))
            if value != 0.0 || UNSIGNED_ZERO.load(atomic::Ordering::Relaxed) =>
        {
            Number::Float(value.abs())
        }
        (Absolute, number) => number,
        (Not, number) => Number::Integer(!number.integer()?),
        (Float, number) => Number::Float(number.to_f64()?),
        (Round, Number::Float(value)) => Number::Integer(to_integer(value.round())),
        (Truncate, Number::Float(value)) => Number::Integer(to_integer(value.trunc())),
        (Round | Truncate, number) => number,
        _ => return None,
    })
}

fn binary(operation: Operation, one: Number, two: Number) -> Option<Number> {
    match (operation, one, two) {
        (Plus | Minus | Times, Number::Integer(one), Number::Integer(two)) => {
            Some(Number::Integer(match operation {
                Plus => one + two,
                Minus => one - two,
                _ => one * two,
            }))
        }
        (Plus | Minus | Times | Divide, one, two) => {
            let (one, two) = (one.to_f64()?, two.to_f64()?);
            let result = match operation {
                Plus => one + two,
                Minus => one - two,
                Times => one * two,
                _ => one / two,
            };
            result.is_finite().then_some(Number::Float(result))
        }
        (_, one, two) => whole(operation, one.integer()?, two.integer()?).map(Number::Integer),
    }
}

fn whole(operation: Operation, one: BigInt, two: BigInt) -> Option<BigInt> {
    Some(match operation {
        Quotient => one.checked_div(&two)?,
        Remainder if two.sign() == Sign::NoSign => return None,
        Remainder => one % two,
        And => one & two,
        Or => one | two,
        Xor => one ^ two,
        ShiftLeft => shift(one, two)?,
        ShiftRight => shift(one, -two)?,
        _ => return None,
    })
}

/// Bits beyond which the VM knows no integer.
const MOST_BITS: u64 = u32::MAX as u64;

/// To the left; to the right by a negative number of places.
fn shift(value: BigInt, places: BigInt) -> Option<BigInt> {
    if value.sign() == Sign::NoSign {
        return Some(value);
    }
    let distance = u64::try_from(places.magnitude().clone()).unwrap_or(u64::MAX);
    match places.sign().cmp(&Sign::NoSign) {
        Ordering::Greater if distance >= MOST_BITS - value.bits().min(MOST_BITS) => None,
        Ordering::Greater => Some(value << distance),
        // To the right everything is shifted out, but for the sign.
        _ => Some(value >> distance.min(MOST_BITS)),
    }
}
