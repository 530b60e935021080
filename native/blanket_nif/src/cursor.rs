//! Cursors: how far a traversal in portions has come, as a term.

use std::ffi::CStr;

use blanket_core::Parked;

use crate::resource::{Class, Resource};
use crate::term::BeamTerm;

/// A place in some table. It keeps neither the table nor an object of it, and may be used again.
pub struct Cursor(pub Parked<BeamTerm>);

impl Resource for Cursor {
    const NAME: &'static CStr = c"Blanket.Cursor";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<Cursor> = Class::new();
        &CLASS
    }
}
