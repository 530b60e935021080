//! What becomes of a store, as terms.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;

use blanket_store::{Error, Header, Kind};
use rustler::Atom;
use rustler::sys::{self, ErlNifEnv, ErlNifPid, ErlNifTerm};

use crate::atoms;
use crate::term::{BeamTerm, Stored, make_tuple};

/// Sends `{reference, answer}`.
pub fn send(pid: &ErlNifPid, reference: &Stored, written: &Result<(), Arc<Error>>) {
    // SAFETY: the message is built in an environment of its own, which is freed after the call that
    // sends it. No scheduler runs this thread, which the function allows with no environment of a caller.
    unsafe {
        let env = sys::enif_alloc_env();
        let reference = sys::enif_make_copy(env, reference.term().raw());
        let message = make_tuple(env, &[BeamTerm::from(reference), answer(env, written)]);
        sys::enif_send(std::ptr::null_mut(), pid, env, message.raw());
        sys::enif_free_env(env);
    }
}

/// Tells the log that the last changes of a table which is gone could not be written.
pub fn lost(path: &Path, error: &Error) {
    let mut pid = MaybeUninit::uninit();
    let path = path.to_string_lossy();
    // SAFETY: as above; the pid is written when the function answers true. The name is an atom.
    unsafe {
        let events = atoms::events().as_c_arg();
        if sys::enif_whereis_pid(std::ptr::null_mut(), events, pid.as_mut_ptr()) == 0 {
            return;
        }
        let env = sys::enif_alloc_env();
        let elements = [
            atoms::unwritten().into(),
            binary(env, &path),
            reason(env, error),
        ];
        let message = make_tuple(env, &elements);
        sys::enif_send(std::ptr::null_mut(), &pid.assume_init(), env, message.raw());
        sys::enif_free_env(env);
    }
}

/// `ok` or `{error, reason}`.
pub fn answer<E: AsRef<Error>>(env: *mut ErlNifEnv, result: &Result<(), E>) -> BeamTerm {
    match result {
        Ok(()) => BeamTerm::from(atoms::ok()),
        Err(error) => tuple(env, &[atoms::error().into(), reason(env, error.as_ref())]),
    }
}

/// Why, as `file` and `dets` would say it.
pub fn reason(env: *mut ErlNifEnv, error: &Error) -> BeamTerm {
    match error {
        Error::Io(error) => of_io(env, error),
        Error::AlreadyOpen => atoms::already_open().into(),
        Error::NotAStore => atoms::not_a_durable_table().into(),
        Error::Format(format) => {
            let format = BeamTerm::small(i64::from(*format)).unwrap_or(BeamTerm::nil());
            tuple(env, &[atoms::format().into(), format])
        }
        Error::Upgrade => tuple(env, &[atoms::format().into(), atoms::undefined().into()]),
        Error::Other(header) => of_header(env, header),
        Error::Damaged(what) => tuple(env, &[atoms::damaged().into(), binary(env, what)]),
        Error::Gone => atoms::moved_or_deleted().into(),
    }
}

/// `{other_table, type, keypos}`.
fn of_header(env: *mut ErlNifEnv, header: &Header) -> BeamTerm {
    let keypos = BeamTerm::small(header.keypos as i64).unwrap_or(BeamTerm::nil());
    let kind = kind_atom(header.kind).into();
    tuple(env, &[atoms::other_table().into(), kind, keypos])
}

pub fn kind_atom(kind: Kind) -> Atom {
    match kind {
        Kind::Set => atoms::set(),
        Kind::OrderedSet => atoms::ordered_set(),
        Kind::Bag => atoms::bag(),
        Kind::DuplicateBag => atoms::duplicate_bag(),
    }
}

fn of_io(env: *mut ErlNifEnv, error: &io::Error) -> BeamTerm {
    use io::ErrorKind::*;
    let atom = match error.kind() {
        NotFound => atoms::enoent(),
        PermissionDenied => atoms::eacces(),
        AlreadyExists => atoms::eexist(),
        ReadOnlyFilesystem => atoms::erofs(),
        StorageFull => atoms::enospc(),
        QuotaExceeded => atoms::edquot(),
        FileTooLarge => atoms::efbig(),
        NotADirectory => atoms::enotdir(),
        IsADirectory => atoms::eisdir(),
        _ => return binary(env, &error.to_string()),
    };
    atom.into()
}

fn tuple(env: *mut ErlNifEnv, elements: &[BeamTerm]) -> BeamTerm {
    // SAFETY: the environment is the caller's, as are the elements, or they are immediates.
    unsafe { make_tuple(env, elements) }
}

fn binary(env: *mut ErlNifEnv, text: &str) -> BeamTerm {
    let mut term = ErlNifTerm::default();
    // SAFETY: the environment is the caller's; the memory that is answered is as long as was asked, and new.
    unsafe {
        let data = sys::enif_make_new_binary(env, text.len(), &mut term);
        data.copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
    BeamTerm::from(term)
}
