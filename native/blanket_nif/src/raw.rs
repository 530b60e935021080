//! Raw NIFs: the calls of every day, without a wrapper's allocations.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use blanket_core::{Contended, Guard};
use rustler::sys::{
    self, ERL_NIF_DIRTY_JOB_IO_BOUND, ErlNifDirtyTaskFlags, ErlNifEnv, ErlNifPid, ErlNifTerm,
};

use crate::atoms;
use crate::registry;
use crate::resource::{self, Borrowed, TableResource};
use crate::snapshot;
use crate::term::{self, BeamTerm};
use crate::turn;

pub type Function = unsafe extern "C" fn(*mut ErlNifEnv, c_int, *const ErlNifTerm) -> ErlNifTerm;

/// What a call comes to: a term in the caller's environment, or why not.
pub type Answer = Result<BeamTerm, Failure>;

#[derive(Debug)]
pub enum Failure {
    BadArg,
    /// A leaf stayed locked too long: nothing was changed, the caller yields and tries again.
    Contended,
}

impl From<Contended> for Failure {
    fn from(_: Contended) -> Self {
        Failure::Contended
    }
}

/// A call in progress.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub env: *mut ErlNifEnv,
    pub args: &'a [BeamTerm],
    pub guard: &'a Guard,
    pub name: &'static CStr,
    /// Whether what the call changes is to be on disk before its caller goes on.
    pub waits: &'a Cell<bool>,
}

/// The table that an argument names, by its reference or by its name.
pub type Table<'a> = Borrowed<'a, TableResource>;

impl<'a> Call<'a> {
    /// The first argument, a table that the caller may read.
    #[inline]
    pub fn table_to_read(&self) -> Result<Table<'a>, Failure> {
        let table = self.table()?;
        let caller = || self.caller();
        let allowed = table.access.may_read(caller) || snapshot::may_read(&table, caller);
        allowed.then_some(table).ok_or(Failure::BadArg)
    }

    /// The first argument, a table that the caller may write.
    #[inline]
    pub fn table_to_write(&self) -> Result<Table<'a>, Failure> {
        let table = self.table()?;
        match table.access.may_write(|| self.caller()) {
            true => Ok(table),
            false => self.refused(table),
        }
    }

    /// A table that the caller may not write now.
    #[cold]
    fn refused<'t>(&self, table: Table<'t>) -> Result<Table<'t>, Failure> {
        match self.may_write(&table)? {
            true => Ok(table),
            false => Err(Failure::BadArg),
        }
    }

    /// Whether the caller may write a table, for which it has to wait as long as that is closed.
    pub fn may_write(&self, table: &TableResource) -> Result<bool, Failure> {
        let caller = self.caller();
        let might = table.access.might_write(|| caller);
        if might && table.access.is_closed() && turn::holds_back(caller) {
            return Err(Failure::Contended);
        }
        if let Some(durable) = table.durable.as_ref().filter(|_| might) {
            if durable.is_closed_to_changes() {
                return Err(Failure::BadArg);
            }
            self.waits.set(self.waits.get() || durable.waits());
        }
        Ok(might)
    }

    /// The first argument, a table that is told about and not read.
    pub fn any_table(&self) -> Result<Table<'a>, Failure> {
        self.table()
    }

    #[inline(always)]
    fn table(&self) -> Result<Table<'a>, Failure> {
        // SAFETY: the arguments live as long as the call, which `'a` does not outlive.
        let table = unsafe { resource::borrow(self.env, self.args[0]) };
        table
            .or_else(|| registry::borrow_named(self.args[0], self.guard))
            .ok_or(Failure::BadArg)
    }

    /// The calling process's pid word.
    pub fn caller(&self) -> u64 {
        self.myself().word()
    }

    /// The calling process.
    pub fn myself(&self) -> BeamTerm {
        // SAFETY: the environment is that of the running call.
        BeamTerm::from(unsafe { sys::enif_make_pid(self.env, self.pid()) })
    }

    pub fn pid(&self) -> ErlNifPid {
        let mut pid = MaybeUninit::uninit();
        // SAFETY: the environment is a running process's; the function fills in `pid`.
        unsafe {
            sys::enif_self(self.env, pid.as_mut_ptr());
            pid.assume_init()
        }
    }

    /// A stored term, copied to the caller.
    #[inline]
    pub fn copy(&self, term: BeamTerm) -> BeamTerm {
        // SAFETY: the environment is that of the running call.
        unsafe { term.copy_to(self.env) }
    }

    /// A tuple of terms that are the caller's own, as everything must be that is put together in its
    /// environment, even for a moment. A table's term in there is damaged: a garbage collection may keep whole
    /// what a call has left behind, and takes all that is not elsewhere for a part of the heap, to be moved.
    #[inline]
    pub fn tuple(&self, elements: &[BeamTerm]) -> BeamTerm {
        // SAFETY: the elements are the caller's or immediates; the environment is the call's.
        unsafe { term::make_tuple(self.env, elements) }
    }

    #[inline]
    pub fn cell(&self, head: BeamTerm, tail: BeamTerm) -> BeamTerm {
        // SAFETY: both terms are the caller's, as is the environment.
        BeamTerm::from(unsafe { sys::enif_make_list_cell(self.env, head.raw(), tail.raw()) })
    }

    #[inline]
    pub fn list(&self, terms: &[BeamTerm]) -> BeamTerm {
        // SAFETY: the terms are the caller's; BeamTerm is a transparent wrapper.
        BeamTerm::from(unsafe {
            sys::enif_make_list_from_array(self.env, terms.as_ptr().cast(), terms.len() as u32)
        })
    }

    /// Takes hundredths of the time that the process may run before others do, at least one.
    pub fn consume_timeslice(&self, percent: i64) {
        // SAFETY: the environment is that of the running call.
        unsafe { sys::enif_consume_timeslice(self.env, percent as c_int) };
    }

    /// Gives up the scheduler; the VM goes on with `function` and `arguments` later.
    pub fn schedule(&self, function: Function, arguments: &[BeamTerm]) -> BeamTerm {
        self.consume_timeslice(100);
        self.schedule_on(0, function, arguments)
    }

    fn schedule_on(
        &self,
        flags: ErlNifDirtyTaskFlags,
        function: Function,
        arguments: &[BeamTerm],
    ) -> BeamTerm {
        // SAFETY: the arguments are the caller's terms; BeamTerm is a transparent wrapper.
        BeamTerm::from(unsafe {
            sys::enif_schedule_nif(
                self.env,
                self.name.as_ptr(),
                flags as c_int,
                function,
                arguments.len() as c_int,
                arguments.as_ptr().cast(),
            )
        })
    }

    /// Has the call begin again when others have run; where a turn holds the caller back, after a while.
    #[cold]
    fn try_again(&self, function: Function, held_back: Function) -> BeamTerm {
        self.consume_timeslice(100);
        match turn::holds_back(self.caller()) {
            true => self.schedule_on(ERL_NIF_DIRTY_JOB_IO_BOUND, held_back, self.args),
            false => self.schedule_on(0, function, self.args),
        }
    }
}

/// How long who is held back sleeps before it looks again.
const PAUSE: Duration = Duration::from_micros(500);

/// Waits, and has the call begin again.
///
/// # Safety
///
/// Called by the VM, on a dirty scheduler, with the environment and the arguments of a call of `function`.
pub unsafe fn hold_back(
    env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
    name: &'static CStr,
    function: Function,
) -> ErlNifTerm {
    thread::sleep(PAUSE);
    // SAFETY: the VM's own arguments, passed on.
    unsafe { sys::enif_schedule_nif(env, name.as_ptr(), 0, function, argc, argv) }
}

#[inline]
pub fn boolean(value: bool) -> BeamTerm {
    BeamTerm::from(if value { atoms::yes() } else { atoms::no() })
}

/// The answer of a call whose changes are not on disk yet, and have to be.
#[cold]
pub fn unsynced(env: *mut ErlNifEnv, answer: BeamTerm) -> BeamTerm {
    // SAFETY: the answer is a term of the call's environment.
    unsafe { term::make_tuple(env, &[atoms::unsynced().into(), answer]) }
}

/// Runs the body of a raw NIF: pins the epoch, catches panics, reschedules `function` when a leaf
/// is contended, or `held_back` while a turn lasts.
///
/// # Safety
///
/// Called by the VM with the environment and the arguments of a call.
#[inline(always)]
pub unsafe fn run(
    env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
    name: &'static CStr,
    function: Function,
    held_back: Function,
    body: impl FnOnce(&Call<'_>) -> Answer,
) -> ErlNifTerm {
    // SAFETY: the VM passes `argc` terms; BeamTerm is a transparent wrapper.
    let args = unsafe { std::slice::from_raw_parts(argv.cast::<BeamTerm>(), argc as usize) };
    let waits = Cell::new(false);
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let guard = blanket_core::pin();
        let call = Call {
            env,
            args,
            guard: &guard,
            name,
            waits: &waits,
        };
        match body(&call) {
            Err(Failure::Contended) => {
                waits.set(false);
                Ok(call.try_again(function, held_back))
            }
            answer => answer,
        }
    }));
    match answer {
        Ok(Ok(term)) if waits.get() => unsynced(env, term).raw(),
        Ok(Ok(term)) => term.raw(),
        // SAFETY: the environment of the running call.
        Ok(Err(_)) => unsafe { sys::enif_make_badarg(env) },
        // SAFETY: as above.
        Err(_) => unsafe { sys::enif_raise_exception(env, atoms::nif_panicked().as_c_arg()) },
    }
}

/// Exports functions from a [`Call`] to an [`Answer`] as NIFs.
macro_rules! export {
    ($($name:literal / $arity:literal = $body:path;)*) => {
        $(const _: () = {
            unsafe extern "C" fn function(
                env: *mut rustler::sys::ErlNifEnv,
                argc: std::ffi::c_int,
                argv: *const rustler::sys::ErlNifTerm,
            ) -> rustler::sys::ErlNifTerm {
                // SAFETY: the VM's own arguments, passed on.
                unsafe { $crate::raw::run(env, argc, argv, $name, function, held_back, $body) }
            }

            unsafe extern "C" fn held_back(
                env: *mut rustler::sys::ErlNifEnv,
                argc: std::ffi::c_int,
                argv: *const rustler::sys::ErlNifTerm,
            ) -> rustler::sys::ErlNifTerm {
                // SAFETY: the VM's own arguments, passed on.
                unsafe { $crate::raw::hold_back(env, argc, argv, $name, function) }
            }

            rustler::codegen_runtime::inventory::submit!(rustler::Nif {
                name: $name.as_ptr(),
                arity: $arity,
                flags: 0,
                raw_func: function,
            });
        };)*
    };
}

pub(crate) use export;
