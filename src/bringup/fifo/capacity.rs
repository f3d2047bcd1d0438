//! Rung 8: a queue that is full, its order, and pushes that are refused.

use std::sync::Arc;

use hwpool_devices::bus::{BusError, Transport};
use hwpool_devices::family::FreeList;
use hwpool_devices::fifo::{Fifo, REGISTER, regs};
use hwpool_devices::reg::{Field, Register};

use crate::bringup::general::device;
use crate::bringup::general::lists::{Counted, counts, gave, take_one};
use crate::bringup::rung::{Board, BoardSymptom};
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Most numbers that go into the queue: one that is deeper is not filled, for each takes an access.
const MOST: u32 = 4096;
/// What counts the queue.
const LEVEL: &Register = regs::LEVEL.row();

/// Fills the queue, sees the oldest number leave first, and has each kind of bad push refused.
pub(super) fn capacity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let fifo: Arc<Fifo<T>> = session.driver_as().ok_or(BoardSymptom::NotOpened)?;
    let limits = &session.driver.identity().limits;
    let count = device::objects(limits, MOST);
    let config = device::list_config(limits, device::low_base(limits), count);
    let mut queue = session.open_list(&config, REGISTER.name, None)?;
    let all: Vec<u32> = (0..count).collect();
    queue.give(&all)?;
    counts(
        LEVEL,
        queue.available()?,
        count,
        Counted::Full { capacity: count },
    )?;
    let is_full = u64::from(count) == limits.objects;
    if is_full {
        refused(&fifo, "a push into a full queue", 0, regs::error::OVERFLOW)?;
    }
    let has_no_number = limits.objects < u64::from(regs::MAX_DEPTH);
    if has_no_number {
        let past = limits.objects;
        refused(&fifo, "a push of no number", past, regs::error::RANGE)?;
    }
    let taken = in_order(&mut *queue, count)?;
    gave(count, taken)?;
    counts(LEVEL, queue.available()?, 0, Counted::AfterTheOnly)?;
    evidence.count("numbers", count);
    evidence.text("order", "oldest first");
    let kinds = [(is_full, "OVERFLOW"), (has_no_number, "RANGE")];
    let refused = kinds.iter().filter(|(tried, _)| *tried);
    let names: Vec<&str> = refused.map(|(_, name)| *name).collect();
    evidence.text("refused", names.join(" "));
    Ok(())
}

/// Takes until the queue is empty, and sees the numbers in the order in which they were given.
fn in_order(queue: &mut dyn FreeList, count: u32) -> Result<u32, Failure> {
    let mut taken = 0;
    while let Some(took) = take_one(queue)? {
        ensure!(
            took == taken,
            QueueSymptom::Order {
                expected: taken,
                took
            }
        );
        taken += 1;
        if taken > count {
            break;
        }
    }
    Ok(taken)
}

/// Pushes past the driver's own checks, and expects exactly one kind of error and nothing else changed.
fn refused<T: Transport>(
    fifo: &Fifo<T>,
    what: &'static str,
    number: u64,
    kind: Field,
) -> Result<(), Failure> {
    let before = fifo.read(regs::LEVEL)?;
    let errors = push(fifo, number as u32)?;
    let kind_name = kind.name.clone().into_owned();
    ensure!(
        u64::from(errors) == kind.mask(),
        QueueSymptom::Error {
            what,
            errors,
            kind: kind_name
        }
    );
    let after = fifo.read(regs::LEVEL)?;
    ensure!(
        before == after,
        QueueSymptom::Changed {
            what,
            before,
            after
        }
    );
    Ok(())
}

/// Pushes a number, and reads and clears the errors after it.
fn push<T: Transport>(fifo: &Fifo<T>, number: u32) -> Result<u32, BusError> {
    regs::PUSH.write(fifo.bar(), number)?;
    let errors = fifo.read(regs::ERROR)?;
    regs::ERROR.write(fifo.bar(), errors)?;
    Ok(errors)
}

/// What is wrong with the queue.
#[derive(Debug, thiserror::Error)]
enum QueueSymptom {
    #[error("number {took} left the queue where {expected} was the oldest")]
    Order { expected: u32, took: u32 },
    #[error("{what} set ERROR to {errors:#x} instead of {kind}")]
    Error {
        what: &'static str,
        errors: u32,
        kind: String,
    },
    #[error("{what} was refused, and LEVEL went from {before} to {after}")]
    Changed {
        what: &'static str,
        before: u32,
        after: u32,
    },
}

impl Symptom for QueueSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            QueueSymptom::Order { .. } => &[
                "the queue's memory mixes its entries up: read and write pointer wrap at different depths",
                "a stack was built instead of a queue",
            ],
            QueueSymptom::Error { errors: 0, .. } => {
                &["the device does not check what is pushed, or does not latch the error"]
            }
            QueueSymptom::Error { .. } => &["the bits of ERROR are mixed up"],
            QueueSymptom::Changed { .. } => {
                &["the push is refused after the write pointer was advanced"]
            }
        })
    }
}
