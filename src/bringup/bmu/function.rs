//! Rung 1: what SPEC 3 asks of a BMU's function.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::Transport;

use crate::bringup::general::asked::{self, Asked};
use crate::bringup::rung::Board;
use crate::bringup::{Evidence, Failure};

const ASKED: Asked = Asked {
    sections: ("3.2", "3.3"),
    msix: (
        (regs::MSIX_BAR, 0),
        (regs::MSIX_BAR, regs::MSIX_PBA_OFFSET as u32),
    ),
    error_reporting: true,
    no_legacy_interrupt: true,
};

/// Finds what a BMU's function must be; nothing is written.
pub(super) fn function<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    asked::function(board, evidence, &ASKED)
}
