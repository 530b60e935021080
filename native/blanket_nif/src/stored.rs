//! Terms that outlive the call that passed them.

use std::ptr;

use rustler::sys::{self, ErlNifEnv};

use crate::term::BeamTerm;

/// A copy of a term in an environment of its own.
pub struct Stored {
    /// Null when the term is an immediate.
    env: *mut ErlNifEnv,
    term: BeamTerm,
}

// SAFETY: the copy is never changed, and freed by the one that owns it.
unsafe impl Send for Stored {}
// SAFETY: as above.
unsafe impl Sync for Stored {}

impl Stored {
    pub fn new(term: BeamTerm) -> Self {
        // SAFETY: `term` is alive: it is an argument of the call that stores it. A copy that is the
        // same word is an immediate, which needs no environment.
        unsafe {
            let env = sys::enif_alloc_env();
            let copy = BeamTerm::from(sys::enif_make_copy(env, term.raw()));
            if copy == term {
                sys::enif_free_env(env);
                return Stored {
                    env: ptr::null_mut(),
                    term,
                };
            }
            Stored { env, term: copy }
        }
    }

    /// The stored term itself; it lives as long as `self`.
    pub fn term(&self) -> BeamTerm {
        self.term
    }

    pub fn copy_to(&self, env: *mut ErlNifEnv) -> BeamTerm {
        // SAFETY: `self` keeps the term alive.
        BeamTerm::from(unsafe { sys::enif_make_copy(env, self.term.raw()) })
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.env.is_null() {
            // SAFETY: allocated by `new`, freed once.
            unsafe { sys::enif_free_env(self.env) };
        }
    }
}
