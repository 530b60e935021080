//! Match specifications that outlive the call that compiled them.

use std::ffi::CStr;

use blanket_core::Kind;

use super::{MatchSpec, Plan, Uncovered};
use crate::resource::{Class, Resource};
use crate::term::{BeamTerm, Stored};

/// A match specification with its source, compiled for the tables of a kind and key position.
pub struct KeptSpec {
    pub spec: MatchSpec,
    pub plan: Plan,
    kind: Kind,
    keypos: usize,
    _source: Stored,
}

impl KeptSpec {
    pub fn compile(source: BeamTerm, kind: Kind, keypos: usize) -> Result<Self, Uncovered> {
        let source = Stored::new(source);
        // SAFETY: the source is kept along with the program.
        let spec = unsafe { MatchSpec::compile(source.term()) }?;
        Ok(KeptSpec {
            plan: spec.plan(kind, keypos),
            spec,
            kind,
            keypos,
            _source: source,
        })
    }

    pub fn is_for(&self, kind: Kind, keypos: usize) -> bool {
        self.kind == kind && self.keypos == keypos
    }
}

impl Resource for KeptSpec {
    const NAME: &'static CStr = c"Blanket.MatchSpec";

    fn class() -> &'static Class<Self> {
        static CLASS: Class<KeptSpec> = Class::new();
        &CLASS
    }
}
