//! Rung 12: interrupt vectors.

use std::time::Duration;

use hwpool_devices::bmu::{Bmu, regs};
use hwpool_devices::bus::{Irq, Transport};

use super::Board;
use super::evidence::{Evidence, Failure, ensure};
use super::lists::INTERRUPT;

/// Raises each vector once and sees it once, and no other; then raises it twice while disabled and sees it pending
/// until it is enabled, then once.
pub(super) fn vectors<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &board.session()?.bmu;
    // Asked each time: how many there are may be known after the first alone.
    let mut irqs: Vec<T::Irq> = Vec::new();
    while irqs.len() < usize::from(bmu.vectors()?) {
        irqs.push(bmu.interrupt(irqs.len() as u16)?);
    }
    let count = irqs.len() as u16;
    let offered = bmu.capabilities().vectors;
    ensure!(count > 0, "there is no vector to use, of {offered}");
    for vector in 0..count {
        bmu.trigger(vector)?;
        let fired = irqs[usize::from(vector)].wait(INTERRUPT)?;
        ensure!(
            fired == 1,
            "vector {vector} fired {fired} times after it was raised once"
        );
        for (other, irq) in irqs.iter().enumerate() {
            let fired = irq.wait(Duration::ZERO)?;
            ensure!(fired == 0, "vector {other} fired when {vector} was raised");
        }
    }
    for vector in 0..count {
        held_back(bmu, vector, &irqs[usize::from(vector)])?;
    }
    evidence.count("vectors", count);
    if count < offered {
        evidence.text(
            "not tested",
            format_args!(
                "{} more that the device offers and this machine does not",
                offered - count
            ),
        );
    }
    evidence.count("fired", 2 * u32::from(count));
    evidence.text("while disabled", "pending, then once");
    Ok(())
}

fn held_back<T: Transport>(bmu: &Bmu<T>, vector: u16, irq: &T::Irq) -> Result<(), Failure> {
    bmu.enable_vector(vector, false)?;
    bmu.trigger(vector)?;
    bmu.trigger(vector)?;
    let pending = bmu.read(regs::IRQ_PENDING)?;
    ensure!(
        pending == 1 << vector,
        "IRQ_PENDING is {pending:#x} with vector {vector} held back"
    );
    let early = irq.wait(Duration::ZERO)?;
    ensure!(early == 0, "vector {vector} fired while it was disabled");
    bmu.enable_vector(vector, true)?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(
        fired == 1,
        "vector {vector} fired {fired} times when it was enabled"
    );
    let pending = bmu.read(regs::IRQ_PENDING)?;
    ensure!(
        pending == 0,
        "IRQ_PENDING is {pending:#x} after vector {vector} was enabled"
    );
    Ok(())
}
