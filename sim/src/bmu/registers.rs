//! Decode and dispatch of register accesses (SPEC 4).

use std::sync::OnceLock;

use hwpool_devices::bmu::regs;
pub(crate) use hwpool_devices::bmu::regs::Id;
use hwpool_devices::reg::{Register, Scope};

use super::errors::{ErrorKind, Owner, Source};
use super::pool::PoolLimits;
use super::portal::State;
use super::{Bmu, QUIESCE};
use crate::faults::FaultKind;
use crate::violation::ViolationKind;
use crate::world::World;

/// One register of the table: the row, what the model calls it, and its index in an array.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Slot {
    pub(crate) row: &'static Register,
    pub(crate) id: Id,
    pub(crate) index: u16,
}

/// Slots by a word's number, a table for each BAR.
struct Decode {
    slots: Vec<Slot>,
    /// Index into `slots` plus 1, for each 4 bytes of BAR 0 and of BAR 2.
    words: [Vec<u16>; 2],
}

impl Decode {
    fn new() -> Decode {
        let sizes = [regs::CONTROL_BAR_SIZE, regs::OPERATION_BAR_SIZE];
        let mut decode = Decode {
            slots: Vec::new(),
            words: sizes.map(|size| vec![0; (size / 4) as usize]),
        };
        for &id in Id::ALL {
            let row = id.row();
            for index in 0..row.count() {
                decode.slots.push(Slot { row, id, index });
                let word = (row.offset_of(index) / 4) as usize;
                decode.words[usize::from(row.bar() / 2)][word] = decode.slots.len() as u16;
            }
        }
        decode
    }
}

/// Finds the register that starts at `offset` of `bar`.
pub(crate) fn find(bar: u8, offset: u64) -> Option<Slot> {
    static DECODE: OnceLock<Decode> = OnceLock::new();
    let decode = DECODE.get_or_init(Decode::new);
    let words = decode.words.get(usize::from(bar / 2))?;
    let slot = *words.get((offset / 4) as usize)?;
    decode.slots.get(usize::from(slot).checked_sub(1)?).copied()
}

impl Slot {
    /// Returns the register's name with its index, for messages.
    pub(crate) fn place(&self) -> String {
        self.row.place(self.index)
    }

    /// Tells whether the part that the register belongs to exists.
    pub(crate) fn exists(&self, w: &World) -> bool {
        match self.row.scope() {
            Scope::Device => true,
            Scope::Pool => self.index < w.config.pools,
            Scope::Portal => self.index < w.config.portals,
        }
    }
}

impl Bmu {
    /// Reads a register that exists.
    pub(crate) fn read(&mut self, w: &mut World, slot: Slot) -> u64 {
        if !self.ready && slot.id != Id::STATUS {
            w.violation(ViolationKind::InReset, slot.place(), 0);
            return 0;
        }
        let i = usize::from(slot.index);
        match slot.row.scope() {
            Scope::Device => self.read_device(w, slot.id, i),
            Scope::Pool => self.read_pool(w, slot.id, i),
            Scope::Portal => self.read_portal(slot.id, i),
        }
    }

    fn read_device(&self, w: &World, id: Id, i: usize) -> u64 {
        let word = match id {
            Id::SCRATCH => return self.scratch,
            Id::CAP_BUFFERS => return w.config.buffers,
            Id::ERR_RECORD => return self.errors.record,
            Id::ERR_ADDRESS => return self.errors.address,
            Id::MAGIC => 0x3155_4d42,
            Id::VERSION => 0x0001_0000,
            Id::IMPLEMENTATION => 0x0001_0001,
            Id::LIVENESS => self.liveness,
            Id::CAP_COUNTS | Id::CAP_RINGS | Id::CAP_ADDRESS | Id::CAP_FEATURES => {
                capability(w, id)
            }
            Id::CAP_TIMEOUT => w.config.timeout_ms.into(),
            Id::CONTROL => self.control,
            Id::STATUS => self.status(w),
            Id::RESET_COUNT => self.reset_count,
            Id::ERR_STATUS | Id::ERR_STATUS_SET => self.errors.status,
            Id::ERR_ENABLE_SET | Id::ERR_ENABLE_CLEAR => self.errors.enable,
            Id::ERR_VECTOR => self.errors.vector,
            Id::ERR_COUNT => self.errors.count[i],
            Id::IRQ_PENDING => self.irqs.pending,
            Id::IRQ_ENABLE_SET | Id::IRQ_ENABLE_CLEAR => self.irqs.enable,
            _ => 0,
        };
        word.into()
    }

    fn status(&self, w: &World) -> u32 {
        let quiet = self.control & QUIESCE != 0 && !self.has_reads() && w.upstream.is_empty();
        u32::from(self.ready) | u32::from(self.ready && quiet) << 1
    }

    fn read_pool(&mut self, w: &mut World, id: Id, p: usize) -> u64 {
        if id == Id::POOL_ALLOC {
            return self.alloc(w, p);
        }
        let pool = &self.pools[p];
        let word = match id {
            Id::POOL_BASE => return pool.base,
            Id::POOL_END => return pool.end,
            Id::POOL_ERROR_ADDRESS => return pool.error_address,
            Id::POOL_CONTROL => u32::from(pool.enabled) | u32::from(pool.natural) << 1,
            Id::POOL_STATUS => pool.status(),
            Id::POOL_STRIDE => pool.stride,
            Id::POOL_CAPACITY => pool.capacity,
            Id::POOL_AVAILABLE => pool.list.len(),
            Id::POOL_LOW => pool.low,
            Id::POOL_HIGH => pool.high,
            Id::POOL_EVENT | Id::POOL_EVENT_SET => pool.event,
            Id::POOL_EVENT_ENABLE => pool.event_enable,
            Id::POOL_VECTOR => pool.vector,
            Id::POOL_ERROR | Id::POOL_ERROR_SET => pool.error,
            _ => 0,
        };
        word.into()
    }

    fn read_portal(&self, id: Id, q: usize) -> u64 {
        let portal = &self.portals[q];
        let word = match id {
            Id::PORTAL_RELEASE_BASE => return portal.release_base,
            Id::PORTAL_ACQUIRE_BASE => return portal.acquire_base,
            Id::PORTAL_STATUS_BASE => return portal.status_base,
            Id::PORTAL_ERROR_ADDRESS => return portal.error_address,
            Id::PORTAL_CONTROL => portal.enable.into(),
            Id::PORTAL_STATUS => portal.state as u32,
            Id::PORTAL_POOL => portal.pool,
            Id::PORTAL_SIZES => portal.sizes,
            Id::PORTAL_CREDITS => portal.credits,
            Id::PORTAL_HYSTERESIS => portal.hysteresis,
            Id::PORTAL_EVENT | Id::PORTAL_EVENT_SET => portal.event,
            Id::PORTAL_EVENT_ENABLE => portal.event_enable,
            Id::PORTAL_VECTOR => portal.vector,
            Id::PORTAL_ERROR | Id::PORTAL_ERROR_SET => portal.error,
            Id::PORTAL_RELEASE_HEAD => portal.release_head,
            Id::PORTAL_ACQUIRE_TAIL => portal.acquire_tail,
            _ => 0,
        };
        word.into()
    }

    /// Writes a register that exists; reserved bits are 0 already.
    pub(crate) fn write(&mut self, w: &mut World, slot: Slot, value: u64) {
        if !self.ready {
            return w.violation(ViolationKind::InReset, slot.place(), value);
        }
        let i = usize::from(slot.index);
        match slot.row.scope() {
            Scope::Device if slot.id == Id::SCRATCH => self.scratch = value,
            Scope::Device => self.write_device(w, slot.id, value as u32),
            Scope::Pool => self.write_pool(w, slot, i, value),
            Scope::Portal => self.write_portal(w, slot, i, value),
        }
    }

    fn write_device(&mut self, w: &mut World, id: Id, value: u32) {
        match id {
            Id::LIVENESS => self.liveness = !value,
            Id::CONTROL => {
                let served = self.serves();
                self.control = value;
                if self.serves() && !served {
                    self.resume(w);
                }
            }
            Id::RESET if value == 0x5445_5352 => self.soft_reset(w),
            Id::ERR_STATUS => self.errors.status &= !value,
            Id::ERR_STATUS_SET => self.inject(w, value, Owner::Device),
            Id::ERR_ENABLE_SET => {
                let new = value & !self.errors.enable & self.errors.status;
                self.errors.enable |= value;
                if new != 0 {
                    self.raise(w, self.errors.vector);
                }
            }
            Id::ERR_ENABLE_CLEAR => self.errors.enable &= !value,
            Id::ERR_RECORD_CLEAR if value != 0 => {
                (self.errors.record, self.errors.address) = (0, 0);
            }
            Id::ERR_VECTOR => self.errors.vector = value,
            Id::IRQ_ENABLE_SET => self.enable_vectors(w, value),
            Id::IRQ_ENABLE_CLEAR => self.irqs.enable &= !value,
            Id::IRQ_TRIGGER => self.raise(w, value),
            _ => {}
        }
    }

    fn write_pool(&mut self, w: &mut World, slot: Slot, p: usize, value: u64) {
        let word = value as u32;
        match slot.id {
            Id::POOL_CONTROL => self.control_pool(w, p, word),
            Id::POOL_FREE => self.free(w, p, value),
            Id::POOL_BASE | Id::POOL_END | Id::POOL_STRIDE | Id::POOL_CAPACITY => {
                self.configure_pool(w, slot, p, value);
            }
            Id::POOL_LOW => self.pools[p].low = word,
            Id::POOL_HIGH => self.pools[p].high = word,
            Id::POOL_EVENT => self.pools[p].event &= !word,
            Id::POOL_EVENT_SET => self.pool_events(w, p, word),
            Id::POOL_EVENT_ENABLE => {
                let pool = &mut self.pools[p];
                let new = word & !pool.event_enable & pool.event;
                pool.event_enable = word;
                if new != 0 {
                    self.raise(w, self.pools[p].vector);
                }
            }
            Id::POOL_VECTOR => self.pools[p].vector = word,
            Id::POOL_ERROR => {
                let pool = &mut self.pools[p];
                clear_errors(&mut pool.error, &mut pool.error_address, word);
            }
            Id::POOL_ERROR_SET => self.inject(w, word, Owner::Pool(p as u16)),
            _ => {}
        }
    }

    fn configure_pool(&mut self, w: &mut World, slot: Slot, p: usize, value: u64) {
        let kept = match w
            .faults
            .hit(FaultKind::NarrowAddress, &slot.row.name, slot.index)
        {
            Some(width) if slot.row.width == 8 && width < 64 => value & ((1 << width) - 1),
            _ => value,
        };
        if self.pools[p].enabled {
            if self.read_pool(w, slot.id, p) != value {
                self.refuse_pool(w, p, value);
            }
            return;
        }
        let pool = &mut self.pools[p];
        match slot.id {
            Id::POOL_BASE => pool.base = kept,
            Id::POOL_END => pool.end = kept,
            Id::POOL_STRIDE => pool.stride = kept as u32,
            _ => pool.capacity = kept as u32,
        }
    }

    fn control_pool(&mut self, w: &mut World, p: usize, value: u32) {
        let (enable, natural) = (value & 1 != 0, value & 2 != 0);
        if self.pools[p].enabled && !enable {
            let used = (self.portals.iter())
                .any(|portal| portal.state != State::Disabled && portal.pool as usize == p);
            if used {
                return self.refuse_pool(w, p, value.into());
            }
            self.pools[p].disable();
        }
        let pool = &mut self.pools[p];
        if pool.enabled {
            if pool.natural != natural {
                self.refuse_pool(w, p, value.into());
            }
            return;
        }
        pool.natural = natural;
        let limits = PoolLimits {
            width: w.config.address_width,
            stride_log2: (*w.config.stride_log2.start(), *w.config.stride_log2.end()),
            buffers: w.config.buffers,
        };
        if enable && !pool.enable(limits) {
            self.refuse_pool(w, p, value.into());
        }
    }

    fn refuse_pool(&mut self, w: &mut World, p: usize, value: u64) {
        w.violation(ViolationKind::ConfigInUse, format!("pool {p}"), value);
        let owner = Owner::Pool(p as u16);
        self.error(w, ErrorKind::Config, Source::Configuration, owner, value);
    }

    fn write_portal(&mut self, w: &mut World, slot: Slot, q: usize, value: u64) {
        let word = value as u32;
        match slot.id {
            Id::PORTAL_CONTROL => self.control_portal(w, q, word),
            Id::PORTAL_DOORBELL => self.doorbell(w, q, value),
            Id::PORTAL_EVENT => self.portals[q].event &= !word,
            Id::PORTAL_EVENT_SET => self.portal_events(w, q, word),
            Id::PORTAL_EVENT_ENABLE => {
                let portal = &mut self.portals[q];
                let new = word & !portal.event_enable & portal.event;
                portal.event_enable = word;
                if new != 0 {
                    self.raise(w, self.portals[q].vector);
                }
            }
            Id::PORTAL_VECTOR => self.portals[q].vector = word,
            Id::PORTAL_ERROR => {
                let portal = &mut self.portals[q];
                clear_errors(&mut portal.error, &mut portal.error_address, word);
            }
            Id::PORTAL_ERROR_SET => self.inject(w, word, Owner::Portal(q as u16)),
            _ => self.configure_portal(w, slot.id, q, value),
        }
    }

    fn configure_portal(&mut self, w: &mut World, id: Id, q: usize, value: u64) {
        if self.portals[q].state != State::Disabled {
            if self.read_portal(id, q) != value {
                self.refuse_portal(w, q, value);
            }
            return;
        }
        let portal = &mut self.portals[q];
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

fn capability(w: &World, id: Id) -> u32 {
    let c = &w.config;
    let log2s =
        |range: &std::ops::RangeInclusive<u8>| (u32::from(*range.start()), u32::from(*range.end()));
    let ((ring_min, ring_max), (stride_min, stride_max)) =
        (log2s(&c.ring_log2), log2s(&c.stride_log2));
    match id {
        Id::CAP_COUNTS => {
            u32::from(c.pools) | u32::from(c.portals) << 8 | u32::from(c.vectors) << 16
        }
        Id::CAP_RINGS => ring_min | ring_max << 8,
        Id::CAP_ADDRESS => u32::from(c.address_width) | stride_min << 8 | stride_max << 16,
        _ => 0x1d | u32::from(c.portals > 0) << 1,
    }
}

fn clear_errors(error: &mut u32, address: &mut u64, bits: u32) {
    *error &= !bits;
    if *error == 0 {
        *address = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexed_decode_agrees_with_the_linear_one() {
        for (bar, size) in [(0, regs::CONTROL_BAR_SIZE), (2, regs::OPERATION_BAR_SIZE)] {
            for offset in (0..size).step_by(4) {
                let slow = hwpool_devices::reg::decode(regs::TABLE, bar, offset);
                let fast = find(bar, offset);
                let names = (
                    slow.map(|(r, i)| (&r.name, i)),
                    fast.map(|s| (&s.row.name, s.index)),
                );
                assert_eq!(names.0, names.1, "BAR {bar} {offset:#x}");
            }
        }
    }
}
