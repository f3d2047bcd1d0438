//! Register accesses: what the link does to them, what the function claims, which rule they break.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::BusError;

use super::{Model, Posted, QUANTUM};
use crate::bmu::{Id, Slot, find};
use crate::config_space::COMMAND_MEMORY;
use crate::faults::FaultKind;
use crate::timing;
use crate::violation::ViolationKind;
use crate::world::Task;

/// Longest delay that a fault can ask for, an hour: the clock, in picoseconds, goes on from there without wrapping.
const LONGEST_DELAY_NS: u64 = 3_600_000_000_000;

impl Model {
    /// Reads `width` bytes, 4 or 8, of a BAR.
    ///
    /// # Errors
    ///
    /// Accesses that can't be one on the bus, and what faults ask for.
    pub fn bar_read(&mut self, bar: u8, offset: u64, width: u8) -> Result<u64, BusError> {
        self.check(bar, offset, width)?;
        self.w.counters.mmio_reads += 1;
        self.w.counters.tlp_bytes_down += timing::HEADER;
        self.arrive(bar);
        let answer = self.answer_read(bar, offset, width);
        self.complete(width);
        answer
    }

    /// Writes `width` bytes, 4 or 8, of a BAR. Posted: in stepped mode it arrives later.
    ///
    /// # Errors
    ///
    /// Accesses that can't be one on the bus.
    pub fn bar_write(
        &mut self,
        bar: u8,
        offset: u64,
        width: u8,
        value: u64,
    ) -> Result<(), BusError> {
        self.check(bar, offset, width)?;
        let doorbell = self.doorbell_at(bar, offset, width);
        if self.w.instant
            && let Some(q) = doorbell
        {
            self.cells[q].ring(value); // the cell counts
            self.poll_cell(q);
            return Ok(());
        }
        match doorbell {
            Some(_) => self.w.counters.doorbells += 1,
            None => self.w.counters.mmio_writes += 1,
        }
        let bytes = timing::data(width.into()).bytes;
        self.w.counters.tlp_bytes_down += bytes;
        if self.w.instant {
            self.catch_up(bar);
            self.perform_write(bar, offset, width, value);
        } else {
            self.post(bar, offset, width, value, bytes);
            if doorbell.is_some() && self.w.rng.one_in(self.w.config.preemption) {
                let round_trip = 2 * self.w.link.half_trip();
                self.run_until(self.w.now + 2 * round_trip);
            }
        }
        Ok(())
    }

    /// Finds the portal whose doorbell an access writes.
    fn doorbell_at(&self, bar: u8, offset: u64, width: u8) -> Option<usize> {
        let q = usize::from(regs::banks::PORTAL_PAGE.at(bar, offset)?);
        (width == 8 && q < self.cells.len()).then_some(q)
    }

    fn post(&mut self, bar: u8, offset: u64, width: u8, value: u64, bytes: u64) {
        let now = self.w.now;
        let arrives = self.w.link.down(now, bytes);
        // The host goes on as soon as the bytes have left.
        let left = arrives - self.w.link.half_trip();
        let before = self.posted.back().map_or(0, |posted| posted.at);
        let at = (arrives + self.w.jitter()).max(before);
        self.posted.push_back(Posted {
            at,
            bar,
            offset,
            width,
            value,
        });
        self.quantum = QUANTUM.0;
        self.run_until(left.max(now));
    }

    /// Lets a read travel to the device, behind every posted write.
    pub(super) fn arrive(&mut self, bar: u8) {
        self.quantum = QUANTUM.0;
        if self.w.instant {
            return self.catch_up(bar);
        }
        let jitter = self.w.jitter();
        let arrives = self.w.link.down(self.w.now, timing::HEADER) + jitter;
        let before = self.posted.back().map_or(0, |posted| posted.at);
        self.run_until(arrives.max(before));
    }

    /// Lets the completion travel to the host, behind everything that the device has sent.
    pub(super) fn complete(&mut self, width: u8) {
        let bytes = timing::HEADER + u64::from(width);
        self.w.counters.tlp_bytes_up += bytes;
        if !self.w.instant {
            let sent = self.w.upstream.back().map_or(0, |(at, _)| *at);
            let arrives = self.w.link.up(self.w.now, bytes);
            self.run_until(arrives.max(sent));
        }
    }

    fn check(&mut self, bar: u8, offset: u64, width: u8) -> Result<(), BusError> {
        let Some(len) = Model::bar_size(bar) else {
            return Err(BusError::NoBar { bar });
        };
        if !matches!(width, 4 | 8) {
            return Err(BusError::Misaligned { offset, width });
        }
        let place = || format!("BAR {bar} offset {offset:#x}");
        let end = offset.checked_add(width.into());
        if end.is_none_or(|end| end > len) {
            self.w.violation(ViolationKind::NoRegister, place(), 0);
            return Err(BusError::OutOfRange { offset, width, len });
        }
        if offset & (u64::from(width) - 1) != 0 {
            self.w.violation(ViolationKind::Misaligned, place(), 0);
            return Err(BusError::Misaligned { offset, width });
        }
        Ok(())
    }

    /// Tells whether the function claims an access.
    pub(super) fn claims(&mut self, bar: u8, offset: u64, value: u64) -> bool {
        if self.w.gone {
            return false;
        }
        let kind = if !self.bmu.alive {
            ViolationKind::InReset
        } else if self.w.space.command() & COMMAND_MEMORY == 0 {
            ViolationKind::MemorySpaceOff
        } else {
            return true;
        };
        let place = format!("BAR {bar} offset {offset:#x}");
        self.w.violation(kind, place, value);
        false
    }

    fn answer_read(&mut self, bar: u8, offset: u64, width: u8) -> Result<u64, BusError> {
        let ones = u64::MAX >> (64 - 8 * u32::from(width.min(8)));
        if !self.claims(bar, offset, 0) {
            return Ok(ones);
        }
        if bar == regs::MSIX_BAR {
            let word = self.w.msix.read(offset, width);
            return Ok(word.unwrap_or_else(|| self.nothing_there(bar, offset, 0)));
        }
        let Some(slot) = self.decode(bar, offset, width, 0) else {
            return Ok(0);
        };
        let (name, index) = (&*slot.row.name, slot.index);
        self.strike(slot);
        if self.w.gone {
            return Ok(ones);
        }
        if self
            .w
            .faults
            .hit(FaultKind::ReadFails, name, index)
            .is_some()
        {
            let cause = "the model was told to fail this read".into();
            return Err(BusError::Failed {
                offset,
                width,
                cause,
            });
        }
        if self
            .w
            .faults
            .hit(FaultKind::ReadAllOnes, name, index)
            .is_some()
        {
            return Ok(ones);
        }
        if let Some(value) = self.w.faults.hit(FaultKind::Stuck, name, index) {
            return Ok(value & ones);
        }
        if !slot.exists(&self.w) {
            if slot.id == Id::POOL_ALLOC {
                self.w.violation(ViolationKind::AbsentPart, slot.place(), 0);
            }
            return Ok(0);
        }
        let value = self.bmu.read(&mut self.w, slot);
        let is_count = matches!(
            slot.id,
            Id::POOL_AVAILABLE | Id::PORTAL_RELEASE_HEAD | Id::PORTAL_ACQUIRE_TAIL
        );
        if is_count && let Some(add) = self.w.faults.hit(FaultKind::WrongCount, name, index) {
            return Ok(value.wrapping_add(add) & ones);
        }
        Ok(value)
    }

    /// Faults that any register access can set off.
    pub(super) fn strike(&mut self, slot: Slot) {
        let (name, index) = (&*slot.row.name, slot.index);
        if self.w.faults.hit(FaultKind::Gone, name, index).is_some() {
            self.w.gone = true;
            self.bmu.vanish();
        }
        let spurious = self.w.faults.hit(FaultKind::SpuriousInterrupt, name, index);
        if let Some(vector) = spurious.filter(|v| *v < u64::from(self.w.config.vectors)) {
            self.w.send_message(vector as u16);
        }
    }

    fn nothing_there(&mut self, bar: u8, offset: u64, value: u64) -> u64 {
        let place = format!("BAR {bar} offset {offset:#x}");
        self.w.violation(ViolationKind::NoRegister, place, value);
        0
    }

    /// Finds the register of an access, or records why there is none.
    fn decode(&mut self, bar: u8, offset: u64, width: u8, value: u64) -> Option<Slot> {
        let Some(slot) = find(bar, offset) else {
            // The upper half of a 64-bit register is a wrong width, not a hole.
            let half = find(bar, offset & !7).filter(|slot| slot.row.width == 8 && offset % 8 == 4);
            match half {
                Some(slot) => {
                    self.w
                        .violation(ViolationKind::WrongWidth, slot.place(), value);
                }
                None => {
                    self.nothing_there(bar, offset, value);
                }
            }
            return None;
        };
        if slot.row.width != width {
            self.w
                .violation(ViolationKind::WrongWidth, slot.place(), value);
            return None;
        }
        Some(slot)
    }

    /// A write has arrived at the device.
    pub(super) fn perform_write(&mut self, bar: u8, offset: u64, width: u8, value: u64) {
        if !self.claims(bar, offset, value) {
            return;
        }
        if bar == regs::MSIX_BAR {
            if self.w.msix.write(offset, width, value).is_none() {
                self.nothing_there(bar, offset, value);
            }
            return self.w.release_messages();
        }
        let Some(slot) = self.decode(bar, offset, width, value) else {
            return;
        };
        self.strike(slot);
        if self.w.gone {
            return;
        }
        let refusal = if !slot.exists(&self.w) {
            Some(ViolationKind::AbsentPart)
        } else if !slot.row.access.is_writable() {
            Some(ViolationKind::ReadOnlyWrite)
        } else {
            None
        };
        if let Some(kind) = refusal {
            return self.w.violation(kind, slot.place(), value);
        }
        if value & !slot.row.bits != 0 {
            self.w
                .violation(ViolationKind::ReservedBits, slot.place(), value);
        }
        let value = value & slot.row.bits;
        match slot.id {
            Id::PORTAL_DOORBELL => self.take_doorbell(slot, value),
            _ => self.bmu.write(&mut self.w, slot, value),
        }
    }

    /// A doorbell has reached the device: faults may hold it back.
    pub(super) fn take_doorbell(&mut self, slot: Slot, value: u64) {
        let (name, portal) = (&*slot.row.name, slot.index);
        match self.w.faults.hit(FaultKind::DelayedDoorbell, name, portal) {
            None => self.bmu.write(&mut self.w, slot, value),
            Some(0) => {}
            Some(ns) => {
                let at = self.w.now.saturating_add(ns.min(LONGEST_DELAY_NS) * 1000);
                self.w.plan(at, Task::Doorbell { portal, value });
            }
        }
    }
}
