//! A free list of the device: one pool, and the portals that serve it.

use std::fmt;
use std::sync::Arc;

use crate::bmu::claims::{PoolId, PortalId};
use crate::bmu::device::Bmu;
use crate::bmu::errors::ErrorBits;
use crate::bmu::pool::Pool;
use crate::bmu::portal::{Portal, PortalConfig};
use crate::bmu::rings::Status;
use crate::bus::{BusError, DmaBuffer, Transport};
use crate::family::{Breach, FreeList, Geometry, Ledger, ListConfig, PathError, SetupError};

/// A free list in the device, in use by this driver alone, with its portals; `D` is the memory of their rings.
///
/// As a [`FreeList`] it moves objects through its first portal, or by registers where it has none. Dropping it disables
/// its portals and then its pool.
pub struct List<T: Transport, D: DmaBuffer> {
    // Field order is drop order: a pool can't be disabled while a portal serves it.
    portals: Vec<Portal<T, D>>,
    pool: Pool<T>,
}

impl<T: Transport, D: DmaBuffer> List<T, D> {
    /// Takes a free pool of the device, configures it, reads its range back and enables it, empty and without portals.
    ///
    /// All objects are with the host until they are given.
    pub fn open(bmu: &Arc<Bmu<T>>, config: &ListConfig) -> Result<List<T, D>, SetupError> {
        Ok(List {
            portals: Vec::new(),
            pool: Pool::open(bmu, config)?,
        })
    }

    /// Takes a free portal of the device, lays its rings out in `memory` and starts it.
    ///
    /// `memory` has at least [`Layout::size`](crate::bmu::Layout::size) bytes, is reachable by the device and starts at a
    /// multiple of 64.
    ///
    /// # Panics
    ///
    /// When `memory` is too small.
    pub fn open_portal(
        &mut self,
        memory: D,
        config: &PortalConfig,
    ) -> Result<PortalId, SetupError> {
        let portal = Portal::open(&self.pool, memory, config)?;
        let id = portal.id();
        self.portals.push(portal);
        Ok(id)
    }

    /// Returns one of the list's portals, by which objects can be moved where there are several.
    pub fn portal(&mut self, id: PortalId) -> Option<PortalRef<'_, T, D>> {
        let portal = self.portals.iter_mut().find(|portal| portal.id() == id)?;
        let pool = &mut self.pool;
        Some(PortalRef { portal, pool })
    }

    /// Returns the list's first portal.
    pub fn first_portal(&mut self) -> Option<PortalRef<'_, T, D>> {
        let portal = self.portals.first_mut()?;
        let pool = &mut self.pool;
        Some(PortalRef { portal, pool })
    }

    /// Stops every portal and returns the objects that were in their acquire rings: they are the host's now.
    ///
    /// What was given is in the device's list afterwards. Blocks for at most the device's timeout a portal. After an
    /// error the portals are gone all the same.
    pub fn close_portals(&mut self) -> Result<Vec<u32>, PathError> {
        let mut parked = Vec::new();
        for portal in std::mem::take(&mut self.portals) {
            parked.extend(portal.close(&mut self.pool)?);
        }
        Ok(parked)
    }

    /// Disables every portal without asking what is in its rings: the device keeps it until a reset.
    pub fn abandon_portals(&mut self) {
        self.portals.clear();
    }

    /// Returns the pool's number.
    pub fn id(&self) -> PoolId {
        self.pool.id()
    }

    /// Returns the device.
    pub fn bmu(&self) -> &Arc<Bmu<T>> {
        self.pool.bmu()
    }

    /// Returns where the objects lie.
    pub fn geometry(&self) -> &Geometry {
        self.pool.ledger().geometry()
    }

    /// Takes one object by the register path: `None` where the list is empty.
    ///
    /// Costs one round trip to the device. Objects that a portal keeps in its acquire ring are not in the list.
    pub fn alloc(&mut self) -> Result<Option<u32>, PathError> {
        self.pool.alloc()
    }

    /// Gives one object by the register path: one posted write.
    ///
    /// Refuses an object that the device has already or that does not exist; then nothing is changed.
    pub fn free(&mut self, index: u32) -> Result<(), PathError> {
        self.pool.free_all(&[index])
    }

    /// Fills `objects` by the register path, all of it (`true`) or, where there are not as many, nothing.
    ///
    /// Costs one round trip an object. On `false` and on an error `objects` is untouched.
    pub fn alloc_all(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        self.pool.alloc_all(objects)
    }

    /// Gives all of `objects` by the register path, one posted write each, or refuses them all.
    pub fn free_all(&mut self, objects: &[u32]) -> Result<(), PathError> {
        self.pool.free_all(objects)
    }

    /// Fails, and poisons the list, where the device should still hold objects after it said that it is empty.
    pub fn expect_empty(&mut self) -> Result<(), PathError> {
        self.pool.expect_empty()
    }

    /// Reads how many objects the device says are in its list.
    pub fn available(&self) -> Result<u32, BusError> {
        self.pool.available()
    }

    /// Sets the thresholds (SPEC 5.2): DEPLETED below `low` (0: off), RECOVERED from `high` on.
    pub fn set_thresholds(&self, low: u32, high: u32) -> Result<(), SetupError> {
        self.pool.set_thresholds(low, high)
    }

    /// Lets threshold events raise `vector` and returns its interrupt.
    pub fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        self.pool.event_interrupt(vector)
    }

    /// Reads and clears the threshold events: `(depleted, recovered)`.
    pub fn take_events(&self) -> Result<(bool, bool), BusError> {
        self.pool.take_events()
    }

    /// Reads and clears the pool's errors and the address of the first.
    pub fn take_errors(&self) -> Result<(ErrorBits, u64), BusError> {
        self.pool.take_errors()
    }
}

impl<T: Transport, D: DmaBuffer> FreeList for List<T, D> {
    fn name(&self) -> String {
        self.pool.id().to_string()
    }

    fn ledger(&self) -> &Ledger {
        self.pool.ledger()
    }

    fn poison(&self) -> Option<&Breach> {
        self.pool.poison()
    }

    fn give(&mut self, objects: &[u32]) -> Result<(), PathError> {
        match self.portals.first_mut() {
            Some(portal) => portal.enqueue(&mut self.pool, objects),
            None => self.pool.free_all(objects),
        }
    }

    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        match self.portals.first_mut() {
            Some(portal) => portal.dequeue(&mut self.pool, objects),
            None => self.pool.alloc_all(objects),
        }
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.pool.usable()?;
        self.portals
            .iter_mut()
            .try_for_each(|portal| portal.flush(&mut self.pool))
    }

    fn doorbells(&self) -> Option<u64> {
        let rung = self.portals.iter().map(Portal::doorbells);
        (!self.portals.is_empty()).then(|| rung.sum())
    }

    fn available(&self) -> Result<Option<u32>, BusError> {
        self.available().map(Some)
    }

    /// Takes everything out: through the portals first, then what they leave, one by one.
    fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        let mut drained = Vec::with_capacity(self.pool.ledger().held() as usize);
        if let Some(portal) = self.portals.first_mut() {
            drained.extend(portal.drain(&mut self.pool)?);
        }
        drained.extend(self.close_portals()?);
        if self.pool.bmu().capabilities().register_path {
            while let Some(index) = self.pool.alloc()? {
                drained.push(index);
            }
        }
        self.pool.expect_empty()?;
        Ok(drained)
    }
}

/// A portal of a list, with the pool that it serves.
pub struct PortalRef<'a, T: Transport, D: DmaBuffer> {
    portal: &'a mut Portal<T, D>,
    pool: &'a mut Pool<T>,
}

impl<T: Transport, D: DmaBuffer> PortalRef<'_, T, D> {
    /// Returns the portal's number.
    pub fn id(&self) -> PortalId {
        self.portal.id()
    }

    /// Returns how often the doorbell was rung since the portal was opened.
    pub fn doorbells(&self) -> u64 {
        self.portal.doorbells()
    }

    /// Returns the device's last status line, as it is.
    pub fn status(&self) -> Status {
        self.portal.status()
    }

    /// Gives all of `objects` to the device, as [`FreeList::give`].
    ///
    /// Does not block while the release ring has room.
    pub fn enqueue(&mut self, objects: &[u32]) -> Result<(), PathError> {
        self.portal.enqueue(self.pool, objects)
    }

    /// Fills `objects` with objects from the device, as [`FreeList::take`].
    ///
    /// Reads no register. Does not block while the acquire ring has enough. What others give at this moment, as by the
    /// register path, may be missed: `false` is what the device said last.
    pub fn dequeue(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        self.portal.dequeue(self.pool, objects)
    }

    /// Announces what was given and taken and not announced yet.
    pub fn flush(&mut self) -> Result<(), PathError> {
        self.portal.flush(self.pool)
    }

    /// Takes all objects that the device has to give through this portal, in the order in which it hands them out.
    pub fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        self.portal.drain(self.pool)
    }

    /// Lets the event "buffers available" raise `vector` and returns its interrupt (SPEC 6.6).
    pub fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        self.portal.event_interrupt(vector)
    }

    /// Reads and clears the event "buffers available".
    pub fn take_event(&self) -> Result<bool, BusError> {
        self.portal.take_event()
    }
}

impl<T: Transport, D: DmaBuffer> fmt::Debug for List<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("pool", &self.pool.id())
            .field("held", &self.pool.ledger().held())
            .field("portals", &self.portals.len())
            .field("poison", &self.pool.poison())
            .finish_non_exhaustive()
    }
}

impl<T: Transport, D: DmaBuffer> fmt::Debug for PortalRef<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalRef")
            .field("portal", &self.portal.id())
            .field("pool", &self.pool.id())
            .field("status", &self.portal.status())
            .finish_non_exhaustive()
    }
}
