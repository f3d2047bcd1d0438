//! A portal: bulk enqueue and dequeue through rings in host memory, without a register read in steady state.
//!
//! Every call names the [`FreeList`] that the portal serves, whose ledger is the only judge of what the device may
//! hand out. A call either does all of what it was asked or changes nothing, or it poisons the list.

use std::sync::Arc;

use crate::bmu::device::{Bmu, PortalId};
use crate::bmu::error::{ErrorBits, Fault, PathError, SetupError};
use crate::bmu::list::FreeList;
use crate::bmu::regs;
use crate::bmu::rings::{Layout, Rings, Status};
use crate::bus::{Bar, BusError, DmaBuffer, Transport};
use crate::reg::{Reg, access};
use crate::wait::Deadline;

type DoorbellOf<T> = <<T as Transport>::Bar as Bar>::Doorbell;

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
    /// when the portal runs short, on [`Portal::flush`] and when it is closed.
    pub batch: u32,
}

impl PortalConfig {
    /// Returns a configuration for a pool of `objects`: rings as large as the pool needs, at most `ring_log2.1`, full
    /// credits, and few status lines.
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
            batch: (entries / 8).clamp(1, 32),
        }
    }
}

/// A portal of the device, running, in use by this driver alone.
///
/// `D` is the memory of its rings. Dropping it disables the portal; an orderly end, which accounts for every object,
/// is [`Portal::close`].
pub struct Portal<T: Transport, D: DmaBuffer> {
    bmu: Arc<Bmu<T>>,
    id: PortalId,
    pool: u16,
    rings: Rings<D, DoorbellOf<T>>,
    credits: u32,
    batch: u32,
    /// Where a bulk call collects what it takes before the caller's output is touched.
    scratch: Vec<u32>,
    /// The entries of one look at the acquire ring: addresses, unchecked.
    entries: Vec<u64>,
    enabled: bool,
}

impl<T: Transport, D: DmaBuffer> Portal<T, D> {
    /// Takes a free portal of the device, lays its rings out in `memory` and starts it for `list`.
    ///
    /// `memory` has at least [`Layout::size`] bytes, is reachable by the device and starts at a multiple of 64.
    ///
    /// # Panics
    ///
    /// When `memory` is too small.
    pub fn open(
        list: &FreeList<T>,
        memory: D,
        config: &PortalConfig,
    ) -> Result<Portal<T, D>, SetupError> {
        let bmu = list.bmu();
        check(bmu, config, &memory)?;
        let id = bmu.claim_portal()?;
        let doorbell = bmu
            .operation()
            .doorbell(regs::PORTAL_DOORBELL.row().offset_of(id.0))
            .inspect_err(|_| bmu.release_portal(id, true))?;
        // From here on dropping the portal gives it back.
        let mut portal = Portal {
            bmu: bmu.clone(),
            id,
            pool: list.id().number(),
            rings: Rings::new(memory, doorbell, config.layout),
            credits: config.credits,
            batch: config.batch.max(1),
            scratch: Vec::with_capacity(config.credits as usize),
            entries: Vec::with_capacity(config.credits as usize),
            enabled: false,
        };
        portal.configure(config)?;
        Ok(portal)
    }

    /// Returns the portal's number.
    pub fn id(&self) -> PortalId {
        self.id
    }

    /// Returns how often the doorbell was rung since the portal was opened.
    pub fn doorbells(&self) -> u64 {
        self.rings.doorbells()
    }

    /// Returns the device's last status line, as it is.
    pub fn status(&self) -> Status {
        self.rings.status()
    }

    /// Gives all of `objects` to the device, or refuses them all.
    ///
    /// Does not block while the release ring has room; else waits for the device, at most for its timeout.
    pub fn enqueue(&mut self, list: &mut FreeList<T>, objects: &[u32]) -> Result<(), PathError> {
        self.serves(list);
        list.usable()?;
        list.give_all(objects)?;
        // The device reports room for half of the ring at least, and not always for more (SPEC 6.5).
        for part in objects.chunks(self.rings.layout().release_entries() as usize / 2) {
            self.store(list, part)?;
        }
        if self.rings.unannounced() >= self.batch {
            self.ring(list)?;
        }
        Ok(())
    }

    /// Fills `objects` with objects from the device, all of it (`true`) or, where there are not as many, nothing.
    ///
    /// Reads no register. Does not block while the acquire ring has enough; else lets the device catch up, at most
    /// for its timeout. On `false` and on an error `objects` is untouched. What others give at this moment, as by the
    /// register path, may be missed: `false` is what the device said last.
    pub fn dequeue(
        &mut self,
        list: &mut FreeList<T>,
        objects: &mut [u32],
    ) -> Result<bool, PathError> {
        self.serves(list);
        list.usable()?;
        self.scratch.clear();
        while self.scratch.len() < objects.len() {
            let part = (objects.len() - self.scratch.len()).min(self.credits as usize) as u32;
            if !self.await_entries(list, part)? {
                self.roll_back(list)?;
                return Ok(false);
            }
        }
        objects.copy_from_slice(&self.scratch);
        if self.rings.untold() >= self.credits.div_ceil(2) {
            self.ring(list)?;
        }
        Ok(true)
    }

    /// Announces what was given and taken and not announced yet.
    pub fn flush(&mut self, list: &mut FreeList<T>) -> Result<(), PathError> {
        list.usable()?;
        self.ring(list)
    }

    /// Takes all objects that the device has, in the order in which it hands them out.
    pub fn drain(&mut self, list: &mut FreeList<T>) -> Result<Vec<u32>, PathError> {
        let mut drained = Vec::with_capacity(list.ledger().held() as usize);
        let mut part = vec![0; self.credits as usize];
        while !part.is_empty() {
            if self.dequeue(list, &mut part)? {
                drained.extend_from_slice(&part);
            } else {
                part.truncate(part.len() / 2);
            }
        }
        Ok(drained)
    }

    /// Lets the event "buffers available" raise `vector` and returns its interrupt (SPEC 6.6).
    pub fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = self.bmu.interrupt(vector)?;
        self.write(regs::PORTAL_VECTOR, vector.into())?;
        self.write(
            regs::PORTAL_EVENT_ENABLE,
            regs::portal_event_enable::EVENTS.mask() as u32,
        )?;
        Ok(irq)
    }

    /// Reads and clears the event "buffers available".
    pub fn take_event(&self) -> Result<bool, BusError> {
        let events = self.bmu.read_at(regs::PORTAL_EVENT, self.id.0)?;
        self.write(regs::PORTAL_EVENT, events)?;
        Ok(regs::portal_event::AVAILABLE.of(events.into()) != 0)
    }

    /// Stops the portal and returns the objects that were in its acquire ring: they are the host's now.
    ///
    /// What was given is in the device's list afterwards. Blocks for at most the device's timeout.
    pub fn close(mut self, list: &mut FreeList<T>) -> Result<Vec<u32>, PathError> {
        self.serves(list);
        list.usable()?;
        self.ring(list)?;
        self.stop().map_err(|fault| list.fault(fault))?;
        let status = self.plausible_status(list)?;
        let left = status.acquire_tail.wrapping_sub(self.rings.acquire_head());
        if left > self.rings.layout().acquire_entries() {
            return Err(list.fault(self.bad_tail(status)));
        }
        self.scratch.clear();
        self.take(list, left)?;
        let found = self.scratch.len() as u32;
        if found < left {
            let entry = self.rings.acquire_head();
            return Err(list.fault(missing(entry, &status)));
        }
        Ok(std::mem::take(&mut self.scratch))
    }

    /// Stores `objects`, at most half a ring, as soon as there is room.
    fn store(&mut self, list: &mut FreeList<T>, objects: &[u32]) -> Result<(), PathError> {
        if (self.rings.room() as usize) < objects.len() {
            self.await_room(list, objects.len() as u32)?;
        }
        for &index in objects {
            self.rings.store(list.geometry().address(index));
        }
        Ok(())
    }

    #[cold]
    fn await_room(&mut self, list: &mut FreeList<T>, wanted: u32) -> Result<(), PathError> {
        let mut deadline = self.deadline("room in the release ring");
        loop {
            let status = self.plausible_status(list)?;
            self.rings.set_release_head(status.release_head);
            if self.rings.room() >= wanted {
                return Ok(());
            }
            self.ring(list)?;
            self.relax(list, &mut deadline)?;
        }
    }

    /// Takes `n` entries (at most the credits) into the scratch; `false` where the device has run out of them.
    #[inline]
    fn await_entries(&mut self, list: &mut FreeList<T>, n: u32) -> Result<bool, PathError> {
        if self.rings.peek(n - 1).is_some() {
            let before = self.scratch.len();
            self.take(list, n)?;
            if self.scratch.len() - before == n as usize {
                return Ok(true);
            }
            self.untake(list, before);
        }
        self.await_entries_slowly(list, n)
    }

    #[cold]
    fn await_entries_slowly(&mut self, list: &mut FreeList<T>, n: u32) -> Result<bool, PathError> {
        self.ring(list)?;
        let mut deadline = self.deadline("entries in the acquire ring");
        loop {
            let before = self.scratch.len();
            // The status first, the entries after it: what it counts is visible then (SPEC 7).
            let status = self.plausible_status(list)?;
            self.take(list, n)?;
            if self.scratch.len() - before == n as usize {
                return Ok(true);
            }
            let entry = self.rings.acquire_head();
            self.untake(list, before);
            if (status.acquire_tail.wrapping_sub(entry) as i32) > 0 {
                return Err(list.fault(missing(entry, &status)));
            }
            if self.ran_out(&status, n) {
                return Ok(false);
            }
            self.relax(list, &mut deadline)?;
        }
    }

    /// Tells whether the device, knowing all that the host gave and took, has fewer than `n` entries (SPEC 6.5).
    fn ran_out(&self, status: &Status, n: u32) -> bool {
        let knows_all = status.acquire_head == self.rings.acquire_head()
            && status.release_head == self.rings.release_tail();
        let written = status.acquire_tail.wrapping_sub(self.rings.acquire_head());
        status.empty && knows_all && written < n
    }

    /// Takes up to `n` ready entries off the ring into the scratch, each through the ledger.
    ///
    /// All entries are loaded before the first is looked at: the device wrote them last, so each cache line has to
    /// come from elsewhere, and loads that wait for nothing wait together.
    #[inline]
    fn take(&mut self, list: &mut FreeList<T>, n: u32) -> Result<(), PathError> {
        let rings = &self.rings;
        self.entries.clear();
        self.entries
            .extend((0..n).map_while(|ahead| rings.peek(ahead)));
        let before = self.scratch.len();
        for &address in &self.entries {
            match list.ledger_mut().take(address) {
                Ok(index) => self.scratch.push(index),
                Err(lie) => {
                    list.ledger_mut().put_back(&self.scratch[before..]);
                    self.scratch.truncate(before);
                    return Err(list.fault(lie));
                }
            }
        }
        self.rings.advance(self.entries.len() as u32);
        Ok(())
    }

    /// Puts the entries that were taken into the scratch from `from` on back onto the ring.
    fn untake(&mut self, list: &mut FreeList<T>, from: usize) {
        let n = (self.scratch.len() - from) as u32;
        list.ledger_mut().put_back(&self.scratch[from..]);
        self.scratch.truncate(from);
        self.rings.advance(n.wrapping_neg());
    }

    /// Gives what a call took before it ran short back to the device.
    fn roll_back(&mut self, list: &mut FreeList<T>) -> Result<(), PathError> {
        if self.scratch.is_empty() {
            return Ok(());
        }
        let taken = std::mem::take(&mut self.scratch);
        let result = self.enqueue(list, &taken);
        self.scratch = taken;
        result
    }

    /// Reads the status line and checks each count against what the host did.
    fn plausible_status(&self, list: &mut FreeList<T>) -> Result<Status, PathError> {
        let status = self.rings.status();
        if status.halted {
            let fault = self.halted();
            return Err(list.fault(fault));
        }
        let (low, high) = self.rings.possible_release_heads();
        if status.release_head.wrapping_sub(low) > high.wrapping_sub(low) {
            let found = status.release_head.into();
            let fault = Fault::BadCount {
                what: "release_head",
                found,
                low: low.into(),
                high: high.into(),
            };
            return Err(list.fault(fault));
        }
        // The device writes at most its credits ahead of the head that it was told last, and may not have said so
        // yet when the host has taken more: then the tail lies behind the head.
        let ahead = status.acquire_tail.wrapping_sub(self.rings.acquire_head()) as i32;
        let entries = self.rings.layout().acquire_entries() as i32;
        if ahead > entries || ahead < -2 * entries {
            return Err(list.fault(self.bad_tail(status)));
        }
        if status.available > list.geometry().objects().into() {
            let (found, high) = (status.available, list.geometry().objects().into());
            return Err(list.fault(Fault::BadCount {
                what: "available",
                found,
                low: 0,
                high,
            }));
        }
        Ok(status)
    }

    fn bad_tail(&self, status: Status) -> Fault {
        let head = self.rings.acquire_head();
        let high = head.wrapping_add(self.rings.layout().acquire_entries());
        Fault::BadCount {
            what: "acquire_tail",
            found: status.acquire_tail.into(),
            low: head.into(),
            high: high.into(),
        }
    }

    #[cold]
    fn halted(&self) -> Fault {
        let errors = self.bmu.read_at(regs::PORTAL_ERROR, self.id.0);
        let value = self.bmu.read_at(regs::PORTAL_ERROR_ADDRESS, self.id.0);
        match (errors, value) {
            (Ok(errors), Ok(value)) => Fault::Halted {
                portal: self.id,
                errors: ErrorBits(errors),
                value,
            },
            (Err(error), _) | (_, Err(error)) => error.into(),
        }
    }

    #[inline]
    fn ring(&mut self, list: &mut FreeList<T>) -> Result<(), PathError> {
        self.rings.ring().map_err(|error| list.fault(error.into()))
    }

    fn deadline(&self, what: &'static str) -> Deadline {
        Deadline::new(
            &**self.bmu.transport(),
            what,
            self.bmu.capabilities().timeout,
        )
    }

    /// Lets a moment pass. When the deadline is over, asks the device why: a portal that could not write its status
    /// line says so in its registers only, and a device that is gone says nothing.
    fn relax(&self, list: &mut FreeList<T>, deadline: &mut Deadline) -> Result<(), PathError> {
        let Err(late) = deadline.relax(&**self.bmu.transport()) else {
            return Ok(());
        };
        let fault = match self.state() {
            Err(error) => error.into(),
            Ok(HALTED) => self.halted(),
            Ok(_) => late.into(),
        };
        Err(list.fault(fault))
    }

    /// Disables the portal and waits until the device has stopped serving it.
    fn stop(&mut self) -> Result<(), Fault> {
        let state = self.state()?;
        if state == HALTED {
            return Err(self.halted());
        }
        self.write(regs::PORTAL_CONTROL, 0)?;
        self.bmu
            .wait("stop of the portal", || match self.state()? {
                DISABLED => Ok(Some(())),
                HALTED => Err(self.halted()),
                _ => Ok(None),
            })?;
        self.enabled = false;
        Ok(())
    }

    /// Disables the portal whatever state it is in: one that halts while it stops is disabled by another write.
    fn disable(&self) -> Result<(), Fault> {
        self.write(regs::PORTAL_CONTROL, 0)?;
        self.bmu.wait("stop of the portal", || match self.state()? {
            DISABLED => Ok(Some(())),
            HALTED => Ok(self.write(regs::PORTAL_CONTROL, 0).map(|()| None)?),
            _ => Ok(None),
        })
    }

    fn state(&self) -> Result<u64, BusError> {
        let status = self.bmu.read_at(regs::PORTAL_STATUS, self.id.0)?;
        Ok(regs::portal_status::STATE.of(status.into()))
    }

    fn configure(&mut self, config: &PortalConfig) -> Result<(), SetupError> {
        let base = self.rings.memory().iova().0;
        let layout = config.layout;
        let (release, acquire) = layout.log2();
        let sizes = regs::portal_sizes::RELEASE_LOG2.set(0, release.into())
            | regs::portal_sizes::ACQUIRE_LOG2.set(0, acquire.into());
        self.write(regs::PORTAL_POOL, self.pool.into())?;
        self.write(regs::PORTAL_SIZES, sizes as u32)?;
        self.write64(regs::PORTAL_RELEASE_BASE, base)?;
        self.write64(
            regs::PORTAL_ACQUIRE_BASE,
            base + layout.acquire_offset() as u64,
        )?;
        self.write64(
            regs::PORTAL_STATUS_BASE,
            base + layout.status_offset() as u64,
        )?;
        self.write(regs::PORTAL_CREDITS, config.credits)?;
        self.write(regs::PORTAL_HYSTERESIS, config.hysteresis)?;
        self.write(
            regs::PORTAL_CONTROL,
            regs::portal_control::ENABLE.mask() as u32,
        )?;
        self.enabled = true;
        let control = self.bmu.read_at(regs::PORTAL_CONTROL, self.id.0)?;
        if regs::portal_control::ENABLE.of(control.into()) != 0 {
            return Ok(());
        }
        // It stays `enabled` for the drop: a device that runs it nevertheless must not do so in memory of others.
        let errors = ErrorBits(self.bmu.read_at(regs::PORTAL_ERROR, self.id.0)?);
        let value = self.bmu.read_at(regs::PORTAL_ERROR_ADDRESS, self.id.0)?;
        self.write(regs::PORTAL_ERROR, errors.0)?;
        Err(SetupError::Refused {
            of: self.id.to_string(),
            errors,
            value,
        })
    }

    fn write<A: access::Write>(&self, reg: Reg<A, u32>, value: u32) -> Result<(), BusError> {
        reg.write_at(self.bmu.control(), self.id.0, value)
    }

    fn write64(&self, reg: Reg<access::Rw, u64>, value: u64) -> Result<(), BusError> {
        reg.write_at(self.bmu.control(), self.id.0, value)
    }

    /// # Panics
    ///
    /// When the portal serves another pool: its objects would go to the wrong list.
    #[inline]
    fn serves(&self, list: &FreeList<T>) {
        let same_device = Arc::ptr_eq(&self.bmu, list.bmu());
        assert!(
            same_device && list.id().number() == self.pool,
            "{} serves another pool",
            self.id
        );
    }
}

/// The device counts `entry` and it is not there, although what a status line counts is visible before it (SPEC 7).
#[cold]
fn missing(entry: u32, status: &Status) -> Fault {
    Fault::MissingEntry {
        entry,
        tail: status.acquire_tail,
    }
}

const DISABLED: u64 = 0;
const HALTED: u64 = 3;

impl<T: Transport, D: DmaBuffer> Drop for Portal<T, D> {
    /// Disables the portal, waits for it, and gives its number back; the rings' memory goes after that.
    ///
    /// A portal that does not stop is never used again before a reset. Its memory may be unmapped all the same: the
    /// IOMMU then keeps the device from it.
    fn drop(&mut self) {
        let stopped = !self.enabled || self.disable().is_ok();
        self.bmu.release_portal(self.id, stopped);
    }
}

/// Checks a configuration against the device and SPEC 6.2 before anything is written.
fn check<T: Transport>(
    bmu: &Bmu<T>,
    config: &PortalConfig,
    memory: &impl DmaBuffer,
) -> Result<(), SetupError> {
    let within = |what, value: u64, low: u64, high: u64| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(SetupError::Invalid {
            what,
            value,
            allowed: format!("{low} to {high}"),
        })
    };
    let (min, max) = bmu.capabilities().ring_log2;
    let (release, acquire) = config.layout.log2();
    within(
        "log2 of the release ring",
        release.into(),
        min.into(),
        max.into(),
    )?;
    within(
        "log2 of the acquire ring",
        acquire.into(),
        min.into(),
        max.into(),
    )?;
    let acquire_entries = config.layout.acquire_entries();
    let smaller = acquire_entries.min(config.layout.release_entries());
    within("credits", config.credits.into(), 1, acquire_entries.into())?;
    within(
        "status hysteresis",
        config.hysteresis.into(),
        1,
        (smaller / 2).into(),
    )?;
    let base = memory.iova().0;
    if base == 0 || !base.is_multiple_of(regs::RING_ALIGN) {
        let allowed = "a multiple of 64, not 0".to_string();
        return Err(SetupError::Invalid {
            what: "address of the rings",
            value: base,
            allowed,
        });
    }
    Ok(())
}
