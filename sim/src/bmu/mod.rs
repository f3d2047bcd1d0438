//! The BMU's logic: what the device does, written from `SPEC.md` alone.
//!
//! [`Bmu`] holds the registers and acts on the [`World`] around it. `registers` decodes and dispatches accesses, `pool`
//! is the free list, `portal` the rings, `irq` and `errors` what they say of them.

mod errors;
mod irq;
mod pool;
mod portal;
mod registers;

use crate::faults::FaultKind;
use crate::world::{Task, World};
use errors::{ErrorKind, Errors, Owner, Source};
use irq::Irqs;
use pool::Pool;
use portal::{Portal, State};
pub(crate) use registers::{Id, Slot, find};

/// CONTROL.ENABLE.
const ENABLE: u32 = 1;
/// CONTROL.QUIESCE.
const QUIESCE: u32 = 2;
/// How long a soft reset takes, in picoseconds.
const RESET_TIME: u64 = 10_000_000;
/// How long after a function level reset nobody may access the function (PCIe 6.6.2), in picoseconds.
pub(crate) const FLR_TIME: u64 = 100_000_000_000;

/// Registers and state of the device.
#[derive(Debug)]
pub(crate) struct Bmu {
    control: u32,
    ready: bool,
    /// Not in the 100 ms after a function level reset.
    pub(crate) alive: bool,
    reset_count: u32,
    liveness: u32,
    scratch: u64,
    errors: Errors,
    irqs: Irqs,
    pools: Vec<Pool>,
    portals: Vec<Portal>,
    /// Portals that run, a bit each.
    pub(crate) running: u64,
    /// Where the round of waiting portals starts next.
    turn: u32,
}

impl Bmu {
    pub(crate) fn new(pools: u16, portals: u16) -> Bmu {
        Bmu {
            control: 0,
            ready: true,
            alive: true,
            reset_count: 0,
            liveness: 0,
            scratch: 0,
            errors: Errors::default(),
            irqs: Irqs::default(),
            pools: (0..pools).map(|_| Pool::default()).collect(),
            portals: (0..portals).map(|_| Portal::default()).collect(),
            running: 0,
            turn: 0,
        }
    }

    /// Tells whether portals are served.
    fn serves(&self) -> bool {
        self.ready && self.control & (ENABLE | QUIESCE) == ENABLE
    }

    /// Tells whether DMA reads are under way.
    pub(crate) fn has_reads(&self) -> bool {
        self.portals.iter().any(|portal| portal.reads > 0)
    }

    /// Has every portal forget its translations, so that none keeps unmapped memory.
    pub(crate) fn invalidate(&mut self) {
        for portal in &mut self.portals {
            portal.invalidate();
        }
    }

    /// Does something that was put on the agenda.
    pub(crate) fn run(&mut self, w: &mut World, task: Task) {
        match task {
            Task::Ready => self.ready = true,
            Task::Alive => self.alive = true,
            Task::Doorbell { portal, value } => self.doorbell(w, usize::from(portal), value),
            Task::Fill { portal, epoch } => {
                let q = usize::from(portal);
                // While not served this is taken up again by `resume`.
                if self.portals[q].epoch == epoch && self.serves() {
                    self.fill(w, q);
                }
            }
            Task::Fetched {
                portal,
                epoch,
                entries,
                head,
            } => {
                let q = usize::from(portal);
                let portal = &self.portals[q];
                let goes_on = matches!(portal.state, State::Running | State::Stopping);
                if portal.epoch == epoch && goes_on {
                    self.fetched(w, q, entries, head);
                }
            }
        }
    }

    /// Something sent has arrived in host memory.
    pub(crate) fn deliver(&mut self, w: &mut World, item: crate::world::Upstream) {
        self.land(w, item);
    }

    /// POOL_ALLOC: takes a buffer; 0 if there is none.
    fn alloc(&mut self, w: &mut World, p: usize) -> u64 {
        if self.control & ENABLE == 0 || !self.pools[p].enabled {
            return 0;
        }
        let pool = &mut self.pools[p];
        let before = pool.list.len();
        let Some(address) = pool.list.pop() else {
            return 0;
        };
        let given = pool.spoil(w, address, "POOL_ALLOC", p as u16);
        pool.last_out = given;
        self.list_moved(w, p, before);
        given
    }

    /// POOL_FREE: gives a buffer back, through the checks of SPEC 4.4.
    fn free(&mut self, w: &mut World, p: usize, address: u64) {
        let pool = &mut self.pools[p];
        let before = pool.list.len();
        let checked = if self.control & ENABLE == 0 || !pool.enabled {
            Err(ErrorKind::Disabled)
        } else {
            pool.free(address)
        };
        match checked {
            Ok(()) => self.list_moved(w, p, before),
            Err(kind) => {
                let owner = Owner::Pool(p as u16);
                self.error(w, kind, Source::RegisterPath, owner, address);
            }
        }
    }

    /// The list of a pool held `before` buffers: tells of thresholds, and feeds portals that wait.
    fn list_moved(&mut self, w: &mut World, p: usize, before: u32) {
        let pool = &mut self.pools[p];
        let events = pool.moved(before);
        let waiting = pool.waiting;
        let grown = pool.list.len() > before;
        if events != 0 {
            self.pool_events(w, p, events);
        }
        if waiting != 0 && grown {
            self.pools[p].waiting = 0;
            self.feed(w, waiting);
        }
    }

    /// Has each of some portals look for buffers; another one comes first each time.
    fn feed(&mut self, w: &mut World, mask: u64) {
        self.turn = (self.turn + 1) % 64;
        let mut left = mask.rotate_right(self.turn);
        while left != 0 {
            let q = (left.trailing_zeros() + self.turn) % 64;
            left &= left - 1;
            self.plan_fill(w, q as usize);
        }
    }

    /// Starts a soft reset.
    fn soft_reset(&mut self, w: &mut World) {
        if (w.faults.hit(FaultKind::ResetDoesNothing, "RESET", 0)).is_some() {
            return;
        }
        self.wipe();
        if !w.instant {
            self.ready = false;
            // What is on the wire lands before READY (SPEC 9.2).
            let landed = w.upstream.back().map_or(0, |(at, _)| *at);
            w.plan((w.now + RESET_TIME).max(landed), Task::Ready);
        }
    }

    /// Does a function level reset.
    pub(crate) fn function_reset(&mut self, w: &mut World) {
        self.wipe();
        if !w.instant {
            self.alive = false;
            w.plan(w.now + FLR_TIME, Task::Alive);
        }
    }

    /// Puts every register to its reset value and forgets every buffer (SPEC 9.2).
    fn wipe(&mut self) {
        self.control = 0;
        self.ready = true;
        self.reset_count = (self.reset_count + 1) & 0x7fff_ffff;
        (self.liveness, self.scratch) = (0, 0);
        self.errors = Errors::default();
        self.irqs = Irqs::default();
        for pool in &mut self.pools {
            *pool = Pool::default();
        }
        for portal in &mut self.portals {
            portal.reset();
        }
        self.running = 0;
    }

    /// The function has vanished: nothing goes on in it.
    pub(crate) fn vanish(&mut self) {
        self.wipe();
    }
}

impl Pool {
    /// Lets faults change the buffer that is about to be handed out; the true one then stays in the list.
    fn spoil(&mut self, w: &mut World, address: u64, register: &str, index: u16) -> u64 {
        let faults = &mut w.faults;
        let given = if faults
            .hit(FaultKind::DuplicateBuffer, register, index)
            .is_some()
        {
            if self.last_out == 0 {
                address
            } else {
                self.last_out
            }
        } else if let Some(value) = faults.hit(FaultKind::OutOfRangeBuffer, register, index) {
            if value == 0 { self.end } else { value }
        } else if faults
            .hit(FaultKind::MisalignedBuffer, register, index)
            .is_some()
        {
            return address + if self.stride > 64 { 64 } else { 8 };
        } else {
            return address;
        };
        self.list.put_back(address);
        given
    }
}

/// Cuts `len` bits from `low` on.
fn bits(value: u32, low: u32, len: u32) -> u32 {
    value >> low & ((1 << len) - 1)
}
