//! What the models share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use blanket_core::{Bounds, Contended, Guard, Kind, Object, pin};

use crate::term::{self, Num, Owned, num};

pub type Table = blanket_core::Table<Num>;

/// So small that eight objects split a leaf.
pub fn bounds() -> Bounds {
    Bounds {
        hash_leaf: 8,
        ordered_leaf: 8,
        branch: 2,
        page_objects: 2,
        page_bytes: 1_000,
        large_object: 500,
        run: 2,
        run_index: 100,
        run_chunk: 2,
        spread: 100,
    }
}

pub fn table(kind: Kind, objects: impl IntoIterator<Item = Owned>) -> Arc<Table> {
    let table = Table::with_bounds(kind, 1, bounds());
    for object in objects {
        insert(&table, &object);
    }
    Arc::new(table)
}

/// What moves in an ordered leaf makes many orders to try.
pub fn preemptions(kind: Kind) -> usize {
    match kind {
        Kind::OrderedSet => 1,
        _ => 2,
    }
}

/// Explores what `run` can come to, with at most so many switches from a thread that could go on, and before with
/// one: each for half a minute at most, or as long as LOOM_MAX_DURATION says.
pub fn explore(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let run = Arc::new(run);
    // Time may run out among the many, the last of which are changed first.
    if preemptions > 1 && loom::model::Builder::new().preemption_bound.is_none() {
        explore_within(1, Arc::clone(&run));
    }
    explore_within(preemptions, run);
}

fn explore_within(preemptions: usize, run: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.max_branches = 100_000;
    model.checkpoint_interval = 500; // The time is looked at as often.
    let most = *model.max_duration.get_or_insert(Duration::from_secs(30));
    let executions = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let counted = Arc::clone(&executions);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        term::begin();
        run();
    });
    term::begin();
    println!(
        "{}: {} executions, {} with at most {} preemptions, {:.1} s",
        std::thread::current().name().unwrap_or("a model"),
        executions.load(Ordering::Relaxed),
        if begun.elapsed() < most {
            "all"
        } else {
            "not all"
        },
        model.preemption_bound.unwrap_or(preemptions),
        begun.elapsed().as_secs_f64(),
    );
}

/// Calls `operation` until it finds its leaf unlocked.
pub fn retry<R>(mut operation: impl FnMut() -> Result<R, Contended>) -> R {
    loop {
        match operation() {
            Ok(answer) => return answer,
            Err(Contended) => loom::thread::yield_now(),
        }
    }
}

pub fn insert(table: &Table, object: &Owned) {
    let guard = &pin();
    retry(|| table.insert(object.term(), guard));
}

pub fn delete(table: &Table, key: i64) {
    let guard = &pin();
    retry(|| table.delete(num(key), guard));
}

/// Frees what no reader can be at.
pub fn reclaim() {
    for _ in 0..3 {
        pin().flush();
    }
}

/// The numbers in each object of the key.
pub fn lookup(table: &Table, key: i64, guard: &Guard) -> Vec<Vec<i64>> {
    let found = retry(|| table.lookup(num(key), guard));
    found.iter().map(|object| numbers(&object)).collect()
}

pub fn numbers(object: &Object<Num>) -> Vec<i64> {
    object.elements().iter().map(|it| it.value()).collect()
}
