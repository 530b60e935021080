//! Watches: a table as a transaction looks at it. A watch remembers the leaves that it showed.

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use crossbeam_epoch::Guard;

use crate::directory::hash::HashDirectory;
use crate::directory::ordered::OrderedDirectory;
use crate::directory::{Directory, HeldDirectory, LeafOf, Leaves, ProbeOf};
use crate::hint::Generation;
use crate::leaf::{Body, Seek};
use crate::lock::{Contended, Intact, Torn, Version};
use crate::sync::Mutex;
use crate::table::{AnyDirectory, Store, Table};
use crate::term::Term;

pub(crate) struct Watch<T: Term, D: Directory<T>> {
    directory: HeldDirectory<T, D>,
    seen: Mutex<SeenIn<T, D>>,
}

/// The leaves that were looked at, each once, however often that was.
struct Seen<L> {
    leaves: Vec<(L, Version)>,
    /// Which of these was noted last for the leaf at an address, where by now another leaf may be.
    at: HashMap<usize, usize>,
}

type SeenIn<T, D> = Seen<<<D as Leaves<T>>::Body as Body<T>>::Low>;

impl<T: Term, D: Directory<T>> Watch<T, D> {
    fn new(store: &Arc<Store<T>>, directory: &D) -> Self {
        Watch {
            directory: HeldDirectory::new(Arc::clone(store), directory),
            seen: Mutex::new(Seen {
                leaves: Vec::new(),
                at: HashMap::new(),
            }),
        }
    }

    /// What the table had when this was made.
    pub fn watched(&self) -> &Store<T> {
        self.directory.store()
    }

    /// How many leaves were looked at.
    pub fn len(&self) -> usize {
        self.seen.lock().leaves.len()
    }

    /// Whether each leaf still is as it was when it was looked at, and nobody is about to change one but
    /// perhaps the caller, whose the leaves are that `is_mine` answers for.
    pub fn holds(&self, is_mine: impl Fn(*const LeafOf<T, D>) -> bool, guard: &Guard) -> bool {
        let seen = self.seen.lock();
        seen.leaves.iter().all(|(low, version)| {
            let leaf = self.directory.leaf_at(&D::Body::at_low(low), guard);
            leaf.body(guard).begins_at(low) && leaf.lock.is_still(*version, is_mine(leaf))
        })
    }

    fn note(&self, leaf: &LeafOf<T, D>, version: Version, guard: &Guard) {
        let body = leaf.body(guard);
        let mut seen = self.seen.lock();
        let address = ptr::from_ref(leaf).addr();
        let noted = seen.at.get(&address).map(|&at| &seen.leaves[at]);
        if !noted.is_some_and(|(low, noted)| *noted == version && body.begins_at(low)) {
            let at = seen.leaves.len();
            seen.leaves.push((body.low(), version));
            seen.at.insert(address, at);
        }
    }
}

impl<T: Term, D: Directory<T>> Leaves<T> for Watch<T, D> {
    type Body = D::Body;

    /// Every leaf has to be noted, also one that is remembered.
    fn generation(&self) -> Option<&Generation> {
        None
    }

    fn leaf<'g>(&'g self, probe: &ProbeOf<T, Self>, guard: &'g Guard) -> &'g LeafOf<T, Self> {
        self.directory.leaf(probe, guard)
    }

    fn leaf_at<'g>(
        &'g self,
        seek: &Seek<ProbeOf<T, Self>>,
        guard: &'g Guard,
    ) -> &'g LeafOf<T, Self> {
        self.directory.leaf_at(seek, guard)
    }

    fn read<'g, R>(
        &self,
        leaf: &LeafOf<T, Self>,
        guard: &'g Guard,
        covers: impl Fn(&D::Body) -> bool,
        read: impl FnMut(&'g D::Body, Intact<'_>) -> Result<R, Torn>,
    ) -> Result<Option<R>, Contended> {
        let read = leaf.read(guard, covers, read)?;
        Ok(read.map(|(result, version)| {
            self.note(leaf, version, guard);
            result
        }))
    }
}

pub(crate) type HashWatch<T> = Watch<T, HashDirectory<T>>;
pub(crate) type OrderedWatch<T> = Watch<T, OrderedDirectory<T>>;

impl<T: Term> Table<T> {
    /// The table in a table that is read only, shows what is there at the time, and remembers what parts
    /// of the table were looked at, for [`crate::Commit::unchanged`]. `None` where this is such a one
    /// itself, or a snapshot.
    pub fn watch(&self, guard: &Guard) -> Option<Self> {
        let store = self.hold_store(guard);
        let directory = match &store.directory {
            AnyDirectory::Hash(directory) => AnyDirectory::HashWatch(Watch::new(&store, directory)),
            AnyDirectory::Ordered(directory) => {
                AnyDirectory::OrderedWatch(Watch::new(&store, &**directory))
            }
            _ => return None,
        };
        Some(self.with_directory_of_its_own(directory))
    }

    /// How many parts of the table a watch remembers.
    pub fn watched(&self, guard: &Guard) -> usize {
        match &self.store(guard).directory {
            AnyDirectory::HashWatch(watch) => watch.len(),
            AnyDirectory::OrderedWatch(watch) => watch.len(),
            _ => 0,
        }
    }
}
