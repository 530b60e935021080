//! What of the native library has run, for `bin/fuzz`. The library is built with a counter for each of its edges
//! (SanitizerCoverage's inline 8-bit counters), and linked to this one, which it tells where they are.

use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The counters, and how often each was seen to have run: a bit for each of a few magnitudes.
struct Edges {
    counters: &'static [AtomicU8],
    seen: Vec<u8>,
}

static EDGES: Mutex<Option<Edges>> = Mutex::new(None);

/// Called by each instrumented compilation unit when the library is loaded, all with the same section.
///
/// # Safety
///
/// From `start` to `stop` there are counters, for as long as the process lives.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(
    start: *const AtomicU8,
    stop: *const AtomicU8,
) {
    EDGES.lock().unwrap().get_or_insert_with(|| {
        let length = stop.addr() - start.addr();
        // SAFETY: as promised. The library's threads write single bytes, as atomics would.
        let counters = unsafe { slice::from_raw_parts(start, length) };
        let seen = vec![0; length];
        Edges { counters, seen }
    });
}

impl Edges {
    /// Notes what has run since it was called last, and answers how much of it never did so before.
    fn note(&mut self) -> usize {
        let mut new = 0;

        for (counter, seen) in self.counters.iter().zip(&mut self.seen) {
            let count = counter.load(Relaxed);

            if count != 0 {
                counter.store(0, Relaxed);
                new += usize::from(*seen & magnitude(count) == 0);
                *seen |= magnitude(count);
            }
        }

        new
    }

    fn reached(&self) -> (usize, usize) {
        let reached = self.seen.iter().filter(|seen| **seen != 0).count();
        (reached, self.seen.len())
    }
}

/// Once, twice, thrice, 4 to 7, 8 to 15, 16 to 31, 32 to 127 times, or more.
fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1..=3 => 1 << (count - 1),
        4..=7 => 1 << 3,
        8..=15 => 1 << 4,
        16..=31 => 1 << 5,
        32..=127 => 1 << 6,
        128.. => 1 << 7,
    }
}

#[rustler::nif]
fn new() -> usize {
    EDGES.lock().unwrap().as_mut().map_or(0, Edges::note)
}

#[rustler::nif]
fn reached() -> (usize, usize) {
    EDGES
        .lock()
        .unwrap()
        .as_ref()
        .map_or((0, 0), Edges::reached)
}

rustler::init!("Elixir.Blanket.Coverage");
