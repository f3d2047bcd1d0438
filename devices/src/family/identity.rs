//! What a device says it is and can do, in terms that every kind of device has.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::SetupError;
use super::ledger::Geometry;
use crate::bus::{BusError, Transport};
use crate::reg::{Register, Scope};
use crate::words::Words;

/// A way in which objects travel between host and device.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its name: `portal`.
    pub name: &'static str,
    /// The name of the pool backend that goes this way.
    pub backend: &'static str,
    /// One line for people.
    pub doc: &'static str,
}

/// What a device can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Free lists.
    pub lists: u16,
    /// Interrupt vectors.
    pub vectors: u16,
    /// Objects that one list can hold.
    pub objects: u64,
    /// What tells that, for messages: the name of a register, or a key of a description.
    pub objects_by: Cow<'static, str>,
    /// Bytes from one object to the next; multiples of 64.
    pub stride: RangeInclusive<u64>,
    /// Only strides that are powers of two.
    pub power_of_two: bool,
    /// Bits of an address that the device keeps.
    pub address_width: u32,
    /// Longest time that the device may take for anything.
    pub timeout: Duration,
    /// The names of the ways in which objects can travel on this device, the best first.
    pub ways: Vec<&'static str>,
}

impl Limits {
    /// Checks whether one list can have this many objects, so many bytes apart.
    ///
    /// # Errors
    ///
    /// [`SetupError::Invalid`], with what is allowed.
    pub fn check(&self, objects: u32, stride: u64) -> Result<(), SetupError> {
        if !self.stride.contains(&stride) || !stride.is_multiple_of(Geometry::GRANULE) {
            let (min, max) = (self.stride.start(), self.stride.end());
            return Err(SetupError::Invalid {
                what: "stride",
                value: stride,
                allowed: format!("{min} to {max} bytes in steps of 64"),
            });
        }
        if self.power_of_two && !stride.is_power_of_two() {
            return Err(SetupError::Invalid {
                what: "stride",
                value: stride,
                allowed: "powers of two on this device".into(),
            });
        }
        let most = self.objects.min(u32::MAX.into());
        if objects == 0 || u64::from(objects) > most {
            return Err(SetupError::Invalid {
                what: SetupError::OBJECTS,
                value: objects.into(),
                allowed: format!(
                    "1 to {most}, which is what a list of the device holds by {}: make the pool smaller",
                    self.objects_by
                ),
            });
        }
        Ok(())
    }
}

/// What a device is and can do, checked against what its specification allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What any kind of device has.
    pub limits: Limits,
    /// How many of an array of registers there are, by what the index counts; see
    /// [`Identity::count`].
    pub counts: Vec<(Scope, u16)>,
    /// Names of the registers of optional parts that this device does not have.
    pub absent: Vec<&'static str>,
    /// Its 64-bit registers can't be accessed whole, only as two halves; see [`Identity::bar`].
    pub halves: bool,
    /// All that the device says of itself, as data.
    pub facts: Vec<(&'static str, Fact)>,
    /// The same for people: a name and a line.
    pub rows: Vec<(&'static str, String)>,
}

impl Identity {
    /// Returns how many there are of what `scope` counts on this device, or `None` where only the table knows.
    pub fn count(&self, scope: Scope) -> Option<u16> {
        let found = self.counts.iter().find(|(counted, _)| *counted == scope);
        found.map(|(_, count)| *count)
    }

    /// Opens a BAR whose registers are accessed as this device takes it.
    ///
    /// # Errors
    ///
    /// As [`Transport::bar`].
    pub fn bar<T: Transport>(&self, transport: &T, index: u8) -> Result<Words<T::Bar>, BusError> {
        Ok(Words::new(transport.bar(index)?, self.halves))
    }

    /// Returns how many registers of a row this device has; 0 where they belong to a part that it does not have.
    pub fn registers(&self, row: &Register) -> u16 {
        match self.absent.iter().any(|absent| *absent == row.name) {
            true => 0,
            false => (self.count(row.scope())).map_or(row.count(), |count| count.min(row.count())),
        }
    }
}

/// One thing that a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// Smallest and largest.
    Range(u64, u64),
    /// It has it, or it has not.
    Flag(bool),
    /// Anything else.
    Text(Cow<'static, str>),
}
