//! The acquire ring (SPEC 6.3, 6.4, 6.6).

use super::super::lies::Lie;
use super::sent::{Kind, lose, may_dma};
use crate::bmu::device::{Bmu, Task};
use crate::bmu::errors::{ErrorKind, Source};
use crate::bmu::portal::{State, phase};
use crate::faults::{FaultKind, Faults};
use crate::iommu::View;
use crate::world::{Sent, Upstream, World};

impl Bmu {
    /// Fills the acquire ring; the first time since the portal was enabled, the status line says how far.
    pub(in crate::bmu) fn fill(&mut self, world: &mut World, portal_id: usize) {
        self.write_entries(world, portal_id);
        if self.portals[portal_id].state == State::Running && self.portals[portal_id].sequence == 0
        {
            self.report(world, portal_id, 0);
        }
    }

    /// Writes acquire entries as long as there are credits and buffers.
    fn write_entries(&mut self, world: &mut World, portal_id: usize) {
        while self.portals[portal_id].state == State::Running && self.portals[portal_id].room() > 0
        {
            let pool_id = self.portals[portal_id].pool as usize;
            if self.pools[pool_id].list.len() == 0 {
                self.portals[portal_id].starved = true;
                self.pools[pool_id].waiting |= 1 << portal_id;
                return;
            }
            if !self.fill_run(world, portal_id) {
                return;
            }
        }
    }

    /// Writes entries up to the ring's or the mapping's end; false if the bus refused.
    fn fill_run(&mut self, world: &mut World, portal_id: usize) -> bool {
        let sees = self.sees_refusal(world);
        let portal = &mut self.portals[portal_id];
        let log2 = portal.acquire_log2();
        let first = portal.acquire_tail;
        let index = first & ((1 << log2) - 1);
        let offset = u64::from(index) * 8;
        let iova = portal.acquire.iova(offset);
        let view = if may_dma(world, portal_id as u16) {
            portal.acquire.at(&world.iommu, offset)
        } else {
            None
        };
        let is_lost = view.is_none();
        let len = match view.map(|view| view.len) {
            Some(len) => len,
            None if sees => {
                self.dma_fault(world, portal_id, Source::AcquireRing, iova);
                return false;
            }
            None => 8 << log2,
        };
        let count = (portal.room().min((1 << log2) - index)).min((len / 8) as u32);
        let news = portal.starved && portal.acquire_tail == portal.acquire_head;
        portal.starved = false;
        let pool_id = portal.pool as usize;
        let before = self.pools[pool_id].list.len();
        self.pools[pool_id].waiting &= !(1 << portal_id);
        let mut words = world.words();
        self.take_words(world, portal_id, count, &mut words);
        let portal = &mut self.portals[portal_id];
        portal.acquire_tail = first.wrapping_add(words.len() as u32);
        let at = world.account_write(words.len() as u64 * 8);
        let ticket = Kind::Entries { first }.ticket(portal_id, portal.epoch);
        let sent = Sent {
            iova,
            words,
            ticket,
        };
        // At once in real time.
        match world.instant {
            _ if is_lost => lose(world, portal_id, sent),
            true => self.land(world, sent),
            false => world.send(at, Upstream::Write(sent)),
        }
        self.list_moved(world, pool_id, before);
        if news {
            self.portal_events(world, portal_id, 1);
        }
        self.portals[portal_id].state == State::Running
    }

    /// Takes up to `count` buffers from the list as ring entries.
    fn take_words(
        &mut self,
        world: &mut World,
        portal_id: usize,
        count: u32,
        words: &mut Vec<u64>,
    ) {
        let portal = &self.portals[portal_id];
        let pool = &mut self.pools[portal.pool as usize];
        // A run ends where the ring does, so that it has one phase.
        let phase = phase(portal.acquire_tail, portal.acquire_log2());
        pool.list.pop_entries(count, phase, words);
        if self.lies.tell(Lie::DirtyEntries) {
            words.iter_mut().for_each(|word| *word |= 2);
        }
        if world.faults.any(FaultKind::DuplicateBuffer)
            || world.faults.any(FaultKind::OutOfRangeBuffer)
            || world.faults.any(FaultKind::MisalignedBuffer)
            || world.faults.any(FaultKind::StaleEntry)
        {
            for word in words.iter_mut() {
                let address = *word & !0x3f;
                let given = pool.spoil(world, address, "PORTAL_DOORBELL", portal_id as u16) & !0x3f;
                let stale =
                    world
                        .faults
                        .hit(FaultKind::StaleEntry, "PORTAL_DOORBELL", portal_id as u16);
                *word = given | (phase ^ u64::from(stale.is_some()));
                pool.last_out = given;
            }
        } else if let Some(word) = words.last() {
            pool.last_out = *word & !0x3f;
        }
    }

    /// Has a portal look for buffers a little later, in an order that chance chooses.
    pub(in crate::bmu) fn plan_fill(&mut self, world: &mut World, portal_id: usize) {
        if world.instant {
            if self.serves() {
                self.fill(world, portal_id);
            }
            return;
        }
        let at = world.now + world.jitter();
        let (portal, epoch) = (portal_id as u16, self.portals[portal_id].epoch);
        self.agenda.plan(at, Task::Fill { portal, epoch });
    }

    pub(super) fn land_entries(
        &mut self,
        world: &mut World,
        portal_id: usize,
        first: u32,
        words: &[u64],
    ) {
        let sees = self.config.write_faults;
        let portal = &mut self.portals[portal_id];
        if portal.landed != first && sees {
            return self.take_back(world, portal_id, words); // one before it was refused
        }
        let index = first & ((1 << portal.acquire_log2()) - 1);
        let offset = u64::from(index) * 8;
        let view = portal.acquire.at(&world.iommu, offset);
        let view = view.filter(|view| view.len >= words.len() * 8);
        let faults = &mut world.faults;
        let stored = view.is_some_and(|view| store_entries(&view, faults, portal_id, words));
        if !stored && sees {
            let iova = portal.acquire.iova(offset);
            portal.acquire_tail = first;
            self.take_back(world, portal_id, words);
            if self.portals[portal_id].is_alive() {
                self.dma_fault(world, portal_id, Source::AcquireRing, iova);
            }
            return;
        }
        portal.landed = first.wrapping_add(words.len() as u32);
    }

    /// Puts the buffers of refused entries back into the list.
    fn take_back(&mut self, world: &mut World, portal_id: usize, words: &[u64]) {
        let pool_id = self.portals[portal_id].pool as usize;
        let before = self.pools[pool_id].list.len();
        for word in words.iter().rev() {
            let address = word & !0x3f;
            // Through the checks, since a fault may have spoiled the word; but POOL_CAPACITY is no bound (SPEC 6.7).
            let pool = &mut self.pools[pool_id];
            if pool.free(address) == Err(ErrorKind::Overflow) {
                pool.list.put_back(address);
            }
        }
        self.list_moved(world, pool_id, before);
    }
}

/// Stores entries, but for those that a fault loses; false: the bus refused.
fn store_entries(view: &View<'_>, faults: &mut Faults, portal: usize, words: &[u64]) -> bool {
    if !faults.any(FaultKind::LostEntry) {
        return view.store_all(words);
    }
    let mut lost = || faults.hit(FaultKind::LostEntry, "PORTAL_DOORBELL", portal as u16);
    let mut each = words.iter().enumerate();
    each.all(|(i, word)| lost().is_some() || view.store(i, *word))
}
