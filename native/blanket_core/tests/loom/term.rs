//! A term whose every use loom watches: an integer, or a node with elements that may be written.
//!
//! Each use of a node is a read of its `life`, making and freeing it are writes: loom finds a node that
//! is used while it is freed, or before who made it has published it, in whatever order that came to
//! pass. Nodes that were freed stay in memory to the end of the execution, to be found out.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;

use blanket_core::{Arena, Encoding, Term, Tuples};
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use loom::sync::atomic::{AtomicBool, AtomicU64};

/// The word of an integer is odd, that of a node its address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Num(u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tuple,
    /// A number that is no immediate, and may live in a block.
    Boxed,
    /// A number that has to live in an arena.
    Paged,
}

struct Node {
    form: Form,
    /// By how many leaves a block is shared beside the first.
    shared: AtomicU64,
    life: UnsafeCell<bool>,
    elements: Box<[AtomicU64]>,
    /// Written with every access to the elements: loom loses sight of a read behind which comes another.
    shadow: AtomicBool,
    /// The same, for those who are alone with them.
    words: UnsafeCell<Box<[Num]>>,
}

thread_local! {
    /// Of this execution. All of its threads are one to the operating system.
    #[expect(clippy::vec_box, reason = "their addresses are to stay")]
    static FREED: RefCell<Vec<Box<Node>>> = const { RefCell::new(Vec::new()) };
    static ALIVE: Cell<isize> = const { Cell::new(0) };
}

/// Begins an execution. All that the one before made has been freed at its end.
pub fn begin() {
    assert_eq!(ALIVE.get(), 0, "nodes are alive at the end");
    FREED.take();
}

pub fn num(number: i64) -> Num {
    Num((number << 1 | 1) as u64)
}

impl Num {
    fn number(self) -> Option<i64> {
        (self.0 & 1 == 1).then_some(self.0 as i64 >> 1)
    }

    /// The number of an integer, whatever its form.
    pub fn value(self) -> i64 {
        self.number().unwrap_or_else(|| {
            let inner = self.node().elements[0].load(Relaxed);
            Num(inner).value()
        })
    }

    fn is(self, form: Form) -> bool {
        self.number().is_none() && self.node().form == form
    }

    #[track_caller]
    fn node(&self) -> &Node {
        assert!(self.0 != 0 && self.0 & 1 == 0, "no node");
        // SAFETY: nodes stay in memory to the end of the execution.
        let node = unsafe { &*(self.0 as *const Node) };
        // SAFETY: loom sees to it that nobody writes it now.
        let alive = node.life.with(|life| unsafe { *life });
        assert!(alive, "a node was used after it was freed");
        node
    }

    fn new(form: Form, elements: &[Num]) -> Self {
        let node = Box::into_raw(Box::new(Node {
            form,
            shared: AtomicU64::new(0),
            life: UnsafeCell::new(false),
            elements: elements.iter().map(|it| AtomicU64::new(it.0)).collect(),
            words: UnsafeCell::new(elements.into()),
            shadow: AtomicBool::new(false),
        }));
        // SAFETY: nobody else knows the node yet.
        unsafe { (*node).life.with_mut(|life| *life = true) };
        ALIVE.set(ALIVE.get() + 1);
        Num(node as u64)
    }

    fn copied(self) -> Self {
        match self.number() {
            Some(_) => self,
            None => Self::new(
                self.node().form,
                &self
                    .elements()
                    .iter()
                    .map(|it| it.copied())
                    .collect::<Vec<_>>(),
            ),
        }
    }

    fn free(self) {
        if self.number().is_some() {
            return;
        }
        self.elements().iter().for_each(|element| element.free());
        self.node().life.with_mut(|life| {
            // SAFETY: loom sees to it that nobody reads it now.
            assert!(unsafe { std::mem::replace(&mut *life, false) });
        });
        ALIVE.set(ALIVE.get() - 1);
        // SAFETY: it came from `Box::into_raw`, and is freed once.
        FREED.with_borrow_mut(|freed| freed.push(unsafe { Box::from_raw(self.0 as *mut Node) }));
    }
}

impl std::fmt::Debug for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:?}", self.number())
    }
}

/// A caller's term, freed when this is dropped.
pub struct Owned(Num);

impl Owned {
    /// A flat object.
    pub fn flat(elements: &[i64]) -> Self {
        Owned(Num::new(
            Form::Tuple,
            &elements.iter().map(|&it| num(it)).collect::<Vec<_>>(),
        ))
    }

    /// An object that lives in a block, whose first two elements are immediates.
    pub fn block(key: i64, value: i64) -> Self {
        let boxed = Num::new(Form::Boxed, &[num(value)]);
        Owned(Num::new(Form::Tuple, &[num(key), num(value), boxed]))
    }

    /// An object whose key is no immediate, and whose others may be written in its block.
    pub fn keyed(key: i64, values: &[i64]) -> Self {
        let mut elements = vec![Num::new(Form::Boxed, &[num(key)])];
        elements.extend(values.iter().map(|&it| num(it)));
        Owned(Num::new(Form::Tuple, &elements))
    }

    /// An object that lives in a page.
    pub fn paged(key: i64, value: i64) -> Self {
        let paged = Num::new(Form::Paged, &[num(value)]);
        Owned(Num::new(Form::Tuple, &[num(key), num(value), paged]))
    }

    pub fn term(&self) -> Num {
        self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.free();
    }
}

impl Term for Num {
    type Arena = Nodes;
    type Tuples = Flat;

    fn to_word(self) -> u64 {
        self.0
    }

    unsafe fn from_word(word: u64) -> Self {
        Num(word)
    }

    /// Keys up to 255 in their order.
    fn hash(self) -> u64 {
        (self.value() as u64) << 56
    }

    fn matches(self, other: Self) -> bool {
        match (self.is(Form::Tuple), other.is(Form::Tuple)) {
            (false, false) => self.value() == other.value(),
            (true, true) => {
                let same = |at| self.element(at).matches(other.element(at));
                self.arity() == other.arity() && (0..self.arity()).all(same)
            }
            _ => false,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        self.value().cmp(&other.value())
    }

    fn encode(self, out: &mut Encoding) {
        out.push_word(self.value() as u64, 8);
    }

    fn is_immediate(self) -> bool {
        self.number().is_some()
    }

    fn arity(self) -> usize {
        self.node().elements.len()
    }

    #[track_caller]
    fn element(self, index: usize) -> Self {
        let node = self.node();
        node.shadow.store(true, Relaxed);
        Num(node.elements[index].load(Relaxed))
    }

    #[track_caller]
    fn elements(&self) -> &[Self] {
        // SAFETY: loom sees to it that nobody writes them now.
        self.node().words.with(|words| unsafe { &**words })
    }

    #[track_caller]
    unsafe fn set_element(self, index: usize, element: Self) {
        let node = self.node();
        assert!(element.is_immediate());
        // SAFETY: loom sees to it that nobody else uses them now.
        node.words
            .with_mut(|words| unsafe { (&mut *words)[index] = element });
        node.shadow.store(true, Relaxed);
        node.elements[index].store(element.0, Relaxed);
    }

    fn block_bytes(elements: &[Self]) -> Option<usize> {
        let in_block = |element: &Self| !element.is(Form::Paged);
        elements.iter().all(in_block).then_some(BYTES)
    }

    fn new_block(elements: &[Self], _bytes: usize) -> Self {
        Num::new(
            Form::Tuple,
            &elements.iter().map(|it| it.copied()).collect::<Vec<_>>(),
        )
    }

    unsafe fn bytes_of_block(self) -> usize {
        self.node();
        BYTES
    }

    unsafe fn share_block(self) {
        self.node().shared.fetch_add(1, Relaxed);
    }

    unsafe fn is_block_shared(self) -> bool {
        self.node().shared.load(Acquire) > 0
    }

    unsafe fn free_block(self) {
        let last = |shared: u64| shared.checked_sub(1);
        if self
            .node()
            .shared
            .fetch_update(AcqRel, Acquire, last)
            .is_err()
        {
            self.free();
        }
    }
}

/// What any object counts for.
const BYTES: usize = 64;

/// Nodes that are freed together.
pub struct Nodes(UnsafeCell<Vec<Num>>);

// SAFETY: loom watches the uses of the list.
unsafe impl Send for Nodes {}
// SAFETY: as above.
unsafe impl Sync for Nodes {}

impl Nodes {
    #[track_caller]
    fn add(&self, node: Num) -> Num {
        // SAFETY: loom sees to it that nobody else adds now.
        self.0.with_mut(|nodes| unsafe { (*nodes).push(node) });
        node
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // SAFETY: nobody else has a reference.
        self.0
            .with_mut(|nodes| unsafe { (*nodes).drain(..).for_each(Num::free) });
    }
}

impl Arena<Num> for Nodes {
    fn new() -> Self {
        Nodes(UnsafeCell::new(Vec::new()))
    }

    fn bytes(&self) -> usize {
        BYTES
    }

    fn size(_: Num) -> usize {
        BYTES
    }

    fn tuple_size(_: &[Num]) -> usize {
        BYTES
    }

    unsafe fn copy(&self, term: Num, _size: usize) -> Num {
        self.add(term.copied())
    }

    unsafe fn tuple(&self, elements: &[Num], bytes: usize) -> Num {
        self.add(Num::new_block(elements, bytes))
    }
}

/// Tuples of integers.
pub struct Flat(Nodes);

impl Tuples<Num> for Flat {
    fn new() -> Self {
        Flat(Nodes::new())
    }

    fn bytes(&self) -> usize {
        BYTES
    }

    fn tuple(&mut self, elements: &[Num]) -> Num {
        self.0.add(Num::new(Form::Tuple, elements))
    }
}
