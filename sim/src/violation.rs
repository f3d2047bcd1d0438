//! What the host did that no host may do.

use std::fmt;
use std::time::Duration;

/// The rule that was broken.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// An access of another width than the register's.
    WrongWidth,
    /// An access that is not aligned to its width.
    Misaligned,
    /// An access where there is no register.
    NoRegister,
    /// An access of a register of an absent part: of a pool or portal that is not there, or of a feature.
    AbsentPart,
    /// A write of a register that can't be written.
    ReadOnlyWrite,
    /// A write with reserved bits that are not 0.
    ReservedBits,
    /// A BAR access while `Command.Memory Space` is 0.
    MemorySpaceOff,
    /// The device needed the bus while `Command.Bus Master` was 0.
    BusMasterOff,
    /// An access while the function is in reset.
    InReset,
    /// A doorbell out of bounds.
    BadDoorbell,
    /// A doorbell of something that is disabled or stopping.
    DoorbellDisabled,
    /// A write of configuration in use, or an enable of an invalid configuration.
    ConfigInUse,
    /// A DMA access of the device that the IOMMU refused.
    DmaRefused,
    /// A ring entry that was announced before it was there.
    StaleEntry,
    /// A buffer was given that the device has already, where the specification leaves it to the host to know.
    GivenTwice,
    /// A value was given that is no object's, or that the device uses to say that it has none.
    BadValue,
    /// A pop of an empty list, where the host has to look before it pops.
    PopEmpty,
    /// A push into a full list, where the host has to look before it pushes.
    PushFull,
    /// A push while the list is not enabled, which loses the value.
    NotEnabled,
    /// One of the accesses that pass a value came without the one before it, or twice.
    WrongOrder,
    /// A register that takes one value was written with another.
    WrongCommand,
    /// An access of a register that is never to be touched.
    NeverTouched,
}

/// One broken rule, with what is needed to find the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub kind: ViolationKind,
    /// Where: a register with its index, a BAR with an offset, or an IOVA.
    pub place: String,
    /// The value written, or what the device found; 0 for reads.
    pub value: u64,
    /// When, on the transport's clock.
    pub time: Duration,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {} with {:#x} after {:?}",
            self.kind, self.place, self.value, self.time
        )
    }
}

/// How many are kept: a run that breaks a rule each microsecond must not eat the memory.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Violations {
    kept: Vec<Violation>,
}

impl Violations {
    pub(crate) fn push(&mut self, kind: ViolationKind, place: String, value: u64, now_ps: u64) {
        if self.kept.len() < KEPT {
            let time = Duration::from_nanos(now_ps / 1000);
            self.kept.push(Violation {
                kind,
                place,
                value,
                time,
            });
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.kept)
    }
}
