//! The library's entry: what the VM calls to load, upgrade and unload it.
//!
//! `rustler::init!` knows no upgrade, and without one the module could not be reloaded while its
//! older code still runs.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustler::codegen_runtime::{ErlNifEntry, inventory};
use rustler::sys::{ErlNifEnv, ErlNifFunc, ErlNifTerm};

use crate::cursor::Cursor;
use crate::durable;
use crate::layout;
use crate::match_spec::{KeptSpec, learn_arithmetic};
use crate::nif::durable::Opening;
use crate::reaper;
use crate::resource::{Resource, TableResource};
use crate::term::{self, BeamTerm};
use crate::turn::Turn;
use crate::yielding;

/// Its address tells one loaded image of the library from another.
static IMAGE: u8 = 0;

/// Module instances that use the library: the current code, and the old until it is purged.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

struct Entry(ErlNifEntry);

// SAFETY: the entry and what it points at is written once and leaked.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

#[unsafe(no_mangle)]
extern "C" fn nif_init() -> *const ErlNifEntry {
    static ENTRY: OnceLock<Entry> = OnceLock::new();
    // SAFETY: called by the VM before any other function of the library.
    unsafe { rustler::codegen_runtime::internal_write_symbols() };
    let Entry(entry) = ENTRY.get_or_init(|| {
        let functions: Vec<ErlNifFunc> = inventory::iter::<rustler::Nif>()
            .map(rustler::Nif::get_def)
            .collect();
        let mut entry = ErlNifEntry::new(c"Elixir.Blanket.Native", functions.leak(), load);
        entry.upgrade = Some(upgrade);
        entry.unload = Some(unload);
        Entry(entry)
    });
    entry
}

unsafe extern "C" fn load(
    env: *mut ErlNifEnv,
    priv_data: *mut *mut c_void,
    info: ErlNifTerm,
) -> c_int {
    // SAFETY: the VM passes the environment of a load.
    if let Err(reason) = unsafe { prepare(env, BeamTerm::from(info)) } {
        eprintln!("Blanket's native library does not fit this VM: {reason}");
        return 1;
    }
    INSTANCES.fetch_add(1, Ordering::AcqRel);
    reaper::allow();
    blanket_core::set_reaper(|thing| reaper::run(Box::new(move || drop(thing))));
    // SAFETY: the VM passes a place to write to.
    unsafe { *priv_data = image() };
    0
}

/// Takes over from older code of the same module, if it uses this very image: tables of another
/// image are laid out by its own code.
unsafe extern "C" fn upgrade(
    env: *mut ErlNifEnv,
    priv_data: *mut *mut c_void,
    old_priv_data: *mut *mut c_void,
    info: ErlNifTerm,
) -> c_int {
    // SAFETY: the VM passes the place where the older instance's load wrote.
    if unsafe { *old_priv_data } != image() {
        return 2;
    }
    // SAFETY: the VM's own arguments, passed on.
    unsafe { load(env, priv_data, info) }
}

unsafe extern "C" fn unload(_env: *mut ErlNifEnv, _priv_data: *mut c_void) {
    if INSTANCES.fetch_sub(1, Ordering::AcqRel) == 1 {
        durable::join_all();
        reaper::stop();
    }
}

fn image() -> *mut c_void {
    ptr::from_ref(&IMAGE).cast_mut().cast()
}

/// # Safety
///
/// `env` is the environment of a load or upgrade.
unsafe fn prepare(env: *mut ErlNifEnv, info: BeamTerm) -> Result<(), &'static str> {
    let Some(&[absolute, float, record]) = info.as_tuple() else {
        return Err("there are no samples of its terms");
    };
    // SAFETY: passed on.
    unsafe {
        term::check_words(env)?;
        term::learn_record(record);
        learn_arithmetic(absolute, float)?;
        if TableResource::class().open(env)
            && Cursor::class().open(env)
            && KeptSpec::class().open(env)
            && Turn::class().open(env)
            && Opening::class().open(env)
            && yielding::open_class(env)
        {
            layout::learn(env);
            Ok(())
        } else {
            Err("its resource types cannot be opened")
        }
    }
}
