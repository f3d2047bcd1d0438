//! What can go wrong with a BMU, one enum an operation.

use std::fmt;

use crate::bmu::claims::{PoolId, PortalId};
use crate::bmu::regs;
use crate::bus::BusError;
use crate::reg::Field;
use crate::wait::TimedOut;

/// Kinds of error as the device reports them, a bit a kind (SPEC 4.4).
#[derive(Copy, Clone, PartialEq, Eq, Default)]
pub struct ErrorBits(pub u32);

impl ErrorBits {
    /// The fields that name the bits.
    pub const KINDS: &[Field] = &[
        regs::error::RANGE,
        regs::error::ALIGN,
        regs::error::DOUBLE_FREE,
        regs::error::OVERFLOW,
        regs::error::DISABLED,
        regs::error::CONFIG,
        regs::error::DMA_FAULT,
        regs::error::BAD_DOORBELL,
        regs::error::STALE_ENTRY,
    ];

    /// Tells whether no error is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the mnemonics of the kinds that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::KINDS
            .iter()
            .filter(move |kind| kind.of(self.0.into()) != 0)
            .map(|kind| &*kind.name)
    }
}

impl fmt::Display for ErrorBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no error bit");
        }
        let names: Vec<_> = self.names().collect();
        write!(f, "{}", names.join("+"))
    }
}

impl fmt::Debug for ErrorBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorBits({:#x}: {self})", self.0)
    }
}

/// Why a device could not be taken into use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An access failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// BAR 0 does not begin with the BMU's magic number.
    #[error(
        "MAGIC reads {found:#010x} instead of {:#010x}: BAR 0 is not a BMU's, or the board's logic is not loaded",
        regs::MAGIC_VALUE
    )]
    NotABmu {
        /// What was read.
        found: u32,
    },
    /// The device follows another major version of the specification.
    #[error(
        "the device follows specification {major}.{minor}, this driver {}.x",
        regs::VERSION_MAJOR
    )]
    Version {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// LIVENESS does not answer with the complement.
    #[error(
        "LIVENESS reads {found:#010x} after {written:#010x} was written, not its complement: \
         writes to BAR 0 get lost or reach something else"
    )]
    NotAlive {
        /// What was written.
        written: u32,
        /// What was read.
        found: u32,
    },
    /// A BAR is smaller than the specification says.
    #[error("BAR {bar} has {found:#x} bytes, the specification says {expected:#x}")]
    BarSize {
        /// The BAR's index.
        bar: u8,
        /// Its size in bytes.
        found: u64,
        /// The size that it must have.
        expected: u64,
    },
    /// A capability register holds a value that the specification does not allow.
    #[error("{register} reads {value:#x}, which SPEC 4.2 does not allow: {rule}")]
    Capability {
        /// The register.
        register: &'static str,
        /// What was read.
        value: u64,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The reset at open failed.
    #[error(transparent)]
    Reset(#[from] ResetError),
}

/// Why a reset, a quiesce or a close failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// An access failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The device did not finish in time.
    #[error("{0}: the device hangs; power-cycle it or reset its slot")]
    TimedOut(#[from] TimedOut),
    /// The reset was accepted and nothing happened.
    #[error(
        "{kind} did nothing: RESET_COUNT reads {after} before and after; \
         the function's reset is not wired to its logic, or the bridge above swallowed it"
    )]
    NoEffect {
        /// Which reset.
        kind: &'static str,
        /// RESET_COUNT.
        after: u32,
    },
    /// After the reset something is left of what was there before.
    #[error("{register} reads {value:#x} after a reset instead of {expected:#x}")]
    NotClean {
        /// The register, with its index where it has one.
        register: String,
        /// What was read.
        value: u64,
        /// Its reset value.
        expected: u64,
    },
    /// Pools or portals are in use.
    #[error(
        "{pools} pools and {portals} portals are in use: close them first, a reset forgets every buffer"
    )]
    InUse {
        /// Pools in use.
        pools: u32,
        /// Portals in use.
        portals: u32,
    },
    /// Bus mastering could not be turned off.
    #[error("the command register keeps Bus Master set: the device may still write to memory")]
    BusMasterStuck,
}

/// Why a pool or a portal could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An access failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// All pools are taken.
    #[error("all {count} pools of the device are in use")]
    NoPool {
        /// How many it has.
        count: u16,
    },
    /// All portals are taken.
    #[error("all {count} portals of the device are in use")]
    NoPortal {
        /// How many it has.
        count: u16,
    },
    /// A value is outside of what the device or the specification allows.
    #[error("{what} is {value}, allowed is {allowed}")]
    Invalid {
        /// The value's name.
        what: &'static str,
        /// The value.
        value: u64,
        /// What is allowed, in words.
        allowed: String,
    },
    /// A register does not keep what was written.
    #[error(
        "{register} of {of} reads back {found:#x} after {written:#x} was written: the device drops bits"
    )]
    ReadBack {
        /// The register.
        register: &'static str,
        /// The pool or portal.
        of: String,
        /// What was written.
        written: u64,
        /// What was read.
        found: u64,
    },
    /// The device refused to enable it.
    #[error("the device refused to enable {of}: {errors}, offending value {value:#x}")]
    Refused {
        /// The pool or portal.
        of: String,
        /// Its error bits.
        errors: ErrorBits,
        /// Its error address.
        value: u64,
    },
}

/// What broke the trust in a free list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// An access failed, so that it is not known whether it acted.
    #[error("an access failed, so that it is not known what the device did: {0}")]
    Bus(#[from] BusError),
    /// A wait was given up.
    #[error("{0}: the device stopped serving the portal")]
    TimedOut(#[from] TimedOut),
    /// The device handed out an address outside of the pool.
    #[error("the device handed out {address:#x}, outside of {base:#x}..{end:#x}")]
    OutOfRange {
        /// The address.
        address: u64,
        /// First byte of the pool.
        base: u64,
        /// Byte past the pool.
        end: u64,
    },
    /// The device handed out an address that is not the start of a buffer.
    #[error("the device handed out {address:#x}, {excess} bytes past the start of object {index}")]
    Misaligned {
        /// The address.
        address: u64,
        /// The object that it points into.
        index: u32,
        /// Bytes past its start.
        excess: u64,
    },
    /// The device handed out a buffer that it does not have.
    #[error("the device handed out {address:#x}, object {index}, which is out already")]
    Duplicate {
        /// The address.
        address: u64,
        /// The object.
        index: u32,
    },
    /// A count that the device wrote is impossible.
    #[error("the device wrote {what} {found}, possible is {low} to {high} (modulo 2^32)")]
    BadCount {
        /// The count's name in the specification.
        what: &'static str,
        /// What it wrote.
        found: u64,
        /// Lowest possible value.
        low: u64,
        /// Highest possible value.
        high: u64,
    },
    /// The device counts an acquire entry that is not there: lost, or written with the phase of another lap.
    #[error(
        "entry {entry} is not in the acquire ring, though the device counts {tail} entries: \
         it was lost, or carries the phase of another lap"
    )]
    MissingEntry {
        /// The entry's number since the portal was enabled, modulo 2^32.
        entry: u32,
        /// How many entries the device says it wrote, modulo 2^32.
        tail: u32,
    },
    /// The device says that it has none while it holds buffers.
    #[error("the device says that it is empty and holds {held} buffers")]
    Lost {
        /// How many it should hold.
        held: u32,
    },
    /// The portal halted.
    #[error("{portal} halted: {errors}, offending value {value:#x}")]
    Halted {
        /// The portal.
        portal: PortalId,
        /// Its error bits.
        errors: ErrorBits,
        /// Its error address.
        value: u64,
    },
    /// The function no longer answers.
    #[error("the device is gone: {0} and MAGIC read all ones")]
    Gone(&'static str),
}

/// Why an object was not accepted. Nothing was changed.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such object.
    Foreign {
        /// Objects in the pool.
        objects: u32,
    },
    /// The device has it already, or it stands twice in the same call.
    DoubleFree,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Foreign { objects } => write!(f, "the pool has objects 0 to {}", objects - 1),
            Refusal::DoubleFree => f.write_str("it is free already (double free)"),
        }
    }
}

/// Why taking from or giving to a free list failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An object was not accepted; nothing was changed.
    #[error("object {index} refused: {why}")]
    Refused {
        /// The object.
        index: u32,
        /// Why.
        why: Refusal,
    },
    /// The list's state is not known any more. It stays out of use until it is closed and the device reset.
    #[error("{pool} is out of use until the device is reset: {fault}")]
    Poisoned {
        /// The pool.
        pool: PoolId,
        /// What happened first.
        fault: Fault,
    },
}
