//! Who may read and write a table.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Protection {
    Public,
    Protected,
    Private,
    Dead,
}

/// What every call checks first.
pub struct Access {
    protection: AtomicU8,
    /// The owner's pid word; 0 for none.
    owner: AtomicU64,
}

impl Access {
    pub fn new(protection: Protection, owner: u64) -> Self {
        Access {
            protection: AtomicU8::new(protection as u8),
            owner: AtomicU64::new(owner),
        }
    }

    /// `caller` answers the calling process's pid word; it is asked only when it matters.
    #[inline]
    pub fn may_read(&self, caller: impl FnOnce() -> u64) -> bool {
        self.may(Protection::Protected as u8, caller)
    }

    #[inline]
    pub fn may_write(&self, caller: impl FnOnce() -> u64) -> bool {
        self.may(Protection::Public as u8, caller)
    }

    #[inline]
    fn may(&self, open_to_all: u8, caller: impl FnOnce() -> u64) -> bool {
        let protection = self.protection.load(Ordering::Acquire);
        protection <= open_to_all
            || protection != Protection::Dead as u8
                && self.owner.load(Ordering::Acquire) == caller()
    }
}

/// Who owns a table, and who comes next.
pub struct Ownership;

/// The process `pid` that `table` monitors exited.
pub fn down(
    _table: &crate::resource::TableRef,
    _env: *mut rustler::sys::ErlNifEnv,
    _pid: rustler::sys::ErlNifPid,
    _monitor: &rustler::sys::ErlNifMonitor,
) {
}
