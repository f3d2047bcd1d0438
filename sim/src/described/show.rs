//! What a read shows: what the register keeps, and in its place what the device tells.

use hwpool_devices::description::{Bits, Depth, Empty, Pop, Room, Test};

use super::device::Device;
use super::lies::Lie;
use crate::faults::FaultKind;
use crate::shape::Slot;
use crate::world::World;

impl Device {
    /// Returns what a register shows.
    pub(super) fn show(&mut self, world: &mut World, slot: Slot) -> u64 {
        let (place, index) = (usize::from(slot.place), usize::from(slot.index));
        if let Some((register, value)) = self.description.identity
            && register == place
        {
            return value.into();
        }
        let mut word = self.kept[place][index];
        let tests = self.tests(world, slot);
        for (test, _) in tests.iter().filter(|(_, holds)| !holds) {
            word = test.bits.set(word, other(&test.bits, &tests));
        }
        for (test, _) in tests.iter().filter(|(_, holds)| *holds) {
            word = test.bits.set(word, test.is);
        }
        for (bits, count) in self.counts(world, slot) {
            word = bits.set(word, count);
        }
        word
    }

    /// Returns the tests of a register's bits, and whether each holds now.
    fn tests(&mut self, world: &mut World, slot: Slot) -> Vec<(Test, bool)> {
        let place = usize::from(slot.place);
        let range = self.lists_at(place, slot.index.into());
        let lists = &self.lists[range.clone()];
        let (empty, full) = (self.description.empty, &self.description.full);
        let mut tests = Vec::new();
        if let Empty::Flag(test) = empty
            && test.bits.register == place
        {
            let wrong = self.is_wrong(world, FaultKind::WrongEmpty, slot).is_some();
            let is_empty = lists.iter().all(|list| list.queue.level() == 0);
            let is_said = is_empty && !self.lies.tell(Lie::NeverEmpty);
            tests.push((test, is_said != wrong));
        }
        if let Room::Flag(test) = full.shown {
            let is_full = range.clone().all(|list| self.is_full(list));
            tests.push((test, is_full && !self.lies.tell(Lie::NeverFull)));
        }
        let overflowed = lists.iter().any(|list| list.overflowed);
        tests.extend(full.sticky.map(|test| (test, overflowed)));
        let ready = lists.iter().all(|list| list.ready) || self.lies.tell(Lie::UntilEarly);
        tests.extend(self.description.reset.until.map(|test| (test, ready)));
        tests.retain(|(test, _)| test.bits.register == place);
        tests
    }

    /// Returns the numbers that a register shows.
    fn counts(&mut self, world: &mut World, slot: Slot) -> Vec<(Bits, u64)> {
        let (place, index) = (usize::from(slot.place), usize::from(slot.index));
        let lists = self.lists_at(place, index);
        let list = &self.lists[lists.start];
        let is_shared = lists.len() > 1;
        let description = &self.description;
        let level = match list.queue.level() {
            0 => u64::from(description.empty == Empty::Level && self.lies.tell(Lie::NeverEmpty)),
            level => level + u64::from(self.lies.tell(Lie::LevelMore)),
        };
        let depth = u64::from(self.depth);
        let room = depth.saturating_sub(list.queue.level());
        let room = room.max(self.lies.tell(Lie::NeverFull).into());
        let irq = description.interrupt.as_ref();
        let mut counts = Vec::new();
        if let Depth::Register(bits) = description.depth {
            counts.push((bits, depth));
        }
        if let Room::Vacancy(bits) = description.full.shown {
            counts.push((bits, room));
        }
        counts.extend(description.level.map(|bits| (bits, level)));
        if let Pop::LengthFirst { length, expect, .. } = description.pop {
            counts.push((length, if list.queue.level() > 0 { expect } else { 0 }));
        }
        let resets = if is_shared { self.resets } else { list.resets };
        counts.extend(description.reset.count.map(|bits| (bits, resets)));
        let pending = self.lists[lists]
            .iter()
            .fold(0, |all, list| all | list.pending);
        let shown = [
            irq.and_then(|irq| irq.raise),
            irq.and_then(|irq| irq.pending),
        ];
        counts.extend(shown.into_iter().flatten().map(|bits| (bits, pending)));
        counts.retain(|(bits, _)| bits.register == place);
        self.spoil(world, slot, &mut counts);
        counts
    }

    /// Faults of what counts the values in a list.
    fn spoil(&self, world: &mut World, slot: Slot, counts: &mut [(Bits, u64)]) {
        let vacancy = match self.description.full.shown {
            Room::Vacancy(bits) => Some(bits),
            _ => None,
        };
        for (bits, count) in counts {
            let is_level = Some(*bits) == self.description.level;
            if is_level || Some(*bits) == vacancy {
                let more = self.is_wrong(world, FaultKind::WrongCount, slot);
                *count = count.wrapping_add(more.unwrap_or(0));
            }
            let tells = is_level && self.description.empty == Empty::Level;
            if tells && self.is_wrong(world, FaultKind::WrongEmpty, slot).is_some() {
                *count = u64::from(*count == 0);
            }
        }
    }

    /// Tells that a fault of `kind` strikes at a register.
    fn is_wrong(&self, world: &mut World, kind: FaultKind, slot: Slot) -> Option<u64> {
        let name = &self.description.row(slot.place.into()).name;
        world.faults.hit(kind, name, slot.index)
    }
}

/// Returns what bits are while no test of them holds.
fn other(bits: &Bits, tests: &[(Test, bool)]) -> u64 {
    let is_free =
        |value: &u64| !(tests.iter()).any(|(test, _)| test.bits == *bits && test.is == *value);
    (0..=tests.len() as u64).find(is_free).unwrap_or(0)
}
