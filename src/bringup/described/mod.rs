//! Rungs of described devices: each finds what a description says wrongly, and names the key.
//!
//! They work by hand, past the driver and its checks: a description that is wrong makes a driver fail somewhere, and the
//! place says little of the key.

mod capacity;
mod empty;
mod event;
mod hand;
mod keys;
mod single;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::OpenReset;

use super::Class::Disruptive;
use super::Failure;
use super::rung::{Board, BoardSymptom, Rung, rung};
use hand::Hand;
pub(super) use keys::keys;

/// Returns the rungs.
#[rustfmt::skip] // a table: one rung, one line
pub(super) fn rungs<T: Transport>() -> Vec<Rung<T>> {
    vec![
        rung(6, "lists.stale", Disruptive, &["reset.verified"], "no buffers of a former owner", empty::stale).again(),
        rung(7, "lists.single", Disruptive, &["lists.stale"], "one buffer in, the same out", single::single).again(),
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, order", capacity::capacity).again(),
        rung(13, "lists.exhaustion", Disruptive, &["lists.capacity", "irq.vectors"], "the interrupt of a list", event::event),
    ]
}

/// Resets the device, and returns a hand at its list as that is after.
fn hand<T: Transport>(board: &Board<'_, T>) -> Result<Hand<T>, Failure> {
    let session = board.session()?;
    let described = board.described().ok_or(BoardSymptom::NotOpened)?;
    session.driver.reset(OpenReset::Best)?;
    session.driver.start()?;
    Ok(Hand::new(session, described.description)?)
}

/// Resets the device and takes what its list has after.
fn emptied<T: Transport>(board: &Board<'_, T>) -> Result<Hand<T>, Failure> {
    let hand = hand(board)?;
    if hand.is_preloaded() || hand.description.reset.keeps_entries {
        hand.drain()?;
    }
    Ok(hand)
}
