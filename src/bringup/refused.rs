//! What the machine refuses: memory, mappings, functions. It says nothing of the device.

use hwpool_devices::bus::DmaError;
use nix::errno::Errno;

use super::symptom::{Blame, Causes, Symptom};
use crate::dma::{DomainError, MapError, MemoryError};
#[cfg(feature = "vfio")]
use crate::vfio::VfioError;

const MEMORY: Causes = &[
    "the machine has too little free memory, or no free hugepages where they were asked for",
    "a limit of this process or its cgroup: RLIMIT_MEMLOCK, memory.max, hugetlb.max",
];
const DESCRIPTORS: Causes = &[
    "this process or the machine has no file descriptors left: RLIMIT_NOFILE (ulimit -n), fs.file-max",
];
const ADDRESSES: Causes = &[
    "the IOMMU of the machine translates too few addresses for this device, or has other pages than the memory",
];

/// What a refusal with this errno comes from, where that alone tells it.
pub(super) fn of_errno(errno: i32) -> Option<Blame> {
    match Errno::from_raw(errno) {
        Errno::EMFILE | Errno::ENFILE => Some(Blame::Machine(DESCRIPTORS)),
        _ => None,
    }
}

impl Symptom for MemoryError {
    fn blame(&self) -> Blame {
        match self {
            MemoryError::Os { errno, .. } => of_errno(*errno).unwrap_or(Blame::Machine(MEMORY)),
            MemoryError::NoHugepages { .. } | MemoryError::NoMemory { .. } => {
                Blame::Machine(MEMORY)
            }
            // The caller's mistake.
            MemoryError::Empty
            | MemoryError::TooLong { .. }
            | MemoryError::Label { .. }
            | MemoryError::Segments { .. } => Blame::UNKNOWN,
        }
    }
}

impl Symptom for MapError {
    fn blame(&self) -> Blame {
        match self {
            MapError::Granularity { .. } | MapError::Address { .. } => Blame::Machine(ADDRESSES),
            MapError::Refused { source, .. } => source.blame(),
            // The caller's mistake.
            MapError::OtherProcess { .. } => Blame::UNKNOWN,
        }
    }
}

impl Symptom for DomainError {
    fn blame(&self) -> Blame {
        match self {
            DomainError::Limits { source, .. } => source.blame(),
            DomainError::Addresses { .. } => Blame::Machine(ADDRESSES),
            DomainError::NoMark { .. } => Blame::Machine(MEMORY),
        }
    }
}

impl Symptom for DmaError {
    fn blame(&self) -> Blame {
        match self {
            DmaError::NoEntries { .. } => Blame::Machine(&[
                "the machine lets this device have too few DMA mappings: `dma_entry_limit` of vfio_iommu_type1, or `iommu-entries` of a model",
            ]),
            DmaError::OutOfAperture { .. }
            | DmaError::Misaligned { .. }
            | DmaError::Elsewhere { .. } => Blame::Machine(ADDRESSES),
            DmaError::Exists { .. } | DmaError::NotMapped { .. } => Blame::Machine(&[
                "somebody else maps memory for this device: two programs share its IOMMU domain",
            ]),
            DmaError::Os { errno, .. } => match Errno::from_raw(*errno) {
                Errno::ENODEV | Errno::ENOTCONN => Blame::Gone,
                Errno::ENOMEM => Blame::Machine(&[
                    "RLIMIT_MEMLOCK of this process is too low, or the machine has no memory left for the IOMMU's tables",
                ]),
                _ => of_errno(*errno).unwrap_or(Blame::Machine(&[
                    "the machine's kernel, or the server behind the socket, refuses the mapping: its errno says why, dmesg may say more",
                ])),
            },
            _ => Blame::Machine(&[]),
        }
    }
}

#[cfg(feature = "vfio")]
impl Symptom for VfioError {
    fn blame(&self) -> Blame {
        match self {
            VfioError::Gone { .. } => Blame::Gone,
            VfioError::Bus { source, .. } => source.blame(),
            VfioError::Dma { source, .. } => source.blame(),
            _ => Blame::Machine(&[
                "another process has the function, or its driver or its IOMMU group changed meanwhile: `hwpool doctor` looks at these",
            ]),
        }
    }
}
