//! The version lock: writers take it, readers only look at its number.
//!
//! An odd number means that a writer is at work. A reader notes an even number, reads, and looks
//! again: the same number means that what it read was there at one instant. A reader never writes
//! to shared memory.

use crate::sync::{AtomicU64, Ordering, fence, spin_loop};

/// A leaf stayed locked for too long; nothing was changed. Let others run and call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contended;

/// What a reader notes before it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u64);

pub(crate) struct VersionLock(AtomicU64);

const LOCKED: u64 = 1;
/// A lock is held for microseconds; a holder that takes longer has lost its core, or is a list
/// insert that goes on later.
const SPINS: u32 = if cfg!(loom) { 1 } else { 200 };

impl VersionLock {
    pub fn new() -> Self {
        VersionLock(AtomicU64::new(0))
    }

    pub fn new_locked() -> Self {
        VersionLock(AtomicU64::new(LOCKED))
    }

    #[inline]
    pub fn version(&self) -> Result<Version, Contended> {
        let version = self.0.load(Ordering::Acquire);
        if version & LOCKED == 0 {
            return Ok(Version(version));
        }
        self.wait().map(Version)
    }

    #[cold]
    fn wait(&self) -> Result<u64, Contended> {
        for _ in 0..SPINS {
            spin_loop();
            let version = self.0.load(Ordering::Acquire);
            if version & LOCKED == 0 {
                return Ok(version);
            }
        }
        Err(Contended)
    }

    /// Whether all that was read since `version` was noted was there at one instant.
    #[inline]
    pub fn is_current(&self, version: Version) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == version.0
    }

    /// Who takes the lock and does not see what another has stored meanwhile with `SeqCst` is seen as
    /// the holder by whoever learns of that.
    pub fn lock(&self) -> Result<(), Contended> {
        loop {
            let Version(version) = self.version()?;
            let taken = self.0.compare_exchange_weak(
                version,
                version | LOCKED,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                // Keeps the holder's writes behind the odd number, for readers of them.
                fence(Ordering::Release);
                return Ok(());
            }
        }
    }

    /// Takes the lock only if it is free now.
    pub fn try_lock(&self) -> bool {
        let version = self.0.load(Ordering::Relaxed);
        let taken = version & LOCKED == 0
            && self
                .0
                .compare_exchange(
                    version,
                    version | LOCKED,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                )
                .is_ok();
        if taken {
            fence(Ordering::Release);
        }
        taken
    }

    /// Called by the holder only.
    pub fn unlock(&self) {
        let version = self.0.load(Ordering::Relaxed);
        debug_assert!(version & LOCKED == LOCKED);
        self.0.store(version + 1, Ordering::Release);
    }

    /// Called by a holder that has changed nothing: what others have read is still what it was. Answers
    /// the number that it was before.
    pub fn unlock_unchanged(&self) -> Version {
        let version = self.0.load(Ordering::Relaxed) & !LOCKED;
        self.0.store(version, Ordering::Release);
        Version(version)
    }

    /// Whether nothing has been changed since `version` was noted, and nobody else is about to; for one
    /// who has taken locks before, maybe this one, and is seen as their holder by whoever is.
    pub fn is_still(&self, version: Version, is_mine: bool) -> bool {
        self.0.load(Ordering::SeqCst) == version.0 | u64::from(is_mine)
    }
}

/// A reader's way to see whether what it reads is still what it was.
#[derive(Clone, Copy)]
pub(crate) struct Intact<'a>(Option<(&'a VersionLock, Version)>);

impl<'a> Intact<'a> {
    /// For the holder of the lock: nobody else changes anything.
    pub const LOCKED: Intact<'static> = Intact(None);

    pub fn since(lock: &'a VersionLock, version: Version) -> Self {
        Intact(Some((lock, version)))
    }

    #[inline]
    pub fn holds(self) -> bool {
        match self.0 {
            None => true,
            Some((lock, version)) => lock.is_current(version),
        }
    }

    /// Goes on only if all that was read so far was there at one instant.
    #[inline]
    pub fn check(self) -> Result<(), Torn> {
        if self.holds() { Ok(()) } else { Err(Torn) }
    }
}

/// What was being read was changed meanwhile; what was read means nothing.
pub(crate) struct Torn;

#[cfg(all(loom, test))]
mod models;
