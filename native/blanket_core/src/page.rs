//! Pages: arenas that many objects share, and a leaf's account of those it uses. They are for the
//! objects that cannot live in blocks.
//!
//! A term in an arena cannot be freed alone. So a page counts its dead objects; when they are more
//! than half of those that were put there, the live ones move to another page and the old one goes.
//! A large object has a page of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crossbeam_epoch::Guard;

use crate::discard::{defer_discard, defer_drop};
use crate::leaf::Entry;
use crate::object::is_flat;
use crate::table::Bounds;
use crate::term::{Arena, Term};
use crate::usage::Usage;

pub(crate) struct Page<T: Term> {
    arena: T::Arena,
    /// Objects that were put here, and the bytes that `usage` knows of. Written only by the one
    /// who puts objects here.
    objects: AtomicU32,
    counted: AtomicUsize,
    /// Objects that are no longer used; counted by all leaves that share the page.
    dead: AtomicU32,
    usage: Arc<Usage>,
}

impl<T: Term> Page<T> {
    pub fn new(usage: &Arc<Usage>) -> Self {
        let arena = T::Arena::new();
        let bytes = arena.bytes() + size_of::<Self>();
        usage.add_bytes(bytes as isize);
        Page {
            arena,
            objects: AtomicU32::new(0),
            counted: AtomicUsize::new(bytes),
            dead: AtomicU32::new(0),
            usage: Arc::clone(usage),
        }
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Puts an object of `size` bytes here.
    ///
    /// # Safety
    ///
    /// No other thread puts objects here meanwhile.
    pub unsafe fn put(&self, source: Source<'_, T>, size: usize) -> T {
        // SAFETY: the caller is the only one who adds to this page, and so to its arena.
        let object = unsafe { source.copy(size, &self.arena) };
        let objects = self.objects.load(Ordering::Relaxed);
        self.objects.store(objects + 1, Ordering::Relaxed);
        let counted = self.counted.load(Ordering::Relaxed);
        let bytes = self.arena.bytes() + size_of::<Self>();
        if bytes >= counted + COUNT_STEP {
            self.usage.add_bytes((bytes - counted) as isize);
            self.counted.store(bytes, Ordering::Relaxed);
        }
        object
    }

    /// An object of this page is no longer used.
    pub fn forget(&self) {
        self.dead.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_full(&self, bounds: &Bounds) -> bool {
        self.objects() >= bounds.page_objects || self.arena.bytes() >= bounds.page_bytes
    }

    pub fn objects(&self) -> u32 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Most of what was put here is garbage.
    pub fn bytes(&self) -> usize {
        self.arena.bytes()
    }

    pub fn is_sparse(&self) -> bool {
        self.dead.load(Ordering::Relaxed) > self.objects() / 2
    }
}

/// Bytes that a page takes on before it has them counted: counting is a shared write.
const COUNT_STEP: usize = 256;

impl<T: Term> Drop for Page<T> {
    fn drop(&mut self) {
        self.usage.add_bytes(-(*self.counted.get_mut() as isize));
    }
}

/// What an object is made from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    Object(T),
    Elements(&'a [T]),
    /// An object in a block, which goes over to whoever is given it.
    Block(T),
}

impl<T: Term> Source<'_, T> {
    pub fn size(&self) -> usize {
        match *self {
            Source::Object(object) | Source::Block(object) => T::Arena::size(object),
            Source::Elements(elements) => T::Arena::tuple_size(elements),
        }
    }

    /// # Safety
    ///
    /// As for [`Arena::copy`].
    unsafe fn copy(self, size: usize, arena: &T::Arena) -> T {
        // SAFETY: the caller's promise is the one that the arena asks for.
        let copy = unsafe {
            match self {
                Source::Object(object) | Source::Block(object) => arena.copy(object, size),
                Source::Elements(elements) => arena.tuple(elements, size),
            }
        };
        self.discard();
        copy
    }

    /// Neither a slab nor a block is where it is going to live.
    pub fn is_in_page(&self) -> bool {
        let elements = self.elements();
        let is_block = matches!(self, Source::Block(_));
        !is_block && !is_flat(elements) && T::block_bytes(elements).is_none()
    }

    pub fn elements(&self) -> &[T] {
        match self {
            Source::Object(object) | Source::Block(object) => object.elements(),
            Source::Elements(elements) => elements,
        }
    }

    /// It is not needed after all.
    pub fn discard(self) {
        if let Source::Block(object) = self {
            // SAFETY: the block was ours alone.
            unsafe { object.free_block() };
        }
    }
}

/// The index of a page among those of its leaf.
pub(crate) type PageIndex = u16;

/// A leaf's part of a page: leaves that came from one by splitting share its pages.
struct Share<T: Term> {
    page: Arc<Page<T>>,
    live: u32,
}

/// The pages of one leaf. New objects go to the open one, which no other leaf adds to.
pub(crate) struct Pages<T: Term> {
    shares: Vec<Option<Share<T>>>,
    vacant: Vec<PageIndex>,
    open: Option<PageIndex>,
    /// The page that was full last. It is looked at when the next one is full: until then an
    /// object that is written again and again has left it, and there is less to move.
    filled: Option<PageIndex>,
    usage: Arc<Usage>,
}

impl<T: Term> Pages<T> {
    /// Entries whose object is not in a page of the leaf carry this instead of an index.
    pub const NONE: PageIndex = PageIndex::MAX;

    pub fn new(usage: &Arc<Usage>) -> Self {
        Pages {
            shares: Vec::new(),
            vacant: Vec::new(),
            open: None,
            filled: None,
            usage: Arc::clone(usage),
        }
    }

    /// Puts an object in the open page, or a large one in a page of its own. The second answer is
    /// a page that ought to be evacuated.
    pub fn put(
        &mut self,
        source: Source<'_, T>,
        bounds: &Bounds,
    ) -> (T, PageIndex, Option<PageIndex>) {
        let size = source.size();
        let large = size >= bounds.large_object;
        let index = match self.open {
            Some(open) if !large => open,
            _ => self.add(Arc::new(Page::new(&self.usage))),
        };
        let share = self.share_mut(index);
        share.live += 1;
        let page = &share.page;
        // SAFETY: only the leaf whose open page this is adds to it, under the leaf's lock.
        let object = unsafe { page.put(source, size) };
        if large {
            return (object, index, None);
        }
        let mut sparse = None;
        if page.is_full(bounds) {
            self.open = None;
            sparse = self.filled.replace(index).filter(|&i| self.is_sparse(i));
        } else {
            self.open = Some(index);
        }
        (object, index, sparse)
    }

    /// An entry no longer uses its object in page `index`. Answers whether the page ought to be
    /// evacuated.
    pub fn forget(&mut self, index: PageIndex, guard: &Guard) -> bool {
        let share = self.share_mut(index);
        share.live -= 1;
        share.page.forget();
        if self.open == Some(index) {
            return false;
        }
        if self.share(index).live == 0 {
            self.drop_share(index, guard);
            return false;
        }
        self.is_sparse(index)
    }

    /// Closes the open page where most of what was put there is garbage, and drops it where all is;
    /// answers a page that ought to be evacuated. An object that is written again and again leaves
    /// much garbage there on its way: so this is only for when one was deleted.
    pub fn close_if_sparse(&mut self, bounds: &Bounds, guard: &Guard) -> Option<PageIndex> {
        let open = self.open.filter(|&open| self.is_sparse(open))?;
        let share = self.share(open);
        if share.live > 0 && share.page.objects() < bounds.page_objects / 8 {
            return None;
        }
        self.open = None;
        if self.share(open).live == 0 {
            self.drop_share(open, guard);
            return None;
        }
        Some(open)
    }

    /// An entry moves to a leaf whose pages are `other`; answers its page's index there.
    pub fn hand_on(
        &mut self,
        index: PageIndex,
        other: &mut Pages<T>,
        renamed: &mut [PageIndex],
    ) -> PageIndex {
        let share = self.share_mut(index);
        share.live -= 1;
        let there = &mut renamed[usize::from(index)];
        if *there == Self::NONE {
            *there = other.add(Arc::clone(&share.page));
        }
        other.share_mut(*there).live += 1;
        *there
    }

    /// The pages that lost their last object of this leaf by [`Pages::hand_on`] are let go.
    pub fn drop_unused(&mut self, guard: &Guard) {
        for index in 0..self.shares.len() as PageIndex {
            let unused = matches!(&self.shares[usize::from(index)], Some(share) if share.live == 0);
            if unused && self.open != Some(index) {
                self.drop_share(index, guard);
            }
        }
    }

    /// The same pages under the same indices, for entries that never change.
    pub fn shared(&self, usage: &Arc<Usage>) -> Self {
        let share = |share: &Share<T>| Share {
            page: Arc::clone(&share.page),
            live: share.live,
        };
        let shares = self.shares.iter();
        Pages {
            shares: shares.map(|there| there.as_ref().map(share)).collect(),
            ..Self::new(usage)
        }
    }

    /// About what the objects of this leaf take of its pages.
    pub fn bytes(&self) -> usize {
        let bytes = |share: &Share<T>| {
            let objects = share.page.objects().max(1) as usize;
            share.page.arena.bytes() / objects * share.live as usize
        };
        self.shares.iter().flatten().map(bytes).sum()
    }

    /// Indices given so far are below this.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    fn is_sparse(&self, index: PageIndex) -> bool {
        matches!(&self.shares[usize::from(index)], Some(share) if share.page.is_sparse())
    }

    fn add(&mut self, page: Arc<Page<T>>) -> PageIndex {
        let share = Some(Share { page, live: 0 });
        if let Some(index) = self.vacant.pop() {
            self.shares[usize::from(index)] = share;
            return index;
        }
        let index = PageIndex::try_from(self.shares.len())
            .ok()
            .filter(|&index| index < Entry::BLOCK);
        self.shares.push(share);
        index.expect("a leaf has fewer pages than indices")
    }

    fn drop_share(&mut self, index: PageIndex, guard: &Guard) {
        if self.filled == Some(index) {
            self.filled = None;
        }
        let Some(share) = self.shares[usize::from(index)].take() else {
            return;
        };
        self.vacant.push(index);
        let bytes = share.page.arena.bytes();
        // SAFETY: the leaf's entries no longer lead here, so only readers that hold a guard now
        // can still read a term of this page. Pages may be freed on any thread.
        unsafe {
            match share.page.objects() {
                1 => defer_drop(guard, share, bytes),
                _ => defer_discard(guard, share, bytes),
            }
        }
    }

    fn share(&self, index: PageIndex) -> &Share<T> {
        self.shares[usize::from(index)]
            .as_ref()
            .expect("an entry's page is among its leaf's")
    }

    fn share_mut(&mut self, index: PageIndex) -> &mut Share<T> {
        self.shares[usize::from(index)]
            .as_mut()
            .expect("an entry's page is among its leaf's")
    }
}

/// A term that owns its copy.
pub struct OwnedTerm<T: Term> {
    term: T,
    arena: Option<T::Arena>,
}

impl<T: Term> OwnedTerm<T> {
    pub fn new(term: T) -> Self {
        if term.is_immediate() {
            return OwnedTerm { term, arena: None };
        }
        let arena = T::Arena::new();
        // SAFETY: nobody else knows the arena yet.
        let term = unsafe { arena.copy(term, T::Arena::size(term)) };
        OwnedTerm {
            term,
            arena: Some(arena),
        }
    }

    /// Valid while `self` lives.
    pub fn term(&self) -> T {
        self.term
    }

    /// What the copy takes.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.as_ref().map_or(0, T::Arena::bytes)
    }
}
