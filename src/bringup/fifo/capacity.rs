//! Rung 8: a queue that is full, its order, and pushes that are refused.

use std::sync::Arc;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::{Breach, FreeList, PathError};
use hwpool_devices::fifo::{Fifo, REGISTER, regs};
use hwpool_devices::reg::Register;

use crate::bringup::general::device;
use crate::bringup::general::lists::{Counted, counts, gave, take_one};
use crate::bringup::rung::{Board, BoardSymptom};
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Most numbers that go into the queue: one that is deeper is not filled, for each takes an access.
const MOST: u32 = 4096;
/// What counts the queue.
const LEVEL: &Register = regs::LEVEL.row();

/// Fills the queue, has each kind of bad push refused, stops it in between, and sees the oldest number leave first.
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
    let full = Counted::Full { capacity: count };
    counts(LEVEL, queue.available()?, count, full)?;
    let depth = limits.objects;
    let is_full = u64::from(count) == depth;
    has_flags(&fifo, false, is_full)?;
    let has_no_number = depth < u64::from(regs::MAX_DEPTH);
    // Of two rules that forbid a push the first is reported: no number before full, stopped before both.
    let numbers = [(0, is_full, OVERFLOW), (depth as u32, has_no_number, RANGE)];
    let tried: Vec<_> = numbers.into_iter().filter(|(_, is, _)| *is).collect();
    for (number, _, refusal) in &tried {
        if *number == depth as u32 {
            bound(&fifo, *number)?;
        }
        refused(&fifo, refusal, *number)?;
    }
    let numbers = tried.iter().map(|(number, ..)| *number).chain([0]);
    stopped(&fifo, numbers)?;
    let taken = in_order(&mut *queue, count)?;
    gave(count, taken)?;
    counts(LEVEL, queue.available()?, 0, Counted::AfterTheOnly)?;
    has_flags(&fifo, true, false)?;
    takes_nothing(&fifo, "a pop from an empty queue")?;
    evidence.count("numbers", count);
    evidence.text("order", "oldest first");
    let kinds = tried.iter().map(|(.., refusal)| refusal.kind);
    let names: Vec<&str> = kinds.chain([DISABLED.kind]).collect();
    evidence.text("refused", names.join(" "));
    Ok(())
}

/// Sees the queue kept and unused while ENABLE is 0: nothing is taken, and none of `numbers` given.
fn stopped<T: Transport>(
    fifo: &Fifo<T>,
    numbers: impl Iterator<Item = u32>,
) -> Result<(), Failure> {
    let before = fifo.read(regs::LEVEL)?;
    let control = fifo.read(regs::CONTROL)?;
    let off = regs::control::ENABLE.set(control.into(), 0) as u32;
    regs::CONTROL.write(fifo.bar(), off)?;
    let after = fifo.read(regs::LEVEL)?;
    ensure!(before == after, QueueSymptom::Stopped { before, after });
    for number in numbers {
        refused(fifo, &DISABLED, number)?;
    }
    takes_nothing(fifo, "a pop while ENABLE is 0")?;
    regs::CONTROL.write(fifo.bar(), control)?;
    let after = fifo.read(regs::LEVEL)?;
    ensure!(before == after, QueueSymptom::Stopped { before, after });
    Ok(())
}

/// Pops past the driver where there is nothing to take: the read is 0 and nothing changes.
fn takes_nothing<T: Transport>(fifo: &Fifo<T>, what: &'static str) -> Result<(), Failure> {
    keeps_level(fifo, what, || {
        let read = regs::POP.take_at(&mut fifo.bar().clone(), 0)?;
        ensure!(read == 0, QueueSymptom::Popped { what, read });
        Ok(())
    })
}

/// Makes accesses that must not change LEVEL.
fn keeps_level<T: Transport>(
    fifo: &Fifo<T>,
    what: &'static str,
    accesses: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let before = fifo.read(regs::LEVEL)?;
    accesses()?;
    let after = fifo.read(regs::LEVEL)?;
    let changed = QueueSymptom::Changed {
        what,
        before,
        after,
    };
    ensure!(before == after, changed);
    Ok(())
}

/// Sees STATUS say whether the queue is empty and whether it is full.
fn has_flags<T: Transport>(fifo: &Fifo<T>, is_empty: bool, is_full: bool) -> Result<(), Failure> {
    let found = fifo.read(regs::STATUS)?;
    let flags = regs::status::EMPTY.set(regs::status::READY.mask(), is_empty.into());
    let expected = regs::status::FULL.set(flags, is_full.into()) as u32;
    let level = fifo.read(regs::LEVEL)?;
    let flags = QueueSymptom::Flags {
        found,
        expected,
        level,
    };
    ensure!(found == expected, flags);
    Ok(())
}

/// Why a push is refused.
struct Refusal {
    what: &'static str,
    kind: &'static str,
    bit: u32,
}

const OVERFLOW: Refusal = Refusal {
    what: "a push into a full queue",
    kind: "OVERFLOW",
    bit: regs::error::OVERFLOW.mask() as u32,
};
const RANGE: Refusal = Refusal {
    what: "a push of no number",
    kind: "RANGE",
    bit: regs::error::RANGE.mask() as u32,
};
const DISABLED: Refusal = Refusal {
    what: "a push while ENABLE is 0",
    kind: "DISABLED",
    bit: regs::error::DISABLED.mask() as u32,
};

/// Takes until the queue is empty, and sees the numbers in the order in which they were given.
fn in_order(queue: &mut dyn FreeList, count: u32) -> Result<u32, Failure> {
    let mut taken = 0;
    while let Some(took) = take_one(queue).map_err(|error| out_of_order(error, taken))? {
        if took != taken {
            let next = take_one(queue).ok().flatten();
            // Where one entry was overwritten, those behind it follow.
            let is_newest = took + 1 == count && next != Some(taken + 1);
            let order = QueueSymptom::Order {
                expected: taken,
                took,
                is_newest,
            };
            return Err(order.into());
        }
        taken += 1;
        if taken > count {
            break;
        }
    }
    Ok(taken)
}

/// What the driver refuses to hand out here is an entry that is not the next one.
fn out_of_order(error: PathError, expected: u32) -> Failure {
    match error {
        PathError::Poisoned {
            breach: Breach::Duplicate { .. } | Breach::NoSuchNumber { .. },
            ..
        } => QueueSymptom::Entry { expected, error }.into(),
        error => error.into(),
    }
}

/// Pushes past the driver's own checks, and expects exactly one kind of error, which goes when it is cleared, and nothing
/// else changed.
fn refused<T: Transport>(fifo: &Fifo<T>, refusal: &Refusal, number: u32) -> Result<(), Failure> {
    let &Refusal { what, kind, bit } = refusal;
    keeps_level(fifo, what, || {
        regs::PUSH.write(fifo.bar(), number)?;
        let errors = fifo.read(regs::ERROR)?;
        ensure!(errors == bit, QueueSymptom::Error { what, errors, kind });
        regs::ERROR.write(fifo.bar(), errors)?;
        let errors = fifo.read(regs::ERROR)?;
        ensure!(errors == 0, QueueSymptom::Stays { errors });
        Ok(())
    })
}

/// Where a full queue refuses `depth` for being full alone, it may count as a number: with room for it, it is not refused.
fn bound<T: Transport>(fifo: &Fifo<T>, depth: u32) -> Result<(), Failure> {
    let pushed = || -> Result<u32, Failure> {
        regs::PUSH.write(fifo.bar(), depth)?;
        let errors = fifo.read(regs::ERROR)?;
        regs::ERROR.write(fifo.bar(), errors)?;
        Ok(errors)
    };
    if pushed()? == OVERFLOW.bit {
        let oldest = regs::POP.take_at(&mut fifo.bar().clone(), 0)?;
        ensure!(pushed()? != 0, QueueSymptom::Bound { depth });
        let oldest = regs::pop::NUMBER.of(oldest.into()) as u32;
        regs::PUSH.write(fifo.bar(), oldest)?;
    }
    Ok(())
}

/// What is wrong with the queue.
#[derive(Debug, thiserror::Error)]
enum QueueSymptom {
    #[error("number {took} left the queue where {expected} was the oldest")]
    Order {
        expected: u32,
        took: u32,
        /// It is the newest, and what left after it is not the second oldest.
        is_newest: bool,
    },
    #[error("another entry left the queue where {expected} was the oldest")]
    Entry {
        expected: u32,
        #[source]
        error: PathError,
    },
    #[error("{what} set ERROR to {errors:#x} instead of {kind}")]
    Error {
        what: &'static str,
        errors: u32,
        kind: &'static str,
    },
    #[error("a push of {depth} was taken, and numbers are those below DEPTH")]
    Bound { depth: u32 },
    #[error("ERROR is {errors:#x} after all of it was cleared")]
    Stays { errors: u32 },
    #[error("{what} was refused, and LEVEL went from {before} to {after}")]
    Changed {
        what: &'static str,
        before: u32,
        after: u32,
    },
    #[error("{what} read {read:#x} instead of 0")]
    Popped { what: &'static str, read: u32 },
    #[error("LEVEL went from {before} to {after} when ENABLE was written")]
    Stopped { before: u32, after: u32 },
    #[error("STATUS is {found:#x} instead of {expected:#x} with LEVEL {level}")]
    Flags {
        found: u32,
        expected: u32,
        level: u32,
    },
}

impl Symptom for QueueSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            QueueSymptom::Order {
                is_newest: true, ..
            } => &["a stack was built instead of a queue: the newest entry is read"],
            QueueSymptom::Order { .. } | QueueSymptom::Entry { .. } => &[
                "the queue's memory mixes its entries up: read and write pointer wrap at different depths, or past its end",
            ],
            QueueSymptom::Bound { .. } => {
                &["the bound is compared one too far: DEPTH itself counts as a number"]
            }
            QueueSymptom::Error { errors: 0, .. } => {
                &["the device does not check what is pushed, or does not latch the error"]
            }
            QueueSymptom::Error { .. } => &[
                "of two rules that forbid a push the later one is reported, or both",
                "the bits of ERROR are mixed up",
            ],
            QueueSymptom::Stays { .. } => &["a write of 1 to ERROR does not clear it"],
            QueueSymptom::Changed { .. } => {
                &["a pointer or the count is advanced before the access is refused"]
            }
            QueueSymptom::Popped { read, .. } if regs::pop::VALID.of((*read).into()) != 0 => &[
                "ENABLE is not looked at when a number is taken, or the queue counts as not empty",
            ],
            QueueSymptom::Popped { .. } => &[
                "VALID alone says that there is no number: the rest of the word is not masked by it",
            ],
            QueueSymptom::Stopped { .. } => {
                &["ENABLE resets the pointers of the queue instead of stopping it"]
            }
            QueueSymptom::Flags { .. } => {
                &["EMPTY or FULL is a constant, or not made of the count that LEVEL shows"]
            }
        })
    }
}
