//! What is known of the FIFO before one is there.

use crate::family::{About, Way};
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
    halves: None,
    ways: &[REGISTER],
};
