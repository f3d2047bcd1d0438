//! Interrupt vectors.

use std::time::Duration;

use hwpool_devices::bmu::Bmu;
use hwpool_devices::bus::{BusError, Irq, Transport};

use super::device::INTERRUPT;
use crate::bringup::Failure;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};

/// Enables every vector that there is to use.
pub(in crate::bringup) fn all<T: Transport>(bmu: &Bmu<T>) -> Result<Vec<T::Irq>, BusError> {
    // Asked each time: how many there are may be known after the first alone.
    let mut irqs: Vec<T::Irq> = Vec::new();
    while irqs.len() < usize::from(bmu.vectors()?) {
        irqs.push(bmu.interrupt(irqs.len() as u16)?);
    }
    Ok(irqs)
}

/// Raises each vector once and sees it once, and no other.
pub(in crate::bringup) fn each_once<T: Transport>(
    bmu: &Bmu<T>,
    irqs: &[T::Irq],
) -> Result<(), Failure> {
    for (vector, irq) in irqs.iter().enumerate() {
        bmu.trigger(vector as u16)?;
        let fired = irq.wait(INTERRUPT)?;
        ensure!(fired == 1, InterruptSymptom::Fired { vector, fired });
        for (other, irq) in irqs.iter().enumerate() {
            let fired = irq.wait(Duration::ZERO)?;
            ensure!(fired == 0, InterruptSymptom::Other { other, vector });
        }
    }
    Ok(())
}

/// What is wrong with interrupts.
#[derive(Debug, thiserror::Error)]
enum InterruptSymptom {
    #[error("vector {vector} fired {fired} times after it was raised once")]
    Fired { vector: usize, fired: u64 },
    #[error("vector {other} fired when {vector} was raised")]
    Other { other: usize, vector: usize },
}

impl Symptom for InterruptSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
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
