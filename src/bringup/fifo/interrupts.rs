//! Rung 12: the interrupt, raised, held back, and not raised.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bus::{BusError, Irq, Transport};
use hwpool_devices::fifo::{Fifo, regs};

use crate::bringup::general::device::INTERRUPT;
use crate::bringup::general::interrupts::{self, InterruptSymptom};
use crate::bringup::rung::{Board, BoardSymptom};
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::AnyDriver;

/// Raises the interrupt once and sees it once, then twice while it is disabled and sees it when it is enabled; nothing else
/// that SPEC 5 tells of may raise it.
pub(super) fn vectors<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let fifo: Arc<Fifo<T>> = session.driver_as().ok_or(BoardSymptom::NotOpened)?;
    let driver: &AnyDriver<T> = &*fifo;
    let offered = driver.identity().limits.vectors;
    let irqs = interrupts::all(driver)?;
    let irq = irqs.first().ok_or(InterruptSymptom::None { offered })?;
    let device = Device { fifo: &fifo, irq };
    device.enable(false)?;
    regs::EVENT.write(fifo.bar(), LOW)?;
    // What was sent until here is of no rung; but a line that is stuck at 1 has had its one rise then.
    let before = irq.wait(Duration::ZERO)?;
    device.enable(true)?;
    device.is_silent("IRQ_ENABLE was written 1 and nothing had happened", EDGE)?;
    interrupts::each_once(driver, &irqs).map_err(|failure| silent(failure, before))?;
    regs::EVENT.write(fifo.bar(), LOW)?;
    fifo.trigger()?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(fired == 1, Again { fired });
    let pending = || fifo.read(regs::EVENT);
    let pending = (regs::EVENT.row(), LOW, pending);
    interrupts::held_back((0, irq), |on| device.enable(on), || fifo.trigger(), pending)?;
    regs::EVENT_SET.write(fifo.bar(), LOW)?;
    device.is_silent("EVENT.LOW was set, which was 1 already", LEVEL)?;
    device.enable(true)?;
    device.is_silent("IRQ_ENABLE was written 1, which was 1 already", LEVEL)?;
    regs::EVENT.write(fifo.bar(), LOW)?;
    interrupts::tell(irqs.len() as u16, offered, evidence);
    evidence.count("fired", 2u32);
    evidence.text("while disabled", "pending, then once");
    Ok(())
}

const LOW: u32 = regs::event::LOW.mask() as u32;

/// What makes an enable alone interrupt.
const EDGE: Causes = &["the edge of IRQ_ENABLE interrupts by itself: EVENT is not looked at"];
/// What makes an interrupt come again.
const LEVEL: Causes = &["each write interrupts while EVENT is 1: edge and level are mixed up"];

/// The device with its interrupt.
struct Device<'a, T: Transport> {
    fifo: &'a Fifo<T>,
    irq: &'a T::Irq,
}

impl<T: Transport> Device<'_, T> {
    fn enable(&self, on: bool) -> Result<(), BusError> {
        let control = self.fifo.read(regs::CONTROL)?.into();
        let control = regs::control::IRQ_ENABLE.set(control, on.into());
        regs::CONTROL.write(self.fifo.bar(), control as u32)
    }

    /// Sees that no interrupt came of what was written last.
    fn is_silent(&self, after: &'static str, causes: Causes) -> Result<(), Failure> {
        // An interrupt that was sent lands before what a read returns.
        self.fifo.read(regs::EVENT)?;
        let fired = self.irq.wait(Duration::ZERO)?;
        let unasked = Unasked {
            fired,
            after,
            causes,
        };
        ensure!(fired == 0, unasked);
        Ok(())
    }
}

/// An interrupt that does not come where one did that nobody had asked for.
fn silent(failure: Failure, before: u64) -> Failure {
    let Failure::Fail(symptom) = failure else {
        return failure;
    };
    let error: &(dyn Error + 'static) = &*symptom;
    match error.downcast_ref() {
        Some(InterruptSymptom::Fired { fired: 0, .. }) if before > 0 => {
            StuckAtOne { before }.into()
        }
        _ => Failure::Fail(symptom),
    }
}

/// A line that does not rise any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "vector 0 fired 0 times after it was raised once, and {before} times before anything was asked of it"
)]
struct StuckAtOne {
    before: u64,
}

impl Symptom for StuckAtOne {
    fn blame(&self) -> Blame {
        Blame::Device(&[
            "the line is stuck at 1: it rose once, when the reset was over, and an interrupt is a rise",
        ])
    }
}

/// A second interrupt that is not one.
#[derive(Debug, thiserror::Error)]
#[error("vector 0 fired once, and {fired} times when its event was cleared and raised again")]
struct Again {
    fired: u64,
}

impl Symptom for Again {
    fn blame(&self) -> Blame {
        Blame::Device(match self.fired {
            0 => &[
                "the line stays at 1 after its first message: the acknowledgement is not wired to it, and no rise follows",
                "a message was lost",
            ],
            fired => interrupts::counted(fired),
        })
    }
}

/// An interrupt that nothing raises.
#[derive(Debug, thiserror::Error)]
#[error("vector 0 fired {fired} times after {after} (SPEC 5)")]
struct Unasked {
    fired: u64,
    after: &'static str,
    causes: Causes,
}

impl Symptom for Unasked {
    fn blame(&self) -> Blame {
        Blame::Device(self.causes)
    }
}
