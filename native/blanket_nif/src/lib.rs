//! The boundary between the BEAM and the engine.
