//! Rung 13: the interrupt of a list, by what it waits for.

use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_devices::description::{Clear, Interrupt, Set, When};
use hwpool_devices::reg::Access;

use super::hand::{Hand, emptied, reset};
use crate::bringup::general::device::INTERRUPT;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// How often it is seen.
const TIMES: u32 = 2;

/// Brings about what the interrupt is sent for, sees it once, and not before.
pub(super) fn event<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let described = board.described().map(|described| described.description);
    let Some(interrupt) = described.and_then(|description| description.interrupt.as_ref()) else {
        return Err(Failure::Skip("the device has no interrupt".into()));
    };
    let hand = emptied(board)?;
    let low = hand.depth.min(8) / 2;
    if low < 2 {
        reset(board)?;
        return Err(Failure::Skip(format!(
            "a list of {} values has no room for a threshold",
            hand.depth
        )));
    }
    let irq = board.session()?.driver.interrupt(interrupt.vector)?;
    if let Some(bits) = interrupt.threshold {
        hand.set(bits, low.into())?;
    }
    settle(&hand, interrupt, &irq)?;
    for _ in 0..TIMES {
        once(&hand, interrupt, &irq, low)?;
    }
    disabled(&hand, interrupt, &irq, low)?;
    evidence.count("interrupts", TIMES);
    reset(board)
}

/// Fills a list and empties it with the device's own enable off, and sees nothing sent.
fn disabled<T: Transport>(
    hand: &Hand<T>,
    interrupt: &Interrupt,
    irq: &T::Irq,
    low: u32,
) -> Result<(), Failure> {
    let is_switch = |set: &Set| {
        let access = hand.description.row(set.bits.register).access;
        set.bits.low == set.bits.high && access == Access::ReadWrite
    };
    let Some(enable) = interrupt.enable.filter(is_switch) else {
        return Ok(());
    };
    hand.set(enable.bits, enable.to ^ 1)?;
    (0..low + 1).try_for_each(|index| hand.push(hand.raw(index)))?;
    hand.drain()?;
    let fired = irq.wait(Duration::ZERO)?;
    ensure!(fired == 0, EventSymptom::Disabled);
    Ok(())
}

/// Clears what came about by enabling, and what is left of a round.
fn settle<T: Transport>(
    hand: &Hand<T>,
    interrupt: &Interrupt,
    irq: &T::Irq,
) -> Result<(), Failure> {
    clear(hand, interrupt)?;
    irq.wait(Duration::ZERO)?;
    Ok(())
}

/// Goes through what it is sent for, from an empty list to an empty list.
fn once<T: Transport>(
    hand: &Hand<T>,
    interrupt: &Interrupt,
    irq: &T::Irq,
    low: u32,
) -> Result<(), Failure> {
    let give = |count: u32| (0..count).try_for_each(|index| hand.push(hand.raw(index)));
    let take = |count: u32| (0..count).try_for_each(|_| hand.take().map(drop));
    // What comes before, and what it must come by.
    match interrupt.when {
        When::Below => {
            give(low + 1)?;
            settle(hand, interrupt, irq)?;
            take(1)?;
            quiet(irq, interrupt.when)?;
            take(1)?;
        }
        When::Above => {
            give(low)?;
            quiet(irq, interrupt.when)?;
            give(1)?;
        }
        When::Filled => {
            quiet(irq, interrupt.when)?;
            give(1)?;
        }
        When::Emptied => {
            give(2)?;
            settle(hand, interrupt, irq)?;
            take(1)?;
            quiet(irq, interrupt.when)?;
            take(1)?;
        }
    }
    let fired = irq.wait(INTERRUPT)?;
    ensure!(fired == 1, EventSymptom::Fired { fired });
    if let Some(bits) = interrupt.pending {
        let says = interrupt.clear == Clear::Itself || hand.bits(bits)? != 0;
        ensure!(says, EventSymptom::NotPending);
    }
    hand.drain()?;
    clear(hand, interrupt)?;
    if let Some(bits) = interrupt
        .pending
        .filter(|_| interrupt.when != When::Emptied)
    {
        ensure!(hand.bits(bits)? == 0, EventSymptom::Stays);
    }
    settle(hand, interrupt, irq)
}

/// Clears the pending bits as the description says.
fn clear<T: Transport>(hand: &Hand<T>, interrupt: &Interrupt) -> Result<(), Failure> {
    let Some(bits) = interrupt.pending else {
        return Ok(());
    };
    match interrupt.clear {
        Clear::WriteOne => hand.poke(bits.register, bits.mask())?,
        Clear::WriteZero => {
            let row = hand.description.row(bits.register);
            hand.poke(bits.register, row.bits & !bits.mask())?;
        }
        Clear::Read => drop(hand.bits(bits)?),
        Clear::Itself => {}
    }
    Ok(())
}

fn quiet(irq: &impl Irq, when: When) -> Result<(), Failure> {
    let early = irq.wait(Duration::ZERO)?;
    ensure!(early == 0, EventSymptom::Early { when });
    Ok(())
}

/// What is wrong with the interrupt.
#[derive(Debug, thiserror::Error)]
enum EventSymptom {
    #[error("the interrupt came while `interrupt.enable` was off")]
    Disabled,
    #[error("the interrupt came before what it is sent for ({when:?})")]
    Early { when: When },
    #[error("the interrupt came {fired} times instead of once")]
    Fired { fired: u64 },
    #[error("the interrupt came, and its pending bits are 0")]
    NotPending,
    #[error("the pending bits stay set after they were cleared")]
    Stays,
}

impl Symptom for EventSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            EventSymptom::Disabled => &[
                "description: `interrupt.enable` names another register or field",
                "the enable bit is not looked at",
            ],
            EventSymptom::Early { .. } => &[
                "description: `interrupt.when` or `interrupt.threshold` is another",
                "the level is compared one too early",
            ],
            EventSymptom::Fired { fired: 0 } => &[
                "description: `interrupt.enable`, `interrupt.vector`, `interrupt.when` or `interrupt.threshold` is another",
                "the message was lost: the MSI-X table entry is masked or not written, or interrupt remapping refuses it (dmesg)",
            ],
            EventSymptom::Fired { .. } => {
                &["an interrupt is sent again while it is served: edge and level are mixed up"]
            }
            EventSymptom::NotPending => &[
                "description: `interrupt.pending` names another register or field, or it clears by itself",
            ],
            EventSymptom::Stays => &["description: `interrupt.clear` is another"],
        })
    }
}
