//! What is known of the FIFO before one is there.

use crate::family::{About, ErrorGauges, Gauge, Gauges, Way};
use crate::fifo::regs;

/// Objects travel by register accesses.
pub const REGISTER: Way = Way {
    name: "register",
    backend: "fifo",
    doc: "one register access a buffer",
};

/// What is known of the FIFO.
pub static ABOUT: About = About {
    name: "fifo",
    module: "fifo",
    title: "FIFO",
    doc: "a small free list with 32-bit registers: one queue of numbers, one interrupt",
    ids: &[(regs::VENDOR_ID, regs::DEVICE_ID)],
    bars: &[(regs::BAR, regs::BAR_SIZE)],
    registers: regs::TABLE,
    identity: Some((regs::IDENTITY.row(), regs::IDENTITY_VALUE)),
    alive: regs::IDENTITY.row(),
    version: Some((regs::VERSION.row(), regs::VERSION_MAJOR)),
    maker: None,
    level: Some(regs::LEVEL.row()),
    scratch: Some(regs::SCRATCH.row()),
    reset_count: Some(regs::RESET_COUNT.row()),
    watched: &[
        regs::STATUS.row(),
        regs::LEVEL.row(),
        regs::ERROR.row(),
        regs::RESET_COUNT.row(),
        regs::EVENT.row(),
    ],
    gauges: Gauges {
        states: &[
            Gauge::field(regs::STATUS.row(), regs::status::READY),
            Gauge::field(regs::CONTROL.row(), regs::control::ENABLE),
        ],
        enabled: Some(Gauge::field(regs::CONTROL.row(), regs::control::ENABLE)),
        capacity: Some(Gauge::field(regs::DEPTH.row(), regs::depth::DEPTH)),
        available: Some(Gauge::field(regs::LEVEL.row(), regs::level::LEVEL)),
        low: Some(Gauge::field(regs::THRESHOLD.row(), regs::threshold::LOW)),
        high: None,
        channels: None,
        errors: ErrorGauges::Flags {
            flags: &[
                Gauge::field(regs::ERROR.row(), regs::error::OVERFLOW),
                Gauge::field(regs::ERROR.row(), regs::error::RANGE),
                Gauge::field(regs::ERROR.row(), regs::error::DISABLED),
            ],
        },
        pending: None,
    },
    halves: None,
    ways: &[REGISTER],
};
