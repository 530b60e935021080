//! The floor under a table in a native library, for `bin/bench`: a function that does nothing, and one
//! that only copies an object to its caller.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use rustler::codegen_runtime::{ErlNifEntry, internal_write_symbols};
use rustler::sys::{self, ErlNifEnv, ErlNifFunc, ErlNifTerm};

/// Objects that are held for ever, each in an environment that belongs to no process.
static FLAT: OnceLock<Held> = OnceLock::new();
static MAP: OnceLock<Held> = OnceLock::new();

struct Held(ErlNifTerm);

// SAFETY: the term is in an environment that is never changed nor freed.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

unsafe extern "C" fn hold(
    env: *mut ErlNifEnv,
    _argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: the VM passes two terms; the environment of the copies is leaked.
    unsafe {
        for (index, place) in [&FLAT, &MAP].into_iter().enumerate() {
            place
                .get_or_init(|| Held(sys::enif_make_copy(sys::enif_alloc_env(), *argv.add(index))));
        }
        sys::enif_make_int(env, 0)
    }
}

unsafe extern "C" fn empty(
    _env: *mut ErlNifEnv,
    _argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: the VM passes two terms.
    unsafe { *argv }
}

unsafe extern "C" fn copy_flat(
    env: *mut ErlNifEnv,
    _argc: c_int,
    _argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: the environment of the running call.
    unsafe { copy(env, &FLAT) }
}

unsafe extern "C" fn copy_map(
    env: *mut ErlNifEnv,
    _argc: c_int,
    _argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: the environment of the running call.
    unsafe { copy(env, &MAP) }
}

/// A list of the object, as a look-up answers it.
///
/// # Safety
///
/// The environment is that of a running call.
unsafe fn copy(env: *mut ErlNifEnv, held: &OnceLock<Held>) -> ErlNifTerm {
    // SAFETY: as promised.
    unsafe {
        match held.get() {
            Some(Held(object)) => {
                let object = sys::enif_make_copy(env, *object);
                sys::enif_make_list_cell(
                    env,
                    object,
                    sys::enif_make_list_from_array(env, ptr::null(), 0),
                )
            }
            None => sys::enif_make_badarg(env),
        }
    }
}

unsafe extern "C" fn load(
    _env: *mut ErlNifEnv,
    _priv_data: *mut *mut c_void,
    _info: ErlNifTerm,
) -> c_int {
    0
}

struct Entry(ErlNifEntry);

// SAFETY: the entry and what it points at is written once and leaked.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

#[unsafe(no_mangle)]
extern "C" fn nif_init() -> *const ErlNifEntry {
    static ENTRY: OnceLock<Entry> = OnceLock::new();
    // SAFETY: called by the VM before any other function of the library.
    unsafe { internal_write_symbols() };
    let Entry(entry) = ENTRY.get_or_init(|| {
        let function = |name: &'static std::ffi::CStr, function| ErlNifFunc {
            name: name.as_ptr(),
            arity: 2,
            function,
            flags: 0,
        };
        let functions = vec![
            function(c"hold", hold),
            function(c"empty", empty),
            function(c"copy_flat", copy_flat),
            function(c"copy_map", copy_map),
        ];
        Entry(ErlNifEntry::new(
            c"Elixir.Bench.Floor",
            functions.leak(),
            load,
        ))
    });
    entry
}
