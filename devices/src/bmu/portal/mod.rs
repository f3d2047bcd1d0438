//! A portal: bulk enqueue and dequeue through rings in host memory, without a register read in steady state.
//!
//! Every call names the [`FreeList`] that the portal serves, whose ledger is the only judge of what the device may
//! hand out. A call either does all of what it was asked or changes nothing, or it poisons the pool.

mod entries;
mod life;

use std::sync::Arc;

use crate::bmu::claims::PortalId;
use crate::bmu::device::Bmu;
use crate::bmu::pool::Pool;
use crate::bmu::regs;
use crate::bmu::rings::{Layout, Rings, Status};
use crate::bus::{Bar, BusError, DmaBuffer, Transport};
use crate::family::{PathError, SetupError};

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
pub(super) struct Portal<T: Transport, D: DmaBuffer> {
    bmu: Arc<Bmu<T>>,
    id: PortalId,
    rings: Rings<D, DoorbellOf<T>>,
    credits: u32,
    batch: u32,
    /// Where a bulk call collects what it takes before the caller's output is touched.
    scratch: Vec<u32>,
    /// The addresses of entries that are looked at or stored together; those of the acquire ring unchecked.
    entries: Vec<u64>,
    enabled: bool,
}

impl<T: Transport, D: DmaBuffer> Portal<T, D> {
    /// Takes a free portal of the device, lays its rings out in `memory` and starts it for `pool`.
    ///
    /// `memory` has at least [`Layout::size`] bytes, is reachable by the device and starts at a multiple of 64.
    ///
    /// # Panics
    ///
    /// When `memory` is too small.
    pub(super) fn open(
        pool: &Pool<T>,
        memory: D,
        config: &PortalConfig,
    ) -> Result<Portal<T, D>, SetupError> {
        let bmu = pool.bmu();
        life::check(bmu, config, &memory)?;
        let id = bmu.claim_portal()?;
        let doorbell = bmu
            .operation()
            .doorbell(regs::PORTAL_DOORBELL.row().offset_of(id.0))
            .inspect_err(|_| bmu.release_portal(id, true))?;
        // From here on dropping the portal gives it back.
        let mut portal = Portal {
            bmu: bmu.clone(),
            id,
            rings: Rings::new(memory, doorbell, config.layout),
            credits: config.credits,
            batch: config.batch.max(1),
            scratch: Vec::with_capacity(config.credits as usize),
            entries: Vec::with_capacity(config.credits as usize),
            enabled: false,
        };
        portal.configure(pool.id(), config)?;
        Ok(portal)
    }

    /// Returns the portal's number.
    pub(super) fn id(&self) -> PortalId {
        self.id
    }

    /// Returns how often the doorbell was rung since the portal was opened.
    pub(super) fn doorbells(&self) -> u64 {
        self.rings.doorbells()
    }

    /// Returns the device's last status line, as it is.
    pub(super) fn status(&self) -> Status {
        self.rings.status()
    }

    /// Gives all of `objects` to the device, or refuses them all.
    ///
    /// Does not block while the release ring has room; else waits for the device, at most for its timeout.
    pub(super) fn enqueue(&mut self, pool: &mut Pool<T>, objects: &[u32]) -> Result<(), PathError> {
        pool.usable()?;
        pool.give_all(objects)?;
        // The device reports room for half of the ring at least, and not always for more (SPEC 6.5).
        for part in objects.chunks(self.rings.layout().release_entries() as usize / 2) {
            self.store(pool, part)?;
        }
        if self.rings.unannounced() >= self.batch {
            self.ring(pool)?;
        }
        self.rings.expect_room(objects.len());
        Ok(())
    }

    /// Fills `objects` with objects from the device, all of it (`true`) or, where there are not as many, nothing.
    ///
    /// Reads no register. Does not block while the acquire ring has enough; else lets the device catch up, at most
    /// for its timeout. On `false` and on an error `objects` is untouched. What others give at this moment, as by the
    /// register path, may be missed: `false` is what the device said last.
    pub(super) fn dequeue(
        &mut self,
        pool: &mut Pool<T>,
        objects: &mut [u32],
    ) -> Result<bool, PathError> {
        pool.usable()?;
        self.scratch.clear();
        while self.scratch.len() < objects.len() {
            let part = (objects.len() - self.scratch.len()).min(self.credits as usize) as u32;
            if !self.await_entries(pool, part)? {
                self.roll_back(pool)?;
                return Ok(false);
            }
        }
        objects.copy_from_slice(&self.scratch);
        self.rings.expect_entries(objects.len());
        if self.rings.untold() >= self.credits.div_ceil(2) {
            self.ring(pool)?;
        }
        Ok(true)
    }

    /// Announces what was given and taken and not announced yet.
    pub(super) fn flush(&mut self, pool: &mut Pool<T>) -> Result<(), PathError> {
        pool.usable()?;
        self.ring(pool)
    }

    /// Takes all objects that the device has, in the order in which it hands them out.
    pub(super) fn drain(&mut self, pool: &mut Pool<T>) -> Result<Vec<u32>, PathError> {
        let mut drained = Vec::with_capacity(pool.ledger().held() as usize);
        let mut part = vec![0; self.credits as usize];
        while !part.is_empty() {
            if self.dequeue(pool, &mut part)? {
                drained.extend_from_slice(&part);
            } else {
                part.truncate(part.len() / 2);
            }
        }
        Ok(drained)
    }

    /// Lets the event "buffers available" raise `vector` and returns its interrupt (SPEC 6.6).
    pub(super) fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = self.bmu.interrupt(vector)?;
        self.write(regs::PORTAL_VECTOR, vector.into())?;
        self.write(
            regs::PORTAL_EVENT_ENABLE,
            regs::portal_event_enable::EVENTS.mask() as u32,
        )?;
        Ok(irq)
    }

    /// Reads and clears the event "buffers available".
    pub(super) fn take_event(&self) -> Result<bool, BusError> {
        let events = self.bmu.read_at(regs::PORTAL_EVENT, self.id.0)?;
        self.write(regs::PORTAL_EVENT, events)?;
        Ok(regs::portal_event::AVAILABLE.of(events.into()) != 0)
    }

    /// Stops the portal and returns the objects that were in its acquire ring: they are the host's now.
    ///
    /// What was given is in the device's list afterwards. Blocks for at most the device's timeout.
    pub(super) fn close(mut self, pool: &mut Pool<T>) -> Result<Vec<u32>, PathError> {
        pool.usable()?;
        self.ring(pool)?;
        self.stop().map_err(|breach| pool.breach(breach))?;
        let status = self.plausible_status(pool)?;
        let left = status.acquire_tail.wrapping_sub(self.rings.acquire_head());
        if left > self.rings.layout().acquire_entries() {
            return Err(pool.breach(self.bad_tail(status)));
        }
        self.scratch.clear();
        self.take(pool, left)?;
        let found = self.scratch.len() as u32;
        if found < left {
            let entry = self.rings.acquire_head();
            return Err(pool.breach(entries::missing(entry, &status)));
        }
        Ok(std::mem::take(&mut self.scratch))
    }
}
