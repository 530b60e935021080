//! The functions of `Blanket.Native`.

mod bulk;
mod copy_out;
pub mod durable;
mod fixation;
mod kept;
mod lifecycle;
mod listing;
mod many;
mod read;
mod scan;
mod select;
mod select_change;
mod select_some;
mod slot;
mod snapshot;
mod transaction;
mod traverse;
mod update;
mod write;
