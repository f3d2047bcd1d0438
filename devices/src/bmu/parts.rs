//! Which registers belong to which optional part of a device (SPEC 4.2).

use crate::bmu::regs::{self, cap_features};
use crate::reg::{Field, Register};

/// The features of CAP_FEATURES that have registers of their own, apart from the banks of portals.
const PARTS: [(Field, &[&Register]); 4] = [
    (
        cap_features::REGISTER_PATH,
        &[regs::POOL_ALLOC.row(), regs::POOL_FREE.row()],
    ),
    (
        cap_features::THRESHOLDS,
        &[
            regs::POOL_LOW.row(),
            regs::POOL_HIGH.row(),
            regs::POOL_EVENT.row(),
            regs::POOL_EVENT_SET.row(),
            regs::POOL_EVENT_ENABLE.row(),
            regs::POOL_VECTOR.row(),
        ],
    ),
    (
        cap_features::INJECTION,
        &[
            regs::ERR_STATUS_SET.row(),
            regs::POOL_EVENT_SET.row(),
            regs::POOL_ERROR_SET.row(),
            regs::PORTAL_EVENT_SET.row(),
            regs::PORTAL_ERROR_SET.row(),
        ],
    ),
    (cap_features::BUSY, &[regs::CAP_EMPTYING.row()]),
];

/// Returns the names of the registers that a device with these CAP_FEATURES does not have, whatever pools and portals it
/// has.
pub fn absent(features: u32) -> Vec<&'static str> {
    let lacks = |(part, _): &&(Field, &[&Register])| part.of(features.into()) == 0;
    let rows = PARTS.iter().filter(lacks).flat_map(|(_, rows)| *rows);
    rows.map(|row| &*row.name).collect()
}
