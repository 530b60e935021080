//! Whether a clause puts every object back under the key that it had.

use blanket_core::Term;

use super::variables::{Meaning, meaning};
use super::{Clause, DEPTH, MatchSpec};
use crate::term::BeamTerm;

impl MatchSpec {
    /// Whether all clauses are seen to answer objects with the key of the one that matched. The VM
    /// may see it of others too.
    pub fn keeps_key(&self, keypos: usize) -> bool {
        self.clauses.iter().all(|clause| clause.keeps_key(keypos))
    }
}

impl Clause {
    fn keeps_key(&self, keypos: usize) -> bool {
        let [pattern, _, body] = *self.source.as_tuple().unwrap_or_default() else {
            return false;
        };
        let Some((answer, tail)) = body.as_cell() else {
            return false;
        };
        if tail != BeamTerm::nil() {
            return false;
        }
        if matches!(meaning(answer), Ok(Meaning::Whole)) {
            return true;
        }
        let key_of = |term: BeamTerm| term.as_tuple()?.get(keypos - 1).copied();
        let Some(key) = key_of(pattern) else {
            return false;
        };
        match answer.as_tuple() {
            Some(&[inner]) => {
                key_of(inner).is_some_and(|new| same(key, new, false, 0) || is_key(new, keypos))
            }
            Some(&[name, term]) if is_named(name, b"const") => {
                key_of(term).is_some_and(|new| same(key, new, true, 0))
            }
            _ => false,
        }
    }
}

fn is_named(name: BeamTerm, text: &[u8]) -> bool {
    name.is_immediate() && name.with_text(|name| name == text) == Some(true)
}

/// `{element, KeyPos, '$_'}`
fn is_key(expression: BeamTerm, keypos: usize) -> bool {
    match expression.as_tuple() {
        Some(&[name, position, object]) => {
            is_named(name, b"element")
                && position.small_integer() == i64::try_from(keypos).ok()
                && matches!(meaning(object), Ok(Meaning::Whole))
        }
        _ => false,
    }
}

/// Whether the expression comes to what the pattern matched. A `constant` is taken as it stands.
fn same(pattern: BeamTerm, expression: BeamTerm, constant: bool, depth: usize) -> bool {
    if depth > DEPTH {
        return false;
    }
    if expression.is_immediate() {
        return pattern == expression
            && match meaning(expression) {
                Ok(Meaning::Variable(_)) => !constant,
                Ok(Meaning::Itself) => true,
                _ => false,
            };
    }
    if let Some(elements) = expression.as_tuple() {
        let elements = match *elements {
            _ if constant => elements,
            [inner] => match inner.as_tuple() {
                Some(elements) => elements,
                None => return false,
            },
            [name, term] if is_named(name, b"const") => {
                return same(pattern, term, true, depth + 1);
            }
            _ => return false,
        };
        return pattern.as_tuple().is_some_and(|parts| {
            let mut both = parts.iter().zip(elements);
            parts.len() == elements.len()
                && both.all(|(&part, &element)| same(part, element, constant, depth + 1))
        });
    }
    if expression.as_cell().is_some() {
        return same_list(pattern, expression, constant, depth);
    }
    expression.map_size().is_none() && pattern.matches(expression)
}

fn same_list(pattern: BeamTerm, expression: BeamTerm, constant: bool, depth: usize) -> bool {
    let (mut pattern, mut expression) = (pattern, expression);
    while let Some((head, tail)) = expression.as_cell() {
        match pattern.as_cell() {
            Some((part, rest)) if same(part, head, constant, depth + 1) => {
                (pattern, expression) = (rest, tail);
            }
            _ => return false,
        }
    }
    same(pattern, expression, constant, depth + 1)
}
