//! The boundary between the BEAM and the engine: NIFs, resources, terms.

// The skeleton: what is not called yet is called soon.
#![allow(dead_code)]

mod arena;
mod atoms;
mod encoding;
mod engine;
mod entry;
mod integer;
mod nif;
mod ownership;
mod raw;
mod reaper;
mod registry;
mod resource;
mod stored;
mod term;
mod yielding;
