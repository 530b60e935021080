//! Ranges of the keys of a table.

use std::cmp::Ordering;

use blanket_core::{Direction, Position};
use smallvec::SmallVec;

use crate::cut::{Cut, Part, Side};
use crate::term::BeamTerm;

/// The keys between two cuts; `None` is the end of the order. A table that has no order has one range.
pub struct Range {
    low: Option<Cut>,
    high: Option<Cut>,
}

impl Range {
    pub const ALL: Range = Range {
        low: None,
        high: None,
    };

    /// The keys that begin with `parts` and whose next part is between the limits.
    pub fn between(
        parts: &[Part],
        low: Option<(BeamTerm, Side)>,
        high: Option<(BeamTerm, Side)>,
    ) -> Self {
        let cut = |limit, end| match limit {
            Some((limit, side)) => Some(Cut::new(&[parts, &[Part::Whole(limit)]].concat(), side)),
            None if parts.is_empty() => None,
            None => Some(Cut::new(parts, end)),
        };
        Range {
            low: cut(low, Side::Before),
            high: cut(high, Side::Behind),
        }
    }

    pub fn is_empty(&self) -> bool {
        match (&self.low, &self.high) {
            (Some(low), Some(high)) => low.compare(high).is_ge(),
            _ => false,
        }
    }

    /// Before the first of its keys; for a backward scan, behind the last.
    ///
    /// # Safety
    ///
    /// The range stays where it is as long as the position is used.
    pub unsafe fn start<'g>(&self, direction: Direction) -> Position<'g, BeamTerm> {
        match self.side(direction, true) {
            None => Position::start(),
            // SAFETY: as promised.
            Some(cut) => Position::after(unsafe { BeamTerm::cut(cut) }),
        }
    }

    /// What comes behind the last of its keys; for a backward scan, before the first.
    ///
    /// # Safety
    ///
    /// The range stays where it is as long as the term is used.
    pub unsafe fn end(&self, direction: Direction) -> Option<BeamTerm> {
        let cut = self.side(direction, false)?;
        // SAFETY: as promised.
        Some(unsafe { BeamTerm::cut(cut) })
    }

    /// Whether the range comes before a key, on a way through the table.
    pub fn is_passed(&self, key: BeamTerm, direction: Direction) -> bool {
        is_beyond(self.side(direction, false), key, direction)
    }

    /// Whether the range comes behind a key, on a way through the table.
    pub fn is_ahead(&self, key: BeamTerm, direction: Direction) -> bool {
        let back = match direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        is_beyond(self.side(direction, true), key, back)
    }

    fn side(&self, direction: Direction, first: bool) -> Option<&Cut> {
        match (direction == Direction::Forward) == first {
            true => self.low.as_ref(),
            false => self.high.as_ref(),
        }
    }

    /// The same keys in ranges that are in order and apart.
    pub fn apart(ranges: impl Iterator<Item = Range>) -> SmallVec<[Range; 1]> {
        let mut ranges: SmallVec<[Range; 1]> = ranges.collect();
        ranges.sort_by(|one, two| compare(&one.low, &two.low, Ordering::Less));
        ranges.dedup_by(|next, range| {
            let overlap = match (&next.low, &range.high) {
                (Some(low), Some(high)) => low.compare(high).is_le(),
                _ => true,
            };
            if overlap && compare(&next.high, &range.high, Ordering::Greater).is_gt() {
                range.high = next.high.take();
            }
            overlap
        });
        ranges
    }
}

/// Whether the key is on the far side of a cut, which is an end of the order where there is none.
fn is_beyond(cut: Option<&Cut>, key: BeamTerm, direction: Direction) -> bool {
    cut.is_some_and(|cut| match direction {
        Direction::Forward => cut.compare_with_key(key).is_lt(),
        Direction::Backward => cut.compare_with_key(key).is_gt(),
    })
}

/// `none` is what the end of the order is compared with a cut.
fn compare(one: &Option<Cut>, two: &Option<Cut>, none: Ordering) -> Ordering {
    match (one, two) {
        (Some(one), Some(two)) => one.compare(two),
        (None, None) => Ordering::Equal,
        (None, Some(_)) => none,
        (Some(_), None) => none.reverse(),
    }
}
