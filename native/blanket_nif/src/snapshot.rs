//! Snapshots, as terms name them: resources of tables that do not change. Who has taken one owns it, so
//! that it ends with that process.

use std::sync::atomic::{AtomicU64, Ordering};

use blanket_core::{Table, wait_for_guards};
use parking_lot::Mutex;

use crate::ownership::{Access, Protection};
use crate::reaper;
use crate::resource::{TableRef, TableResource};
use crate::term::BeamTerm;

/// A snapshot of `origin`, without an owner yet; or a watch of it.
pub fn new(origin: &TableRef, table: Table<BeamTerm>, protection: Protection) -> TableRef {
    TableRef::new(TableResource {
        table,
        access: Access::new(protection),
        named: false,
        name: AtomicU64::new(origin.name.load(Ordering::Acquire)),
        options: origin.options,
        ownership: Default::default(),
        fixations: Default::default(),
        durable: None,
        origin: Some(origin.clone()),
    })
}

/// Whether `table` is a snapshot that may be read: by those who may read its table, or might have when
/// that was deleted; of a private one that is the snapshot's owner. Or a watch of a table that may be.
#[cold]
pub fn may_read(table: &TableResource, caller: impl Fn() -> u64) -> bool {
    let Some(origin) = &table.origin else {
        return false;
    };
    match table.access.protection() {
        Protection::Snapshot => {}
        Protection::Watch => return origin.access.may_read(caller),
        _ => return false,
    }
    match (origin.access.protection(), origin.access.last_protection()) {
        (Protection::Dead, Protection::Private) => table.access.is_owner(caller()),
        (Protection::Dead, _) => true,
        _ => origin.access.may_read(caller),
    }
}

/// Snapshots that have ended, and keep what they have for calls that began before that.
static ENDED: Mutex<Vec<TableRef>> = Mutex::new(Vec::new());

/// Gives back what a snapshot that has ended keeps. All that end at about the same time share one wait.
pub fn let_go(snapshot: TableRef) {
    let mut ended = ENDED.lock();
    ended.push(snapshot);
    let is_first = ended.len() == 1;
    drop(ended);
    if is_first {
        reaper::run(Box::new(give_back));
    }
}

fn give_back() {
    let ended = std::mem::take(&mut *ENDED.lock());
    wait_for_guards();
    for ended in ended {
        drop(ended.table.clear());
    }
}
