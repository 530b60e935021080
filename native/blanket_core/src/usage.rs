//! What a table holds: its objects and its bytes.
//!
//! Every writer counts. A small table counts in one place; a table that has grown gets a stripe a
//! core, so that writers on different cores do not share a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use once_cell::sync::OnceCell;

#[derive(Default)]
struct Counts {
    objects: AtomicIsize,
    bytes: AtomicIsize,
}

#[derive(Default)]
pub(crate) struct Usage {
    base: Counts,
    stripes: OnceCell<Box<[CachePadded<Counts>]>>,
}

impl Usage {
    /// From now on cores count apart.
    pub fn spread(&self) {
        self.stripes.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (0..cores.next_power_of_two().min(64))
                .map(|_| CachePadded::default())
                .collect()
        });
    }

    pub fn add_objects(&self, change: isize) {
        self.mine().objects.fetch_add(change, Ordering::Relaxed);
    }

    pub fn add_bytes(&self, change: isize) {
        self.mine().bytes.fetch_add(change, Ordering::Relaxed);
    }

    pub fn objects(&self) -> usize {
        self.sum(|counts| &counts.objects)
    }

    pub fn bytes(&self) -> usize {
        self.sum(|counts| &counts.bytes)
    }

    fn mine(&self) -> &Counts {
        match self.stripes.get() {
            None => &self.base,
            Some(stripes) => &stripes[thread_number() & (stripes.len() - 1)],
        }
    }

    fn sum(&self, count: impl Fn(&Counts) -> &AtomicIsize) -> usize {
        let stripes = self.stripes.get().into_iter().flatten();
        let total: isize = stripes
            .map(|stripe| count(stripe).load(Ordering::Relaxed))
            .sum::<isize>()
            + count(&self.base).load(Ordering::Relaxed);
        total.max(0) as usize
    }
}

fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get()
    })
}
