//! Rungs of described devices: each finds what a description says wrongly, and names the key.
//!
//! They work by hand, past the driver and its checks: a description that is wrong makes a driver fail somewhere, and the
//! place says little of the key.

mod capacity;
mod empty;
mod event;
mod hand;
mod keys;
mod single;

use hwpool_devices::bus::Transport;

use super::Class::Disruptive;
use super::rung::{Rung, rung};
pub(super) use keys::keys;

/// Returns the rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(6, "lists.stale", Disruptive, &["reset.verified"], "no buffers of a former owner", empty::stale).again(),
        rung(7, "lists.single", Disruptive, &["lists.stale"], "one buffer in, the same out", single::single).again(),
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, order", capacity::capacity).again(),
        rung(13, "lists.exhaustion", Disruptive, &["lists.capacity", "irq.vectors"], "the interrupt of a list", event::event),
    ]
}
