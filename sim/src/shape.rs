//! What the function shows of a device: identity, BARs, registers, doorbells.

use std::borrow::Cow;

use hwpool_devices::reg::{Bank, Register, Scope};

use crate::faults::{Offer, Possible};
use crate::lies::{Lie, Lies};

/// What the function shows of a device.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    /// Base class, subclass and programming interface, 24 bits.
    pub(crate) class: u32,
    /// Memory BARs with their sizes, in rising order; the MSI-X BAR among them. All have 64 bits but BAR 5, for which
    /// there is no second half.
    pub(crate) bars: Cow<'static, [(u8, u64)]>,
    pub(crate) msix_bar: u8,
    /// Offset of the pending bit array in the MSI-X BAR; the table is at 0.
    pub(crate) msix_pba: u64,
    /// MSI-X vectors, 1 to 32.
    pub(crate) vectors: u16,
    pub(crate) table: Cow<'static, [Register]>,
    /// How many there are of what banks of scope pool and of scope portal belong to.
    pub(crate) pools: u16,
    pub(crate) portals: u16,
    /// Names of registers that belong to no pool or portal that is missing, and yet to a part that this device lacks.
    pub(crate) lacks: Vec<&'static str>,
    /// 64-bit registers that the host may store to without a lock, in memory that it shares with the model, one at the
    /// start of each copy of the bank, at most 64 of them. Each is a state: the last value stored counts.
    pub(crate) doorbells: Option<Bank>,
    /// The registers that stand for interrupts and for resets in fault files.
    pub(crate) interrupt_register: Cow<'static, str>,
    pub(crate) reset_register: Cow<'static, str>,
    /// The faults that only this kind of device can have.
    pub(crate) faults: Cow<'static, [Offer]>,
    /// How its 64-bit registers take accesses of 32 bits.
    pub(crate) halves: Halves,
    /// What it lies about.
    pub(crate) lies: Lies,
}

/// How 64-bit registers take accesses of 32 bits.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub(crate) enum Halves {
    /// Not at all.
    #[default]
    Off,
    /// As one half.
    On,
    /// As one half, and what is whole gets lost on its way: the bridge before them has 32 bits.
    Only,
}

impl Shape {
    /// Returns the size of a memory BAR, or `None` where there is none.
    pub(crate) fn bar_size(&self, bar: u8) -> Option<u64> {
        let found = self.bars.iter().find(|(index, _)| *index == bar);
        match bar == 0 && self.lies.tell(Lie::HugeBar) {
            true => found.map(|_| 1 << 60),
            false => found.map(|(_, size)| *size),
        }
    }

    /// Returns what can go wrong, and where.
    pub(crate) fn possible(&self) -> Possible<'_> {
        Possible {
            table: &self.table,
            offers: &self.faults,
        }
    }

    /// Tells whether the part that a register belongs to exists.
    pub(crate) fn has(&self, row: &Register, index: u16) -> bool {
        if self.lacks.iter().any(|name| *name == row.name) {
            return false;
        }
        match row.scope() {
            Scope::Device => true,
            Scope::Pool => index < self.pools,
            Scope::Portal => index < self.portals,
        }
    }
}

/// A register: the place of its row in the table, and its index in an array.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) place: u16,
    pub(crate) index: u16,
}
