//! Rung 5: resets, each verified by something that it must change.

use std::time::Duration;

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::family::OpenReset;
use hwpool_devices::pci;
use hwpool_devices::wait::wait_for;

use super::Board;
use super::evidence::{Evidence, Failure, ensure};
use super::ladder::Session;

/// How often each kind of reset is tried.
const TIMES: u32 = 10;

/// Opens the driver, then resets ten times each way; a mark in SCRATCH must be gone each time.
pub(super) fn verified<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = Session::open(board.transport()?.clone())?;
    let bmu = &session.bmu;
    evidence.count("RESET_COUNT before", bmu.read(regs::RESET_COUNT)?);
    // Without a function level reset the best one is the soft one: tried once, and counted as what it is.
    let kinds = match pci::has_flr(&**bmu.transport())? {
        true => &[OpenReset::Best, OpenReset::Soft][..],
        false => &[OpenReset::Soft],
    };
    for kind in kinds {
        for _ in 0..TIMES {
            regs::SCRATCH.write(bmu.control(), 0x00c0_ffee)?;
            bmu.reset(*kind)?;
            let scratch = bmu.read(regs::SCRATCH)?;
            ensure!(
                scratch == 0,
                "SCRATCH reads {scratch:#x} after a reset ({kind:?})"
            );
        }
    }
    bmu.start()?;
    evidence.count("RESET_COUNT after", bmu.read(regs::RESET_COUNT)?);
    match kinds.contains(&OpenReset::Best) {
        true => evidence.count("function level resets", TIMES),
        false => evidence.text("function level resets", "none: the function offers no FLR"),
    }
    evidence.count("soft resets", TIMES);
    board.session = Some(session);
    Ok(())
}

/// Resets through the RESET register, without a driver, and verifies it by RESET_COUNT.
pub(super) fn soft<T: Transport>(
    transport: &T,
    bar: &impl Bar,
    limit: Duration,
) -> Result<(), Failure> {
    let before = regs::RESET_COUNT.read(bar)?;
    regs::RESET.write(bar, regs::RESET_KEY)?;
    wait_for::<_, _, Failure>(transport, "STATUS.READY after a soft reset", limit, || {
        let ready = regs::status::READY.of(regs::STATUS.read(bar)?.into());
        Ok((ready != 0).then_some(()))
    })?;
    let after = regs::RESET_COUNT.read(bar)?;
    ensure!(
        after != before,
        "a soft reset did nothing: RESET_COUNT stays {after}"
    );
    Ok(())
}
