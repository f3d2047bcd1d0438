//! The model of a whole PCI function, apart from any transport: a server of another protocol can put it behind a
//! socket, as [`InProcess`](crate::InProcess) puts it behind calls.

mod access;
mod cell;
mod doorbells;
mod time;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};
use hwpool_devices::reg::Bank;

use crate::config::{Mode, SimConfig};
use crate::config_space::{BAR0, COMMAND, DEVICE_CONTROL, Effect, MSIX_CONTROL};
use crate::counters::Counters;
use crate::decode::Decode;
use crate::faults::{Fault, FaultKind, Faults};
use crate::iommu::Iommu;
use crate::logic::Logic;
use crate::memory::{AskedMemory, Reach};
use crate::shape::{Shape, Slot};
use crate::timing;
use crate::violation::Violation;
use crate::world::{Parts, World};

pub(crate) use cell::Cell;

/// A register write on its way to the device.
#[derive(Debug)]
struct Posted {
    at: u64,
    bar: u8,
    offset: u64,
    width: u8,
    value: u64,
}

/// A device behind the one PCI function of this crate: configuration space, MSI-X, IOMMU and link.
///
/// In stepped mode a call that takes time lets everything happen that falls due in it. In threaded mode nothing takes
/// time: [`Model::poll`] serves the doorbells.
#[derive(Debug)]
pub struct Model {
    logic: Box<dyn Logic>,
    world: World,
    shape: Shape,
    decode: Decode,
    /// When the time after a function level reset is over in which nobody may access the function.
    alive_at: Option<u64>,
    /// Register writes under way, in order.
    posted: VecDeque<Posted>,
    /// The hot doorbells, and the first of their registers.
    cells: Arc<[Cell]>,
    first_doorbell: Option<Slot>,
    /// Rings of each cell that were taken.
    taken: Vec<u64>,
    /// Where the counters start to count each cell's rings.
    counted_from: u64,
    start: Instant,
    /// How far the next idle step goes, in picoseconds.
    quantum: u64,
}

/// How long after a function level reset nobody may access the function (PCIe 6.6.2), in picoseconds.
const FLR_TIME: u64 = 100_000_000_000;
/// Shortest and longest step of an idle [`Model::relax`].
const QUANTUM: (u64, u64) = (10_000, 10_000_000);

impl Model {
    /// Makes a function as firmware leaves it: BARs assigned, memory decoding on, bus mastering off.
    ///
    /// # Errors
    ///
    /// The first parameter that is out of its range.
    pub fn new(config: SimConfig) -> Result<Model, crate::ConfigError> {
        config.check()?;
        let shape = config.shape();
        let decode = Decode::new(shape.table.clone());
        let doorbells = shape.doorbells.map_or(0, |bank| bank.count);
        let first = |bank: Bank| decode.find(bank.bar, bank.base);
        Ok(Model {
            logic: config.options.make(config.lies),
            alive_at: None,
            posted: VecDeque::new(),
            cells: (0..doorbells).map(|_| Cell::default()).collect(),
            first_doorbell: shape.doorbells.and_then(first),
            taken: vec![0; usize::from(doorbells)],
            counted_from: 0,
            start: Instant::now(),
            quantum: QUANTUM.0,
            world: World::new(&shape, parts(config)),
            shape,
            decode,
        })
    }

    /// Returns the size of a memory BAR, or `None` where there is none.
    pub fn bar_size(&self, bar: u8) -> Option<u64> {
        self.shape.bar_size(bar)
    }

    /// Returns where the device's hot doorbells lie, one 64-bit register at the start of each copy of the bank, or
    /// `None` where it has none.
    ///
    /// Each is a state: of several values that were stored, the last one counts.
    pub fn doorbells(&self) -> Option<Bank> {
        self.shape.doorbells
    }

    /// Returns how many MSI-X vectors there are.
    pub fn vectors(&self) -> u16 {
        self.world.vectors
    }

    /// Reads `width` bytes, 1, 2 or 4, of configuration space.
    pub fn config_read(&mut self, offset: u16, width: u8) -> u32 {
        self.world.counters.config_reads += 1;
        self.world.counters.tlp_bytes_down += timing::HEADER;
        self.arrive(None);
        let pending = self.logic.has_reads();
        self.world.space.set_pending(pending);
        let value = match self.world.gone {
            true => u32::MAX >> (32 - 8 * u32::from(width.clamp(1, 4))),
            false => self.world.space.read(offset, width),
        };
        self.complete(4);
        value
    }

    /// Writes `width` bytes, 1, 2 or 4, of configuration space; a round trip, as configuration writes are not posted.
    ///
    /// Tells whether that was a function level reset, which among others forgets the MSI-X table.
    pub fn config_write(&mut self, offset: u16, width: u8, value: u32) -> bool {
        self.world.counters.config_writes += 1;
        self.world.counters.tlp_bytes_down += timing::data(4).bytes;
        self.arrive(None);
        let effect = match self.world.gone {
            true => Effect::None,
            false => self.world.space.write(offset, width, value),
        };
        match effect {
            Effect::None => {}
            Effect::Messages => self.world.release_messages(),
            Effect::Flr => self.function_reset(),
        }
        self.complete(0);
        effect == Effect::Flr
    }

    fn function_reset(&mut self) {
        let register = &self.shape.reset_register;
        if (self
            .world
            .faults
            .hit(FaultKind::ResetDoesNothing, register, 0))
        .is_some()
        {
            return;
        }
        self.world.space.reset();
        self.world.msix = crate::msix::Msix::new(self.shape.vectors, self.shape.msix_pba);
        self.logic.reset(&mut self.world);
        self.world.running = 0;
        if !self.world.instant {
            self.alive_at = Some(self.world.now + FLR_TIME);
        }
    }

    /// Resets the function as a kernel does: saves configuration space, initiates the reset, waits 100 ms, restores.
    pub fn reset(&mut self) {
        let saved: Vec<u32> = (0..6)
            .map(|i| self.world.space.read(BAR0 + 4 * i, 4))
            .collect();
        let command = self.world.space.read(COMMAND, 2);
        let device_control = self.world.space.read(DEVICE_CONTROL, 2);
        let msix_control = self.world.space.read(MSIX_CONTROL, 2);
        let table = self.world.msix.clone();
        self.config_write(DEVICE_CONTROL, 2, device_control | 1 << 15);
        if !self.world.instant {
            self.run_until(self.world.now + FLR_TIME);
        }
        for (i, value) in saved.into_iter().enumerate() {
            self.world.space.write(BAR0 + 4 * i as u16, 4, value);
        }
        self.world.space.write(DEVICE_CONTROL, 2, device_control);
        self.world.msix.restore(&table);
        self.world.space.write(MSIX_CONTROL, 2, msix_control);
        self.world.space.write(COMMAND, 2, command);
    }

    /// Returns what the IOMMU can map.
    pub fn dma_limits(&self) -> DmaLimits {
        self.world.iommu.limits()
    }

    /// Gives the device memory.
    ///
    /// # Errors
    ///
    /// As an IOMMU refuses: overlap, reserved range, alignment, no entry left; and memory that can't be mapped.
    pub fn dma_map(&mut self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.world.iommu.map(iova, source, Reach::Mapped)
    }

    /// Lets the device reach memory as [`Model::dma_map`] does, whose owner may shorten its file at any time: each word
    /// takes a system call, one that is gone reads as all ones, and this process lives on.
    ///
    /// # Errors
    ///
    /// As for [`Model::dma_map`]. Files of hugetlbfs can be mapped only, for the kernel does not write them.
    pub fn dma_map_copied(&mut self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.world.iommu.map(iova, source, Reach::Copied)
    }

    /// Lets the device reach memory that `host` has and gives to who asks: what it refuses is a DMA fault.
    ///
    /// # Errors
    ///
    /// As an IOMMU refuses, see [`Model::dma_map`].
    pub fn dma_map_asked(
        &mut self,
        iova: Iova,
        len: u64,
        host: Arc<dyn AskedMemory>,
    ) -> Result<(), DmaError> {
        self.world.iommu.map_asked(iova, len, host)
    }

    /// Takes memory away. What is under way to it will be refused.
    ///
    /// # Errors
    ///
    /// [`DmaError::NotMapped`] unless the range is exactly one that was mapped.
    pub fn dma_unmap(&mut self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.world.iommu.unmap(iova, len)?;
        self.logic.invalidate();
        Ok(())
    }

    /// Masks or unmasks a vector in the MSI-X table, and enables MSI-X in configuration space.
    pub fn set_vector_mask(&mut self, vector: u16, masked: bool) {
        self.world.msix.set_mask(vector, masked);
        let control = self.world.space.read(MSIX_CONTROL, 2);
        self.world.space.write(MSIX_CONTROL, 2, control | 1 << 15);
        self.world.release_messages();
    }

    /// Masks or unmasks a vector in the MSI-X table alone.
    pub fn mask_vector(&mut self, vector: u16, masked: bool) {
        self.world.msix.set_mask(vector, masked);
        self.world.release_messages();
    }

    /// Tells whether interrupts wait to be taken.
    pub(crate) fn has_interrupts(&self) -> bool {
        self.world.any_arrived
    }

    /// Takes the interrupts that arrived since the last call: how many of each vector; `None` if there were none.
    pub fn take_interrupts(&mut self) -> Option<Vec<u64>> {
        if !self.world.any_arrived {
            return None;
        }
        self.world.any_arrived = false;
        let none = vec![0; self.world.arrived.len()];
        Some(std::mem::replace(&mut self.world.arrived, none))
    }

    /// Returns what crossed the bus since the model was made or the counters were reset.
    pub fn counters(&self) -> Counters {
        let mut counters = self.world.counters.clone();
        let rings: u64 = self.rings() - self.counted_from;
        counters.doorbells += rings;
        if self.world.instant {
            counters.tlp_bytes_down += rings * timing::data(8).bytes;
        }
        counters
    }

    /// Starts all counters from 0.
    pub fn reset_counters(&mut self) {
        self.counted_from = self.rings();
        self.world.counters = Counters {
            interrupts: vec![0; usize::from(self.world.vectors)],
            ..Counters::default()
        };
    }

    /// Takes the violations recorded since the last call.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        self.world.violations.take()
    }

    /// Adds a fault; it counts occurrences from now on.
    ///
    /// # Errors
    ///
    /// A register that does not exist, a fault that this device can't have, or one that can't happen as written.
    pub fn inject(&mut self, fault: Fault) -> Result<(), crate::FaultError> {
        fault.check(self.shape.possible(), 0)?;
        self.world.faults.push(fault);
        Ok(())
    }
}

/// Takes from the configuration what is not the device's own.
fn parts(config: SimConfig) -> Parts {
    Parts {
        seed: config.seed,
        instant: config.mode == Mode::Threaded,
        iommu: Iommu::new(
            config.iommu_ranges,
            config.iommu_pages,
            config.iommu_entries,
        ),
        faults: Faults::new(config.faults),
        read_latency_ns: config.read_latency_ns,
        jitter_ns: config.jitter_ns,
        preemption: config.preemption,
        memory_space: config.memory_space,
    }
}
