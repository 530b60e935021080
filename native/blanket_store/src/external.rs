//! The external term format, as far as a store has to read it: to find the key in an object, and to write
//! keys such that the same key is always the same bytes.
//!
//! The VM writes one term in several ways: an atom in two encodings, a map in the order in which it happens
//! to have its keys, and to an `ordered_set` 1 and 1.0 are one key. In canonical bytes atoms are UTF-8, the
//! pairs of a map are in the order of their keys' bytes, and numbers that compare equal are the same.

/// When two keys are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// As `=:=` says, of 0.0 and -0.0 that they differ.
    Matches,
    /// As `=:=` says, of 0.0 and -0.0 that they do not.
    MatchesOneZero,
    /// As `==` says.
    Compares,
}

/// The bytes are no term, or one that no VM writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const VERSION: u8 = 131;

mod tag {
    pub const NEW_FLOAT: u8 = 70;
    pub const BIT_BINARY: u8 = 77;
    pub const NEW_PID: u8 = 88;
    pub const NEW_PORT: u8 = 89;
    pub const NEWER_REFERENCE: u8 = 90;
    pub const SMALL_INTEGER: u8 = 97;
    pub const INTEGER: u8 = 98;
    pub const ATOM: u8 = 100;
    pub const REFERENCE: u8 = 101;
    pub const PORT: u8 = 102;
    pub const PID: u8 = 103;
    pub const SMALL_TUPLE: u8 = 104;
    pub const LARGE_TUPLE: u8 = 105;
    pub const NIL: u8 = 106;
    pub const STRING: u8 = 107;
    pub const LIST: u8 = 108;
    pub const BINARY: u8 = 109;
    pub const SMALL_BIG: u8 = 110;
    pub const LARGE_BIG: u8 = 111;
    pub const NEW_FUN: u8 = 112;
    pub const EXPORT: u8 = 113;
    pub const NEW_REFERENCE: u8 = 114;
    pub const SMALL_ATOM: u8 = 115;
    pub const MAP: u8 = 116;
    pub const ATOM_UTF8: u8 = 118;
    pub const SMALL_ATOM_UTF8: u8 = 119;
    pub const V4_PORT: u8 = 120;
}

/// The canonical bytes of a key, which is given with the version byte.
pub fn canonical_key(key: &[u8], equality: Equality) -> Result<Vec<u8>, Malformed> {
    let [VERSION, term @ ..] = key else {
        return Err(Malformed);
    };
    let mut out = Vec::with_capacity(term.len());
    let mut reader = Reader(term);
    write_canonical(&mut reader, equality, &mut out)?;
    reader.0.is_empty().then_some(out).ok_or(Malformed)
}

/// The same of the key in an object, a tuple of at least `keypos` elements and nothing behind them.
pub fn key_in(object: &[u8], keypos: usize, equality: Equality) -> Result<Vec<u8>, Malformed> {
    let [VERSION, term @ ..] = object else {
        return Err(Malformed);
    };
    let mut reader = Reader(term);
    let arity = match reader.byte()? {
        tag::SMALL_TUPLE => usize::from(reader.byte()?),
        tag::LARGE_TUPLE => reader.u32()?,
        _ => return Err(Malformed),
    };
    let mut key = None;
    for position in 1..=arity {
        if position == keypos {
            let mut out = Vec::new();
            write_canonical(&mut reader, equality, &mut out)?;
            key = Some(out);
        } else {
            reader.term()?;
        }
    }
    key.filter(|_| reader.0.is_empty()).ok_or(Malformed)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<usize, Malformed> {
        let bytes = self.take(2)?;
        Ok(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn u32(&mut self) -> Result<usize, Malformed> {
        let bytes = self.take(4)?;
        let number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        usize::try_from(number).map_err(|_| Malformed)
    }

    /// Passes a term; answers its bytes.
    fn term(&mut self) -> Result<&'a [u8], Malformed> {
        let before = self.0;
        let mut terms = 1usize;
        while terms > 0 {
            terms -= 1;
            terms = terms.checked_add(self.head()?).ok_or(Malformed)?;
        }
        Ok(&before[..before.len() - self.0.len()])
    }

    /// Passes a term but for the terms that are in it, and answers how many those are.
    fn head(&mut self) -> Result<usize, Malformed> {
        match self.byte()? {
            tag::SMALL_INTEGER => self.take(1).map(|_| 0),
            tag::INTEGER => self.take(4).map(|_| 0),
            tag::NEW_FLOAT => self.take(8).map(|_| 0),
            tag::NIL => Ok(0),
            tag::ATOM | tag::ATOM_UTF8 | tag::STRING => {
                let length = self.u16()?;
                self.take(length).map(|_| 0)
            }
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => {
                let length = usize::from(self.byte()?);
                self.take(length).map(|_| 0)
            }
            tag::BINARY => {
                let length = self.u32()?;
                self.take(length).map(|_| 0)
            }
            tag::BIT_BINARY => {
                let length = self.u32()?;
                self.take(length.checked_add(1).ok_or(Malformed)?)
                    .map(|_| 0)
            }
            tag::SMALL_BIG => {
                let length = usize::from(self.byte()?);
                self.take(length + 1).map(|_| 0)
            }
            tag::LARGE_BIG => {
                let length = self.u32()?;
                self.take(length.checked_add(1).ok_or(Malformed)?)
                    .map(|_| 0)
            }
            tag::SMALL_TUPLE => self.byte().map(usize::from),
            tag::LARGE_TUPLE => self.u32(),
            tag::LIST => self.u32()?.checked_add(1).ok_or(Malformed),
            tag::MAP => self.u32()?.checked_mul(2).ok_or(Malformed),
            tag::EXPORT => Ok(3),
            tag::NEW_FUN => {
                // The size counts itself.
                let size = self.u32()?.checked_sub(4).ok_or(Malformed)?;
                self.take(size).map(|_| 0)
            }
            // The node, an atom, comes first.
            tag::PID => self.atom_and(9),
            tag::NEW_PID => self.atom_and(12),
            tag::PORT => self.atom_and(5),
            tag::NEW_PORT => self.atom_and(8),
            tag::V4_PORT => self.atom_and(12),
            tag::REFERENCE => self.atom_and(5),
            tag::NEW_REFERENCE => {
                let words = self.u16()?;
                self.atom_and(1 + 4 * words)
            }
            tag::NEWER_REFERENCE => {
                let words = self.u16()?;
                self.atom_and(4 + 4 * words)
            }
            _ => Err(Malformed),
        }
    }

    fn atom_and(&mut self, count: usize) -> Result<usize, Malformed> {
        match self.0.first() {
            Some(&(tag::ATOM | tag::SMALL_ATOM | tag::ATOM_UTF8 | tag::SMALL_ATOM_UTF8)) => {
                self.head()?;
                self.take(count).map(|_| 0)
            }
            _ => Err(Malformed),
        }
    }
}

/// A term of which parts are still to be written. These are kept here, not on the stack of the thread: a key
/// may be as deep as memory allows.
struct Unfinished {
    left: usize,
    equality: Equality,
    /// Of a map: where its keys and values begin in what was written.
    starts: Option<Vec<usize>>,
}

impl Unfinished {
    /// The next part is going to be written there; answers when it is the same as another.
    fn next_at(&mut self, start: usize) -> Equality {
        self.left -= 1;
        let Some(starts) = &mut self.starts else {
            return self.equality;
        };
        starts.push(start);
        // The keys of maps match where the maps compare equal.
        match self.equality {
            Equality::Compares if starts.len() % 2 == 1 => Equality::Matches,
            equality => equality,
        }
    }
}

fn write_canonical(
    reader: &mut Reader<'_>,
    equality: Equality,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut unfinished = vec![Unfinished {
        left: 1,
        equality,
        starts: None,
    }];
    while let Some(term) = unfinished.last_mut() {
        if term.left > 0 {
            let equality = term.next_at(out.len());
            unfinished.extend(begin_canonical(reader, equality, out)?);
        } else {
            let starts = unfinished.pop().and_then(|term| term.starts);
            sort_pairs(&starts.unwrap_or_default(), out);
        }
    }
    Ok(())
}

/// Brings the pairs of a map, which are all that was written from the first on, in order.
fn sort_pairs(starts: &[usize], out: &mut Vec<u8>) {
    let Some(&first) = starts.first() else {
        return;
    };
    let written = out.split_off(first);
    let ends = starts.iter().skip(2).step_by(2).chain([&usize::MAX]);
    let mut pairs: Vec<&[u8]> = starts
        .iter()
        .step_by(2)
        .zip(ends)
        .map(|(&start, &end)| &written[start - first..(end - first).min(written.len())])
        .collect();
    // No key begins as another does, so that these are in the order of their keys.
    pairs.sort_unstable();
    pairs.into_iter().for_each(|pair| out.extend(pair));
}

/// Writes a term but for the terms that are in it; answers those.
fn begin_canonical(
    reader: &mut Reader<'_>,
    equality: Equality,
    out: &mut Vec<u8>,
) -> Result<Option<Unfinished>, Malformed> {
    let before = reader.0;
    let Some(&tag) = before.first() else {
        return Err(Malformed);
    };
    match tag {
        tag::ATOM | tag::SMALL_ATOM => {
            reader.byte()?;
            let length = match tag {
                tag::ATOM => reader.u16()?,
                _ => usize::from(reader.byte()?),
            };
            let latin1 = reader.take(length)?;
            let text: String = latin1.iter().map(|&byte| char::from(byte)).collect();
            write_atom(text.as_bytes(), out);
        }
        tag::ATOM_UTF8 | tag::SMALL_ATOM_UTF8 => {
            reader.byte()?;
            let length = match tag {
                tag::ATOM_UTF8 => reader.u16()?,
                _ => usize::from(reader.byte()?),
            };
            write_atom(reader.take(length)?, out);
        }
        tag::NEW_FLOAT => {
            reader.byte()?;
            let bytes = reader.take(8)?;
            let float = f64::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?);
            write_float(float, equality, out);
        }
        tag::STRING if equality == Equality::Compares => {
            reader.byte()?;
            let length = reader.u16()?;
            let bytes = reader.take(length)?;
            write_head(tag::LIST, length, out);
            for &byte in bytes {
                out.extend([tag::SMALL_INTEGER, byte]);
            }
            out.push(tag::NIL);
        }
        tag::SMALL_TUPLE | tag::LARGE_TUPLE | tag::LIST => {
            let left = reader.head()?;
            out.extend_from_slice(&before[..before.len() - reader.0.len()]);
            return Ok(Some(Unfinished {
                left,
                equality,
                starts: None,
            }));
        }
        tag::MAP => {
            let left = reader.head()?;
            write_head(tag::MAP, left / 2, out);
            return Ok(Some(Unfinished {
                left,
                equality,
                starts: Some(Vec::new()),
            }));
        }
        _ => out.extend_from_slice(reader.term()?),
    }
    Ok(None)
}

fn write_head(tag: u8, length: usize, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend((length as u32).to_be_bytes());
}

fn write_atom(text: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(length) => out.extend([tag::SMALL_ATOM_UTF8, length]),
        Err(_) => {
            out.push(tag::ATOM_UTF8);
            out.extend((text.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

fn write_float(float: f64, equality: Equality, out: &mut Vec<u8>) {
    let float = match equality {
        Equality::MatchesOneZero if float == 0.0 => 0.0,
        _ => float,
    };
    if equality == Equality::Compares && float.fract() == 0.0 {
        return write_integer(float, out);
    }
    out.push(tag::NEW_FLOAT);
    out.extend(float.to_be_bytes());
}

/// Writes a float without a fraction as the VM writes the integer that equals it.
fn write_integer(float: f64, out: &mut Vec<u8>) {
    if (0.0..=255.0).contains(&float) {
        return out.extend([tag::SMALL_INTEGER, float as u8]);
    }
    if float >= f64::from(i32::MIN) && float <= f64::from(i32::MAX) {
        out.push(tag::INTEGER);
        return out.extend((float as i32).to_be_bytes());
    }
    let bits = float.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i32 - 1075;
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let mut bytes = match exponent {
        ..0 => (mantissa >> -exponent).to_le_bytes().to_vec(),
        _ => {
            let (whole, rest) = (exponent as usize / 8, exponent as u32 % 8);
            let mut bytes = vec![0; whole];
            bytes.extend((u128::from(mantissa) << rest).to_le_bytes());
            bytes
        }
    };
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    match u8::try_from(bytes.len()) {
        Ok(length) => out.extend([tag::SMALL_BIG, length]),
        Err(_) => write_head(tag::LARGE_BIG, bytes.len(), out),
    }
    out.push(u8::from(float < 0.0));
    out.extend(bytes);
}
