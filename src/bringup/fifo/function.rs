//! Rung 1: what SPEC 1 asks of a FIFO's function.

use hwpool_devices::bus::Transport;
use hwpool_devices::fifo::regs;

use crate::bringup::general::asked::{self, Asked};
use crate::bringup::rung::Board;
use crate::bringup::{Evidence, Failure};

const ASKED: Asked = Asked {
    sections: ("1", "1"),
    msix: (
        (regs::MSIX_BAR, 0),
        (regs::MSIX_BAR, regs::MSIX_PBA_OFFSET as u32),
    ),
    error_reporting: false,
    no_legacy_interrupt: false,
};

/// Finds what a FIFO's function must be; nothing is written.
pub(super) fn function<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    asked::function(board, evidence, &ASKED)
}
