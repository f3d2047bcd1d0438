//! Rung 5: resets, each verified by something that it must change.

use hwpool_devices::bus::Transport;
use hwpool_devices::family::OpenReset;

use super::device;
use crate::bringup::rung::{Board, Session};
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// How often each kind of reset is tried.
const TIMES: u32 = 10;

/// Opens the driver, then resets ten times each way; a mark in SCRATCH must be gone each time.
pub(super) fn verified<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = Session::open(board.transport()?.clone())?;
    let bmu = &session.bmu;
    evidence.count("RESET_COUNT before", device::reset_count(bmu)?);
    let kinds = device::resets(bmu)?;
    for &kind in kinds {
        for _ in 0..TIMES {
            device::mark(bmu)?;
            bmu.reset(kind)?;
            let found = device::scratch(bmu)?;
            ensure!(found == 0, Marked { found, kind });
        }
    }
    bmu.start()?;
    evidence.count("RESET_COUNT after", device::reset_count(bmu)?);
    match kinds.contains(&OpenReset::Best) {
        true => evidence.count("function level resets", TIMES),
        false => evidence.text("function level resets", "none: the function offers no FLR"),
    }
    evidence.count("soft resets", TIMES);
    board.session = Some(session);
    Ok(())
}

/// A mark survived a reset.
#[derive(Debug, thiserror::Error)]
#[error("SCRATCH reads {found:#x} after a reset ({kind:?})")]
struct Marked {
    found: u64,
    kind: OpenReset,
}

impl Symptom for Marked {
    fn blame(&self) -> Blame {
        Blame::Device(&["the reset does not reach all of the logic"])
    }
}
