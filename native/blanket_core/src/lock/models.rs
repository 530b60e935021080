//! The version lock alone, under loom: more threads, and more switches between them, than a table allows.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

use super::*;

/// Two numbers that are the same at every instant.
struct Pair {
    lock: VersionLock,
    numbers: [AtomicU64; 2],
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Pair {
            lock: VersionLock::new(),
            numbers: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    /// Adds 1 to both. The lock is held.
    fn add(&self) {
        for number in &self.numbers {
            {
                let new = number.load(Relaxed) + 1;
                number.store(new, Relaxed)
            };
        }
        self.lock.unlock();
    }

    fn lock(&self) {
        while self.lock.lock().is_err() {
            thread::yield_now();
        }
    }

    /// What a reader sees; `None` where a writer was at work.
    fn read(&self) -> Option<u64> {
        let version = self.lock.version().ok()?;
        let [one, two] = [0, 1].map(|at: usize| self.numbers[at].load(Relaxed));
        let intact = Intact::since(&self.lock, version).holds();
        assert!(!intact || one == two, "{one} and {two}");
        intact.then_some(one)
    }
}

fn explore(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    model.check(move || {
        counted.fetch_add(1, Relaxed);
        run();
    });
    println!(
        "{}: {} executions, at most {:?} preemptions",
        std::thread::current().name().unwrap_or("a model"),
        executions.load(Relaxed),
        model.preemption_bound,
    );
}

#[test]
fn a_reader_sees_one_instant_of_two_writers() {
    explore(2, || {
        let pair = Pair::new();
        let writers = [(); 2].map(|()| {
            let pair = Arc::clone(&pair);
            thread::spawn(move || {
                pair.lock();
                pair.add();
            })
        });
        let seen = [pair.read(), pair.read()].into_iter().flatten();
        assert!(seen.is_sorted(), "an older state came back");
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(pair.read(), Some(2));
    });
}

#[test]
fn who_tries_takes_the_lock_alone() {
    explore(3, || {
        let pair = Pair::new();
        let other = {
            let pair = Arc::clone(&pair);
            thread::spawn(move || {
                let taken = pair.lock.try_lock();
                if taken {
                    pair.add();
                }
                taken
            })
        };
        pair.lock();
        pair.add();
        let both = u64::from(other.join().unwrap());
        assert_eq!(pair.read(), Some(1 + both));
    });
}
