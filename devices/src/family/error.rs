//! What can go wrong with a device of any kind, one enum an operation.

use std::borrow::Cow;
use std::fmt;

use crate::bus::BusError;
use crate::wait::TimedOut;

/// What a device says is wrong, as its error register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The kind of device, by the name of its driver: only it knows what the bits mean.
    pub kind: &'static str,
    /// The register's value.
    pub bits: u64,
    /// The mnemonics of the bits that are set, or that none is.
    pub names: String,
}

impl Complaint {
    /// Says what is wrong with which value; where no bit is set, that the device keeps it to itself.
    fn with_value(&self, value: u64) -> String {
        match self.bits {
            0 => "its error register reads 0, so that the device does not say why".into(),
            _ => format!("{self}, offending value {value:#x}"),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names)
    }
}

/// Why a device could not be taken into use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An access failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The register that identifies the device has another value.
    #[error(
        "{register} reads {found:#010x} instead of {expected:#010x}: BAR {bar} is not a {device}'s, \
         or the board's logic is not loaded, or in a reset"
    )]
    Stranger {
        /// What the device should be.
        device: &'static str,
        /// The register.
        register: &'static str,
        /// Its BAR.
        bar: u8,
        /// What was read.
        found: u32,
        /// What a device of this kind reads.
        expected: u32,
    },
    /// Nothing in the device says what it is.
    #[error("no register identifies a {device}: only who names its driver has it")]
    Anonymous {
        /// What the device may be.
        device: &'static str,
    },
    /// The device follows another major version of the specification.
    #[error("the device follows specification {major}.{minor}, this driver {known}.x")]
    Version {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
        /// The major version that the driver knows.
        known: u32,
    },
    /// A register that is there to prove that writes arrive does not answer as it should.
    #[error(
        "{register} reads {found:#010x} after {written:#010x} was written, not {expected}: \
         writes to BAR {bar} get lost or reach something else"
    )]
    NotAlive {
        /// The register.
        register: &'static str,
        /// Its BAR.
        bar: u8,
        /// What it answers with, in words.
        expected: &'static str,
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
    #[error("{register} reads {value:#x}, which SPEC {section} does not allow: {rule}")]
    Capability {
        /// The section of the device's specification.
        section: &'static str,
        /// The register.
        register: &'static str,
        /// What was read.
        value: u64,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The device is not as it is described.
    #[error("{what} is {found:#x}, but `{key}` of its description means {rule}")]
    Otherwise {
        /// The key of the description.
        key: &'static str,
        /// What was looked at.
        what: &'static str,
        /// What was found.
        found: u64,
        /// What it can be.
        rule: String,
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
    TimedOut(TimedOut),
    /// The reset was accepted and nothing happened.
    #[error(
        "{kind} did nothing: {register} reads {after} before and after; \
         the function's reset is not wired to its logic, or the bridge above swallowed it"
    )]
    NoEffect {
        /// Which reset.
        kind: &'static str,
        /// The register that counts resets.
        register: Cow<'static, str>,
        /// Its count.
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
    /// A list that no reset empties could not be emptied by taking all that is in it.
    #[error("{of} can't be emptied: {breach}")]
    NotEmptied {
        /// The list.
        of: String,
        /// What went wrong.
        breach: Box<Breach>,
    },
    /// Lists are in use.
    #[error("{what} are in use: close them first, a reset forgets every buffer")]
    InUse {
        /// How many of what.
        what: String,
    },
    /// Bus mastering could not be turned off.
    #[error("the command register keeps Bus Master set: the device may still write to memory")]
    BusMasterStuck,
}

impl From<TimedOut> for ResetError {
    fn from(wait: TimedOut) -> ResetError {
        ResetError::TimedOut(wait)
    }
}

/// Why a free list, or what moves its objects, could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An access failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The device has no more of them.
    #[error("all {count} {what} of the device are in use")]
    AllInUse {
        /// What: pools, portals, lists.
        what: &'static str,
        /// How many it has.
        count: u16,
    },
    /// The device, or this kind of device, does not move objects that way.
    #[error("the device has no way `{way}` to move objects: it has {}", known.join(", "))]
    NoWay {
        /// The way that was asked for.
        way: String,
        /// Those that there are.
        known: Vec<&'static str>,
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
    /// The list holds something before anything was given.
    #[error("{of} holds {found} buffers that nobody gave it: reset the device")]
    NotEmpty {
        /// The list.
        of: String,
        /// How many.
        found: u32,
    },
    /// The list does not hold what a reset of the device leaves in it: nothing, or each number once.
    #[error("{of} does not hold what a reset leaves: {breach}")]
    Contents {
        /// The list.
        of: String,
        /// What is wrong with what it held.
        breach: Box<Breach>,
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
    #[error("the device refused to enable {of}: {}", errors.with_value(*value))]
    Refused {
        /// The pool or portal.
        of: String,
        /// What it complains of.
        errors: Complaint,
        /// The offending value, as far as it tells.
        value: u64,
    },
    /// The device was not ready for it in the time that it says it takes.
    #[error(transparent)]
    TimedOut(TimedOut),
}

impl From<TimedOut> for SetupError {
    fn from(wait: TimedOut) -> SetupError {
        SetupError::TimedOut(wait)
    }
}

impl SetupError {
    /// What [`Invalid`](Self::Invalid) calls how many objects a list shall have.
    pub const OBJECTS: &str = "number of objects";

    /// Tells whether it is room alone that the device lacks, which another one may have: no list is free, or none holds so
    /// many objects.
    pub fn is_want_of_room(&self) -> bool {
        match self {
            SetupError::AllInUse { .. } => true,
            SetupError::Invalid { what, value, .. } => *what == Self::OBJECTS && *value > 0,
            _ => false,
        }
    }
}

/// What broke the trust in a free list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// An access failed, so that it is not known whether it acted.
    #[error("an access failed, so that it is not known what the device did: {0}")]
    Bus(BusError),
    /// A wait was given up.
    #[error("{0}: the device stopped serving")]
    TimedOut(TimedOut),
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
    /// The device handed out the number of no buffer.
    #[error("the device handed out number {number}, there are 0 to {}", objects - 1)]
    NoSuchNumber {
        /// The number.
        number: u32,
        /// How many objects there are, at least 1.
        objects: u32,
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
    /// The device keeps less than it was given, and tells so itself.
    #[error(
        "the device holds {held} buffers less than it was given: {register} says that it dropped some"
    )]
    Dropped {
        /// How many it should hold still.
        held: u32,
        /// The register that tells.
        register: &'static str,
    },
    /// The next entry is not one of a buffer.
    #[error("{register} tells a length of {found} where the entry of a buffer has {expected}")]
    Length {
        /// The register that tells lengths.
        register: &'static str,
        /// What it tells.
        found: u64,
        /// What it should.
        expected: u64,
    },
    /// The device has no end of buffers.
    #[error(
        "the device handed out {taken} values, more than it can hold, and does not say that it is empty"
    )]
    Endless {
        /// How many were taken.
        taken: u32,
    },
    /// What moves the list's objects has halted.
    #[error("{of} halted: {}", errors.with_value(*value))]
    Halted {
        /// What halted.
        of: String,
        /// What it complains of.
        errors: Complaint,
        /// The offending value.
        value: u64,
    },
    /// The function no longer answers.
    #[error("the device is gone: {register} and {witness} read all ones")]
    Gone {
        /// The register that was to hand out a buffer.
        register: &'static str,
        /// The register that never reads so while the device is there.
        witness: &'static str,
    },
}

impl From<BusError> for Breach {
    fn from(error: BusError) -> Breach {
        Breach::Bus(error)
    }
}

impl From<TimedOut> for Breach {
    fn from(wait: TimedOut) -> Breach {
        Breach::TimedOut(wait)
    }
}

/// Why an object was not accepted. Nothing was changed.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Misuse {
    /// No such object.
    Foreign {
        /// Objects in the pool.
        objects: u32,
    },
    /// The device has it already, or it stands twice in the same call.
    DoubleFree,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Foreign { objects } => write!(f, "the pool has objects 0 to {}", objects - 1),
            Misuse::DoubleFree => f.write_str("it is free already (double free)"),
        }
    }
}

/// Why taking from or giving to a free list failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// An object was not accepted; nothing was changed.
    #[error("object {index} refused: {why}")]
    Refused {
        /// The object.
        index: u32,
        /// Why.
        why: Misuse,
    },
    /// The device does not move objects that way; nothing was changed.
    #[error("{list}: the device has no {way}")]
    NoWay {
        /// The list, as the device's specification calls it.
        list: String,
        /// The way.
        way: &'static str,
    },
    /// The list's state is not known any more. It stays out of use until it is closed and the device reset.
    #[error("{list} is out of use until the device is reset: {breach}")]
    Poisoned {
        /// The list, as the device's specification calls it.
        list: String,
        /// What happened first.
        breach: Breach,
    },
}
