//! What is known of the BMU before one is there.

use crate::bmu::regs;
use crate::family::{About, Way};

/// Objects travel through rings in host memory.
pub const PORTAL: Way = Way {
    name: "portal",
    backend: "bmu",
    doc: "rings and doorbells",
};
/// Objects travel by register accesses.
pub const REGISTER: Way = Way {
    name: "register",
    backend: "bmu-registers",
    doc: "one register access a buffer",
};

/// What is known of the BMU.
pub static ABOUT: About = About {
    name: "bmu",
    module: "bmu",
    title: "BMU",
    doc: "hwpool's open buffer management unit: pools, portals, thresholds, MSI-X",
    ids: &[(regs::VENDOR_ID, regs::DEVICE_ID)],
    bars: &[
        (regs::CONTROL_BAR, regs::CONTROL_BAR_SIZE),
        (regs::OPERATION_BAR, regs::OPERATION_BAR_SIZE),
    ],
    registers: regs::TABLE,
    identity: Some((regs::MAGIC.row(), regs::MAGIC_VALUE)),
    alive: regs::MAGIC.row(),
    version: Some((regs::VERSION.row(), regs::VERSION_MAJOR)),
    maker: Some(regs::IMPLEMENTATION.row()),
    level: Some(regs::POOL_AVAILABLE.row()),
    scratch: Some(regs::SCRATCH.row()),
    reset_count: Some(regs::RESET_COUNT.row()),
    watched: &[
        regs::STATUS.row(),
        regs::RESET_COUNT.row(),
        regs::ERR_STATUS.row(),
        regs::ERR_COUNT.row(),
        regs::IRQ_PENDING.row(),
    ],
    halves: Some((regs::CAP_FEATURES.row(), regs::cap_features::HALVES_ONLY)),
    ways: &[PORTAL, REGISTER],
};
