//! What is to blame where a driver fails: decided by the type of its error.

use hwpool_devices::bus::BusError;
use hwpool_devices::family::{Breach, OpenError, PathError, ResetError, SetupError};
use hwpool_devices::modules;

use super::refused::of_errno;
use super::symptom::{Blame, Causes, Symptom};
use crate::device::{DeviceError, ListError};

impl Symptom for BusError {
    fn blame(&self) -> Blame {
        match self {
            BusError::Gone { .. } => Blame::Gone,
            BusError::NoBar { .. } => Blame::Device(BAR),
            BusError::NoVector { .. } => Blame::Machine(&[
                "the machine has no interrupt left for the function, or the device offers fewer than it says elsewhere",
            ]),
            BusError::Failed { .. } => Blame::Device(&[
                "the device refuses the access or does not complete it (unsupported request, completion timeout): look at its AER status",
                "its bus between the BAR and this register hangs, or answers with an error",
            ]),
            BusError::Os { errno, .. } => of_errno(*errno).unwrap_or(Blame::Machine(&[
                "the machine's kernel, or the server behind the socket, refuses the call: its errno says why, dmesg may say more",
            ])),
            _ => Blame::UNKNOWN,
        }
    }
}

impl Symptom for OpenError {
    fn blame(&self) -> Blame {
        match self {
            OpenError::Bus(error) => error.blame(),
            OpenError::Stranger { found, .. } => stranger(*found),
            OpenError::Version { major, .. } => version(*major),
            OpenError::NotAlive { .. } => Blame::Device(NOT_ALIVE),
            OpenError::BarSize { .. } => Blame::Device(BAR),
            OpenError::Capability { .. } => Blame::Device(&[
                "the bitstream was built with parameters outside of the specification, or this register is not filled in",
                "the board's parameters are read from memory that was not loaded",
            ]),
            OpenError::Reset(error) => error.blame(),
            _ => Blame::UNKNOWN,
        }
    }
}

/// What makes the register that identifies a device read `found`.
pub(super) fn stranger(found: u32) -> Blame {
    Blame::Device(match found {
        0 => &[
            "the logic behind BAR 0 is not loaded or is held in reset",
            "BAR 0 belongs to something else of the board: the register block is mapped elsewhere",
        ],
        _ => &[
            "another board or another bitstream",
            "the bytes are swapped between bus and logic",
        ],
    })
}

/// What makes a device follow a version that is not known.
pub(super) fn version(major: u32) -> Blame {
    Blame::Device(match major {
        0 => &[
            "VERSION is not filled in in this bitstream, or it is of a draft",
            "another board that identifies itself by the same word",
        ],
        _ => &["the bitstream is of a later specification than this program"],
    })
}

pub(super) const BAR: Causes = &[
    "the BAR's size is set wrong in the endpoint's configuration",
    "the firmware of the machine has assigned no address to it",
];
pub(super) const NOT_ALIVE: Causes = &[
    "writes do not reach the logic, or reads come from a buffer before it",
    "the register is a constant in this bitstream",
];
pub(super) const HANGS: Causes = &[
    "the logic hangs in its reset: a clock is missing, or a PLL does not lock",
    "its READY bit is a constant in this bitstream",
];
pub(super) const NOT_RESET: Causes = &[
    "the reset does not reach this register or counter",
    "the bitstream has another register map than the specification's section that is named",
];
pub(super) const NO_RESET: Causes = &[
    "the reset is not wired to the logic: FLR ends in the endpoint, or the RESET register is not decoded",
    "the count of resets is a constant in this bitstream",
    "the READY bit is set before the reset is over",
];
pub(super) const NARROW: Causes =
    &["addresses are narrower inside than the device says: the high bits are cut off"];
pub(super) const STALE: Causes = &[
    "the reset leaves the list's memory and its counts as they were",
    "somebody else gives buffers to the device",
];

impl Symptom for ResetError {
    fn blame(&self) -> Blame {
        match self {
            ResetError::Bus(error) => error.blame(),
            ResetError::TimedOut(_) => Blame::Device(HANGS),
            ResetError::NoEffect { .. } => Blame::Device(NO_RESET),
            ResetError::NotClean { .. } => Blame::Device(NOT_RESET),
            ResetError::NotEmptied { breach, .. } => self::breach(breach),
            ResetError::BusMasterStuck => Blame::Device(&[
                "the Command register of the function is not as PCI says: its Bus Master bit can't be cleared",
            ]),
            // The caller's mistake: a list is open still.
            _ => Blame::UNKNOWN,
        }
    }
}

impl Symptom for SetupError {
    fn blame(&self) -> Blame {
        match self {
            SetupError::Bus(error) => error.blame(),
            SetupError::AllInUse { .. } => Blame::Device(&[
                "the control or the status register of a list or portal does not go back to 0 when it is disabled",
            ]),
            SetupError::NotEmpty { .. } => Blame::Device(STALE),
            SetupError::Contents { breach, .. } => self::breach(breach),
            SetupError::ReadBack { .. } => Blame::Device(NARROW),
            SetupError::Refused { .. } => Blame::Device(&[
                "the bit that enables the list or the portal is a constant, or writes to it are lost",
                "the device takes a correct configuration for a wrong one: its error bit says which part",
            ]),
            SetupError::TimedOut(_) => Blame::Device(&[
                "the list is never done with being emptied: its counter stops, or POOL_STATUS.BUSY is a constant",
                "CAP_EMPTYING is too short for the list, or counts another clock",
            ]),
            // The caller's mistake: the driver refuses before it writes anything.
            _ => Blame::UNKNOWN,
        }
    }
}

impl Symptom for PathError {
    fn blame(&self) -> Blame {
        match self {
            // The caller's mistake: nothing was given.
            PathError::Refused { .. } | PathError::NoWay { .. } => Blame::UNKNOWN,
            PathError::Poisoned { breach, .. } => self::breach(breach),
            _ => Blame::UNKNOWN,
        }
    }
}

/// What breaks the trust in a list.
fn breach(breach: &Breach) -> Blame {
    Blame::Device(match breach {
        Breach::Bus(error) => return error.blame(),
        Breach::Gone { .. } => return Blame::Gone,
        Breach::TimedOut(_) => &[
            "the doorbell did not reach the device: BAR 2, write combining, or a posted write that is stuck",
            "its DMA stands still: bus mastering is off, or it waits for a completion",
            "the device is slower than it says",
        ],
        Breach::OutOfRange { .. } => &[
            "addresses are cut off or mixed up in the list's memory",
            "the device hands out what it was never given: an entry that was not initialised",
        ],
        Breach::NoSuchNumber { .. } => &[
            "bits of the number are cut off, stuck or added to on the way through the list",
            "the device hands out what it was never given: an entry that was not initialised",
        ],
        Breach::Misaligned { .. } => &[
            "the low address bits are lost or added to on the way through the list",
            "the device computes with another stride than it was given",
        ],
        Breach::Duplicate { .. } => &[
            "the device grants a buffer twice: its read pointer is not advanced, or two takers are served at once without arbitration",
            "a buffer was freed twice by who had it before",
        ],
        Breach::BadCount { .. } => {
            &["pointers of the rings run apart: head and tail wrap at different sizes"]
        }
        Breach::MissingEntry { .. } => &[
            "the entry was never written, or the status line overtook it: relaxed ordering, or a posted write that was lost",
            "the phase bit is that of another lap: the ring's size is taken wrong",
        ],
        Breach::Lost { .. } => &[
            "the list's memory drops entries, or what was given did not reach it",
            "the list counts as empty while it is not: its pointers wrap at different sizes",
        ],
        Breach::Dropped { .. } => &[
            "the list is smaller than the device or its description says, so that pushes are dropped",
        ],
        Breach::Endless { .. } => &[
            "the list's read pointer is not advanced: the same value is handed out again and again",
            "nothing tells that the list is empty",
        ],
        Breach::Length { .. } => {
            &["an entry was cut off, or joined with the next one, on its way through the list"]
        }
        Breach::Halted { errors, .. } => {
            modules::kind(errors.kind).map_or(&[], |kind| kind.causes(errors))
        }
        _ => return Blame::UNKNOWN,
    })
}

impl Symptom for ListError {
    fn blame(&self) -> Blame {
        match self {
            ListError::Memory(error) => error.blame(),
            ListError::Map(error) => error.blame(),
            ListError::Setup(error) => error.blame(),
            ListError::RingsTooSmall { .. } => Blame::UNKNOWN,
        }
    }
}

impl Symptom for DeviceError {
    fn blame(&self) -> Blame {
        match self {
            DeviceError::Open { source, .. } => source.blame(),
            DeviceError::Dma { source, .. } => source.blame(),
            #[cfg(feature = "vfio")]
            DeviceError::Vfio { source, .. } => source.blame(),
            #[cfg(feature = "user")]
            DeviceError::User { .. } => Blame::Machine(&[
                "the process that serves the device has ended, or serves somebody else now",
            ]),
            DeviceError::Unknown { rejected, .. } => {
                let by_ids = rejected.iter().find(|rejected| rejected.has_its_ids);
                by_ids.map_or(stranger(u32::MAX), |rejected| rejected.why.blame())
            }
            // The address was opened before, as it is.
            DeviceError::Address(_)
            | DeviceError::Kind { .. }
            | DeviceError::NotBuilt { .. }
            | DeviceError::Sim { .. } => Blame::UNKNOWN,
        }
    }
}
