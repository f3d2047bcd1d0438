//! The device: its registers, and their reset.

use super::config::Config;
use super::errors::Errors;
use super::lies::Lie;
use super::pool::Pool;
use super::portal::Portal;
use crate::agenda::Agenda;
use crate::faults::FaultKind;
use crate::lies::Lies;
use crate::world::World;

/// CONTROL.ENABLE.
pub(super) const ENABLE: u32 = 1;
/// CONTROL.QUIESCE.
pub(super) const QUIESCE: u32 = 2;
/// How long a soft reset takes, in picoseconds.
const RESET_TIME: u64 = 10_000_000;

/// Something that the device will do by itself.
#[derive(Debug)]
pub(super) enum Task {
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

/// IRQ_PENDING and IRQ_ENABLE.
#[derive(Debug, Default)]
pub(super) struct Irqs {
    pub(super) pending: u32,
    pub(super) enable: u32,
}

/// Registers and state of the device.
#[derive(Debug)]
pub(super) struct Bmu {
    pub(super) config: Config,
    /// What it lies about.
    pub(super) lies: Lies,
    pub(super) agenda: Agenda<Task>,
    pub(super) control: u32,
    pub(super) ready: bool,
    pub(super) reset_count: u32,
    pub(super) liveness: u32,
    pub(super) scratch: u64,
    pub(super) errors: Errors,
    pub(super) irqs: Irqs,
    pub(super) pools: Vec<Pool>,
    pub(super) portals: Vec<Portal>,
    /// Where the round of waiting portals starts next.
    pub(super) turn: u32,
}

impl Bmu {
    pub(super) fn new(config: Config, lies: Lies) -> Bmu {
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
            lies,
        }
    }

    /// Tells whether portals are served.
    pub(super) fn serves(&self) -> bool {
        const QUIESCED: u32 = ENABLE | QUIESCE;
        let is_enabled = match self.control & QUIESCED {
            ENABLE => true,
            QUIESCED => self.lies.tell(Lie::DmaWhenQuiesced),
            _ => false,
        };
        self.ready && is_enabled
    }

    /// Tells whether DMA reads are under way.
    pub(super) fn reads(&self) -> bool {
        self.portals.iter().any(|portal| portal.reads > 0)
    }

    /// RESET: starts a soft reset where the key is right.
    pub(super) fn soft_reset(&mut self, world: &mut World, key: u32) {
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
    pub(super) fn wipe(&mut self) {
        self.control = 0;
        self.ready = true;
        let lies = self.lies;
        let resets = if lies.tell(Lie::ResetCountsFive) {
            5
        } else {
            1
        };
        self.reset_count = (self.reset_count + resets) & 0x7fff_ffff;
        (self.liveness, self.scratch) = (0, 0);
        self.errors = Errors::default();
        let enable = self.irqs.enable;
        self.irqs = Irqs::default();
        if lies.tell(Lie::ResetKeepsIrqEnable) {
            self.irqs.enable = enable;
        }
        for pool in &mut self.pools {
            pool.reset(lies);
        }
        let kept = lies.tell(Lie::ResetKeepsPortals);
        for portal in self.portals.iter_mut().filter(|_| !kept) {
            portal.reset();
        }
    }
}
