//! Rung 1: what SPEC 3 asks of a BMU's function, beside what any function must be.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::Transport;
use hwpool_devices::pci;

use crate::bringup::general::function;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Offset of BAR 2, and its bit that says prefetchable.
const OPERATION_BAR: (u16, u32) = (0x18, 1 << 3);
/// Offset of the word with Interrupt Pin, and its bits.
const INTERRUPT_PIN: (u16, u32) = (0x3c, 0xff00);
/// Where the MSI-X table and its pending bits must be.
const MSIX: ((u8, u32), (u8, u32)) = (
    (regs::MSIX_BAR, 0),
    (regs::MSIX_BAR, regs::MSIX_PBA_OFFSET as u32),
);

/// Reads the function as any, then finds each capability that SPEC 3.3 asks for; nothing is written.
pub(super) fn function<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    function::function(board, evidence)?;
    let transport = &**board.transport()?;
    ensure!(
        pci::has_express(transport)?,
        FunctionSymptom::Lacks("PCI Express capability")
    );
    ensure!(
        pci::has_flr(transport)?,
        FunctionSymptom::Lacks("Function Level Reset")
    );
    ensure!(
        pci::aer_status(transport)?.is_some() || !pci::is_extended(transport)?,
        FunctionSymptom::Lacks("Advanced Error Reporting")
    );
    if let Some(msix) = pci::msix(transport)? {
        let found = (msix.table, msix.pending);
        ensure!(found == MSIX, FunctionSymptom::Elsewhere(msix));
    }
    let (offset, bit) = OPERATION_BAR;
    let word = transport.config_read32(offset)?;
    ensure!(word & bit == 0, FunctionSymptom::Prefetchable(word));
    let (offset, bits) = INTERRUPT_PIN;
    let pin = (transport.config_read32(offset)? & bits) >> 8;
    ensure!(pin == 0, FunctionSymptom::InterruptPin(pin));
    Ok(())
}

/// What is wrong with the function of a BMU.
#[derive(Debug, thiserror::Error)]
enum FunctionSymptom {
    #[error("the function has no {0}, which SPEC 3.3 asks for")]
    Lacks(&'static str),
    #[error(
        "the MSI-X table is in BAR {} at {:#x} and its pending bits in BAR {} at {:#x}, not in BAR 4 at 0x0 and 0x1000 (SPEC 3.3)",
        .0.table.0, .0.table.1, .0.pending.0, .0.pending.1
    )]
    Elsewhere(pci::Msix),
    #[error("BAR 2 is prefetchable: its register reads {0:#x} (SPEC 3.2)")]
    Prefetchable(u32),
    #[error("Interrupt Pin is {0}: there is no legacy interrupt (SPEC 3.3)")]
    InterruptPin(u32),
}

impl Symptom for FunctionSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            FunctionSymptom::Lacks(_) => &[
                "the capability is not enabled in the endpoint's configuration",
                "it is not in the list of capabilities: a pointer of the one before is wrong",
            ],
            FunctionSymptom::Elsewhere(_) => &[
                "the endpoint's MSI-X parameters (BIR, table and PBA offset) are not those of SPEC 3.3",
            ],
            FunctionSymptom::Prefetchable(_) => &[
                "the BAR is set to prefetchable in the endpoint's configuration: a bridge may then read ahead and lose buffers",
            ],
            FunctionSymptom::InterruptPin(_) => {
                &["legacy interrupts are enabled in the endpoint's configuration"]
            }
        })
    }
}
