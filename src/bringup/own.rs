//! What each kind of device adds to the ladder: the one list.

use hwpool_devices::bus::Transport;

use super::rung::Rung;
use super::{bmu, described, fifo};

/// What the bring-up of one kind of device has of its own.
struct Own<T: Transport> {
    /// The module that drives it.
    module: &'static str,
    /// Its rungs; one with the id of a general rung stands in its place.
    rungs: fn() -> Vec<Rung<T>>,
}

#[rustfmt::skip] // a table: one kind, one line
fn all<T: Transport>() -> Vec<Own<T>> {
    vec![
        Own { module: "bmu", rungs: bmu::rungs },
        Own { module: "fifo", rungs: fifo::rungs },
        Own { module: "described", rungs: described::rungs },
    ]
}

/// Returns the rungs of what a module drives; none where it has none of its own.
pub(super) fn rungs<T: Transport>(module: &str) -> Vec<Rung<T>> {
    let own = all().into_iter().find(|own| own.module == module);
    own.map_or_else(Vec::new, |own| (own.rungs)())
}

/// Returns the rungs of every kind.
pub(super) fn all_rungs<T: Transport>() -> Vec<Rung<T>> {
    all().into_iter().flat_map(|own| (own.rungs)()).collect()
}
