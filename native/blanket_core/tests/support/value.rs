//! Values as the tests write them, and the relations that the engine asks of terms.
//!
//! The relations are written once, over anything that has a [`Shape`]: a test's own [`Value`] and
//! a term in an arena. Order and match are the BEAM's: numbers are ordered by exact value and
//! match only within their type; numbers < texts < tuples (by size first) < bytes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use blanket_core::Encoding;

use super::rng::mix;

#[derive(Clone)]
pub enum Shape<E> {
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<E>),
    Bytes(Vec<u8>),
}

pub trait Shaped: Sized + Clone {
    fn shape(&self) -> Cow<'_, Shape<Self>>;
}

#[derive(Clone)]
pub struct Value(pub Shape<Value>);

pub fn int(number: i64) -> Value {
    Value(Shape::Int(number))
}

pub fn float(number: f64) -> Value {
    Value(Shape::Float(number))
}

pub fn text(text: impl Into<String>) -> Value {
    Value(Shape::Text(text.into()))
}

pub fn bytes(bytes: impl Into<Vec<u8>>) -> Value {
    Value(Shape::Bytes(bytes.into()))
}

pub fn tuple(elements: impl Into<Vec<Value>>) -> Value {
    Value(Shape::Tuple(elements.into()))
}

impl Shaped for Value {
    fn shape(&self) -> Cow<'_, Shape<Value>> {
        Cow::Borrowed(&self.0)
    }
}

impl Value {
    pub fn elements(&self) -> &[Value] {
        match &self.0 {
            Shape::Tuple(elements) => elements,
            _ => panic!("{self:?} is not a tuple"),
        }
    }

    pub fn as_int(&self) -> i64 {
        match self.0 {
            Shape::Int(number) => number,
            _ => panic!("{self:?} is not an integer"),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        matches(self, other)
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hash(self));
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write(self, f)
    }
}

pub fn write<E: Shaped + fmt::Debug>(term: &E, f: &mut fmt::Formatter) -> fmt::Result {
    match &*term.shape() {
        Shape::Int(number) => write!(f, "{number}"),
        Shape::Float(number) => write!(f, "{number:?}"),
        Shape::Text(text) => write!(f, "{text}"),
        Shape::Tuple(elements) => f.debug_set().entries(elements).finish(),
        Shape::Bytes(bytes) => write!(f, "<<{}>>", bytes.escape_ascii()),
    }
}

pub fn matches<A: Shaped, B: Shaped>(a: &A, b: &B) -> bool {
    match (&*a.shape(), &*b.shape()) {
        (Shape::Int(a), Shape::Int(b)) => a == b,
        (Shape::Float(a), Shape::Float(b)) => a == b,
        (Shape::Text(a), Shape::Text(b)) => a == b,
        (Shape::Bytes(a), Shape::Bytes(b)) => a == b,
        (Shape::Tuple(a), Shape::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches(a, b))
        }
        _ => false,
    }
}

pub fn compare<A: Shaped, B: Shaped>(a: &A, b: &B) -> Ordering {
    match (&*a.shape(), &*b.shape()) {
        (Shape::Int(a), Shape::Int(b)) => a.cmp(b),
        (Shape::Float(a), Shape::Float(b)) => a.total_cmp(b),
        (Shape::Int(a), Shape::Float(b)) => compare_int_to_float(*a, *b),
        (Shape::Float(a), Shape::Int(b)) => compare_int_to_float(*b, *a).reverse(),
        (Shape::Text(a), Shape::Text(b)) => a.cmp(b),
        (Shape::Bytes(a), Shape::Bytes(b)) => a.cmp(b),
        (Shape::Tuple(a), Shape::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| {
            a.iter()
                .zip(b)
                .map(|(a, b)| compare(a, b))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        }),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn compare_int_to_float(int: i64, float: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if float >= TWO_TO_63 {
        return Ordering::Less;
    }
    if float < -TWO_TO_63 {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then(whole.total_cmp(&float))
}

fn rank<E>(shape: &Shape<E>) -> u8 {
    match shape {
        Shape::Int(_) | Shape::Float(_) => 1,
        Shape::Text(_) => 2,
        Shape::Tuple(_) => 3,
        Shape::Bytes(_) => 4,
    }
}

pub fn hash<E: Shaped>(term: &E) -> u64 {
    let bytes_hash = |kind, bytes: &[u8]| {
        bytes
            .iter()
            .fold(kind, |hash, &byte| mix(hash ^ u64::from(byte)))
    };
    match &*term.shape() {
        Shape::Int(number) => mix(mix(*number as u64) ^ 1),
        Shape::Float(number) => mix(mix(number.to_bits()) ^ 2),
        Shape::Text(text) => bytes_hash(3, text.as_bytes()),
        Shape::Tuple(elements) => elements.iter().fold(4, |sum, e| mix(sum ^ hash(e))),
        Shape::Bytes(bytes) => bytes_hash(5, bytes),
    }
}

/// Tuples of one size, texts and bytes stay in order because no encoded element is the beginning
/// of another: a byte 0 is followed by 255, the end is a 0 followed by 0.
pub fn encode<E: Shaped>(term: &E, out: &mut Encoding) {
    let push_bytes = |out: &mut Encoding, bytes: &[u8]| {
        for &byte in bytes {
            out.push(byte);
            if byte == 0 {
                out.push(255);
            }
        }
        out.extend(&[0, 0]);
    };
    if out.is_full() {
        return;
    }
    let shape = &*term.shape();
    out.push(rank(shape));
    match shape {
        Shape::Int(number) => out.push_word(float_in_order(*number as f64), 8),
        Shape::Float(number) => out.push_word(float_in_order(*number), 8),
        Shape::Text(text) => push_bytes(out, text.as_bytes()),
        Shape::Bytes(bytes) => push_bytes(out, bytes),
        Shape::Tuple(elements) => {
            out.push_word(elements.len() as u64, 8);
            elements.iter().for_each(|element| encode(element, out));
        }
    }
}

/// The bits of a float as a number in the float's order.
fn float_in_order(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}
