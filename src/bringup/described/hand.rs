//! A described list by hand: each access as the description says, past the driver and its checks.

use hwpool_devices::bus::{BusError, Transport};
use hwpool_devices::description::{
    Bits, Description, Empty, Fill, Meaning, Passage, Pop, Port, Room, Test, Write,
};
use hwpool_devices::family::OpenReset;
use hwpool_devices::reg::Access;

use crate::bringup::Failure;
use crate::bringup::general::device;
use crate::bringup::rung::{Board, BoardSymptom};
use crate::device::Session;

/// The registers of the first list of a device, and what a value is.
pub(super) struct Hand<T: Transport> {
    pub(super) description: &'static Description,
    bar: T::Bar,
    /// Values that the list holds.
    pub(super) depth: u32,
    /// Where object 0 would lie, and the bytes to the next, where values are addresses.
    base: u64,
    stride: u64,
}

/// What a pop by hand came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Popped {
    /// All bits that were read.
    Read(u64),
    /// The bus answered with an error.
    Failed,
    /// The length of the entry is another than the description says; nothing was popped.
    Length(u64),
}

impl<T: Transport> Hand<T> {
    /// Takes the registers of the device of a session in which no list is open.
    pub(super) fn new(
        session: &Session<T>,
        description: &'static Description,
    ) -> Result<Hand<T>, BusError> {
        let limits = &session.driver.identity().limits;
        Ok(Hand {
            description,
            bar: session.driver.transport().bar(description.bar)?,
            depth: limits.objects as u32,
            base: device::low_base(limits).0,
            stride: device::stride(limits),
        })
    }

    /// Reads bits of a register.
    pub(super) fn bits(&self, bits: Bits) -> Result<u64, BusError> {
        Ok(bits.of(self.read(bits.register)?))
    }

    /// Tells whether bits are as a test has them.
    pub(super) fn holds(&self, test: Test) -> Result<bool, BusError> {
        Ok(test.holds(self.read(test.bits.register)?))
    }

    /// Returns the count of values, where the device has one.
    pub(super) fn level(&self) -> Result<Option<u64>, BusError> {
        self.description
            .level
            .map(|bits| self.bits(bits))
            .transpose()
    }

    /// Tells whether the list says that it has no value, where that can be told without a pop.
    pub(super) fn says_empty(&self) -> Result<Option<bool>, BusError> {
        match self.description.empty {
            Empty::Flag(test) => self.holds(test).map(Some),
            Empty::Level => Ok(self.level()?.map(|level| level == 0)),
            Empty::Value(_) | Empty::Mark(_) | Empty::BusError => Ok(None),
        }
    }

    /// Tells whether the list says that it takes no more, where anything shows that.
    pub(super) fn says_full(&self) -> Result<Option<bool>, BusError> {
        match self.description.full.shown {
            Room::Counted => Ok(None),
            Room::Flag(test) => self.holds(test).map(Some),
            Room::Vacancy(bits) => Ok(Some(self.bits(bits)? == 0)),
            Room::Level => Ok(self.level()?.map(|level| level >= u64::from(self.depth))),
        }
    }

    /// Tells whether what was popped stands for "none".
    pub(super) fn is_none(&self, popped: &Popped) -> bool {
        let all_ones = u64::MAX >> (64 - self.description.width());
        match (self.description.empty, popped) {
            // A length of 0 says it where nothing else is read before a pop.
            (Empty::Value(_) | Empty::Mark(_) | Empty::BusError, Popped::Length(0)) => true,
            (Empty::Value(none), Popped::Read(read)) => *read == none,
            (Empty::Mark(test), Popped::Read(read)) => test.holds(*read),
            (Empty::BusError, Popped::Read(read)) => *read == all_ones,
            (Empty::BusError, Popped::Failed) => true,
            _ => false,
        }
    }

    /// Takes what is next, whether the device says that it is empty or not.
    pub(super) fn pop(&self) -> Result<Popped, BusError> {
        if let Pop::LengthFirst { length, expect, .. } = &self.description.pop {
            let found = self.bits(*length)?;
            if found != *expect {
                return Ok(Popped::Length(found));
            }
        }
        let read = match self.read_port(self.description.pop.from()) {
            Ok(read) => read,
            Err(BusError::Failed { .. }) => return Ok(Popped::Failed),
            Err(error) => return Err(error),
        };
        if let Pop::Acknowledge { then, .. } = &self.description.pop {
            self.write(then)?;
        }
        Ok(Popped::Read(read))
    }

    /// Takes what is next: `None` where the list says that it has nothing, before the pop or by it.
    pub(super) fn take(&self) -> Result<Option<Popped>, BusError> {
        if self.says_empty()? == Some(true) {
            return Ok(None);
        }
        let popped = self.pop()?;
        Ok((!self.is_none(&popped)).then_some(popped))
    }

    /// Gives a value, whether the device says that it is full or not.
    pub(super) fn push(&self, raw: u64) -> Result<(), BusError> {
        self.push_to(self.description.push.to, raw)?;
        match &self.description.push.then {
            Some(then) => self.write(then),
            None => Ok(()),
        }
    }

    /// Writes a value to registers.
    pub(super) fn push_to(&self, port: Port, raw: u64) -> Result<(), BusError> {
        match port {
            Port::Whole(register) => self.poke(register, raw),
            Port::Halves { low, high } => {
                let halves = [(low, raw & 0xffff_ffff), (high, raw >> 32)];
                self.in_order(halves)
                    .into_iter()
                    .try_for_each(|(register, half)| self.poke(register, half))
            }
        }
    }

    /// Reads what registers hold, with all the effect that has.
    pub(super) fn read_port(&self, port: Port) -> Result<u64, BusError> {
        let Port::Halves { low, high } = port else {
            return port
                .registers()
                .try_fold(0, |_, register| self.read(register));
        };
        let mut value = 0;
        for (register, shift) in self.in_order([(low, 0), (high, 32)]) {
            value |= self.read(register)? << shift;
        }
        Ok(value)
    }

    /// Takes until the list says that it has nothing, at most one more than it can hold.
    pub(super) fn drain(&self) -> Result<Vec<Popped>, BusError> {
        let mut all = Vec::new();
        while all.len() <= self.depth as usize {
            match self.take()? {
                Some(popped) => all.push(popped),
                None => break,
            }
        }
        Ok(all)
    }

    /// Returns what stands for object `index` in what is pushed and popped.
    pub(super) fn raw(&self, index: u32) -> u64 {
        let value = match self.description.value.is {
            Meaning::Index { first } => u64::from(first) + u64::from(index),
            Meaning::Address { shift } => (self.base + self.stride * u64::from(index)) >> shift,
        };
        value << self.description.value.low
    }

    /// Returns the value within what was popped.
    pub(super) fn value(&self, raw: u64) -> u64 {
        self.description.value.of(raw)
    }

    /// Returns the bits of a value in what is pushed and popped.
    pub(super) fn mask(&self) -> u64 {
        self.description.value.mask()
    }

    /// Tells whether the list is full of numbers of its own after a reset.
    pub(super) fn is_preloaded(&self) -> bool {
        self.description.fill == Fill::Reset
    }

    fn in_order<R>(&self, [low, high]: [R; 2]) -> [R; 2] {
        match self.description.passage {
            Passage::HighFirst => [high, low],
            Passage::LowFirst | Passage::Whole => [low, high],
        }
    }

    fn read(&self, register: usize) -> Result<u64, BusError> {
        self.description.row(register).read_raw(&self.bar, 0)
    }

    /// Sets bits of a register, and leaves the others where reading them back has no effect.
    pub(super) fn set(&self, bits: Bits, to: u64) -> Result<(), BusError> {
        let row = self.description.row(bits.register);
        let before = match row.access {
            Access::ReadWrite => self.read(bits.register)?,
            _ => 0,
        };
        self.poke(bits.register, bits.set(before & row.bits, to))
    }

    pub(super) fn poke(&self, register: usize, value: u64) -> Result<(), BusError> {
        self.description.row(register).poke(&self.bar, 0, value)
    }

    fn write(&self, write: &Write) -> Result<(), BusError> {
        self.poke(write.register, write.value)
    }
}

/// Resets the device, and lets it work.
pub(super) fn reset<T: Transport>(board: &Board<'_, T>) -> Result<(), Failure> {
    let driver = &board.session()?.driver;
    driver.reset(OpenReset::Best)?;
    Ok(driver.start()?)
}

/// Resets the device, and returns a hand at its list as that is after.
pub(super) fn hand<T: Transport>(board: &Board<'_, T>) -> Result<Hand<T>, Failure> {
    let described = board.described().ok_or(BoardSymptom::NotOpened)?;
    reset(board)?;
    Ok(Hand::new(board.session()?, described.description)?)
}

/// Resets the device and takes what its list has after.
pub(super) fn emptied<T: Transport>(board: &Board<'_, T>) -> Result<Hand<T>, Failure> {
    let hand = hand(board)?;
    // Of a reset that keeps entries the driver has taken what was left.
    if hand.is_preloaded() {
        hand.drain()?;
    }
    Ok(hand)
}
