//! The model of a whole PCI function, apart from any transport: a server of another protocol can put it behind a
//! socket, as [`InProcess`](crate::InProcess) puts it behind calls.

mod access;
mod doorbells;
mod time;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};

use crate::bmu::{Bmu, FLR_TIME};
use crate::config::{Mode, SimConfig};
use crate::config_space::{BAR0, COMMAND, DEVICE_CONTROL, Effect, MSIX_CONTROL};
use crate::counters::Counters;
use crate::faults::{Fault, FaultKind};
use crate::memory::Reach;
use crate::timing;
use crate::violation::Violation;
use crate::world::World;

pub(crate) use doorbells::Cell;

/// A register write on its way to the device.
#[derive(Debug)]
struct Posted {
    at: u64,
    bar: u8,
    offset: u64,
    width: u8,
    value: u64,
}

/// A BMU with its configuration space, its IOMMU and its link.
///
/// In stepped mode a call that takes time lets everything happen that falls due in it. In threaded mode nothing takes
/// time: [`Model::poll`] serves the doorbells.
#[derive(Debug)]
pub struct Model {
    bmu: Bmu,
    w: World,
    /// Register writes under way, in order.
    posted: VecDeque<Posted>,
    cells: Arc<[Cell]>,
    /// Rings of each cell that were taken.
    taken: Vec<u64>,
    /// Where the counters start to count each cell's rings.
    counted_from: u64,
    start: Instant,
    /// How far the next idle step goes, in picoseconds.
    quantum: u64,
}

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
        let portals = config.portals;
        Ok(Model {
            bmu: Bmu::new(config.pools, portals),
            posted: VecDeque::new(),
            cells: (0..portals).map(|_| Cell::default()).collect(),
            taken: vec![0; usize::from(portals)],
            counted_from: 0,
            start: Instant::now(),
            quantum: QUANTUM.0,
            w: World::new(config.clone(), config.mode == Mode::Threaded),
        })
    }

    /// Returns the size of a memory BAR, or `None` where there is none.
    pub fn bar_size(bar: u8) -> Option<u64> {
        match bar {
            regs::CONTROL_BAR => Some(regs::CONTROL_BAR_SIZE),
            regs::OPERATION_BAR => Some(regs::OPERATION_BAR_SIZE),
            regs::MSIX_BAR => Some(regs::MSIX_BAR_SIZE),
            _ => None,
        }
    }

    /// Returns how many MSI-X vectors there are.
    pub fn vectors(&self) -> u16 {
        self.w.config.vectors
    }

    /// Reads `width` bytes, 1, 2 or 4, of configuration space.
    pub fn config_read(&mut self, offset: u16, width: u8) -> u32 {
        self.w.counters.config_reads += 1;
        self.w.counters.tlp_bytes_down += timing::HEADER;
        self.arrive(regs::CONTROL_BAR);
        let pending = self.bmu.has_reads();
        self.w.space.set_pending(pending);
        let value = match self.w.gone {
            true => u32::MAX >> (32 - 8 * u32::from(width.clamp(1, 4))),
            false => self.w.space.read(offset, width),
        };
        self.complete(4);
        value
    }

    /// Writes `width` bytes, 1, 2 or 4, of configuration space; a round trip, as configuration writes are not posted.
    ///
    /// Tells whether that was a function level reset, which among others forgets the MSI-X table.
    pub fn config_write(&mut self, offset: u16, width: u8, value: u32) -> bool {
        self.w.counters.config_writes += 1;
        self.w.counters.tlp_bytes_down += timing::data(4).bytes;
        self.arrive(regs::CONTROL_BAR);
        let effect = match self.w.gone {
            true => Effect::None,
            false => self.w.space.write(offset, width, value),
        };
        match effect {
            Effect::None => {}
            Effect::Messages => self.w.release_messages(),
            Effect::Flr => self.function_reset(),
        }
        self.complete(0);
        effect == Effect::Flr
    }

    fn function_reset(&mut self) {
        if (self.w.faults.hit(FaultKind::ResetDoesNothing, "RESET", 0)).is_some() {
            return;
        }
        self.w.space.reset();
        self.w.msix = crate::msix::Msix::new(self.w.config.vectors);
        self.bmu.function_reset(&mut self.w);
    }

    /// Resets the function as a kernel does: saves configuration space, initiates the reset, waits 100 ms, restores.
    pub fn reset(&mut self) {
        let saved: Vec<u32> = (0..6).map(|i| self.w.space.read(BAR0 + 4 * i, 4)).collect();
        let command = self.w.space.read(COMMAND, 2);
        let device_control = self.w.space.read(DEVICE_CONTROL, 2);
        let msix_control = self.w.space.read(MSIX_CONTROL, 2);
        let table = self.w.msix.clone();
        self.config_write(DEVICE_CONTROL, 2, device_control | 1 << 15);
        if !self.w.instant {
            self.run_until(self.w.now + FLR_TIME);
        }
        for (i, value) in saved.into_iter().enumerate() {
            self.w.space.write(BAR0 + 4 * i as u16, 4, value);
        }
        self.w.space.write(DEVICE_CONTROL, 2, device_control);
        self.w.msix.restore(&table);
        self.w.space.write(MSIX_CONTROL, 2, msix_control);
        self.w.space.write(COMMAND, 2, command);
    }

    /// Returns when the model was made.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Returns what the IOMMU can map.
    pub fn dma_limits(&self) -> DmaLimits {
        self.w.iommu.limits()
    }

    /// Gives the device memory.
    ///
    /// # Errors
    ///
    /// As an IOMMU refuses: overlap, reserved range, alignment, no entry left; and memory that can't be mapped.
    pub fn dma_map(&mut self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.w.iommu.map(iova, source, Reach::Mapped)
    }

    /// Lets the device reach memory as [`Model::dma_map`] does, whose owner may shorten its file at any time: each word
    /// takes a system call, one that is gone reads as all ones, and this process lives on.
    ///
    /// # Errors
    ///
    /// As for [`Model::dma_map`]. Files of hugetlbfs can be mapped only, for the kernel does not write them.
    pub fn dma_map_copied(&mut self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.w.iommu.map(iova, source, Reach::Copied)
    }

    /// Takes memory away. What is under way to it will be refused.
    ///
    /// # Errors
    ///
    /// [`DmaError::NotMapped`] unless the range is exactly one that was mapped.
    pub fn dma_unmap(&mut self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.w.iommu.unmap(iova, len)?;
        self.bmu.invalidate();
        Ok(())
    }

    /// Masks or unmasks a vector in the MSI-X table, and enables MSI-X in configuration space.
    pub fn set_vector_mask(&mut self, vector: u16, masked: bool) {
        self.w.msix.set_mask(vector, masked);
        let control = self.w.space.read(MSIX_CONTROL, 2);
        self.w.space.write(MSIX_CONTROL, 2, control | 1 << 15);
        self.w.release_messages();
    }

    /// Masks or unmasks a vector in the MSI-X table alone.
    pub fn mask_vector(&mut self, vector: u16, masked: bool) {
        self.w.msix.set_mask(vector, masked);
        self.w.release_messages();
    }

    /// Tells whether interrupts wait to be taken.
    pub(crate) fn has_interrupts(&self) -> bool {
        self.w.any_arrived
    }

    /// Takes the interrupts that arrived since the last call: how many of each vector; `None` if there were none.
    pub fn take_interrupts(&mut self) -> Option<Vec<u64>> {
        if !self.w.any_arrived {
            return None;
        }
        self.w.any_arrived = false;
        let none = vec![0; self.w.arrived.len()];
        Some(std::mem::replace(&mut self.w.arrived, none))
    }

    /// Returns what crossed the bus since the model was made or the counters were reset.
    pub fn counters(&self) -> Counters {
        let mut counters = self.w.counters.clone();
        let rings: u64 = self.rings() - self.counted_from;
        counters.doorbells += rings;
        if self.w.instant {
            counters.tlp_bytes_down += rings * timing::data(8).bytes;
        }
        counters
    }

    /// Starts all counters from 0.
    pub fn reset_counters(&mut self) {
        self.counted_from = self.rings();
        self.w.counters = Counters {
            interrupts: vec![0; usize::from(self.w.config.vectors)],
            ..Counters::default()
        };
    }

    /// Takes the violations recorded since the last call.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        self.w.violations.take()
    }

    /// Adds a fault; it counts occurrences from now on.
    ///
    /// # Errors
    ///
    /// A register that does not exist, or a fault that can't happen as written.
    pub fn inject(&mut self, fault: Fault) -> Result<(), crate::FaultError> {
        fault.check(0)?;
        self.w.faults.push(fault);
        Ok(())
    }
}
