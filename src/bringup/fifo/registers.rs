//! Rung 4: each register of the FIFO's table, and the key of RESET.

use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::family::OpenReset;
use hwpool_devices::fifo::regs;
use hwpool_devices::reg::Register;

use crate::bringup::general::registers::{self, ByKind, by_table};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Words that are not the key of RESET, and near it.
const NO_KEYS: [u32; 4] = [0, 1, regs::RESET_KEY ^ 1, regs::RESET_KEY.swap_bytes()];

/// Checks each register of the table: its reset value, and that writes change what they may and nothing else.
///
/// Starts and ends with a reset by RESET; the last ones must put back what was left in each.
pub(super) fn access<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let transport = board.transport()?;
    let driver = board.module()?.open(transport.clone(), OpenReset::Soft)?;
    let device = ByKind {
        kind: &**board.module()?,
        identity: driver.identity(),
    };
    let bar = transport.bar(regs::BAR)?;
    let reset = || Ok(driver.reset(OpenReset::Soft)?);
    reset()?;
    by_table(&bar, regs::TABLE.iter(), &device, evidence)?;
    let event = regs::EVENT.row();
    let pairs = [(regs::EVENT_SET.row(), event, event.bits)];
    registers::twins(&bar, &pairs, &device)?;
    // An event and the enable of its interrupt one after the other: together they would interrupt.
    let event_and_error: [(&Register, u64); 2] = [(pairs[0].0, event.bits), (regs::PUSH.row(), 0)];
    let control = regs::CONTROL.row();
    for marks in [&event_and_error[..], &[(control, control.bits)]] {
        registers::reset_puts_back(&bar, || regs::TABLE.iter(), &device, marks, reset)?;
    }
    needs_its_key(&bar)?;
    evidence.count("W1S/W1C pairs", pairs.len() as u64);
    evidence.count("keys that reset nothing", NO_KEYS.len() as u64);
    Ok(())
}

/// Writes what is not the key to RESET, and sees that it resets nothing.
fn needs_its_key(bar: &impl Bar) -> Result<(), Failure> {
    let count = || -> Result<u32, BusError> { regs::RESET_COUNT.read(bar) };
    let before = count()?;
    for key in NO_KEYS {
        regs::RESET.write(bar, key)?;
        let after = count()?;
        ensure!(before == after, NoKey { key, before, after });
    }
    Ok(())
}

/// Something else than the key resets.
#[derive(Debug, thiserror::Error)]
#[error(
    "RESET_COUNT went from {before} to {after} after {key:#010x} was written to RESET, which is not its key (SPEC 3)"
)]
struct NoKey {
    key: u32,
    before: u32,
    after: u32,
}

impl Symptom for NoKey {
    fn blame(&self) -> Blame {
        Blame::Device(&[
            "a write to RESET resets whatever its value: the key is not compared, or not all of its bits",
        ])
    }
}
