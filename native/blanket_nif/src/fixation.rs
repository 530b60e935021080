//! Fixations: who has fixed a table, and since when.
//!
//! A traversal needs none, for its positions are keys. What a fixation changes is that `next` goes
//! on from a key that is gone, and what `info` tells.

use std::mem::MaybeUninit;

use rustler::sys::{self, ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifTimeUnit};

use crate::ownership::{is_alive, pid_word};
use crate::resource::{TableRef, TableResource};

/// The fixations of one table, a process each.
#[derive(Default)]
pub struct Fixations {
    by: Vec<Fixation>,
    /// When the first of them was made, in nanoseconds of the VM's monotonic time.
    since: i64,
}

struct Fixation {
    pid: ErlNifPid,
    monitor: ErlNifMonitor,
    times: usize,
}

/// Fixes `table` for the process `pid` once more.
pub fn fix(table: &TableRef, env: *mut ErlNifEnv, pid: &ErlNifPid) {
    let mut fixations = table.fixations.lock();
    fixations.forget_dead(env);
    if fixations.by.is_empty() {
        // SAFETY: called on a scheduler thread.
        fixations.since = unsafe { sys::enif_monotonic_time(ErlNifTimeUnit::ERL_NIF_NSEC) };
    }
    if let Some(at) = fixations.find(pid) {
        fixations.by[at].times += 1;
        return;
    }
    let mut monitor = MaybeUninit::uninit();
    // SAFETY: the object is alive and its type has a `down` callback; the monitor is written when
    // the call answers 0.
    let monitored =
        unsafe { sys::enif_monitor_process(env, table.as_object(), pid, monitor.as_mut_ptr()) };
    if monitored == 0 {
        fixations.by.push(Fixation {
            pid: *pid,
            // SAFETY: as above.
            monitor: unsafe { monitor.assume_init() },
            times: 1,
        });
    }
}

/// Takes back one of the fixations that the process `pid` made, if there is any.
pub fn release(table: &TableRef, env: *mut ErlNifEnv, pid: &ErlNifPid) {
    let mut fixations = table.fixations.lock();
    let Some(at) = fixations.find(pid) else {
        return;
    };
    fixations.by[at].times -= 1;
    if fixations.by[at].times == 0 {
        let fixation = fixations.by.swap_remove(at);
        // SAFETY: the object is alive.
        unsafe { sys::enif_demonitor_process(env, table.as_object(), &fixation.monitor) };
    }
}

/// A process that the table monitored exited.
pub fn down(table: &TableRef, monitor: &ErlNifMonitor) {
    // SAFETY: both monitors are initialised.
    let same = |other: &ErlNifMonitor| unsafe { sys::enif_compare_monitors(other, monitor) == 0 };
    let mut fixations = table.fixations.lock();
    fixations.by.retain(|fixation| !same(&fixation.monitor));
}

/// Whether any process has fixed the table.
pub fn is_fixed(table: &TableResource, env: *mut ErlNifEnv) -> bool {
    let mut fixations = table.fixations.lock();
    fixations.forget_dead(env);
    !fixations.by.is_empty()
}

/// Since when the table is fixed, and how many times by which process.
pub fn fixed_by(
    table: &TableResource,
    env: *mut ErlNifEnv,
) -> Option<(i64, Vec<(ErlNifPid, usize)>)> {
    let mut fixations = table.fixations.lock();
    fixations.forget_dead(env);
    let by = &fixations.by;
    let times = || by.iter().map(|fixation| (fixation.pid, fixation.times));
    (!by.is_empty()).then(|| (fixations.since, times().collect()))
}

impl Fixations {
    fn find(&self, pid: &ErlNifPid) -> Option<usize> {
        self.by
            .iter()
            .position(|fixation| pid_word(&fixation.pid) == pid_word(pid))
    }

    /// `down` may come later than other monitors of the same process.
    fn forget_dead(&mut self, env: *mut ErlNifEnv) {
        self.by.retain(|fixation| is_alive(env, &fixation.pid));
    }
}
