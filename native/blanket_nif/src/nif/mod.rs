//! The functions of `Blanket.Native`.

mod bulk;
mod copy_out;
mod fixation;
mod kept;
mod lifecycle;
mod listing;
mod many;
mod read;
mod scan;
mod slot;
mod traverse;
mod update;
mod write;
