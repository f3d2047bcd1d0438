//! What halts a portal.

use hwpool_devices::bmu::regs;
use hwpool_devices::family::Complaint;

use crate::bringup::symptom::Causes;

/// What halts a portal that complains of `errors`.
pub(in crate::bringup) fn halted(errors: &Complaint) -> Causes {
    let has = |kind: hwpool_devices::reg::Field| kind.of(errors.bits) != 0;
    if has(regs::error::DMA_FAULT) {
        &[
            "the IOMMU refused the access: dmesg (DMAR, AMD-Vi) has the address and the requester id",
            "the address lost its high bits on the way to the bus",
            "bus mastering is off",
        ]
    } else if has(regs::error::BAD_DOORBELL) {
        &["the doorbell's value was split or cut off on its way to the device"]
    } else if has(regs::error::STALE_ENTRY) {
        &[
            "the doorbell overtook the entries that it announces, or the device read them before it",
            "the phase bit is that of another lap: the ring's size is taken wrong",
        ]
    } else if errors.bits == 0 {
        &[
            "PORTAL_STATUS or PORTAL_ERROR is a constant, or the error is not latched when a portal halts",
        ]
    } else {
        &[
            "the device takes a correct entry or configuration for a wrong one: its error bit says why",
        ]
    }
}
