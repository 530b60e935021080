//! Slots: the table divided into numbered parts.
//!
//! The slots of an ordered table are its objects. A hash table has a fixed number of slots, each of
//! which has the keys whose hashes begin with its number: whatever the table's size becomes, a key
//! stays in its slot.

use crossbeam_epoch::Guard;

use crate::cursor::{Position, Walk};
use crate::directory::{Leaves, ProbeOf};
use crate::leaf::{Body, Direction, Entry, Probe, Seek, key_of};
use crate::lock::Contended;
use crate::table::{AnyDirectory, Table, with_leaves};
use crate::term::Term;

const HASH_SLOT_BITS: u32 = 12;
/// Leaves that are passed in one go.
const LEAVES: usize = 64;

/// The number of slots of a hash table.
pub const HASH_SLOTS: usize = 1 << HASH_SLOT_BITS;

/// The slot of a hash table that has the key.
pub fn hash_slot<T: Term>(key: T) -> usize {
    (key.hash() >> (u64::BITS - HASH_SLOT_BITS)) as usize
}

impl<'g, T: Term> Position<'g, T> {
    /// Before the first object of a hash table's slot.
    pub fn before_hash_slot(slot: usize) -> Self {
        Self::before_hash((slot as u64) << (u64::BITS - HASH_SLOT_BITS))
    }
}

/// How far a walk over objects that are not looked at has come.
pub enum Passed<'g, T: Term> {
    /// At a place that has so many objects less before it than wanted, perhaps none.
    At(Position<'g, T>, usize),
    /// At the end of the table, with so many objects less before it than wanted.
    End(usize),
}

impl<T: Term> Table<T> {
    /// Goes from `from` on behind the next `count` objects of an ordered table, or as many of them
    /// as can be done in one go.
    pub fn pass<'g>(
        &self,
        from: Position<'g, T>,
        count: usize,
        guard: &'g Guard,
    ) -> Result<Passed<'g, T>, Contended> {
        with_leaves!(
            self.store(guard),
            hash _directory => Ok(Passed::End(count)),
            ordered directory => self.walk(directory, Direction::Forward).pass(from, count, guard)
        )
    }
}

impl<'a, D> Walk<'a, D> {
    fn pass<'g, T: Term>(
        &self,
        from: Position<'g, T>,
        count: usize,
        guard: &'g Guard,
    ) -> Result<Passed<'g, T>, Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        let mut seek = match from.key() {
            Some(key) => Seek::After(ProbeOf::<T, D>::of(key)),
            None => Seek::Start,
        };
        let mut at = from;
        let mut wanted = count;
        for _ in 0..LEAVES {
            if wanted == 0 {
                break;
            }
            let leaf = self.directory.leaf_at(&seek, guard);
            let passed = self.directory.read(
                leaf,
                guard,
                |body| body.covers_seek(&seek),
                |body, intact| {
                    let first = body.seek(&seek, self.keypos, intact, guard)?;
                    let passed = wanted.min(body.slots().saturating_sub(first));
                    let last = first + passed;
                    let key = match last.checked_sub(1).and_then(|slot| body.entry(slot)) {
                        Some(Entry { word, .. }) => {
                            intact.check()?;
                            // SAFETY: the leaf was intact, so the word is that of an object, which
                            // the guard keeps.
                            Some(key_of(unsafe { T::from_word(word) }, self.keypos))
                        }
                        None => None,
                    };
                    Ok((passed, key, body.beyond(self.direction)))
                },
            )?;
            let Some((passed, key, beyond)) = passed else {
                continue;
            };
            if let Some(key) = key {
                at = Position::after(key);
            }
            wanted -= passed;
            match beyond {
                None if wanted > 0 => return Ok(Passed::End(wanted)),
                Some(beyond) => seek = beyond,
                None => {}
            }
        }
        Ok(Passed::At(at, wanted))
    }
}
