//! Directories: which leaf has a key.

mod branch;
pub(crate) mod hash;
mod held;
pub(crate) mod ordered;

use std::sync::Arc;

use crossbeam_epoch::Guard;

use crate::hint::Generation;
use crate::leaf::{Body, Context, Leaf, Locked, Seek};
use crate::lock::{Contended, Intact, Torn};
use crate::snapshot::Snapshots;
use crate::term::Term;
use crate::usage::Usage;

pub(crate) use held::HeldDirectory;

pub(crate) type LeafOf<T, D> = Leaf<T, <D as Leaves<T>>::Body>;
pub(crate) type LockedOf<'a, T, D> = Locked<'a, T, <D as Leaves<T>>::Body>;
pub(crate) type ProbeOf<T, D> = <<D as Leaves<T>>::Body as Body<T>>::Probe;

/// What leads from a key to its leaf.
///
/// A leaf that was answered may have been split or removed before the caller looks into it; its
/// body then does not cover the key, and the caller asks again.
pub(crate) trait Leaves<T: Term>: Send + Sync + Sized + 'static {
    type Body: Body<T>;

    /// `None` where a leaf may be removed without another one.
    fn generation(&self) -> Option<&Generation>;

    fn leaf<'g>(&'g self, probe: &ProbeOf<T, Self>, guard: &'g Guard) -> &'g LeafOf<T, Self>;

    fn leaf_at<'g>(
        &'g self,
        seek: &Seek<ProbeOf<T, Self>>,
        guard: &'g Guard,
    ) -> &'g LeafOf<T, Self>;

    /// One look at a leaf; see [`Leaf::read`]. `None` where the caller is to ask again for the leaf.
    #[inline(always)]
    fn read<'g, R>(
        &self,
        leaf: &LeafOf<T, Self>,
        guard: &'g Guard,
        covers: impl Fn(&Self::Body) -> bool,
        read: impl FnMut(&'g Self::Body, Intact<'_>) -> Result<R, Torn>,
    ) -> Result<Option<R>, Contended> {
        let read = leaf.read(guard, covers, read)?;
        Ok(read.map(|(result, _)| result))
    }
}

/// The leaves of a table, and how they change.
///
/// A directory is up to date before the lock of the leaf that changed is let go.
pub(crate) trait Directory<T: Term>: Leaves<T> {
    fn new(usage: &Arc<Usage>) -> Self;

    fn snapshots(&self) -> &Snapshots<T, Self::Body>;

    /// Whether a leaf that is going to have so many entries, between the two keys `coming`, ought
    /// to be split before they come.
    fn splits_ahead(
        &self,
        body: &Self::Body,
        entries: usize,
        coming: &[ProbeOf<T, Self>; 2],
        context: Context<'_>,
    ) -> bool;

    /// Splits a leaf that is too small for what comes between the two keys, or makes it larger
    /// where a split separates nothing. The new upper half, if any, is answered locked.
    fn split<'g>(
        &'g self,
        full: &mut LockedOf<'_, T, Self>,
        coming: &[ProbeOf<T, Self>; 2],
        context: Context<'_>,
        guard: &'g Guard,
    ) -> Option<LockedOf<'g, T, Self>>;

    /// Objects of this leaf were deleted: joins it to another where it has few left, if that can be
    /// done now.
    fn merge(&self, thin: LockedOf<'_, T, Self>, context: Context<'_>, guard: &Guard);
}
