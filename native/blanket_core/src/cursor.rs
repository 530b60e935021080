//! Traversals: from a position on, in steps of one key or in portions.
//!
//! A position is a key, not a place in memory. So whatever is inserted, deleted or grown
//! meanwhile, a traversal goes on behind the key that it saw last.

use std::marker::PhantomData;
use std::ops::Range;

use crossbeam_epoch::Guard;

use crate::directory::{LeafOf, Leaves, ProbeOf};
use crate::hint::{self, Hint};
use crate::leaf::{Body, Direction, Entry, Probe, Seek, collect};
use crate::lock::{Contended, Intact, Torn};
use crate::object::Object;
use crate::objects::{Objects, ParkedObjects};
use crate::page::OwnedTerm;
use crate::run::RunView;
use crate::term::Term;

/// Why there is no next key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    Contended,
    /// The key to go on from is not in the table, which is of a hash kind.
    NoSuchKey,
}

impl From<Contended> for StepError {
    fn from(Contended: Contended) -> Self {
        StepError::Contended
    }
}

/// Where a scan goes on. What it refers to is valid while the guard lives.
#[derive(Clone)]
pub struct Position<'g, T: Term> {
    place: Place<T>,
    _guard: PhantomData<&'g Guard>,
}

#[derive(Clone)]
enum Place<T: Term> {
    Start,
    /// Before the first object of a hash kind whose key has no lesser hash.
    Hash(u64),
    After(T),
    /// In the objects of one key; all of them have been seen where the number is their length.
    Run(RunView<T>, usize),
}

impl<'g, T: Term> Position<'g, T> {
    /// Before all objects; for a backward scan, behind them.
    pub fn start() -> Self {
        Self::at(Place::Start)
    }

    /// Behind all objects of `key`; for a backward scan, before them.
    pub fn after(key: T) -> Self {
        Self::at(Place::After(key))
    }

    pub(crate) fn run(view: RunView<T>) -> Self {
        Self::at(Place::Run(view, 0))
    }

    pub(crate) fn before_hash(hash: u64) -> Self {
        Self::at(Place::Hash(hash))
    }

    /// The key that this is behind.
    pub(crate) fn key(&self) -> Option<T> {
        match self.place {
            Place::After(key) => Some(key),
            _ => None,
        }
    }

    /// Where this is in a key of many objects: all of them, and the place behind them.
    pub fn many(&self) -> Option<(ParkedObjects<T>, Self)> {
        match &self.place {
            Place::Run(view, _) => Some((
                ParkedObjects::of(view.clone()),
                Self::at(Place::Run(view.clone(), view.len())),
            )),
            _ => None,
        }
    }

    fn at(place: Place<T>) -> Self {
        Position {
            place,
            _guard: PhantomData,
        }
    }

    /// Keeps the position beyond the guard.
    pub fn park(self) -> Parked<T> {
        Parked(match self.place {
            Place::Start => ParkedPlace::Start,
            Place::Hash(hash) => ParkedPlace::Hash(hash),
            Place::After(key) => ParkedPlace::After(OwnedTerm::new(key)),
            Place::Run(view, at) => ParkedPlace::Run(view, at),
        })
    }
}

/// A position that depends on nothing.
pub struct Parked<T: Term>(ParkedPlace<T>);

enum ParkedPlace<T: Term> {
    Start,
    Hash(u64),
    After(OwnedTerm<T>),
    Run(RunView<T>, usize),
}

impl<T: Term> Parked<T> {
    /// The position again, while `self` lives.
    pub fn unpark(&self) -> Position<'_, T> {
        Position::at(match &self.0 {
            ParkedPlace::Start => Place::Start,
            ParkedPlace::Hash(hash) => Place::Hash(*hash),
            ParkedPlace::After(key) => Place::After(key.term()),
            ParkedPlace::Run(view, at) => Place::Run(view.clone(), *at),
        })
    }
}

/// Slots that are counted in one go, about.
const SLOTS: usize = 1 << 15;

/// What is the same for all steps of a traversal.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'a, D> {
    pub directory: &'a D,
    pub keypos: usize,
    pub direction: Direction,
}

impl<'a, D> Walk<'a, D> {
    /// Fills in the objects of the first key from `seek` on.
    pub fn step<'g, T: Term>(
        &self,
        found: &mut Objects<'g, T>,
        mut seek: Seek<ProbeOf<T, D>>,
        guard: &'g Guard,
    ) -> Result<(), Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        loop {
            let leaf = self.directory.leaf_at(&seek, guard);
            let step = self.directory.read(
                leaf,
                guard,
                |body| body.covers_seek(&seek),
                |body, intact| {
                    let at = body.seek(&seek, self.keypos, intact, guard)?;
                    self.step_in(found, leaf, body, at, intact, guard)
                },
            )?;
            match step {
                Some(InLeaf::Found) => return Ok(()),
                Some(InLeaf::Beyond(body)) => match body.beyond(self.direction) {
                    Some(beyond) => seek = beyond,
                    None => {
                        found.clear();
                        return Ok(());
                    }
                },
                None => {}
            }
        }
    }

    /// Fills in the objects of the first key behind `key`; answers whether `key` is there itself.
    #[inline]
    pub fn step_from<'g, T: Term>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<bool, Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        let hinted = self.step_from_hint(found, key, guard)?;
        let (there, step) = match hinted {
            Some(step) => (true, step),
            None => self.step_from_probe(found, ProbeOf::<T, D>::of(key), guard)?,
        };
        if let InLeaf::Beyond(body) = step {
            match body.beyond(self.direction) {
                Some(beyond) => self.step(found, beyond, guard)?,
                None => found.clear(),
            }
        }
        Ok(there)
    }

    /// `None` where the last step of this thread did not end at `key`.
    #[inline]
    fn step_from_hint<'g, T: Term>(
        &self,
        found: &mut Objects<'g, T>,
        key: T,
        guard: &'g Guard,
    ) -> Result<Option<InLeaf<'g, D::Body>>, Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        // SAFETY: the generation is that of the directory, which `'a` keeps.
        let recall = |generation| unsafe { hint::recall(generation, guard) };
        let hint = self.directory.generation().and_then(recall);
        let Some((leaf, slot)): Option<(&LeafOf<T, D>, _)> = hint else {
            return Ok(None);
        };
        let step = self.directory.read(
            leaf,
            guard,
            |body: &D::Body| slot < body.slots(),
            |body, intact| {
                let Some(entry) = body.entry(slot) else {
                    return Ok(None);
                };
                intact.check()?;
                // SAFETY: the leaf was intact, so the entry is whole.
                if !unsafe { entry.key::<T>(self.keypos, guard) }.matches(key) {
                    return Ok(None);
                }
                let mut at = slot;
                if self.direction == Direction::Forward {
                    at += 1;
                    while at < body.slots()
                        && body.same_group(slot, at, self.keypos, intact, guard)?
                    {
                        at += 1;
                    }
                }
                self.step_in(found, leaf, body, at, intact, guard).map(Some)
            },
        )?;
        Ok(step.flatten())
    }

    fn step_from_probe<'g, T: Term>(
        &self,
        found: &mut Objects<'g, T>,
        probe: ProbeOf<T, D>,
        guard: &'g Guard,
    ) -> Result<(bool, InLeaf<'g, D::Body>), Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        loop {
            let leaf = self.directory.leaf(&probe, guard);
            let step = self.directory.read(
                leaf,
                guard,
                |body| body.covers(&probe),
                |body, intact| {
                    let slots = body.group(&probe, self.keypos, intact, guard)?;
                    let at = match self.direction {
                        Direction::Forward => slots.end,
                        Direction::Backward => slots.start,
                    };
                    let step = self.step_in(found, leaf, body, at, intact, guard)?;
                    Ok((!slots.is_empty(), step))
                },
            )?;
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    #[inline(always)]
    fn step_in<'g, T: Term>(
        &self,
        found: &mut Objects<'g, T>,
        leaf: &LeafOf<T, D>,
        body: &'g D::Body,
        at: usize,
        intact: Intact<'_>,
        guard: &'g Guard,
    ) -> Result<InLeaf<'g, D::Body>, Torn>
    where
        D: Leaves<T>,
    {
        let Some(slots) = self.group_at(body, at, intact, guard)? else {
            return Ok(InLeaf::Beyond(body));
        };
        let generation = self.directory.generation();
        let hint = generation.map(|generation| Hint::of(generation, leaf, slots.start));
        collect(body, slots, intact, guard, found)?;
        if let Some(hint) = hint {
            intact.check()?;
            // SAFETY: it was just checked, and its body covered what was sought.
            unsafe { hint.remember() };
        }
        Ok(InLeaf::Found)
    }

    /// See [`crate::Table::scan_until`].
    pub fn scan<'g, T: Term>(
        &self,
        from: Position<'g, T>,
        until: Option<&ProbeOf<T, D>>,
        max: usize,
        guard: &'g Guard,
        out: &mut Vec<Object<T>>,
    ) -> Result<Option<Position<'g, T>>, Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        let first = out.len();
        if let Place::Run(view, at) = &from.place {
            let end = view.len().min(at + max);
            out.extend((*at..end).filter_map(|at| view.get(at).map(Object::in_arena)));
            if end < view.len() || end > *at {
                return Ok(Some(Position::at(Place::Run(view.clone(), end))));
            }
        }
        let mut seek = self.onward(&from);
        loop {
            let leaf = self.directory.leaf_at(&seek, guard);
            let begin = out.len();
            let read = self.directory.read(
                leaf,
                guard,
                |body| body.covers_seek(&seek),
                |body, intact| {
                    out.truncate(begin);
                    let mut at = body.seek(&seek, self.keypos, intact, guard)?;
                    let end = match until {
                        None => None,
                        Some(until) => Some(body.until(until, self.keypos, intact)?),
                    };
                    let is_beyond = |slot: usize| {
                        end.is_some_and(|end| {
                            (slot < end) != (self.direction == Direction::Forward)
                        })
                    };
                    while out.len() - first < max {
                        let Some(slots) = self.group_at(body, at, intact, guard)? else {
                            return Ok(Portion::End(body.beyond(self.direction)));
                        };
                        if is_beyond(slots.start) {
                            return Ok(Portion::End(None));
                        }
                        at = match self.direction {
                            Direction::Forward => slots.end,
                            Direction::Backward => slots.start,
                        };
                        for slot in slots {
                            let Some(entry) = body.entry(slot) else {
                                continue;
                            };
                            intact.check()?;
                            if entry.page != Entry::RUN {
                                // SAFETY: the leaf was intact, so the entry is whole; the guard
                                // keeps what it leads to.
                                out.push(unsafe { Object::take(entry) });
                                continue;
                            }
                            if out.len() > first {
                                return Ok(Portion::Full);
                            }
                            // SAFETY: the leaf was intact, so the entry is whole.
                            if let Some(run) = unsafe { entry.run::<T>(guard) } {
                                return Ok(Portion::Run(run.view(guard)));
                            }
                        }
                    }
                    Ok(Portion::Full)
                },
            )?;
            match read {
                None => out.truncate(begin),
                Some(Portion::End(None)) => return Ok(None),
                Some(Portion::End(Some(beyond))) => seek = beyond,
                Some(Portion::Run(view)) => {
                    let run = Position::at(Place::Run(view, 0));
                    return self.scan(run, until, max, guard, out);
                }
                Some(Portion::Full) => {
                    let last = out.last().map(|object| object.elements()[self.keypos - 1]);
                    return Ok(last.map(Position::after));
                }
            }
        }
    }

    /// The objects in some leaves from `from` on, and where to go on; see [`crate::Table::count`].
    pub fn count<'g, T: Term>(
        &self,
        from: Position<'g, T>,
        guard: &'g Guard,
    ) -> Result<(usize, Option<Position<'g, T>>), Contended>
    where
        'a: 'g,
        D: Leaves<T>,
    {
        let mut seek = self.onward(&from);
        let (mut objects, mut passed) = (0, 0);
        loop {
            let leaf = self.directory.leaf_at(&seek, guard);
            let read = self.directory.read(
                leaf,
                guard,
                |body| body.covers_seek(&seek),
                |body, intact| {
                    let slots = body.seek(&seek, self.keypos, intact, guard)?..body.slots();
                    passed += slots.len();
                    let (mut count, mut last) = (0, None);
                    for entry in slots.filter_map(|slot| body.entry(slot)) {
                        count += 1;
                        last = Some(entry);
                        if entry.page == Entry::RUN {
                            intact.check()?;
                            // SAFETY: the leaf was intact, so the entry is whole.
                            count += unsafe { entry.run::<T>(guard) }
                                .map_or(0, |run| run.len(guard) - 1);
                        }
                    }
                    intact.check()?;
                    // SAFETY: as above.
                    let last = last.map(|entry| unsafe { entry.key(self.keypos, guard) });
                    Ok((count, last, body.beyond(self.direction)))
                },
            )?;
            let Some((count, last, beyond)) = read else {
                continue;
            };
            objects += count;
            match (beyond, last) {
                (None, _) => return Ok((objects, None)),
                (Some(_), Some(last)) if passed >= SLOTS => {
                    return Ok((objects, Some(Position::after(last))));
                }
                (Some(beyond), _) => seek = beyond,
            }
        }
    }

    /// Where a traversal goes on, if it has seen all objects of the key that it is at.
    pub fn onward<T: Term>(&self, from: &Position<'_, T>) -> Seek<ProbeOf<T, D>>
    where
        D: Leaves<T>,
    {
        let behind = |key| match self.direction {
            Direction::Forward => Seek::After(ProbeOf::<T, D>::of(key)),
            Direction::Backward => Seek::Before(ProbeOf::<T, D>::of(key)),
        };
        match &from.place {
            Place::Start => match self.direction {
                Direction::Forward => Seek::Start,
                Direction::Backward => Seek::End,
            },
            Place::Hash(hash) => Seek::Hash(*hash),
            Place::After(key) => behind(*key),
            Place::Run(view, _) => behind(view.key(self.keypos)),
        }
    }

    /// The slots of the first group from a slot on; backwards, of the last one before it.
    #[inline]
    pub fn group_at<T: Term>(
        &self,
        body: &D::Body,
        at: usize,
        intact: Intact<'_>,
        guard: &Guard,
    ) -> Result<Option<Range<usize>>, Torn>
    where
        D: Leaves<T>,
    {
        let slots = body.slots();
        let occupied = |slot: &usize| body.entry(*slot).is_some();
        let start = match self.direction {
            Direction::Forward => (at..slots).find(occupied),
            Direction::Backward => (0..at.min(slots)).rev().find(occupied),
        };
        let Some(start) = start else { return Ok(None) };
        let mut end = start + 1;
        while end < slots && body.same_group(start, end, self.keypos, intact, guard)? {
            end += 1;
        }
        Ok(Some(start..end))
    }
}

/// What a step came to in one leaf.
enum InLeaf<'g, B> {
    Found,
    /// The leaf has no more.
    Beyond(&'g B),
}

/// What a scan got from one leaf.
enum Portion<T: Term, P> {
    Full,
    /// All that is left of the leaf; the traversal goes on there.
    End(Option<Seek<P>>),
    Run(RunView<T>),
}
