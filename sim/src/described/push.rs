//! How values come: writes of the push port, and the write that commits what was written.

use super::device::Device;
use super::lies::Lie;
use super::roles::{Part, part};
use crate::faults::FaultKind;
use crate::shape::Slot;
use crate::violation::ViolationKind;
use crate::world::World;

impl Device {
    /// A write of the push port.
    pub(super) fn write_port(&mut self, world: &mut World, slot: Slot, value: u64) {
        let copy = usize::from(slot.index);
        match part(
            &self.description,
            self.description.push.to,
            slot.place.into(),
        ) {
            Part::Whole => self.written(world, slot, value),
            Part::First { .. } => self.copies[copy].half = Some(value),
            Part::Last { is_low } => {
                let first = self.copies[copy].half.take().unwrap_or_else(|| {
                    world.violation(ViolationKind::WrongOrder, self.place(slot), value);
                    0
                });
                let (low, high) = if is_low {
                    (value, first)
                } else {
                    (first, value)
                };
                self.written(world, slot, high << 32 | low);
            }
        }
    }

    /// All of a value was written.
    fn written(&mut self, world: &mut World, slot: Slot, word: u64) {
        if self.description.push.then.is_none() {
            return self.push(world, slot, word);
        }
        let before = self.copies[usize::from(slot.index)].staged.replace(word);
        if before.is_some() {
            world.violation(ViolationKind::WrongOrder, self.place(slot), word);
        }
    }

    /// The write that commits what was written.
    pub(super) fn commit(&mut self, world: &mut World, slot: Slot, value: u64) {
        match self.copies[usize::from(slot.index)].staged.take() {
            Some(word) => self.push(world, slot, word),
            None => world.violation(ViolationKind::WrongOrder, self.place(slot), value),
        }
    }

    fn push(&mut self, world: &mut World, slot: Slot, word: u64) {
        let (copy, list) = (usize::from(slot.index), self.list_of(slot.index.into()));
        let broken = |world: &mut World, device: &Device, kind| {
            world.violation(kind, device.place(slot), word);
        };
        if !self.is_enabled(copy) {
            return broken(world, self, ViolationKind::NotEnabled);
        }
        if self.is_full(list) && self.overflows(world, slot, word) {
            return;
        }
        let name = &self.description.row(slot.place.into()).name;
        if world
            .faults
            .hit(FaultKind::LostEntry, name, slot.index)
            .is_some()
        {
            return;
        }
        if !self.is_value(word) {
            broken(world, self, ViolationKind::BadValue);
        }
        let value = self.description.value.of(word);
        let before = self.lists[list].queue.level();
        if self.lists[list].queue.give(value) {
            broken(world, self, ViolationKind::GivenTwice);
        }
        self.level_changed(world, list, before);
    }

    /// A push into a full list is dropped; where the host had to look before, the list loses a value to it instead, unless
    /// the device says that it drops. Tells whether the push is over.
    fn overflows(&mut self, world: &mut World, slot: Slot, word: u64) -> bool {
        let list = self.list_of(slot.index.into());
        if self.lies.tell(Lie::TakesMore) {
            return false;
        }
        let full = &self.description.full;
        let (look, says) = (full.look, full.sticky.is_some());
        self.lists[list].overflowed |= says;
        if look {
            world.violation(ViolationKind::PushFull, self.place(slot), word);
        }
        if !look || says {
            return true;
        }
        self.lists[list].queue.take(&mut world.rng);
        false
    }
}
