//! Rungs of the BMU's own: its registers, portals and thresholds.

mod capacity;
mod device;
mod function;
mod halves;
mod interrupts;
mod portal;
mod registers;
mod scratch;
mod service;
mod states;
mod thresholds;
mod unmapped;

use hwpool_devices::bus::Transport;

use super::Class::{Disruptive, OptIn, ReadOnly, SafeWrite};
use super::rung::{Rung, rung};

/// Returns the rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(1, "pci.function", ReadOnly, &[], "ids, BARs, link, error status", function::function),
        rung(3, "regs.scratch", SafeWrite, &["regs.identity"], "liveness, every data bit", scratch::scratch),
        rung(4, "regs.access", Disruptive, &["regs.scratch"], "reset value and access of registers", registers::access),
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, bad frees refused", capacity::capacity).again(),
        rung(9, "portal.unique", Disruptive, &["lists.single"], "each buffer exactly once", portal::unique).again(),
        rung(10, "portal.dma", Disruptive, &["lists.single"], "ring sizes, page borders, guards", portal::dma),
        rung(11, "dma.unmapped", OptIn, &["portal.dma"], "DMA to nowhere is reported", unmapped::reported),
        rung(12, "irq.vectors", Disruptive, &["reset.verified"], "each vector exactly once", interrupts::vectors),
        rung(13, "lists.exhaustion", Disruptive, &["portal.unique", "irq.vectors"], "run dry and recover", thresholds::exhaustion),
    ]
}
