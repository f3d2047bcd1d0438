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

/// Takes until the level falls below the threshold, sees the event and its interrupt once and at no other time, gives all
/// back and does it again; then without a threshold, where there is no event.
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
    let queue = Queue::open(&fifo, &config)?;
    let low = count / 2;
    let irq = queue.event_interrupt()?;
    let mut dry = Dry { queue, irq, low };
    dry.queue.set_threshold(low)?;
    dry.is_silent(NoEvent::Threshold)?;
    for _ in 0..2 {
        dry.run(count)?;
    }
    dry.queue.set_threshold(0)?;
    dry.queue.give(&[0])?;
    dry.queue.drain()?;
    dry.is_silent(NoEvent::Off)?;
    evidence.count("numbers", count);
    evidence.count("threshold", low);
    evidence.text("event", "LOW once each time");
    Ok(())
}

/// A queue that runs dry.
struct Dry<T: Transport> {
    queue: Queue<T>,
    irq: T::Irq,
    /// Its threshold.
    low: u32,
}

impl<T: Transport> Dry<T> {
    /// Fills the queue with `count` numbers and takes them all.
    fn run(&mut self, count: u32) -> Result<(), Failure> {
        let all: Vec<u32> = (0..count).collect();
        self.queue.give(&all)?;
        self.is_silent(NoEvent::Push)?;
        let mut above = vec![0; (count - self.low) as usize];
        self.queue.take(&mut above)?;
        let low = self.low;
        self.is_silent(NoEvent::Early { low })?;
        self.falls_below()?;
        self.queue.drain()?;
        self.is_silent(NoEvent::Below)
    }

    /// Takes the number whose pop takes the level below the threshold, and sees the event with its interrupt.
    fn falls_below(&mut self) -> Result<(), Failure> {
        self.queue.take(&mut [0])?;
        let fired = self.irq.wait(INTERRUPT)?;
        // An event without its interrupt is a message that was lost, and not a comparison too late.
        if fired == 0 && !self.queue.take_event()? {
            self.queue.take(&mut [0])?;
            let low = self.low;
            let is_late = self.queue.take_event()?;
            ensure!(!is_late, EventSymptom::Late { low });
        }
        ensure!(fired == 1, EventSymptom::Fired { fired });
        ensure!(self.queue.take_event()?, EventSymptom::NoEvent);
        ensure!(!self.queue.take_event()?, EventSymptom::Stays);
        Ok(())
    }

    /// Sees neither the event nor its interrupt.
    fn is_silent(&self, when: NoEvent) -> Result<(), Failure> {
        let is_raised = self.queue.take_event()?;
        let fired = self.irq.wait(Duration::ZERO)?;
        ensure!(!is_raised && fired == 0, EventSymptom::Unasked(when));
        Ok(())
    }
}

/// When there is no event.
#[derive(Debug, thiserror::Error)]
enum NoEvent {
    #[error("by a write of THRESHOLD")]
    Threshold,
    #[error("by a push")]
    Push,
    #[error("with {low} numbers left, which are not below the threshold")]
    Early { low: u32 },
    #[error("again by a pop from below the threshold")]
    Below,
    #[error("while THRESHOLD is 0, which turns it off")]
    Off,
}

/// What is wrong with the event.
#[derive(Debug, thiserror::Error)]
enum EventSymptom {
    #[error("LOW was raised {0}")]
    Unasked(NoEvent),
    #[error("LOW was not raised with one number less than {low}, and with two less it was")]
    Late { low: u32 },
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
            EventSymptom::Unasked(when) => when.causes(),
            EventSymptom::Late { .. } => &["the level is compared one too late"],
            EventSymptom::Fired { fired } => counted(*fired),
            EventSymptom::NoEvent => {
                &["EVENT is not latched when the interrupt is sent, or is a constant"]
            }
            EventSymptom::Stays => &["EVENT is a constant, or a write of 1 does not clear it"],
        })
    }
}

impl NoEvent {
    fn causes(&self) -> &'static [&'static str] {
        match self {
            NoEvent::Early { .. } => &["the level is compared one too early"],
            NoEvent::Threshold | NoEvent::Below => &[
                "the event follows from the level being below the threshold, not from the pop that takes it there",
            ],
            NoEvent::Push => &["the level is compared whichever way it crosses the threshold"],
            NoEvent::Off => &["0 is compared like any other threshold"],
        }
    }
}
