//! What registers read and what writes do (SPEC 4).

use hwpool_devices::bmu::regs::Id;

use super::device::{Bmu, QUIESCE, Task};
use super::errors::{ErrorKind, Owner, Source};
use super::lies::Lie;
use super::pool::DEPLETED;
use super::portal::State;
use crate::faults::FaultKind;
use crate::violation::ViolationKind;
use crate::world::World;

/// Longest delay that a fault can ask for, an hour: the clock, in picoseconds, goes on from there without wrapping.
const LONGEST_DELAY_NS: u64 = 3_600_000_000_000;

impl Bmu {
    /// Reads a register that exists, of the device, a pool or a portal.
    pub(super) fn read_register(&mut self, world: &mut World, id: Id, index: u16) -> u64 {
        if !self.ready && id != Id::STATUS {
            world.violation(ViolationKind::InReset, id.row().place(index), 0);
            return 0;
        }
        let i = usize::from(index);
        match id {
            Id::MAGIC => 0x3155_4d42,
            Id::VERSION => 0x0001_0000 | u64::from(self.config.minor),
            Id::IMPLEMENTATION => 0x0001_0001,
            Id::LIVENESS => self.liveness.into(),
            Id::SCRATCH => self.scratch,
            Id::CAP_COUNTS => self.config.counts(),
            Id::CAP_RINGS => self.config.rings(),
            Id::CAP_ADDRESS => self.config.address(),
            Id::CAP_FEATURES => self.config.features(),
            Id::CAP_BUFFERS => self.config.buffers,
            Id::CAP_TIMEOUT => self.config.timeout_ms.into(),
            Id::CAP_EMPTYING => self.config.emptying_ms.into(),
            Id::CONTROL => self.control.into(),
            Id::STATUS => self.status(world),
            Id::RESET_COUNT => self.reset_count.into(),
            Id::ERR_STATUS | Id::ERR_STATUS_SET => self.errors.status.into(),
            Id::ERR_ENABLE_SET | Id::ERR_ENABLE_CLEAR => self.errors.enable.into(),
            Id::ERR_RECORD => self.errors.record,
            Id::ERR_ADDRESS => self.errors.address,
            Id::ERR_VECTOR => self.errors.vector.into(),
            Id::ERR_COUNT => self.errors.count[i].into(),
            Id::IRQ_PENDING => self.irqs.pending.into(),
            Id::IRQ_ENABLE_SET | Id::IRQ_ENABLE_CLEAR => self.irqs.enable.into(),
            Id::POOL_CONTROL => self.pools[i].control(),
            Id::POOL_STATUS => self.pools[i].status(self.lies, world.now).into(),
            Id::POOL_BASE => self.pools[i].base,
            Id::POOL_END => self.pools[i].end,
            Id::POOL_STRIDE => self.pools[i].stride.into(),
            Id::POOL_CAPACITY => self.pools[i].capacity.into(),
            Id::POOL_AVAILABLE => count(world, id, index, self.pools[i].list.len()),
            Id::POOL_LOW => self.pools[i].low.into(),
            Id::POOL_HIGH => self.pools[i].high.into(),
            Id::POOL_EVENT | Id::POOL_EVENT_SET => self.pools[i].event.into(),
            Id::POOL_EVENT_ENABLE => self.pools[i].event_enable.into(),
            Id::POOL_VECTOR => self.pools[i].vector.into(),
            Id::POOL_ERROR | Id::POOL_ERROR_SET => self.pools[i].error.into(),
            Id::POOL_ERROR_ADDRESS => self.pools[i].error_address,
            Id::PORTAL_CONTROL => self.portals[i].enable.into(),
            Id::PORTAL_STATUS => self.portals[i].state as u64,
            Id::PORTAL_POOL => self.portals[i].pool.into(),
            Id::PORTAL_SIZES => self.portals[i].sizes.into(),
            Id::PORTAL_RELEASE_BASE => self.portals[i].release_base,
            Id::PORTAL_ACQUIRE_BASE => self.portals[i].acquire_base,
            Id::PORTAL_STATUS_BASE => self.portals[i].status_base,
            Id::PORTAL_CREDITS => self.portals[i].credits.into(),
            Id::PORTAL_HYSTERESIS => self.portals[i].hysteresis.into(),
            Id::PORTAL_EVENT | Id::PORTAL_EVENT_SET => self.portals[i].event.into(),
            Id::PORTAL_EVENT_ENABLE => self.portals[i].event_enable.into(),
            Id::PORTAL_VECTOR => self.portals[i].vector.into(),
            Id::PORTAL_ERROR | Id::PORTAL_ERROR_SET => self.portals[i].error.into(),
            Id::PORTAL_ERROR_ADDRESS => self.portals[i].error_address,
            Id::PORTAL_RELEASE_HEAD => count(world, id, index, self.portals[i].release_head),
            Id::PORTAL_ACQUIRE_TAIL => count(world, id, index, self.portals[i].acquire_tail),
            Id::POOL_ALLOC => {
                let address = self.alloc(world, i);
                let page = self.page(i);
                self.pools[page].alloc_high = (address >> 32) as u32;
                address
            }
            Id::RESET
            | Id::ERR_RECORD_CLEAR
            | Id::IRQ_TRIGGER
            | Id::POOL_FREE
            | Id::PORTAL_DOORBELL => 0,
        }
    }

    fn status(&self, world: &World) -> u64 {
        let quiet = self.control & QUIESCE != 0 && !self.reads() && world.upstream.is_empty();
        u64::from(self.ready) | u64::from(self.ready && quiet) << 1
    }

    /// Writes a register that exists and can be written; reserved bits are 0 already.
    pub(super) fn write_register(&mut self, world: &mut World, id: Id, index: u16, value: u64) {
        if id == Id::PORTAL_DOORBELL {
            return self.take_doorbell(world, index, value);
        }
        if !self.ready {
            return world.violation(ViolationKind::InReset, id.row().place(index), value);
        }
        let (i, word) = (usize::from(index), value as u32);
        match id {
            Id::LIVENESS => self.liveness = !word,
            Id::SCRATCH => self.scratch = value,
            Id::CONTROL => self.control_device(world, word),
            Id::RESET => self.soft_reset(world, word),
            Id::ERR_STATUS => self.errors.status &= !word,
            Id::ERR_STATUS_SET => self.inject(world, word, Owner::Device),
            Id::ERR_ENABLE_SET => self.enable_errors(world, word),
            Id::ERR_ENABLE_CLEAR => self.errors.enable &= !word,
            Id::ERR_RECORD_CLEAR => self.errors.clear_record(word),
            Id::ERR_VECTOR => self.errors.vector = word,
            Id::IRQ_ENABLE_SET => self.enable_vectors(world, word),
            Id::IRQ_ENABLE_CLEAR => self.irqs.enable &= !word,
            Id::IRQ_TRIGGER => self.raise(world, word),
            Id::POOL_CONTROL => self.control_pool(world, i, word),
            Id::POOL_BASE | Id::POOL_END | Id::POOL_STRIDE | Id::POOL_CAPACITY => {
                self.configure_pool(world, id, i, value);
            }
            Id::POOL_LOW => self.pools[i].low = word,
            Id::POOL_HIGH => self.pools[i].high = word,
            Id::POOL_EVENT => self.pools[i].event &= !word,
            Id::POOL_EVENT_SET => self.pool_events(world, i, word),
            Id::POOL_EVENT_ENABLE => self.enable_pool_events(world, i, word),
            Id::POOL_VECTOR => self.pools[i].vector = word,
            Id::POOL_ERROR => self.pools[i].clear_errors(word),
            Id::POOL_ERROR_SET => self.inject(world, word, Owner::Pool(index)),
            Id::PORTAL_CONTROL => self.control_portal(world, i, word),
            Id::PORTAL_POOL
            | Id::PORTAL_SIZES
            | Id::PORTAL_RELEASE_BASE
            | Id::PORTAL_ACQUIRE_BASE
            | Id::PORTAL_STATUS_BASE
            | Id::PORTAL_CREDITS
            | Id::PORTAL_HYSTERESIS => self.configure_portal(world, id, i, value),
            Id::PORTAL_EVENT => self.portals[i].event &= !word,
            Id::PORTAL_EVENT_SET => self.portal_events(world, i, word),
            Id::PORTAL_EVENT_ENABLE => self.enable_portal_events(world, i, word),
            Id::PORTAL_VECTOR => self.portals[i].vector = word,
            Id::PORTAL_ERROR => self.portals[i].clear_errors(word),
            Id::PORTAL_ERROR_SET => self.inject(world, word, Owner::Portal(index)),
            Id::POOL_FREE => {
                let page = self.page(i);
                self.pools[page].free_low = word;
                self.free(world, i, value);
            }
            // Taken above: a doorbell may come while the device resets.
            Id::PORTAL_DOORBELL => {}
            // Writes that the function keeps from here.
            Id::MAGIC
            | Id::VERSION
            | Id::IMPLEMENTATION
            | Id::CAP_COUNTS
            | Id::CAP_RINGS
            | Id::CAP_ADDRESS
            | Id::CAP_FEATURES
            | Id::CAP_BUFFERS
            | Id::CAP_TIMEOUT
            | Id::CAP_EMPTYING
            | Id::STATUS
            | Id::RESET_COUNT
            | Id::ERR_RECORD
            | Id::ERR_ADDRESS
            | Id::ERR_COUNT
            | Id::IRQ_PENDING
            | Id::POOL_STATUS
            | Id::POOL_AVAILABLE
            | Id::POOL_ERROR_ADDRESS
            | Id::PORTAL_STATUS
            | Id::PORTAL_ERROR_ADDRESS
            | Id::PORTAL_RELEASE_HEAD
            | Id::PORTAL_ACQUIRE_TAIL
            | Id::POOL_ALLOC => {}
        }
    }

    /// Reads half of a 64-bit register (SPEC 2.1): an allocation takes its buffer with the low one.
    pub(super) fn read_half_register(
        &mut self,
        world: &mut World,
        id: Id,
        index: u16,
        high: bool,
    ) -> u32 {
        let i = usize::from(index);
        if id == Id::POOL_ALLOC && high && self.ready {
            return match self.lies.tell(Lie::AllocForgetsHigh) {
                true => 0,
                false => self.pools[self.page(i)].alloc_high,
            };
        }
        let value = self.read_register(world, id, index);
        let high = high && !self.lies.tell(Lie::HighReadsLow);
        (if high { value >> 32 } else { value }) as u32
    }

    /// Writes half of a 64-bit register (SPEC 2.1): a free waits for its high one, all others act by themselves.
    pub(super) fn write_half_register(
        &mut self,
        world: &mut World,
        id: Id,
        index: u16,
        (high, half): (bool, u32),
    ) {
        let i = usize::from(index);
        let before = match id {
            Id::POOL_FREE => self.pools[self.page(i)].free_low.into(),
            Id::PORTAL_DOORBELL if self.lies.tell(Lie::BellForgets) => 0,
            Id::PORTAL_DOORBELL => self.portals[i].bell,
            _ if self.lies.tell(Lie::HalfClears) => 0,
            _ if self.ready => self.read_register(world, id, index),
            _ => 0,
        };
        let kept = match high {
            true => before & u64::from(u32::MAX) | u64::from(half) << 32,
            false => before & !u64::from(u32::MAX) | u64::from(half),
        };
        if id == Id::POOL_FREE && !high && self.ready && !self.lies.tell(Lie::FreesByHalf) {
            let page = self.page(i);
            self.pools[page].free_low = half;
            return;
        }
        self.write_register(world, id, index, kept);
    }

    /// Returns which pool's page keeps the halves of a pool.
    fn page(&self, pool_id: usize) -> usize {
        match self.lies.tell(Lie::OneLatch) {
            true => 0,
            false => pool_id,
        }
    }

    /// A doorbell has reached the device: faults may hold it back.
    fn take_doorbell(&mut self, world: &mut World, portal: u16, value: u64) {
        if self.ready {
            self.portals[usize::from(portal)].bell = value;
        }
        let late = (world.faults).hit(FaultKind::DelayedDoorbell, "PORTAL_DOORBELL", portal);
        match late {
            None if self.ready => self.doorbell(world, portal.into(), value),
            None => {
                let place = Id::PORTAL_DOORBELL.row().place(portal);
                world.violation(ViolationKind::InReset, place, value);
            }
            Some(0) => {}
            Some(ns) => {
                let at = world.now.saturating_add(ns.min(LONGEST_DELAY_NS) * 1000);
                self.agenda.plan(at, Task::Doorbell { portal, value });
            }
        }
    }

    fn control_device(&mut self, world: &mut World, value: u32) {
        let served = self.serves();
        self.control = value;
        if self.serves() && !served {
            self.resume(world);
        }
    }

    fn enable_errors(&mut self, world: &mut World, kinds: u32) {
        let new = kinds & !self.errors.enable & self.errors.status;
        self.errors.enable |= kinds;
        self.raise_enabled(world, self.errors.vector, new);
    }

    fn enable_pool_events(&mut self, world: &mut World, pool_id: usize, events: u32) {
        let pool = &mut self.pools[pool_id];
        let new = events & !pool.event_enable & pool.event;
        pool.event_enable = events;
        let vector = pool.vector;
        self.raise_enabled(world, vector, new);
    }

    fn enable_portal_events(&mut self, world: &mut World, portal_id: usize, events: u32) {
        let portal = &mut self.portals[portal_id];
        let new = events & !portal.event_enable & portal.event;
        portal.event_enable = events;
        let vector = portal.vector;
        self.raise_enabled(world, vector, new);
    }

    fn configure_pool(&mut self, world: &mut World, id: Id, pool_id: usize, value: u64) {
        let row = id.row();
        let kept = match (world.faults).hit(FaultKind::NarrowAddress, &row.name, pool_id as u16) {
            Some(width) if row.width == 8 && width < 64 => value & ((1 << width) - 1),
            _ => self.low_bits(id, value, Lie::DropsLowBits),
        };
        if self.pools[pool_id].enabled && !self.lies.tell(Lie::UnlockedPool) {
            if self.read_register(world, id, pool_id as u16) != value {
                self.refuse_pool(world, pool_id, value);
            }
            return;
        }
        let pool = &mut self.pools[pool_id];
        match id {
            Id::POOL_BASE => pool.base = kept,
            Id::POOL_END => pool.end = kept,
            Id::POOL_STRIDE => pool.stride = kept as u32,
            _ => pool.capacity = kept as u32,
        }
    }

    /// Returns what of a value a register keeps where a lie drops the low bits of addresses.
    fn low_bits(&self, id: Id, value: u64, lie: Lie) -> u64 {
        match id.row().width == 8 && self.lies.tell(lie) {
            true => value & !0x3f,
            false => value,
        }
    }

    fn control_pool(&mut self, world: &mut World, pool_id: usize, value: u32) {
        let (enable, natural) = (value & 1 != 0, value & 2 != 0);
        if natural && !self.config.natural_align {
            let place = Id::POOL_CONTROL.row().place(pool_id as u16);
            world.violation(ViolationKind::ReservedBits, place, value.into());
        }
        let natural = natural && self.config.natural_align;
        if self.pools[pool_id].enabled && !enable {
            let used = (self.portals.iter())
                .any(|portal| portal.state != State::Disabled && portal.pool as usize == pool_id);
            if used && !self.lies.tell(Lie::PoolLeavesPortal) {
                return self.refuse_pool(world, pool_id, value.into());
            }
            let keeps = self.lies.tell(Lie::DisableKeepsList);
            let pool = &mut self.pools[pool_id];
            let falls = pool.low > 0 && pool.list.len() >= pool.low;
            pool.disable(keeps);
            // Half of what it may, in picoseconds.
            let takes = u64::from(self.config.emptying_ms) * 500_000_000;
            pool.busy_until = match takes > 0 && self.lies.tell(Lie::BusyForEver) {
                true => u64::MAX,
                false => world.now + takes,
            };
            if falls && self.lies.tell(Lie::EmptyingDepletes) {
                self.pool_events(world, pool_id, DEPLETED);
            }
        }
        let pool = &mut self.pools[pool_id];
        if pool.enabled {
            if pool.natural != natural {
                self.refuse_pool(world, pool_id, value.into());
            }
            return;
        }
        let before = std::mem::replace(&mut pool.natural, natural);
        if enable {
            self.enable_pool(world, pool_id, value, before);
        }
    }

    /// Enables a pool whose NATURAL_ALIGN was another one `before`.
    fn enable_pool(&mut self, world: &mut World, pool_id: usize, value: u32, before: bool) {
        let mut limits = self.config.pool_limits();
        limits.power_of_two &= !self.lies.tell(Lie::AnyStride);
        let pool = &mut self.pools[pool_id];
        if pool.is_busy(world.now) && !self.lies.tell(Lie::EnablesWhileBusy) {
            return self.refuse_pool(world, pool_id, value.into());
        }
        if pool.enable(limits) {
            pool.armed = pool.low > 0 || !self.lies.tell(Lie::ArmedAtLow);
            return;
        }
        if self.lies.tell(Lie::InvalidPool) {
            pool.enabled = true;
            return;
        }
        if self.lies.tell(Lie::UndoesNatural) {
            pool.natural = before;
        }
        self.refuse_pool(world, pool_id, value.into());
    }

    fn refuse_pool(&mut self, world: &mut World, pool_id: usize, value: u64) {
        world.violation(ViolationKind::ConfigInUse, format!("pool {pool_id}"), value);
        let owner = Owner::Pool(pool_id as u16);
        self.error(
            world,
            ErrorKind::Config,
            Source::Configuration,
            owner,
            value,
        );
    }

    fn configure_portal(&mut self, world: &mut World, id: Id, portal_id: usize, value: u64) {
        let is_locked = !self.lies.tell(Lie::UnlockedPortal);
        if is_locked && self.portals[portal_id].state != State::Disabled {
            if self.read_register(world, id, portal_id as u16) != value {
                self.refuse_portal(world, portal_id, value);
            }
            return;
        }
        let value = self.low_bits(id, value, Lie::DropsRingBits);
        let portal = &mut self.portals[portal_id];
        match id {
            Id::PORTAL_POOL => portal.pool = value as u32,
            Id::PORTAL_SIZES => portal.sizes = value as u32,
            Id::PORTAL_RELEASE_BASE => portal.release_base = value,
            Id::PORTAL_ACQUIRE_BASE => portal.acquire_base = value,
            Id::PORTAL_STATUS_BASE => portal.status_base = value,
            Id::PORTAL_CREDITS => portal.credits = value as u32,
            Id::PORTAL_HYSTERESIS => portal.hysteresis = value as u32,
            _ => {}
        }
    }
}

/// Returns what a count's register reads: what it is, unless a fault changes it.
fn count(world: &mut World, id: Id, index: u16, value: u32) -> u64 {
    let wrong = (world.faults).hit(FaultKind::WrongCount, &id.row().name, index);
    value.wrapping_add(wrong.unwrap_or(0) as u32).into()
}
