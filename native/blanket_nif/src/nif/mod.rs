//! The functions of `Blanket.Native`.

mod kept;
mod lifecycle;
