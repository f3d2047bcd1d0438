//! Interrupt sources and vectors (SPEC 4.5, 8).

use super::Bmu;
use crate::world::World;

/// IRQ_PENDING and IRQ_ENABLE.
#[derive(Debug, Default)]
pub(crate) struct Irqs {
    pub(crate) pending: u32,
    pub(crate) enable: u32,
}

impl Bmu {
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
