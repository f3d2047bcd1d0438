//! What a list does with a portal.

use super::state::{Portal, PortalConfig};
use super::{entries, life};
use crate::bmu::claims::PortalId;
use crate::bmu::pool::Pool;
use crate::bmu::regs;
use crate::bmu::rings::{Rings, Status};
use crate::bus::{Bar, BusError, DmaBuffer, Transport};
use crate::family::{PathError, SetupError};

impl<T: Transport, D: DmaBuffer> Portal<T, D> {
    /// Takes a free portal of the device, lays its rings out in `memory` and starts it for `pool`.
    ///
    /// `memory` has at least [`Layout::size`](crate::bmu::Layout::size) bytes, is reachable by the device and starts at a multiple of 64.
    ///
    /// # Panics
    ///
    /// When `memory` is too small.
    pub(in crate::bmu) fn open(
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
            hysteresis: config.hysteresis,
            batch: config.batch.max(1),
            scratch: Vec::with_capacity(config.credits as usize),
            entries: Vec::with_capacity(config.credits as usize),
            enabled: false,
            silent: false,
        };
        portal.configure(pool.id(), config)?;
        Ok(portal)
    }

    /// Returns the portal's number.
    pub(in crate::bmu) fn id(&self) -> PortalId {
        self.id
    }

    /// Returns how often the doorbell was rung since the portal was opened.
    pub(in crate::bmu) fn doorbells(&self) -> u64 {
        self.rings.doorbells()
    }

    /// Returns the device's last status line, as it is.
    pub(in crate::bmu) fn status(&self) -> Status {
        self.rings.status()
    }

    /// Gives all of `objects` to the device, or refuses them all.
    ///
    /// Does not block while the release ring has room; else waits for the device, at most for its timeout.
    pub(in crate::bmu) fn enqueue(
        &mut self,
        pool: &mut Pool<T>,
        objects: &[u32],
    ) -> Result<(), PathError> {
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
    pub(in crate::bmu) fn dequeue(
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
    pub(in crate::bmu) fn flush(&mut self, pool: &mut Pool<T>) -> Result<(), PathError> {
        pool.usable()?;
        self.ring(pool)
    }

    /// Takes all objects that the device has, in the order in which it hands them out.
    pub(in crate::bmu) fn drain(&mut self, pool: &mut Pool<T>) -> Result<Vec<u32>, PathError> {
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
    pub(in crate::bmu) fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = self.bmu.interrupt(vector)?;
        self.write(regs::PORTAL_VECTOR, vector.into())?;
        self.write(
            regs::PORTAL_EVENT_ENABLE,
            regs::portal_event_enable::EVENTS.mask() as u32,
        )?;
        Ok(irq)
    }

    /// Reads and clears the event "buffers available".
    pub(in crate::bmu) fn take_event(&self) -> Result<bool, BusError> {
        let events = self.bmu.read_at(regs::PORTAL_EVENT, self.id.0)?;
        self.write(regs::PORTAL_EVENT, events)?;
        Ok(regs::portal_event::AVAILABLE.of(events.into()) != 0)
    }

    /// Stops the portal and returns the objects that were in its acquire ring: they are the host's now.
    ///
    /// What was given is in the device's list afterwards. Blocks for at most the device's timeout.
    pub(in crate::bmu) fn close(mut self, pool: &mut Pool<T>) -> Result<Vec<u32>, PathError> {
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
