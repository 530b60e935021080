//! Runs: the objects of a bag that stand under one key, once there are many.
//!
//! A run keeps its objects in the order of their insertion, in segments of one page each. What a
//! reader takes is a list of segments and a length, and neither changes under it: an insert adds
//! behind the length, a delete publishes a new list in which one segment is replaced. So a look-up
//! of any size is one instant of the run, however long it takes to read.
//!
//! All changes are made under the lock of the leaf whose entry leads to the run.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_epoch::{Atomic, Guard, Owned};
use hashbrown::HashTable;

use crate::discard::{defer_drop, discard};
use crate::leaf::key_of;
use crate::page::{OwnedTerm, Page, Source};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
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

/// A segment's place in a chunk: the chunk's objects from `start` on are in it.
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

/// Parts of a list, so that a change copies few of them. Never empty.
type Parts<T> = Vec<Part<T>>;

/// A chunk's place in a list: the run's objects from `start` on are in it.
struct Chunk<T: Term> {
    start: usize,
    parts: Arc<Parts<T>>,
}

impl<T: Term> Clone for Chunk<T> {
    fn clone(&self) -> Self {
        Chunk {
            start: self.start,
            parts: Arc::clone(&self.parts),
        }
    }
}

/// What a reader takes. Each chunk, and in it each part, ends where the next one starts.
struct List<T: Term> {
    chunks: Vec<Chunk<T>>,
    len: AtomicUsize,
}

/// Where a part is in a list: its chunk, and its number in that.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    part: usize,
}

impl<T: Term> List<T> {
    fn end_of_chunk(&self, chunk: usize) -> usize {
        match self.chunks.get(chunk + 1) {
            Some(next) => next.start,
            None => self.len.load(Ordering::Relaxed),
        }
    }

    /// The number of objects in a part.
    fn len_of(&self, Place { chunk, part }: Place) -> usize {
        let Chunk { start, parts } = &self.chunks[chunk];
        let end = match parts.get(part + 1) {
            Some(next) => next.start,
            None => self.end_of_chunk(chunk) - start,
        };
        end - parts[part].start
    }

    fn segment(&self, Place { chunk, part }: Place) -> &Arc<Segment<T>> {
        &self.chunks[chunk].parts[part].segment
    }

    fn objects(&self, place: Place) -> impl Iterator<Item = T> + '_ {
        let segment = self.segment(place);
        // SAFETY: the list's segments hold their pages.
        (0..self.len_of(place)).map(|at| unsafe { T::from_word(segment.word(at)) })
    }

    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        (0..self.chunks.len()).flat_map(|chunk| {
            (0..self.chunks[chunk].parts.len()).map(move |part| Place { chunk, part })
        })
    }

    fn word(&self, at: usize) -> u64 {
        let chunk = self.chunks.partition_point(|chunk| chunk.start <= at) - 1;
        let Chunk { start, parts } = &self.chunks[chunk];
        let at = at - start;
        let part = &parts[parts.partition_point(|part| part.start <= at) - 1];
        part.segment.word(at - part.start)
    }

    /// The segment that has this number.
    fn find(&self, number: u32) -> Option<Place> {
        let first = |chunk: &Chunk<T>| chunk.parts[0].segment.number;
        let chunk = self.chunks.partition_point(|chunk| first(chunk) <= number);
        let chunk = chunk.checked_sub(1)?;
        let parts = &self.chunks[chunk].parts;
        let part = parts.binary_search_by_key(&number, |part| part.segment.number);
        Some(Place {
            chunk,
            part: part.ok()?,
        })
    }
}

impl<T: Term> Drop for List<T> {
    fn drop(&mut self) {
        let few = |chunk: &Chunk<T>| chunk.parts.len() <= 4;
        if self.chunks.len() > 1 || !self.chunks.iter().all(few) {
            discard(std::mem::take(&mut self.chunks));
        }
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
    changing: Mutex<Changing<T>>,
    /// Entries that lead here beyond the first.
    shares: AtomicUsize,
}

/// What only those who change the run need.
struct Changing<T: Term> {
    next_number: u32,
    index: Option<Index>,
    retired: VecDeque<Arc<Retired<T>>>,
}

/// A former list, which readers may still be at. It has most of the run's segments, and so it goes
/// with the run, if not before: among what a thread has deferred it may be for long.
struct Retired<T: Term>(Mutex<Option<Owned<Arc<List<T>>>>>);

impl<T: Term> Retired<T> {
    fn is_gone(&self) -> bool {
        self.0.lock().is_none()
    }

    fn release(&self) {
        drop(self.0.lock().take());
    }
}

/// Dropped when no reader can be at the list any more.
struct Release<T: Term>(Arc<Retired<T>>);

impl<T: Term> Drop for Release<T> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl<T: Term> Run<T> {
    /// A run of objects that share `key`, in their order.
    pub fn new(key: T, objects: &[T], usage: &Arc<Usage>, bounds: &Bounds) -> Self {
        let run = Run {
            key: OwnedTerm::new(key),
            list: Atomic::new(Arc::new(List {
                chunks: Vec::new(),
                len: AtomicUsize::new(0),
            })),
            changing: Mutex::new(Changing::new()),
            shares: AtomicUsize::new(0),
        };
        // SAFETY: nobody else knows the run yet, so nothing that it retires is being read.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        for &object in objects {
            run.push(Source::Object(object), usage, bounds, guard);
        }
        run
    }

    /// Another entry is going to lead here. The run is changed no more until that is dropped.
    pub fn share(&self) {
        self.shares.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_shared(&self) -> bool {
        self.shares.load(Ordering::Acquire) > 0
    }

    /// Another run that has what this one has, and is changed in its place. It shares the objects, and
    /// takes over the index.
    pub fn replacement(&self, guard: &Guard) -> Self {
        let list = self.list(guard);
        let list = List {
            chunks: list.chunks.clone(),
            len: AtomicUsize::new(list.len.load(Ordering::Relaxed)),
        };
        let mut changing = self.changing.lock();
        Run {
            key: OwnedTerm::new(self.key()),
            list: Atomic::new(Arc::new(list)),
            changing: Mutex::new(Changing {
                next_number: changing.next_number,
                index: changing.index.take(),
                retired: VecDeque::new(),
            }),
            shares: AtomicUsize::new(0),
        }
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
        let last = list.chunks.last();
        let room = last.and_then(|chunk| {
            let part = chunk.parts.last()?;
            let used = len - chunk.start - part.start;
            let has_room = used < part.segment.words.len() && !part.segment.page.is_full(bounds);
            has_room.then(|| (Arc::clone(&part.segment), used))
        });
        let (segment, used, grown) = match room {
            Some((segment, used)) => (segment, used, None),
            None => {
                let words = (0..bounds.page_objects).map(|_| AtomicU64::new(0));
                let page = Arc::new(Page::new(usage));
                let segment = Segment::new(changing.take_number(), page, words.collect());
                let mut chunks = list.chunks.clone();
                let open = chunks.pop_if(|chunk| chunk.parts.len() < bounds.run_chunk);
                let (start, mut parts) = match open {
                    Some(open) => (open.start, Parts::clone(&open.parts)),
                    None => (len, Parts::new()),
                };
                parts.push(Part {
                    start: len - start,
                    segment: Arc::clone(&segment),
                });
                let parts = Arc::new(parts);
                chunks.push(Chunk { start, parts });
                (segment, 0, Some(chunks))
            }
        };
        // SAFETY: the leaf's lock is held, and a segment's page is its own.
        let object = unsafe { segment.page.put(source, source.size()) };
        let hash = changing.index.is_some().then(|| object.hash());
        segment.words[used].store(object.to_word(), Ordering::Relaxed);
        match grown {
            None => list.len.store(len + 1, Ordering::Relaxed),
            Some(chunks) => self.publish(&mut changing, chunks, len + 1, 0, guard),
        }
        if let (Some(index), Some(hash)) = (&mut changing.index, hash) {
            index.insert(hash, segment.number);
        } else if len >= bounds.run_index {
            changing.index = Some(self.build_index(guard));
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
        // Once one is found it stands for the caller's object, to look at which may fail.
        let Some(object) = self.find_object(&changing, object, guard) else {
            return removed;
        };
        while let Some(place) = self.find(&changing, object, guard) {
            removed += self.shorten(&mut changing, place, object, usage, bounds, guard);
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
        let Some((place, at)) = found else {
            return false;
        };
        let segment = list.segment(place);
        // SAFETY: the leaf's lock is held, and a segment's page is its own.
        let new = unsafe { segment.page.put(source, source.size()) };
        segment.page.forget();
        changing.unindex(old.hash(), segment.number);
        changing.reindex(new.hash(), segment.number);
        let page = match segment.page.is_sparse() {
            true => Arc::new(Page::new(usage)),
            false => Arc::clone(&segment.page),
        };
        let used = list.len_of(place);
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
        let left = match Arc::ptr_eq(&page, &segment.page) {
            true => 0,
            false => segment.page.bytes(),
        };
        let mut chunks = list.chunks.clone();
        let Chunk { parts, .. } = &mut chunks[place.chunk];
        Arc::make_mut(parts)[place.part].segment = Segment::new(segment.number, page, words);
        let len = list.len.load(Ordering::Relaxed);
        self.publish(&mut changing, chunks, len, left, guard);
        true
    }

    /// The part of the list, and the place in it, of an object that is like `object`.
    fn find_where(
        &self,
        changing: &Changing<T>,
        object: T,
        is_it: impl Fn(T) -> bool,
        guard: &Guard,
    ) -> Option<(Place, usize)> {
        let list = self.list(guard);
        let find = |place: Place| {
            let at = list.objects(place).position(&is_it)?;
            Some((place, at))
        };
        match &changing.index {
            None => list.places().find_map(find),
            Some(index) => index.find(object.hash(), |number| find(list.find(number)?)),
        }
    }

    /// The object that matches; the guard keeps it.
    fn find_object(&self, changing: &Changing<T>, object: T, guard: &Guard) -> Option<T> {
        let matches = |there: T| there.matches(object);
        let (place, at) = self.find_where(changing, object, matches, guard)?;
        self.list(guard).objects(place).nth(at)
    }

    /// A part of the list in which an object that matches is.
    fn find(&self, changing: &Changing<T>, object: T, guard: &Guard) -> Option<Place> {
        let matches = |there: T| there.matches(object);
        let (place, _) = self.find_where(changing, object, matches, guard)?;
        Some(place)
    }

    /// Replaces a part by one without the objects that match, and takes in the next one of the
    /// chunk where both are short.
    fn shorten(
        &self,
        changing: &mut Changing<T>,
        place: Place,
        object: T,
        usage: &Arc<Usage>,
        bounds: &Bounds,
        guard: &Guard,
    ) -> usize {
        let list = self.list(guard);
        let Place { chunk, part } = place;
        let Chunk { start, parts } = &list.chunks[chunk];
        let old = list.segment(place);
        let (gone, mut kept): (Vec<T>, Vec<T>) =
            list.objects(place).partition(|there| there.matches(object));
        for there in &gone {
            old.page.forget();
            changing.unindex(there.hash(), old.number);
        }
        let short = bounds.page_objects as usize / 4;
        let next = Place {
            chunk,
            part: part + 1,
        };
        let joins = next.part < parts.len() && kept.len() <= short && list.len_of(next) <= short;
        if joins {
            for there in list.objects(next) {
                changing.unindex(there.hash(), list.segment(next).number);
                changing.reindex(there.hash(), old.number);
            }
            kept.extend(list.objects(next));
        }

        let mut shortened = parts[..part].to_vec();
        let moves = joins || kept.is_empty() || old.page.is_sparse();
        let left = match moves {
            true => old.page.bytes(),
            false => 0,
        };
        if !kept.is_empty() {
            let page = match moves {
                true => Arc::new(Page::new(usage)),
                false => Arc::clone(&old.page),
            };
            let words = kept.iter().map(|&there| match moves {
                // SAFETY: nobody else knows the page yet.
                true => unsafe {
                    let source = Source::Object(there);
                    page.put(source, source.size())
                },
                false => there,
            });
            let words = words.map(|there| AtomicU64::new(there.to_word())).collect();
            shortened.push(Part {
                start: parts[part].start,
                segment: Segment::new(old.number, page, words),
            });
        }
        let removed = gone.len();
        let behind = part + 1 + usize::from(joins);
        shortened.extend(parts[behind..].iter().map(|part| Part {
            start: part.start - removed,
            segment: Arc::clone(&part.segment),
        }));

        let mut chunks = list.chunks[..chunk].to_vec();
        if !shortened.is_empty() {
            chunks.push(Chunk {
                start: *start,
                parts: Arc::new(shortened),
            });
        }
        chunks.extend(list.chunks[chunk + 1..].iter().map(|chunk| Chunk {
            start: chunk.start - removed,
            parts: Arc::clone(&chunk.parts),
        }));
        let len = list.len.load(Ordering::Relaxed) - removed;
        self.publish(changing, chunks, len, left, guard);
        removed
    }

    fn build_index(&self, guard: &Guard) -> Index {
        let list = self.list(guard);
        let mut index = Index::new();
        for place in list.places() {
            let number = list.segment(place).number;
            for object in list.objects(place) {
                index.insert(object.hash(), number);
            }
        }
        index
    }

    fn list<'g>(&self, guard: &'g Guard) -> &'g Arc<List<T>> {
        let list = self.list.load(Ordering::Acquire, guard);
        // SAFETY: the list is never null, and the guard keeps the one that was loaded.
        unsafe { list.deref() }
    }

    /// `left` are the bytes of pages that are not in the new list.
    fn publish(
        &self,
        changing: &mut Changing<T>,
        chunks: Vec<Chunk<T>>,
        len: usize,
        left: usize,
        guard: &Guard,
    ) {
        let list = Arc::new(List {
            chunks,
            len: AtomicUsize::new(len),
        });
        let old = self.list.swap(Owned::new(list), Ordering::AcqRel, guard);
        // SAFETY: the pointer is the only one to it, and is followed by none but readers of now.
        let old = unsafe { old.into_owned() };
        let retired = &mut changing.retired;
        while retired.front().is_some_and(|list| list.is_gone()) {
            retired.pop_front();
        }
        let old = Arc::new(Retired(Mutex::new(Some(old))));
        retired.push_back(Arc::clone(&old));
        // SAFETY: the old list is no longer reachable; readers that hold a guard now keep it.
        unsafe { defer_drop(guard, Release(old), left) };
    }
}

/// The part of an entry in the run that it led to.
pub(crate) struct RunShare<T: Term>(NonNull<Run<T>>);

// SAFETY: runs may be used, and dropped, on any thread.
unsafe impl<T: Term> Send for RunShare<T> {}

impl<T: Term> RunShare<T> {
    /// # Safety
    ///
    /// The run came from `Box::into_raw`, and this is made once for its maker and once for each share.
    pub unsafe fn of(run: NonNull<Run<T>>) -> Self {
        RunShare(run)
    }
}

impl<T: Term> Drop for RunShare<T> {
    fn drop(&mut self) {
        // SAFETY: the run is alive until the last share is dropped.
        let run = unsafe { self.0.as_ref() };
        let is_last = !run.is_shared() || run.shares.fetch_sub(1, Ordering::AcqRel) == 0;
        if is_last {
            // SAFETY: nobody else knows the run any more.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
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
        drop(unsafe { list.into_owned() });
        for list in &self.changing.lock().retired {
            list.release();
        }
    }
}

impl<T: Term> Changing<T> {
    fn new() -> Self {
        Changing {
            next_number: 0,
            index: None,
            retired: VecDeque::new(),
        }
    }

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
    const SHARDS: usize = 512;

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
