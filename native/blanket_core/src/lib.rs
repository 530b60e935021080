//! The table engine of Blanket, generic over what a term is.
//!
//! A [`Table`] holds objects, which are tuples with a key at a fixed position. From the outside in:
//! a *directory* leads from a key to its *leaf*; a leaf holds entries under a version lock; an entry
//! leads to an object; an object lives in a *page*, with others. Whatever a reader may still look at
//! is freed by epochs: hold a [`Guard`], made by [`pin`], while you use what came out of a table.
//! [`Table::snapshot`] keeps what tables had at one instant; a [`Commit`] changes many keys at one;
//! [`Table::changes`] tells which keys have changed.

mod bulk;
mod changes;
mod cursor;
mod directory;
mod discard;
mod hint;
mod holding;
mod leaf;
mod lock;
mod object;
mod objects;
mod page;
mod run;
mod slab;
mod slot;
mod snapshot;
mod storage;
mod sweep;
mod sync;
mod table;
mod term;
mod transaction;
mod usage;

pub use bulk::{Bulk, BulkMode, Progress};
pub use changes::{Changed, Sweeping};
pub use crossbeam_epoch::{Guard, pin};
pub use cursor::{Parked, Position, StepError};
pub use discard::{set_reaper, wait_for_guards};
pub use leaf::Direction;
pub use lock::Contended;
pub use object::{Object, Whole};
pub use objects::{Objects, ParkedObjects};
pub use page::OwnedTerm;
pub use slot::{HASH_SLOTS, Passed, hash_slot};
pub use sweep::{Change, Swept};
pub use table::{Bounds, Discarded, Elements, Kind, Table, UpdateError, Updated};
pub use term::{Arena, Encoding, Term, Tuples};
pub use transaction::{Commit, Expected, Operation};
