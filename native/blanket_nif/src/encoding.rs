//! Keys as bytes in term order, for `ordered_set`.
//!
//! What must hold for any two keys: where `a < b`, `bytes(a) <= bytes(b)`, and where `a == b` (as
//! `1 == 1.0`), the bytes are the same. So a part of a key may be followed by the next part only
//! when its bytes say all that `==` sees of it; behind one that is cut short, the bytes of what
//! comes after would be compared out of turn. A part says by [`Exactness`] how it ended.

use std::cell::RefCell;

use blanket_core::Encoding;

use crate::cut::{Cut, Part};
use crate::layout::Known;
use crate::term::{BeamTerm, Type, mix};

/// Classes in term order; none is 0, which is what stands behind the last byte.
mod class {
    /// That of 0. Other numbers are as many classes above or below as they have bytes.
    pub const ZERO: u8 = 10;
    pub const ATOM: u8 = 20;
    pub const REFERENCE: u8 = 21;
    pub const FUN: u8 = 22;
    pub const PORT: u8 = 23;
    pub const PID: u8 = 24;
    pub const TUPLE: u8 = 25;
    /// A type that came with a later VM: native records, which stand here.
    pub const OTHER: u8 = 26;
    pub const MAP: u8 = 27;
    pub const NIL: u8 = 28;
    pub const LIST: u8 = 29;
    pub const BITSTRING: u8 = 30;
}

/// How the bytes of a part relate to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exactness {
    /// Only equal parts have these bytes, and they are no other part's beginning.
    Exact,
    /// No byte may follow: it is the least of the parts with these bytes, or all of those with
    /// these bytes end here.
    Ends,
    /// As `Ends`, but greater than the parts with these bytes that are exact.
    Exceeds,
}

use Exactness::{Ends, Exact, Exceeds};

#[inline]
pub fn encode(key: BeamTerm, out: &mut Encoding) {
    if let Some(value) = key.small_integer() {
        push_integer(value, out);
    } else if let Some(cut) = key.as_cut() {
        encode_cut(cut, out);
    } else if encode_part(key, out, Place::Alone) == Exceeds {
        fill(out);
    }
}

fn fill(out: &mut Encoding) {
    while !out.is_full() {
        out.push(u8::MAX);
    }
}

/// The bytes of the keys that begin so, as far as all of them share these. Behind parts that are
/// exact, the bytes of the keys go on.
fn encode_cut(cut: &Cut, out: &mut Encoding) {
    let place = match cut.parts() {
        [Part::Whole(_)] => Place::Alone,
        _ => Place::Within,
    };
    let mut exactness = Exact;
    for part in cut.parts() {
        exactness = match *part {
            Part::Whole(term) => encode_part(term, out, place),
            Part::Inside(term) => open(term, out),
        };
        if exactness != Exact {
            break;
        }
    }
    if exactness == Exceeds || exactness == Exact && cut.is_behind() {
        fill(out);
    }
}

/// Whether other parts may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Within,
}

// Every part writes a byte at least and ends when `out` is full, which bounds the depth.
fn encode_part(term: BeamTerm, out: &mut Encoding, place: Place) -> Exactness {
    if out.is_full() {
        return Ends;
    }
    if let Some(value) = term.small_integer() {
        push_integer(value, out);
        return Exact;
    }
    if let Some(elements) = term.as_tuple() {
        open(term, out);
        return encode_all(elements, out);
    }
    if let Some((head, tail)) = term.as_cell() {
        open(term, out);
        return encode_all(&[head, tail], out);
    }
    if let Some(bytes) = Known::get().short_bytes(term) {
        out.push(class::BITSTRING);
        return push_bytes(bytes, out, place);
    }
    if term.is_immediate() && push_known_atom(term, out) {
        return Exact;
    }
    match term.type_of() {
        Type::Integer => encode_large_integer(term, out),
        Type::Float => encode_float(term.to_f64().unwrap_or(0.0), out),
        Type::Atom => encode_atom(term, out),
        Type::Bitstring => encode_bitstring(term, out, place),
        Type::Map => {
            out.push(class::MAP);
            out.push_word(term.map_size().unwrap_or(0) as u64, 8);
            Ends
        }
        Type::List => {
            out.push(class::NIL);
            Exact
        }
        Type::Reference => encode_class(class::REFERENCE, out),
        Type::Fun => encode_class(class::FUN, out),
        Type::Port => encode_class(class::PORT, out),
        Type::Pid => encode_class(class::PID, out),
        Type::Tuple | Type::Other => encode_class(class::OTHER, out),
    }
}

/// What comes before the parts of a tuple or a list cell.
fn open(term: BeamTerm, out: &mut Encoding) -> Exactness {
    match term.as_tuple() {
        None => out.push(class::LIST),
        Some(elements) => {
            out.push(class::TUPLE);
            // A tuple has less than 2^24 elements.
            out.extend(&(elements.len() as u32).to_be_bytes()[1..]);
        }
    }
    if out.is_full() { Ends } else { Exact }
}

fn encode_all(parts: &[BeamTerm], out: &mut Encoding) -> Exactness {
    for &part in parts {
        let exactness = encode_part(part, out, Place::Within);
        if exactness != Exact {
            return exactness;
        }
    }
    Exact
}

fn encode_class(class: u8, out: &mut Encoding) -> Exactness {
    out.push(class);
    Ends
}

#[inline]
fn push_integer(value: i64, out: &mut Encoding) {
    let magnitude = value ^ value >> (i64::BITS - 1);
    let bytes = (i64::BITS - magnitude.leading_zeros()).div_ceil(8);
    let class = match value < 0 {
        true => class::ZERO - 1 - bytes as u8,
        false => class::ZERO + bytes as u8,
    };
    // Among numbers of one sign and as many bytes, two's complement sorts as unsigned.
    if bytes < 8 {
        let number = value as u64 & !(u64::MAX << (8 * bytes));
        let word = u64::from(class) << 56 | number << (56 - 8 * bytes);
        out.push_word(word, 1 + bytes as usize);
    } else {
        out.push(class);
        out.push_word(value as u64, 8);
    }
}

fn encode_large_integer(term: BeamTerm, out: &mut Encoding) -> Exactness {
    match term.to_i64() {
        Some(value) => {
            push_integer(value, out);
            Exact
        }
        None if is_negative(term) => below(out),
        None => above(out),
    }
}

fn is_negative(integer: BeamTerm) -> bool {
    // SMALL_BIG_EXT and LARGE_BIG_EXT: the sign follows the length of one or four bytes.
    integer
        .with_external(|bytes| {
            matches!(bytes, [131, 110, _, 1, ..] | [131, 111, _, _, _, _, 1, ..])
        })
        .unwrap_or(false)
}

fn encode_float(value: f64, out: &mut Encoding) -> Exactness {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value >= LIMIT {
        return above(out);
    }
    if value < -LIMIT {
        return below(out);
    }
    let floor = value.floor();
    push_integer(floor as i64, out);
    if floor == value { Exact } else { Exceeds }
}

fn above(out: &mut Encoding) -> Exactness {
    push_integer(i64::MAX, out);
    Exceeds
}

fn below(out: &mut Encoding) -> Exactness {
    push_integer(i64::MIN, out);
    Ends
}

/// An atom's bytes, which take long to come by.
#[derive(Clone, Copy)]
struct KnownAtom {
    word: u64,
    len: usize,
    bytes: [u8; Encoding::MAX],
}

const KNOWN_ATOMS: usize = 64;

thread_local! {
    /// Atoms that were encoded lately, by their words.
    static ATOMS: RefCell<[KnownAtom; KNOWN_ATOMS]> = const {
        RefCell::new([KnownAtom { word: 0, len: 0, bytes: [0; Encoding::MAX] }; KNOWN_ATOMS])
    };
}

fn place_of(atom: BeamTerm) -> usize {
    mix(atom.word()) as usize % KNOWN_ATOMS
}

/// False where the term is not an atom that was encoded lately.
fn push_known_atom(term: BeamTerm, out: &mut Encoding) -> bool {
    ATOMS.with_borrow(|atoms| {
        let atom = &atoms[place_of(term)];
        let is_known = atom.word == term.word();
        if is_known {
            out.extend(&atom.bytes[..atom.len]);
        }
        is_known
    })
}

fn encode_atom(term: BeamTerm, out: &mut Encoding) -> Exactness {
    let mut alone = Encoding::of_bytes(&[class::ATOM]);
    if term.with_text(|text| push_text(text, &mut alone)).is_none() {
        out.push(class::ATOM);
        return Ends;
    }
    let mut atom = KnownAtom {
        word: term.word(),
        len: alone.len(),
        bytes: [0; Encoding::MAX],
    };
    alone.write_to(&mut atom.bytes);
    out.extend(&atom.bytes[..atom.len]);
    ATOMS.with_borrow_mut(|atoms| atoms[place_of(term)] = atom);
    Exact
}

fn push_bytes(bytes: &[u8], out: &mut Encoding, place: Place) -> Exactness {
    match place {
        Place::Alone => {
            out.extend(bytes);
            Ends
        }
        Place::Within => {
            push_text(bytes, out);
            Exact
        }
    }
}

fn encode_bitstring(term: BeamTerm, out: &mut Encoding, place: Place) -> Exactness {
    out.push(class::BITSTRING);
    let whole = term.with_bytes(|bytes| push_bytes(bytes, out, place));
    whole.unwrap_or_else(|| {
        // BIT_BINARY_EXT: the length in bytes, the number of bits in the last, the bytes.
        term.with_external(|external| {
            if let [131, 77, _, _, _, _, bits, bytes @ .., last] = external {
                let last = last & !(0xFF_u8 >> bits);
                match place {
                    Place::Alone => {
                        out.extend(bytes);
                        out.push(last);
                    }
                    Place::Within => {
                        push_escaped(bytes, out);
                        push_escaped(&[last], out);
                    }
                }
            }
        });
        // Its bytes are those of the binary filled up with zero bits, which is greater.
        Ends
    })
}

/// Text and its end: a 0, which text that goes on is greater than.
fn push_text(text: &[u8], out: &mut Encoding) {
    push_escaped(text, out);
    out.push(0);
}

/// 0 and 1 become 1 1 and 1 2: nothing within a text looks like its end.
fn push_escaped(text: &[u8], out: &mut Encoding) {
    for &byte in text {
        if out.is_full() {
            break;
        }
        if byte <= 1 {
            out.push(1);
            out.push(byte + 1);
        } else {
            out.push(byte);
        }
    }
}
