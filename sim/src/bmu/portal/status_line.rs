//! The status line (SPEC 6.5).

use super::{Bmu, STOPPED, State, store};
use crate::bmu::errors::Source;
use crate::faults::FaultKind;
use crate::iommu::Span;
use crate::world::{Upstream, World};

/// Word 1: the list is empty.
const EMPTY: u64 = 1 << 32;

impl Bmu {
    /// Writes the status line.
    pub(super) fn report(&mut self, w: &mut World, q: usize, flags: u64) {
        if !w.may_dma(q as u16)
            || self.portals[q]
                .line
                .at(&w.iommu, 0)
                .is_none_or(|v| v.len < 32)
        {
            let iova = self.portals[q].status_base;
            if self.portals[q].state != State::Halted {
                self.dma_fault(w, q, Source::AcquireRing, iova);
            }
            return;
        }
        let at = w.account_write(32);
        w.counters.status_lines += 1;
        let line = self.status_line(w, q, flags);
        let portal = &mut self.portals[q];
        portal.reported_release = portal.release_head;
        portal.reported_acquire = portal.acquire_head;
        let item = Upstream::Status {
            portal: q as u16,
            epoch: portal.epoch,
            iova: portal.status_base,
            line,
            last: flags & STOPPED != 0,
        };
        self.put(w, at, item);
    }

    fn status_line(&mut self, w: &mut World, q: usize, flags: u64) -> [u64; 4] {
        let portal = &mut self.portals[q];
        let available = self.pools[portal.pool as usize].list.len();
        portal.sequence += 1;
        let empty = if available == 0 { EMPTY } else { 0 };
        let mut spoil = |name: &str, count: u32| {
            let wrong = w.faults.hit(FaultKind::WrongCount, name, q as u16);
            count.wrapping_add(wrong.unwrap_or(0) as u32)
        };
        let release = spoil("PORTAL_RELEASE_HEAD", portal.release_head);
        let acquire = spoil("PORTAL_ACQUIRE_TAIL", portal.acquire_tail);
        let available = spoil("POOL_AVAILABLE", available);
        [
            u64::from(release) | u64::from(acquire) << 32,
            u64::from(portal.acquire_head) | empty | flags,
            available.into(),
            portal.sequence,
        ]
    }

    pub(super) fn land_status(
        &mut self,
        w: &mut World,
        q: usize,
        epoch: u64,
        iova: u64,
        line: &[u64; 4],
        last: bool,
    ) {
        if self.portals[q].epoch != epoch {
            let _ = store(&mut Span::new(iova, 32), w, line);
            return;
        }
        let stored = store(&mut self.portals[q].line, w, line);
        if stored.is_none() && self.portals[q].is_alive() {
            return self.dma_fault(w, q, Source::AcquireRing, iova);
        }
        if last && self.portals[q].state == State::Stopping {
            self.end_portal(q);
        }
    }
}
