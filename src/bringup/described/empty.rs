//! Rung 6: what a list shows that has no value, before anything was given.

use std::collections::BTreeSet;

use hwpool_devices::bus::Transport;
use hwpool_devices::description::{Empty, Room};

use super::hand::{Hand, Popped, hand, reset};
use crate::bringup::general::lists;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Looks at the list by hand as a reset leaves it, then as rung 6 of any device does.
pub(super) fn stale<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let hand = hand(board)?;
    if hand.is_preloaded() {
        preloaded(&hand, evidence)?;
    }
    shows_empty(&hand)?;
    reset(board)?;
    lists::stale(board, evidence)
}

/// Finds each number once in a list that the reset fills.
fn preloaded<T: Transport>(hand: &Hand<T>, evidence: &mut Evidence) -> Result<(), Failure> {
    let depth = hand.depth;
    if let Some(level) = hand.level()? {
        ensure!(
            level == u64::from(depth),
            EmptySymptom::Filled { level, depth }
        );
    }
    let mut missing: BTreeSet<u64> = (0..depth)
        .map(|index| hand.raw(index) & hand.mask())
        .collect();
    let popped = hand.drain()?;
    let count = popped.len() as u64;
    evidence.count("filled by reset", count);
    for popped in popped {
        let Popped::Read(raw) = popped else {
            return Err(EmptySymptom::NotPopped { popped }.into());
        };
        if missing.remove(&(raw & hand.mask())) {
            continue;
        }
        let value = hand.value(raw);
        let (first, last) = (hand.value(hand.raw(0)), hand.value(hand.raw(depth - 1)));
        return Err(EmptySymptom::FilledWith {
            value,
            raw,
            first,
            last,
        }
        .into());
    }
    ensure!(
        count == u64::from(depth),
        EmptySymptom::Filled {
            level: count,
            depth
        }
    );
    Ok(())
}

/// Sees that the list shows in each way that it has no value.
fn shows_empty<T: Transport>(hand: &Hand<T>) -> Result<(), Failure> {
    if let Some(level) = hand.level()? {
        ensure!(level == 0, EmptySymptom::Level { level });
    }
    match hand.description.empty {
        Empty::Flag(_) | Empty::Level => {
            ensure!(hand.says_empty()? == Some(true), EmptySymptom::NotEmpty);
        }
        Empty::Value(_) | Empty::Mark(_) | Empty::BusError => {
            let popped = hand.pop()?;
            ensure!(hand.is_none(&popped), EmptySymptom::Reads { popped });
        }
    }
    if let Room::Vacancy(bits) = hand.description.full.shown {
        let (room, depth) = (hand.bits(bits)?, hand.depth);
        ensure!(room == u64::from(depth), EmptySymptom::Room { room, depth });
    }
    ensure!(hand.says_full()? != Some(true), EmptySymptom::Full);
    Ok(())
}

/// What an empty list shows that it should not.
#[derive(Debug, thiserror::Error)]
enum EmptySymptom {
    #[error("the count is {level} in a list that nobody gave anything")]
    Level { level: u64 },
    #[error("the list that nobody gave anything does not say that it is empty")]
    NotEmpty,
    #[error("a pop of an empty list came to {popped:x?}, which the description takes for a value")]
    Reads { popped: Popped },
    #[error("an empty list has room for {room}, and holds {depth} by the description")]
    Room { room: u64, depth: u32 },
    #[error("an empty list says that it is full")]
    Full,
    #[error("the reset filled in {level} values, and the list holds {depth} by the description")]
    Filled { level: u64, depth: u32 },
    #[error(
        "a list that the reset filled gave {value} ({raw:#x}), and should have {first} to {last}, each once"
    )]
    FilledWith {
        value: u64,
        raw: u64,
        first: u64,
        last: u64,
    },
    #[error("a pop of a list that the reset filled came to {popped:x?}")]
    NotPopped { popped: Popped },
}

impl Symptom for EmptySymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            EmptySymptom::Level { .. } => &[
                "description: `level` names another register or field, or `fill` is reset",
                "description: `reset` leaves entries that its `keeps` does not tell of",
                "the count of values is not cleared by a reset",
            ],
            EmptySymptom::NotEmpty => &[
                "description: `empty.flag` or `empty.is` is another, or `fill` is reset",
                "description: `reset` leaves entries that its `keeps` does not tell of",
                "the flag is a constant in this bitstream",
            ],
            EmptySymptom::Reads {
                popped: Popped::Length(_),
            } => &["description: `pop.length` or `pop.expect` is another"],
            EmptySymptom::Reads { .. } => &[
                "description: `empty.value`, `empty.flag` or `empty.is` is another: the message has what an empty list reads",
                "description: `pop.read` names another register, or `fill` is reset",
                "description: `reset` leaves entries that its `keeps` does not tell of",
            ],
            EmptySymptom::Room { .. } => &[
                "description: `depth` is another, or `full.vacancy` names another register or field",
            ],
            EmptySymptom::Full => &[
                "description: `full.flag` or `full.is` is another",
                "the flag is a constant in this bitstream",
            ],
            EmptySymptom::Filled { .. } => &[
                "description: `depth` is another, or `fill` is software",
                "the sweep that fills the list stops early, or goes on while it is looked at: `reset.until`",
            ],
            EmptySymptom::FilledWith { .. } => &[
                "description: `value.first` or `value.bits` is another",
                "description: `at.halves` or `at.words` is another, where values pass in halves",
                "the list's memory is filled in otherwise",
            ],
            EmptySymptom::NotPopped { .. } => &[
                "description: `pop.length` or `pop.expect` is another, or a pop fails that `empty` does not tell of",
            ],
        })
    }
}
