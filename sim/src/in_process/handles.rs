//! The handles of an [`InProcess`](super::InProcess): BARs, doorbells, interrupts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hwpool_devices::bus::{Bar, BusError, Doorbell, Irq};

use super::shared::Keeper;
use crate::model::Cell;

/// A BAR of a model.
#[derive(Clone)]
pub struct SimBar {
    pub(super) shared: Arc<Keeper>,
    pub(super) index: u8,
    pub(super) size: u64,
}

impl fmt::Debug for SimBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBar")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl SimBar {
    fn read(&self, offset: u64, width: u8) -> Result<u64, BusError> {
        self.shared
            .with(|model| model.bar_read(self.index, offset, width))
    }

    fn write(&self, offset: u64, width: u8, value: u64) -> Result<(), BusError> {
        self.shared
            .with(|model| model.bar_write(self.index, offset, width, value))
    }
}

impl Bar for SimBar {
    type Doorbell = SimDoorbell;

    fn size(&self) -> u64 {
        self.size
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.read(offset, 4).map(|value| value as u32)
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.read(offset, 8)
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.write(offset, 4, value.into())
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.write(offset, 8, value)
    }

    fn doorbell(&self, offset: u64) -> Result<SimDoorbell, BusError> {
        if offset.checked_add(8).is_none_or(|end| end > self.size) {
            return Err(BusError::OutOfRange {
                offset,
                width: 8,
                len: self.size,
            });
        }
        if !offset.is_multiple_of(8) {
            return Err(BusError::Misaligned { offset, width: 8 });
        }
        Ok(SimDoorbell {
            cells: Arc::clone(&self.shared.cells),
            cell: self.cell(offset),
            bar: self.clone(),
            offset,
        })
    }
}

impl SimBar {
    /// Finds the hot doorbell at `offset`, where the model's thread watches it.
    fn cell(&self, offset: u64) -> Option<usize> {
        let doorbell = self.shared.doorbells?.at(self.index, offset)?;
        self.shared.threaded.then_some(usize::from(doorbell))
    }
}

/// A hot register of a model.
pub struct SimDoorbell {
    cells: Arc<[Cell]>,
    /// The cell that the model's thread watches; `None` where each write is a call.
    cell: Option<usize>,
    bar: SimBar,
    offset: u64,
}

impl fmt::Debug for SimDoorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDoorbell")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Doorbell for SimDoorbell {
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        let Some(cell) = self.cell else {
            return self.bar.write64(self.offset, value);
        };
        self.cells[cell].ring(value);
        let shared = &self.bar.shared;
        if shared.asleep.0.load(Ordering::SeqCst)
            && let Some(server) = shared.server.get()
        {
            server.unpark();
        }
        Ok(())
    }
}

/// An interrupt vector of a model.
pub struct SimIrq {
    pub(super) shared: Arc<Keeper>,
    pub(super) vector: u16,
}

impl fmt::Debug for SimIrq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimIrq")
            .field("vector", &self.vector)
            .finish_non_exhaustive()
    }
}

impl Irq for SimIrq {
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        if self.shared.threaded {
            return Ok(self.shared.wait_for_interrupt(self.vector, timeout));
        }
        let deadline = self
            .shared
            .with(|model| model.now())
            .saturating_add(timeout);
        loop {
            let fired = self.shared.lines.take(self.vector);
            if fired > 0 || self.shared.with(|model| model.now()) >= deadline {
                return Ok(fired);
            }
            self.shared.with(|model| model.step_towards(deadline));
        }
    }
}
