//! The device: its registers and its lists.

use std::ops::Range;
use std::sync::Arc;

use hwpool_devices::description::{Bits, Description, Meaning, Set, Sharing};
use hwpool_devices::reg::Scope;

use super::lies::Lie;
use super::queue::Queue;
use super::roles::Roles;
use crate::agenda::Agenda;
use crate::lies::Lies;
use crate::shape::Slot;

/// The reset of a list is over.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) list: usize,
}

/// Registers and state of the device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) description: Arc<Description>,
    pub(super) roles: Roles,
    /// Values that a list holds.
    pub(super) depth: u32,
    pub(super) lists: Vec<List>,
    /// What passes through each copy of the ports.
    pub(super) copies: Vec<Copy>,
    /// What each register keeps, by its place and its index.
    pub(super) kept: Vec<Vec<u64>>,
    /// Resets of any kind, of the device or of one list.
    pub(super) resets: u64,
    pub(super) agenda: Agenda<Ready>,
    pub(super) lies: Lies,
}

/// One list, with what the device knows of it.
#[derive(Debug)]
pub(super) struct List {
    pub(super) queue: Queue,
    /// The value that left last, for faults that hand it out again and for pops that find nothing.
    pub(super) last_out: Option<u64>,
    /// A push was dropped.
    pub(super) overflowed: bool,
    /// The pending bits of the interrupt.
    pub(super) pending: u64,
    pub(super) resets: u64,
    pub(super) ready: bool,
    /// How many writes of the reset's sequence have come.
    pub(super) steps: usize,
}

impl List {
    pub(super) fn new(queue: Queue) -> List {
        List {
            queue,
            last_out: None,
            overflowed: false,
            pending: 0,
            resets: 0,
            ready: true,
            steps: 0,
        }
    }
}

/// What is under way through one copy of the ports.
#[derive(Debug, Default)]
pub(super) struct Copy {
    /// What a pop has read, until its second half is read.
    pub(super) popped: Option<u64>,
    /// The value was looked at, and whether an acknowledgement takes one.
    pub(super) looked: Option<bool>,
    /// The length of the next value was read.
    pub(super) measured: bool,
    /// The first half of a push.
    pub(super) half: Option<u64>,
    /// A value that waits for the write that commits it.
    pub(super) staged: Option<u64>,
}

impl Device {
    pub(super) fn new(description: Arc<Description>, depth: u32, lies: Lies) -> Device {
        let mut device = Device {
            roles: Roles::new(&description),
            depth,
            lists: Vec::new(),
            copies: (0..description.copies()).map(|_| Copy::default()).collect(),
            kept: Vec::new(),
            resets: 0,
            agenda: Agenda::new(),
            lies,
            description,
        };
        device.kept = (device.description.registers.iter())
            .map(|row| vec![row.reset.unwrap_or(0) & row.bits; usize::from(row.count())])
            .collect();
        device.lists = (0..device.description.lists())
            .map(|_| List::new(device.fresh()))
            .collect();
        device
    }

    /// Returns the numbers of the objects, or `None` where they are known by their addresses.
    pub(super) fn numbers(&self) -> Option<Range<u64>> {
        match self.description.value.is {
            Meaning::Index { first } => {
                Some(u64::from(first)..u64::from(first) + u64::from(self.depth))
            }
            Meaning::Address { .. } => None,
        }
    }

    /// Returns which list a copy of the registers belongs to.
    pub(super) fn list_of(&self, copy: usize) -> usize {
        match self.description.sharing {
            Sharing::Lists(_) => copy,
            Sharing::One | Sharing::Windows(_) => 0,
        }
    }

    /// Returns the lists that a register tells of: all, where they share it.
    pub(super) fn lists_at(&self, place: usize, index: usize) -> Range<usize> {
        match (
            self.description.row(place).scope(),
            self.description.sharing,
        ) {
            (Scope::Device, _) => 0..self.lists.len(),
            (_, Sharing::Lists(_)) => index..index + 1,
            _ => 0..1,
        }
    }

    /// Returns the index of a register for one copy.
    fn index_of(&self, register: usize, copy: usize) -> usize {
        match self.description.row(register).scope() {
            Scope::Device => 0,
            _ => copy,
        }
    }

    /// Returns what a register keeps for one copy.
    pub(super) fn bits_of(&self, bits: &Bits, copy: usize) -> u64 {
        bits.of(self.kept[bits.register][self.index_of(bits.register, copy)])
    }

    pub(super) fn is_set(&self, set: &Set, copy: usize) -> bool {
        self.bits_of(&set.bits, copy) == set.to
    }

    /// Tells whether a list works, as seen through one copy of the registers.
    pub(super) fn is_enabled(&self, copy: usize) -> bool {
        self.description
            .enable
            .iter()
            .all(|set| self.is_set(set, copy))
    }

    pub(super) fn is_full(&self, list: usize) -> bool {
        let holds = match self.lies.tell(Lie::HoldsHalf) {
            true => self.depth / 2,
            false => self.depth,
        };
        self.lists[list].queue.level() >= u64::from(holds)
    }

    /// Returns the register's name with its index, for messages.
    pub(super) fn place(&self, slot: Slot) -> String {
        self.description.row(slot.place.into()).place(slot.index)
    }
}
