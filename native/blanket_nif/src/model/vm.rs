//! A VM of a few processes, which knows immediates, tuples and resources, and tells of exits when the
//! test says so.
//!
//! All of a model runs on one thread of the operating system.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustler::codegen_runtime::inventory;
use rustler::sys::{
    ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor,
    ErlNifResourceTypeInit, ErlNifTerm,
};

use super::turns::{self, step};
use crate::term::{BOXED, BeamTerm};

pub type Process = usize;

pub const PROCESSES: usize = 3;

/// Header of a term that names a resource.
const REFERENCE: u64 = 0x10;
/// No term.
const EXCEPTION: u64 = 0;

#[derive(Default)]
struct Vm {
    dead: [bool; PROCESSES],
    monitors: Vec<Monitor>,
    monitored: usize,
    messages: Vec<(Process, BeamTerm)>,
    terms: Vec<Box<[u64]>>,
    named: Vec<*mut c_void>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Monitor {
    id: usize,
    pub object: *mut c_void,
    pub process: Process,
    /// It is on its way: to take it back is too late.
    pub fired: bool,
}

thread_local! {
    static VM: RefCell<Vm> = RefCell::default();
}

/// Begins anew, with all processes alive.
pub fn begin() {
    turns::be_alone();
    let vm = VM.take();
    for object in vm.named {
        enif_release_resource(object);
    }
}

pub fn is_alive(process: Process) -> bool {
    VM.with_borrow(|vm| !vm.dead[process])
}

/// Ends a process. Its monitors fire later.
pub fn exit(process: Process) {
    VM.with_borrow_mut(|vm| vm.dead[process] = true);
}

/// Monitors of dead processes, in the order in which they were made.
pub fn pending() -> Vec<Monitor> {
    monitors(|vm, it| vm.dead[it.process])
}

/// Monitors of processes that are alive.
pub fn armed() -> Vec<Monitor> {
    monitors(|vm, it| !vm.dead[it.process])
}

fn monitors(which: impl Fn(&Vm, &Monitor) -> bool) -> Vec<Monitor> {
    VM.with_borrow(|vm| (vm.monitors.iter().copied().filter(|it| which(vm, it))).collect())
}

/// False when it has been taken back.
pub fn fire(monitor: Monitor) -> bool {
    VM.with_borrow_mut(|vm| {
        let found = vm.monitors.iter_mut().find(|it| it.id == monitor.id);
        found.map(|it| it.fired = true).is_some()
    })
}

/// Tells the resource of a monitor that has fired.
pub fn deliver(monitor: Monitor) {
    VM.with_borrow_mut(|vm| vm.monitors.retain(|it| it.id != monitor.id));
    let mut id: ErlNifMonitor = monitor_of(monitor.id);
    let mut pid = pid(monitor.process);
    let header = header_of(monitor.object);
    // SAFETY: a monitored resource is alive, and the header stands before it.
    unsafe { ((*header).class.down)(env(PROCESSES), monitor.object, &mut pid, &mut id) };
}

/// The messages to those who are alive, sorted by when they came.
pub fn messages() -> Vec<(Process, BeamTerm)> {
    VM.with_borrow(|vm| (vm.messages.iter().copied().filter(|it| !vm.dead[it.0])).collect())
}

pub fn atom(name: &str) -> BeamTerm {
    static ATOMS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut atoms = ATOMS.lock();
    let index = (atoms.iter().position(|it| it == name)).unwrap_or_else(|| {
        atoms.push(name.to_owned());
        atoms.len() - 1
    });
    immediate((index as u64) << 6 | 0x0B)
}

pub fn integer(value: i64) -> BeamTerm {
    immediate((value as u64) << 4 | 0x0F)
}

pub fn tuple(elements: &[BeamTerm]) -> BeamTerm {
    let header = BeamTerm::tuple_header(elements.len());
    boxed(
        [header]
            .into_iter()
            .chain(elements.iter().map(|it| it.word())),
    )
}

pub fn pid(process: Process) -> ErlNifPid {
    // SAFETY: a pid is its term.
    unsafe { transmute::<ErlNifTerm, ErlNifPid>(pid_term(process).raw()) }
}

pub fn pid_term(process: Process) -> BeamTerm {
    immediate((process as u64) << 4 | 0x03)
}

pub fn process_of(pid: BeamTerm) -> Process {
    assert_eq!(pid.word() & 0xF, 0x03, "no pid");
    (pid.word() >> 4) as Process
}

/// The environment of a call by the process.
pub fn env(process: Process) -> *mut ErlNifEnv {
    ptr::without_provenance_mut(process + 1)
}

/// Calls a function of the library; `None` when it raises a badarg.
pub fn call(process: Process, name: &str, args: &[BeamTerm]) -> Option<BeamTerm> {
    assert!(is_alive(process), "the dead call nothing");
    let named = |nif: &&rustler::Nif| {
        // SAFETY: names are static and end with a nul.
        let its_name = unsafe { CStr::from_ptr(nif.name.cast()) };
        its_name.to_bytes() == name.as_bytes() && nif.arity as usize == args.len()
    };
    let nif = inventory::iter::<rustler::Nif>().find(named);
    let function = nif.expect("a function of the library").raw_func;
    // SAFETY: the terms are alive, and as many as the function takes.
    let answer = unsafe { function(env(process), args.len() as c_int, args.as_ptr().cast()) };
    let answer = BeamTerm::from(answer);
    (answer.word() != EXCEPTION).then_some(answer)
}

fn immediate(word: u64) -> BeamTerm {
    // SAFETY: an immediate lives for ever.
    unsafe { BeamTerm::from_word(word) }
}

fn boxed(words: impl Iterator<Item = u64>) -> BeamTerm {
    let mut words: Box<[u64]> = words.collect();
    let address = words.as_mut_ptr().expose_provenance() as u64;
    VM.with_borrow_mut(|vm| vm.terms.push(words));
    // SAFETY: the words live to the end of the model.
    unsafe { BeamTerm::from_word(address | BOXED) }
}

fn monitor_of(id: usize) -> ErlNifMonitor {
    // SAFETY: a monitor is four words that say nothing to others.
    unsafe { transmute::<[usize; 4], ErlNifMonitor>([id, 0, 0, 0]) }
}

/// # Safety
///
/// `monitor` points at one of [`monitor_of`].
unsafe fn id_of(monitor: *const ErlNifMonitor) -> usize {
    // SAFETY: as promised.
    unsafe { *monitor.cast::<usize>() }
}

/// # Safety
///
/// `pid` points at a pid.
unsafe fn process_at(pid: *const ErlNifPid) -> Process {
    // SAFETY: as promised; a pid is its term.
    process_of(unsafe { *pid.cast::<BeamTerm>() })
}

/// A type of resources.
struct Class {
    destroy: ErlNifResourceDtor,
    down: ErlNifResourceDown,
}

/// What stands before a resource.
#[repr(C, align(16))]
struct Header {
    class: &'static Class,
    count: AtomicUsize,
}

fn header_of(object: *mut c_void) -> *mut Header {
    object.cast::<Header>().wrapping_sub(1)
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
}

#[unsafe(no_mangle)]
extern "C" fn enif_alloc(size: usize) -> *mut c_void {
    // SAFETY: the function takes any size.
    unsafe { malloc(size) }
}

#[unsafe(no_mangle)]
extern "C" fn enif_free(memory: *mut c_void) {
    // SAFETY: it came from `enif_alloc`.
    unsafe { free(memory) }
}

#[unsafe(no_mangle)]
extern "C" fn enif_alloc_env() -> *mut ErlNifEnv {
    env(PROCESSES)
}

#[unsafe(no_mangle)]
extern "C" fn enif_free_env(_env: *mut ErlNifEnv) {}

#[unsafe(no_mangle)]
extern "C" fn enif_make_copy(_env: *mut ErlNifEnv, term: ErlNifTerm) -> ErlNifTerm {
    assert!(
        BeamTerm::from(term).is_immediate(),
        "only immediates are copied"
    );
    term
}

#[unsafe(no_mangle)]
extern "C" fn enif_self(env: *mut ErlNifEnv, own: *mut ErlNifPid) -> *mut ErlNifPid {
    let process = env.addr() - 1;
    if process >= PROCESSES {
        return ptr::null_mut();
    }
    // SAFETY: the caller passes a place to write to.
    unsafe { *own = pid(process) };
    own
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_is_process_alive(_env: *mut ErlNifEnv, pid: *const ErlNifPid) -> c_int {
    step();
    // SAFETY: the caller passes a pid.
    c_int::from(is_alive(unsafe { process_at(pid) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_monitor_process(
    _env: *mut ErlNifEnv,
    object: *mut c_void,
    pid: *const ErlNifPid,
    monitor: *mut ErlNifMonitor,
) -> c_int {
    step();
    // SAFETY: the caller passes a pid.
    let process = unsafe { process_at(pid) };
    VM.with_borrow_mut(|vm| {
        if vm.dead[process] {
            return 1;
        }
        vm.monitored += 1;
        let id = vm.monitored;
        vm.monitors.push(Monitor {
            id,
            object,
            process,
            fired: false,
        });
        // SAFETY: the caller passes a place to write to.
        unsafe { *monitor = monitor_of(id) };
        0
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_demonitor_process(
    _env: *mut ErlNifEnv,
    _object: *mut c_void,
    monitor: *const ErlNifMonitor,
) -> c_int {
    step();
    // SAFETY: the caller passes a monitor.
    let id = unsafe { id_of(monitor) };
    VM.with_borrow_mut(|vm| {
        let before = vm.monitors.len();
        vm.monitors.retain(|it| it.id != id || it.fired);
        c_int::from(vm.monitors.len() == before)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_compare_monitors(
    one: *const ErlNifMonitor,
    two: *const ErlNifMonitor,
) -> c_int {
    // SAFETY: the caller passes monitors.
    unsafe { id_of(one).cmp(&id_of(two)) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_send(
    _env: *mut ErlNifEnv,
    to: *const ErlNifPid,
    _message_env: *mut ErlNifEnv,
    message: ErlNifTerm,
) -> c_int {
    step();
    // SAFETY: the caller passes a pid.
    let to = unsafe { process_at(to) };
    VM.with_borrow_mut(|vm| vm.messages.push((to, message.into())));
    1
}

#[unsafe(no_mangle)]
extern "C" fn enif_monotonic_time(_unit: c_int) -> i64 {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_open_resource_type_x(
    _env: *mut ErlNifEnv,
    _name: *const c_char,
    init: *const ErlNifResourceTypeInit,
    _flags: c_uint,
    _tried: *mut c_uint,
) -> *const Class {
    // SAFETY: the functions are of these types, but for how the struct declares them.
    let class = unsafe {
        Class {
            destroy: transmute::<*const (), ErlNifResourceDtor>((*init).dtor.cast()),
            down: transmute::<*const (), ErlNifResourceDown>((*init).down.cast()),
        }
    };
    Box::leak(Box::new(class))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_alloc_resource(class: &'static Class, size: usize) -> *mut c_void {
    // SAFETY: the memory is as large as the header and the resource.
    unsafe {
        let header = malloc(size_of::<Header>() + size).cast::<Header>();
        header.write(Header {
            class,
            count: AtomicUsize::new(1),
        });
        header.add(1).cast()
    }
}

#[unsafe(no_mangle)]
extern "C" fn enif_keep_resource(object: *mut c_void) {
    // SAFETY: the caller has a reference.
    unsafe { (*header_of(object)).count.fetch_add(1, Ordering::Relaxed) };
}

#[unsafe(no_mangle)]
extern "C" fn enif_release_resource(object: *mut c_void) {
    let header = header_of(object);
    // SAFETY: the caller gives back its reference; the last one frees the resource.
    unsafe {
        let count = (*header).count.fetch_sub(1, Ordering::AcqRel);
        assert!(count > 0, "a resource was released too often");
        if count == 1 {
            ((*header).class.destroy)(env(PROCESSES), object);
            free(header.cast());
        }
    }
}

/// The term keeps the resource to the end of the model.
#[unsafe(no_mangle)]
extern "C" fn enif_make_resource(_env: *mut ErlNifEnv, object: *mut c_void) -> ErlNifTerm {
    enif_keep_resource(object);
    VM.with_borrow_mut(|vm| vm.named.push(object));
    boxed([REFERENCE, object.expose_provenance() as u64].into_iter()).raw()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_get_resource(
    _env: *mut ErlNifEnv,
    term: ErlNifTerm,
    _class: *const Class,
    found: *mut *const c_void,
) -> c_int {
    let words = crate::term::address(BeamTerm::from(term).word());
    // SAFETY: a term that is no immediate points at its header.
    unsafe {
        if *words != REFERENCE {
            return 0;
        }
        *found = ptr::with_exposed_provenance(*words.add(1) as usize);
    }
    1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_get_tuple(
    _env: *mut ErlNifEnv,
    term: ErlNifTerm,
    arity: *mut c_int,
    elements: *mut *const BeamTerm,
) -> c_int {
    let Some(found) = BeamTerm::from(term).as_tuple() else {
        return 0;
    };
    // SAFETY: the caller passes places to write to.
    unsafe {
        *arity = found.len() as c_int;
        *elements = found.as_ptr();
    }
    1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_make_tuple_from_array(
    _env: *mut ErlNifEnv,
    elements: *const BeamTerm,
    arity: c_uint,
) -> ErlNifTerm {
    // SAFETY: the array is as long as the caller says.
    tuple(unsafe { std::slice::from_raw_parts(elements, arity as usize) }).raw()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_make_atom_len(
    _env: *mut ErlNifEnv,
    name: *const u8,
    length: usize,
) -> ErlNifTerm {
    // SAFETY: the name is as long as the caller says.
    let name = unsafe { std::slice::from_raw_parts(name, length) };
    atom(std::str::from_utf8(name).expect("names are ASCII")).raw()
}

#[unsafe(no_mangle)]
extern "C" fn enif_is_atom(_env: *mut ErlNifEnv, term: ErlNifTerm) -> c_int {
    c_int::from(BeamTerm::from(term).word() & 0x3F == 0x0B)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_get_local_pid(
    _env: *mut ErlNifEnv,
    term: ErlNifTerm,
    found: *mut ErlNifPid,
) -> c_int {
    let term = BeamTerm::from(term);
    if term.word() & 0xF != 0x03 {
        return 0;
    }
    // SAFETY: the caller passes a place to write to.
    unsafe { *found = pid(process_of(term)) };
    1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn enif_get_ulong(
    _env: *mut ErlNifEnv,
    term: ErlNifTerm,
    found: *mut c_ulong,
) -> c_int {
    let Some(value) = BeamTerm::from(term).small_integer() else {
        return 0;
    };
    // SAFETY: the caller passes a place to write to.
    unsafe { *found = value as c_ulong };
    1
}

#[unsafe(no_mangle)]
extern "C" fn enif_is_exception(_env: *mut ErlNifEnv, term: ErlNifTerm) -> c_int {
    c_int::from(BeamTerm::from(term).word() == EXCEPTION)
}

#[unsafe(no_mangle)]
extern "C" fn enif_make_badarg(_env: *mut ErlNifEnv) -> ErlNifTerm {
    immediate(EXCEPTION).raw()
}

macro_rules! missing {
    ($($name:ident)*) => {
        $(
            /// No model asks for it.
            #[unsafe(no_mangle)]
            extern "C" fn $name() {
                panic!(concat!("this VM has no ", stringify!($name)));
            }
        )*
    };
}

missing! {
    enif_binary_to_term enif_clear_env enif_compare enif_consume_timeslice enif_get_atom
    enif_get_double enif_get_list_cell enif_get_long enif_get_map_size enif_get_map_value enif_hash
    enif_inspect_binary enif_is_binary enif_is_empty_list enif_is_identical enif_make_atom
    enif_make_double enif_make_list_cell enif_make_list_from_array enif_make_long
    enif_make_map_from_arrays enif_make_map_put enif_make_new_binary enif_make_new_map enif_make_ref
    enif_make_sub_binary enif_make_ulong enif_map_iterator_create enif_map_iterator_destroy
    enif_map_iterator_get_pair enif_map_iterator_next enif_raise_exception enif_release_binary
    enif_schedule_nif enif_term_to_binary enif_term_type
}
