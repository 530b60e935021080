//! What `bin/instructions` counts: an operation of the engine on a table of integers, in a loop.
//!
//!     instructions KIND SIZE OPERATION
//!
//! Callgrind collects within [`measured`] only, which does every operation `SIZE` times; with no operation
//! named, their names are printed. The terms are words: an integer, or the address of a tuple of integers.

use std::cmp::Ordering;
use std::env;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use blanket_core::{
    Arena, Bulk, BulkMode, Contended, Direction, Encoding, Guard, Kind, Objects, Position,
    Progress, Table, Term, Tuples, pin,
};

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn integer(value: u64) -> Self {
        Word(value << 1 | 1)
    }

    /// The tuple's arity, and behind it its elements.
    fn tuple(&self) -> &[AtomicU64] {
        // SAFETY: no integer is asked for this, and a tuple is never freed: its word is the address of an arity and
        // of so many elements.
        unsafe {
            let arity = *(self.0 as *const u64);
            std::slice::from_raw_parts((self.0 as *const AtomicU64).add(1), arity as usize)
        }
    }

    fn new_tuple(elements: &[Word]) -> Self {
        let words =
            std::iter::once(elements.len() as u64).chain(elements.iter().map(|word| word.0));
        Word(words.collect::<Vec<_>>().leak().as_ptr() as u64)
    }
}

impl Term for Word {
    type Arena = Nowhere;
    type Tuples = Row;

    fn to_word(self) -> u64 {
        self.0
    }

    unsafe fn from_word(word: u64) -> Self {
        Word(word)
    }

    fn hash(self) -> u64 {
        let product = u128::from(self.0 ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
        (product >> 64) as u64 ^ product as u64
    }

    fn matches(self, other: Self) -> bool {
        self.0 == other.0
    }

    fn compare(self, other: Self) -> Ordering {
        self.0.cmp(&other.0)
    }

    fn encode(self, out: &mut Encoding) {
        out.push(1);
        out.push_word(self.0, 8);
    }

    fn is_immediate(self) -> bool {
        self.0 & 1 == 1
    }

    fn arity(self) -> usize {
        self.tuple().len()
    }

    fn element(self, index: usize) -> Self {
        Word(self.tuple()[index].load(Relaxed))
    }

    fn elements(&self) -> &[Self] {
        let tuple = self.tuple();
        // SAFETY: both are one word, and nobody writes to the tuple meanwhile.
        unsafe { std::slice::from_raw_parts(tuple.as_ptr().cast(), tuple.len()) }
    }

    unsafe fn set_element(self, index: usize, element: Self) {
        self.tuple()[index].store(element.0, Relaxed);
    }

    fn block_bytes(_elements: &[Self]) -> Option<usize> {
        None
    }

    fn new_block(_elements: &[Self], _bytes: usize) -> Self {
        unreachable!("all objects are of integers")
    }

    unsafe fn bytes_of_block(self) -> usize {
        unreachable!("all objects are of integers")
    }

    unsafe fn share_block(self) {
        unreachable!("all objects are of integers")
    }

    unsafe fn is_block_shared(self) -> bool {
        unreachable!("all objects are of integers")
    }

    unsafe fn free_block(self) {
        unreachable!("all objects are of integers")
    }
}

/// Where nothing is copied to: objects of integers live in the leaves' own memory.
struct Nowhere;

impl Arena<Word> for Nowhere {
    fn new() -> Self {
        Nowhere
    }

    fn bytes(&self) -> usize {
        0
    }

    fn size(_term: Word) -> usize {
        0
    }

    fn tuple_size(_elements: &[Word]) -> usize {
        0
    }

    unsafe fn copy(&self, term: Word, _size: usize) -> Word {
        term
    }

    unsafe fn tuple(&self, elements: &[Word], _size: usize) -> Word {
        Word::new_tuple(elements)
    }
}

/// Tuples side by side in chunks, which are never freed: what freeing costs is not counted here.
struct Row {
    chunk: &'static mut [u64],
    bytes: usize,
}

impl Row {
    const CHUNK: usize = 1_024;
}

impl Tuples<Word> for Row {
    fn new() -> Self {
        Row {
            chunk: &mut [],
            bytes: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn tuple(&mut self, elements: &[Word]) -> Word {
        let words = elements.len() + 1;
        if self.chunk.len() < words {
            self.chunk = vec![0; Self::CHUNK.max(words)].leak();
            self.bytes += size_of_val(self.chunk);
        }
        let (place, rest) = std::mem::take(&mut self.chunk).split_at_mut(words);
        self.chunk = rest;
        place[0] = elements.len() as u64;
        for (word, element) in place[1..].iter_mut().zip(elements) {
            *word = element.0;
        }
        Word(place.as_mut_ptr() as u64)
    }
}

fn retry<R>(mut operation: impl FnMut(&Guard) -> Result<R, Contended>) -> R {
    loop {
        if let Ok(answer) = operation(&pin()) {
            return answer;
        }
    }
}

fn insert_lists(table: &Table<Word>, objects: &[Word], length: usize) {
    for list in objects.chunks(length) {
        let mut bulk = Bulk::new(table, BulkMode::Insert);
        list.iter().for_each(|&object| bulk.push(object));
        while !matches!(bulk.step(usize::MAX), Progress::Done(_)) {}
    }
}

const OPERATIONS: [&str; 14] = [
    "pin",
    "member",
    "lookup",
    "insert over",
    "update_counter",
    "insert new",
    "insert ascending",
    "insert by hash",
    "insert and delete",
    "delete",
    "lists of 1000",
    "one list",
    "next",
    "scan",
];

/// Keys in some order, and an object for each.
struct Load {
    keys: Vec<Word>,
    objects: Vec<Word>,
}

impl Load {
    fn new(size: usize, operation: &str) -> Self {
        let mut keys: Vec<_> = (0..size as u64).map(Word::integer).collect();
        match operation {
            "insert ascending" => {}
            "insert by hash" => keys.sort_by_key(|key| key.hash()),
            _ => keys.sort_by_key(|key| key.hash().wrapping_mul(0xd6e8_feb8_6659_fd93)),
        }
        let object = |&key: &Word| Word::new_tuple(&[key, Word::integer(0)]);
        let objects = keys.iter().map(object).collect();
        Load { keys, objects }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
fn measured(operation: &str, table: &Table<Word>, Load { keys, objects }: &Load) {
    match operation {
        "pin" => keys.iter().for_each(|_| drop(black_box(pin()))),
        "member" => keys.iter().for_each(|&key| {
            black_box(retry(|guard| table.member(key, guard)));
        }),
        "lookup" => keys.iter().for_each(|&key| {
            let guard = &pin();
            let mut found = Objects::none();
            while table.lookup_into(&mut found, key, guard).is_err() {}
            black_box(found.first());
        }),
        "insert over" | "insert new" | "insert ascending" | "insert by hash" => {
            objects.iter().for_each(|&object| {
                retry(|guard| table.insert(object, guard));
            })
        }
        "update_counter" => keys.iter().for_each(|&key| {
            retry(|guard| table.write_element(key, 1, guard, |Word(word)| Some(Word(word + 2))));
        }),
        "delete" => keys
            .iter()
            .for_each(|&key| retry(|guard| table.delete(key, guard))),
        "insert and delete" => keys.iter().zip(objects).for_each(|(&key, &object)| {
            retry(|guard| table.delete(key, guard));
            retry(|guard| table.insert(object, guard));
        }),
        "lists of 1000" => insert_lists(table, objects, 1_000),
        "one list" => insert_lists(table, objects, objects.len()),
        "next" => keys.iter().for_each(|&key| {
            let mut found = Objects::none();
            let guard = &pin();
            while table.next(&mut found, key, guard).is_err() {}
            black_box(found.len());
        }),
        "scan" => {
            let guard = &pin();
            let mut out = Vec::new();
            let mut from = Some(Position::start());
            while let Some(position) = from {
                out.clear();
                let scanned = table.scan(position, Direction::Forward, 100, guard, &mut out);
                from = scanned.unwrap_or_else(|Contended| panic!("nobody else is here"));
            }
        }
        _ => panic!("no operation {operation}"),
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [kind, size, operation] = &arguments[..] else {
        return OPERATIONS.iter().for_each(|name| println!("{name}"));
    };
    let kind = match &kind[..] {
        "set" => Kind::Set,
        "ordered_set" => Kind::OrderedSet,
        _ => panic!("no kind {kind}"),
    };
    let size = size.parse().expect("a number of objects");
    let table = Table::new(kind, 1);
    let load = Load::new(size, operation);
    let fills = matches!(
        &operation[..],
        "insert new" | "insert ascending" | "insert by hash" | "lists of 1000" | "one list"
    );
    if !fills {
        for &object in &load.objects {
            retry(|guard| table.insert(object, guard));
        }
    }
    measured(operation, &table, &load);
    assert_eq!(table.len(), if operation == "delete" { 0 } else { size });
}
