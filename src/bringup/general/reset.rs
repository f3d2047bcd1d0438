//! Rung 5: resets, each verified by something that it must change.

use hwpool_devices::bus::{BusError, Transport};
use hwpool_devices::family::OpenReset;
use hwpool_devices::pci;
use hwpool_devices::reg::Register;

use super::device;
use super::registers;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// How often each kind of reset is tried.
const TIMES: u32 = 10;

/// Bits that are changed in a register that a reset must put back.
const MARK: u64 = 0x00c0_ffee;

/// Opens the driver, then resets ten times each way. What was left in any register must be gone after the first one, a mark
/// in the scratch register each time.
pub(super) fn verified<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.open()?;
    let (transport, about) = (board.transport()?, board.about()?);
    let bar = |row: &Register| session.driver.identity().bar(&**transport, row.bar());
    let read = |row: &Register| row.read_raw(&bar(row)?, 0);
    let count = |when, evidence: &mut Evidence| -> Result<(), BusError> {
        if let Some(row) = about.reset_count {
            evidence.count(format!("{} {when}", row.name), read(row)?);
        }
        Ok(())
    };
    count("before", evidence)?;
    // Without a function level reset the best one is the soft one: it is tried once, and counted as what it is.
    let kinds = match pci::has_flr(&**transport)? {
        true => &[OpenReset::Best, OpenReset::Soft][..],
        false => &[OpenReset::Soft],
    };
    for &kind in kinds {
        let reached = |row: Option<&'static Register>| match row {
            Some(row) if board.is_reset(row, kind)? => Ok::<_, Failure>(Some(row)),
            _ => Ok(None),
        };
        // What a reset leaves in it, where that is known.
        let scratch = reached(about.scratch)?.and_then(|row| Some((row, row.reset?)));
        // Where each list has a reset of its own, one of all is counted as often.
        let counter = reached(about.reset_count)?;
        registers::leaves_nothing(board, &*session.driver, kind)?;
        for _ in 1..TIMES {
            if let Some((row, after)) = scratch {
                row.poke(&bar(row)?, 0, (after ^ MARK) & row.bits)?;
            }
            let before = counter.map(read).transpose()?;
            session.driver.reset(kind)?;
            if let (Some(row), Some(before)) = (counter, before) {
                let (register, after) = (device::name(row), read(row)?);
                // It wraps to 0.
                let is_one = after == before + 1 || after == 0;
                ensure!(
                    is_one,
                    Miscounted {
                        register,
                        before,
                        after,
                        kind
                    }
                );
            }
            if let Some((row, after)) = scratch {
                let (register, found) = (device::name(row), read(row)?);
                let mark = Marked {
                    register,
                    found,
                    kind,
                };
                ensure!(found == after, mark);
            }
        }
    }
    session.driver.start()?;
    count("after", evidence)?;
    match kinds.contains(&OpenReset::Best) {
        true => evidence.count("function level resets", TIMES),
        false => evidence.text("function level resets", "none: the function offers no FLR"),
    }
    evidence.count("soft resets", TIMES);
    board.session = Some(session);
    Ok(())
}

/// One reset was counted as more.
#[derive(Debug, thiserror::Error)]
#[error("{register} went from {before} to {after} over one reset ({kind:?})")]
struct Miscounted {
    register: &'static str,
    before: u64,
    after: u64,
    kind: OpenReset,
}

impl Symptom for Miscounted {
    fn blame(&self) -> Blame {
        Blame::Device(&[
            "the count goes on at each clock of the reset's pulse, or at each of its stages",
            "something else resets the device as well",
        ])
    }
}

/// A mark survived a reset.
#[derive(Debug, thiserror::Error)]
#[error("{register} reads {found:#x} after a reset ({kind:?})")]
struct Marked {
    register: &'static str,
    found: u64,
    kind: OpenReset,
}

impl Symptom for Marked {
    fn blame(&self) -> Blame {
        Blame::Device(&["the reset does not reach all of the logic"])
    }
}
