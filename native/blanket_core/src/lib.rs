//! The table engine of Blanket, generic over what a term is.

mod term;

pub use crossbeam_epoch::{Guard, pin};
pub use term::{Arena, Encoding, Term};
