//! A term in plain Rust: an integer, or a pointer to a node on the heap, owned by an arena.
//!
//! The arena watches the engine. A node that died says so when it is used (its memory is kept
//! for a while), two threads that add to one arena at a time are told, and a [`Census`] counts
//! what is alive, so that a test can see that all of it was given back.

use std::borrow::Cow;
use std::cell::{RefCell, UnsafeCell};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use blanket_core::{Arena, Encoding, Object, Term, Tuples, pin};

use super::fuse;
use super::value::{self, Shape, Shaped, Value};

const ALIVE: u64 = 0xa11f_e000_a11f_e000;
const DEAD: u64 = 0xdead_dead_dead_dead;

/// A term whose hash keeps only the bits of `MASK`: clear some to make hashes collide.
#[derive(Clone, Copy)]
pub struct Plain<const MASK: u64>(*const Node<MASK>);

struct Node<const MASK: u64> {
    canary: AtomicU64,
    /// Of a tuple in a block, the block.
    block: AtomicPtr<Nodes<MASK>>,
    /// How often the block is to be freed beyond the first time.
    shares: AtomicUsize,
    /// It is a caller's, and no table's: operations on it may be made to fail.
    passed_in: bool,
    shape: Shape<Element<MASK>>,
}

/// An element of a tuple, which may be written.
#[repr(transparent)]
struct Element<const MASK: u64>(AtomicPtr<Node<MASK>>);

impl<const MASK: u64> Element<MASK> {
    fn get(&self) -> Plain<MASK> {
        Plain(self.0.load(Relaxed))
    }
}

// SAFETY: all that is changed in a node while it is alive is atomic.
unsafe impl<const MASK: u64> Send for Plain<MASK> {}
// SAFETY: as above.
unsafe impl<const MASK: u64> Sync for Plain<MASK> {}

impl<const MASK: u64> Plain<MASK> {
    fn node(&self) -> &Node<MASK> {
        // SAFETY: the memory of a node outlives the node by a stay in the quarantine, so that
        // even a term used too late is read before it is gone, and found out.
        let node = unsafe { &*self.0 };
        match node.canary.load(Relaxed) {
            ALIVE => node,
            DEAD => panic!("a term was used after its arena was freed"),
            word => panic!("no term is at {:p}: {word:#x}", self.0),
        }
    }

    pub fn to_value(self) -> Value {
        Value(map_shape(&self.shape(), |element| element.to_value()))
    }

    /// A caller's term: what is done with it may fail.
    fn burn(self) {
        if !self.is_immediate() && self.node().passed_in {
            fuse::burn();
        }
    }

    /// An integer, which takes no memory unless it is very large.
    fn immediate(number: i64) -> Option<Self> {
        let word = number << 1 | 1;
        (word >> 1 == number).then(|| Plain(ptr::without_provenance(word as usize)))
    }

    fn as_immediate(self) -> Option<i64> {
        let word = self.0.addr() as i64;
        (word & 1 == 1).then_some(word >> 1)
    }

    /// Byte strings take the part of what cannot be copied as mere memory.
    fn fits_in_a_block(&self) -> bool {
        match &*self.shape() {
            Shape::Bytes(_) => false,
            Shape::Tuple(elements) => elements.iter().all(Self::fits_in_a_block),
            _ => true,
        }
    }

    fn tuple(&self) -> &[Element<MASK>] {
        match &self.node().shape {
            Shape::Tuple(elements) => elements,
            _ => panic!("{self:?} is not a tuple"),
        }
    }
}

fn map_shape<A, B>(shape: &Shape<A>, element: impl FnMut(&A) -> B) -> Shape<B> {
    match shape {
        Shape::Int(number) => Shape::Int(*number),
        Shape::Float(number) => Shape::Float(*number),
        Shape::Text(text) => Shape::Text(text.clone()),
        Shape::Tuple(elements) => Shape::Tuple(elements.iter().map(element).collect()),
        Shape::Bytes(bytes) => Shape::Bytes(bytes.clone()),
    }
}

impl<const MASK: u64> Shaped for Plain<MASK> {
    fn shape(&self) -> Cow<'_, Shape<Self>> {
        Cow::Owned(match self.as_immediate() {
            Some(number) => Shape::Int(number),
            None => map_shape(&self.node().shape, Element::get),
        })
    }
}

/// What a reader took of an object, as a value; the integer at an index of it.
pub trait Taken {
    fn to_value(&self) -> Value;
    fn int_at(&self, index: usize) -> i64;
}

impl<const MASK: u64> Taken for Object<Plain<MASK>> {
    fn to_value(&self) -> Value {
        value::tuple(
            self.elements()
                .iter()
                .map(|e| e.to_value())
                .collect::<Vec<_>>(),
        )
    }

    fn int_at(&self, index: usize) -> i64 {
        self.elements()[index].to_value().as_int()
    }
}

impl<const MASK: u64> fmt::Debug for Plain<MASK> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        value::write(self, f)
    }
}

impl<const MASK: u64> Term for Plain<MASK> {
    type Arena = Nodes<MASK>;
    type Tuples = Flat<MASK>;

    fn to_word(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    unsafe fn from_word(word: u64) -> Self {
        Plain(ptr::with_exposed_provenance(word as usize))
    }

    fn hash(self) -> u64 {
        self.burn();
        value::hash(&self) & MASK
    }

    fn matches(self, other: Self) -> bool {
        self.burn();
        other.burn();
        value::matches(&self, &other)
    }

    fn compare(self, other: Self) -> Ordering {
        self.burn();
        other.burn();
        if let Some(meanwhile) = next_meanwhile() {
            meanwhile();
        }
        value::compare(&self, &other)
    }

    fn encode(self, out: &mut Encoding) {
        self.burn();
        value::encode(&self, out);
    }

    fn is_immediate(self) -> bool {
        self.as_immediate().is_some()
    }

    fn arity(self) -> usize {
        self.tuple().len()
    }

    fn element(self, index: usize) -> Self {
        self.tuple()[index].get()
    }

    fn elements(&self) -> &[Self] {
        let elements = self.tuple();
        // SAFETY: both wrap a pointer to a node, and the tuple is not being written.
        unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
    }

    unsafe fn set_element(self, index: usize, element: Self) {
        let node = self.node();
        let is_shared = node.shares.load(SeqCst) > 0 && !node.block.load(Relaxed).is_null();
        assert!(!is_shared, "a block that is shared is written");
        let old = self.tuple()[index].0.swap(element.0.cast_mut(), Relaxed);
        assert!(Plain(old).is_immediate() && element.is_immediate());
    }

    fn block_bytes(elements: &[Self]) -> Option<usize> {
        let fits = elements.iter().all(Plain::fits_in_a_block);
        fits.then(|| tuple_size(elements))
    }

    fn new_block(elements: &[Self], bytes: usize) -> Self {
        elements.iter().for_each(|element| element.burn());
        assert_eq!(bytes, tuple_size(elements));
        let block = Box::new(Nodes::new());
        let tuple = block.add(|filling| filling.tuple(elements));
        tuple.node().block.store(Box::into_raw(block), Relaxed);
        tuple
    }

    unsafe fn bytes_of_block(self) -> usize {
        assert!(!self.node().block.load(Relaxed).is_null());
        tuple_size(self.elements())
    }

    unsafe fn share_block(self) {
        assert!(!self.node().block.load(Relaxed).is_null());
        self.node().shares.fetch_add(1, SeqCst);
    }

    unsafe fn is_block_shared(self) -> bool {
        self.node().shares.load(SeqCst) > 0
    }

    unsafe fn free_block(self) {
        let is_shared = |shares: usize| shares.checked_sub(1);
        if (self.node().shares)
            .fetch_update(SeqCst, SeqCst, is_shared)
            .is_ok()
        {
            return;
        }
        let block = self.node().block.swap(ptr::null_mut(), Relaxed);
        assert!(!block.is_null(), "a block is freed that is none, or twice");
        // SAFETY: it came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(block) });
    }
}

/// Tuples of immediates.
pub struct Flat<const MASK: u64>(Nodes<MASK>);

impl<const MASK: u64> Tuples<Plain<MASK>> for Flat<MASK> {
    fn new() -> Self {
        Flat(Nodes::new())
    }

    fn bytes(&self) -> usize {
        self.0.bytes.load(Relaxed)
    }

    fn tuple(&mut self, elements: &[Plain<MASK>]) -> Plain<MASK> {
        assert!(elements.iter().all(|element| element.is_immediate()));
        self.0.add(|filling| filling.tuple(elements))
    }
}

/// The arena of plain terms.
pub struct Nodes<const MASK: u64> {
    nodes: UnsafeCell<Vec<*mut Node<MASK>>>,
    bytes: AtomicUsize,
    in_use: AtomicBool,
    /// Of a caller, and not of a table.
    passed_in: bool,
    census: Arc<Census>,
}

// SAFETY: the vector is touched by one appender at a time, which `in_use` checks.
unsafe impl<const MASK: u64> Send for Nodes<MASK> {}
// SAFETY: as above.
unsafe impl<const MASK: u64> Sync for Nodes<MASK> {}

impl<const MASK: u64> Nodes<MASK> {
    fn add(&self, fill: impl FnOnce(&mut Filling<MASK>) -> Plain<MASK>) -> Plain<MASK> {
        let taken = self.in_use.swap(true, SeqCst);
        assert!(!taken, "two threads add to one arena");
        // SAFETY: `in_use` was not set, so this is the only reference to the vector.
        let nodes = unsafe { &mut *self.nodes.get() };
        let before = nodes.len();
        let term = fill(&mut Filling {
            nodes,
            passed_in: self.passed_in,
        });
        let added = nodes.len() - before;
        let bytes = size(&term);
        self.bytes.fetch_add(bytes, Relaxed);
        self.census.bytes.fetch_add(bytes, Relaxed);
        self.census.nodes.fetch_add(added, Relaxed);
        self.in_use.store(false, SeqCst);
        term
    }
}

struct Filling<'a, const MASK: u64> {
    nodes: &'a mut Vec<*mut Node<MASK>>,
    passed_in: bool,
}

impl<const MASK: u64> Filling<'_, MASK> {
    fn copy<E: Shaped>(&mut self, term: &E) -> Plain<MASK> {
        let shape = &*term.shape();
        if let Shape::Int(number) = *shape
            && let Some(immediate) = Plain::immediate(number)
        {
            return immediate;
        }
        let shape = map_shape(shape, |element| self.element(element));
        self.node(shape)
    }

    fn element<E: Shaped>(&mut self, element: &E) -> Element<MASK> {
        Element(AtomicPtr::new(self.copy(element).0.cast_mut()))
    }

    fn tuple(&mut self, elements: &[Plain<MASK>]) -> Plain<MASK> {
        let elements = elements
            .iter()
            .map(|element| self.element(element))
            .collect();
        self.node(Shape::Tuple(elements))
    }

    fn node(&mut self, shape: Shape<Element<MASK>>) -> Plain<MASK> {
        let node = Box::into_raw(Box::new(Node {
            canary: AtomicU64::new(ALIVE),
            block: AtomicPtr::default(),
            shares: AtomicUsize::new(0),
            passed_in: self.passed_in,
            shape,
        }));
        self.nodes.push(node);
        Plain(node)
    }
}

/// About what an empty environment of the BEAM takes.
const OVERHEAD: usize = 1024;

impl<const MASK: u64> Arena<Plain<MASK>> for Nodes<MASK> {
    fn new() -> Self {
        let census = Census::current();
        census.arenas.fetch_add(1, Relaxed);
        Nodes {
            nodes: UnsafeCell::new(Vec::new()),
            bytes: AtomicUsize::new(0),
            in_use: AtomicBool::new(false),
            passed_in: false,
            census,
        }
    }

    fn size(term: Plain<MASK>) -> usize {
        size(&term)
    }

    fn tuple_size(elements: &[Plain<MASK>]) -> usize {
        tuple_size(elements)
    }

    fn bytes(&self) -> usize {
        OVERHEAD + self.bytes.load(Relaxed)
    }

    unsafe fn copy(&self, term: Plain<MASK>, _size: usize) -> Plain<MASK> {
        term.burn();
        self.add(|filling| filling.copy(&term))
    }

    unsafe fn tuple(&self, elements: &[Plain<MASK>], _size: usize) -> Plain<MASK> {
        elements.iter().for_each(|element| element.burn());
        self.add(|filling| filling.tuple(elements))
    }
}

type Meanwhile = (usize, Box<dyn FnOnce()>);

thread_local! {
    static MEANWHILE: RefCell<Option<Meanwhile>> = RefCell::default();
}

/// Runs `work`, and in the midst of it `happens`: before the work compares two terms for the `nth`
/// time, counted from 0. Answers whether it came to that.
pub fn meanwhile(nth: usize, happens: impl FnOnce() + 'static, work: impl FnOnce()) -> bool {
    MEANWHILE.set(Some((nth, Box::new(happens))));
    work();
    MEANWHILE.take().is_none()
}

fn next_meanwhile() -> Option<Box<dyn FnOnce()>> {
    MEANWHILE.with_borrow_mut(|waiting| match waiting {
        Some((nth @ 1.., _)) => {
            *nth -= 1;
            None
        }
        _ => waiting.take().map(|(_, happens)| happens),
    })
}

/// The bytes of a term with all that is in it.
fn size<const MASK: u64>(term: &Plain<MASK>) -> usize {
    if term.is_immediate() {
        return 0;
    }
    match &term.node().shape {
        Shape::Int(_) | Shape::Float(_) => size_of::<Node<MASK>>(),
        Shape::Text(text) => size_of::<Node<MASK>>() + text.len(),
        Shape::Tuple(_) => tuple_size(term.elements()),
        Shape::Bytes(bytes) => size_of::<Node<MASK>>() + bytes.len(),
    }
}

fn tuple_size<const MASK: u64>(elements: &[Plain<MASK>]) -> usize {
    size_of::<Node<MASK>>() + size_of_val(elements) + elements.iter().map(size).sum::<usize>()
}

impl<const MASK: u64> Drop for Nodes<MASK> {
    fn drop(&mut self) {
        let nodes = std::mem::take(self.nodes.get_mut());
        for &node in &nodes {
            // SAFETY: the nodes are this arena's own, and still allocated.
            let was = unsafe { (*node).canary.swap(DEAD, Relaxed) };
            assert_eq!(was, ALIVE, "an arena was freed twice");
        }
        self.census.nodes.fetch_sub(nodes.len(), Relaxed);
        self.census.bytes.fetch_sub(*self.bytes.get_mut(), Relaxed);
        self.census.arenas.fetch_sub(1, Relaxed);
        quarantine(nodes.into_iter().map(|node| {
            // SAFETY: `node` came from `Box::into_raw`, and leaves the arena here.
            (unsafe { Box::from_raw(node) }) as Box<dyn Send>
        }));
    }
}

/// Keeps dead nodes for a while, then frees them.
fn quarantine(nodes: impl Iterator<Item = Box<dyn Send>>) {
    const NODES: usize = 100_000;
    static DEAD_NODES: Mutex<VecDeque<Box<dyn Send>>> = Mutex::new(VecDeque::new());
    let freed: Vec<_> = {
        let mut dead = DEAD_NODES.lock().unwrap();
        dead.extend(nodes);
        let excess = dead.len().saturating_sub(NODES);
        dead.drain(..excess).collect()
    };
    drop(freed);
}

/// Where a test makes the terms that it passes to a table. Drop it after the call: the table must
/// have copied what it keeps.
pub struct Heap<const MASK: u64> {
    nodes: Nodes<MASK>,
    one_thread: PhantomData<*const ()>,
}

impl<const MASK: u64> Heap<MASK> {
    pub fn new() -> Self {
        let mut nodes = Nodes::new();
        nodes.passed_in = true;
        Heap {
            nodes,
            one_thread: PhantomData,
        }
    }

    pub fn build(&self, value: &Value) -> Plain<MASK> {
        self.nodes.add(|filling| filling.copy(value))
    }
}

/// How many arenas and nodes of one test are alive.
#[derive(Default)]
pub struct Census {
    arenas: AtomicUsize,
    nodes: AtomicUsize,
    bytes: AtomicUsize,
}

thread_local! {
    static CENSUS: RefCell<Arc<Census>> = RefCell::default();
}

impl Census {
    /// A new census, which from now on counts what this thread makes.
    pub fn take() -> Arc<Self> {
        let census = Arc::<Self>::default();
        census.join();
        census
    }

    /// Counts what this thread makes, too.
    pub fn join(self: &Arc<Self>) {
        CENSUS.set(self.clone());
    }

    fn current() -> Arc<Self> {
        CENSUS.with_borrow(Arc::clone)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub fn arenas(&self) -> usize {
        self.arenas.load(Relaxed)
    }

    /// Waits until nothing of this test is alive.
    pub fn assert_all_reclaimed(&self) {
        reclaim_until(|| match self.arenas() {
            0 => Ok(()),
            arenas => Err(format!("{arenas} arenas with {} bytes", self.bytes())),
        });
        assert_eq!(self.nodes.load(Relaxed), 0);
        assert_eq!(self.bytes(), 0);
    }
}

/// Frees what waits for readers, until `enough` is.
pub fn reclaim_until(enough: impl Fn() -> Result<(), String>) {
    // Guards that other tests hold put reclamation off: give them time.
    for _ in 0..10_000 {
        if enough().is_ok() {
            return;
        }
        pin().flush();
        thread::sleep(Duration::from_millis(1));
    }
    if let Err(left) = enough() {
        panic!("not reclaimed: {left}");
    }
}
