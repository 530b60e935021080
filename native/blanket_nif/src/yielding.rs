//! Long work in slices, so that no call holds a scheduler.
//!
//! A [`Work`] that its first slice does not finish is parked in a resource, which the VM passes to
//! the next slice along with the caller's terms that the work still needs. A process that is
//! killed between slices drops the resource, and with it the work.

use std::ffi::{CStr, c_int};

use parking_lot::Mutex;
use rustler::sys::{self, ErlNifEnv, ErlNifTerm, ErlNifTimeUnit};

use crate::raw::{self, Answer, Call, Failure};
use crate::resource::{self, Class, Ref, Resource, TableRef};
use crate::term::BeamTerm;

pub enum Step {
    Done(BeamTerm),
    More,
}

pub trait Work: Send + 'static {
    /// The table that is read: when it is deleted, or a snapshot ends, so does the work.
    fn table(&self) -> Option<&TableRef> {
        None
    }

    /// Works until it is done or `slice` is over. `live` is the caller's term that the work needs
    /// from slice to slice: a term kept elsewhere would be lost to the garbage collector.
    fn step(
        &mut self,
        call: &Call<'_>,
        live: &mut BeamTerm,
        slice: &Slice,
    ) -> Result<Step, Failure>;
}

/// The time that a call may take before it yields.
pub struct Slice {
    start: i64,
}

impl Slice {
    const MICROSECONDS: i64 = 400;
    /// A hundredth of the millisecond that processes run for, in microseconds.
    const PERCENT: i64 = 10;
    /// Objects that are handled between two looks at the clock.
    pub const OBJECTS: usize = 32;

    pub fn new() -> Self {
        Slice { start: now() }
    }

    pub fn is_over(&self) -> bool {
        self.used() >= Self::MICROSECONDS
    }

    /// Takes what was used from the time that the process may run before others do. To the VM a
    /// call costs next to nothing, however long it took.
    pub fn charge(&self, call: &Call<'_>) {
        let percent = self.used() / Self::PERCENT;
        if percent > 0 {
            call.consume_timeslice(percent.min(100));
        }
    }

    fn used(&self) -> i64 {
        now() - self.start
    }
}

fn now() -> i64 {
    // SAFETY: called on a scheduler thread.
    unsafe { sys::enif_monotonic_time(ErlNifTimeUnit::ERL_NIF_USEC) }
}

/// Work between two slices; none when it is over, though the process may still have the term.
struct Parked {
    work: Mutex<Option<Box<dyn Work>>>,
    name: &'static CStr,
    /// See [`Call::waits`].
    waits: bool,
}

impl Resource for Parked {
    const NAME: &'static CStr = c"Blanket.Work";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<Parked> = Class::new();
        &CLASS
    }
}

/// # Safety
///
/// `env` is the environment of a load or upgrade.
pub unsafe fn open_class(env: *mut ErlNifEnv) -> bool {
    // SAFETY: passed on.
    unsafe { Parked::class().open(env) }
}

/// Runs `work` to its end, in as many slices as it takes.
pub fn run(call: &Call<'_>, mut work: impl Work, mut live: BeamTerm) -> Answer {
    let slice = Slice::new();
    match work.step(call, &mut live, &slice) {
        Ok(Step::Done(answer)) => {
            slice.charge(call);
            Ok(answer)
        }
        Ok(Step::More) | Err(Failure::Contended) => Ok(later(call, work, live)),
        Err(failure) => Err(failure),
    }
}

/// Gives up the scheduler, and goes on with `work` in another slice.
pub fn later(call: &Call<'_>, work: impl Work, live: BeamTerm) -> BeamTerm {
    let parked = Ref::new(Parked {
        work: Mutex::new(Some(Box::new(work))),
        name: call.name,
        waits: call.waits.take(),
    });
    call.schedule(go_on, &[parked.to_term(call.env), live])
}

unsafe extern "C" fn go_on(
    env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    let next = |call: &Call<'_>| {
        let [state, mut live] = *call.args else {
            return Err(Failure::BadArg);
        };
        // SAFETY: the state is an argument of this call.
        let parked = unsafe { resource::borrow::<Parked>(env, state) }.ok_or(Failure::BadArg)?;
        let call = Call {
            name: parked.name,
            ..*call
        };
        let slice = Slice::new();
        let mut held = parked.work.lock();
        let work = held.as_mut().ok_or(Failure::BadArg)?;
        if work.table().is_some_and(|table| table.access.is_dead()) {
            *held = None;
            return Err(Failure::BadArg);
        }
        let answer = match work.step(&call, &mut live, &slice) {
            Ok(Step::More) | Err(Failure::Contended) => {
                return Ok(call.schedule(go_on, &[state, live]));
            }
            Ok(Step::Done(answer)) => {
                slice.charge(&call);
                call.waits.set(parked.waits);
                Ok(answer)
            }
            Err(failure) => Err(failure),
        };
        *held = None;
        answer
    };
    // SAFETY: the VM's own arguments, passed on.
    unsafe { raw::run(env, argc, argv, c"go_on", go_on, go_on, next) }
}
