//! The status line (SPEC 6.5).

use super::super::lies::Lie;
use super::life::{HALTED, STOPPED};
use super::sent::{Kind, lose, may_dma, store};
use crate::bmu::device::Bmu;
use crate::bmu::errors::{ErrorKind, Owner, Source};
use crate::bmu::portal::{Portal, State};
use crate::faults::FaultKind;
use crate::iommu::Span;
use crate::lies::Lies;
use crate::world::{Sent, Upstream, World};

/// Word 1: the list is empty.
const EMPTY: u64 = 1 << 32;

impl Bmu {
    /// Writes the status line.
    pub(super) fn report(&mut self, world: &mut World, portal_id: usize, flags: u64) {
        let is_refused = !may_dma(world, portal_id as u16)
            || self.portals[portal_id]
                .line
                .at(&world.iommu, 0)
                .is_none_or(|v| v.len < 32);
        if is_refused && self.sees_refusal(world) {
            let iova = self.portals[portal_id].status_base;
            if self.portals[portal_id].state != State::Halted {
                self.dma_fault(world, portal_id, Source::AcquireRing, iova);
            } else if self.lies.tell(Lie::HaltedLineFaults) {
                let owner = Owner::Portal(portal_id as u16);
                self.error(world, ErrorKind::DmaFault, Source::AcquireRing, owner, iova);
            }
            return;
        }
        let at = world.account_write(32);
        world.counters.status_lines += 1;
        let line = self.status_line(world, portal_id, flags);
        let portal = &mut self.portals[portal_id];
        portal.reported_release = portal.release_head;
        portal.reported_acquire = portal.acquire_head;
        let (iova, epoch) = (portal.status_base, portal.epoch);
        let last = flags & STOPPED != 0;
        if is_refused {
            let (words, ticket) = (
                world.words(),
                Kind::Status { last }.ticket(portal_id, epoch),
            );
            lose(
                world,
                portal_id,
                Sent {
                    iova,
                    words,
                    ticket,
                },
            );
            return self.line_is_out(world, portal_id, last);
        }
        if world.instant {
            return self.land_status(world, portal_id, iova, &line, last);
        }
        let mut words = world.words();
        words.extend(line);
        let ticket = Kind::Status { last }.ticket(portal_id, epoch);
        let sent = Sent {
            iova,
            words,
            ticket,
        };
        world.send(at, Upstream::Write(sent));
    }

    fn status_line(&mut self, world: &mut World, portal_id: usize, flags: u64) -> [u64; 4] {
        let portal = &mut self.portals[portal_id];
        let available = self.pools[portal.pool as usize].list.len();
        portal.sequence += 1;
        let empty = if available == 0 { EMPTY } else { 0 };
        let mut spoil = |name: &str, count: u32| {
            let wrong = world
                .faults
                .hit(FaultKind::WrongCount, name, portal_id as u16);
            count.wrapping_add(wrong.unwrap_or(0) as u32)
        };
        let release = spoil("PORTAL_RELEASE_HEAD", portal.release_head);
        let acquire = spoil("PORTAL_ACQUIRE_TAIL", portal.acquire_tail);
        let available = spoil("POOL_AVAILABLE", available);
        let line = [
            u64::from(release) | u64::from(acquire) << 32,
            u64::from(portal.acquire_head) | empty | flags,
            available.into(),
            portal.sequence,
        ];
        match self.lies.are_none() {
            true => line,
            false => bent(portal, self.lies, line),
        }
    }

    pub(super) fn land_status(
        &mut self,
        world: &mut World,
        portal_id: usize,
        iova: u64,
        line: &[u64],
        last: bool,
    ) {
        let stored = store(&mut self.portals[portal_id].line, world, line);
        if self.lies.tell(Lie::LongLine) {
            let _ = store(&mut Span::new(iova + 32, 32), world, &[0; 4]);
        }
        if stored.is_none() && self.config.write_faults && self.portals[portal_id].is_alive() {
            return self.dma_fault(world, portal_id, Source::AcquireRing, iova);
        }
        self.line_is_out(world, portal_id, last);
    }

    /// A portal that stops is disabled when its last line is out.
    fn line_is_out(&mut self, world: &mut World, portal_id: usize, last: bool) {
        if last && self.portals[portal_id].state == State::Stopping {
            self.end_portal(world, portal_id);
        }
    }
}

/// Returns a status line with what lies make of it.
#[cold]
fn bent(portal: &mut Portal, lies: Lies, line: [u64; 4]) -> [u64; 4] {
    let [counts, mut word, available, _] = line;
    if lies.tell(Lie::SequenceStands) {
        portal.sequence = 1;
    }
    for (lie, set, cleared) in [
        (Lie::AlwaysEmpty, EMPTY, 0),
        (Lie::NeverEmpty, 0, EMPTY),
        (Lie::NeverHalted, 0, HALTED),
        (Lie::AlwaysStopped, STOPPED, 0),
        (Lie::HeadStands, 0, u32::MAX.into()),
    ] {
        if lies.tell(lie) {
            word = (word | set) & !cleared;
        }
    }
    let available = available + u64::from(lies.tell(Lie::LineMiscounts));
    let told = portal.told;
    portal.told = [counts, told[0]];
    let counts = match portal.sequence % 3 {
        0 if lies.tell(Lie::LineGoesBack) => told[1],
        _ if lies.tell(Lie::LineStaysBehind) => told[0],
        _ => counts,
    };
    [counts, word, available, portal.sequence]
}
