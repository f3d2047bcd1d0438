//! Rung 8: how many values a list holds, what it shows when it is full, and in which order values leave.

use std::collections::VecDeque;

use hwpool_devices::bus::Transport;
use hwpool_devices::description::{Order, Room};

use super::hand::{Hand, Popped, emptied, reset};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Most values that go into the list: one that is deeper is not filled, for each takes an access or more.
const MOST: u32 = 1 << 16;
/// Values that show the order.
const FEW: u32 = 5;

/// Fills the list, looks at what it shows, gives one more, and takes all again.
pub(super) fn capacity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let hand = emptied(board)?;
    let order = FEW.min(hand.depth);
    fill(&hand, order)?;
    leaves(&hand, order)?;
    let word = match hand.description.order {
        Order::Fifo => "the oldest first",
        Order::Lifo => "the newest first",
        Order::Any => "any",
    };
    evidence.text("order", word);
    if hand.depth > MOST {
        evidence.text(
            "not filled",
            format_args!("{} values are more than {MOST}", hand.depth),
        );
        return Ok(());
    }
    fill(&hand, hand.depth)?;
    full(&hand, evidence)?;
    leaves(&hand, hand.depth)?;
    evidence.count("values", hand.depth);
    reset(board)
}

/// Pushes the first `count` objects, and sees each counted and none refused.
fn fill<T: Transport>(hand: &Hand<T>, count: u32) -> Result<(), Failure> {
    let depth = hand.depth;
    for index in 0..count {
        ensure!(
            hand.says_full()? != Some(true),
            CapacitySymptom::FullEarly { held: index, depth }
        );
        hand.push(hand.raw(index))?;
        if let Some(level) = hand.level()? {
            ensure!(
                level == u64::from(index) + 1,
                CapacitySymptom::Counts {
                    level,
                    gave: index + 1,
                    depth
                }
            );
        }
    }
    Ok(())
}

/// Looks at a full list, and sees one push more dropped, where that does no harm.
fn full<T: Transport>(hand: &Hand<T>, evidence: &mut Evidence) -> Result<(), Failure> {
    let depth = hand.depth;
    if let Room::Vacancy(bits) = hand.description.full.shown {
        let room = hand.bits(bits)?;
        ensure!(room == 0, CapacitySymptom::Room { room, depth });
    }
    ensure!(
        hand.says_full()? != Some(false),
        CapacitySymptom::NotFull { depth }
    );
    let sticky = hand.description.full.sticky;
    if let Some(test) = sticky {
        ensure!(!hand.holds(test)?, CapacitySymptom::StickyEarly);
    }
    if hand.description.full.look {
        evidence.text("overflow", "not tried: `full.look` says that it does harm");
        return Ok(());
    }
    hand.push(hand.raw(0))?;
    if let Some(level) = hand.level()? {
        ensure!(level <= depth.into(), CapacitySymptom::Took { depth });
    }
    let Some(test) = sticky else {
        evidence.text("overflow", "dropped silently");
        return Ok(());
    };
    ensure!(hand.holds(test)?, CapacitySymptom::NotSticky);
    hand.poke(test.bits.register, test.bits.mask())?;
    ensure!(!hand.holds(test)?, CapacitySymptom::Stays);
    evidence.text("overflow", "dropped and reported");
    Ok(())
}

/// Takes everything: `count` values, each in its turn.
fn leaves<T: Transport>(hand: &Hand<T>, count: u32) -> Result<(), Failure> {
    let popped = hand.drain()?;
    let mut left: VecDeque<u64> = (0..count)
        .map(|index| hand.raw(index) & hand.mask())
        .collect();
    for (place, popped) in popped.iter().enumerate() {
        let Popped::Read(raw) = popped else {
            return Err(CapacitySymptom::NotPopped {
                popped: popped.clone(),
            }
            .into());
        };
        let took = raw & hand.mask();
        let next = match hand.description.order {
            Order::Fifo => 0,
            Order::Lifo => left.len().saturating_sub(1),
            Order::Any => left.iter().position(|value| *value == took).unwrap_or(0),
        };
        let Some(expected) = left.remove(next) else {
            return Err(CapacitySymptom::More { count }.into());
        };
        let (took, expected) = (hand.value(took), hand.value(expected));
        ensure!(
            took == expected,
            CapacitySymptom::Order {
                place,
                took,
                expected
            }
        );
    }
    let lost = left.len();
    ensure!(
        lost == 0,
        CapacitySymptom::Lost {
            lost,
            count,
            depth: hand.depth
        }
    );
    Ok(())
}

/// What is wrong with a list that is filled and emptied.
#[derive(Debug, thiserror::Error)]
enum CapacitySymptom {
    #[error("the list says that it is full with {held} of {depth} values")]
    FullEarly { held: u32, depth: u32 },
    #[error(
        "the count is {level} after {gave} pushes, of {depth} that the list holds by the description"
    )]
    Counts { level: u64, gave: u32, depth: u32 },
    #[error("a list with {depth} values does not say that it is full")]
    NotFull { depth: u32 },
    #[error("a list with {depth} values has room for {room} more")]
    Room { room: u64, depth: u32 },
    #[error("the list took more than {depth} values")]
    Took { depth: u32 },
    #[error("the sticky bit is set, and nothing was dropped")]
    StickyEarly,
    #[error("a push into a full list did not set the sticky bit")]
    NotSticky,
    #[error("the sticky bit stays set after a one was written to it")]
    Stays,
    #[error("a pop of a list with values came to {popped:x?}")]
    NotPopped { popped: Popped },
    #[error("value {took} left the list at place {place}, where {expected} was next")]
    Order {
        place: usize,
        took: u64,
        expected: u64,
    },
    #[error("of {count} values {lost} did not come back, in a list of {depth} by the description")]
    Lost { lost: usize, count: u32, depth: u32 },
    #[error("more values came out of the list than the {count} that went in")]
    More { count: u32 },
}

impl Symptom for CapacitySymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            CapacitySymptom::FullEarly { held, depth } if held + 1 == *depth => &[
                "description: `depth` is one too many: one place of a ring stays free",
                "description: `full.flag` or `full.is` is another, such as \"almost full\"",
            ],
            CapacitySymptom::FullEarly { .. } => &[
                "description: `depth` is too large",
                "description: `full.flag` or `full.is` is another",
            ],
            CapacitySymptom::Counts { level, gave, depth }
                if *level + 1 == u64::from(*gave) && gave == depth =>
            {
                &["description: `depth` is one too many: one place of a ring stays free"]
            }
            CapacitySymptom::Counts { .. } => &[
                "description: `depth` is too large: further pushes are dropped",
                "description: `level` counts something else, or `full.look` is needed",
                "the count of values is not kept with the list",
            ],
            CapacitySymptom::NotFull { .. } | CapacitySymptom::Room { .. } => &[
                "description: `depth` is too small",
                "description: `full.flag`, `full.is` or `full.vacancy` is another",
                "the flag is a constant in this bitstream",
            ],
            CapacitySymptom::Took { .. } => &["description: `depth` is too small"],
            CapacitySymptom::StickyEarly => &["description: `full.sticky` is another"],
            CapacitySymptom::NotSticky => &[
                "description: `full.sticky` is another, or `depth` is too small",
                "the device does not latch the error",
            ],
            CapacitySymptom::Stays => {
                &["description: `full.sticky` is cleared otherwise than by a write of ones"]
            }
            CapacitySymptom::NotPopped { .. } => &[
                "description: `pop.length` or `pop.expect` is another, or a pop fails that `empty` does not tell of",
            ],
            CapacitySymptom::Order { .. } => &[
                "description: `order` is another",
                "the list's memory mixes its entries up: read and write pointer wrap at different depths",
            ],
            CapacitySymptom::Lost {
                lost: 1,
                count,
                depth,
            } if count == depth => &[
                "description: `depth` is one too many: the last push was dropped",
                "description: `empty` is another: the last value is taken for none",
            ],
            CapacitySymptom::Lost { .. } => &[
                "description: `depth` is too large: pushes were dropped",
                "description: `empty` is another: a value is taken for none",
                "the list's memory is smaller than its pointers count",
            ],
            CapacitySymptom::More { .. } => &[
                "description: `depth` is too small: the push past it was kept",
                "description: `empty` is another: \"none\" is taken for a value",
                "a pop gives a value and keeps it",
            ],
        })
    }
}
