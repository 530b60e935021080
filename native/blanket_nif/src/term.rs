//! The BEAM's terms, as the engine sees them.

use rustler::sys::ErlNifTerm;

/// A term of the BEAM.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct BeamTerm(ErlNifTerm);

impl BeamTerm {
    #[inline]
    pub fn raw(self) -> ErlNifTerm {
        self.0
    }

    /// The machine word.
    #[inline]
    pub fn word(self) -> u64 {
        // SAFETY: an ERL_NIF_TERM is one machine word of plain bits.
        unsafe { std::mem::transmute::<ErlNifTerm, usize>(self.0) as u64 }
    }

    /// # Safety
    ///
    /// `word` came from [`BeamTerm::word`], of a term that is still alive.
    #[inline]
    pub unsafe fn from_word(word: u64) -> Self {
        // SAFETY: as in `word`.
        BeamTerm(unsafe { std::mem::transmute::<usize, ErlNifTerm>(word as usize) })
    }
}

impl From<ErlNifTerm> for BeamTerm {
    #[inline]
    fn from(term: ErlNifTerm) -> Self {
        BeamTerm(term)
    }
}

impl From<rustler::Term<'_>> for BeamTerm {
    fn from(term: rustler::Term<'_>) -> Self {
        BeamTerm(term.as_c_arg())
    }
}

impl From<rustler::Atom> for BeamTerm {
    #[inline]
    fn from(atom: rustler::Atom) -> Self {
        BeamTerm(atom.as_c_arg())
    }
}
