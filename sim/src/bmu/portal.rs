//! Portals (SPEC 6): registers, states, and what goes to the host.
//!
//! `release` takes doorbells and consumes the release ring, `acquire` fills the acquire ring, `status_line` reports.

mod acquire;
mod release;
mod status_line;

pub(crate) use hwpool_devices::bmu::regs::PortalState as State;

use super::config::Config;
use super::errors::{ErrorKind, Owner, Source, clear_errors};
use super::{Bmu, bits};
use crate::faults::FaultKind;
use crate::iommu::Span;
use crate::violation::ViolationKind;
use crate::world::{Sent, Ticket, World};

/// Status line, word 1: the portal halted.
const HALTED: u64 = 1 << 33;
/// Status line, word 1: the portal stopped.
const STOPPED: u64 = 1 << 34;

/// Registers and state of one portal.
#[derive(Debug, Default)]
pub(crate) struct Portal {
    pub(crate) state: State,
    pub(crate) enable: bool,
    pub(crate) pool: u32,
    pub(crate) sizes: u32,
    pub(crate) release_base: u64,
    pub(crate) acquire_base: u64,
    pub(crate) status_base: u64,
    pub(crate) credits: u32,
    pub(crate) hysteresis: u32,
    pub(crate) event: u32,
    pub(crate) event_enable: u32,
    pub(crate) vector: u32,
    pub(crate) error: u32,
    pub(crate) error_address: u64,
    /// Lives of the portal: what was begun in an earlier one is forgotten.
    pub(crate) epoch: u64,
    pub(crate) release_head: u32,
    pub(crate) acquire_tail: u32,
    /// The last doorbell in bounds; `None` before the first.
    rung: Option<u64>,
    /// Release entries announced, and asked for by DMA.
    announced: u32,
    asked: u32,
    /// ACQUIRE_HEAD as last seen, and as acted on.
    seen_head: u32,
    acquire_head: u32,
    /// Acquire entries that have arrived in memory.
    landed: u32,
    /// The last attempt to fill found the list empty.
    starved: bool,
    /// A doorbell was acted on while nothing could be written.
    owes: bool,
    reported_release: u32,
    reported_acquire: u32,
    sequence: u64,
    /// DMA reads under way, and when the last of them will be done.
    pub(crate) reads: u32,
    fetched_at: u64,
    release: Span,
    acquire: Span,
    line: Span,
}

impl Portal {
    fn release_log2(&self) -> u32 {
        bits(self.sizes, 0, 5)
    }

    fn acquire_log2(&self) -> u32 {
        bits(self.sizes, 8, 5)
    }

    /// Checks SPEC 6.2.
    fn is_valid(&self, config: &Config) -> bool {
        let (release, acquire) = (self.release_log2() as u8, self.acquire_log2() as u8);
        if !config.ring_log2.contains(&release) || !config.ring_log2.contains(&acquire) {
            return false;
        }
        let reach = |base: u64, len: u64| {
            let top = 1u128 << config.address_width;
            base != 0 && base.is_multiple_of(64) && u128::from(base) + u128::from(len) <= top
        };
        self.pool < u32::from(config.pools)
            && reach(self.release_base, 8 << release)
            && reach(self.acquire_base, 8 << acquire)
            && reach(self.status_base, 32)
            && (1..=1 << acquire).contains(&self.credits)
            && (1..=1 << (release.min(acquire) - 1)).contains(&self.hysteresis)
    }

    /// Starts a new life with all counts 0.
    fn begin(&mut self) {
        self.end();
        self.state = State::Running;
        self.enable = true;
        (self.release_head, self.acquire_tail) = (0, 0);
        (self.announced, self.asked) = (0, 0);
        (self.seen_head, self.acquire_head, self.landed) = (0, 0, 0);
        (self.reported_release, self.reported_acquire, self.sequence) = (0, 0, 0);
        self.rung = None;
        self.fetched_at = 0;
        self.release = Span::new(self.release_base, 8 << self.release_log2());
        self.acquire = Span::new(self.acquire_base, 8 << self.acquire_log2());
        self.line = Span::new(self.status_base, 32);
    }

    /// Ends what is under way and lets go of the memory.
    fn end(&mut self) {
        self.state = State::Disabled;
        self.enable = false;
        self.epoch += 1;
        self.starved = false;
        self.owes = false;
        self.reads = 0;
        self.invalidate();
    }

    /// Puts every register to its reset value; what was begun belongs to an earlier life.
    pub(super) fn reset(&mut self) {
        *self = Portal {
            epoch: self.epoch + 1,
            ..Portal::default()
        };
    }

    /// Forgets cached translations.
    pub(crate) fn invalidate(&mut self) {
        self.release.invalidate();
        self.acquire.invalidate();
        self.line.invalidate();
    }

    fn is_alive(&self) -> bool {
        matches!(self.state, State::Running | State::Stopping)
    }

    pub(super) fn clear_errors(&mut self, bits: u32) {
        clear_errors(&mut self.error, &mut self.error_address, bits);
    }

    /// Acquire entries that may be written before PORTAL_CREDITS is reached.
    fn room(&self) -> u32 {
        let filled = self.acquire_tail.wrapping_sub(self.acquire_head);
        self.credits.saturating_sub(filled)
    }
}

/// The phase of entry `n` in a ring of 2^k entries (SPEC 6.3).
#[inline]
fn phase(n: u32, log2: u32) -> u64 {
    u64::from(!(n >> log2) & 1)
}

impl Bmu {
    /// Acts on a write of PORTAL_CONTROL.
    pub(super) fn control_portal(&mut self, world: &mut World, portal_id: usize, value: u32) {
        let enable = value & 1 != 0;
        match (self.portals[portal_id].state, enable) {
            (State::Disabled, true) => self.enable_portal(world, portal_id, value),
            (State::Running, false) => {
                self.portals[portal_id].enable = false;
                self.portals[portal_id].state = State::Stopping;
                self.forget_wait(portal_id);
                self.finish_stop(world, portal_id);
            }
            (State::Halted, false) => self.end_portal(world, portal_id),
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
        if !valid {
            return self.refuse_portal(world, portal_id, value.into());
        }
        self.portals[portal_id].begin();
        world.running |= 1 << portal_id;
        self.plan_fill(world, portal_id);
    }

    /// Reports a refused configuration of a portal.
    pub(super) fn refuse_portal(&mut self, world: &mut World, portal_id: usize, value: u64) {
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

    pub(super) fn end_portal(&mut self, world: &mut World, portal_id: usize) {
        self.portals[portal_id].end();
        world.running &= !(1 << portal_id);
        self.forget_wait(portal_id);
    }

    fn forget_wait(&mut self, portal_id: usize) {
        if let Some(pool) = self.pools.get_mut(self.portals[portal_id].pool as usize) {
            pool.waiting &= !(1 << portal_id);
        }
    }

    fn dma_fault(&mut self, world: &mut World, portal_id: usize, source: Source, iova: u64) {
        let place = format!("IOVA {iova:#x} of portal {portal_id}");
        world.violation(ViolationKind::DmaRefused, place, iova);
        self.halt(world, portal_id, ErrorKind::DmaFault, source, iova);
    }

    /// Halts a portal: reports, and tries to write the status line once unless that is what failed.
    fn halt(
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
    }

    /// Writes the last status line of a portal that stops, once all that was announced is consumed.
    fn finish_stop(&mut self, world: &mut World, portal_id: usize) {
        if !self.serves() {
            return;
        }
        while self.portals[portal_id].asked != self.portals[portal_id].announced {
            if !self.fetch(world, portal_id) || self.portals[portal_id].state != State::Stopping {
                return;
            }
        }
        if self.portals[portal_id].reads == 0 && self.portals[portal_id].state == State::Stopping {
            let portal = &mut self.portals[portal_id];
            portal.acquire_head = portal.seen_head;
            self.report(world, portal_id, STOPPED);
        }
    }

    /// Takes up again what QUIESCE or ENABLE 0 has held back.
    pub(super) fn resume(&mut self, world: &mut World) {
        for portal_id in 0..self.portals.len() {
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

    /// Something that a portal has sent arrives in host memory, or can't.
    pub(super) fn land(&mut self, world: &mut World, sent: Sent) {
        let Sent {
            iova,
            words,
            ticket,
        } = sent;
        let portal_id = usize::from(ticket.channel);
        if self.portals[portal_id].epoch != ticket.epoch {
            // Sent in an earlier life, before the reset: it was on the wire.
            let _ = store(&mut Span::new(iova, words.len() as u64 * 8), world, &words);
        } else {
            match Kind::from_ticket(ticket) {
                Kind::Entries { first } => self.land_entries(world, portal_id, first, &words),
                Kind::Status { last } => self.land_status(world, portal_id, iova, &words, last),
            }
        }
        world.recycle(words);
    }
}

/// What a portal sends to host memory.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Kind {
    /// Acquire entries, next to each other, from that one on.
    Entries { first: u32 },
    /// A status line; the portal becomes disabled when the last has arrived.
    Status { last: bool },
}

impl Kind {
    fn ticket(self, portal: usize, epoch: u64) -> Ticket {
        let kind = match self {
            Kind::Status { last } => u64::from(last),
            Kind::Entries { first } => 2 | u64::from(first) << 32,
        };
        Ticket {
            channel: portal as u16,
            epoch,
            kind,
        }
    }

    fn from_ticket(ticket: Ticket) -> Kind {
        match ticket.kind & 2 {
            0 => Kind::Status {
                last: ticket.kind & 1 != 0,
            },
            _ => Kind::Entries {
                first: (ticket.kind >> 32) as u32,
            },
        }
    }
}

/// Tells whether the device may use the bus for a portal now.
fn may_dma(world: &mut World, portal: u16) -> bool {
    if !world.is_master() {
        let place = format!("portal {portal}");
        world.violation(ViolationKind::BusMasterOff, place, 0);
        return false;
    }
    let spoiled = (world.faults).hit(FaultKind::DmaFault, "PORTAL_DOORBELL", portal);
    !world.gone && spoiled.is_none()
}

/// Stores words at the start of a span, in rising order.
fn store(span: &mut Span, world: &World, words: &[u64]) -> Option<()> {
    let view = span
        .at(&world.iommu, 0)
        .filter(|v| v.len >= words.len() * 8)?;
    view.store_all(words);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_tells_what_was_sent() {
        for kind in [
            Kind::Entries { first: 0 },
            Kind::Entries { first: u32::MAX },
            Kind::Status { last: false },
            Kind::Status { last: true },
        ] {
            assert_eq!(Kind::from_ticket(kind.ticket(3, 7)), kind);
        }
    }

    #[test]
    fn phases_alternate_by_lap_and_over_the_wrap() {
        assert_eq!(phase(0, 3), 1);
        assert_eq!(phase(7, 3), 1);
        assert_eq!(phase(8, 3), 0);
        assert_eq!(phase(16, 3), 1);
        assert_eq!(phase(u32::MAX, 3), 0);
        assert_eq!(phase(u32::MAX.wrapping_add(1), 3), 1);
    }
}
