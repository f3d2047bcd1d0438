//! Parts that the keys of a description are made of.

use crate::reg::mask;

/// A run of bits of a register.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Bits {
    /// The register's place in the description's table.
    pub register: usize,
    /// Lowest bit.
    pub low: u8,
    /// Highest bit, inclusive.
    pub high: u8,
}

impl Bits {
    /// Returns the bits as a mask within the register.
    pub const fn mask(&self) -> u64 {
        mask(self.low, self.high)
    }

    /// Extracts the bits from the register's value.
    pub const fn of(&self, register: u64) -> u64 {
        (register & self.mask()) >> self.low
    }

    /// Returns the register's value with the bits replaced.
    pub const fn set(&self, register: u64, value: u64) -> u64 {
        (register & !self.mask()) | ((value << self.low) & self.mask())
    }
}

/// Bits that are compared with a value.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Test {
    /// The bits.
    pub bits: Bits,
    /// What they are where the test holds.
    pub is: u64,
}

impl Test {
    /// Tells whether the test holds, by the register's value.
    pub const fn holds(&self, register: u64) -> bool {
        self.bits.of(register) == self.is
    }
}

/// Bits that are set to a value; the others of the register stay.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Set {
    /// The bits.
    pub bits: Bits,
    /// What they become.
    pub to: u64,
}

/// A write of a whole register.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Write {
    /// The register's place in the description's table.
    pub register: usize,
    /// What is written.
    pub value: u64,
}

/// Where a value passes: a register, or two that hold its halves.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Port {
    /// One access.
    Whole(usize),
    /// Two accesses of 32 bits, in the order of the description's [`Passage`](super::Passage).
    Halves {
        /// The register of bits 31 to 0.
        low: usize,
        /// The register of bits 63 to 32.
        high: usize,
    },
}

impl Port {
    /// Returns the registers that it consists of.
    pub fn registers(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match *self {
            Port::Whole(register) => (register, None),
            Port::Halves { low, high } => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }
}
