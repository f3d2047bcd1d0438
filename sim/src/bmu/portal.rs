//! Portals (SPEC 6): registers, states, and what goes to the host.
//!
//! `release` takes doorbells and consumes the release ring, `acquire` fills the acquire ring, `status_line` reports.

mod acquire;
mod release;
mod status_line;

use super::errors::{ErrorKind, Owner, Source};
use super::{Bmu, bits};
use crate::iommu::Span;
use crate::violation::ViolationKind;
use crate::world::{Upstream, World};

/// PORTAL_STATUS.STATE.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum State {
    #[default]
    Disabled = 0,
    Running = 1,
    Stopping = 2,
    Halted = 3,
}

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
    fn is_valid(&self, w: &World) -> bool {
        let (release, acquire) = (self.release_log2() as u8, self.acquire_log2() as u8);
        let c = &w.config;
        if !c.ring_log2.contains(&release) || !c.ring_log2.contains(&acquire) {
            return false;
        }
        let reach = |base: u64, len: u64| {
            let top = 1u128 << c.address_width;
            base != 0 && base.is_multiple_of(64) && u128::from(base) + u128::from(len) <= top
        };
        self.pool < u32::from(c.pools)
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
    pub(super) fn control_portal(&mut self, w: &mut World, q: usize, value: u32) {
        let enable = value & 1 != 0;
        match (self.portals[q].state, enable) {
            (State::Disabled, true) => self.enable_portal(w, q, value),
            (State::Running, false) => {
                self.portals[q].enable = false;
                self.portals[q].state = State::Stopping;
                self.forget_wait(q);
                self.finish_stop(w, q);
            }
            (State::Halted, false) => self.end_portal(q),
            (State::Stopping, true) => self.refuse_portal(w, q, value.into()),
            (State::Halted, true) if !self.portals[q].enable => {
                self.refuse_portal(w, q, value.into());
            }
            _ => {}
        }
    }

    fn enable_portal(&mut self, w: &mut World, q: usize, value: u32) {
        let valid =
            self.portals[q].is_valid(w) && self.pools[self.portals[q].pool as usize].enabled;
        if !valid {
            return self.refuse_portal(w, q, value.into());
        }
        self.portals[q].begin();
        self.running |= 1 << q;
        self.plan_fill(w, q);
    }

    /// Reports a refused configuration of a portal.
    pub(super) fn refuse_portal(&mut self, w: &mut World, q: usize, value: u64) {
        w.violation(ViolationKind::ConfigInUse, format!("portal {q}"), value);
        let owner = Owner::Portal(q as u16);
        self.error(w, ErrorKind::Config, Source::Configuration, owner, value);
    }

    pub(super) fn end_portal(&mut self, q: usize) {
        self.portals[q].end();
        self.running &= !(1 << q);
        self.forget_wait(q);
    }

    fn forget_wait(&mut self, q: usize) {
        if let Some(pool) = self.pools.get_mut(self.portals[q].pool as usize) {
            pool.waiting &= !(1 << q);
        }
    }

    fn dma_fault(&mut self, w: &mut World, q: usize, source: Source, iova: u64) {
        let place = format!("IOVA {iova:#x} of portal {q}");
        w.violation(ViolationKind::DmaRefused, place, iova);
        self.halt(w, q, ErrorKind::DmaFault, source, iova);
    }

    /// Halts a portal: reports, and tries to write the status line once unless that is what failed.
    fn halt(&mut self, w: &mut World, q: usize, kind: ErrorKind, source: Source, address: u64) {
        let portal = &mut self.portals[q];
        portal.state = State::Halted;
        portal.reads = 0;
        self.running &= !(1 << q);
        self.forget_wait(q);
        let portal = &self.portals[q];
        let on_line = kind == ErrorKind::DmaFault && address == portal.status_base;
        let master = w.space.command() & crate::config_space::COMMAND_MASTER != 0;
        self.error(w, kind, source, Owner::Portal(q as u16), address);
        if !on_line && master && self.portals[q].state == State::Halted {
            self.report(w, q, HALTED);
        }
    }

    /// Writes the last status line of a portal that stops, once all that was announced is consumed.
    fn finish_stop(&mut self, w: &mut World, q: usize) {
        if !self.serves() {
            return;
        }
        while self.portals[q].asked != self.portals[q].announced {
            if !self.fetch(w, q) || self.portals[q].state != State::Stopping {
                return;
            }
        }
        if self.portals[q].reads == 0 && self.portals[q].state == State::Stopping {
            let portal = &mut self.portals[q];
            portal.acquire_head = portal.seen_head;
            self.report(w, q, STOPPED);
        }
    }

    /// Takes up again what QUIESCE or ENABLE 0 has held back.
    pub(super) fn resume(&mut self, w: &mut World) {
        for q in 0..self.portals.len() {
            match self.portals[q].state {
                State::Stopping => self.finish_stop(w, q),
                State::Running if self.portals[q].owes => {
                    self.portals[q].owes = false;
                    self.serve(w, q);
                }
                State::Running => self.plan_fill(w, q),
                _ => {}
            }
        }
    }

    /// Sends something to the host: at once in real time.
    fn put(&mut self, w: &mut World, at: u64, item: Upstream) {
        if w.instant {
            self.land(w, item);
        } else {
            w.send(at, item);
        }
    }

    /// Something has arrived in host memory, or could not.
    pub(super) fn land(&mut self, w: &mut World, item: Upstream) {
        match item {
            Upstream::Message { vector } => w.arrive(vector),
            Upstream::Entries {
                portal,
                epoch,
                first,
                iova,
                words,
            } => {
                if self.portals[usize::from(portal)].epoch == epoch {
                    self.land_entries(w, usize::from(portal), first, &words);
                } else {
                    // Sent in an earlier life, before the reset: it was on the wire.
                    let _ = store(&mut Span::new(iova, words.len() as u64 * 8), w, &words);
                }
                w.recycle(words);
            }
            Upstream::Status {
                portal,
                epoch,
                iova,
                line,
                last,
            } => self.land_status(w, usize::from(portal), epoch, iova, &line, last),
        }
    }
}

/// Stores words at the start of a span, in rising order.
fn store(span: &mut Span, w: &World, words: &[u64]) -> Option<()> {
    let view = span.at(&w.iommu, 0).filter(|v| v.len >= words.len() * 8)?;
    view.store_all(words);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
