//! A portal as it is kept, and how it is configured.

use std::sync::Arc;

use crate::bmu::claims::PortalId;
use crate::bmu::device::Bmu;
use crate::bmu::rings::{Layout, Rings};
use crate::bus::{DmaBuffer, Transport};
use crate::words::WordsDoorbell;

type DoorbellOf<T> = WordsDoorbell<<T as Transport>::Bar>;

/// How a portal is to work.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct PortalConfig {
    /// Sizes of the rings.
    pub layout: Layout,
    /// Entries up to which the device fills the acquire ring, 1 to its size: what the portal may hold back from others.
    pub credits: u32,
    /// Entries between two writes of the status line, 1 to half of the smaller ring.
    pub hysteresis: u32,
    /// Given objects that may wait for the next doorbell; 1 rings on every call. They are announced at the latest
    /// when the portal runs short, on a flush and when it is closed.
    pub batch: u32,
}

impl PortalConfig {
    /// Returns a configuration for a pool of `objects`: rings as large as the pool needs, at most `ring_log2.1`, full
    /// credits, few status lines, and a doorbell for an eighth of the ring: little beside what the acquire ring keeps
    /// from others of the pool anyhow.
    pub fn for_pool(objects: u32, ring_log2: (u32, u32)) -> PortalConfig {
        const LARGEST_LOG2: u32 = 10;
        let wanted = objects.next_power_of_two().trailing_zeros();
        let log2 = wanted.clamp(ring_log2.0, ring_log2.1.min(LARGEST_LOG2).max(ring_log2.0));
        let layout = Layout::new(log2, log2);
        let entries = layout.acquire_entries();
        PortalConfig {
            layout,
            credits: entries,
            hysteresis: (entries / 4).max(1),
            batch: (entries / 8).max(1),
        }
    }
}

/// A portal of the device, running, in use by this driver alone.
///
/// `D` is the memory of its rings. Dropping it disables the portal; an orderly end, which accounts for every object,
/// is [`Portal::close`].
pub(in crate::bmu) struct Portal<T: Transport, D: DmaBuffer> {
    pub(super) bmu: Arc<Bmu<T>>,
    pub(super) id: PortalId,
    pub(super) rings: Rings<D, DoorbellOf<T>>,
    pub(super) credits: u32,
    pub(super) hysteresis: u32,
    pub(super) batch: u32,
    /// Where a bulk call collects what it takes before the caller's output is touched.
    pub(super) scratch: Vec<u32>,
    /// The addresses of entries that are looked at or stored together; those of the acquire ring unchecked.
    pub(super) entries: Vec<u64>,
    pub(super) enabled: bool,
    /// It stopped without its last status line, which may come still.
    pub(super) silent: bool,
}
