//! The interrupt.

use hwpool_devices::description::{Clear, Interrupt, When};
use hwpool_devices::reg::Scope;

use super::device::Device;
use super::lies::Lie;
use crate::faults::FaultKind;
use crate::shape::Slot;
use crate::world::World;

impl Device {
    /// A list had `before` values, and may have more or fewer now.
    pub(super) fn level_changed(&mut self, world: &mut World, list: usize, before: u64) {
        let Some(irq) = self.description.interrupt.clone() else {
            return;
        };
        let after = self.lists[list].queue.level();
        let threshold = irq.threshold.map_or(0, |bits| self.bits_of(&bits, list));
        let threshold = match (self.lies.tell(Lie::ThresholdLate), irq.when) {
            (true, When::Below) => threshold.saturating_sub(1),
            (true, When::Above) => threshold + 1,
            _ => threshold,
        };
        if irq.clear == Clear::Itself && !lasts(irq.when, after, threshold) {
            let home = self.home(&irq, list);
            self.lists[home].pending = 0;
        }
        if happens(irq.when, before, after, threshold) {
            let all = irq.pending.map_or(1, |bits| bits.mask() >> bits.low);
            self.raise(world, &irq, list, all);
        }
    }

    /// Returns the list that keeps the pending bits of another: the first, where all share them.
    fn home(&self, irq: &Interrupt, list: usize) -> usize {
        let shared = irq
            .pending
            .is_some_and(|bits| self.description.row(bits.register).scope() == Scope::Device);
        if shared { 0 } else { list }
    }

    /// Sets pending bits; what is new is an interrupt.
    fn raise(&mut self, world: &mut World, irq: &Interrupt, list: usize, bits: u64) {
        let home = self.home(irq, list);
        let new = bits & !self.lists[home].pending;
        if irq.pending.is_some() {
            self.lists[home].pending |= bits;
        }
        if new != 0 && self.sends(irq, list) {
            world.message(irq.vector);
        }
    }

    /// Tells whether the interrupt of a list is let through.
    fn sends(&self, irq: &Interrupt, list: usize) -> bool {
        let ignores = self.lies.tell(Lie::IgnoresIrqEnable);
        irq.enable
            .is_none_or(|set| ignores || self.is_set(&set, list))
    }

    /// A write of the interrupt's registers, but for those that are kept as they are.
    pub(super) fn write_pending(&mut self, world: &mut World, slot: Slot, value: u64) {
        let Some(irq) = self.description.interrupt.clone() else {
            return;
        };
        let place = usize::from(slot.place);
        let lists = self.lists_at(place, slot.index.into());
        if let Some(bits) = irq.pending.filter(|bits| bits.register == place) {
            let cleared = match irq.clear {
                Clear::WriteOne => bits.of(value),
                Clear::WriteZero => !bits.of(value),
                Clear::Read | Clear::Itself => 0,
            };
            self.clear_pending(world, slot, cleared);
        }
        if let Some(bits) = irq.raise.filter(|bits| bits.register == place) {
            let raised = bits.of(value);
            for list in lists.filter(|_| raised != 0) {
                self.raise(world, &irq, list, raised);
            }
        }
    }

    /// A read of pending bits that clears them.
    pub(super) fn read_pending(&mut self, world: &mut World, slot: Slot) {
        let irq = self.description.interrupt.as_ref();
        let clears = irq.filter(|irq| irq.clear == Clear::Read);
        let bits = clears.and_then(|irq| irq.pending);
        if bits.is_some_and(|bits| bits.register == usize::from(slot.place)) {
            self.clear_pending(world, slot, u64::MAX);
        }
    }

    fn clear_pending(&mut self, world: &mut World, slot: Slot, bits: u64) {
        let lists = self.lists_at(slot.place.into(), slot.index.into());
        let is_pending = |device: &Device| {
            device.lists[lists.clone()]
                .iter()
                .any(|list| list.pending & bits != 0)
        };
        if !is_pending(self) || self.lies.tell(Lie::PendingStays) {
            return;
        }
        let name = &self.description.row(slot.place.into()).name;
        if (world
            .faults
            .hit(FaultKind::StuckInterrupt, name, slot.index))
        .is_some()
        {
            return;
        }
        for list in &mut self.lists[lists] {
            list.pending &= !bits;
        }
    }

    /// Returns the lists, as bits, whose interrupts are let through.
    pub(super) fn enabled_interrupts(&self) -> u64 {
        let Some(irq) = &self.description.interrupt else {
            return 0;
        };
        let lists = 0..self.lists.len();
        lists
            .filter(|list| self.sends(irq, *list))
            .map(|list| 1 << list)
            .sum()
    }

    /// An interrupt that has waited for its enable is sent now.
    pub(super) fn release_interrupts(&mut self, world: &mut World, before: u64) {
        let new = self.enabled_interrupts() & !before;
        let Some(irq) = self.description.interrupt.as_ref().filter(|_| new != 0) else {
            return;
        };
        let waits =
            |list: usize| new & 1 << list != 0 && self.lists[self.home(irq, list)].pending != 0;
        if (0..self.lists.len()).any(waits) {
            world.message(irq.vector);
        }
    }
}

/// Tells whether a change of the level is what an interrupt waits for.
fn happens(when: When, before: u64, after: u64, threshold: u64) -> bool {
    match when {
        When::Below => before >= threshold && after < threshold,
        When::Above => before <= threshold && after > threshold,
        When::Filled => before == 0 && after > 0,
        When::Emptied => before > 0 && after == 0,
    }
}

/// Tells whether what raised an interrupt goes on.
fn lasts(when: When, level: u64, threshold: u64) -> bool {
    match when {
        When::Below => level < threshold,
        When::Above => level > threshold,
        When::Filled => level > 0,
        When::Emptied => level == 0,
    }
}
