//! The BEAM's terms, as the engine sees them.
//!
//! A term is one machine word: an *immediate* (small integer, atom, local pid …) is its own value,
//! any other word points at memory that somebody keeps alive. The common keys, immediates, are
//! told apart, hashed and compared without a call into the VM, and tuples, which all objects are,
//! are looked into without one. What that takes to be true of words is checked by [`check_words`]
//! before the library agrees to load.

use std::cmp::Ordering;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{self, AtomicU64};

use blanket_core::{Encoding, OwnedTerm, Term};
use rustler::sys::{
    self, ErlNifBinary, ErlNifEnv, ErlNifMapIterator, ErlNifMapIteratorEntry, ErlNifTerm,
};

use crate::arena::{Chunks, EnvArena};
use crate::atoms;
use crate::block;
use crate::cut::Cut;
use crate::encoding;
use crate::key;

/// A term of the BEAM.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct BeamTerm(ErlNifTerm);

/// What the VM says a term is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Atom,
    Bitstring,
    Float,
    Fun,
    Integer,
    List,
    Map,
    Pid,
    Port,
    Reference,
    Tuple,
    /// One that came with a later VM.
    Other,
}

/// The last two bits of a word: what it is.
pub const TAG: u64 = 3;
/// It points at a list cell.
pub const LIST: u64 = 1;
/// It points at a header.
pub const BOXED: u64 = 2;
/// It is all there is.
pub const IMMEDIATE: u64 = 3;

/// Where the word of a term that is no immediate points. Terms are aligned to words, and some VMs mark
/// literals by the bit that leaves free.
#[inline]
pub fn address(word: u64) -> *mut u64 {
    ptr::with_exposed_provenance_mut((word & !7) as usize)
}

/// The last two bits of a word that points at a [`Cut`]; no term of the VM's has them.
const CUT: u64 = 0;

/// The bits of a header that say what it begins.
const KIND: u64 = 0x3F;
/// Those of native records, where there are some.
static RECORD: AtomicU64 = AtomicU64::new(u64::MAX);

/// The word of `[]`, an immediate.
static NIL: AtomicU64 = AtomicU64::new(0);

impl BeamTerm {
    #[inline]
    pub fn raw(self) -> ErlNifTerm {
        self.0
    }

    /// The machine word.
    #[inline]
    pub fn word(self) -> u64 {
        // SAFETY: an ERL_NIF_TERM is one machine word of plain bits.
        unsafe { std::mem::transmute::<ErlNifTerm, usize>(self.0) as u64 }
    }

    /// # Safety
    ///
    /// `word` came from [`BeamTerm::word`], of a term that is still alive.
    #[inline]
    pub unsafe fn from_word(word: u64) -> Self {
        // SAFETY: as in `word`.
        BeamTerm(unsafe { std::mem::transmute::<usize, ErlNifTerm>(word as usize) })
    }

    #[inline]
    pub fn nil() -> Self {
        // SAFETY: an immediate lives for ever.
        unsafe { BeamTerm::from_word(NIL.load(atomic::Ordering::Relaxed)) }
    }

    #[inline]
    pub fn is_immediate(self) -> bool {
        self.word() & TAG == IMMEDIATE
    }

    /// The value of an integer that is an immediate.
    #[inline]
    pub fn small_integer(self) -> Option<i64> {
        (self.word() & 0xF == 0xF).then_some(self.word() as i64 >> 4)
    }

    /// The elements, if the term is a tuple.
    #[inline]
    pub fn as_tuple<'a>(self) -> Option<&'a [BeamTerm]> {
        if self.word() & 3 != BOXED {
            return None;
        }
        let header = self.header();
        // SAFETY: the word of a term that is neither an immediate nor a list points, but for its
        // tag, at the term's header, and the memory lives as long as the term. A tuple's header is
        // its arity and six zero bits; the elements follow as one array of words.
        unsafe {
            (*header & 0x3F == 0)
                .then(|| std::slice::from_raw_parts(header.add(1).cast(), (*header >> 6) as usize))
        }
    }

    /// The first word of a tuple.
    #[inline]
    pub fn tuple_header(arity: usize) -> u64 {
        (arity as u64) << 6
    }

    /// The tuple whose words these are, the header first.
    ///
    /// # Safety
    ///
    /// The words are a header and as many terms as it says, and live as long as the term is used.
    #[inline]
    pub unsafe fn tuple_at(words: *mut u64) -> Self {
        // SAFETY: as promised.
        unsafe { Self::from_word(words.expose_provenance() as u64 | BOXED) }
    }

    /// The header of a term that is neither an immediate nor a list.
    #[inline]
    fn header(self) -> *mut u64 {
        address(self.word())
    }

    /// # Safety
    ///
    /// The term is a tuple that has such an element.
    #[inline]
    unsafe fn slot<'a>(self, index: usize) -> &'a AtomicU64 {
        // SAFETY: as promised; elements are words, aligned as such.
        unsafe { AtomicU64::from_ptr(self.header().add(1 + index)) }
    }

    /// A cut, as a key to go on from in an `ordered_set`. It can be compared and encoded, and nothing
    /// else.
    ///
    /// # Safety
    ///
    /// The cut stays where it is as long as the term is used.
    pub unsafe fn cut(cut: &Cut) -> Self {
        const { assert!(align_of::<Cut>() > 3) };
        // SAFETY: as promised.
        unsafe { BeamTerm::from_word(ptr::from_ref(cut).expose_provenance() as u64) }
    }

    #[inline]
    pub fn as_cut<'a>(self) -> Option<&'a Cut> {
        // SAFETY: such a word comes from `BeamTerm::cut` only, whose caller keeps the cut.
        (self.word() & 3 == CUT)
            .then(|| unsafe { &*ptr::with_exposed_provenance(self.word() as usize) })
    }

    /// The elements, as the VM finds them.
    #[cold]
    fn as_tuple_of_vm<'a>(self, env: *mut ErlNifEnv) -> Option<&'a [BeamTerm]> {
        let mut arity = 0;
        let mut elements = ptr::null();
        // SAFETY: the function reads the tuple's memory, which holds the elements as one array.
        unsafe {
            let found = sys::enif_get_tuple(env, self.0, &mut arity, &mut elements);
            (found != 0).then(|| std::slice::from_raw_parts(elements.cast(), arity as usize))
        }
    }

    /// The head and tail, if the term is a list cell.
    #[inline]
    pub fn as_cell(self) -> Option<(BeamTerm, BeamTerm)> {
        if self.word() & TAG != LIST {
            return None;
        }
        let cell = address(self.word());
        // SAFETY: such a word points at the two words of a cell, which live as long as the term.
        Some(unsafe { (Self::from_word(*cell), Self::from_word(*cell.add(1))) })
    }

    /// The head and tail, as the VM finds them.
    #[cold]
    fn as_cell_of_vm(self) -> Option<(BeamTerm, BeamTerm)> {
        let mut head = ErlNifTerm::default();
        let mut tail = ErlNifTerm::default();
        // SAFETY: the function reads the cell's memory only; it does not use its environment.
        let found =
            unsafe { sys::enif_get_list_cell(ptr::null_mut(), self.0, &mut head, &mut tail) };
        (found != 0).then_some((BeamTerm(head), BeamTerm(tail)))
    }

    pub fn type_of(self) -> Type {
        if self.is_record() {
            return Type::Other;
        }
        // SAFETY: the function takes any term and does not use its environment. It answers a C int,
        // of which a later VM may know values that the Rust binding's enum does not have.
        let code = unsafe {
            let term_type: unsafe extern "C" fn(*mut ErlNifEnv, ErlNifTerm) -> c_int =
                std::mem::transmute(sys::enif_term_type as *const ());
            term_type(ptr::null_mut(), self.0)
        };
        match code {
            1 => Type::Atom,
            2 => Type::Bitstring,
            3 => Type::Float,
            4 => Type::Fun,
            5 => Type::Integer,
            6 => Type::List,
            7 => Type::Map,
            8 => Type::Pid,
            9 => Type::Port,
            10 => Type::Reference,
            11 => Type::Tuple,
            _ => Type::Other,
        }
    }

    /// The VM itself stops when it is asked for the type of one.
    #[inline]
    fn is_record(self) -> bool {
        // SAFETY: the word points at a header, which lives as long as the term.
        self.word() & TAG == BOXED
            && unsafe { *self.header() } & KIND == RECORD.load(atomic::Ordering::Relaxed)
    }

    pub fn to_i64(self) -> Option<i64> {
        let mut value = 0;
        // SAFETY: the function reads the integer's memory only.
        let found = unsafe { sys::enif_get_int64(ptr::null_mut(), self.0, &mut value) };
        (found != 0).then_some(value)
    }

    pub fn to_f64(self) -> Option<f64> {
        let mut value = 0.0;
        // SAFETY: the function reads the float's memory only.
        let found = unsafe { sys::enif_get_double(ptr::null_mut(), self.0, &mut value) };
        (found != 0).then_some(value)
    }

    pub fn map_size(self) -> Option<usize> {
        let mut size = 0;
        // SAFETY: the function reads the map's memory only.
        let found = unsafe { sys::enif_get_map_size(ptr::null_mut(), self.0, &mut size) };
        (found != 0).then_some(size)
    }

    /// Calls `each` with the keys and values of a map.
    pub fn for_each_pair(self, mut each: impl FnMut(BeamTerm, BeamTerm)) {
        let mut iterator = MaybeUninit::<ErlNifMapIterator>::uninit();
        let first = ErlNifMapIteratorEntry::ERL_NIF_MAP_ITERATOR_HEAD;
        // SAFETY: the functions read the map's memory and keep their state in `iterator`, which is
        // filled in when the first answers true and destroyed once; they do not use an environment.
        unsafe {
            let env = ptr::null_mut();
            if sys::enif_map_iterator_create(env, self.0, iterator.as_mut_ptr(), first) == 0 {
                return;
            }
            let iterator = iterator.assume_init_mut();
            let mut key = ErlNifTerm::default();
            let mut value = ErlNifTerm::default();
            while sys::enif_map_iterator_get_pair(env, iterator, &mut key, &mut value) != 0 {
                each(BeamTerm(key), BeamTerm(value));
                let _at_end: c_int = sys::enif_map_iterator_next(env, iterator);
            }
            sys::enif_map_iterator_destroy(env, iterator);
        }
    }

    /// The value under a key of a map.
    pub fn map_value(self, key: BeamTerm) -> Option<BeamTerm> {
        let mut value = ErlNifTerm::default();
        // SAFETY: the function reads the map's memory only, and writes `value` when it answers true.
        let found = unsafe { sys::enif_get_map_value(ptr::null_mut(), self.0, key.0, &mut value) };
        (found != 0).then_some(BeamTerm(value))
    }

    /// The bits of a binary or bitstring.
    pub fn bit_size(self) -> Option<usize> {
        if let Some(bytes) = self.with_bytes(<[u8]>::len) {
            return Some(bytes * 8);
        }
        // BIT_BINARY_EXT: the length in bytes, the number of bits in the last, the bytes.
        self.with_external(|external| match external {
            [131, 77, _, _, _, _, bits, bytes @ .., _last] => {
                Some(bytes.len() * 8 + usize::from(*bits))
            }
            _ => None,
        })
        .flatten()
    }

    /// The truth that an atom is.
    #[inline]
    pub fn boolean(self) -> Option<bool> {
        match self {
            _ if self == BeamTerm::from(atoms::yes()) => Some(true),
            _ if self == BeamTerm::from(atoms::no()) => Some(false),
            _ => None,
        }
    }

    pub fn is_binary(self) -> bool {
        // SAFETY: the function takes any term and does not use its environment.
        unsafe { sys::enif_is_binary(ptr::null_mut(), self.0) != 0 }
    }

    /// The integer, if it is one that is an immediate.
    #[inline]
    pub fn small(value: i64) -> Option<Self> {
        let word = (value << 4) as u64 | 0xF;
        // SAFETY: an immediate lives for ever; that it is this integer is checked when the library
        // is loaded.
        let term = unsafe { BeamTerm::from_word(word) };
        (term.small_integer() == Some(value)).then_some(term)
    }

    /// Calls `then` with the bytes of a binary.
    pub fn with_bytes<R>(self, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
        SCRATCH.with(|scratch| {
            let mut binary = MaybeUninit::<ErlNifBinary>::uninit();
            // SAFETY: `binary` is filled in when the function answers true.
            let found =
                unsafe { sys::enif_inspect_binary(scratch.0, self.0, binary.as_mut_ptr()) != 0 };
            let result = found.then(|| {
                // SAFETY: as above; the bytes stay until the environment is cleared.
                let bytes = unsafe {
                    let ErlNifBinary { data, size, .. } = binary.assume_init();
                    bytes_at(data, size)
                };
                then(bytes)
            });
            // SAFETY: nothing points into the environment any more. What may have been in it is the
            // aligned copy of a binary that starts within a byte.
            unsafe { sys::enif_clear_env(scratch.0) };
            result
        })
    }

    /// Calls `then` with the term in the external term format.
    pub fn with_external<R>(self, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut binary = MaybeUninit::<ErlNifBinary>::uninit();
        // SAFETY: `binary` is filled in when the function answers true; it is released once.
        unsafe {
            if sys::enif_term_to_binary(ptr::null_mut(), self.0, binary.as_mut_ptr()) == 0 {
                return None;
            }
            let mut binary = binary.assume_init();
            let result = then(bytes_at(binary.data, binary.size));
            sys::enif_release_binary(&mut binary);
            Some(result)
        }
    }

    /// Calls `then` with the UTF-8 text of an atom.
    pub fn with_text<R>(self, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut text = [0u8; 256];
        // SAFETY: the buffer is as long as is said; the function does not use its environment.
        let written = unsafe {
            sys::enif_get_atom(
                ptr::null_mut(),
                self.0,
                text.as_mut_ptr().cast::<c_char>(),
                text.len() as u32,
                sys::ErlNifCharEncoding::ERL_NIF_LATIN1,
            )
        };
        if written > 0 {
            let latin1 = &text[..written as usize - 1];
            if latin1.is_ascii() {
                return Some(then(latin1));
            }
            let utf8: String = latin1.iter().map(|&byte| char::from(byte)).collect();
            return Some(then(utf8.as_bytes()));
        }
        // The function cannot read characters beyond latin-1; the external format has them.
        self.with_external(|bytes| match bytes {
            [131, 119, _, text @ ..] | [131, 118, _, _, text @ ..] => Some(then(text)),
            _ => None,
        })
        .flatten()
    }

    /// The term as `env` may hold it: a copy, unless it is an immediate.
    ///
    /// # Safety
    ///
    /// `env` is the environment of the running call, or one that only this thread uses.
    #[inline]
    pub unsafe fn copy_to(self, env: *mut ErlNifEnv) -> BeamTerm {
        if self.is_immediate() {
            return self;
        }
        // SAFETY: the elements outlive the calls; `env` may be added to, as promised.
        BeamTerm(unsafe {
            match self.as_tuple() {
                Some(elements) if elements.iter().all(|element| element.is_immediate()) => {
                    make_tuple(env, elements).raw()
                }
                _ => sys::enif_make_copy(env, self.0),
            }
        })
    }
}

/// # Safety
///
/// `env` may be added to by this thread, and holds the elements that are not immediates.
#[inline]
pub unsafe fn make_tuple(env: *mut ErlNifEnv, elements: &[BeamTerm]) -> BeamTerm {
    // SAFETY: BeamTerm is a transparent wrapper; the array is as long as is said.
    BeamTerm(unsafe {
        sys::enif_make_tuple_from_array(env, elements.as_ptr().cast(), elements.len() as u32)
    })
}

/// # Safety
///
/// `data` points at `size` bytes that stay for `'a`; it may be anything when `size` is 0.
unsafe fn bytes_at<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: as promised.
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// An environment of this thread's own, for the calls that need one to put a passing thing in.
struct Scratch(*mut ErlNifEnv);

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made by enif_alloc_env, freed once.
        unsafe { sys::enif_free_env(self.0) };
    }
}

thread_local! {
    // SAFETY: the function may be called on any thread.
    static SCRATCH: Scratch = Scratch(unsafe { sys::enif_alloc_env() });
}

impl From<ErlNifTerm> for BeamTerm {
    #[inline]
    fn from(term: ErlNifTerm) -> Self {
        BeamTerm(term)
    }
}

impl From<rustler::Term<'_>> for BeamTerm {
    fn from(term: rustler::Term<'_>) -> Self {
        BeamTerm(term.as_c_arg())
    }
}

impl From<rustler::Atom> for BeamTerm {
    #[inline]
    fn from(atom: rustler::Atom) -> Self {
        BeamTerm(atom.as_c_arg())
    }
}

/// A term that outlives the call that passed it.
pub type Stored = OwnedTerm<BeamTerm>;

/// Spreads what is in `word` over all 64 bits.
#[inline]
pub fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93_u128;
    product as u64 ^ (product >> 64) as u64
}

impl Term for BeamTerm {
    type Arena = EnvArena;
    type Tuples = Chunks;

    #[inline]
    fn to_word(self) -> u64 {
        self.word()
    }

    #[inline]
    unsafe fn from_word(word: u64) -> Self {
        // SAFETY: passed on.
        unsafe { BeamTerm::from_word(word) }
    }

    #[inline]
    fn hash(self) -> u64 {
        key::hash(self)
    }

    #[inline]
    fn matches(self, other: Self) -> bool {
        key::matches(self, other)
    }

    #[inline]
    fn compare(self, other: Self) -> Ordering {
        match (self.as_cut(), other.as_cut()) {
            (None, None) => key::compare(self, other),
            (Some(one), Some(two)) => one.compare(two),
            (Some(cut), None) => cut.compare_with_key(other),
            (None, Some(cut)) => cut.compare_with_key(self).reverse(),
        }
    }

    #[inline]
    fn encode(self, out: &mut Encoding) {
        encoding::encode(self, out);
    }

    #[inline]
    fn is_immediate(self) -> bool {
        BeamTerm::is_immediate(self)
    }

    #[inline]
    fn arity(self) -> usize {
        // SAFETY: an object is a tuple, whose header is its arity and six zero bits.
        unsafe { (*self.header() >> 6) as usize }
    }

    #[inline]
    fn element(self, index: usize) -> Self {
        assert!(index < self.arity(), "an element that the object has not");
        // SAFETY: the elements stand behind the header.
        unsafe { BeamTerm::from_word(self.slot(index).load(atomic::Ordering::Relaxed)) }
    }

    #[inline]
    fn elements(&self) -> &[Self] {
        self.as_tuple().unwrap_or_default()
    }

    #[inline]
    unsafe fn set_element(self, index: usize, element: Self) {
        assert!(index < self.arity(), "an element that the object has not");
        // SAFETY: the elements stand behind the header; those of an arena may be written.
        unsafe {
            self.slot(index)
                .store(element.word(), atomic::Ordering::Relaxed)
        };
    }

    #[inline]
    fn block_bytes(elements: &[Self]) -> Option<usize> {
        block::bytes(elements)
    }

    fn new_block(elements: &[Self], bytes: usize) -> Self {
        block::new(elements, bytes)
    }

    unsafe fn bytes_of_block(self) -> usize {
        // SAFETY: passed on.
        unsafe { block::bytes_of(self) }
    }

    unsafe fn share_block(self) {
        // SAFETY: as promised.
        unsafe { block::share(self) }
    }

    #[inline]
    unsafe fn is_block_shared(self) -> bool {
        // SAFETY: as promised.
        unsafe { block::is_shared(self) }
    }

    unsafe fn free_block(self) {
        // SAFETY: passed on.
        unsafe { block::free(self) }
    }
}

/// Learns how native records begin, of one of them. VMs that have none pass another term.
pub fn learn_record(sample: BeamTerm) {
    if sample.word() & TAG == BOXED && sample.as_tuple().is_none() {
        // SAFETY: the word points at a header, which lives as long as the term.
        let kind = unsafe { *sample.header() } & KIND;
        RECORD.store(kind, atomic::Ordering::Relaxed);
    }
}

/// Whether words are what this module takes them to be; the first that is not.
///
/// # Safety
///
/// `env` is the environment of a load or upgrade.
pub unsafe fn check_words(env: *mut ErlNifEnv) -> Result<(), &'static str> {
    // SAFETY: all terms are made and looked at in the environment of the running call.
    unsafe {
        let nil = BeamTerm(sys::enif_make_list_from_array(env, ptr::null(), 0));
        NIL.store(nil.word(), atomic::Ordering::Relaxed);

        let integers = [0, 1, -1, 42, i64::from(i32::MAX), (1 << 59) - 1, -(1 << 59)];
        let decoded = integers.iter().all(|&value| {
            BeamTerm(sys::enif_make_int64(env, value)).small_integer() == Some(value)
        });
        let atom = BeamTerm(sys::enif_make_atom(env, c"blanket".as_ptr()));
        let mut own = MaybeUninit::uninit();
        let pid = if sys::enif_self(env, own.as_mut_ptr()).is_null() {
            atom
        } else {
            BeamTerm(sys::enif_make_pid(env, own.assume_init()))
        };
        let list = BeamTerm(sys::enif_make_list_cell(env, atom.raw(), nil.raw()));
        let mut bytes = ErlNifTerm::default();
        sys::enif_make_new_binary(env, 8, &mut bytes);
        let heap = [
            make_tuple(env, &[]),
            make_tuple(env, &[atom]),
            make_tuple(env, &[nil, atom, list]),
            make_tuple(env, &[atom; 1000]),
            list,
            BeamTerm(sys::enif_make_double(env, 0.5)),
            BeamTerm(sys::enif_make_int64(env, 1 << 59)),
            BeamTerm(sys::enif_make_ref(env)),
            BeamTerm(sys::enif_make_new_map(env)),
            BeamTerm(bytes),
        ];

        let mut words = [BeamTerm::tuple_header(2), atom.word(), nil.word()];
        let own_tuple = BeamTerm::tuple_at(words.as_mut_ptr());
        let vm_tuple = make_tuple(env, &[atom, nil]);
        let immediate = |terms: &[BeamTerm]| terms.iter().all(|term| term.is_immediate());
        let integer = |terms: &[BeamTerm]| terms.iter().any(|term| term.small_integer().is_some());
        if !decoded {
            Err("small integers are not tagged as expected")
        } else if !immediate(&[atom, nil, pid]) || integer(&[atom, nil, pid]) {
            Err("atoms, [] and pids are not tagged as expected")
        } else if (heap.iter()).any(|term| term.is_immediate() || term.word() & 3 == CUT) {
            Err("terms on the heap are not tagged as expected")
        } else if heap
            .iter()
            .chain([&own_tuple])
            .any(|term| term.as_tuple() != term.as_tuple_of_vm(env))
            || sys::enif_is_identical(own_tuple.raw(), vm_tuple.raw()) == 0
        {
            Err("tuples are not laid out as expected")
        } else if heap
            .iter()
            .any(|term| term.as_cell() != term.as_cell_of_vm())
        {
            Err("lists are not laid out as expected")
        } else {
            Ok(())
        }
    }
}
