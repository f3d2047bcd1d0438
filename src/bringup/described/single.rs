//! Rung 7: one value in, the same out, by hand and bit by bit, before the driver tries.

use std::time::Duration;

use hwpool_devices::bus::Transport;
use hwpool_devices::description::{Meaning, Passage};
use hwpool_devices::wait::Deadline;

use super::hand::{Hand, Popped, emptied, hand, reset};
use crate::bringup::general::lists;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Gives values and takes each again by hand, then as rung 7 of any device does.
pub(super) fn single<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let hand = emptied(board)?;
    let values = patterns(&hand);
    if let Err(failure) = all(&hand, &values) {
        return Err(match works_later(board, &values)? {
            true => {
                let within = hand.description.reset.within;
                SingleSymptom::TooEarly { within }.into()
            }
            false => failure,
        });
    }
    evidence.count("values by hand", values.len() as u64);
    // The driver expects what a reset leaves.
    reset(board)?;
    lists::single(board, evidence)
}

/// Values that show every bit: single bits of an address, powers of two of a number.
fn patterns<T: Transport>(hand: &Hand<T>) -> Vec<u64> {
    let value = hand.description.value;
    match value.is {
        Meaning::Index { .. } => {
            let powers = (0..32).map(|bit| 1u32 << bit);
            let numbers = [hand.depth - 1, hand.depth / 2, 0]
                .into_iter()
                .chain(powers);
            let numbers = numbers.filter(|number| *number < hand.depth);
            numbers.map(|number| hand.raw(number)).collect()
        }
        Meaning::Address { .. } => {
            let bits = (value.low..=value.high).map(|bit| 1u64 << bit);
            // In halves that look different, so that swapped ones show.
            let whole = hand.mask() & 0x1234_5678_9abc_def0;
            bits.chain([whole, hand.mask() & !whole])
                .filter(|raw| *raw != 0)
                .collect()
        }
    }
}

/// Tells whether what failed works once the time is over that a reset may take: then it came too early.
fn works_later<T: Transport>(board: &Board<'_, T>, values: &[u64]) -> Result<bool, Failure> {
    let hand = hand(board)?;
    let transport = &**board.transport()?;
    let what = "the end of the time that a reset may take";
    let mut deadline = Deadline::new(transport, what, hand.description.reset.within);
    while deadline.relax(transport).is_ok() {}
    board.session()?.driver.start()?;
    if hand.is_preloaded() {
        hand.drain()?;
    }
    Ok(all(&hand, values).is_ok())
}

fn all<T: Transport>(hand: &Hand<T>, values: &[u64]) -> Result<(), Failure> {
    values.iter().try_for_each(|&gave| one(hand, gave))
}

fn one<T: Transport>(hand: &Hand<T>, gave: u64) -> Result<(), Failure> {
    hand.push(gave)?;
    let level = hand.level()?;
    if level == Some(0) {
        return Err(not_given(hand, gave)?);
    }
    ensure!(
        matches!(level, None | Some(1)),
        SingleSymptom::Level {
            level: level.unwrap_or(0)
        }
    );
    let Some(popped) = hand.take()? else {
        return Err(match level {
            Some(_) => SingleSymptom::SaysEmpty { gave }.into(),
            None => not_given(hand, gave)?,
        });
    };
    let Popped::Read(took) = popped else {
        return Err(SingleSymptom::NotPopped { popped }.into());
    };
    let mask = hand.mask();
    if took & mask != gave & mask {
        let passage = hand.description.passage;
        let value = hand.description.value.is;
        return Err(SingleSymptom::Other {
            gave: gave & mask,
            took,
            passage,
            value,
        }
        .into());
    }
    let level = hand.level()?;
    ensure!(
        matches!(level, None | Some(0)),
        SingleSymptom::Stays {
            level: level.unwrap_or(0)
        }
    );
    ensure!(hand.says_empty()? != Some(false), SingleSymptom::SaysFilled);
    Ok(())
}

/// Says why a list shows nothing after a push: tries whether the value is there, and whether push and pop are exchanged.
fn not_given<T: Transport>(hand: &Hand<T>, gave: u64) -> Result<Failure, Failure> {
    let mask = hand.mask();
    // What reads 0 everywhere shows nothing.
    let is_it = |read: u64| read & mask == gave & mask && gave & mask != 0;
    if matches!(hand.pop()?, Popped::Read(read) if is_it(read)) {
        return Ok(SingleSymptom::NotShown { gave }.into());
    }
    let (pop, push) = (hand.description.pop.from(), hand.description.push.to);
    // Either access does nothing where its register is what the description says. It may fail: then nothing was shown.
    let written = hand.push_to(pop, gave).is_ok();
    let read = hand.read_port(push);
    if written && read.is_ok_and(is_it) {
        return Ok(SingleSymptom::Exchanged.into());
    }
    Ok(SingleSymptom::NotGiven { gave }.into())
}

/// What is wrong with a value that went through the list.
#[derive(Debug, thiserror::Error)]
enum SingleSymptom {
    #[error("nothing passes right after a reset, and all does {within:?} later")]
    TooEarly { within: Duration },
    #[error("{gave:#x} was pushed, and the list has nothing")]
    NotGiven { gave: u64 },
    #[error("{gave:#x} was pushed and popped again, and neither the count nor the flag showed it")]
    NotShown { gave: u64 },
    #[error("what was pushed by `pop.read` came out of `push.write`")]
    Exchanged,
    #[error("the count is {level} after one push into an empty list")]
    Level { level: u64 },
    #[error("{gave:#x} was pushed and counted, and the list says that it is empty")]
    SaysEmpty { gave: u64 },
    #[error("a pop of a list with one value came to {popped:x?}")]
    NotPopped { popped: Popped },
    #[error("{took:#x} was popped after {gave:#x} was pushed{}", self.how())]
    Other {
        gave: u64,
        took: u64,
        passage: Passage,
        value: Meaning,
    },
    #[error("the count is {level} after the only value was popped")]
    Stays { level: u64 },
    #[error("the list does not say that it is empty after the only value was popped")]
    SaysFilled,
}

/// How what was popped is another than what was pushed.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Halves,
    Lost,
    Other,
}

impl SingleSymptom {
    fn difference(&self) -> Difference {
        match self {
            SingleSymptom::Other {
                gave,
                took,
                passage,
                ..
            } => match passage {
                Passage::LowFirst | Passage::HighFirst => Difference::Halves,
                Passage::Whole if took & !gave == 0 => Difference::Lost,
                Passage::Whole => Difference::Other,
            },
            _ => Difference::Other,
        }
    }

    fn how(&self) -> &'static str {
        match self.difference() {
            Difference::Halves => ": it passes in halves",
            Difference::Lost => ": bits are lost",
            Difference::Other => "",
        }
    }
}

impl Symptom for SingleSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            SingleSymptom::TooEarly { .. } => &[
                "description: `reset.until` is missing, or is so before the reset is over",
                "the device says that its reset is over while it still empties the list",
            ],
            SingleSymptom::NotGiven { .. } => &[
                "description: `push.write` names another register, or `push.then` is missing or writes another value",
                "description: `enable` leaves out what lets the list work",
                "description: `value.bits`, `value.first` or `depth` is another, so that the device refuses the value",
                "the push is not decoded in this bitstream",
            ],
            SingleSymptom::NotShown { .. } => &[
                "description: `level` names another register or field",
                "description: `empty` is another: `flag`, `is` or `value`",
            ],
            SingleSymptom::Exchanged => &["description: `pop.read` and `push.write` are exchanged"],
            SingleSymptom::Level { .. } => &[
                "description: `level` names another register or field",
                "description: `at.halves` is another: each half counts as a push",
                "the count of values is not kept with the list",
            ],
            SingleSymptom::SaysEmpty { .. } => &[
                "description: `empty` is another: `flag`, `is` or `value`",
                "description: `at.halves`, `at.words` or `value.bits` is another: what the list kept reads as \"none\"",
                "description: `pop.read` names another register",
                "the flag comes later than the push",
            ],
            SingleSymptom::NotPopped {
                popped: Popped::Length(_),
            } => &[
                "description: `pop.length` or `pop.expect` is another, or `push.then` writes another length",
            ],
            SingleSymptom::NotPopped { .. } => &[
                "description: `pop.read` names another register: the bus answers the read with an error",
            ],
            SingleSymptom::Other { value, .. } => match (self.difference(), value) {
                (Difference::Halves, _) => &[
                    "description: `at.halves` or `at.words` is another: the halves pass in another order",
                    "description: `value.bits` is wider than the list",
                ],
                (Difference::Lost, Meaning::Address { .. }) => &[
                    "description: `value.bits` or `value.shift` is another: the device keeps fewer bits, or others",
                    "addresses are cut off in the list's memory",
                ],
                (Difference::Lost, Meaning::Index { .. }) => &[
                    "description: `value.bits` is another: the device keeps fewer bits, or others",
                    "numbers are cut off in the list's memory",
                ],
                (Difference::Other, _) => &[
                    "description: `pop.read` or `value.bits` is another: what is read is no value",
                    "description: `pop.then` is missing, so that the read looks at an older value",
                    "the list's memory mixes its entries up",
                ],
            },
            SingleSymptom::Stays { .. } | SingleSymptom::SaysFilled => &[
                "description: `pop.then` is missing or writes another value: the read only looks",
                "description: `level` or `empty.flag` names another register or field",
                "the read pointer is not advanced by a pop",
            ],
        })
    }
}
