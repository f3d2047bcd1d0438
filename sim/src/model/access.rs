//! Register accesses: what the link does to them, what the function claims, which rule they break.

use hwpool_devices::bus::BusError;

use super::{Model, Posted, QUANTUM};
use crate::config_space::COMMAND_MEMORY;
use crate::faults::FaultKind;
use crate::shape::{Halves, Slot};
use crate::timing;
use crate::violation::ViolationKind;

impl Model {
    /// Reads `width` bytes, 4 or 8, of a BAR.
    ///
    /// # Errors
    ///
    /// Accesses that can't be one on the bus, and what faults ask for.
    pub fn bar_read(&mut self, bar: u8, offset: u64, width: u8) -> Result<u64, BusError> {
        self.check(bar, offset, width)?;
        self.world.counters.mmio_reads += 1;
        self.world.counters.tlp_bytes_down += timing::HEADER;
        self.arrive(Some(bar));
        let answer = self.answer_read(bar, offset, width);
        self.complete(width);
        answer
    }

    /// Reads the register at `offset` of a BAR from beside the bus: nothing is counted, no time goes by and no fault is spent.
    /// `None` where there is no register, or one whose read acts or means nothing.
    pub fn peek(&mut self, bar: u8, offset: u64) -> Option<u64> {
        let slot = self.decode.find(bar, offset)?;
        let row = self.decode.row(slot);
        let is_quiet = row.access.is_pure_read() && row.offset_of(slot.index) == offset;
        (is_quiet && self.exists(slot)).then(|| self.logic.read(&mut self.world, slot))
    }

    /// Reads 32 bits of configuration space, as [`Model::peek`].
    pub fn peek_config(&self, offset: u16) -> u32 {
        self.world.space.read(offset, 4)
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
        if self.world.instant
            && let Some(q) = doorbell
        {
            self.cells[q].ring(value); // the cell counts
            self.poll_cell(q);
            return Ok(());
        }
        match doorbell {
            Some(_) => self.world.counters.doorbells += 1,
            None => self.world.counters.mmio_writes += 1,
        }
        let bytes = timing::data(width.into()).bytes;
        self.world.counters.tlp_bytes_down += bytes;
        if self.world.instant {
            self.catch_up(Some(bar));
            self.perform_write(bar, offset, width, value);
        } else {
            self.post(bar, offset, width, value, bytes);
            if doorbell.is_some() && self.world.preempts() {
                let round_trip = 2 * self.world.link.half_trip();
                self.run_until(self.world.now + 2 * round_trip);
            }
        }
        Ok(())
    }

    /// Takes an access that is no register's, being of another width or misaligned: nothing happens. Returns what each
    /// byte of a read is: 0, or all ones where the function does not answer.
    pub fn odd_access(&mut self, bar: u8, offset: u64) -> u8 {
        if !self.claims(bar, offset, 0) {
            return u8::MAX;
        }
        let place = format!("BAR {bar} offset {offset:#x}");
        self.world.violation(ViolationKind::Misaligned, place, 0);
        0
    }

    /// Finds the hot doorbell that an access writes.
    fn doorbell_at(&self, bar: u8, offset: u64, width: u8) -> Option<usize> {
        let doorbell = self.shape.doorbells?.at(bar, offset)?;
        (width == 8).then_some(usize::from(doorbell))
    }

    fn post(&mut self, bar: u8, offset: u64, width: u8, value: u64, bytes: u64) {
        let now = self.world.now;
        let arrives = self.world.link.down(now, bytes);
        // The host goes on as soon as the bytes have left.
        let left = arrives - self.world.link.half_trip();
        let before = self.posted.back().map_or(0, |posted| posted.at);
        let at = (arrives + self.world.jitter()).max(before);
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
    pub(super) fn arrive(&mut self, bar: Option<u8>) {
        self.quantum = QUANTUM.0;
        if self.world.instant {
            return self.catch_up(bar);
        }
        let jitter = self.world.jitter();
        let arrives = self.world.link.down(self.world.now, timing::HEADER) + jitter;
        let before = self.posted.back().map_or(0, |posted| posted.at);
        self.run_until(arrives.max(before));
    }

    /// Lets the completion travel to the host, behind everything that the device has sent.
    pub(super) fn complete(&mut self, width: u8) {
        let bytes = timing::HEADER + u64::from(width);
        self.world.counters.tlp_bytes_up += bytes;
        if !self.world.instant {
            let sent = self.world.landed_at();
            let arrives = self.world.link.up(self.world.now, bytes);
            self.run_until(arrives.max(sent));
        }
    }

    fn check(&mut self, bar: u8, offset: u64, width: u8) -> Result<(), BusError> {
        let Some(len) = self.bar_size(bar) else {
            return Err(BusError::NoBar { bar });
        };
        if !matches!(width, 4 | 8) {
            return Err(BusError::Misaligned { offset, width });
        }
        let place = || format!("BAR {bar} offset {offset:#x}");
        let end = offset.checked_add(width.into());
        if end.is_none_or(|end| end > len) {
            self.world.violation(ViolationKind::NoRegister, place(), 0);
            return Err(BusError::OutOfRange { offset, width, len });
        }
        if offset & (u64::from(width) - 1) != 0 {
            self.world.violation(ViolationKind::Misaligned, place(), 0);
            return Err(BusError::Misaligned { offset, width });
        }
        Ok(())
    }

    /// Tells whether the function claims an access.
    pub(super) fn claims(&mut self, bar: u8, offset: u64, value: u64) -> bool {
        if self.world.gone {
            return false;
        }
        let kind = if self.alive_at.is_some() {
            ViolationKind::InReset
        } else if self.world.space.command() & COMMAND_MEMORY == 0 {
            ViolationKind::MemorySpaceOff
        } else {
            return true;
        };
        let place = format!("BAR {bar} offset {offset:#x}");
        self.world.violation(kind, place, value);
        false
    }

    fn answer_read(&mut self, bar: u8, offset: u64, width: u8) -> Result<u64, BusError> {
        let ones = u64::MAX >> (64 - 8 * u32::from(width.min(8)));
        if !self.claims(bar, offset, 0) {
            return Ok(ones);
        }
        if self.is_lost(bar, offset, width, 0) {
            return Ok(ones);
        }
        if bar == self.shape.msix_bar {
            let word = self.world.msix.read(offset, width);
            return Ok(word.unwrap_or_else(|| self.nothing_there(bar, offset, 0)));
        }
        let Some((slot, half)) = self.decode(bar, offset, width, 0) else {
            return Ok(0);
        };
        self.strike(slot);
        if self.world.gone {
            return Ok(ones);
        }
        let (faults, name) = (&mut self.world.faults, &*self.decode.row(slot).name);
        if faults.hit(FaultKind::ReadFails, name, slot.index).is_some() {
            let cause = "the model was told to fail this read".into();
            return Err(BusError::Failed {
                offset,
                width,
                cause,
            });
        }
        if (faults.hit(FaultKind::ReadAllOnes, name, slot.index)).is_some() {
            return Ok(ones);
        }
        if let Some(value) = faults.hit(FaultKind::Stuck, name, slot.index) {
            let high = half == Some(true);
            return Ok(if high { value >> 32 } else { value } & ones);
        }
        if !self.exists(slot) {
            self.break_rule(ViolationKind::AbsentPart, slot, 0);
            return Ok(0);
        }
        let value = match half {
            Some(high) => self.logic.read_half(&mut self.world, slot, high).into(),
            None => self.logic.read(&mut self.world, slot) & ones,
        };
        let (faults, name) = (&mut self.world.faults, &*self.decode.row(slot).name);
        let is_split =
            width == 8 && (faults.hit(FaultKind::LowHalfTwice, name, slot.index)).is_some();
        Ok(match is_split {
            true => u64::from(value as u32) * 0x1_0000_0001,
            false => value,
        })
    }

    /// Tells whether the part that a register belongs to exists in this device.
    fn exists(&self, slot: Slot) -> bool {
        self.shape.has(self.decode.row(slot), slot.index)
    }

    /// Records a violation at a register.
    fn break_rule(&mut self, kind: ViolationKind, slot: Slot, value: u64) {
        self.world.violation(kind, self.decode.place(slot), value);
    }

    /// Faults that any register access can set off.
    pub(super) fn strike(&mut self, slot: Slot) {
        let (faults, name) = (&mut self.world.faults, &*self.decode.row(slot).name);
        if faults.hit(FaultKind::Gone, name, slot.index).is_some() {
            self.world.gone = true;
            self.world.running = 0;
            self.logic.vanish();
        }
        let faults = &mut self.world.faults;
        let spurious = faults.hit(FaultKind::SpuriousInterrupt, name, slot.index);
        if let Some(vector) = spurious.filter(|v| *v < u64::from(self.world.vectors)) {
            self.world.send_message(vector as u16);
        }
    }

    fn nothing_there(&mut self, bar: u8, offset: u64, value: u64) -> u64 {
        let place = format!("BAR {bar} offset {offset:#x}");
        self.world
            .violation(ViolationKind::NoRegister, place, value);
        0
    }

    /// Tells whether an access is too wide for the bridge before the device.
    #[inline]
    fn is_lost(&mut self, bar: u8, offset: u64, width: u8, value: u64) -> bool {
        let is_lost = width == 8 && self.shape.halves == Halves::Only;
        if is_lost {
            self.too_wide(bar, offset, value);
        }
        is_lost
    }

    #[cold]
    fn too_wide(&mut self, bar: u8, offset: u64, value: u64) {
        let place = format!("BAR {bar} offset {offset:#x}");
        self.world
            .violation(ViolationKind::WrongWidth, place, value);
    }

    /// Finds the register of an access, and where it is one half of it whether that is the high one; or records why there
    /// is none.
    #[inline]
    fn decode(
        &mut self,
        bar: u8,
        offset: u64,
        width: u8,
        value: u64,
    ) -> Option<(Slot, Option<bool>)> {
        match self.decode.find(bar, offset) {
            Some(slot) if self.decode.row(slot).width == width => Some((slot, None)),
            slot => self.decode_half(slot, (bar, offset, width), value),
        }
    }

    /// As [`decode`](Self::decode), where no register of that width begins.
    #[cold]
    fn decode_half(
        &mut self,
        slot: Option<Slot>,
        (bar, offset, width): (u8, u64, u8),
        value: u64,
    ) -> Option<(Slot, Option<bool>)> {
        let Some(slot) = slot else {
            // The upper half of a 64-bit register is a wrong width, not a hole.
            let below = self.decode.find(bar, offset & !7);
            let half = below.filter(|s| self.decode.row(*s).width == 8 && offset % 8 == 4);
            match half {
                Some(slot) if width == 4 && self.shape.halves != Halves::Off => {
                    return Some((slot, Some(true)));
                }
                Some(slot) => self.break_rule(ViolationKind::WrongWidth, slot, value),
                None => {
                    self.nothing_there(bar, offset, value);
                }
            }
            return None;
        };
        if (self.decode.row(slot).width, width) == (8, 4) && self.shape.halves != Halves::Off {
            return Some((slot, Some(false)));
        }
        self.break_rule(ViolationKind::WrongWidth, slot, value);
        None
    }

    /// A write has arrived at the device.
    pub(super) fn perform_write(&mut self, bar: u8, offset: u64, width: u8, value: u64) {
        if !self.claims(bar, offset, value) {
            return;
        }
        if self.is_lost(bar, offset, width, value) {
            return;
        }
        if bar == self.shape.msix_bar {
            if self.world.msix.write(offset, width, value).is_none() {
                self.nothing_there(bar, offset, value);
            }
            return self.world.release_messages();
        }
        let Some((slot, half)) = self.decode(bar, offset, width, value) else {
            return;
        };
        self.strike(slot);
        if self.world.gone {
            return;
        }
        let (access, bits) = (self.decode.row(slot).access, self.decode.row(slot).bits);
        if !self.exists(slot) {
            return self.break_rule(ViolationKind::AbsentPart, slot, value);
        }
        if !access.is_writable() {
            return self.break_rule(ViolationKind::ReadOnlyWrite, slot, value);
        }
        let bits = if half == Some(true) { bits >> 32 } else { bits };
        if value & !bits != 0 {
            self.break_rule(ViolationKind::ReservedBits, slot, value);
        }
        let value = value & bits;
        match half {
            Some(high) => (self.logic).write_half(&mut self.world, slot, high, value as u32),
            None => self.logic.write(&mut self.world, slot, value),
        }
    }
}
