//! Interrupt vectors.

use std::time::Duration;

use hwpool_devices::bus::{BusError, Irq, Transport};
use hwpool_devices::reg::Register;

use super::device::{self, INTERRUPT};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::AnyDriver;

/// Rung 12: raises each vector once and sees it once, and no other.
pub(super) fn vectors<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let driver = &*board.session()?.driver;
    let irqs = all(driver)?;
    let (count, offered) = (irqs.len() as u16, driver.identity().limits.vectors);
    ensure!(count > 0, InterruptSymptom::None { offered });
    each_once(driver, &irqs)?;
    tell(count, offered, evidence);
    evidence.count("fired", count);
    Ok(())
}

/// Notes how many vectors were seen, and how many could not be.
pub(in crate::bringup) fn tell(count: u16, offered: u16, evidence: &mut Evidence) {
    evidence.count("vectors", count);
    if count < offered {
        let more = offered - count;
        evidence.text(
            "not tested",
            format_args!("{more} more that the device offers and this machine does not"),
        );
    }
}

/// Enables every vector that there is to use.
pub(in crate::bringup) fn all<T: Transport>(
    driver: &AnyDriver<T>,
) -> Result<Vec<T::Irq>, BusError> {
    // Asked each time: how many there are may be known after the first alone.
    let mut irqs: Vec<T::Irq> = Vec::new();
    while irqs.len() < usize::from(driver.vectors()?) {
        irqs.push(driver.interrupt(irqs.len() as u16)?);
    }
    Ok(irqs)
}

/// Raises each vector once and sees it once, and no other.
pub(in crate::bringup) fn each_once<T: Transport>(
    driver: &AnyDriver<T>,
    irqs: &[T::Irq],
) -> Result<(), Failure> {
    for (vector, irq) in irqs.iter().enumerate() {
        if !driver.trigger(vector as u16)? {
            return Err(Failure::Skip(
                "the device can't be told to interrupt".into(),
            ));
        }
        let fired = irq.wait(INTERRUPT)?;
        ensure!(fired == 1, InterruptSymptom::Fired { vector, fired });
        for (other, irq) in irqs.iter().enumerate() {
            let fired = irq.wait(Duration::ZERO)?;
            ensure!(fired == 0, InterruptSymptom::Other { other, vector });
        }
    }
    Ok(())
}

/// Raises a vector twice while it is disabled, sees it pending and not sent, and enables it: it comes once.
///
/// Pending it is where the register that is given has that bit.
pub(in crate::bringup) fn held_back<I: Irq>(
    (vector, irq): (u16, &I),
    enable: impl Fn(bool) -> Result<(), BusError>,
    raise: impl Fn() -> Result<(), BusError>,
    (register, bit, pending): (&'static Register, u32, impl Fn() -> Result<u32, BusError>),
) -> Result<(), Failure> {
    enable(false)?;
    raise()?;
    raise()?;
    let register = device::name(register);
    let found = pending()?;
    let held = VectorSymptom::Held {
        register,
        found,
        vector,
    };
    ensure!(found == bit, held);
    let early = irq.wait(Duration::ZERO)?;
    ensure!(early == 0, VectorSymptom::Early { vector });
    enable(true)?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(fired == 1, VectorSymptom::Released { vector, fired });
    Ok(())
}

/// What is wrong with a vector that is held back.
#[derive(Debug, thiserror::Error)]
enum VectorSymptom {
    #[error("{register} is {found:#x} with vector {vector} held back")]
    Held {
        register: &'static str,
        found: u32,
        vector: u16,
    },
    #[error("vector {vector} fired while it was disabled")]
    Early { vector: u16 },
    #[error("vector {vector} fired {fired} times when it was enabled")]
    Released { vector: u16, fired: u64 },
}

impl Symptom for VectorSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            VectorSymptom::Held { .. } => NOT_PENDING,
            VectorSymptom::Early { .. } => &["the enable bit is not looked at"],
            VectorSymptom::Released { fired: 0, .. } => &[
                "what was raised while the vector was disabled is forgotten: enabling it sends nothing",
                "the message was lost: the MSI-X table entry is masked or not written",
            ],
            VectorSymptom::Released { fired, .. } => counted(*fired),
        })
    }
}

pub(in crate::bringup) const NOT_PENDING: Causes =
    &["the pending bit is not kept while a vector is disabled"];

/// What is wrong with interrupts.
#[derive(Debug, thiserror::Error)]
pub(in crate::bringup) enum InterruptSymptom {
    #[error("there is no vector to use, of {offered}")]
    None { offered: u16 },
    #[error("vector {vector} fired {fired} times after it was raised once")]
    Fired { vector: usize, fired: u64 },
    #[error("vector {other} fired when {vector} was raised")]
    Other { other: usize, vector: usize },
}

impl Symptom for InterruptSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            InterruptSymptom::None { .. } => {
                return Blame::Machine(&["the machine has no interrupt left for the function"]);
            }
            InterruptSymptom::Fired { fired, .. } => counted(*fired),
            InterruptSymptom::Other { .. } => &[
                "the vector's number is mixed up on the way to the MSI-X table",
                "an interrupt is raised that nobody asked for",
            ],
        })
    }
}

/// What makes one interrupt come `fired` times.
pub(in crate::bringup) fn counted(fired: u64) -> Causes {
    match fired {
        0 => &[
            "the message was lost: the MSI-X table entry is masked or not written, or interrupt remapping refuses it (dmesg)",
            "the device sends before its enable bit is set, or never",
        ],
        _ => &["an interrupt is sent again while it is served: edge and level are mixed up"],
    }
}
