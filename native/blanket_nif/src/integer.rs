//! Integers of any size, for counters.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};

use crate::term::{BeamTerm, Type};

#[derive(Clone)]
pub enum Integer {
    Word(i64),
    /// Does not fit a word.
    Big(BigInt),
}

use Integer::{Big, Word};

const EXTERNAL: u8 = 131;
const SMALL_BIG: u8 = 110;
const LARGE_BIG: u8 = 111;

impl Integer {
    #[inline]
    pub fn from_term(term: BeamTerm) -> Option<Self> {
        match term.small_integer().or_else(|| term.to_i64()) {
            Some(value) => Some(Word(value)),
            None if term.is_immediate() || term.type_of() != Type::Integer => None,
            None => term.with_external(parse)?.map(Big),
        }
    }

    /// The term in `env`; none where the VM knows no integer that large.
    ///
    /// # Safety
    ///
    /// `env` is the environment of the running call.
    pub unsafe fn to_term(&self, env: *mut ErlNifEnv) -> Option<BeamTerm> {
        match self {
            // SAFETY: as promised.
            Word(value) => Some(BeamTerm::from(unsafe { sys::enif_make_int64(env, *value) })),
            Big(value) => {
                let bytes = external(value)?;
                let mut term = ErlNifTerm::default();
                // SAFETY: as promised; `term` is written when the answer is not 0.
                let read = unsafe {
                    sys::enif_binary_to_term(env, bytes.as_ptr(), bytes.len(), &mut term, 0)
                };
                (read != 0).then(|| BeamTerm::from(term))
            }
        }
    }

    pub fn plus(&self, other: &Self) -> Self {
        if let (Word(one), Word(two)) = (self, other)
            && let Some(sum) = one.checked_add(*two)
        {
            return Word(sum);
        }
        (self.to_big() + other.to_big()).into()
    }

    pub fn is_negative(&self) -> bool {
        match self {
            Word(value) => *value < 0,
            Big(value) => value.sign() == Sign::Minus,
        }
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Word(one), Word(two)) => one.cmp(two),
            _ => self.to_big().cmp(&other.to_big()),
        }
    }

    pub fn to_big(&self) -> BigInt {
        match self {
            Word(value) => BigInt::from(*value),
            Big(value) => value.clone(),
        }
    }
}

impl From<BigInt> for Integer {
    fn from(value: BigInt) -> Self {
        i64::try_from(&value).map_or(Big(value), Word)
    }
}

/// A bignum in the external term format: its length, sign and bytes from the least on.
fn parse(external: &[u8]) -> Option<BigInt> {
    let (sign, magnitude) = match external {
        [EXTERNAL, SMALL_BIG, _, sign, magnitude @ ..]
        | [EXTERNAL, LARGE_BIG, _, _, _, _, sign, magnitude @ ..] => (sign, magnitude),
        _ => return None,
    };
    let sign = if *sign == 0 { Sign::Plus } else { Sign::Minus };
    Some(BigInt::from_bytes_le(sign, magnitude))
}

fn external(value: &BigInt) -> Option<Vec<u8>> {
    let (sign, magnitude) = value.to_bytes_le();
    let sign = u8::from(sign == Sign::Minus);
    let mut bytes = Vec::with_capacity(magnitude.len() + 7);
    bytes.push(EXTERNAL);
    match u8::try_from(magnitude.len()) {
        Ok(length) => bytes.extend([SMALL_BIG, length, sign]),
        Err(_) => {
            bytes.push(LARGE_BIG);
            bytes.extend(u32::try_from(magnitude.len()).ok()?.to_be_bytes());
            bytes.push(sign);
        }
    }
    bytes.extend(magnitude);
    Some(bytes)
}
