//! Rung 13: a queue that runs dry and recovers, with its event and its interrupt.

use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_devices::family::FreeList;
use hwpool_devices::fifo::{Fifo, Queue};

use crate::bringup::general::device::{self, INTERRUPT, OBJECTS};
use crate::bringup::general::interrupts::counted;
use crate::bringup::rung::{Board, BoardSymptom};
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Fewer numbers than this leave no room below a threshold.
const FEWEST: u32 = 4;

/// Takes until the level falls below the threshold, sees the event and its interrupt once, gives all back and does it
/// again.
pub(super) fn exhaustion<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let fifo: Arc<Fifo<T>> = session.driver_as().ok_or(BoardSymptom::NotOpened)?;
    let limits = &session.driver.identity().limits;
    let count = device::objects(limits, OBJECTS);
    if count < FEWEST {
        let why = format!("a queue of {count} numbers has no room below a threshold");
        return Err(Failure::Skip(why));
    }
    let config = device::list_config(limits, device::low_base(limits), count);
    let mut queue = Queue::open(&fifo, &config)?;
    let low = count / 2;
    let irq = queue.event_interrupt()?;
    queue.set_threshold(low)?;
    for _ in 0..2 {
        run_dry(&mut queue, &irq, count, low)?;
    }
    queue.set_threshold(0)?;
    evidence.count("numbers", count);
    evidence.count("threshold", low);
    evidence.text("event", "LOW once each time");
    Ok(())
}

fn run_dry<T: Transport>(
    queue: &mut Queue<T>,
    irq: &T::Irq,
    count: u32,
    low: u32,
) -> Result<(), Failure> {
    let all: Vec<u32> = (0..count).collect();
    queue.give(&all)?;
    let mut above = vec![0; (count - low) as usize];
    queue.take(&mut above)?;
    let early = irq.wait(Duration::ZERO)?;
    ensure!(early == 0, EventSymptom::Early { low });
    queue.drain()?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(fired == 1, EventSymptom::Fired { fired });
    ensure!(queue.take_event()?, EventSymptom::NoEvent);
    ensure!(!queue.take_event()?, EventSymptom::Stays);
    Ok(())
}

/// What is wrong with the event.
#[derive(Debug, thiserror::Error)]
enum EventSymptom {
    #[error("LOW was raised with {low} numbers left, which are not below the threshold")]
    Early { low: u32 },
    #[error("LOW raised {fired} interrupts instead of 1")]
    Fired { fired: u64 },
    #[error("an interrupt without its event LOW")]
    NoEvent,
    #[error("LOW stays set after it was cleared")]
    Stays,
}

impl Symptom for EventSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            EventSymptom::Early { .. } => &["the level is compared one too early"],
            EventSymptom::Fired { fired } => counted(*fired),
            EventSymptom::NoEvent => {
                &["EVENT is not latched when the interrupt is sent, or is a constant"]
            }
            EventSymptom::Stays => &["EVENT is a constant, or a write of 1 does not clear it"],
        })
    }
}
