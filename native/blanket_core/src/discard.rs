//! Where things go whose dropping takes long.

use once_cell::sync::OnceCell;

type Reaper = fn(Box<dyn Send>);

static REAPER: OnceCell<Reaper> = OnceCell::new();

/// Has `reaper` drop what would take long to drop, on a thread that may take its time. Without it
/// such things are dropped where they fall out of use. The first call decides.
pub fn set_reaper(reaper: Reaper) {
    let _ = REAPER.set(reaper);
}

pub(crate) fn discard<T: Send + 'static>(thing: T) {
    match REAPER.get() {
        Some(reaper) => reaper(Box::new(thing)),
        None => drop(thing),
    }
}
