//! The boundary between the BEAM and the engine: NIFs, resources, terms.

// The skeleton: what is not called yet is called soon.
#![allow(dead_code)]

mod atoms;
mod engine;
mod entry;
mod nif;
mod ownership;
mod reaper;
mod registry;
mod resource;
mod stored;
mod term;
