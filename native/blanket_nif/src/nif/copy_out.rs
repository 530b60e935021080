//! Found objects, copied to the caller as a list.

use blanket_core::{Object, Objects, ParkedObjects, Whole};
use smallvec::SmallVec;

use crate::block;
use crate::packed;
use crate::raw::{Answer, Call, Failure};
use crate::term::BeamTerm;
use crate::yielding::{self, Slice, Step, Work};

/// What of each object the caller wants.
#[derive(Clone, Copy)]
pub enum Part {
    Object,
    /// The element of this index.
    Element(usize),
}

/// Objects that are copied without a look at the clock; as many can always be parked.
const FEW: usize = Slice::OBJECTS;

/// The part of `object`, copied; badarg where the object has no such element.
#[inline]
pub fn part(call: &Call<'_>, object: &Object<BeamTerm>, part: Part) -> Answer {
    Ok(match part {
        Part::Object => whole(call, object),
        Part::Element(index) => match packed::unpack(call, object) {
            Some(unpacked) => *element(unpacked.as_tuple().unwrap_or_default(), index)?,
            None => call.copy(*element(object.elements(), index)?),
        },
    })
}

fn element(elements: &[BeamTerm], index: usize) -> Result<&BeamTerm, Failure> {
    elements.get(index).ok_or(Failure::BadArg)
}

/// The key, which stands at `keypos`.
#[inline]
pub fn key(call: &Call<'_>, object: &Object<BeamTerm>, keypos: usize) -> Answer {
    Ok(call.copy(*element(object.elements(), keypos - 1)?))
}

#[inline]
pub fn whole(call: &Call<'_>, object: &Object<BeamTerm>) -> BeamTerm {
    if let Some(unpacked) = packed::unpack(call, object) {
        return unpacked;
    }
    match object.whole() {
        None => call.tuple(object.elements()),
        // SAFETY: the environment is that of the running call, and the guard keeps the block.
        Some(Whole::Block(block)) => unsafe { block::copy_out(call.env, block, object.elements()) },
        Some(Whole::Arena(object)) => call.copy(object),
    }
}

/// Tells that these objects will be copied.
pub fn expect(objects: &[Object<BeamTerm>]) {
    for object in objects {
        if let Some(Whole::Block(block)) = object.whole() {
            // SAFETY: the guard keeps the block.
            unsafe { block::prefetch(block) };
        }
    }
}

#[inline]
pub fn list(call: &Call<'_>, objects: &Objects<'_, BeamTerm>, wanted: Part) -> Answer {
    if let Some(object) = objects.only() {
        return Ok(call.cell(part(call, object, wanted)?, BeamTerm::nil()));
    }
    match objects.len() {
        0 => Ok(BeamTerm::nil()),
        1..=FEW => {
            let parts: Result<SmallVec<[BeamTerm; FEW]>, _> = objects
                .iter()
                .map(|object| part(call, &object, wanted))
                .collect();
            Ok(call.list(&parts?))
        }
        _ => {
            let work = CopyOut::of(objects, wanted).ok_or(Failure::BadArg)?;
            yielding::run(call, work, BeamTerm::nil())
        }
    }
}

/// `{key, objects}` of found objects, which have their key at `keypos`.
pub fn with_key(call: &Call<'_>, objects: &Objects<'_, BeamTerm>, keypos: usize) -> Answer {
    if let Some(mut work) = CopyOut::of(objects, Part::Object) {
        work.keypos = Some(keypos);
        return yielding::run(call, work, BeamTerm::nil());
    }
    let first = objects.first().ok_or(Failure::BadArg)?;
    let list = list(call, objects, Part::Object)?;
    keyed(call, &first, keypos, list)
}

fn keyed(call: &Call<'_>, object: &Object<BeamTerm>, keypos: usize, list: BeamTerm) -> Answer {
    Ok(call.tuple(&[key(call, object, keypos)?, list]))
}

/// Copies many objects, from the last to the first; the list so far is the live term.
pub struct CopyOut {
    objects: ParkedObjects<BeamTerm>,
    rest: usize,
    wanted: Part,
    /// Where the key is, if it is wanted before the list.
    keypos: Option<usize>,
}

impl CopyOut {
    /// `None` where the objects are few: those are to be copied now.
    pub fn of(objects: &Objects<'_, BeamTerm>, wanted: Part) -> Option<Self> {
        Some(CopyOut {
            wanted,
            ..CopyOut::of_many(objects.park()?)
        })
    }

    pub fn of_many(objects: ParkedObjects<BeamTerm>) -> Self {
        CopyOut {
            rest: objects.len(),
            objects,
            wanted: Part::Object,
            keypos: None,
        }
    }
}

impl Work for CopyOut {
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure> {
        while self.rest > 0 {
            for _ in 0..self.rest.min(Slice::OBJECTS) {
                let object = self.objects.get(self.rest - 1).ok_or(Failure::BadArg)?;
                *live = call.cell(part(call, &object, self.wanted)?, *live);
                self.rest -= 1;
            }
            if self.rest > 0 && slice.is_over() {
                return Ok(Step::More);
            }
        }
        Ok(Step::Done(match self.keypos {
            None => *live,
            Some(keypos) => {
                let first = self.objects.get(0).ok_or(Failure::BadArg)?;
                keyed(call, &first, keypos, *live)?
            }
        }))
    }
}
