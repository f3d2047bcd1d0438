//! Rung 1: the PCI function.

use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::pci;

use crate::bringup::driver;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// How many times as large as the specification says a BAR may be; beyond that its size was set wrong.
const LARGEST: u64 = 1 << 16;
/// Bytes of a vector in the MSI-X table.
const MSIX_ENTRY: u64 = 16;

/// Reads ids, BARs, link, capabilities and error status; nothing is written.
pub(in crate::bringup) fn function<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let transport = &**board.transport()?;
    let identity = pci::identity(transport)?;
    evidence.text(
        "ids",
        format_args!("{:04x}:{:04x}", identity.vendor, identity.device),
    );
    evidence.hex("class", identity.class);
    bars(board, evidence)?;
    capabilities(transport, board.about().is_ok(), evidence)?;
    link(transport, evidence)?;
    errors(transport, evidence)
}

/// Sees the BARs that the kind of device must have; of a device that nobody knows, those that there are.
fn bars<T: Transport>(board: &Board<'_, T>, evidence: &mut Evidence) -> Result<(), Failure> {
    let transport = board.transport()?;
    let Ok(about) = board.about() else {
        for bar in 0..6 {
            if let Ok(found) = transport.bar(bar) {
                evidence.hex(format!("BAR{bar} bytes"), found.size());
            }
        }
        return Ok(());
    };
    for &(bar, least) in about.bars {
        let size = transport.bar(bar)?.size();
        evidence.hex(format!("BAR{bar} bytes"), size);
        let is_right = (least..=least.saturating_mul(LARGEST)).contains(&size);
        ensure!(is_right, FunctionSymptom::BarSize { bar, size, least });
    }
    Ok(())
}

/// Sees the capabilities. A kind that hwpool knows can't do without MSI-X; of another it can't say.
fn capabilities<T: Transport>(
    transport: &T,
    is_known: bool,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    if let Some(at) = pci::capability_loop(transport)? {
        return Err(FunctionSymptom::Loop(at).into());
    }
    let flr = pci::has_flr(transport)?;
    evidence.text("FLR", if flr { "yes" } else { "no" });
    let msix = pci::msix(transport)?;
    ensure!(msix.is_some() || !is_known, FunctionSymptom::NoMsix);
    evidence.count("MSI-X vectors", msix.map_or(0, |msix| msix.vectors));
    let Some(msix) = msix else {
        return Ok(());
    };
    let vectors = u64::from(msix.vectors);
    lies_within(transport, "table", msix.table, vectors * MSIX_ENTRY)?;
    lies_within(
        transport,
        "pending bit array",
        msix.pending,
        vectors.div_ceil(64) * 8,
    )
}

/// Sees that a part of MSI-X lies in a BAR that the function has.
fn lies_within<T: Transport>(
    transport: &T,
    part: &'static str,
    (bar, offset): (u8, u32),
    bytes: u64,
) -> Result<(), Failure> {
    let size = match transport.bar(bar) {
        Ok(bar) => bar.size(),
        Err(BusError::NoBar { .. }) => 0,
        Err(error) => return Err(error.into()),
    };
    let outside = Outside {
        part,
        bar,
        size,
        start: offset.into(),
        end: u64::from(offset) + bytes,
    };
    ensure!(outside.end <= size, FunctionSymptom::MsixOutside(outside));
    Ok(())
}

fn link<T: Transport>(transport: &T, evidence: &mut Evidence) -> Result<(), Failure> {
    let Some(link) = pci::link(transport)? else {
        return Ok(());
    };
    evidence.text(
        "link",
        format_args!("Gen{} x{}", link.generation, link.lanes),
    );
    ensure!(
        link.generation >= link.max_generation && link.lanes >= link.max_lanes,
        FunctionSymptom::Trained(link)
    );
    Ok(())
}

fn errors<T: Transport>(transport: &T, evidence: &mut Evidence) -> Result<(), Failure> {
    let Some(aer) = pci::aer_status(transport)? else {
        return Ok(());
    };
    evidence.hex("AER uncorrectable", aer.uncorrectable);
    evidence.hex("AER correctable", aer.correctable);
    ensure!(
        aer.uncorrectable == 0,
        FunctionSymptom::Uncorrectable(aer.uncorrectable)
    );
    Ok(())
}

/// A part of MSI-X that does not lie in its BAR.
#[derive(Debug)]
struct Outside {
    part: &'static str,
    bar: u8,
    size: u64,
    start: u64,
    end: u64,
}

/// What is wrong with the function.
#[derive(Debug, thiserror::Error)]
enum FunctionSymptom {
    #[error("BAR {bar} has {size:#x} bytes, the specification says {least:#x}")]
    BarSize { bar: u8, size: u64, least: u64 },
    #[error("the list of capabilities runs in a circle: it comes to {0:#x} again")]
    Loop(u16),
    #[error(
        "the MSI-X {} lies at {:#x} to {:#x} of BAR {}, which has {:#x} bytes",
        .0.part, .0.start, .0.end, .0.bar, .0.size
    )]
    MsixOutside(Outside),
    #[error("no MSI-X capability: the device can't interrupt")]
    NoMsix,
    #[error(
        "the link trained to Gen{} x{}, the function supports Gen{} x{}: slot, riser or signal quality",
        .0.generation, .0.lanes, .0.max_generation, .0.max_lanes
    )]
    Trained(pci::Link),
    #[error("AER reports uncorrectable errors {0:#x}: look at the link before anything else")]
    Uncorrectable(u32),
}

impl Symptom for FunctionSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            FunctionSymptom::BarSize { .. } => driver::BAR,
            FunctionSymptom::Loop(_) => {
                &["a capability's pointer to the next one is wrong in the endpoint's configuration"]
            }
            FunctionSymptom::MsixOutside(_) => &[
                "the endpoint's MSI-X parameters (BIR, offset, table size) do not fit the BAR's size",
            ],
            FunctionSymptom::NoMsix => {
                &["the bitstream has no MSI-X capability, or it is not in the list of capabilities"]
            }
            FunctionSymptom::Trained(_) => &[
                "a slot or riser with fewer or slower lanes",
                "signal quality: reseat the board, look for correctable errors",
            ],
            FunctionSymptom::Uncorrectable(_) => &[
                "errors of an earlier run that nobody cleared",
                "the link or the device's completion logic",
            ],
        })
    }
}
