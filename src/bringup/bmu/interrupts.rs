//! Rung 12: interrupt vectors, raised and held back.

use hwpool_devices::bmu::{Bmu, regs};
use hwpool_devices::bus::Transport;

use super::device;
use crate::bringup::general::interrupts::{self, InterruptSymptom};
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
    let bit = 1 << vector;
    let pending = || bmu.read(regs::IRQ_PENDING);
    let register = regs::IRQ_PENDING.row();
    let enable = |on| bmu.enable_vector(vector, on);
    let raise = || bmu.trigger(vector);
    interrupts::held_back((vector, irq), enable, raise, (register, bit, pending))?;
    let pending = pending()?;
    ensure!(pending == 0, Stays { pending, vector });
    Ok(())
}

/// A vector stays pending.
#[derive(Debug, thiserror::Error)]
#[error("IRQ_PENDING is {pending:#x} after vector {vector} was enabled")]
struct Stays {
    pending: u32,
    vector: u16,
}

impl Symptom for Stays {
    fn blame(&self) -> Blame {
        Blame::Device(interrupts::NOT_PENDING)
    }
}
