//! The model of a whole PCI function, apart from any transport: a server of another protocol can put it behind a
//! socket, as [`InProcess`](crate::InProcess) puts it behind calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova};

use crate::bmu::{Bmu, FLR_TIME, Slot, find};
use crate::config::{Mode, SimConfig};
use crate::config_space::{BAR0, COMMAND, COMMAND_MEMORY, DEVICE_CONTROL, Effect, MSIX_CONTROL};
use crate::counters::Counters;
use crate::faults::{Fault, FaultKind};
use crate::timing;
use crate::violation::{Violation, ViolationKind};
use crate::world::{Task, World};

/// The page of one portal's doorbell as shared memory: written without a lock, looked at by the model.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cell {
    pub(crate) value: AtomicU64,
    /// Writes so far.
    pub(crate) rings: AtomicU64,
}

impl Cell {
    /// Writes the doorbell.
    #[inline]
    pub(crate) fn ring(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        // SeqCst: publishes the value, and orders it before the look at whether the model sleeps.
        self.rings.fetch_add(1, Ordering::SeqCst);
    }
}

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

    /// Reads `width` bytes, 4 or 8, of a BAR.
    ///
    /// # Errors
    ///
    /// Accesses that can't be one on the bus, and what faults ask for.
    pub fn bar_read(&mut self, bar: u8, offset: u64, width: u8) -> Result<u64, BusError> {
        self.check(bar, offset, width)?;
        self.w.counters.mmio_reads += 1;
        self.w.counters.tlp_bytes_down += timing::HEADER;
        self.arrive();
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
        let is_doorbell = is_doorbell(bar, offset);
        match is_doorbell && !self.w.instant {
            true => self.w.counters.doorbells += 1,
            false if is_doorbell => {} // the cell counts
            false => self.w.counters.mmio_writes += 1,
        }
        let bytes = timing::data(width.into()).bytes;
        if !(is_doorbell && self.w.instant) {
            self.w.counters.tlp_bytes_down += bytes;
        }
        if self.w.instant {
            self.poll();
            self.perform_write(bar, offset, width, value);
            self.poll();
        } else {
            self.post(bar, offset, width, value, bytes);
            if is_doorbell && self.w.rng.one_in(self.w.config.preemption) {
                let pause = 2 * self.w.link.half_trip() * 2;
                self.run_until(self.w.now + pause);
            }
        }
        Ok(())
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
    fn arrive(&mut self) {
        self.quantum = QUANTUM.0;
        if self.w.instant {
            self.tick();
            self.poll();
            return;
        }
        let jitter = self.w.jitter();
        let arrives = self.w.link.down(self.w.now, timing::HEADER) + jitter;
        let before = self.posted.back().map_or(0, |posted| posted.at);
        self.run_until(arrives.max(before));
    }

    /// Lets the completion travel to the host, behind everything that the device has sent.
    fn complete(&mut self, width: u8) {
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
        let place = || format!("BAR {bar} offset {offset:#x}");
        let end = offset.checked_add(width.into());
        if end.is_none_or(|end| end > len) {
            self.w.violation(ViolationKind::NoRegister, place(), 0);
            return Err(BusError::OutOfRange { offset, width, len });
        }
        if !offset.is_multiple_of(width.max(1).into()) {
            self.w.violation(ViolationKind::Misaligned, place(), 0);
            return Err(BusError::Misaligned { offset, width });
        }
        Ok(())
    }

    /// Tells whether the function claims an access.
    fn claims(&mut self, bar: u8, offset: u64, value: u64) -> bool {
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
        let (name, index) = (slot.row.name, slot.index);
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
            if slot.row.access.mnemonic() == "RE" {
                self.w.violation(ViolationKind::AbsentPart, slot.place(), 0);
            }
            return Ok(0);
        }
        let value = self.bmu.read(&mut self.w, slot);
        let is_count = matches!(
            name,
            "POOL_AVAILABLE" | "PORTAL_RELEASE_HEAD" | "PORTAL_ACQUIRE_TAIL"
        );
        if is_count && let Some(add) = self.w.faults.hit(FaultKind::WrongCount, name, index) {
            return Ok(value.wrapping_add(add) & ones);
        }
        Ok(value)
    }

    /// Faults that any register access can set off.
    fn strike(&mut self, slot: Slot) {
        let (name, index) = (slot.row.name, slot.index);
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
    fn perform_write(&mut self, bar: u8, offset: u64, width: u8, value: u64) {
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
        if slot.row.name != "PORTAL_DOORBELL" {
            self.bmu.write(&mut self.w, slot, value);
        } else if self.w.instant {
            self.cells[usize::from(slot.index)].ring(value);
        } else {
            self.take_doorbell(slot, value);
        }
    }

    /// A doorbell has reached the device: faults may hold it back.
    fn take_doorbell(&mut self, slot: Slot, value: u64) {
        let (name, portal) = (slot.row.name, slot.index);
        match self.w.faults.hit(FaultKind::DelayedDoorbell, name, portal) {
            None => self.bmu.write(&mut self.w, slot, value),
            Some(0) => {}
            Some(ns) => {
                let at = self.w.now.saturating_add(ns.saturating_mul(1000));
                self.w.plan(at, Task::Doorbell { portal, value });
            }
        }
    }

    /// Reads `width` bytes, 1, 2 or 4, of configuration space.
    pub fn config_read(&mut self, offset: u16, width: u8) -> u32 {
        self.w.counters.config_reads += 1;
        self.arrive();
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
    pub fn config_write(&mut self, offset: u16, width: u8, value: u32) {
        self.w.counters.config_writes += 1;
        self.arrive();
        if !self.w.gone {
            match self.w.space.write(offset, width, value) {
                Effect::None => {}
                Effect::Messages => self.w.release_messages(),
                Effect::Flr => self.function_reset(),
            }
        }
        self.complete(0);
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
        self.w.iommu.map(iova, source)
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
    pub(crate) fn set_vector_mask(&mut self, vector: u16, masked: bool) {
        self.w.msix.set_mask(vector, masked);
        let control = self.w.space.read(MSIX_CONTROL, 2);
        self.w.space.write(MSIX_CONTROL, 2, control | 1 << 15);
        self.w.release_messages();
    }

    /// Returns the model's time: virtual when stepped, else real.
    pub fn now(&self) -> Duration {
        match self.w.instant {
            true => self.start.elapsed(),
            false => Duration::from_nanos(self.w.now / 1000),
        }
    }

    /// Advances virtual time to the next thing that happens, or by a small step that grows while nothing does.
    pub fn relax(&mut self) {
        if self.w.instant {
            self.poll();
            return;
        }
        let step = self.w.now + self.quantum;
        match self.next_at() {
            Some(at) => {
                self.quantum = QUANTUM.0;
                self.run_until(at.max(self.w.now));
            }
            None => {
                self.quantum = (self.quantum * 2).min(QUANTUM.1);
                self.run_until(step);
            }
        }
    }

    /// Advances virtual time to the next thing that happens, but not beyond `deadline`.
    pub(crate) fn step_towards(&mut self, deadline: Duration) {
        let deadline = u64::try_from(deadline.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
        let at = self.next_at().unwrap_or(u64::MAX).min(deadline);
        self.run_until(at.max(self.w.now));
    }

    fn next_at(&self) -> Option<u64> {
        let posted = self.posted.front().map(|p| p.at);
        let sent = self.w.upstream.front().map(|(at, _)| *at);
        let task = self.w.agenda.peek().map(|entry| entry.0.0);
        [posted, sent, task].into_iter().flatten().min()
    }

    /// Lets everything happen that falls due up to `until`, in order of time.
    fn run_until(&mut self, until: u64) {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.w.now = self.w.now.max(at);
            if self.posted.front().is_some_and(|p| p.at == at) {
                if let Some(p) = self.posted.pop_front() {
                    self.perform_write(p.bar, p.offset, p.width, p.value);
                }
            } else if self.w.upstream.front().is_some_and(|(t, _)| *t == at) {
                if let Some((_, item)) = self.w.upstream.pop_front() {
                    self.bmu.deliver(&mut self.w, item);
                }
            } else if let Some(entry) = self.w.agenda.pop() {
                self.run_task(entry.0.2);
            }
        }
        self.w.now = self.w.now.max(until);
    }

    fn run_task(&mut self, task: Task) {
        if !self.w.gone {
            self.bmu.run(&mut self.w, task);
        }
    }

    /// Takes real time over into the model's clock.
    fn tick(&mut self) {
        self.w.now = u64::try_from(self.start.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
    }

    /// Serves the doorbells that were written since the last call, in threaded mode; tells whether there were any.
    pub fn poll(&mut self) -> bool {
        if !self.w.instant {
            return false;
        }
        let mut busy = false;
        for q in 0..self.cells.len() {
            busy |= self.poll_cell(q);
        }
        if !self.w.agenda.is_empty() {
            self.tick();
            while self.w.agenda.peek().is_some_and(|e| e.0.0 <= self.w.now) {
                if let Some(entry) = self.w.agenda.pop() {
                    self.run_task(entry.0.2);
                }
            }
        }
        busy
    }

    /// Serves the doorbells of running portals only, which is what most polls need.
    pub(crate) fn poll_running(&mut self) -> bool {
        let mut busy = false;
        let mut left = self.bmu.running;
        while left != 0 {
            busy |= self.poll_cell(left.trailing_zeros() as usize);
            left &= left - 1;
        }
        busy
    }

    fn poll_cell(&mut self, q: usize) -> bool {
        let rings = self.cells[q].rings.load(Ordering::Acquire);
        if rings == self.taken[q] {
            return false;
        }
        self.taken[q] = rings;
        let value = self.cells[q].value.load(Ordering::Acquire);
        let offset = regs::PORTAL_PAGES + q as u64 * regs::PAGE;
        if let Some(slot) = find(regs::OPERATION_BAR, offset).filter(|_| !self.w.gone)
            && self.claims(regs::OPERATION_BAR, offset, value)
        {
            self.take_doorbell(slot, value);
        }
        true
    }

    pub(crate) fn cells(&self) -> Arc<[Cell]> {
        Arc::clone(&self.cells)
    }

    /// Returns the portals that run, a bit each.
    pub(crate) fn running(&self) -> u64 {
        self.bmu.running
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

    fn rings(&self) -> u64 {
        (self
            .cells
            .iter()
            .map(|cell| cell.rings.load(Ordering::Relaxed)))
        .sum()
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

/// Tells whether an offset is that of a portal's doorbell.
fn is_doorbell(bar: u8, offset: u64) -> bool {
    bar == regs::OPERATION_BAR && offset >= regs::PORTAL_PAGES && offset.is_multiple_of(regs::PAGE)
}
