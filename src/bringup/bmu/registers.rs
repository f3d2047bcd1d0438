//! Rung 4: each register of the BMU's table.

use std::time::Duration;

use hwpool_devices::bmu::{self, ABOUT, regs};
use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::reg::{Field, Register, Scope};
use hwpool_devices::wait::TimedOut;
use hwpool_devices::words::Words;

use crate::bringup::general::registers::{self, Twins, by_table};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure, wait_for};
use crate::bringup::{Evidence, Failure, driver};

/// Checks each register of the table: its reset value, and that writes change what they may and nothing else.
///
/// Starts and ends with a soft reset; the last one must put back what was written to each.
pub(super) fn access<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let transport = &**board.transport()?;
    let bar = words(transport)?;
    let device = Shape::read(&bar)?;
    soft_reset(transport, &bar, device.timeout)?;
    let rows = || {
        let rows = regs::TABLE.iter();
        rows.filter(|row| row.bar() == regs::CONTROL_BAR)
    };
    by_table(&bar, rows(), &device, evidence)?;
    let pairs = device.twins();
    registers::twins(&bar, &pairs, &device)?;
    let marks = device.enables().map(|(set, _, bits)| (set, bits));
    let reset = || soft_reset(transport, &bar, device.timeout);
    registers::reset_puts_back(&bar, rows, &device, &marks, reset)?;
    evidence.count("W1S/W1C pairs", pairs.len() as u64);
    Ok(())
}

/// Opens the control registers without a driver: 64-bit ones are accessed as CAP_FEATURES says (SPEC 2.1).
pub(super) fn words<T: Transport>(transport: &T) -> Result<Words<T::Bar>, BusError> {
    let bar = transport.bar(regs::CONTROL_BAR)?;
    Ok(Words::new(bar, ABOUT.is_halved(transport)?))
}

/// What the register table can't say of one device.
struct Shape {
    pools: u16,
    portals: u16,
    vectors: u16,
    address_bits: u64,
    injection: bool,
    /// Names of the registers of parts that it does not have.
    absent: Vec<&'static str>,
    timeout: Duration,
}

impl Shape {
    fn read(bar: &impl Bar) -> Result<Shape, BusError> {
        let counts = regs::CAP_COUNTS.read(bar)?.into();
        let width = regs::cap_address::WIDTH.of(regs::CAP_ADDRESS.read(bar)?.into());
        let features = regs::CAP_FEATURES.read(bar)?;
        let has = |feature: Field| feature.of(features.into()) != 0;
        let timeout = regs::cap_timeout::MILLISECONDS.of(regs::CAP_TIMEOUT.read(bar)?.into());
        Ok(Shape {
            pools: regs::cap_counts::POOLS.of(counts) as u16,
            portals: match has(regs::cap_features::PORTALS) {
                true => regs::cap_counts::PORTALS.of(counts) as u16,
                false => 0,
            },
            vectors: regs::cap_counts::VECTORS.of(counts) as u16,
            address_bits: u64::MAX >> (64 - width.clamp(1, 64)),
            injection: has(regs::cap_features::INJECTION),
            absent: bmu::absent(features),
            timeout: Duration::from_millis(timeout.max(1)),
        })
    }

    /// Returns the registers that enable error kinds and vectors, with those that disable them.
    fn enables(&self) -> [Twins; 2] {
        let vectors = u64::from(u32::MAX >> (32 - self.vectors.clamp(1, 32)));
        let kinds = regs::error_set::KINDS.mask();
        let errors = (regs::ERR_ENABLE_SET.row(), regs::ERR_ENABLE_CLEAR.row());
        let irqs = (regs::IRQ_ENABLE_SET.row(), regs::IRQ_ENABLE_CLEAR.row());
        [(errors.0, errors.1, kinds), (irqs.0, irqs.1, vectors)]
    }

    /// Returns the registers whose ones set bits of others.
    fn twins(&self) -> Vec<Twins> {
        let kinds = regs::error_set::KINDS.mask();
        let mut pairs = self.enables().to_vec();
        if self.injection {
            pairs.push((regs::ERR_STATUS_SET.row(), regs::ERR_STATUS.row(), kinds));
            let whole = [
                (regs::POOL_EVENT_SET.row(), regs::POOL_EVENT.row()),
                (regs::POOL_ERROR_SET.row(), regs::POOL_ERROR.row()),
                (regs::PORTAL_EVENT_SET.row(), regs::PORTAL_EVENT.row()),
                (regs::PORTAL_ERROR_SET.row(), regs::PORTAL_ERROR.row()),
            ];
            pairs.extend(whole.map(|(set, clear)| (set, clear, clear.bits)));
        }
        pairs
    }
}

impl registers::Shape for Shape {
    fn count(&self, row: &Register) -> u16 {
        if self.absent.iter().any(|absent| *absent == row.name) {
            return 0;
        }
        match row.scope() {
            Scope::Pool => self.pools.min(row.count()),
            Scope::Portal => self.portals.min(row.count()),
            Scope::Device => row.count(),
        }
    }

    fn is_address(&self, row: &Register) -> bool {
        let addresses = [regs::POOL_BASE.row(), regs::POOL_END.row()];
        addresses.iter().any(|address| address.name == row.name)
    }

    fn harmless(&self, row: &Register) -> u64 {
        match &*row.name {
            // Turning these on with nothing configured is an error, rightly; LIVENESS has a rung of its own.
            "POOL_CONTROL" | "PORTAL_CONTROL" | "LIVENESS" => 0,
            name if name.ends_with("_BASE") || name.ends_with("_END") => self.address_bits & !0x3f,
            _ => row.bits,
        }
    }
}

/// Resets through the RESET register, without a driver, and verifies it by RESET_COUNT.
fn soft_reset<T: Transport>(transport: &T, bar: &impl Bar, limit: Duration) -> Result<(), Failure> {
    let before = regs::RESET_COUNT.read(bar)?;
    regs::RESET.write(bar, regs::RESET_KEY)?;
    let what = "STATUS.READY after a soft reset";
    wait_for(transport, what, limit, SoftReset::NotReady, || {
        let ready = regs::status::READY.of(regs::STATUS.read(bar)?.into());
        Ok((ready != 0).then_some(()))
    })?;
    let count = regs::RESET_COUNT.read(bar)?;
    ensure!(count != before, SoftReset::NotCounted { count });
    Ok(())
}

/// What is wrong with a soft reset.
#[derive(Debug, thiserror::Error)]
enum SoftReset {
    #[error(transparent)]
    NotReady(TimedOut),
    #[error("a soft reset did nothing: RESET_COUNT stays {count}")]
    NotCounted { count: u32 },
}

impl Symptom for SoftReset {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            SoftReset::NotReady(_) => driver::HANGS,
            SoftReset::NotCounted { .. } => driver::NO_RESET,
        })
    }
}
