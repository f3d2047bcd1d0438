//! Portals: states, rings, doorbells and status lines (SPEC 6).

use std::collections::VecDeque;

use super::errors::{ErrorKind, Owner, Source};
use super::{Bmu, bits};
use crate::faults::FaultKind;
use crate::iommu::Span;
use crate::violation::ViolationKind;
use crate::world::{Task, Upstream, World};

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

/// Status line, word 1: the list is empty.
const EMPTY: u64 = 1 << 32;
/// Status line, word 1: the portal halted.
const HALTED: u64 = 1 << 33;
/// Status line, word 1: the portal stopped.
const STOPPED: u64 = 1 << 34;
/// Most release entries that one DMA read asks for.
const FETCH: u32 = 4096;

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
    /// Release entries read and not consumed yet, and the reads under way.
    read: VecDeque<u64>,
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
        self.read.clear();
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

    /// Acts on a write of PORTAL_DOORBELL (SPEC 6.4).
    pub(crate) fn doorbell(&mut self, w: &mut World, q: usize, value: u64) {
        match self.portals[q].state {
            State::Running => {}
            State::Halted => return,
            State::Disabled | State::Stopping => return self.refuse_doorbell(w, q, value),
        }
        let portal = &mut self.portals[q];
        if portal.rung == Some(value) {
            return; // a state, not an event
        }
        let (tail, head) = (value as u32, (value >> 32) as u32);
        let entries = 1u32 << portal.release_log2();
        if tail.wrapping_sub(portal.release_head) > entries {
            return self.bad_doorbell(w, q, value, Source::ReleaseRing);
        }
        let written = portal.acquire_tail.wrapping_sub(portal.seen_head);
        if head.wrapping_sub(portal.seen_head) > written {
            return self.bad_doorbell(w, q, value, Source::AcquireRing);
        }
        portal.rung = Some(value);
        portal.seen_head = head;
        // What was asked for already can't be taken back.
        if tail.wrapping_sub(portal.asked) <= entries {
            portal.announced = tail;
        }
        self.serve(w, q);
    }

    fn refuse_doorbell(&mut self, w: &mut World, q: usize, value: u64) {
        let place = format!("PORTAL_DOORBELL[{q}]");
        w.violation(ViolationKind::DoorbellDisabled, place, value);
        let owner = Owner::Portal(q as u16);
        self.error(w, ErrorKind::Disabled, Source::ReleaseRing, owner, value);
    }

    fn bad_doorbell(&mut self, w: &mut World, q: usize, value: u64, source: Source) {
        let place = format!("PORTAL_DOORBELL[{q}]");
        w.violation(ViolationKind::BadDoorbell, place, value);
        self.halt(w, q, ErrorKind::BadDoorbell, source, value);
    }

    /// Asks for the release entries that were announced, then acts on the doorbell.
    fn serve(&mut self, w: &mut World, q: usize) {
        if !self.serves() {
            self.portals[q].owes = true;
            return;
        }
        while self.portals[q].asked != self.portals[q].announced {
            if !self.fetch(w, q) {
                return;
            }
        }
        if self.portals[q].reads == 0 {
            self.acted(w, q, self.portals[q].seen_head);
        }
    }

    /// Reads a run of release entries; false if the bus refused.
    fn fetch(&mut self, w: &mut World, q: usize) -> bool {
        let portal = &mut self.portals[q];
        let log2 = portal.release_log2();
        let index = portal.asked & ((1 << log2) - 1);
        let wanted = portal.announced.wrapping_sub(portal.asked);
        let count = wanted.min((1 << log2) - index).min(FETCH);
        let offset = u64::from(index) * 8;
        let view = if w.may_dma(q as u16) {
            portal.release.at(&w.iommu, offset)
        } else {
            None
        };
        let Some(view) = view else {
            let iova = portal.release.iova(offset);
            self.dma_fault(w, q, Source::ReleaseRing, iova);
            return false;
        };
        let count = count.min((view.len / 8) as u32);
        portal
            .read
            .extend((0..count as usize).map(|i| view.load(i)));
        portal.asked = portal.asked.wrapping_add(count);
        portal.reads += 1;
        let done = w.account_read(u64::from(count) * 8) + w.jitter();
        portal.fetched_at = portal.fetched_at.max(done);
        let task = Task::Fetched {
            portal: q as u16,
            epoch: portal.epoch,
            count,
            head: portal.seen_head,
        };
        if w.instant {
            self.run(w, task);
        } else {
            w.plan(portal.fetched_at, task);
        }
        self.portals[q].is_alive()
    }

    /// Release entries have come: consumes them.
    pub(super) fn fetched(&mut self, w: &mut World, q: usize, count: u32, head: u32) {
        self.portals[q].reads -= 1;
        if !self.consume(w, q, count) {
            return;
        }
        let portal = &self.portals[q];
        let (reads, done) = (portal.reads, portal.release_head == portal.announced);
        if portal.state == State::Stopping {
            return self.finish_stop(w, q);
        }
        if !w.instant && (reads > 0 || done) {
            let head = if reads == 0 { portal.seen_head } else { head };
            self.acted(w, q, head);
        }
    }

    /// Takes `count` entries through the checks of a free; false if one is stale.
    fn consume(&mut self, w: &mut World, q: usize, count: u32) -> bool {
        let p = self.portals[q].pool as usize;
        let before = self.pools[p].list.len();
        let log2 = self.portals[q].release_log2();
        for _ in 0..count {
            let portal = &mut self.portals[q];
            let Some(word) = portal.read.pop_front() else {
                break;
            };
            if word & 0x3f != phase(portal.release_head, log2) {
                self.list_moved(w, p, before);
                w.violation(ViolationKind::StaleEntry, format!("portal {q}"), word);
                self.halt(w, q, ErrorKind::StaleEntry, Source::ReleaseRing, word);
                return false;
            }
            portal.release_head = portal.release_head.wrapping_add(1);
            let address = word & !0x3f;
            if let Err(kind) = self.pools[p].free(address) {
                let owner = Owner::PoolByPortal(p as u16, q as u16);
                self.error(w, kind, Source::ReleaseRing, owner, address);
            }
        }
        self.list_moved(w, p, before);
        true
    }

    /// The doorbell was acted on as far as its release entries go: frees acquire entries, fills, reports (SPEC 6.5).
    fn acted(&mut self, w: &mut World, q: usize, head: u32) {
        let portal = &mut self.portals[q];
        let ahead = head.wrapping_sub(portal.acquire_head);
        if ahead <= portal.acquire_tail.wrapping_sub(portal.acquire_head) {
            portal.acquire_head = head;
        }
        if !self.serves() {
            self.portals[q].owes = true;
            return;
        }
        self.fill(w, q);
        let portal = &self.portals[q];
        if portal.state != State::Running {
            return;
        }
        let moved = |now: u32, then: u32| now.wrapping_sub(then) >= portal.hysteresis;
        let starved = portal.room() > 0 && portal.starved;
        if starved
            || moved(portal.release_head, portal.reported_release)
            || moved(portal.acquire_head, portal.reported_acquire)
        {
            self.report(w, q, 0);
        }
    }

    /// Fills the acquire ring; the first time since the portal was enabled, the status line says how far.
    pub(super) fn fill(&mut self, w: &mut World, q: usize) {
        self.write_entries(w, q);
        if self.portals[q].state == State::Running && self.portals[q].sequence == 0 {
            self.report(w, q, 0);
        }
    }

    /// Writes acquire entries as long as there are credits and buffers.
    fn write_entries(&mut self, w: &mut World, q: usize) {
        while self.portals[q].state == State::Running && self.portals[q].room() > 0 {
            let p = self.portals[q].pool as usize;
            if self.pools[p].list.len() == 0 {
                self.portals[q].starved = true;
                self.pools[p].waiting |= 1 << q;
                return;
            }
            if !self.fill_run(w, q) {
                return;
            }
        }
    }

    /// Writes entries up to the ring's or the mapping's end; false if the bus refused.
    fn fill_run(&mut self, w: &mut World, q: usize) -> bool {
        let portal = &mut self.portals[q];
        let log2 = portal.acquire_log2();
        let first = portal.acquire_tail;
        let index = first & ((1 << log2) - 1);
        let offset = u64::from(index) * 8;
        let iova = portal.acquire.iova(offset);
        let view = if w.may_dma(q as u16) {
            portal.acquire.at(&w.iommu, offset)
        } else {
            None
        };
        let Some(len) = view.map(|view| view.len) else {
            self.dma_fault(w, q, Source::AcquireRing, iova);
            return false;
        };
        let count = (portal.room().min((1 << log2) - index)).min((len / 8) as u32);
        let news = portal.starved && portal.acquire_tail == portal.acquire_head;
        portal.starved = false;
        let p = portal.pool as usize;
        let before = self.pools[p].list.len();
        self.pools[p].waiting &= !(1 << q);
        let mut words = w.words();
        self.take_words(w, q, count, &mut words);
        let portal = &mut self.portals[q];
        portal.acquire_tail = first.wrapping_add(words.len() as u32);
        let at = w.account_write(words.len() as u64 * 8);
        let entries = Upstream::Entries {
            portal: q as u16,
            epoch: portal.epoch,
            first,
            iova,
            words,
        };
        self.put(w, at, entries);
        self.list_moved(w, p, before);
        if news {
            self.portal_events(w, q, 1);
        }
        self.portals[q].state == State::Running
    }

    /// Takes up to `count` buffers from the list as ring entries.
    fn take_words(&mut self, w: &mut World, q: usize, count: u32, words: &mut Vec<u64>) {
        let portal = &self.portals[q];
        let pool = &mut self.pools[portal.pool as usize];
        // A run ends where the ring does, so that it has one phase.
        let phase = phase(portal.acquire_tail, portal.acquire_log2());
        let list = &mut pool.list;
        words.extend((0..count).map_while(|_| list.pop()).map(|a| a | phase));
        if w.faults.any(FaultKind::DuplicateBuffer)
            || w.faults.any(FaultKind::OutOfRangeBuffer)
            || w.faults.any(FaultKind::MisalignedBuffer)
            || w.faults.any(FaultKind::StaleEntry)
        {
            for word in words.iter_mut() {
                let address = *word & !0x3f;
                let given = pool.spoil(w, address, "PORTAL_DOORBELL", q as u16) & !0x3f;
                let stale = w
                    .faults
                    .hit(FaultKind::StaleEntry, "PORTAL_DOORBELL", q as u16);
                *word = given | (phase ^ u64::from(stale.is_some()));
                pool.last_out = given;
            }
        } else if let Some(word) = words.last() {
            pool.last_out = *word & !0x3f;
        }
    }

    /// Writes the status line.
    fn report(&mut self, w: &mut World, q: usize, flags: u64) {
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
        portal.read.clear();
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

    /// Has a portal look for buffers a little later, in an order that chance chooses.
    pub(super) fn plan_fill(&mut self, w: &mut World, q: usize) {
        if w.instant {
            if self.serves() {
                self.fill(w, q);
            }
            return;
        }
        let at = w.now + w.jitter();
        let (portal, epoch) = (q as u16, self.portals[q].epoch);
        w.plan(at, Task::Fill { portal, epoch });
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

    fn land_entries(&mut self, w: &mut World, q: usize, first: u32, words: &[u64]) {
        let portal = &mut self.portals[q];
        if portal.landed != first {
            return self.take_back(w, q, words); // one before it was refused
        }
        let index = first & ((1 << portal.acquire_log2()) - 1);
        let offset = u64::from(index) * 8;
        let Some(view) = portal
            .acquire
            .at(&w.iommu, offset)
            .filter(|v| v.len >= words.len() * 8)
        else {
            let iova = portal.acquire.iova(offset);
            portal.acquire_tail = first;
            self.take_back(w, q, words);
            if self.portals[q].is_alive() {
                self.dma_fault(w, q, Source::AcquireRing, iova);
            }
            return;
        };
        if w.faults.any(FaultKind::LostEntry) {
            for (i, word) in words.iter().enumerate() {
                let lost = w
                    .faults
                    .hit(FaultKind::LostEntry, "PORTAL_DOORBELL", q as u16);
                if lost.is_none() {
                    view.store(i, *word);
                }
            }
        } else {
            for (i, word) in words.iter().enumerate() {
                view.store(i, *word);
            }
        }
        portal.landed = first.wrapping_add(words.len() as u32);
    }

    /// Puts the buffers of refused entries back into the list.
    fn take_back(&mut self, w: &mut World, q: usize, words: &[u64]) {
        let p = self.portals[q].pool as usize;
        let before = self.pools[p].list.len();
        for word in words.iter().rev() {
            // Through the checks: a fault may have spoiled the word.
            let _ = self.pools[p].free(word & !0x3f);
        }
        self.list_moved(w, p, before);
    }

    fn land_status(
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

/// Stores words at the start of a span, in rising order.
fn store(span: &mut Span, w: &World, words: &[u64]) -> Option<()> {
    let view = span.at(&w.iommu, 0).filter(|v| v.len >= words.len() * 8)?;
    for (i, word) in words.iter().enumerate() {
        view.store(i, *word);
    }
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
