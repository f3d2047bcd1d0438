//! Rung 12: interrupt vectors, raised and held back.

use std::time::Duration;

use hwpool_devices::bmu::{Bmu, regs};
use hwpool_devices::bus::{Irq, Transport};

use super::device;
use crate::bringup::general::device::INTERRUPT;
use crate::bringup::general::interrupts::{self, InterruptSymptom, counted};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::AnyDriver;

/// Raises each vector once and sees it once, and no other; then raises it twice while disabled and sees it pending
/// until it is enabled, then once.
pub(super) fn vectors<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &device::session(board)?.bmu;
    let driver: &AnyDriver<T> = &**bmu;
    let irqs = interrupts::all(driver)?;
    let (count, offered) = (irqs.len() as u16, bmu.capabilities().vectors);
    ensure!(count > 0, InterruptSymptom::None { offered });
    interrupts::each_once(driver, &irqs)?;
    for (vector, irq) in (0..count).zip(&irqs) {
        held_back(bmu, vector, irq)?;
    }
    interrupts::tell(count, offered, evidence);
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
        VectorSymptom::Held { pending, vector }
    );
    let early = irq.wait(Duration::ZERO)?;
    ensure!(early == 0, VectorSymptom::Early { vector });
    bmu.enable_vector(vector, true)?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(fired == 1, VectorSymptom::Released { vector, fired });
    let pending = bmu.read(regs::IRQ_PENDING)?;
    ensure!(pending == 0, VectorSymptom::Stays { pending, vector });
    Ok(())
}

/// What is wrong with a vector that is held back.
#[derive(Debug, thiserror::Error)]
enum VectorSymptom {
    #[error("IRQ_PENDING is {pending:#x} with vector {vector} held back")]
    Held { pending: u32, vector: u16 },
    #[error("vector {vector} fired while it was disabled")]
    Early { vector: u16 },
    #[error("vector {vector} fired {fired} times when it was enabled")]
    Released { vector: u16, fired: u64 },
    #[error("IRQ_PENDING is {pending:#x} after vector {vector} was enabled")]
    Stays { pending: u32, vector: u16 },
}

impl Symptom for VectorSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            VectorSymptom::Held { .. } | VectorSymptom::Stays { .. } => {
                &["the pending bit is not kept while a vector is disabled"]
            }
            VectorSymptom::Early { .. } => &["the enable bit is not looked at"],
            VectorSymptom::Released { fired, .. } => counted(*fired),
        })
    }
}
