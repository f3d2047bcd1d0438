//! The BMU's logic: what the device does, written from `SPEC.md` alone.
//!
//! [`Bmu`] holds the registers and acts on the [`World`] around it. `registers` dispatches accesses, `pool`
//! is the free list, `portal` the rings, `irq` and `errors` what they say of them; `config` and `faults` are what the
//! model takes from its user.

mod config;
mod errors;
mod faults;
mod irq;
mod pool;
mod portal;
mod registers;

use hwpool_devices::bmu::regs::Id;

use crate::agenda::Agenda;
use crate::faults::FaultKind;
use crate::logic::Logic;
use crate::shape::Slot;
use crate::world::{Sent, World};
use config::Config;
pub(crate) use config::MODEL;
use errors::{ErrorKind, Errors, Owner, Source};
use irq::Irqs;
use pool::Pool;
use portal::{Portal, State};

/// CONTROL.ENABLE.
const ENABLE: u32 = 1;
/// CONTROL.QUIESCE.
const QUIESCE: u32 = 2;
/// How long a soft reset takes, in picoseconds.
const RESET_TIME: u64 = 10_000_000;

/// Something that the device will do by itself.
#[derive(Debug)]
enum Task {
    /// Release entries have come that a doorbell with that ACQUIRE_HEAD had announced.
    Fetched {
        portal: u16,
        epoch: u64,
        entries: Vec<u64>,
        head: u32,
    },
    /// Look whether the portal can take buffers now.
    Fill { portal: u16, epoch: u64 },
    /// A doorbell that a fault has held back.
    Doorbell { portal: u16, value: u64 },
    /// The soft reset is over.
    Ready,
}

/// Registers and state of the device.
#[derive(Debug)]
pub(crate) struct Bmu {
    config: Config,
    agenda: Agenda<Task>,
    control: u32,
    ready: bool,
    reset_count: u32,
    liveness: u32,
    scratch: u64,
    errors: Errors,
    irqs: Irqs,
    pools: Vec<Pool>,
    portals: Vec<Portal>,
    /// Where the round of waiting portals starts next.
    turn: u32,
}

impl Bmu {
    fn new(config: Config) -> Bmu {
        Bmu {
            agenda: Agenda::new(),
            control: 0,
            ready: true,
            reset_count: 0,
            liveness: 0,
            scratch: 0,
            errors: Errors::default(),
            irqs: Irqs::default(),
            pools: (0..config.pools).map(|_| Pool::default()).collect(),
            portals: (0..config.portals).map(|_| Portal::default()).collect(),
            turn: 0,
            config,
        }
    }

    /// Tells whether portals are served.
    fn serves(&self) -> bool {
        self.ready && self.control & (ENABLE | QUIESCE) == ENABLE
    }

    /// Tells whether DMA reads are under way.
    fn reads(&self) -> bool {
        self.portals.iter().any(|portal| portal.reads > 0)
    }

    /// Does something that was put on the agenda.
    fn run(&mut self, world: &mut World, task: Task) {
        match task {
            Task::Ready => self.ready = true,
            Task::Doorbell { portal, value } => self.doorbell(world, usize::from(portal), value),
            Task::Fill { portal, epoch } => {
                let portal_id = usize::from(portal);
                // While not served this is taken up again by `resume`.
                if self.portals[portal_id].epoch == epoch && self.serves() {
                    self.fill(world, portal_id);
                }
            }
            Task::Fetched {
                portal,
                epoch,
                entries,
                head,
            } => {
                let portal_id = usize::from(portal);
                let portal = &self.portals[portal_id];
                let goes_on = matches!(portal.state, State::Running | State::Stopping);
                if portal.epoch == epoch && goes_on {
                    self.fetched(world, portal_id, entries, head);
                }
            }
        }
    }

    /// POOL_ALLOC: takes a buffer; 0 if there is none.
    fn alloc(&mut self, world: &mut World, pool_id: usize) -> u64 {
        if self.control & ENABLE == 0 || !self.pools[pool_id].enabled {
            return 0;
        }
        let pool = &mut self.pools[pool_id];
        let before = pool.list.len();
        let Some(address) = pool.list.pop() else {
            return 0;
        };
        let given = pool.spoil(world, address, "POOL_ALLOC", pool_id as u16);
        pool.last_out = given;
        self.list_moved(world, pool_id, before);
        given
    }

    /// POOL_FREE: gives a buffer back, through the checks of SPEC 4.4.
    fn free(&mut self, world: &mut World, pool_id: usize, address: u64) {
        let pool = &mut self.pools[pool_id];
        let before = pool.list.len();
        let checked = if self.control & ENABLE == 0 || !pool.enabled {
            Err(ErrorKind::Disabled)
        } else {
            pool.free(address)
        };
        match checked {
            Ok(()) => self.list_moved(world, pool_id, before),
            Err(kind) => {
                let owner = Owner::Pool(pool_id as u16);
                self.error(world, kind, Source::RegisterPath, owner, address);
            }
        }
    }

    /// The list of a pool held `before` buffers: tells of thresholds, and feeds portals that wait.
    fn list_moved(&mut self, world: &mut World, pool_id: usize, before: u32) {
        let pool = &mut self.pools[pool_id];
        let events = pool.moved(before);
        let waiting = pool.waiting;
        let grown = pool.list.len() > before;
        if events != 0 {
            self.pool_events(world, pool_id, events);
        }
        if waiting != 0 && grown {
            self.pools[pool_id].waiting = 0;
            self.feed(world, waiting);
        }
    }

    /// Has each of some portals look for buffers; another one comes first each time.
    fn feed(&mut self, world: &mut World, mask: u64) {
        self.turn = (self.turn + 1) % 64;
        let mut left = mask.rotate_right(self.turn);
        while left != 0 {
            let portal_id = (left.trailing_zeros() + self.turn) % 64;
            left &= left - 1;
            self.plan_fill(world, portal_id as usize);
        }
    }

    /// RESET: starts a soft reset where the key is right.
    fn soft_reset(&mut self, world: &mut World, key: u32) {
        if key != 0x5445_5352
            || (world.faults.hit(FaultKind::ResetDoesNothing, "RESET", 0)).is_some()
        {
            return;
        }
        self.wipe();
        world.running = 0;
        if !world.instant {
            self.ready = false;
            // What is on the wire lands before READY (SPEC 9.2).
            let over = (world.now + RESET_TIME).max(world.landed_at());
            self.agenda.plan(over, Task::Ready);
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
    }
}

impl Logic for Bmu {
    fn read(&mut self, world: &mut World, slot: Slot) -> u64 {
        let id = Id::from_place(slot.place.into());
        id.map_or(0, |id| self.read_register(world, id, slot.index))
    }

    fn write(&mut self, world: &mut World, slot: Slot, value: u64) {
        if let Some(id) = Id::from_place(slot.place.into()) {
            self.write_register(world, id, slot.index, value);
        }
    }

    fn reset(&mut self) {
        self.wipe();
    }

    fn vanish(&mut self) {
        self.wipe();
    }

    fn invalidate(&mut self) {
        for portal in &mut self.portals {
            portal.invalidate();
        }
    }

    fn has_reads(&self) -> bool {
        self.reads()
    }

    fn next_at(&self) -> Option<u64> {
        self.agenda.next_at()
    }

    fn run_next(&mut self, world: &mut World) {
        if let Some(task) = self.agenda.pop().filter(|_| !world.gone) {
            self.run(world, task);
        }
    }

    fn deliver(&mut self, world: &mut World, sent: Sent) {
        self.land(world, sent);
    }
}

impl Pool {
    /// Lets faults change the buffer that is about to be handed out; the true one then stays in the list.
    fn spoil(&mut self, world: &mut World, address: u64, register: &str, index: u16) -> u64 {
        let faults = &mut world.faults;
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
