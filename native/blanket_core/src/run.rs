//! Runs: the objects of a bag that stand under one key, once there are many.
//!
//! A run keeps its objects in the order of their insertion, in segments of one page each. What a
//! reader takes is a list of segments and a length, and neither changes under it: an insert adds
//! behind the length, a delete publishes a new list in which one segment is replaced. So a look-up
//! of any size is one instant of the run, however long it takes to read.
//!
//! All changes are made under the lock of the leaf whose entry leads to the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_epoch::{Atomic, Guard, Owned};
use hashbrown::HashTable;

use crate::discard::discard;
use crate::leaf::key_of;
use crate::page::{OwnedTerm, Page, Source};
use crate::table::Bounds;
use crate::term::Term;
use crate::usage::Usage;

/// The objects of one page of a run.
struct Segment<T: Term> {
    /// Grows with each segment of a run.
    number: u32,
    page: Arc<Page<T>>,
    words: Box<[AtomicU64]>,
}

impl<T: Term> Segment<T> {
    fn new(number: u32, page: Arc<Page<T>>, words: Box<[AtomicU64]>) -> Arc<Self> {
        page.usage().add_bytes(size_of_val(&*words) as isize);
        Arc::new(Segment {
            number,
            page,
            words,
        })
    }

    fn word(&self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }
}

impl<T: Term> Drop for Segment<T> {
    fn drop(&mut self) {
        let bytes = size_of_val(&*self.words);
        self.page.usage().add_bytes(-(bytes as isize));
    }
}

/// A segment's place in a list: the run's objects from `start` on are in it.
struct Part<T: Term> {
    start: usize,
    segment: Arc<Segment<T>>,
}

impl<T: Term> Clone for Part<T> {
    fn clone(&self) -> Self {
        Part {
            start: self.start,
            segment: Arc::clone(&self.segment),
        }
    }
}

/// What a reader takes. All but the last part are as long as the next one's start says.
struct List<T: Term> {
    parts: Vec<Part<T>>,
    len: AtomicUsize,
}

impl<T: Term> List<T> {
    fn range(&self, part: usize) -> std::ops::Range<usize> {
        let end = match self.parts.get(part + 1) {
            Some(next) => next.start,
            None => self.len.load(Ordering::Relaxed),
        };
        self.parts[part].start..end
    }

    fn word(&self, at: usize) -> u64 {
        let part = &self.parts[self.parts.partition_point(|part| part.start <= at) - 1];
        part.segment.word(at - part.start)
    }
}

/// One instant of a run.
pub(crate) struct RunView<T: Term> {
    list: Arc<List<T>>,
    len: usize,
}

impl<T: Term> Clone for RunView<T> {
    fn clone(&self) -> Self {
        RunView {
            list: Arc::clone(&self.list),
            len: self.len,
        }
    }
}

impl<T: Term> RunView<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Valid while `self` lives.
    pub fn key(&self, keypos: usize) -> T {
        let object = self.get(0).expect("a run has an object at least");
        key_of(object, keypos)
    }

    /// Valid while `self` lives.
    pub fn get(&self, at: usize) -> Option<T> {
        // SAFETY: the list's segments hold their pages, so the object is there.
        (at < self.len).then(|| unsafe { T::from_word(self.list.word(at)) })
    }
}

pub(crate) struct Run<T: Term> {
    key: OwnedTerm<T>,
    list: Atomic<Arc<List<T>>>,
    changing: parking_lot::Mutex<Changing>,
}

/// What only those who change the run need.
struct Changing {
    next_number: u32,
    index: Option<Index>,
}

impl<T: Term> Run<T> {
    /// A run of objects that share `key`, in their order.
    pub fn new(key: T, objects: &[T], usage: &Arc<Usage>, bounds: &Bounds) -> Self {
        let run = Run {
            key: OwnedTerm::new(key),
            list: Atomic::new(Arc::new(List {
                parts: Vec::new(),
                len: AtomicUsize::new(0),
            })),
            changing: parking_lot::Mutex::new(Changing {
                next_number: 0,
                index: None,
            }),
        };
        // SAFETY: nobody else knows the run yet, so nothing that it retires is being read.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        for &object in objects {
            run.push(Source::Object(object), usage, bounds, guard);
        }
        run
    }

    pub fn view(&self, guard: &Guard) -> RunView<T> {
        let list = Arc::clone(self.list(guard));
        let len = list.len.load(Ordering::Relaxed);
        RunView { list, len }
    }

    pub fn len(&self, guard: &Guard) -> usize {
        self.list(guard).len.load(Ordering::Relaxed)
    }

    /// Valid while `self` lives.
    pub fn key(&self) -> T {
        self.key.term()
    }

    pub fn push(&self, source: Source<'_, T>, usage: &Arc<Usage>, bounds: &Bounds, guard: &Guard) {
        let mut changing = self.changing.lock();
        let list = self.list(guard);
        let len = list.len.load(Ordering::Relaxed);
        let room = list.parts.last().filter(|part| {
            len - part.start < part.segment.words.len() && !part.segment.page.is_full(bounds)
        });
        let (part, grown) = match room {
            Some(part) => (part.clone(), None),
            None => {
                let part = Part {
                    start: len,
                    segment: Segment::new(
                        changing.take_number(),
                        Arc::new(Page::new(usage)),
                        (0..bounds.page_objects)
                            .map(|_| AtomicU64::new(0))
                            .collect(),
                    ),
                };
                let mut parts = list.parts.clone();
                parts.push(part.clone());
                (part, Some(parts))
            }
        };
        // SAFETY: the leaf's lock is held, and a segment's page is its own.
        let object = unsafe { part.segment.page.put(source, source.size()) };
        part.segment.words[len - part.start].store(object.to_word(), Ordering::Relaxed);
        match grown {
            None => list.len.store(len + 1, Ordering::Relaxed),
            Some(parts) => self.publish(parts, len + 1, guard),
        }
        match &mut changing.index {
            Some(index) => index.insert(object.hash(), part.segment.number),
            None if len >= bounds.run_index => changing.index = Some(self.build_index(guard)),
            None => {}
        }
    }

    /// Whether an object that matches is there.
    pub fn contains(&self, object: T, guard: &Guard) -> bool {
        let changing = self.changing.lock();
        self.find(&changing, object, guard).is_some()
    }

    /// Removes the objects that match; answers how many.
    pub fn remove(&self, object: T, usage: &Arc<Usage>, bounds: &Bounds, guard: &Guard) -> usize {
        let mut changing = self.changing.lock();
        let mut removed = 0;
        while let Some(part) = self.find(&changing, object, guard) {
            removed += self.shorten(&mut changing, part, object, usage, bounds, guard);
        }
        removed
    }

    /// Replaces one object that matches `old`, this very one if it is there. Answers whether there
    /// was one.
    pub fn exchange(
        &self,
        old: T,
        source: Source<'_, T>,
        usage: &Arc<Usage>,
        guard: &Guard,
    ) -> bool {
        let mut changing = self.changing.lock();
        let list = self.list(guard);
        let is_it = |there: T| there.to_word() == old.to_word();
        let found = self.find_where(&changing, old, is_it, guard);
        let found =
            found.or_else(|| self.find_where(&changing, old, |there| there.matches(old), guard));
        let Some((part, at)) = found else {
            return false;
        };
        let segment = &list.parts[part].segment;
        // SAFETY: the leaf's lock is held, and a segment's page is its own.
        let new = unsafe { segment.page.put(source, source.size()) };
        segment.page.forget();
        changing.unindex(old.hash(), segment.number);
        changing.reindex(new.hash(), segment.number);
        let page = match segment.page.is_sparse() {
            true => Arc::new(Page::new(usage)),
            false => Arc::clone(&segment.page),
        };
        let used = list.range(part).len();
        let moved = |(place, word): (usize, &AtomicU64)| {
            let word = match place == at {
                true => new.to_word(),
                false => word.load(Ordering::Relaxed),
            };
            if place >= used || Arc::ptr_eq(&page, &segment.page) {
                return AtomicU64::new(word);
            }
            // SAFETY: the list's segments hold their pages, and nobody else knows the new one yet.
            let copy = unsafe {
                let source = Source::Object(T::from_word(word));
                page.put(source, source.size())
            };
            AtomicU64::new(copy.to_word())
        };
        let words = segment.words.iter().enumerate().map(moved).collect();
        let mut parts = list.parts.clone();
        parts[part].segment = Segment::new(segment.number, page, words);
        self.publish(parts, list.len.load(Ordering::Relaxed), guard);
        true
    }

    /// The part of the list, and the place in it, of an object that is like `object`.
    fn find_where(
        &self,
        changing: &Changing,
        object: T,
        is_it: impl Fn(T) -> bool,
        guard: &Guard,
    ) -> Option<(usize, usize)> {
        let list = self.list(guard);
        let find = |part: usize| {
            let segment = &list.parts[part].segment;
            let mut places = 0..list.range(part).len();
            // SAFETY: the list's segments hold their pages.
            let at = places.find(|&at| is_it(unsafe { T::from_word(segment.word(at)) }))?;
            Some((part, at))
        };
        match &changing.index {
            None => (0..list.parts.len()).find_map(find),
            Some(index) => index.find(object.hash(), |number| {
                let part = |part: &Part<T>| part.segment.number;
                find(list.parts.binary_search_by_key(&number, part).ok()?)
            }),
        }
    }

    /// The part of the list in which an object that matches is.
    fn find(&self, changing: &Changing, object: T, guard: &Guard) -> Option<usize> {
        let matches = |there: T| there.matches(object);
        let (part, _) = self.find_where(changing, object, matches, guard)?;
        Some(part)
    }

    /// Replaces a part by one without the objects that match, and takes in the next one where
    /// both are short.
    fn shorten(
        &self,
        changing: &mut Changing,
        part: usize,
        object: T,
        usage: &Arc<Usage>,
        bounds: &Bounds,
        guard: &Guard,
    ) -> usize {
        let list = self.list(guard);
        let objects = |part: usize| {
            let range = list.range(part);
            let segment = &list.parts[part].segment;
            // SAFETY: the list's segments hold their pages.
            (0..range.len()).map(|at| unsafe { T::from_word(segment.word(at)) })
        };
        let old = &list.parts[part].segment;
        let (gone, mut kept): (Vec<T>, Vec<T>) =
            objects(part).partition(|there| there.matches(object));
        for there in &gone {
            old.page.forget();
            changing.unindex(there.hash(), old.number);
        }
        let mut replaced = 1;
        let short = bounds.page_objects as usize / 4;
        let next = list.parts.get(part + 1);
        let move_all = match next {
            Some(next) if kept.len() <= short && list.range(part + 1).len() <= short => {
                for there in objects(part + 1) {
                    changing.unindex(there.hash(), next.segment.number);
                    changing.reindex(there.hash(), old.number);
                }
                kept.extend(objects(part + 1));
                replaced = 2;
                true
            }
            _ => old.page.is_sparse(),
        };

        let mut parts = list.parts[..part].to_vec();
        let start = list.parts[part].start;
        if !kept.is_empty() {
            let page = match move_all {
                true => Arc::new(Page::new(usage)),
                false => Arc::clone(&old.page),
            };
            let words = kept.iter().map(|&there| match move_all {
                // SAFETY: nobody else knows the page yet.
                true => unsafe {
                    let source = Source::Object(there);
                    page.put(source, source.size())
                },
                false => there,
            });
            let words = words.map(|there| AtomicU64::new(there.to_word())).collect();
            parts.push(Part {
                start,
                segment: Segment::new(old.number, page, words),
            });
        }
        let removed = gone.len();
        parts.extend(list.parts[part + replaced..].iter().map(|part| Part {
            start: part.start - removed,
            segment: Arc::clone(&part.segment),
        }));
        self.publish(parts, list.len.load(Ordering::Relaxed) - removed, guard);
        removed
    }

    fn build_index(&self, guard: &Guard) -> Index {
        let list = self.list(guard);
        let mut index = Index::new();
        for (number, part) in list.parts.iter().enumerate() {
            let len = list.range(number).len();
            for word in &part.segment.words[..len] {
                // SAFETY: the list's segments hold their pages.
                let object = unsafe { T::from_word(word.load(Ordering::Relaxed)) };
                index.insert(object.hash(), part.segment.number);
            }
        }
        index
    }

    fn list<'g>(&self, guard: &'g Guard) -> &'g Arc<List<T>> {
        let list = self.list.load(Ordering::Acquire, guard);
        // SAFETY: the list is never null, and the guard keeps the one that was loaded.
        unsafe { list.deref() }
    }

    fn publish(&self, parts: Vec<Part<T>>, len: usize, guard: &Guard) {
        let list = Arc::new(List {
            parts,
            len: AtomicUsize::new(len),
        });
        let old = self.list.swap(Owned::new(list), Ordering::AcqRel, guard);
        // SAFETY: the old list is no longer reachable; readers that hold a guard now keep it.
        unsafe { guard.defer_destroy(old) };
    }
}

impl<T: Term> Drop for Run<T> {
    fn drop(&mut self) {
        // SAFETY: a run is dropped when nobody can reach it any more.
        let list = unsafe {
            self.list
                .load(Ordering::Relaxed, crossbeam_epoch::unprotected())
        };
        // SAFETY: as above; the list is never null.
        let list = unsafe { list.into_owned() };
        if list.parts.len() > 4 {
            discard(*list.into_box());
        }
    }
}

impl Changing {
    fn take_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    fn unindex(&mut self, hash: u64, number: u32) {
        if let Some(index) = &mut self.index {
            index.remove(hash, number);
        }
    }

    fn reindex(&mut self, hash: u64, number: u32) {
        if let Some(index) = &mut self.index {
            index.insert(hash, number);
        }
    }
}

/// Where an object with a given hash may be: the numbers of segments. Many small tables, so that
/// none takes long to grow.
struct Index(Box<[HashTable<(u32, u32)>; Index::SHARDS]>);

impl Index {
    const SHARDS: usize = 64;

    fn new() -> Self {
        Index(Box::new(std::array::from_fn(|_| HashTable::new())))
    }

    fn insert(&mut self, hash: u64, number: u32) {
        let entry = ((hash >> 32) as u32, number);
        self.shard(hash)
            .insert_unique(spread(entry.0), entry, |entry| spread(entry.0));
    }

    fn remove(&mut self, hash: u64, number: u32) {
        let entry = ((hash >> 32) as u32, number);
        if let Ok(found) = self
            .shard(hash)
            .find_entry(spread(entry.0), |&e| e == entry)
        {
            found.remove();
        }
    }

    fn find<R>(&self, hash: u64, mut holds: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let wanted = (hash >> 32) as u32;
        let shard = &self.0[hash as usize % Self::SHARDS];
        shard
            .iter_hash(spread(wanted))
            .filter(|entry| entry.0 == wanted)
            .find_map(|entry| holds(entry.1))
    }

    fn shard(&mut self, hash: u64) -> &mut HashTable<(u32, u32)> {
        &mut self.0[hash as usize % Self::SHARDS]
    }
}

fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
