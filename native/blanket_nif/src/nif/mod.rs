//! The functions of `Blanket.Native`.

mod bulk;
mod copy_out;
mod fixation;
mod kept;
mod lifecycle;
mod read;
mod traverse;
mod update;
mod write;
