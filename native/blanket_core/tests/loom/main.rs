//! The engine under loom, which runs a few threads in every order that they could run in, with what
//! each of them could see of the others' writes, and finds accesses to memory that are not ordered.
//!
//! `bin/sanitize loom` runs them. They take minutes, and so are not part of `cargo test`: they need
//! `--cfg loom --cfg crossbeam_loom`.
#![cfg(loom)]

mod growth;
mod leaves;
mod lists;
mod reclaim;
mod snapshots;
mod support;
mod term;
mod transactions;
