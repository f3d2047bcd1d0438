//! What is known of the BMU before one is there.

use crate::bmu::regs;
use crate::family::{About, ChannelGauges, ErrorGauges, Gauge, Gauges, Way};

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
    gauges: Gauges {
        states: &[
            Gauge::field(regs::STATUS.row(), regs::status::READY),
            Gauge::field(regs::CONTROL.row(), regs::control::ENABLE),
            Gauge::field(regs::STATUS.row(), regs::status::QUIESCED),
        ],
        enabled: Some(Gauge::field(
            regs::POOL_STATUS.row(),
            regs::pool_status::ENABLED,
        )),
        capacity: Some(Gauge::whole(regs::POOL_CAPACITY.row())),
        available: Some(Gauge::whole(regs::POOL_AVAILABLE.row())),
        low: Some(Gauge::whole(regs::POOL_LOW.row())),
        high: Some(Gauge::whole(regs::POOL_HIGH.row())),
        channels: Some(ChannelGauges {
            name: "portal",
            state: Gauge::field(regs::PORTAL_STATUS.row(), regs::portal_status::STATE),
            states: &["disabled", "running", "stopping", "halted"],
            list: Gauge::field(regs::PORTAL_POOL.row(), regs::portal_pool::POOL),
            given: Gauge::whole(regs::PORTAL_RELEASE_HEAD.row()),
            taken: Gauge::whole(regs::PORTAL_ACQUIRE_TAIL.row()),
        }),
        errors: ErrorGauges::Counts {
            counts: regs::ERR_COUNT.row(),
            kinds: regs::ERR_STATUS.row(),
        },
        pending: Some(Gauge::whole(regs::IRQ_PENDING.row())),
    },
    halves: Some((regs::CAP_FEATURES.row(), regs::cap_features::HALVES_ONLY)),
    ways: &[PORTAL, REGISTER],
};
