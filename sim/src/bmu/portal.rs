//! A portal: its registers and its state (SPEC 6).

pub(super) use hwpool_devices::bmu::regs::PortalState as State;

use super::config::Config;
use super::errors::clear_errors;
use crate::iommu::Span;

/// Registers and state of one portal.
#[derive(Debug, Default)]
pub(super) struct Portal {
    pub(super) state: State,
    pub(super) enable: bool,
    pub(super) pool: u32,
    pub(super) sizes: u32,
    pub(super) release_base: u64,
    pub(super) acquire_base: u64,
    pub(super) status_base: u64,
    pub(super) credits: u32,
    pub(super) hysteresis: u32,
    pub(super) event: u32,
    pub(super) event_enable: u32,
    pub(super) vector: u32,
    pub(super) error: u32,
    pub(super) error_address: u64,
    /// Lives of the portal: what was begun in an earlier one is forgotten.
    pub(super) epoch: u64,
    pub(super) release_head: u32,
    pub(super) acquire_tail: u32,
    /// PORTAL_DOORBELL as it was written last, half by half or whole.
    pub(super) bell: u64,
    /// The last doorbell in bounds, 0 before the first.
    pub(super) rung: u64,
    /// The last doorbell that came while portals are not served: it is looked at when they are.
    pub(super) held: Option<u64>,
    /// Release entries announced, and asked for by DMA.
    pub(super) announced: u32,
    pub(super) asked: u32,
    /// ACQUIRE_HEAD as last seen, and as acted on.
    pub(super) seen_head: u32,
    pub(super) acquire_head: u32,
    /// Acquire entries that have arrived in memory.
    pub(super) landed: u32,
    /// The last attempt to fill found the list empty.
    pub(super) starved: bool,
    /// A doorbell was acted on while nothing could be written.
    pub(super) owes: bool,
    pub(super) reported_release: u32,
    pub(super) reported_acquire: u32,
    pub(super) sequence: u64,
    /// The counts that the last two status lines should have had, the newest first.
    pub(super) told: [u64; 2],
    /// Status lines that were due, and release entries that came, for the lies that leave some out.
    pub(super) lines_due: u32,
    pub(super) releases: u32,
    /// DMA reads under way, and when the last of them will be done.
    pub(super) reads: u32,
    pub(super) fetched_at: u64,
    pub(super) release: Span,
    pub(super) acquire: Span,
    pub(super) line: Span,
}

impl Portal {
    pub(super) fn release_log2(&self) -> u32 {
        bits(self.sizes, 0, 5)
    }

    pub(super) fn acquire_log2(&self) -> u32 {
        bits(self.sizes, 8, 5)
    }

    /// Checks SPEC 6.2.
    pub(super) fn is_valid(&self, config: &Config) -> bool {
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
    pub(super) fn begin(&mut self) {
        self.end();
        self.state = State::Running;
        self.enable = true;
        (self.release_head, self.acquire_tail) = (0, 0);
        (self.announced, self.asked) = (0, 0);
        (self.seen_head, self.acquire_head, self.landed) = (0, 0, 0);
        (self.reported_release, self.reported_acquire, self.sequence) = (0, 0, 0);
        self.told = [0; 2];
        (self.lines_due, self.releases) = (0, 0);
        (self.bell, self.rung) = (0, 0);
        self.fetched_at = 0;
        self.release = Span::new(self.release_base, 8 << self.release_log2());
        self.acquire = Span::new(self.acquire_base, 8 << self.acquire_log2());
        self.line = Span::new(self.status_base, 32);
    }

    /// Ends what is under way and lets go of the memory.
    pub(super) fn end(&mut self) {
        self.state = State::Disabled;
        self.enable = false;
        self.epoch += 1;
        self.starved = false;
        self.owes = false;
        self.held = None;
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
    pub(super) fn invalidate(&mut self) {
        self.release.invalidate();
        self.acquire.invalidate();
        self.line.invalidate();
    }

    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, State::Running | State::Stopping)
    }

    pub(super) fn clear_errors(&mut self, bits: u32) {
        clear_errors(&mut self.error, &mut self.error_address, bits);
    }

    /// Acquire entries that may be written before PORTAL_CREDITS is reached.
    pub(super) fn room(&self) -> u32 {
        let filled = self.acquire_tail.wrapping_sub(self.acquire_head);
        self.credits.saturating_sub(filled)
    }
}

/// The phase of entry `n` in a ring of 2^k entries (SPEC 6.3).
#[inline]
pub(super) fn phase(n: u32, log2: u32) -> u64 {
    u64::from(!(n >> log2) & 1)
}

/// Cuts `len` bits from `low` on.
fn bits(value: u32, low: u32, len: u32) -> u32 {
    value >> low & ((1 << len) - 1)
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
