//! Turns: a transaction that keeps losing runs once while nobody else begins to change its tables.
//!
//! There is one turn at a time, and those who want one wait in a queue, each for a message. While a turn
//! lasts, the tables that it is for are *closed*: a call that would change one of them, and is not the
//! holder's, finds so where it looks at its rights, and tries again later. Calls that have begun go on. A
//! turn ends with its holder, or when that is done with it. After a second the tables are open to all, and
//! the turn goes to the next who asks for it: nobody waits for long for a process that may itself wait for
//! something.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustler::sys::{self, ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifTimeUnit};

use crate::atoms;
use crate::ownership::pid_word;
use crate::resource::{Class, Ref, Resource, TableRef};

/// A place in the queue, and what it is for.
pub struct Turn {
    pid: ErlNifPid,
    tables: Vec<TableRef>,
    monitor: Mutex<Option<ErlNifMonitor>>,
}

/// The holder of the turn, and those who wait.
static QUEUE: Mutex<VecDeque<Ref<Turn>>> = Mutex::new(VecDeque::new());

/// The holder's pid word, and when the tables are open again, in microseconds of the VM's monotonic time.
static HOLDER: AtomicU64 = AtomicU64::new(0);
static UNTIL: AtomicI64 = AtomicI64::new(0);

/// Microseconds that the tables are closed at most.
const LONGEST: i64 = 1_000_000;

impl Resource for Turn {
    const NAME: &'static CStr = c"Blanket.Turn";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<Turn> = Class::new();
        &CLASS
    }

    fn down(turn: &Ref<Self>, env: *mut ErlNifEnv, _pid: ErlNifPid, _monitor: &ErlNifMonitor) {
        leave(turn, env);
    }
}

/// Whether a process is to wait before it changes a table that is closed.
pub fn holds_back(pid: u64) -> bool {
    HOLDER.load(Ordering::Acquire) != pid && now() < UNTIL.load(Ordering::Acquire)
}

/// Puts a process in the queue; answers whether it is its turn already. If it is not, it gets the turn's
/// term as a message. `None` where there is no such process.
pub fn join(
    env: *mut ErlNifEnv,
    pid: ErlNifPid,
    tables: Vec<TableRef>,
) -> Option<(Ref<Turn>, bool)> {
    let turn = Ref::new(Turn {
        pid,
        tables,
        monitor: Mutex::new(None),
    });
    let mut queue = QUEUE.lock();
    let mut monitor = MaybeUninit::uninit();
    // SAFETY: the object is alive and its type has a `down` callback; the monitor is written when the
    // call answers 0.
    unsafe {
        let object = turn.as_object();
        if sys::enif_monitor_process(env, object, &pid, monitor.as_mut_ptr()) != 0 {
            return None;
        }
        *turn.monitor.lock() = Some(monitor.assume_init());
    }
    pass_if_long(&mut queue, env);
    queue.push_back(turn.clone());
    let is_first = queue.len() == 1;
    if is_first {
        turn.begin();
    }
    Some((turn, is_first))
}

/// Ends the turn if it takes too long.
pub fn pass(env: *mut ErlNifEnv) {
    pass_if_long(&mut QUEUE.lock(), env);
}

/// Ends a turn, or the wait for it.
pub fn leave(turn: &Ref<Turn>, env: *mut ErlNifEnv) {
    let mut queue = QUEUE.lock();
    if let Some(at) = queue.iter().position(|other| other == turn) {
        remove(&mut queue, at, env);
    }
}

fn pass_if_long(queue: &mut VecDeque<Ref<Turn>>, env: *mut ErlNifEnv) {
    if !queue.is_empty() && now() >= UNTIL.load(Ordering::Acquire) {
        remove(queue, 0, env);
    }
}

fn remove(queue: &mut VecDeque<Ref<Turn>>, at: usize, env: *mut ErlNifEnv) {
    let Some(turn) = queue.remove(at) else { return };
    if let Some(monitor) = turn.monitor.lock().take() {
        // SAFETY: the object is alive. Where the monitor has fired already, nothing is done.
        unsafe { sys::enif_demonitor_process(env, turn.as_object(), &monitor) };
    }
    if at > 0 {
        return;
    }
    turn.end();
    if let Some(next) = queue.front() {
        next.begin();
        next.tell(env);
    }
}

impl Ref<Turn> {
    fn begin(&self) {
        HOLDER.store(pid_word(&self.pid), Ordering::Release);
        UNTIL.store(now() + LONGEST, Ordering::Release);
        for table in &self.tables {
            let _locked = table.ownership.lock();
            table.access.close();
        }
    }

    fn end(&self) {
        for table in &self.tables {
            let _locked = table.ownership.lock();
            table.access.open();
        }
        HOLDER.store(0, Ordering::Release);
    }

    fn tell(&self, env: *mut ErlNifEnv) {
        // SAFETY: the message is built in an environment of its own, which is freed after the call that
        // sends it.
        unsafe {
            let message_env = sys::enif_alloc_env();
            let turn = self.to_term(message_env).raw();
            let elements = [atoms::turn().as_c_arg(), turn];
            let message = sys::enif_make_tuple_from_array(message_env, elements.as_ptr(), 2);
            sys::enif_send(env, &self.pid, message_env, message);
            sys::enif_free_env(message_env);
        }
    }
}

fn now() -> i64 {
    // SAFETY: callable from any thread of the VM.
    unsafe { sys::enif_monotonic_time(ErlNifTimeUnit::ERL_NIF_USEC) }
}
