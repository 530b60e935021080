//! The files of durable tables.
//!
//! A [`Store`] is a redb database with the objects of each key under the key's [canonical](canonical_key)
//! bytes, and a header that says what table it is. It knows nothing of the VM: keys and objects are bytes in
//! the external term format. A change of many keys is one transaction of the database: after a crash it is
//! there as a whole or not at all.

mod error;
mod external;
mod file;
mod header;
mod objects;
mod store;

pub use error::Error;
pub use external::{Equality, Malformed, canonical_key, key_in};
pub use file::FileId;
pub use header::{FORMAT, Header, Kind};
pub use objects::{Objects, ObjectsBuilder};
pub use store::{Change, Loader, NewStore, Record, Store, Summary};
