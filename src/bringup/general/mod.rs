//! Rungs for devices of any kind, and what the rungs of a module's own are made of.

pub(super) mod asked;
pub(super) mod device;
pub(super) mod function;
mod histogram;
mod identity;
pub(super) mod interrupts;
pub(super) mod lists;
mod machine;
mod owner;
pub(super) mod registers;
mod reset;
pub(super) mod scratch;
mod traffic;

use hwpool_devices::bus::Transport;

pub use owner::OwnerSymptom;
pub use traffic::TRAFFIC_RUNS;

use super::Class::{Disruptive, ReadOnly, SafeWrite};
use super::rung::{Rung, rung};

/// The rung after whose passing the device's registers mean something.
pub(super) const IDENTITY: &str = "regs.identity";

/// Returns the general rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(0, "host.ready", ReadOnly, &[], "nothing in the machine is in the way", machine::ready),
        rung(1, "pci.function", ReadOnly, &[], "ids, BARs, link, error status", function::function),
        rung(2, IDENTITY, ReadOnly, &["pci.function"], "identity and version", identity::identity),
        rung(3, "regs.scratch", SafeWrite, &["regs.identity"], "every data bit", scratch::scratch),
        rung(4, "regs.access", Disruptive, &["regs.scratch"], "reset value and access of registers", registers::access),
        rung(5, "reset.verified", Disruptive, &["regs.scratch"], "resets that leave nothing behind", reset::verified),
        rung(6, "lists.stale", Disruptive, &["reset.verified"], "no buffers of a former owner", lists::stale).again(),
        rung(7, "lists.single", Disruptive, &["lists.stale"], "one buffer in, the same out", lists::single).again(),
        rung(12, "irq.vectors", Disruptive, &["reset.verified"], "each vector exactly once", interrupts::vectors),
        rung(14, "owner.killed", Disruptive, &["lists.single", "lists.capacity", "portal.unique"], "in order after its owner was killed", owner::killed),
        rung(15, "soak.traffic", Disruptive, &["portal.unique", "lists.single"], "traffic, latency, throughput", traffic::traffic),
    ]
}
