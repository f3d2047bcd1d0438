//! Everything around the device's logic: host memory behind the IOMMU, the link, configuration space, interrupts, and
//! what is kept about them. The device logic in `bmu/` acts on it and holds no part of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::config::SimConfig;
use crate::config_space::{COMMAND_MASTER, ConfigSpace, MSIX_ENABLE, MSIX_FUNCTION_MASK};
use crate::counters::Counters;
use crate::faults::{FaultKind, Faults};
use crate::iommu::Iommu;
use crate::msix::Msix;
use crate::rng::Rng;
use crate::timing::{self, Link};
use crate::violation::{ViolationKind, Violations};

/// Something on its way from the device to the host, in the order in which it was sent.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// Acquire entries of one portal, next to each other.
    Entries {
        portal: u16,
        epoch: u64,
        first: u32,
        iova: u64,
        words: Vec<u64>,
    },
    /// A status line.
    Status {
        portal: u16,
        epoch: u64,
        iova: u64,
        line: [u64; 4],
        /// The portal becomes disabled when it has arrived.
        last: bool,
    },
    /// An MSI-X message.
    Message { vector: u16 },
}

/// Something that the device will do by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Release entries have come that a doorbell with that ACQUIRE_HEAD had announced.
    Fetched {
        portal: u16,
        epoch: u64,
        entries: Vec<u64>,
        head: u32,
    },
    /// Look whether the portal can take buffers now.
    Fill { portal: u16, epoch: u64 },
    /// A doorbell that a fault has held back.
    Doorbell { portal: u16, value: u64 },
    /// The soft reset is over.
    Ready,
    /// The function level reset is over.
    Alive,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SimConfig,
    /// Picoseconds since the model was made.
    pub(crate) now: u64,
    /// No virtual time: everything takes place at once.
    pub(crate) instant: bool,
    pub(crate) iommu: Iommu,
    pub(crate) space: ConfigSpace,
    pub(crate) msix: Msix,
    pub(crate) link: Link,
    pub(crate) rng: Rng,
    pub(crate) counters: Counters,
    pub(crate) violations: Violations,
    pub(crate) faults: Faults,
    pub(crate) upstream: VecDeque<(u64, Upstream)>,
    pub(crate) agenda: BinaryHeap<Reverse<(u64, u64, Task)>>,
    /// Messages that arrived, by vector, since the owner looked.
    pub(crate) arrived: Vec<u64>,
    pub(crate) any_arrived: bool,
    /// The `gone` fault has struck.
    pub(crate) gone: bool,
    /// Buffers for entries under way, used again.
    spare: Vec<Vec<u64>>,
    planned: u64,
}

impl World {
    pub(crate) fn new(config: SimConfig, instant: bool) -> World {
        let vectors = usize::from(config.vectors);
        let mut space = ConfigSpace::new(config.vectors);
        space.power_up();
        World {
            now: 0,
            instant,
            iommu: Iommu::new(
                config.iommu_ranges.clone(),
                config.iommu_pages,
                config.iommu_entries,
            ),
            space,
            msix: Msix::new(config.vectors),
            link: Link::new(config.read_latency_ns, instant),
            rng: Rng::new(config.seed),
            counters: Counters {
                interrupts: vec![0; vectors],
                ..Counters::default()
            },
            violations: Violations::default(),
            faults: Faults::new(config.faults.clone()),
            upstream: VecDeque::new(),
            agenda: BinaryHeap::new(),
            arrived: vec![0; vectors],
            any_arrived: false,
            gone: false,
            spare: Vec::new(),
            planned: 0,
            config,
        }
    }

    pub(crate) fn violation(&mut self, kind: ViolationKind, place: String, value: u64) {
        self.violations.push(kind, place, value, self.now);
    }

    /// Returns a delay that chance chooses, in picoseconds.
    pub(crate) fn jitter(&mut self) -> u64 {
        if self.instant {
            return 0;
        }
        self.rng.up_to(self.config.jitter_ns * 1000)
    }

    /// Puts a task on the agenda; equal times keep their order.
    pub(crate) fn plan(&mut self, at: u64, task: Task) {
        self.planned += 1;
        self.agenda.push(Reverse((at, self.planned, task)));
    }

    /// Tells whether the device may use the bus for `portal` now.
    pub(crate) fn may_dma(&mut self, portal: u16) -> bool {
        if self.space.command() & COMMAND_MASTER == 0 {
            let place = format!("portal {portal}");
            self.violation(ViolationKind::BusMasterOff, place, 0);
            return false;
        }
        let spoiled = self
            .faults
            .hit(FaultKind::DmaFault, "PORTAL_DOORBELL", portal);
        !self.gone && spoiled.is_none()
    }

    /// Accounts for a DMA read of `bytes`; returns when its data are in the device.
    pub(crate) fn account_read(&mut self, bytes: u64) -> u64 {
        let request = timing::requests(bytes);
        let data = timing::data(bytes);
        self.counters.dma_reads += request.count;
        self.counters.dma_read_bytes += bytes;
        self.counters.tlp_bytes_up += request.bytes;
        self.counters.tlp_bytes_down += data.bytes;
        self.link.read(self.now, request.bytes, data.bytes)
    }

    /// Accounts for a DMA write of `bytes`; returns when they are in memory.
    pub(crate) fn account_write(&mut self, bytes: u64) -> u64 {
        let data = timing::data(bytes);
        self.counters.dma_writes += data.count;
        self.counters.dma_write_bytes += bytes;
        self.counters.tlp_bytes_up += data.bytes;
        self.link.up(self.now, data.bytes)
    }

    /// Sends something to the host, behind all that was sent before.
    pub(crate) fn send(&mut self, at: u64, item: Upstream) {
        let at = at.max(self.upstream.back().map_or(0, |(last, _)| *last));
        self.upstream.push_back((at, item));
    }

    /// Sends the message of `vector`, or holds it where MSI-X or the command register says so.
    pub(crate) fn message(&mut self, vector: u16) {
        let control = self.space.msix_control();
        if control & MSIX_ENABLE == 0 || self.gone {
            return;
        }
        let master = self.space.command() & COMMAND_MASTER != 0;
        if control & MSIX_FUNCTION_MASK != 0 || self.msix.is_masked(vector) || !master {
            self.msix.hold(vector);
            return;
        }
        if (self
            .faults
            .hit(FaultKind::LostInterrupt, "IRQ_TRIGGER", vector))
        .is_none()
        {
            self.send_message(vector);
        }
    }

    /// Sends the messages that were held and need not be any longer.
    pub(crate) fn release_messages(&mut self) {
        let control = self.space.msix_control();
        let master = self.space.command() & COMMAND_MASTER != 0;
        if control & MSIX_ENABLE == 0 || control & MSIX_FUNCTION_MASK != 0 || !master {
            return;
        }
        let mut ready = self.msix.release();
        while ready != 0 {
            self.message(ready.trailing_zeros() as u16);
            ready &= ready - 1;
        }
    }

    pub(crate) fn send_message(&mut self, vector: u16) {
        let bytes = timing::data(4).bytes;
        self.counters.interrupts[usize::from(vector)] += 1;
        self.counters.tlp_bytes_up += bytes;
        let at = self.link.up(self.now, bytes);
        if self.instant {
            self.arrive(vector);
        } else {
            self.send(at, Upstream::Message { vector });
        }
    }

    pub(crate) fn arrive(&mut self, vector: u16) {
        self.arrived[usize::from(vector)] += 1;
        self.any_arrived = true;
    }

    /// Returns an empty buffer for entries.
    pub(crate) fn words(&mut self) -> Vec<u64> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn recycle(&mut self, mut words: Vec<u64>) {
        words.clear();
        if self.spare.len() < 64 {
            self.spare.push(words);
        }
    }
}
