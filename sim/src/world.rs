//! Everything around the device's logic: host memory behind the IOMMU, the link, configuration space, interrupts, and
//! what is kept about them. The logic of a device acts on it and holds no part of it.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::config_space::{COMMAND_MASTER, ConfigSpace, MSIX_ENABLE, MSIX_FUNCTION_MASK};
use crate::counters::Counters;
use crate::faults::{FaultKind, Faults};
use crate::iommu::Iommu;
use crate::msix::Msix;
use crate::rng::Rng;
use crate::shape::Shape;
use crate::timing::{self, Link};
use crate::violation::{ViolationKind, Violations};

/// Something on its way from the device to the host, in the order in which it was sent.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// A write of host memory.
    Write(Sent),
    /// An MSI-X message.
    Message { vector: u16 },
}

/// A write of host memory that is under way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) iova: u64,
    pub(crate) words: Vec<u64>,
    pub(crate) ticket: Ticket,
}

/// What the device's logic wants to know again of a write when it arrives.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Which part of the device has sent it, and in which of its lives.
    pub(crate) channel: u16,
    pub(crate) epoch: u64,
    /// What it is, as the logic has coded it.
    pub(crate) kind: u64,
}

/// What a world is made of, whatever the device.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) seed: u64,
    pub(crate) instant: bool,
    pub(crate) iommu: Iommu,
    pub(crate) faults: Faults,
    pub(crate) read_latency_ns: u64,
    pub(crate) jitter_ns: u64,
    pub(crate) preemption: u32,
    pub(crate) memory_space: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    /// Most that chance adds to a delay, in picoseconds.
    jitter: u64,
    preemption: u32,
    pub(crate) vectors: u16,
    /// The register that stands for interrupts in fault files.
    interrupt_register: Cow<'static, str>,
    /// The hot doorbells that the device serves now, a bit each: its logic keeps this.
    pub(crate) running: u64,
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
    /// Messages that arrived, by vector, since the owner looked.
    pub(crate) arrived: Vec<u64>,
    pub(crate) any_arrived: bool,
    /// The `gone` fault has struck.
    pub(crate) gone: bool,
    /// Buffers for words under way, used again.
    spare: Vec<Vec<u64>>,
}

impl World {
    pub(crate) fn new(shape: &Shape, parts: Parts) -> World {
        let vectors = usize::from(shape.vectors);
        let mut space = ConfigSpace::new(shape);
        space.power_up(shape, parts.memory_space);
        World {
            jitter: parts.jitter_ns * 1000,
            preemption: parts.preemption,
            vectors: shape.vectors,
            interrupt_register: shape.interrupt_register.clone(),
            running: 0,
            now: 0,
            instant: parts.instant,
            iommu: parts.iommu,
            space,
            msix: Msix::new(shape.vectors, shape.msix_pba),
            link: Link::new(parts.read_latency_ns, parts.instant),
            rng: Rng::new(parts.seed),
            counters: Counters {
                interrupts: vec![0; vectors],
                ..Counters::default()
            },
            violations: Violations::default(),
            faults: parts.faults,
            upstream: VecDeque::new(),
            arrived: vec![0; vectors],
            any_arrived: false,
            gone: false,
            spare: Vec::new(),
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
        self.rng.up_to(self.jitter)
    }

    /// Tells whether chance has the host pause after a doorbell.
    pub(crate) fn preempts(&mut self) -> bool {
        self.rng.one_in(self.preemption)
    }

    /// Tells whether the function may issue memory requests.
    pub(crate) fn is_master(&self) -> bool {
        self.space.command() & COMMAND_MASTER != 0
    }

    /// Returns when everything sent so far has arrived, or 0 where all has.
    pub(crate) fn landed_at(&self) -> u64 {
        self.upstream.back().map_or(0, |(at, _)| *at)
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
        let at = at.max(self.landed_at());
        self.upstream.push_back((at, item));
    }

    /// Sends the message of `vector`, or holds it where MSI-X or the command register says so.
    pub(crate) fn message(&mut self, vector: u16) {
        let control = self.space.msix_control();
        if control & MSIX_ENABLE == 0 || self.gone {
            return;
        }
        let master = self.is_master();
        if control & MSIX_FUNCTION_MASK != 0 || self.msix.is_masked(vector) || !master {
            self.msix.hold(vector);
            return;
        }
        if (self
            .faults
            .hit(FaultKind::LostInterrupt, &self.interrupt_register, vector))
        .is_none()
        {
            self.send_message(vector);
        }
    }

    /// Sends the messages that were held and need not be any longer.
    pub(crate) fn release_messages(&mut self) {
        let control = self.space.msix_control();
        let master = self.is_master();
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

    /// Returns an empty buffer for words.
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
