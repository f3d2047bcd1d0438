//! Rung 1: the PCI function.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::pci;

use super::Board;
use super::evidence::{Evidence, Failure, ensure};

/// Reads ids, BARs, link, capabilities and error status; nothing is written.
pub(super) fn function<T: Transport>(
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
    bars(transport, evidence)?;
    capabilities(transport, evidence)?;
    link(transport, evidence)?;
    errors(transport, evidence)
}

fn bars<T: Transport>(transport: &T, evidence: &mut Evidence) -> Result<(), Failure> {
    let expected = [
        ("BAR0 bytes", regs::CONTROL_BAR, regs::CONTROL_BAR_SIZE),
        ("BAR2 bytes", regs::OPERATION_BAR, regs::OPERATION_BAR_SIZE),
    ];
    for (name, index, least) in expected {
        let size = transport.bar(index)?.size();
        evidence.hex(name, size);
        ensure!(
            size >= least,
            "BAR {index} has {size:#x} bytes, the specification says {least:#x}"
        );
    }
    Ok(())
}

fn capabilities<T: Transport>(transport: &T, evidence: &mut Evidence) -> Result<(), Failure> {
    let flr = pci::has_flr(transport)?;
    evidence.text("FLR", if flr { "yes" } else { "no" });
    let Some(msix) = pci::msix(transport)? else {
        return Err(Failure::Fail(
            "no MSI-X capability: the device can't interrupt".into(),
        ));
    };
    evidence.count("MSI-X vectors", msix.vectors);
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
        "the link trained to Gen{} x{}, the function supports Gen{} x{}: slot, riser or signal quality",
        link.generation,
        link.lanes,
        link.max_generation,
        link.max_lanes
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
        "AER reports uncorrectable errors {:#x}: look at the link before anything else",
        aer.uncorrectable
    );
    Ok(())
}
