//! How a portal is enabled, stops and halts (SPEC 6.1, 6.2).

use super::super::lies::Lie;
use crate::bmu::device::Bmu;
use crate::bmu::errors::{ErrorKind, Owner, Source};
use crate::bmu::portal::State;
use crate::violation::ViolationKind;
use crate::world::World;

/// Status line, word 1: the portal halted.
pub(super) const HALTED: u64 = 1 << 33;
/// Status line, word 1: the portal stopped.
pub(super) const STOPPED: u64 = 1 << 34;

impl Bmu {
    /// Acts on a write of PORTAL_CONTROL.
    pub(in crate::bmu) fn control_portal(
        &mut self,
        world: &mut World,
        portal_id: usize,
        value: u32,
    ) {
        let enable = value & 1 != 0;
        match (self.portals[portal_id].state, enable) {
            (State::Disabled, true) => self.enable_portal(world, portal_id, value),
            (State::Running, false) => {
                self.portals[portal_id].enable = false;
                self.portals[portal_id].state = State::Stopping;
                self.forget_wait(portal_id);
                self.finish_stop(world, portal_id);
            }
            (State::Halted, false) if self.lies.tell(Lie::HaltedForEver) => {}
            (State::Halted, false) => self.end_portal(world, portal_id),
            (State::Stopping, true) if self.lies.tell(Lie::StartsWhileStopping) => {
                self.portals[portal_id].begin();
                world.running |= 1 << portal_id;
            }
            (State::Stopping, true) => self.refuse_portal(world, portal_id, value.into()),
            (State::Halted, true) if !self.portals[portal_id].enable => {
                self.refuse_portal(world, portal_id, value.into());
            }
            _ => {}
        }
    }

    fn enable_portal(&mut self, world: &mut World, portal_id: usize, value: u32) {
        let valid = self.portals[portal_id].is_valid(&self.config)
            && self.pools[self.portals[portal_id].pool as usize].enabled;
        if !valid && !self.lies.tell(Lie::InvalidPortal) {
            return self.refuse_portal(world, portal_id, value.into());
        }
        self.portals[portal_id].begin();
        world.running |= 1 << portal_id;
        self.plan_fill(world, portal_id);
    }

    /// Reports a refused configuration of a portal.
    pub(in crate::bmu) fn refuse_portal(
        &mut self,
        world: &mut World,
        portal_id: usize,
        value: u64,
    ) {
        world.violation(
            ViolationKind::ConfigInUse,
            format!("portal {portal_id}"),
            value,
        );
        let owner = Owner::Portal(portal_id as u16);
        self.error(
            world,
            ErrorKind::Config,
            Source::Configuration,
            owner,
            value,
        );
    }

    pub(in crate::bmu) fn end_portal(&mut self, world: &mut World, portal_id: usize) {
        let portal = &mut self.portals[portal_id];
        portal.end();
        if self.lies.tell(Lie::CountsGo) {
            (portal.release_head, portal.acquire_tail) = (0, 0);
        }
        world.running &= !(1 << portal_id);
        self.forget_wait(portal_id);
    }

    fn forget_wait(&mut self, portal_id: usize) {
        if let Some(pool) = self.pools.get_mut(self.portals[portal_id].pool as usize) {
            pool.waiting &= !(1 << portal_id);
        }
    }

    pub(super) fn dma_fault(
        &mut self,
        world: &mut World,
        portal_id: usize,
        source: Source,
        iova: u64,
    ) {
        let place = format!("IOVA {iova:#x} of portal {portal_id}");
        world.violation(ViolationKind::DmaRefused, place, iova);
        self.halt(world, portal_id, ErrorKind::DmaFault, source, iova);
    }

    /// Halts a portal: reports, and tries to write the status line once unless that is what failed.
    pub(super) fn halt(
        &mut self,
        world: &mut World,
        portal_id: usize,
        kind: ErrorKind,
        source: Source,
        address: u64,
    ) {
        let portal = &mut self.portals[portal_id];
        portal.state = State::Halted;
        portal.reads = 0;
        world.running &= !(1 << portal_id);
        self.forget_wait(portal_id);
        let portal = &self.portals[portal_id];
        let on_line = kind == ErrorKind::DmaFault && address == portal.status_base;
        let master = world.is_master();
        self.error(
            world,
            kind,
            source,
            Owner::Portal(portal_id as u16),
            address,
        );
        if !on_line && master && self.portals[portal_id].state == State::Halted {
            self.report(world, portal_id, HALTED);
        }
        if self.lies.tell(Lie::HaltsToDisabled) {
            self.end_portal(world, portal_id);
        }
    }

    /// Writes the last status line of a portal that stops, once all that was announced is consumed.
    pub(super) fn finish_stop(&mut self, world: &mut World, portal_id: usize) {
        if !self.serves() {
            return;
        }
        let lies = self.lies;
        if lies.tell(Lie::StopsEarly) {
            return self.report(world, portal_id, STOPPED);
        }
        while self.portals[portal_id].asked != self.portals[portal_id].announced {
            if !self.fetch(world, portal_id) || self.portals[portal_id].state != State::Stopping {
                return;
            }
        }
        if self.portals[portal_id].reads == 0 && self.portals[portal_id].state == State::Stopping {
            if lies.tell(Lie::StopsSilently) {
                return self.end_portal(world, portal_id);
            }
            let portal = &mut self.portals[portal_id];
            portal.acquire_head = portal.seen_head;
            self.report(world, portal_id, STOPPED);
        }
    }

    /// Takes up again what QUIESCE or ENABLE 0 has held back.
    pub(in crate::bmu) fn resume(&mut self, world: &mut World) {
        for portal_id in 0..self.portals.len() {
            if let Some(value) = self.portals[portal_id].held.take() {
                self.portals[portal_id].owes |= self.judge(world, portal_id, value);
            }
            match self.portals[portal_id].state {
                State::Stopping => self.finish_stop(world, portal_id),
                State::Running if self.portals[portal_id].owes => {
                    self.portals[portal_id].owes = false;
                    self.serve(world, portal_id);
                }
                State::Running => self.plan_fill(world, portal_id),
                _ => {}
            }
        }
    }
}
