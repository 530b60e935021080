//! The boundary between the BEAM and the engine: NIFs, resources, terms.

mod arena;
mod atoms;
mod block;
mod cursor;
mod cut;
mod durable;
mod encoding;
mod entry;
mod fixation;
mod integer;
mod key;
mod layout;
mod match_spec;
#[cfg(test)]
mod model;
mod nif;
mod ownership;
mod packed;
mod raw;
mod reaper;
mod registry;
mod resource;
mod snapshot;
mod spare;
mod sync;
mod term;
mod trail;
mod turn;
mod yielding;

/// Tables are in the VM's memory: `erlang:memory/0` and the VM's own tools show what they take.
#[global_allocator]
static ALLOCATOR: rustler::EnifAllocator = rustler::EnifAllocator;
