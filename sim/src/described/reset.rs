//! Resets: by the writes of the description, and by the function's.

use hwpool_devices::description::{Description, Fill, Order};
use hwpool_devices::reg::Scope;

use super::device::{Copy, Device, List, Ready};
use super::lies::Lie;
use super::queue::Queue;
use crate::agenda::Agenda;
use crate::faults::FaultKind;
use crate::shape::Slot;
use crate::world::World;

/// Longest time that a reset takes, in picoseconds: of the time that it may take, a quarter.
const RESET_TIME: u64 = 1_000_000_000;

/// Returns the register at which faults of resets strike: the one that is written last, else, of function level resets, the
/// one that is always there.
pub(super) fn register(description: &Description) -> usize {
    let last = description.reset.writes.last();
    last.map_or(description.alive, |write| write.register)
}

impl Device {
    /// A write of a register that resets are made of; tells whether one has begun with it.
    pub(super) fn write_reset(&mut self, world: &mut World, slot: Slot, value: u64) -> bool {
        let (place, lists) = (
            usize::from(slot.place),
            self.lists_at(slot.place.into(), slot.index.into()),
        );
        let due: Vec<usize> = lists
            .filter(|list| self.step(*list, place, value))
            .collect();
        let name = &self.description.row(place).name;
        if due.is_empty()
            || (world
                .faults
                .hit(FaultKind::ResetDoesNothing, name, slot.index))
            .is_some()
        {
            return false;
        }
        let keeps = world
            .faults
            .hit(FaultKind::ResetKeepsEntries, name, slot.index)
            .is_some();
        let is_whole = due.len() == self.lists.len();
        for list in &due {
            self.reset_list(*list, keeps);
            self.start_reset(world, *list);
        }
        self.wipe(due.first().filter(|_| !is_whole).copied());
        true
    }

    /// Goes on in the sequence of a list's reset; tells whether that was the last of its writes.
    fn step(&mut self, list: usize, place: usize, value: u64) -> bool {
        let writes = &self.description.reset.writes;
        let is_next = |step: usize| {
            writes[step].register == place
                && writes[step].value & self.description.row(place).bits == value
        };
        let steps = match self.lists[list].steps {
            step if is_next(step) => step + 1,
            _ => usize::from(is_next(0)),
        };
        let is_over = steps == writes.len();
        self.lists[list].steps = if is_over { 0 } else { steps };
        is_over
    }

    fn start_reset(&mut self, world: &World, list: usize) {
        let reset = &self.description.reset;
        if reset.until.is_none() || world.instant {
            return;
        }
        let within = u64::try_from(reset.within.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
        self.lists[list].ready = false;
        self.agenda
            .plan(world.now + RESET_TIME.min(within / 4), Ready { list });
    }

    /// Puts a list to what it is after a reset.
    fn reset_list(&mut self, list: usize, keeps: bool) {
        let lies = self.lies.tell(Lie::ResetKeepsEntries);
        let keeps = keeps || lies || self.description.reset.keeps_entries;
        let (fresh, counted) = (self.fresh(), self.counted());
        let old = &mut self.lists[list];
        let queue = match keeps {
            true => std::mem::replace(&mut old.queue, fresh),
            false => fresh,
        };
        let (resets, last_out) = (old.resets + counted, old.last_out.filter(|_| keeps));
        *old = List {
            resets,
            last_out,
            ..List::new(queue)
        };
    }

    /// Puts registers to their reset values: those of one list, or all.
    fn wipe(&mut self, only: Option<usize>) {
        self.resets += self.counted();
        let keeps = self.lies.tell(Lie::ResetKeepsRegisters);
        let rows = (self.description.registers.iter()).filter(|_| !keeps);
        for (row, kept) in rows.zip(&mut self.kept) {
            let reset = row.reset.unwrap_or(0) & row.bits;
            match only {
                None => kept.fill(reset),
                Some(list) if row.scope() != Scope::Device => kept[list] = reset,
                Some(_) => {}
            }
        }
        match only {
            None => self.copies.fill_with(Copy::default),
            Some(list) => self.copies[list] = Copy::default(),
        }
    }

    /// Returns what one reset adds to its count.
    fn counted(&self) -> u64 {
        match self.lies.tell(Lie::ResetCountsFive) {
            true => 5,
            false => 1,
        }
    }

    /// The function is reset.
    pub(super) fn reset_function(&mut self, world: &mut World) {
        if !self.description.reset.flr || self.lies.tell(Lie::FlrDoesNothing) {
            return;
        }
        let name = &self.description.row(register(&self.description)).name;
        let keeps = (world.faults.hit(FaultKind::ResetKeepsEntries, name, 0)).is_some();
        self.agenda = Agenda::new();
        for list in 0..self.lists.len() {
            self.reset_list(list, keeps);
        }
        self.wipe(None);
    }

    /// Returns a list as a reset leaves it.
    pub(super) fn fresh(&self) -> Queue {
        let order = match (self.description.order, self.lies.tell(Lie::OtherOrder)) {
            (Order::Fifo, true) => Order::Lifo,
            (Order::Lifo, true) => Order::Fifo,
            (order, _) => order,
        };
        let mut queue = Queue::new(order, self.numbers());
        if self.description.fill == Fill::Reset {
            for number in self.numbers().into_iter().flatten() {
                queue.give(number);
            }
        }
        queue
    }
}
