//! Resources with type pointers of our own.
//!
//! A resource's memory belongs to the VM and lives while any term or [`Ref`] names it. Its type is
//! one static pointer, so that decoding a table argument is one call and no look-up.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use blanket_core::Table;
use parking_lot::{Mutex, RwLock};
use rustler::sys::{
    self, ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceFlags, ErlNifResourceType,
    ErlNifResourceTypeInit,
};
use rustler::{Decoder, Encoder, Env, NifResult, Term};

use crate::durable::Durable;
use crate::fixation::{self, Fixations};
use crate::ownership::{self, Access, Ownership};
use crate::registry;
use crate::sync;
use crate::term::BeamTerm;

/// A table, as a term names it.
pub struct TableResource {
    pub table: Table<BeamTerm>,
    pub access: Access,
    pub named: bool,
    /// The name's atom word; a rename changes it.
    pub name: AtomicU64,
    pub options: Options,
    pub ownership: sync::Mutex<Ownership>,
    pub fixations: Mutex<Fixations>,
    /// What it has on disk.
    pub durable: Option<Durable>,
    /// The table that this is a snapshot of.
    pub origin: Option<TableRef>,
}

/// What the creator asked for and `info` reports; the engine needs none of it. All immediates.
#[derive(Clone, Copy)]
pub struct Options {
    pub read_concurrency: BeamTerm,
    pub write_concurrency: BeamTerm,
    pub decentralized_counters: BeamTerm,
    pub compressed: bool,
}

pub type TableRef = Ref<TableResource>;

impl Resource for TableResource {
    const NAME: &'static CStr = c"Blanket.Table";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<TableResource> = Class::new();
        &CLASS
    }

    fn down(table: &TableRef, env: *mut ErlNifEnv, pid: ErlNifPid, monitor: &ErlNifMonitor) {
        ownership::down(table, env, pid, monitor);
        fixation::down(table, monitor);
    }
}

impl<'a> Decoder<'a> for TableRef {
    /// A table argument: its reference or its name. Says nothing about access.
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let env = term.get_env().as_c_arg();
        let word = BeamTerm::from(term);
        TableRef::from_term(env, word)
            .or_else(|| term.is_atom().then(|| registry::lookup_name(word))?)
            .ok_or(rustler::Error::BadArg)
    }
}

impl Encoder for TableRef {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the term was just made in `env`.
        unsafe { Term::new(env, self.to_term(env.as_c_arg()).raw()) }
    }
}

/// A type that lives in resources.
pub trait Resource: Sized + Send + Sync + 'static {
    const NAME: &'static CStr;

    fn class() -> &'static Class<Self>;

    /// A process that the resource monitors exited.
    fn down(_this: &Ref<Self>, _env: *mut ErlNifEnv, _pid: ErlNifPid, _monitor: &ErlNifMonitor) {}
}

/// The VM's resource type for `T`.
///
/// When all code of the module was purged before it is loaded again, as compilers do, the VM makes a
/// new type, and the resources that are there stay with the former one.
pub struct Class<T> {
    pointer: AtomicPtr<ErlNifResourceType>,
    /// A resource that is never released: it keeps the type, so that no other library's type is ever
    /// made at its address. It holds no value.
    keeper: AtomicPtr<c_void>,
    former: RwLock<Vec<AtomicPtr<ErlNifResourceType>>>,
    of: PhantomData<fn() -> T>,
}

impl<T> Class<T> {
    pub const fn new() -> Self {
        Class {
            pointer: AtomicPtr::new(ptr::null_mut()),
            keeper: AtomicPtr::new(ptr::null_mut()),
            former: RwLock::new(Vec::new()),
            of: PhantomData,
        }
    }

    #[inline]
    fn pointer(&self) -> *const ErlNifResourceType {
        self.pointer.load(Ordering::Relaxed)
    }
}

impl<T: Resource> Class<T> {
    /// Opens the type for the module instance being loaded, taking it over from an older one.
    ///
    /// # Safety
    ///
    /// `env` is the environment of a `load` or `upgrade` callback.
    pub unsafe fn open(&self, env: *mut ErlNifEnv) -> bool {
        let init = ErlNifResourceTypeInit {
            dtor: destroy::<T> as *const _,
            stop: ptr::null(),
            down: down::<T> as *const _,
        };
        let flags = ErlNifResourceFlags::ERL_NIF_RT_CREATE as u32
            | ErlNifResourceFlags::ERL_NIF_RT_TAKEOVER as u32;
        let mut tried = MaybeUninit::uninit();
        // SAFETY: the name is nul-terminated, `init` and `tried` outlive the call, and the function
        // takes its flags as a C int of bits, which the Rust binding's enum cannot express.
        let pointer = unsafe {
            let open: OpenResourceType =
                std::mem::transmute(sys::enif_open_resource_type_x as *const ());
            open(env, T::NAME.as_ptr(), &init, flags, tried.as_mut_ptr())
        };
        if pointer.is_null() {
            return false;
        }
        let former = self.pointer.swap(pointer.cast_mut(), Ordering::Relaxed);
        if former != pointer.cast_mut() {
            // SAFETY: the type was just opened.
            let keeper = unsafe { sys::enif_alloc_resource(pointer, 1) };
            self.keeper.store(keeper, Ordering::Relaxed);
            if !former.is_null() {
                self.former.write().push(AtomicPtr::new(former));
            }
        }
        true
    }
}

impl<T: Resource> Class<T> {
    /// A term that names a resource of this type, one without a value: only to look at the term.
    ///
    /// # Safety
    ///
    /// The class was opened; `env` is that of the running call.
    pub unsafe fn sample(&self, env: *mut ErlNifEnv) -> BeamTerm {
        // SAFETY: the keeper is never released, so its destructor never runs.
        BeamTerm::from(unsafe { sys::enif_make_resource(env, self.keeper.load(Ordering::Relaxed)) })
    }
}

type OpenResourceType = unsafe extern "C" fn(
    *mut ErlNifEnv,
    *const std::ffi::c_char,
    *const ErlNifResourceTypeInit,
    u32,
    *mut u32,
) -> *const ErlNifResourceType;

/// A counted reference to a resource.
pub struct Ref<T: Resource> {
    /// What the VM calls the object; the value stands at the next address aligned for it.
    object: NonNull<c_void>,
    of: PhantomData<T>,
}

// SAFETY: the VM counts references atomically, and `T` is Send and Sync.
unsafe impl<T: Resource> Send for Ref<T> {}
// SAFETY: as above.
unsafe impl<T: Resource> Sync for Ref<T> {}

impl<T: Resource> Ref<T> {
    pub fn new(value: T) -> Self {
        let size = size_of::<T>() + align_of::<T>();
        // SAFETY: the class was opened when the library was loaded; the memory is as large as the
        // value and its alignment need.
        unsafe {
            let object = sys::enif_alloc_resource(T::class().pointer(), size);
            let object = NonNull::new(object).expect("the VM aborts when out of memory");
            value_of::<T>(object).write(value);
            Ref {
                object,
                of: PhantomData,
            }
        }
    }

    /// The resource that `term` names, if it is one of this type.
    pub fn from_term(env: *mut ErlNifEnv, term: BeamTerm) -> Option<Self> {
        // SAFETY: `term` is alive up to here.
        unsafe { borrow(env, term) }.map(Borrowed::keep)
    }

    /// The same resource for as long as something else keeps it alive.
    ///
    /// # Safety
    ///
    /// That is so for `'a`.
    pub unsafe fn lend<'a>(&self) -> Borrowed<'a, T> {
        Borrowed {
            object: self.object,
            // SAFETY: the caller's promise.
            value: unsafe { value_of::<T>(self.object).as_ref() },
        }
    }

    pub fn to_term(&self, env: *mut ErlNifEnv) -> BeamTerm {
        // SAFETY: `self` keeps the object alive.
        BeamTerm::from(unsafe { sys::enif_make_resource(env, self.object.as_ptr()) })
    }

    /// The VM's name of the object, for `enif_monitor_process` and its like.
    pub fn as_object(&self) -> *mut c_void {
        self.object.as_ptr()
    }
}

/// A resource that something else keeps alive, without a reference counted.
pub struct Borrowed<'a, T: Resource> {
    object: NonNull<c_void>,
    value: &'a T,
}

impl<T: Resource> Clone for Borrowed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Resource> Copy for Borrowed<'_, T> {}

impl<T: Resource> Deref for Borrowed<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<'a, T: Resource> Borrowed<'a, T> {
    pub fn get(self) -> &'a T {
        self.value
    }
}

impl<T: Resource> Borrowed<'_, T> {
    pub fn keep(self) -> Ref<T> {
        // SAFETY: the object is alive now.
        unsafe { sys::enif_keep_resource(self.object.as_ptr()) };
        Ref {
            object: self.object,
            of: PhantomData,
        }
    }
}

/// The value that `term` names.
///
/// # Safety
///
/// `term` stays alive for `'a`: it is an argument of the call that `'a` spans.
#[inline]
pub unsafe fn borrow<'a, T: Resource>(
    env: *mut ErlNifEnv,
    term: BeamTerm,
) -> Option<Borrowed<'a, T>> {
    let object = find::<T>(env, term)?;
    // SAFETY: the object holds a value of type T for as long as the term lives.
    let value = unsafe { value_of::<T>(object).as_ref() };
    Some(Borrowed { object, value })
}

#[inline]
fn find<T: Resource>(env: *mut ErlNifEnv, term: BeamTerm) -> Option<NonNull<c_void>> {
    if term.is_immediate() {
        return None;
    }
    find_as(env, term, T::class().pointer()).or_else(|| find_former::<T>(env, term))
}

#[cold]
fn find_former<T: Resource>(env: *mut ErlNifEnv, term: BeamTerm) -> Option<NonNull<c_void>> {
    let former = T::class().former.read();
    former
        .iter()
        .find_map(|pointer| find_as(env, term, pointer.load(Ordering::Relaxed)))
}

#[inline]
fn find_as(
    env: *mut ErlNifEnv,
    term: BeamTerm,
    class: *const ErlNifResourceType,
) -> Option<NonNull<c_void>> {
    let mut object = ptr::null();
    // SAFETY: `object` is written before it is read, when the call answers true.
    let found = unsafe { sys::enif_get_resource(env, term.raw(), class, &mut object) };
    NonNull::new(object.cast_mut()).filter(|_| found != 0)
}

#[inline]
fn value_of<T>(object: NonNull<c_void>) -> NonNull<T> {
    let object = object.cast::<u8>();
    // SAFETY: the allocation is larger than the value by its alignment.
    unsafe { object.add(object.align_offset(align_of::<T>())) }.cast()
}

impl<T: Resource> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `self` keeps the object alive, which holds a value of type T.
        unsafe { value_of::<T>(self.object).as_ref() }
    }
}

impl<T: Resource> Clone for Ref<T> {
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { sys::enif_keep_resource(self.object.as_ptr()) };
        Ref { ..*self }
    }
}

impl<T: Resource> Drop for Ref<T> {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that `self` held.
        unsafe { sys::enif_release_resource(self.object.as_ptr()) };
    }
}

impl<T: Resource> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl<T: Resource> Eq for Ref<T> {}

unsafe extern "C" fn destroy<T: Resource>(_env: *mut ErlNifEnv, object: *mut c_void) {
    let Some(object) = NonNull::new(object) else {
        return;
    };
    // SAFETY: the VM calls this once, when nothing names the object any more.
    let drop = || unsafe { value_of::<T>(object).drop_in_place() };
    let _ = catch_unwind(AssertUnwindSafe(drop));
}

unsafe extern "C" fn down<T: Resource>(
    env: *mut ErlNifEnv,
    object: *mut c_void,
    pid: *mut ErlNifPid,
    monitor: *mut ErlNifMonitor,
) {
    let Some(object) = NonNull::new(object) else {
        return;
    };
    let this = ManuallyDrop::new(Ref::<T> {
        object,
        of: PhantomData,
    });
    // SAFETY: the VM keeps the object, the pid and the monitor alive during the callback.
    let call = || T::down(&this, env, unsafe { *pid }, unsafe { &*monitor });
    let _ = catch_unwind(AssertUnwindSafe(call));
}
