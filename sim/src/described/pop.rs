//! How values leave: reads of the pop port, and the write that takes what was read.

use hwpool_devices::description::{Empty, Meaning, Pop};

use super::device::Device;
use super::lies::Lie;
use super::roles::{Part, part};
use crate::faults::FaultKind;
use crate::shape::Slot;
use crate::violation::ViolationKind;
use crate::world::World;

impl Device {
    /// A read of the pop port.
    pub(super) fn read_port(&mut self, world: &mut World, slot: Slot) -> u64 {
        let place = usize::from(slot.place);
        match part(&self.description, self.description.pop.from(), place) {
            Part::Whole => self.pop(world, slot),
            Part::First { is_low } => {
                self.forget_half(world, slot);
                let word = self.pop(world, slot);
                self.copies[usize::from(slot.index)].popped = Some(word);
                half(word, is_low)
            }
            Part::Last { is_low } => {
                let word = self.copies[usize::from(slot.index)].popped.take();
                let word = word.unwrap_or_else(|| {
                    world.violation(ViolationKind::WrongOrder, self.place(slot), 0);
                    let list = self.list_of(slot.index.into());
                    self.lists[list]
                        .last_out
                        .map_or(0, |value| self.word(value))
                });
                half(word, is_low)
            }
        }
    }

    /// A value of which one half was read is lost with the other.
    fn forget_half(&mut self, world: &mut World, slot: Slot) {
        let takes = !matches!(self.description.pop, Pop::Acknowledge { .. });
        let before = self.copies[usize::from(slot.index)].popped;
        if let Some(word) = before.filter(|word| takes && *word != self.nothing()) {
            world.violation(ViolationKind::WrongOrder, self.place(slot), word);
        }
    }

    /// Returns all that a pop reads, and takes the value unless a write does that.
    fn pop(&mut self, world: &mut World, slot: Slot) -> u64 {
        let (copy, list) = (usize::from(slot.index), self.list_of(slot.index.into()));
        let takes = match &self.description.pop {
            Pop::Read { .. } => true,
            Pop::Acknowledge { .. } => false,
            Pop::LengthFirst { .. } => {
                if !std::mem::take(&mut self.copies[copy].measured) {
                    world.violation(ViolationKind::WrongOrder, self.place(slot), 0);
                }
                true
            }
        };
        let head = match self.is_enabled(copy) {
            true => self.head(world, slot, takes),
            false => None,
        };
        let Some(Head { value, is_true }) = head else {
            return self.empty_word(world, slot);
        };
        match takes {
            true if is_true => self.take(world, list),
            true => {}
            false => self.copies[copy].looked = Some(is_true),
        }
        let word = self.word(value);
        let name = &self.description.row(slot.place.into()).name;
        match world.faults.hit(FaultKind::SwappedHalves, name, slot.index) {
            Some(_) => word.rotate_left(32),
            None => word,
        }
    }

    /// Returns the value that a pop gives; faults may give another one, and the true one then stays.
    fn head(&mut self, world: &mut World, slot: Slot, takes: bool) -> Option<Head> {
        let list = self.list_of(slot.index.into());
        let (lowest, beyond) = self.numbers().map_or((0, u64::MAX), |n| (n.start, n.end));
        let last_out = self.lists[list].last_out;
        let next = self.lists[list].queue.next(&mut world.rng);
        let name = &self.description.row(slot.place.into()).name;
        let mut hit = |kind| world.faults.hit(kind, name, slot.index);
        let untrue = |value| {
            Some(Head {
                value,
                is_true: false,
            })
        };
        if tells_by_pop(self.description.empty) && hit(FaultKind::WrongEmpty).is_some() {
            return match next {
                Some(_) => None,
                None => untrue(last_out.unwrap_or(lowest)),
            };
        }
        if next.is_none() && tells_by_pop(self.description.empty) && self.lies.tell(Lie::NeverEmpty)
        {
            return untrue(last_out.unwrap_or(lowest));
        }
        let value = next?;
        if takes && hit(FaultKind::DuplicateBuffer).is_some() && last_out.is_some() {
            return untrue(last_out?);
        }
        match hit(FaultKind::OutOfRangeBuffer) {
            Some(0) => return untrue(beyond),
            Some(other) => return untrue(other),
            None => {}
        }
        let keeps_addresses = matches!(self.description.value.is, Meaning::Address { .. });
        if keeps_addresses && hit(FaultKind::MisalignedBuffer).is_some() {
            return untrue(value ^ 1);
        }
        Some(Head {
            value,
            is_true: true,
        })
    }

    /// Takes the value that leaves next from a list.
    fn take(&mut self, world: &mut World, list: usize) {
        let before = self.lists[list].queue.level();
        let taken = match self.lies.tell(Lie::PopKeeps) {
            true => self.lists[list].queue.next(&mut world.rng),
            false => self.lists[list].queue.take(&mut world.rng),
        };
        if let Some(value) = taken {
            self.lists[list].last_out = Some(value);
            self.level_changed(world, list, before);
        }
    }

    /// The write that takes what was read.
    pub(super) fn acknowledge(&mut self, world: &mut World, slot: Slot, value: u64) {
        let (copy, list) = (usize::from(slot.index), self.list_of(slot.index.into()));
        let looked = self.copies[copy].looked.take();
        if self.lists[list].queue.level() == 0 || !self.is_enabled(copy) {
            return world.violation(ViolationKind::PopEmpty, self.place(slot), value);
        }
        let name = &self.description.row(slot.place.into()).name;
        let again = world
            .faults
            .hit(FaultKind::DuplicateBuffer, name, slot.index);
        if again.is_none() && looked != Some(false) {
            self.take(world, list);
        }
    }

    /// Returns what a pop reads beside and in the bits of a value.
    fn word(&self, value: u64) -> u64 {
        let bits = self.description.value;
        let word = (value << bits.low) & bits.mask();
        match self.description.empty {
            Empty::Mark(test) => test.bits.set(word, u64::from(test.is == 0)),
            _ => word,
        }
    }

    /// A pop that finds no value: where the host had to look before, it gets an old one.
    fn empty_word(&self, world: &mut World, slot: Slot) -> u64 {
        if tells_by_pop(self.description.empty) {
            return self.nothing();
        }
        // A read that only looks is no pop.
        if !matches!(self.description.pop, Pop::Acknowledge { .. }) {
            world.violation(ViolationKind::PopEmpty, self.place(slot), 0);
        }
        let list = &self.lists[self.list_of(slot.index.into())];
        list.last_out.map_or(0, |value| self.word(value))
    }

    /// Returns what a pop reads where there is no value.
    pub(super) fn nothing(&self) -> u64 {
        match self.description.empty {
            Empty::Value(word) => word,
            Empty::Mark(test) => test.bits.set(0, test.is),
            Empty::BusError => u64::MAX >> (64 - self.description.width()),
            Empty::Flag(_) | Empty::Level => 0,
        }
    }

    /// Tells whether a value is one that a host may give: of an object, and not what means that there is none.
    pub(super) fn is_value(&self, word: u64) -> bool {
        let bits = self.description.value;
        let value = bits.of(word);
        let is_object = self
            .numbers()
            .is_none_or(|numbers| numbers.contains(&value));
        let is_empty = matches!(self.description.empty, Empty::Value(empty) if empty == word);
        word & !bits.mask() == 0 && is_object && !is_empty
    }
}

/// What a pop gives.
struct Head {
    value: u64,
    /// It is the one that leaves next.
    is_true: bool,
}

/// Tells whether a pop itself says that there is no value.
pub(super) fn tells_by_pop(empty: Empty) -> bool {
    match empty {
        Empty::Value(_) | Empty::Mark(_) | Empty::BusError => true,
        Empty::Flag(_) | Empty::Level => false,
    }
}

fn half(word: u64, is_low: bool) -> u64 {
    match is_low {
        true => word & 0xffff_ffff,
        false => word >> 32,
    }
}
