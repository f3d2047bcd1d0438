//! What every kind of device has in common: the traits of a device module, and what its drivers share.
//!
//! ```
//! use hwpool_devices::bus::Iova;
//! use hwpool_devices::family::{Geometry, Ledger};
//!
//! let geometry = Geometry::new(Iova(0x10000), 2048, 16).ok_or("16 objects of 2 KiB")?;
//! let mut ledger = Ledger::new(geometry);
//! assert_eq!(ledger.give(3), Ok(())); // the device has object 3 now, and no other
//! assert!(ledger.take(0x10000 + 4 * 2048).is_err()); // it hands out what it can't have
//! assert_eq!(ledger.take(0x10000 + 3 * 2048), Ok(3));
//! # Ok::<(), &str>(())
//! ```
//!
//! A *device module* is everything hwpool knows of one kind of buffer manager. [`Kind`] and [`Module`] recognise a
//! device and open it, [`Driver`] is the device as a whole, [`FreeList`] one list of free buffers in it. Nobody above
//! learns which kind it is.
//!
//! ```text
//!   recognise ──► Module ──open──► Driver ──open_list──► FreeList
//!   (who is it?)  (one a kind)     (one a device)        (give, take, drain)
//! ```
//!
//! The traits can be made objects for one transport: a call through them costs one hop a bulk, and everything below the
//! hop is compiled for the transport, so that a doorbell on a mapped BAR is one store.
//!
//! [`Ledger`] is the driver's own knowledge of where each buffer is. Every list has one, and what a device hands out
//! becomes an object there and nowhere else.

mod claims;
mod described;
mod error;
mod gauges;
mod identity;
mod ledger;
pub(crate) mod life;
pub(crate) mod plain;
mod recognise;

use std::any::Any;
use std::sync::Arc;

pub(crate) use claims::Claim;
pub use described::Described;
pub use error::{Breach, Complaint, Misuse, OpenError, PathError, ResetError, SetupError};
pub use gauges::{
    ChannelGauges, ErrorGauges, Gauge, Gauges, Observed, ObservedChannel, ObservedList, observe,
};
pub use identity::{Fact, Identity, Limits, Way};
pub use ledger::{Geometry, Ledger};
pub use recognise::{Choice, Recognition, Rejected, recognise};
pub(crate) use recognise::{check_identity, sized_bar};

use crate::bus::{BusError, DmaBuffer, Iova, Transport};
use crate::reg::{Field, Register};

/// What is known of a kind of device before one is there.
#[derive(Debug)]
pub struct About {
    /// Its name in options and addresses, in small letters: `bmu`.
    pub name: &'static str,
    /// The module that drives it, by its folder in this crate: one module may drive kinds of many names.
    pub module: &'static str,
    /// Its name in sentences: `BMU`.
    pub title: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// Vendor and device ids that devices of this kind use. A device with others may be one as well.
    pub ids: &'static [(u16, u16)],
    /// Memory BARs that a device must have, with the least bytes of each.
    pub bars: &'static [(u8, u64)],
    /// Its registers.
    pub registers: &'static [Register],
    /// The register of 32 bits that identifies it, and what it reads: never 0 and never all ones. A kind of device that has
    /// none must be named.
    pub identity: Option<(&'static Register, u32)>,
    /// A register that never reads all ones while the device is there, and whose read has no effect: it tells a device that
    /// is gone from one that says all ones.
    pub alive: &'static Register,
    /// The register of 32 bits with the version of its specification, major in 31:16 and minor in 15:0, and the major
    /// version that the driver knows.
    pub version: Option<(&'static Register, u32)>,
    /// A register that tells who made it.
    pub maker: Option<&'static Register>,
    /// The register that counts the objects in a list.
    pub level: Option<&'static Register>,
    /// A register that keeps what is written and has no effect.
    pub scratch: Option<&'static Register>,
    /// Counts resets.
    pub reset_count: Option<&'static Register>,
    /// Registers that tell what happened to a device: reading them has no effect.
    pub watched: &'static [&'static Register],
    /// What tells how a device and its lists fare; see [`observe`].
    pub gauges: Gauges,
    /// The bit, of a register of 32 bits, that says that 64-bit registers are accessed as two halves only.
    pub halves: Option<(&'static Register, Field)>,
    /// Every way in which objects can travel; the first is the usual one.
    pub ways: &'static [Way],
}

impl About {
    /// Reads whether the 64-bit registers of a device have to be accessed as two halves. Reads nothing where that can't be.
    ///
    /// # Errors
    ///
    /// As a read of a register.
    pub fn is_halved<T: Transport>(&self, transport: &T) -> Result<bool, BusError> {
        let Some((row, bit)) = &self.halves else {
            return Ok(false);
        };
        let value = row.read_raw(&transport.bar(row.bar())?, 0)?;
        Ok(bit.of(value) != 0)
    }
}

/// A kind of device, without anything that depends on a transport.
pub trait Kind: Send + Sync {
    /// Returns what is known of the kind.
    fn about(&self) -> &About;

    /// Returns the bits of register `index` of `row` that may be written without starting anything: those that a test of
    /// the register may change.
    fn harmless(&self, row: &Register, identity: &Identity) -> u64 {
        let _ = identity;
        row.bits
    }

    /// Tells whether `row` belongs to a part that there are devices of this kind without: [`Identity::registers`] knows of
    /// one device.
    fn is_optional(&self, row: &Register) -> bool {
        let _ = row;
        false
    }

    /// Tells whether nobody but the driver touches `row`: no dump reads it, no check reads or writes it.
    fn is_left_alone(&self, row: &Register) -> bool {
        let _ = row;
        false
    }

    /// Returns what makes a device complain so, the likeliest first; nothing where that is not known.
    fn causes(&self, complaint: &Complaint) -> &'static [&'static str] {
        let _ = complaint;
        &[]
    }
}

/// A kind of device, as it is driven over the transport `T` with rings in memory `D`.
pub trait Module<T: Transport, D: DmaBuffer>: Kind {
    /// Reads what the device behind `transport` is and can do. Writes nothing and resets nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError::Stranger`] where it is another kind of device, others where it is one that can't be used.
    fn identify(&self, transport: &T) -> Result<Identity, OpenError>;

    /// Identifies the device, resets it, verifies the reset, and enables it and its bus mastering.
    ///
    /// Blocks for a reset.
    fn open(&self, transport: Arc<T>, reset: OpenReset)
    -> Result<Arc<dyn Driver<T, D>>, OpenError>;
}

/// Which reset a device gets.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum OpenReset {
    /// A function level reset where the function offers one, else a soft reset.
    #[default]
    Best,
    /// The device's own reset register; for functions whose FLR is slow or must not be used.
    Soft,
}

/// What a free list is to be.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct ListConfig {
    /// Where the device finds object 0; a multiple of 64, not 0.
    pub base: Iova,
    /// Bytes from one object to the next; a multiple of 64.
    pub stride: u64,
    /// How many objects there are, at least 1.
    pub objects: u32,
    /// How many the list may hold; the number of objects, as a rule.
    pub capacity: u32,
}

/// A device that was identified, reset and enabled. Every method may be called from any thread.
pub trait Driver<T: Transport, D: DmaBuffer>: Send + Sync {
    /// Returns what is known of its kind.
    fn about(&self) -> &About;

    /// Returns what it is and can do.
    fn identity(&self) -> &Identity;

    /// Returns the transport.
    fn transport(&self) -> &Arc<T>;

    /// Returns how many bytes of memory a list needs for itself to move its objects that way; 0 where it needs none.
    fn ring_bytes(&self, config: &ListConfig, way: &str) -> usize;

    /// Takes a free list of the device into use, empty: all objects are with the host until they are given.
    ///
    /// `way` is the name of one of [`Limits::ways`]. `rings` has at least [`Driver::ring_bytes`] bytes, is reachable by
    /// the device, and starts at a multiple of 64.
    ///
    /// # Errors
    ///
    /// Where the device has no list left, does not move objects that way, or can't have the list like this.
    fn open_list(
        self: Arc<Self>,
        config: &ListConfig,
        way: &str,
        rings: Option<D>,
    ) -> Result<Box<dyn FreeList>, SetupError>;

    /// Resets the device and leaves it disabled, until [`Driver::start`]: refused while lists are in use. The reset is
    /// verified by what it must change.
    fn reset(&self, reset: OpenReset) -> Result<(), ResetError>;

    /// Lets the device work: bus mastering on, lists enabled.
    fn start(&self) -> Result<(), BusError>;

    /// Stops the device, takes its right to DMA away, then resets it and verifies that. Refused while lists are in use.
    fn close(&self) -> Result<(), ResetError>;

    /// Returns how many interrupt vectors there are to use: those of the device, as far as the transport has them.
    fn vectors(&self) -> Result<u16, BusError>;

    /// Enables interrupt `vector`, in the function and in the device, and returns it.
    fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError>;

    /// Makes the device raise `vector`; `false` where it can't be told to.
    fn trigger(&self, vector: u16) -> Result<bool, BusError>;

    /// Returns the driver as what it is, for those who know its kind.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A free list in a device, in use by this driver alone.
///
/// It knows which objects the device holds and believes nothing else. After the first breach of trust it is *poisoned*:
/// the device's list is in an unknown state, every call fails with the same cause, and only closing the list and
/// resetting the device helps. Dropping it gives the list back to the device.
pub trait FreeList: Send {
    /// Returns the list's name in messages, as the device's specification calls it: `pool 3`.
    fn name(&self) -> String;

    /// Returns which objects the device holds.
    fn ledger(&self) -> &Ledger;

    /// Returns what poisoned the list.
    fn poison(&self) -> Option<&Breach>;

    /// Gives all of `objects` to the device, or refuses them all.
    ///
    /// Blocks at most for the device's timeout, where it has to make room.
    ///
    /// # Errors
    ///
    /// [`PathError::Refused`] for an object that does not exist or that the device has already; nothing was changed.
    /// [`PathError::Poisoned`] where the list is out of use.
    fn give(&mut self, objects: &[u32]) -> Result<(), PathError>;

    /// Fills `objects` with objects from the device, all of it (`true`) or, where there are not as many, nothing.
    ///
    /// On `false` and on an error `objects` is untouched. Blocks at most for the device's timeout.
    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError>;

    /// Tells the device what was given and taken and was not told yet.
    fn flush(&mut self) -> Result<(), PathError>;

    /// Counts the doorbells that were rung for the list, `None` where objects travel without.
    fn doorbells(&self) -> Option<u64> {
        None
    }

    /// Reads how many objects the device says are in its list, `None` where it does not count ([`About::level`]). Those that
    /// are on their way to the host are not among them. Costs a round trip, and is exact only while nobody moves objects.
    fn available(&self) -> Result<Option<u32>, BusError>;

    /// Takes all objects that the device has, and stops what moves them: from then on objects travel by registers, or not
    /// at all.
    ///
    /// Fails, and poisons the list, where the device should still hold objects after it said that it has none.
    fn drain(&mut self) -> Result<Vec<u32>, PathError>;
}
