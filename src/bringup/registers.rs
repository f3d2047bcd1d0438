//! Rungs 2 to 4: identity, data paths, and the access of each register.

use std::time::Duration;

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::reg::{Access, Register, Scope};

use super::evidence::{Evidence, Failure, ensure};
use super::{Board, reset};

/// Reads magic and version; writes nothing.
pub(super) fn identity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bar = board.transport()?.bar(regs::CONTROL_BAR)?;
    let magic = regs::MAGIC.read(&bar)?;
    evidence.hex("MAGIC", magic);
    ensure!(
        magic != u32::MAX,
        "MAGIC reads all ones: nobody answers behind BAR 0"
    );
    ensure!(
        magic == regs::MAGIC_VALUE,
        "MAGIC reads {magic:#010x} instead of {:#010x}: wrong BAR, wrong board or wrong bitstream",
        regs::MAGIC_VALUE
    );
    let version = regs::VERSION.read(&bar)?.into();
    let (major, minor) = (
        regs::version::MAJOR.of(version),
        regs::version::MINOR.of(version),
    );
    evidence.text("specification", format_args!("{major}.{minor}"));
    ensure!(
        major == u64::from(regs::VERSION_MAJOR),
        "specification {major}.{minor} is not known"
    );
    evidence.hex("IMPLEMENTATION", regs::IMPLEMENTATION.read(&bar)?);
    Ok(())
}

/// Sees LIVENESS answer with the complement, and walks a one and a zero through all 64 bits of SCRATCH.
pub(super) fn scratch<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bar = board.transport()?.bar(regs::CONTROL_BAR)?;
    evidence.count("liveness patterns", answers(&bar)?);
    let walking = (0..64).flat_map(|bit| [1u64 << bit, !(1u64 << bit)]);
    let fixed = [
        0,
        0x0123_4567_89ab_cdef,
        0xffff_0000_ffff_0000,
        0xaaaa_5555_aaaa_5555,
    ];
    let mut patterns = 0u32;
    for written in walking.chain(fixed) {
        regs::SCRATCH.write(&bar, written)?;
        let found = regs::SCRATCH.read(&bar)?;
        ensure!(
            found == written,
            "SCRATCH reads {found:#018x} after {written:#018x} was written: {}",
            blame(written, found)
        );
        patterns += 1;
    }
    regs::SCRATCH.write(&bar, 0)?;
    evidence.count("patterns", patterns);
    evidence.count("bits", 64u32);
    Ok(())
}

/// Writes patterns to LIVENESS, which answers with their complements; returns how many.
fn answers(bar: &impl Bar) -> Result<u64, Failure> {
    let patterns = [0u32, 0x5555_5555, 0xaaaa_aaaa, 0x0123_4567];
    for written in patterns {
        regs::LIVENESS.write(bar, written)?;
        let found = regs::LIVENESS.read(bar)?;
        ensure!(
            found == !written,
            "LIVENESS reads {found:#010x} after {written:#010x} was written"
        );
    }
    Ok(patterns.len() as u64)
}

/// Names the probable cause of a wrong pattern.
fn blame(written: u64, found: u64) -> &'static str {
    const LOW: u64 = 0xffff_ffff;
    if found == u64::MAX {
        "all ones, nobody answers"
    } else if found == written.rotate_left(32) {
        "the halves are swapped"
    } else if found == written.swap_bytes() {
        "the bytes are swapped"
    } else if found == written & LOW || found == written & !LOW {
        "one half is lost, 64-bit accesses are split"
    } else {
        "a data line is stuck or the write was lost"
    }
}

/// Checks each register of the table: its reset value, and that writes change what they may and nothing else.
///
/// Starts and ends with a soft reset. Of an array the first and the last register that the device has are checked.
pub(super) fn access<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bar = board.transport()?.bar(regs::CONTROL_BAR)?;
    let device = Shape::read(&bar)?;
    reset::soft(&**board.transport()?, &bar, device.timeout)?;
    let (mut values, mut writable, mut read_only) = (0u32, 0u32, 0u32);
    for row in regs::TABLE
        .iter()
        .filter(|row| row.bar() == regs::CONTROL_BAR)
    {
        for index in device.indices(row) {
            values += u32::from(has_reset_value(&bar, row, index)?);
            writable += u32::from(keeps_patterns(&bar, row, index, &device)?);
            read_only += u32::from(ignores_writes(&bar, row, index)?);
        }
    }
    let twins = twins(&bar, &device)?;
    reset::soft(&**board.transport()?, &bar, device.timeout)?;
    evidence.count("reset values", values);
    evidence.count("writable", writable);
    evidence.count("read-only", read_only);
    evidence.count("W1S/W1C pairs", twins);
    Ok(())
}

/// What the register table can't say of one device.
struct Shape {
    pools: u16,
    portals: u16,
    vectors: u16,
    address_bits: u64,
    injection: bool,
    timeout: Duration,
}

impl Shape {
    fn read(bar: &impl Bar) -> Result<Shape, BusError> {
        let counts = regs::CAP_COUNTS.read(bar)?.into();
        let width = regs::cap_address::WIDTH.of(regs::CAP_ADDRESS.read(bar)?.into());
        let features = regs::CAP_FEATURES.read(bar)?.into();
        let timeout = regs::cap_timeout::MILLISECONDS.of(regs::CAP_TIMEOUT.read(bar)?.into());
        Ok(Shape {
            pools: regs::cap_counts::POOLS.of(counts) as u16,
            portals: regs::cap_counts::PORTALS.of(counts) as u16,
            vectors: regs::cap_counts::VECTORS.of(counts) as u16,
            address_bits: u64::MAX >> (64 - width.clamp(1, 64)),
            injection: regs::cap_features::INJECTION.of(features) != 0,
            timeout: Duration::from_millis(timeout.max(1)),
        })
    }

    /// Returns the first and the last index of a row that this device has.
    fn indices(&self, row: &Register) -> Vec<u16> {
        let count = match row.scope() {
            Scope::Pool => self.pools.min(row.count()),
            Scope::Portal => self.portals.min(row.count()),
            Scope::Device => row.count(),
        };
        let mut indices = vec![0, count.saturating_sub(1)];
        indices.dedup();
        indices.truncate(count.into());
        indices
    }

    /// Returns the bits of a register that may be written without starting anything.
    fn harmless(&self, row: &Register) -> u64 {
        match &*row.name {
            // Turning these on with nothing configured is an error, rightly; LIVENESS has a rung of its own.
            "POOL_CONTROL" | "PORTAL_CONTROL" | "LIVENESS" => 0,
            name if name.ends_with("_BASE") || name.ends_with("_END") => self.address_bits & !0x3f,
            _ => row.bits,
        }
    }
}

fn has_reset_value(bar: &impl Bar, row: &'static Register, index: u16) -> Result<bool, Failure> {
    let (Some(expected), Some(found)) = (row.reset, row.peek(bar, index)) else {
        return Ok(false);
    };
    let found = found?;
    ensure!(
        found == expected,
        "{}[{index}] reads {found:#x} after reset instead of {expected:#x} (SPEC {})",
        row.name,
        row.section
    );
    Ok(true)
}

/// Writes two complementary patterns to a read-write register and puts the reset value back.
fn keeps_patterns(
    bar: &impl Bar,
    row: &'static Register,
    index: u16,
    device: &Shape,
) -> Result<bool, Failure> {
    let bits = device.harmless(row);
    if row.access != Access::ReadWrite || bits == 0 {
        return Ok(false);
    }
    for pattern in [0xaaaa_aaaa_aaaa_aaaa & bits, 0x5555_5555_5555_5555 & bits] {
        row.poke(bar, index, pattern)?;
        let found = row.read_raw(bar, index)?;
        ensure!(
            found == pattern,
            "{}[{index}] reads {found:#x} after {pattern:#x} was written (SPEC {})",
            row.name,
            row.section
        );
    }
    row.poke(bar, index, row.reset.unwrap_or(0))?;
    Ok(true)
}

/// Writes the complement to a read-only register and sees it unchanged.
fn ignores_writes(bar: &impl Bar, row: &'static Register, index: u16) -> Result<bool, Failure> {
    if row.access != Access::ReadOnly {
        return Ok(false);
    }
    let before = row.read_raw(bar, index)?;
    row.poke(bar, index, !before & row.bits)?;
    let after = row.read_raw(bar, index)?;
    ensure!(
        before == after,
        "read-only {}[{index}] went from {before:#x} to {after:#x}",
        row.name
    );
    Ok(true)
}

/// Sets each bit of each W1S register alone, sees it alone, and clears it by its W1C twin; returns the pairs.
fn twins(bar: &impl Bar, device: &Shape) -> Result<u32, Failure> {
    let vectors = u64::from(u32::MAX >> (32 - device.vectors.clamp(1, 32)));
    let kinds = regs::error_set::KINDS.mask();
    let mut pairs = vec![
        (
            regs::ERR_ENABLE_SET.row(),
            regs::ERR_ENABLE_CLEAR.row(),
            kinds,
        ),
        (
            regs::IRQ_ENABLE_SET.row(),
            regs::IRQ_ENABLE_CLEAR.row(),
            vectors,
        ),
    ];
    if device.injection {
        let pool = (regs::POOL_EVENT.row(), regs::POOL_ERROR.row());
        let portal = (regs::PORTAL_EVENT.row(), regs::PORTAL_ERROR.row());
        pairs.extend([
            (regs::ERR_STATUS_SET.row(), regs::ERR_STATUS.row(), kinds),
            (regs::POOL_EVENT_SET.row(), pool.0, pool.0.bits),
            (regs::POOL_ERROR_SET.row(), pool.1, pool.1.bits),
            (regs::PORTAL_EVENT_SET.row(), portal.0, portal.0.bits),
            (regs::PORTAL_ERROR_SET.row(), portal.1, portal.1.bits),
        ]);
    }
    for (set, clear, bits) in &pairs {
        for index in device.indices(set) {
            for bit in (0..64).map(|n| 1u64 << n).filter(|bit| bits & bit != 0) {
                twin_bit(bar, set, clear, index, bit)?;
            }
        }
    }
    Ok(pairs.len() as u32)
}

fn twin_bit(
    bar: &impl Bar,
    set: &'static Register,
    clear: &'static Register,
    index: u16,
    bit: u64,
) -> Result<(), Failure> {
    set.poke(bar, index, bit)?;
    let found = clear.read_raw(bar, index)?;
    ensure!(
        found == bit,
        "{}[{index}] reads {found:#x} after {bit:#x} was set",
        clear.name
    );
    clear.poke(bar, index, bit)?;
    let found = clear.read_raw(bar, index)?;
    ensure!(
        found == 0,
        "{}[{index}] reads {found:#x} after {bit:#x} was cleared",
        clear.name
    );
    Ok(())
}
