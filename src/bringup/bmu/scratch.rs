//! Rung 3: LIVENESS and SCRATCH.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{Bar, Transport};

use super::registers::words;
use crate::bringup::general::scratch::walk;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure, driver};

/// Sees LIVENESS answer with the complement, and walks a one and a zero through all 64 bits of SCRATCH.
pub(super) fn scratch<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bar = words(&**board.transport()?)?;
    evidence.count("liveness patterns", answers(&bar)?);
    evidence.count("patterns", walk(&bar, regs::SCRATCH.row())?);
    evidence.count("bits", 64u32);
    Ok(())
}

/// Writes patterns to LIVENESS, which answers with their complements; returns how many.
fn answers(bar: &impl Bar) -> Result<u64, Failure> {
    let patterns = [0u32, 0x5555_5555, 0xaaaa_aaaa, 0x0123_4567];
    for written in patterns {
        regs::LIVENESS.write(bar, written)?;
        let found = regs::LIVENESS.read(bar)?;
        ensure!(found == !written, NotAlive { written, found });
    }
    Ok(patterns.len() as u64)
}

/// LIVENESS does not answer with the complement.
#[derive(Debug, thiserror::Error)]
#[error(
    "LIVENESS reads {found:#010x} after {written:#010x} was written, not its complement {:#010x}",
    !written
)]
struct NotAlive {
    written: u32,
    found: u32,
}

impl Symptom for NotAlive {
    fn blame(&self) -> Blame {
        Blame::Device(driver::NOT_ALIVE)
    }
}
