//! What the device says of itself: errors, events and interrupts (SPEC 4.4, 4.5, 8).

use super::device::Bmu;
use super::errors::{ErrorKind, Owner, Source};
use super::lies::{self, Lie};
use crate::world::World;

impl Bmu {
    /// Reports an error: bit, count, record, interrupt.
    #[cold]
    pub(super) fn error(
        &mut self,
        world: &mut World,
        kind: ErrorKind,
        source: Source,
        owner: Owner,
        address: u64,
    ) {
        if source != Source::Injected && lies::hide(self.lies, kind) {
            return;
        }
        let (pool, portal) = match owner {
            Owner::Device => (0, 0),
            Owner::Pool(pool) => (pool, 0),
            Owner::Portal(portal) => (self.portals[usize::from(portal)].pool as u16, portal),
            Owner::PoolByPortal(pool, portal) => (pool, portal),
        };
        let record = 1
            | u64::from(kind as u8) << 4
            | u64::from(source as u8) << 8
            | u64::from(pool) << 16
            | u64::from(portal) << 24;
        self.note_owner(kind, owner, address);
        if self.errors.note(kind, record, address) {
            self.raise(world, self.errors.vector);
        }
    }

    fn note_owner(&mut self, kind: ErrorKind, owner: Owner, address: u64) {
        let (error, first) = match owner {
            Owner::Device => return,
            Owner::Pool(pool) | Owner::PoolByPortal(pool, _) => {
                let pool = &mut self.pools[usize::from(pool)];
                (&mut pool.error, &mut pool.error_address)
            }
            Owner::Portal(portal) => {
                let portal = &mut self.portals[usize::from(portal)];
                (&mut portal.error, &mut portal.error_address)
            }
        };
        if *error == 0 {
            *first = address;
        }
        *error |= kind.bit();
    }

    /// Raises every kind in `kinds` as if it had happened.
    pub(super) fn inject(&mut self, world: &mut World, kinds: u32, owner: Owner) {
        let mut all = ErrorKind::ALL;
        if self.lies.tell(Lie::InjectsBackwards) {
            all.reverse();
        }
        for kind in all {
            if kinds & kind.bit() != 0 {
                self.error(world, kind, Source::Injected, owner, 0);
            }
        }
    }

    /// Raises a vector because bits that are 1 were enabled: once for all of them.
    pub(super) fn raise_enabled(&mut self, world: &mut World, vector: u32, bits: u32) {
        let each = self.lies.tell(Lie::RaisesEach);
        for _ in 0..if each { bits.count_ones() } else { bits.min(1) } {
            self.raise(world, vector);
        }
    }

    /// Raises a vector: a message where it is enabled, a pending bit where not, nothing where there is none.
    pub(super) fn raise(&mut self, world: &mut World, vector: u32) {
        if vector >= u32::from(self.config.vectors) {
            return;
        }
        if self.irqs.enable >> vector & 1 != 0 {
            world.message(vector as u16);
        } else {
            self.irqs.pending |= 1 << vector;
        }
    }

    /// Enables vectors; each that is pending sends one message.
    pub(super) fn enable_vectors(&mut self, world: &mut World, mask: u32) {
        let exist = u32::MAX >> (32 - u32::from(self.config.vectors));
        self.irqs.enable |= mask & exist;
        let mut due = self.irqs.pending & self.irqs.enable;
        self.irqs.pending &= !due;
        while due != 0 {
            world.message(due.trailing_zeros() as u16);
            due &= due - 1;
        }
    }

    /// Sets events of a pool and raises its vector for those that are new and enabled.
    pub(super) fn pool_events(&mut self, world: &mut World, pool_id: usize, events: u32) {
        let pool = &mut self.pools[pool_id];
        let new = events & !pool.event & pool.event_enable;
        pool.event |= events;
        if new != 0 {
            self.raise(world, self.pools[pool_id].vector);
        }
    }

    /// Sets events of a portal and raises its vector for those that are new and enabled.
    pub(super) fn portal_events(&mut self, world: &mut World, portal_id: usize, events: u32) {
        let portal = &mut self.portals[portal_id];
        let new = events & !portal.event & portal.event_enable;
        portal.event |= events;
        if new != 0 {
            self.raise(world, self.portals[portal_id].vector);
        }
    }
}
