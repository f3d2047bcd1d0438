//! Which part of the device an access meets.

use hwpool_devices::description::{Pop, Write};
use hwpool_devices::reg::{Access, Scope};

use super::device::{Device, Ready};
use super::lies::Lie;
use crate::agenda::Agenda;
use crate::logic::Logic;
use crate::shape::Slot;
use crate::violation::ViolationKind;
use crate::world::World;

impl Logic for Device {
    fn read(&mut self, world: &mut World, slot: Slot) -> u64 {
        if !self.may(world, slot, 0, false) {
            return 0;
        }
        if self.is_own_array(slot) {
            return self.kept[usize::from(slot.place)][usize::from(slot.index)];
        }
        if self.roles.of(slot.place.into()).pops {
            return self.read_port(world, slot);
        }
        if self.description.row(slot.place.into()).access == Access::WriteOnly {
            return 0;
        }
        let word = self.show(world, slot);
        self.measure(slot, word);
        self.read_pending(world, slot);
        word
    }

    fn write(&mut self, world: &mut World, slot: Slot, value: u64) {
        if !self.may(world, slot, value, true) {
            return;
        }
        if self.is_own_array(slot) {
            return self.keep(slot, value);
        }
        let role = self.roles.of(slot.place.into()).clone();
        if role.resets && self.write_reset(world, slot, value) {
            return;
        }
        if role.pushes {
            return self.write_port(world, slot, value);
        }
        if role.commands {
            if self.command(world, slot, value) {
                return;
            }
            if !role.has_bits && !role.resets {
                return world.violation(ViolationKind::WrongCommand, self.place(slot), value);
            }
        }
        self.write_bits(world, slot, value);
    }

    fn reset(&mut self, world: &mut World) {
        self.reset_function(world);
    }

    fn vanish(&mut self) {
        self.agenda = Agenda::new();
    }

    fn next_at(&self) -> Option<u64> {
        self.agenda.next_at()
    }

    fn run_next(&mut self, _world: &mut World) {
        if let Some(Ready { list }) = self.agenda.pop() {
            self.lists[list].ready = true;
        }
    }
}

impl Device {
    /// Tells whether the host may access a register now.
    fn may(&self, world: &mut World, slot: Slot, value: u64, is_write: bool) -> bool {
        let place = usize::from(slot.place);
        let role = self.roles.of(place);
        if role.never && !role.is_used(is_write) {
            world.violation(ViolationKind::NeverTouched, self.place(slot), value);
        }
        let lists = &self.lists[self.lists_at(place, slot.index.into())];
        let until = self.description.reset.until.map(|test| test.bits.register);
        let answers = !is_write && (until == Some(place) || self.description.alive == place);
        let in_reset = lists.iter().all(|list| !list.ready) && !answers;
        if in_reset {
            world.violation(ViolationKind::InReset, self.place(slot), value);
        }
        !in_reset
    }

    /// Tells whether a register is one of an array of its own, but the first: those have no role.
    fn is_own_array(&self, slot: Slot) -> bool {
        slot.index > 0 && self.description.row(slot.place.into()).scope() == Scope::Device
    }

    /// The length of the next value was read, and there is one.
    fn measure(&mut self, slot: Slot, word: u64) {
        if let Pop::LengthFirst { length, expect, .. } = &self.description.pop
            && length.register == usize::from(slot.place)
            && length.of(word) == *expect
        {
            self.copies[usize::from(slot.index)].measured = true;
        }
    }

    /// A write that takes or commits a value; tells whether it was one.
    fn command(&mut self, world: &mut World, slot: Slot, value: u64) -> bool {
        let bits = self.description.row(slot.place.into()).bits;
        let is = |write: &Write| {
            write.register == usize::from(slot.place) && write.value & bits == value
        };
        let takes = matches!(&self.description.pop, Pop::Acknowledge { then, .. } if is(then));
        let commits = self.description.push.then.as_ref().is_some_and(is);
        if takes {
            self.acknowledge(world, slot, value);
        }
        if commits {
            self.commit(world, slot, value);
        }
        takes || commits
    }

    /// A write whose bits mean something each, or nothing.
    fn write_bits(&mut self, world: &mut World, slot: Slot, value: u64) {
        let enabled = self.enabled_interrupts();
        let lists = self.lists_at(slot.place.into(), slot.index.into());
        let sticky = self.description.full.sticky.map(|test| test.bits);
        if sticky
            .is_some_and(|bits| bits.register == usize::from(slot.place) && bits.of(value) != 0)
            && !self.lies.tell(Lie::StickyStays)
        {
            for list in &mut self.lists[lists] {
                list.overflowed = false;
            }
        }
        self.write_pending(world, slot, value);
        self.keep(slot, value);
        self.release_interrupts(world, enabled);
    }

    /// Keeps what is written, as far as the register's access says so.
    fn keep(&mut self, slot: Slot, value: u64) {
        let kept = &mut self.kept[usize::from(slot.place)][usize::from(slot.index)];
        match self.description.row(slot.place.into()).access {
            Access::ReadWrite | Access::WriteOnly | Access::BothEffects => *kept = value,
            Access::WriteOneToClear => *kept &= !value,
            Access::WriteOneToSet => *kept |= value,
            // Writes that the function keeps from here.
            Access::ReadOnly | Access::ReadEffect => {}
        }
    }
}
