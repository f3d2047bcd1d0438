//! Rungs of the FIFO's own: its function, its registers, its order, its refusals, its interrupt and its threshold.

mod capacity;
mod function;
mod interrupts;
mod registers;
mod threshold;

use hwpool_devices::bus::Transport;

use super::Class::{Disruptive, ReadOnly};
use super::rung::{Rung, rung};

/// Returns the rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(1, "pci.function", ReadOnly, &[], "ids, BARs, link, error status", function::function),
        rung(4, "regs.access", Disruptive, &["regs.scratch"], "reset value and access of registers", registers::access),
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, bad frees refused", capacity::capacity).again(),
        rung(12, "irq.vectors", Disruptive, &["reset.verified"], "each vector exactly once", interrupts::vectors),
        rung(13, "lists.exhaustion", Disruptive, &["lists.capacity", "irq.vectors"], "run dry and recover", threshold::exhaustion),
    ]
}
