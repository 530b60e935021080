//! Several threads on one table.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use blanket_core::{Direction, Kind};

use super::{Census, Table, Value, int, scan_all, tiny_bounds, tuple};

pub const THREADS: usize = 4;

/// A table that several threads use, whose leaves are split and whose pages are left all the time;
/// and the writers that are still at work.
pub struct Scene {
    pub kind: Kind,
    pub table: Table,
    writers: AtomicUsize,
    started: Barrier,
}

impl Scene {
    /// Runs `role` on each thread with the thread's number, then lets `check` look at the table,
    /// and sees that nothing of it stays behind.
    pub fn play(
        kind: Kind,
        writers: usize,
        prepare: impl FnOnce(&Table),
        role: impl Fn(&Scene, usize) + Sync,
        check: impl FnOnce(&Table),
    ) {
        let census = Census::take();
        let scene = Scene {
            kind,
            table: Table::with_bounds(kind, 1, tiny_bounds()),
            writers: AtomicUsize::new(writers),
            started: Barrier::new(THREADS),
        };
        prepare(&scene.table);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (scene, role, census) = (&scene, &role, &census);
                scope.spawn(move || {
                    census.join();
                    let _writing = (number < writers).then(|| Writing(scene));
                    scene.started.wait();
                    role(scene, number);
                });
            }
        });
        let mut objects = 0;
        scan_all(&scene.table, Direction::Forward, 100, |_| objects += 1);
        assert_eq!(scene.table.len(), objects);
        check(&scene.table);
        drop(scene);
        census.assert_all_reclaimed();
    }

    pub fn is_written(&self) -> bool {
        self.writers.load(SeqCst) > 0
    }
}

/// One writer at work; it ends even if the writer panics, so that no reader waits for it.
struct Writing<'a>(&'a Scene);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writers.fetch_sub(1, SeqCst);
    }
}

/// An object whose last element tells whether the others belong together.
pub fn sealed(key: i64, version: i64) -> Value {
    tuple([int(key), int(version), int(key * 1_000_003 + version)])
}

/// The version in a sealed object.
pub fn version_of(object: &Value) -> i64 {
    let [key, version, seal] = object.elements() else {
        panic!("{object:?} has another size");
    };
    assert_eq!(seal.as_int(), key.as_int() * 1_000_003 + version.as_int());
    version.as_int()
}

pub fn is_bag(kind: Kind) -> bool {
    matches!(kind, Kind::Bag | Kind::DuplicateBag)
}
