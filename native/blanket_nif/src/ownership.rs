//! Who owns a table, and who comes next.
//!
//! ```text
//! owned(pid) ── give away, claim, heir ──▶ owned(other)
//!     │  ▲
//!     │  └───── claim ─────── orphan ── unkept ──▶ deleted
//!     ├── exit, let go: kept or immortal ──▶ orphan
//!     └── exit, delete ──────────────────────────▶ deleted
//! ```
//!
//! Every transition happens under the table's `ownership` lock, whole or not at all. The calls of
//! every day read only the two words of [`Access`].

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rustler::sys::{self, ErlNifEnv, ErlNifMonitor, ErlNifPid};

use crate::atoms;
use crate::reaper;
use crate::registry::{self, Kept};
use crate::resource::{TableRef, TableResource};
use crate::snapshot;
use crate::sync::MutexGuard;
use crate::term::{BeamTerm, Stored};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protection {
    Public,
    Protected,
    Private,
    Dead,
    /// A snapshot: who may read it is for its table to say.
    Snapshot,
    /// The same of a transaction's watch.
    Watch,
}

/// What every call checks first.
pub struct Access {
    protection: AtomicU8,
    /// The same for those who write, or [`CLOSED`]. Changed with the table's `ownership` locked.
    writing: AtomicU8,
    /// The owner's pid word; 0 for none.
    owner: AtomicU64,
    /// What the protection was before the table was deleted.
    last: AtomicU8,
    /// Writing takes more than a look at the protection.
    is_durable: bool,
}

/// No protection: for the time of a [turn](crate::turn) nobody changes the table but its holder.
const CLOSED: u8 = u8::MAX;
/// None either: of a durable table, whose writers may have to wait or be refused.
const DURABLE: u8 = u8::MAX - 1;

impl Access {
    pub fn new(protection: Protection) -> Self {
        Access {
            protection: AtomicU8::new(protection as u8),
            writing: AtomicU8::new(protection as u8),
            owner: AtomicU64::new(0),
            last: AtomicU8::new(protection as u8),
            is_durable: false,
        }
    }

    /// The same of a durable table.
    pub fn durable(protection: Protection) -> Self {
        Access {
            writing: AtomicU8::new(DURABLE),
            is_durable: true,
            ..Access::new(protection)
        }
    }

    /// `caller` answers the calling process's pid word; it is asked only when it matters.
    #[inline]
    pub fn may_read(&self, caller: impl FnOnce() -> u64) -> bool {
        self.may(&self.protection, Protection::Protected, caller)
    }

    /// Not while the table is closed, nor of a durable table.
    #[inline]
    pub fn may_write(&self, caller: impl FnOnce() -> u64) -> bool {
        self.may(&self.writing, Protection::Public, caller)
    }

    /// Whether a process may write when the table is open.
    pub fn might_write(&self, caller: impl FnOnce() -> u64) -> bool {
        self.may(&self.protection, Protection::Public, caller)
    }

    #[inline]
    fn may(
        &self,
        protection: &AtomicU8,
        open_to_all: Protection,
        caller: impl FnOnce() -> u64,
    ) -> bool {
        let protection = protection.load(Ordering::Acquire);
        protection <= open_to_all as u8
            || protection <= Protection::Private as u8
                && self.owner.load(Ordering::Acquire) == caller()
    }

    pub fn protection(&self) -> Protection {
        Self::named(self.protection.load(Ordering::Acquire))
    }

    /// The protection of a table, which may be deleted.
    pub fn last_protection(&self) -> Protection {
        match self.protection() {
            Protection::Dead => Self::named(self.last.load(Ordering::Acquire)),
            protection => protection,
        }
    }

    fn named(protection: u8) -> Protection {
        match protection {
            0 => Protection::Public,
            1 => Protection::Protected,
            2 => Protection::Private,
            4 => Protection::Snapshot,
            5 => Protection::Watch,
            _ => Protection::Dead,
        }
    }

    pub fn is_owner(&self, pid: u64) -> bool {
        self.owner.load(Ordering::Acquire) == pid
    }

    pub fn is_dead(&self) -> bool {
        self.protection() == Protection::Dead
    }

    fn set_protection(&self, protection: Protection) {
        if protection != Protection::Dead {
            self.last.store(protection as u8, Ordering::Release);
        }
        self.protection.store(protection as u8, Ordering::Release);
        if !self.is_closed() {
            self.open();
        }
    }

    pub fn is_closed(&self) -> bool {
        self.writing.load(Ordering::Acquire) == CLOSED
    }

    pub fn close(&self) {
        self.writing.store(CLOSED, Ordering::Release);
    }

    pub fn open(&self) {
        let writing = match self.is_durable {
            true => DURABLE,
            false => self.protection.load(Ordering::Acquire),
        };
        self.writing.store(writing, Ordering::Release);
    }

    fn set_owner(&self, owner: u64) {
        self.owner.store(owner, Ordering::Release);
    }
}

/// The slow half of a table's ownership, behind its lock.
#[derive(Default)]
pub struct Ownership {
    owner: Option<Owner>,
    heir: Heir,
    kept: Option<Arc<Kept>>,
    passages: Passages,
}

/// How the table went from owner to owner. Times are nanoseconds of the VM's monotonic time.
#[derive(Clone, Copy, Default)]
pub struct Passages {
    /// The owner when the table was created is not counted.
    pub hand_overs: u64,
    /// When it got the owner that it has, or became an orphan; `None` before it had an owner.
    pub since: Option<i64>,
    /// For how long it was an orphan before it got the last owner.
    pub waited: i64,
}

impl Passages {
    fn passed(&mut self, orphan: bool) {
        let now = now();
        if let Some(since) = self.since {
            self.hand_overs += 1;
            self.waited = if orphan { now - since } else { 0 };
        }
        self.since = Some(now);
    }

    fn left(&mut self) {
        self.since = Some(now());
    }
}

fn now() -> i64 {
    // SAFETY: callable from any thread of the VM.
    unsafe { sys::enif_monotonic_time(sys::ErlNifTimeUnit::ERL_NIF_NSEC) }
}

struct Owner {
    pid: ErlNifPid,
    monitor: ErlNifMonitor,
}

/// Who gets the table when its owner exits.
#[derive(Default)]
pub enum Heir {
    #[default]
    None,
    /// No process: the table goes on as an orphan.
    Immortal,
    /// Without `data` the heir gets no message.
    Process {
        pid: ErlNifPid,
        data: Option<Stored>,
    },
}

/// Why a transition did not happen; the table is what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotOwner,
    NotKept,
    AlreadyKept,
    AlreadyOwned,
    NoProcess,
}

/// The process `pid` that `table` monitors exited. A monitor that is not the owner's is stale: the
/// table went on to another owner meanwhile.
pub fn down(table: &TableRef, env: *mut ErlNifEnv, _pid: ErlNifPid, monitor: &ErlNifMonitor) {
    let mut locked = Locked::new(table, env);
    let current = locked.state.owner.as_ref().is_some_and(|owner| {
        // SAFETY: both monitors are initialised.
        unsafe { sys::enif_compare_monitors(&owner.monitor, monitor) == 0 }
    });
    if current {
        locked.owner_exited();
    }
}

/// Locks the ownership of `table`; `None` when it is deleted. `down` may come later than other
/// monitors of the same process: if the owner is dead already, its exit is dealt with first.
pub fn lock<'t>(table: &'t TableRef, env: *mut ErlNifEnv) -> Option<Locked<'t>> {
    let mut locked = Locked::new(table, env);
    if let Some(owner) = &locked.state.owner
        && !is_alive(env, &owner.pid)
    {
        locked.owner_exited();
    }
    (!table.access.is_dead()).then_some(locked)
}

pub fn is_alive(env: *mut ErlNifEnv, pid: &ErlNifPid) -> bool {
    // SAFETY: the environment is the call's or callback's own.
    unsafe { sys::enif_is_process_alive(env, pid) != 0 }
}

pub fn pid_word(pid: &ErlNifPid) -> u64 {
    BeamTerm::from(pid_term(pid)).word()
}

fn pid_term(pid: &ErlNifPid) -> sys::ErlNifTerm {
    // SAFETY: a local pid is an immediate, made without an environment.
    unsafe { sys::enif_make_pid(std::ptr::null_mut(), *pid) }
}

/// What the table goes by: its name, or its reference.
pub fn identity(table: &TableRef, env: *mut ErlNifEnv) -> BeamTerm {
    if table.named {
        table.name_term()
    } else {
        table.to_term(env)
    }
}

impl TableResource {
    pub fn name_term(&self) -> BeamTerm {
        // SAFETY: the word of an atom, which lives as long as the node.
        unsafe { BeamTerm::from_word(self.name.load(Ordering::Acquire)) }
    }
}

/// A table whose ownership is locked.
pub struct Locked<'t> {
    table: &'t TableRef,
    env: *mut ErlNifEnv,
    state: MutexGuard<'t, Ownership>,
}

impl<'t> Locked<'t> {
    fn new(table: &'t TableRef, env: *mut ErlNifEnv) -> Self {
        Locked {
            table,
            env,
            state: table.ownership.lock(),
        }
    }

    pub fn owner(&self) -> Option<ErlNifPid> {
        self.state.owner.as_ref().map(|owner| owner.pid)
    }

    pub fn is_owner(&self, pid: &ErlNifPid) -> bool {
        self.owner()
            .is_some_and(|owner| pid_word(&owner) == pid_word(pid))
    }

    pub fn passages(&self) -> Passages {
        self.state.passages
    }

    pub fn heir(&self) -> &Heir {
        &self.state.heir
    }

    pub fn kept(&self) -> Option<&Arc<Kept>> {
        self.state.kept.as_ref()
    }

    /// A process that is dead already does not become the heir.
    pub fn set_heir(&mut self, heir: Heir) {
        self.state.heir = match heir {
            Heir::Process { pid, .. } if !is_alive(self.env, &pid) => Heir::None,
            heir => heir,
        };
    }

    pub fn set_protection(&mut self, protection: Protection) {
        self.table.access.set_protection(protection);
    }

    /// Gives a named table another name; false when that is taken.
    pub fn rename(&mut self, name: BeamTerm) -> bool {
        if self.table.named {
            if !registry::insert_name(name, self.table) {
                return false;
            }
            registry::remove_name(self.table.name_term());
        }
        self.table.name.store(name.word(), Ordering::Release);
        true
    }

    /// Makes `pid` the owner; fails when there is no such process.
    pub fn pass_to(&mut self, pid: ErlNifPid) -> Result<(), Refusal> {
        let object = self.table.as_object();
        let mut monitor = MaybeUninit::uninit();
        // SAFETY: the object is alive and its type has a `down` callback; the monitor is written
        // when the call answers 0.
        let monitor = unsafe {
            if sys::enif_monitor_process(self.env, object, &pid, monitor.as_mut_ptr()) != 0 {
                return Err(Refusal::NoProcess);
            }
            monitor.assume_init()
        };
        let orphan = self.state.owner.is_none();
        self.forget_owner();
        self.state.passages.passed(orphan);
        self.state.owner = Some(Owner { pid, monitor });
        self.table.access.set_owner(pid_word(&pid));
        Ok(())
    }

    /// Tells the new owner where its table comes from.
    pub fn send_transfer(&self, to: &ErlNifPid, from: &ErlNifPid, data: BeamTerm) {
        // SAFETY: the message is built in an environment of its own, which is freed after the call
        // that sends it; `data` is alive.
        unsafe {
            let env = sys::enif_alloc_env();
            let elements = [
                atoms::ets_transfer().as_c_arg(),
                identity(self.table, env).raw(),
                pid_term(from),
                sys::enif_make_copy(env, data.raw()),
            ];
            let message = sys::enif_make_tuple_from_array(env, elements.as_ptr(), 4);
            sys::enif_send(self.env, to, env, message);
            sys::enif_free_env(env);
        }
    }

    pub fn keep(&mut self, reference: BeamTerm, data: BeamTerm) -> Result<(), Refusal> {
        let kept = Arc::new(Kept::new(reference, data));
        if self.state.kept.is_some() || !registry::insert_kept(&kept, self.table) {
            return Err(Refusal::AlreadyKept);
        }
        self.state.kept = Some(kept);
        self.state.heir = Heir::None;
        Ok(())
    }

    /// An owned table lives on with its owner alone, an orphan is deleted. Answers what it was
    /// kept as.
    pub fn unkeep(&mut self, caller: &ErlNifPid) -> Result<Arc<Kept>, Refusal> {
        if self.state.owner.is_some() && !self.is_owner(caller) {
            return Err(Refusal::NotOwner);
        }
        let kept = self.state.kept.take().ok_or(Refusal::NotKept)?;
        registry::remove_kept(&kept);
        if self.state.owner.is_none() {
            self.delete();
        }
        Ok(kept)
    }

    /// The owner lets go of a kept table.
    pub fn orphan(&mut self) -> Result<(), Refusal> {
        if self.state.kept.is_none() {
            return Err(Refusal::NotKept);
        }
        self.let_go();
        Ok(())
    }

    pub fn claim(&mut self, pid: ErlNifPid) -> Result<(), Refusal> {
        if self.state.owner.is_some() {
            return Err(Refusal::AlreadyOwned);
        }
        if !is_alive(self.env, &pid) {
            return Err(Refusal::NoProcess);
        }
        self.pass_to(pid)
    }

    /// From here on nobody may use the table; its objects go when the reaper comes to it.
    pub fn delete(&mut self) {
        self.table.access.set_protection(Protection::Dead);
        self.table.table.end_snapshot();
        self.forget_owner();
        self.state.heir = Heir::None;
        if let Some(kept) = self.state.kept.take() {
            registry::remove_kept(&kept);
        }
        if self.table.named {
            registry::remove_name(self.table.name_term());
        }
        registry::remove(self.table);
        let table = self.table.clone();
        if self.table.origin.is_some() {
            return snapshot::let_go(table);
        }
        if let Some(durable) = &table.durable {
            return durable.close();
        }
        reaper::run(Box::new(move || {
            drop(table.table.clear());
        }));
    }

    fn owner_exited(&mut self) {
        let Some(from) = self.owner() else { return };
        if self.pass_to_heir(&from) {
            return;
        }
        if self.state.kept.is_some() || matches!(self.state.heir, Heir::Immortal) {
            self.let_go();
        } else {
            self.delete();
        }
    }

    fn pass_to_heir(&mut self, from: &ErlNifPid) -> bool {
        let Heir::Process { pid, .. } = self.state.heir else {
            return false;
        };
        if !is_alive(self.env, &pid) || self.pass_to(pid).is_err() {
            return false;
        }
        if let Heir::Process {
            data: Some(data), ..
        } = &self.state.heir
        {
            self.send_transfer(&pid, from, data.term());
        }
        true
    }

    fn let_go(&mut self) {
        self.forget_owner();
        self.state.passages.left();
    }

    fn forget_owner(&mut self) {
        self.table.access.set_owner(0);
        if let Some(owner) = self.state.owner.take() {
            // SAFETY: the object is alive. Where the monitor has fired already, `down` will find it
            // stale.
            unsafe {
                sys::enif_demonitor_process(self.env, self.table.as_object(), &owner.monitor)
            };
        }
    }
}
