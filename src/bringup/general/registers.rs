//! Registers by their table: reset values, and that writes change what they may and nothing else.

use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::family::{Identity, Kind, OpenReset};
use hwpool_devices::reg::{Access, Register};

use super::scratch::{SPLIT, twice};
use crate::bringup::driver;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::AnyDriver;

/// Rung 4: checks each register of the table. Starts and ends with a reset by the device's own register.
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
    driver.reset(OpenReset::Soft)?;
    for &(bar, _) in board.about()?.bars {
        // Of what no reset puts back nothing is known.
        let rows = reset_rows(board, bar, OpenReset::Soft)?.into_iter();
        by_table(
            &device.identity.bar(&**transport, bar)?,
            rows,
            &device,
            evidence,
        )?;
    }
    leaves_nothing(board, &*driver, OpenReset::Soft)
}

/// Leaves something in each register that is read and written, and finds that a reset puts all back.
pub(super) fn leaves_nothing<T: Transport>(
    board: &Board<'_, T>,
    driver: &AnyDriver<T>,
    kind: OpenReset,
) -> Result<(), Failure> {
    let (transport, about) = (board.transport()?, board.about()?);
    let device = ByKind {
        kind: &**board.module()?,
        identity: driver.identity(),
    };
    for &(bar, _) in about.bars {
        let rows = reset_rows(board, bar, kind)?.into_iter();
        mark(&device.identity.bar(&**transport, bar)?, rows, &device)?;
    }
    driver.reset(kind)?;
    for &(bar, _) in about.bars {
        // Of those that were marked: what the others read is of other rungs.
        let rows = reset_rows(board, bar, kind)?.into_iter();
        let marked = rows.filter(|row| row.access == Access::ReadWrite);
        have_reset_values(&device.identity.bar(&**transport, bar)?, marked, &device)?;
    }
    Ok(())
}

/// Returns the registers of a BAR that a reset puts back, and those of which no reset value is known.
fn reset_rows<T: Transport>(
    board: &Board<'_, T>,
    bar: u8,
    kind: OpenReset,
) -> Result<Vec<&'static Register>, Failure> {
    let mut rows = Vec::new();
    for row in board
        .about()?
        .registers
        .iter()
        .filter(|row| row.bar() == bar)
    {
        if row.reset.is_none() || board.is_reset(row, kind)? {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What the module says of its registers.
pub(in crate::bringup) struct ByKind<'a, K: ?Sized> {
    pub(in crate::bringup) kind: &'a K,
    pub(in crate::bringup) identity: &'a Identity,
}

impl<K: Kind + ?Sized> Shape for ByKind<'_, K> {
    fn count(&self, row: &Register) -> u16 {
        match self.kind.is_left_alone(row) {
            true => 0,
            false => self.identity.registers(row),
        }
    }

    fn harmless(&self, row: &Register) -> u64 {
        self.kind.harmless(row, self.identity)
    }

    fn is_address(&self, _row: &Register) -> bool {
        false
    }
}

/// What the register table can't say of one device.
pub(in crate::bringup) trait Shape {
    /// Returns how many registers of a row the device has.
    fn count(&self, row: &Register) -> u16;

    /// Returns the bits of a register that may be written without starting anything.
    fn harmless(&self, row: &Register) -> u64;

    /// Tells whether a register holds an address of buffers, which the device may keep in fewer bits than it says.
    fn is_address(&self, row: &Register) -> bool;
}

/// Checks each of `rows`, right after a reset. Of an array the first and the last register that the device has are
/// checked.
pub(in crate::bringup) fn by_table(
    bar: &impl Bar,
    rows: impl Iterator<Item = &'static Register> + Clone,
    device: &impl Shape,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let values = have_reset_values(bar, rows.clone(), device)?;
    let (mut writable, mut read_only) = (0u32, 0u32);
    for row in rows {
        for index in indices(device, row) {
            is_left_alone(bar, row, index)?;
            writable += u32::from(keeps_patterns(bar, row, index, device)?);
            read_only += u32::from(ignores_writes(bar, row, index)?);
        }
    }
    evidence.count("reset values", values);
    evidence.count("writable", writable);
    evidence.count("read-only", read_only);
    Ok(())
}

/// Leaves something in each read-write register of `rows`, and what `marks` says in others, and finds that `reset` puts
/// all back.
pub(in crate::bringup) fn reset_puts_back<R>(
    bar: &impl Bar,
    rows: impl Fn() -> R,
    device: &impl Shape,
    marks: &[(&Register, u64)],
    reset: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure>
where
    R: Iterator<Item = &'static Register>,
{
    mark(bar, rows(), device)?;
    for (row, value) in marks {
        row.poke(bar, 0, *value)?;
    }
    reset()?;
    have_reset_values(bar, rows(), device)?;
    Ok(())
}

/// Leaves something else than its reset value in each read-write register of `rows` that may be written.
fn mark(
    bar: &impl Bar,
    rows: impl Iterator<Item = &'static Register>,
    device: &impl Shape,
) -> Result<(), Failure> {
    for row in rows.filter(|row| row.access == Access::ReadWrite) {
        let bits = device.harmless(row);
        if bits == 0 {
            continue; // any write may start something
        }
        for index in indices(device, row) {
            row.poke(bar, index, 0xaaaa_aaaa_aaaa_aaaa & bits)?;
        }
    }
    Ok(())
}

/// Finds the reset value in each of `rows`; returns how many have one.
fn have_reset_values(
    bar: &impl Bar,
    rows: impl Iterator<Item = &'static Register>,
    device: &impl Shape,
) -> Result<u32, Failure> {
    let mut values = 0;
    for row in rows {
        for index in indices(device, row) {
            values += u32::from(has_reset_value(bar, row, index)?);
        }
    }
    Ok(values)
}

/// Returns the first and the last index of a row that this device has.
fn indices(device: &impl Shape, row: &Register) -> Vec<u16> {
    let count = device.count(row);
    let mut indices = vec![0, count.saturating_sub(1)];
    indices.dedup();
    indices.truncate(count.into());
    indices
}

fn has_reset_value(bar: &impl Bar, row: &'static Register, index: u16) -> Result<bool, Failure> {
    let (Some(expected), Some(found)) = (row.reset, row.peek(bar, index)) else {
        return Ok(false);
    };
    let found = found?;
    let (place, section) = (row.place(index), &*row.section);
    ensure!(
        found == expected,
        RegisterSymptom::AfterReset {
            place,
            found,
            expected,
            section
        }
    );
    Ok(true)
}

/// Finds the reset value still there after other registers were written.
fn is_left_alone(bar: &impl Bar, row: &'static Register, index: u16) -> Result<(), Failure> {
    let (Some(expected), Some(found)) = (row.reset, row.peek(bar, index)) else {
        return Ok(());
    };
    let (place, found) = (row.place(index), found?);
    let moved = RegisterSymptom::Moved {
        place,
        found,
        expected,
    };
    ensure!(found == expected, moved);
    Ok(())
}

/// Writes two complementary patterns to a read-write register and puts the reset value back.
fn keeps_patterns(
    bar: &impl Bar,
    row: &'static Register,
    index: u16,
    device: &impl Shape,
) -> Result<bool, Failure> {
    let bits = device.harmless(row);
    if row.access != Access::ReadWrite || bits == 0 {
        return Ok(false);
    }
    for pattern in [0xaaaa_aaaa_aaaa_aaaa & bits, 0x5555_5555_5555_5555 & bits] {
        row.poke(bar, index, pattern)?;
        let found = row.read_raw(bar, index)?;
        let symptom = RegisterSymptom::Written {
            place: row.place(index),
            found,
            pattern,
            section: &row.section,
            is_address: device.is_address(row),
        };
        ensure!(found == pattern, symptom);
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
    let place = row.place(index);
    ensure!(
        before == after,
        RegisterSymptom::Changed {
            place,
            before,
            after
        }
    );
    Ok(true)
}

/// A register whose ones set bits, the one whose ones clear them, and the bits that the device has.
pub(in crate::bringup) type Twins = (&'static Register, &'static Register, u64);

/// Sets each bit of each register alone, sees it alone, and clears it by its twin.
pub(in crate::bringup) fn twins(
    bar: &impl Bar,
    pairs: &[Twins],
    device: &impl Shape,
) -> Result<(), Failure> {
    for (set, clear, bits) in pairs {
        for index in indices(device, set) {
            for bit in (0..64).map(|n| 1u64 << n).filter(|bit| bits & bit != 0) {
                twin_bit(bar, (set, bit), (clear, bit), index)?;
                twin_bit(bar, (clear, bit), (clear, 0), index)?;
            }
        }
    }
    Ok(())
}

/// Writes a bit to one register and expects to read `expected` from its twin.
fn twin_bit(
    bar: &impl Bar,
    (written, bit): (&'static Register, u64),
    (read, expected): (&'static Register, u64),
    index: u16,
) -> Result<(), Failure> {
    written.poke(bar, index, bit)?;
    let (place, found) = (read.place(index), read.read_raw(bar, index)?);
    let symptom = match expected {
        0 => RegisterSymptom::AfterClear { place, found, bit },
        _ => RegisterSymptom::AfterSet { place, found, bit },
    };
    ensure!(found == expected, symptom);
    Ok(())
}

/// What is wrong with a register.
#[derive(Debug, thiserror::Error)]
enum RegisterSymptom {
    #[error("{place} reads {found:#x} after reset instead of {expected:#x} (SPEC {section})")]
    AfterReset {
        place: String,
        found: u64,
        expected: u64,
        section: &'static str,
    },
    #[error("{place} reads {found:#x} after {pattern:#x} was written (SPEC {section})")]
    Written {
        place: String,
        found: u64,
        pattern: u64,
        section: &'static str,
        /// It holds an address.
        is_address: bool,
    },
    #[error("{place} went from {expected:#x} to {found:#x} while others were written")]
    Moved {
        place: String,
        found: u64,
        expected: u64,
    },
    #[error("read-only {place} went from {before:#x} to {after:#x}")]
    Changed {
        place: String,
        before: u64,
        after: u64,
    },
    #[error("{place} reads {found:#x} after {bit:#x} was set")]
    AfterSet { place: String, found: u64, bit: u64 },
    #[error("{place} reads {found:#x} after {bit:#x} was cleared")]
    AfterClear { place: String, found: u64, bit: u64 },
}

impl Symptom for RegisterSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            RegisterSymptom::AfterReset {
                found, expected, ..
            }
            | RegisterSymptom::Written {
                found,
                pattern: expected,
                ..
            } if is_split(*found, *expected) => SPLIT,
            RegisterSymptom::AfterReset { .. } => driver::NOT_RESET,
            RegisterSymptom::Moved { .. } => &[
                "a write to another register sets this one: it follows from a comparison, not from what happens",
                "two registers share an address inside: the decoder does not look at all of its bits",
            ],
            RegisterSymptom::Written {
                is_address: true, ..
            } => driver::NARROW,
            RegisterSymptom::Written { .. } => CONSTANT,
            RegisterSymptom::Changed { .. } => &["the register is writable in this bitstream"],
            RegisterSymptom::AfterSet { .. } | RegisterSymptom::AfterClear { .. } => {
                &["the bits that set and clear each other are wired to different registers"]
            }
        })
    }
}

/// Tells whether the low half stands for both; of a register of 32 bits it never does.
fn is_split(found: u64, expected: u64) -> bool {
    found == twice(expected) && found > u64::from(u32::MAX)
}

const CONSTANT: Causes = &[
    "the register is a constant in this bitstream, or some of its bits are tied",
    "writes to this address are lost",
];
