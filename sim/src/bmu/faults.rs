//! The faults that only a BMU can have.

use crate::faults::{FaultKind, Offer};

pub(super) const OFFERS: &[Offer] = &[
    Offer::new(
        FaultKind::NarrowAddress,
        "POOL_BASE and POOL_END keep only the low `value` bits (40); `index` is the pool",
    ),
    Offer::new(
        FaultKind::DelayedDoorbell,
        "PORTAL_DOORBELL arrives `value` nanoseconds late, or never if 0; `index` is the portal",
    ),
    Offer::new(
        FaultKind::DuplicateBuffer,
        "POOL_ALLOC (`index` is the pool) or a portal (PORTAL_DOORBELL, `index` is the portal) hands out a buffer that \
         is out already",
    ),
    Offer::new(
        FaultKind::OutOfRangeBuffer,
        "likewise an address outside of the pool: `value`, or the pool's end if 0",
    ),
    Offer::new(
        FaultKind::MisalignedBuffer,
        "likewise an address between two buffers",
    ),
    Offer::new(
        FaultKind::StaleEntry,
        "an acquire entry has the phase of the lap before; `index` is the portal",
    ),
    Offer::new(
        FaultKind::LostEntry,
        "an acquire entry is counted but never written; `index` is the portal",
    ),
    Offer::new(
        FaultKind::WrongCount,
        "`value` (1) is added to POOL_AVAILABLE, PORTAL_RELEASE_HEAD or PORTAL_ACQUIRE_TAIL, in the register and in \
         status lines; `index` is the register's, in status lines the portal's",
    ),
    Offer::new(
        FaultKind::DmaFault,
        "a DMA access of a portal is refused; `index` is the portal",
    ),
];
