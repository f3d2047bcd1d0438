//! What a device must say and do to stand behind the one PCI function of this crate.
//!
//! The function ([`Model`](crate::Model)) is the same for all devices: configuration space, MSI-X, posted writes, the
//! IOMMU, the link, time, faults, counters, violations, and every rule that the register table tells. A device adds
//! [`Options`], from which its [`Shape`] and its [`Logic`] are made.

use std::fmt;

use crate::faults::Offer;
use crate::lies::Lies;
use crate::parameter::{ConfigError, Text};
use crate::shape::{Shape, Slot};
use crate::world::{Sent, World};

/// A kind of device that has a model.
#[derive(Copy, Clone)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The name in addresses, as in `sim:bmu`.
    pub name: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// The keys of [`SimConfig::set`](crate::SimConfig::set) that only this model has, and what each does.
    pub keys: &'static [(&'static str, &'static str)],
    /// The faults that only this model and its like can have.
    pub faults: &'static [Offer],
    /// The rules of its specification that this model can break, by name, and what each does; those of any function are
    /// [`SimConfig::LIES`](crate::SimConfig::LIES).
    pub lies: &'static [(&'static str, &'static str)],
    pub(crate) options: fn() -> Box<dyn Options>,
}

impl fmt::Debug for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelInfo")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The parameters of one kind of device, with their defaults until they are set.
pub(crate) trait Options: fmt::Debug + Send + Sync {
    /// Sets one of the keys that the kind's [`ModelInfo`](crate::ModelInfo) lists; `None` where it is none of them.
    fn set(&mut self, text: Text<'_>) -> Option<Result<(), ConfigError>>;
    /// Returns what the function shows of the device.
    fn shape(&self, lies: Lies) -> Shape;
    /// Makes the device, as power-up leaves it.
    fn make(&self, lies: Lies) -> Box<dyn Logic>;
    /// Copies the parameters.
    fn boxed(&self) -> Box<dyn Options>;
}

impl Clone for Box<dyn Options> {
    fn clone(&self) -> Box<dyn Options> {
        self.boxed()
    }
}

/// What a device does, by itself and when it is asked.
///
/// The function has checked an access before it comes here: the register is there and exists in this device, the width
/// is its own, a write is of one that can be written and reserved bits are 0.
pub(crate) trait Logic: fmt::Debug + Send {
    fn read(&mut self, world: &mut World, slot: Slot) -> u64;
    fn write(&mut self, world: &mut World, slot: Slot, value: u64);
    /// A read of 32 bits of a 64-bit register, the `high` ones or the low ones: where the shape says that there are halves.
    fn read_half(&mut self, world: &mut World, slot: Slot, high: bool) -> u32 {
        let value = self.read(world, slot);
        (if high { value >> 32 } else { value }) as u32
    }

    /// A write of 32 bits of a 64-bit register, as [`Logic::read_half`].
    fn write_half(&mut self, _world: &mut World, _slot: Slot, _high: bool, _value: u32) {}

    /// A function level reset; the 100 ms after it are the function's.
    fn reset(&mut self, world: &mut World);
    /// The function has vanished: nothing goes on in it.
    fn vanish(&mut self);

    /// Translations may be old: none may keep memory that is unmapped now.
    fn invalidate(&mut self) {}

    /// Tells whether DMA reads are under way.
    fn has_reads(&self) -> bool {
        false
    }

    /// Returns when the device will next do something by itself, in picoseconds.
    fn next_at(&self) -> Option<u64>;
    /// Does what is due next; nothing where the function has vanished.
    fn run_next(&mut self, world: &mut World);

    /// Something that the device wrote to host memory arrives there.
    fn deliver(&mut self, _world: &mut World, _sent: Sent) {}
}
