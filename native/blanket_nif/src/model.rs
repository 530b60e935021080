//! Models of who owns which table under which name, in all orders of what processes do.
//!
//! The library's own functions run here, called as the VM calls them, in a VM of a few processes
//! ([`vm`]). What they answer and leave is compared with what a table of rules says ([`rules`]).

mod orders;
mod rules;
mod sequences;
pub mod sync;
mod turns;
mod vm;
mod world;
