//! The variables of a clause: `$` and a number.

use smallvec::SmallVec;

use super::Uncovered;
use crate::atoms;
use crate::term::{BeamTerm, Type};

/// The place of a variable's value.
pub type Slot = usize;

/// Numbers of variables, in the order of their slots.
#[derive(Default)]
pub struct Variables(SmallVec<[u32; 8]>);

/// What an atom means in a match specification.
pub enum Meaning {
    Anything,
    Whole,
    Bindings,
    Variable(u32),
    Itself,
}

/// Numbers of more digits do not fit the VM's own.
const DIGITS: usize = 9;

#[inline]
pub fn meaning(term: BeamTerm) -> Result<Meaning, Uncovered> {
    match term.is_immediate() && term.small_integer().is_none() {
        true => meaning_of_atom(term),
        false => Ok(Meaning::Itself),
    }
}

fn meaning_of_atom(term: BeamTerm) -> Result<Meaning, Uncovered> {
    // Those that are met most are known without their text.
    let is = |atom: rustler::Atom| BeamTerm::from(atom) == term;
    Ok(match () {
        () if is(atoms::anything()) => Meaning::Anything,
        () if is(atoms::first_variable()) => Meaning::Variable(1),
        () if is(atoms::second_variable()) => Meaning::Variable(2),
        () if is(atoms::third_variable()) => Meaning::Variable(3),
        () if is(atoms::whole()) => Meaning::Whole,
        () if is(atoms::bindings()) => Meaning::Bindings,
        () if is(atoms::yes()) || term.type_of() != Type::Atom => Meaning::Itself,
        () => {
            let variable = term.with_text(|text| match text {
                [b'$', digits @ ..] => number(digits),
                _ => Ok(Meaning::Itself),
            });
            return variable.unwrap_or(Ok(Meaning::Itself));
        }
    })
}

fn number(digits: &[u8]) -> Result<Meaning, Uncovered> {
    if digits.is_empty()
        || !digits.iter().all(u8::is_ascii_digit)
        || digits.len() > 1 && digits[0] == b'0'
    {
        return Ok(Meaning::Itself);
    }
    if digits.len() > DIGITS {
        return Err(Uncovered);
    }
    let append = |number, digit: &u8| number * 10 + u32::from(digit - b'0');
    Ok(Meaning::Variable(digits.iter().fold(0, append)))
}

impl Variables {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn slot(&self, number: u32) -> Option<Slot> {
        self.0.iter().position(|&known| known == number)
    }

    pub fn bind(&mut self, number: u32) -> Slot {
        self.0.push(number);
        self.0.len() - 1
    }

    /// The slots in the order of the numbers.
    pub fn slots(&self) -> Box<[Slot]> {
        let mut slots: Vec<Slot> = (0..self.0.len()).collect();
        slots.sort_by_key(|&slot| self.0[slot]);
        slots.into_boxed_slice()
    }
}
