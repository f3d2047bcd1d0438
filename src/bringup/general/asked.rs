//! Rung 1 of a kind: what its specification asks of the function, beside what any function must be.

use hwpool_devices::bus::Transport;
use hwpool_devices::family::About;
use hwpool_devices::pci;

use super::function;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// What a specification asks of its function.
pub(in crate::bringup) struct Asked {
    /// The section that tells of BARs, and the one that tells of capabilities.
    pub(in crate::bringup) sections: (&'static str, &'static str),
    /// BAR and offset of the MSI-X table and of its pending bits.
    pub(in crate::bringup) msix: ((u8, u32), (u8, u32)),
    /// Advanced Error Reporting must be there.
    pub(in crate::bringup) error_reporting: bool,
    /// A legacy interrupt must not.
    pub(in crate::bringup) no_legacy_interrupt: bool,
}

/// Offset of the word with Header Type, and its bits without the one of several functions.
const HEADER_TYPE: (u16, u32) = (0x0c, 0x7f_0000);
/// Offset of BAR 0, and the bit of a BAR that says prefetchable.
const BAR: (u16, u32) = (0x10, 1 << 3);
/// Offset of the word with Interrupt Pin, and its bits.
const INTERRUPT_PIN: (u16, u32) = (0x3c, 0xff00);

/// Reads the function as any, then finds what is asked of it; nothing is written.
pub(in crate::bringup) fn function<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
    asked: &Asked,
) -> Result<(), Failure> {
    function::function(board, evidence)?;
    let transport = &**board.transport()?;
    header(transport, asked)?;
    capabilities(transport, asked)?;
    bars(transport, board.about()?, asked)
}

fn header<T: Transport>(transport: &T, asked: &Asked) -> Result<(), Failure> {
    let (offset, bits) = HEADER_TYPE;
    let header = (transport.config_read32(offset)? & bits) >> 16;
    ensure!(header == 0, AskedSymptom::Header(header));
    if asked.no_legacy_interrupt {
        let (offset, bits) = INTERRUPT_PIN;
        let pin = (transport.config_read32(offset)? & bits) >> 8;
        let section = asked.sections.1;
        ensure!(pin == 0, AskedSymptom::InterruptPin { pin, section });
    }
    Ok(())
}

fn capabilities<T: Transport>(transport: &T, asked: &Asked) -> Result<(), Failure> {
    let (_, section) = asked.sections;
    let lacks = |what| AskedSymptom::Lacks { what, section };
    let has_express = pci::has_express(transport)?;
    ensure!(has_express, lacks("PCI Express capability"));
    ensure!(pci::has_flr(transport)?, lacks("Function Level Reset"));
    if asked.error_reporting && pci::is_extended(transport)? {
        let has_errors = pci::aer_status(transport)?.is_some();
        ensure!(has_errors, lacks("Advanced Error Reporting"));
    }
    if let Some(found) = pci::msix(transport)? {
        let wanted = asked.msix;
        let elsewhere = Elsewhere {
            found,
            wanted,
            section,
        };
        let is_right = (elsewhere.found.table, elsewhere.found.pending) == wanted;
        ensure!(is_right, AskedSymptom::Elsewhere(elsewhere));
    }
    Ok(())
}

/// Sees that no bridge may read ahead in a BAR: not of registers, of which a read may take something, nor of MSI-X.
fn bars<T: Transport>(transport: &T, about: &About, asked: &Asked) -> Result<(), Failure> {
    let ((msix, _), _) = asked.msix;
    let of_registers = about.bars.iter().map(|(bar, _)| *bar);
    for bar in of_registers.chain([msix]) {
        let (first, bit) = BAR;
        let word = transport.config_read32(first + 4 * u16::from(bar))?;
        let section = asked.sections.0;
        let ahead = AskedSymptom::Prefetchable { bar, word, section };
        ensure!(word & bit == 0, ahead);
    }
    Ok(())
}

/// An MSI-X table, or its pending bits, that are not where they must be.
#[derive(Debug)]
struct Elsewhere {
    found: pci::Msix,
    wanted: ((u8, u32), (u8, u32)),
    section: &'static str,
}

/// What is wrong with the function of a kind.
#[derive(Debug, thiserror::Error)]
enum AskedSymptom {
    #[error("the header is of type {0}: that of an endpoint is of type 0")]
    Header(u32),
    #[error("the function has no {what}, which SPEC {section} asks for")]
    Lacks {
        what: &'static str,
        section: &'static str,
    },
    #[error(
        "the MSI-X table is in BAR {} at {:#x} and its pending bits in BAR {} at {:#x}, not in BAR {} at {:#x} and BAR {} at {:#x} (SPEC {})",
        .0.found.table.0, .0.found.table.1, .0.found.pending.0, .0.found.pending.1,
        .0.wanted.0.0, .0.wanted.0.1, .0.wanted.1.0, .0.wanted.1.1, .0.section
    )]
    Elsewhere(Elsewhere),
    #[error("BAR {bar} is prefetchable: its register reads {word:#x} (SPEC {section})")]
    Prefetchable {
        bar: u8,
        word: u32,
        section: &'static str,
    },
    #[error("Interrupt Pin is {pin}: there is no legacy interrupt (SPEC {section})")]
    InterruptPin { pin: u32, section: &'static str },
}

impl Symptom for AskedSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            AskedSymptom::Header(_) => {
                &["the endpoint's core is configured as a port or a bridge, not as an endpoint"]
            }
            AskedSymptom::Lacks { .. } => &[
                "the capability is not enabled in the endpoint's configuration",
                "it is not in the list of capabilities: a pointer of the one before is wrong",
            ],
            AskedSymptom::Elsewhere(_) => &[
                "the endpoint's MSI-X parameters (BIR, table and PBA offset) are not those of the specification",
            ],
            AskedSymptom::Prefetchable { .. } => &[
                "the BAR is set to prefetchable in the endpoint's configuration: a bridge may then read ahead and lose buffers",
            ],
            AskedSymptom::InterruptPin { .. } => {
                &["legacy interrupts are enabled in the endpoint's configuration"]
            }
        })
    }
}
