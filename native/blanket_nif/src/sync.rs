//! What the calls that move tables between owners and names meet at. In tests it lets the models
//! (`model.rs`) switch from one process to another before each use.

#[cfg(test)]
pub use crate::model::sync::{HashMap, Mutex, MutexGuard};
#[cfg(not(test))]
pub use {
    papaya::HashMap,
    parking_lot::{Mutex, MutexGuard},
};
