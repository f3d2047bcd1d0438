//! Doorbells and the release ring (SPEC 6.4).

use super::super::lies::Lie;
use super::sent::may_dma;
use crate::bmu::device::{Bmu, Task};
use crate::bmu::errors::{ErrorKind, Owner, Source};
use crate::bmu::pool::Refusal;
use crate::bmu::portal::{State, phase};
use crate::violation::ViolationKind;
use crate::world::World;

/// Most release entries that one DMA read asks for.
const FETCH: u32 = 4096;

impl Bmu {
    /// Acts on a write of PORTAL_DOORBELL (SPEC 6.4).
    pub(in crate::bmu) fn doorbell(&mut self, world: &mut World, portal_id: usize, value: u64) {
        match self.portals[portal_id].state {
            State::Running => {}
            State::Halted => return,
            State::Disabled | State::Stopping => {
                return self.refuse_doorbell(world, portal_id, value);
            }
        }
        if !self.serves() && !self.lies.tell(Lie::JudgesWhenQuiesced) {
            self.portals[portal_id].held = Some(value);
            return;
        }
        if self.judge(world, portal_id, value) {
            self.serve(world, portal_id);
        }
    }

    /// Takes over a doorbell that is in bounds and new; one out of bounds halts the portal.
    pub(super) fn judge(&mut self, world: &mut World, portal_id: usize, value: u64) -> bool {
        let portal = &mut self.portals[portal_id];
        if portal.rung == value {
            return false; // a state, not an event
        }
        let (tail, head) = (value as u32, (value >> 32) as u32);
        let entries = 1u32 << portal.release_log2();
        if tail.wrapping_sub(portal.release_head) > entries {
            self.bad_doorbell(world, portal_id, value, Source::ReleaseRing);
            return false;
        }
        let written = portal.acquire_tail.wrapping_sub(portal.seen_head);
        if head.wrapping_sub(portal.seen_head) > written {
            self.bad_doorbell(world, portal_id, value, Source::AcquireRing);
            return false;
        }
        portal.rung = value;
        portal.seen_head = head;
        // What was asked for already can't be taken back.
        if tail.wrapping_sub(portal.asked) <= entries {
            portal.announced = tail;
        }
        true
    }

    fn refuse_doorbell(&mut self, world: &mut World, portal_id: usize, value: u64) {
        let place = format!("PORTAL_DOORBELL[{portal_id}]");
        world.violation(ViolationKind::DoorbellDisabled, place, value);
        let owner = Owner::Portal(portal_id as u16);
        self.error(
            world,
            ErrorKind::Disabled,
            Source::ReleaseRing,
            owner,
            value,
        );
    }

    fn bad_doorbell(&mut self, world: &mut World, portal_id: usize, value: u64, source: Source) {
        if self.lies.tell(Lie::TakesBadDoorbell) {
            return;
        }
        if self.lies.tell(Lie::HaltTakesHead) {
            self.portals[portal_id].acquire_head = (value >> 32) as u32;
        }
        let place = format!("PORTAL_DOORBELL[{portal_id}]");
        world.violation(ViolationKind::BadDoorbell, place, value);
        self.halt(world, portal_id, ErrorKind::BadDoorbell, source, value);
    }

    /// Asks for the release entries that were announced, then acts on the doorbell.
    pub(super) fn serve(&mut self, world: &mut World, portal_id: usize) {
        if !self.serves() {
            self.portals[portal_id].owes = true;
            return;
        }
        while self.portals[portal_id].asked != self.portals[portal_id].announced {
            if !self.fetch(world, portal_id) {
                return;
            }
        }
        if self.portals[portal_id].reads == 0 {
            self.acted(world, portal_id, self.portals[portal_id].seen_head);
        }
    }

    /// Reads a run of release entries; false if the bus refused.
    pub(super) fn fetch(&mut self, world: &mut World, portal_id: usize) -> bool {
        let portal = &mut self.portals[portal_id];
        let log2 = portal.release_log2();
        let index = portal.asked & ((1 << log2) - 1);
        let wanted = portal.announced.wrapping_sub(portal.asked);
        let count = wanted.min((1 << log2) - index).min(FETCH);
        let offset = u64::from(index) * 8;
        let view = if may_dma(world, portal_id as u16) {
            portal.release.at(&world.iommu, offset)
        } else {
            None
        };
        let Some(view) = view else {
            let iova = portal.release.iova(offset);
            self.dma_fault(world, portal_id, Source::ReleaseRing, iova);
            return false;
        };
        let count = count.min((view.len / 8) as u32);
        let mut entries = world.words();
        entries.resize(count as usize, 0);
        if !view.load_all(&mut entries) {
            let iova = portal.release.iova(offset);
            world.recycle(entries);
            self.dma_fault(world, portal_id, Source::ReleaseRing, iova);
            return false;
        }
        portal.asked = portal.asked.wrapping_add(count);
        portal.reads += 1;
        let done = world.account_read(u64::from(count) * 8) + world.jitter();
        if world.instant {
            return self.fetched(world, portal_id, entries, 0);
        }
        portal.fetched_at = portal.fetched_at.max(done);
        let task = Task::Fetched {
            portal: portal_id as u16,
            epoch: portal.epoch,
            entries,
            head: portal.seen_head,
        };
        self.agenda.plan(portal.fetched_at, task);
        true
    }

    /// Release entries have come: consumes them; false if the portal lives no longer.
    pub(in crate::bmu) fn fetched(
        &mut self,
        world: &mut World,
        portal_id: usize,
        entries: Vec<u64>,
        head: u32,
    ) -> bool {
        self.portals[portal_id].reads -= 1;
        let sound = self.consume(world, portal_id, &entries);
        world.recycle(entries);
        if !sound {
            return false;
        }
        let portal = &self.portals[portal_id];
        if portal.state == State::Stopping {
            self.finish_stop(world, portal_id);
        } else if !world.instant {
            let head = match portal.reads {
                0 => portal.seen_head,
                _ => head,
            };
            self.acted(world, portal_id, head);
        }
        self.portals[portal_id].is_alive()
    }

    /// Takes entries, which lie in one lap, through the checks of a free; false if one is stale.
    fn consume(&mut self, world: &mut World, portal_id: usize, entries: &[u64]) -> bool {
        let portal = &self.portals[portal_id];
        let phase = phase(portal.release_head, portal.release_log2());
        let pool_id = portal.pool as usize;
        let before = self.pools[pool_id].list.len();
        let mut left = entries;
        let mut stale = None;
        while !left.is_empty() {
            let (freed, refusal) = self.pools[pool_id].free_entries(left, phase);
            let refused = left.get(freed).copied().unwrap_or(0);
            match refusal {
                Some(Refusal::Stale) if self.lies.tell(Lie::TakesStale) => {
                    let _ = self.pools[pool_id].free(refused & !0x3f);
                }
                Some(Refusal::Stale) => {
                    stale = Some(refused);
                    left = &left[freed..];
                    break;
                }
                Some(Refusal::Error(kind)) => {
                    let owner = Owner::PoolByPortal(pool_id as u16, portal_id as u16);
                    self.error(world, kind, Source::ReleaseRing, owner, refused & !0x3f);
                }
                None => {}
            }
            left = left.get(freed + 1..).unwrap_or_default();
        }
        let consumed = (entries.len() - left.len()) as u32;
        self.portals[portal_id].release_head =
            self.portals[portal_id].release_head.wrapping_add(consumed);
        if !self.lies.are_none() {
            self.mistreat(world, portal_id, &entries[..consumed as usize]);
        }
        self.list_moved(world, pool_id, before);
        if let Some(word) = stale {
            world.violation(
                ViolationKind::StaleEntry,
                format!("portal {portal_id}"),
                word,
            );
            self.halt(
                world,
                portal_id,
                ErrorKind::StaleEntry,
                Source::ReleaseRing,
                word,
            );
        }
        stale.is_none()
    }

    /// Does to buffers that were freed by release entries what lies say.
    #[cold]
    fn mistreat(&mut self, world: &World, portal_id: usize, entries: &[u64]) {
        let (lies, pool_id) = (self.lies, self.portals[portal_id].pool as usize);
        if lies.tell(Lie::WriteBuffers) {
            for word in entries {
                self.write_buffer(world, pool_id, word & !0x3f);
            }
        }
        if lies.tell(Lie::DropsReleases) {
            for word in entries {
                let portal = &mut self.portals[portal_id];
                portal.releases = portal.releases.wrapping_add(1);
                if portal.releases.is_multiple_of(20) {
                    self.pools[pool_id].list.drop_buffer(word & !0x3f);
                }
            }
        }
    }

    /// The doorbell was acted on as far as its release entries go: frees acquire entries, fills, reports (SPEC 6.5).
    fn acted(&mut self, world: &mut World, portal_id: usize, head: u32) {
        let portal = &mut self.portals[portal_id];
        let ahead = head.wrapping_sub(portal.acquire_head);
        if ahead <= portal.acquire_tail.wrapping_sub(portal.acquire_head) {
            portal.acquire_head = head;
        }
        if !self.serves() {
            self.portals[portal_id].owes = true;
            return;
        }
        self.fill(world, portal_id);
        let portal = &self.portals[portal_id];
        if portal.state != State::Running {
            return;
        }
        let moved = |now: u32, then: u32| now.wrapping_sub(then) >= portal.hysteresis;
        let starved = portal.room() > 0 && portal.starved;
        if starved
            || moved(portal.release_head, portal.reported_release)
            || moved(portal.acquire_head, portal.reported_acquire)
            || self.lies.tell(Lie::NeedlessLines)
        {
            let portal = &mut self.portals[portal_id];
            let is_rare = self.lies.tell(Lie::LinesAreRare);
            portal.lines_due = portal.lines_due.wrapping_add(is_rare.into());
            if portal.lines_due.is_multiple_of(4) {
                self.report(world, portal_id, 0);
            }
        }
    }
}
