//! Rungs of the FIFO's own: its order, its refusals and its threshold.

mod capacity;
mod threshold;

use hwpool_devices::bus::Transport;

use super::Class::Disruptive;
use super::rung::{Rung, rung};

/// Returns the rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, bad frees refused", capacity::capacity).again(),
        rung(13, "lists.exhaustion", Disruptive, &["lists.capacity", "irq.vectors"], "run dry and recover", threshold::exhaustion),
    ]
}
