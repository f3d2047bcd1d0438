//! What the function around it asks of the device.

use hwpool_devices::bmu::regs::Id;

use super::device::{Bmu, Task};
use super::portal::State;
use crate::logic::Logic;
use crate::shape::Slot;
use crate::world::{Sent, World};

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

    fn read_half(&mut self, world: &mut World, slot: Slot, high: bool) -> u32 {
        let id = Id::from_place(slot.place.into());
        id.map_or(0, |id| self.read_half_register(world, id, slot.index, high))
    }

    fn write_half(&mut self, world: &mut World, slot: Slot, high: bool, value: u32) {
        if let Some(id) = Id::from_place(slot.place.into()) {
            self.write_half_register(world, id, slot.index, (high, value));
        }
    }

    fn reset(&mut self, _world: &mut World) {
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

impl Bmu {
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
}
