//! Rung 12: interrupt vectors, raised and held back.

use std::time::Duration;

use hwpool_devices::bmu::{Bmu, ErrorBits, regs};
use hwpool_devices::bus::{Irq, Transport};

use super::device;
use crate::bringup::general::device::INTERRUPT;
use crate::bringup::general::interrupts::{self, InterruptSymptom};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::AnyDriver;

/// How long an interrupt that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(20);

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
    if bmu.capabilities().injection && bmu.capabilities().is_settled() {
        once_for_both(bmu, &irqs[0])?;
        evidence.text("two kinds enabled by one write", "one interrupt");
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

/// Enables two kinds of error that have happened by one write: their vector comes once (SPEC 8).
fn once_for_both<T: Transport>(bmu: &Bmu<T>, irq: &T::Irq) -> Result<(), Failure> {
    let both = (regs::error::RANGE.mask() | regs::error::ALIGN.mask()) as u32;
    regs::ERR_VECTOR.write(bmu.control(), 0)?;
    regs::ERR_STATUS_SET.write(bmu.control(), both)?;
    bmu.enable_errors(ErrorBits(both))?;
    // A read behind it: what was raised has been sent by then, ahead of the answer.
    let enabled = bmu.read(regs::ERR_ENABLE_SET)?;
    let fired = irq.wait(INTERRUPT)? + irq.wait(SILENCE)?;
    bmu.enable_errors(ErrorBits(0))?;
    bmu.clear_errors(bmu.errors()?)?;
    bmu.take_error_record()?;
    ensure!(fired == 1, Both { fired, enabled });
    Ok(())
}

/// Two bits that were enabled together raised their vector otherwise than once.
#[derive(Debug, thiserror::Error)]
#[error(
    "vector 0 fired {fired} times when RANGE and ALIGN, which had happened, were enabled by one write (ERR_ENABLE reads {enabled:#x})"
)]
struct Both {
    fired: u64,
    enabled: u32,
}

impl Symptom for Both {
    fn blame(&self) -> Blame {
        Blame::Device(&[
            "each bit that is enabled raises the vector by itself, or none does that is 1 already",
        ])
    }
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
