//! What `crate::sync` is in models: the real thing, with a step before each use of it.

use std::hash::{BuildHasher, Hash};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use papaya::{HashMapRef, LocalGuard};

use super::turns;

#[derive(Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

pub struct MutexGuard<'a, T>(ManuallyDrop<parking_lot::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let guard = turns::wait_until(|| self.0.try_lock()).unwrap_or_else(|| self.0.lock());
        MutexGuard(ManuallyDrop::new(guard))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: dropped once, here.
        turns::tell_waiting(|| unsafe { ManuallyDrop::drop(&mut self.0) });
    }
}

pub struct HashMap<K, V, S>(papaya::HashMap<K, V, S>);

impl<K, V, S: Default> Default for HashMap<K, V, S> {
    fn default() -> Self {
        HashMap(papaya::HashMap::default())
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> HashMap<K, V, S> {
    pub fn pin(&self) -> HashMapRef<'_, K, V, S, LocalGuard<'_>> {
        turns::step();
        self.0.pin()
    }
}
