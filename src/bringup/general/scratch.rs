//! A register that keeps what is written: every data bit, seen from both ends.

use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::reg::Register;

use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Rung 3: walks through every bit of the scratch register.
pub(super) fn scratch<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let Some(register) = board.about()?.scratch else {
        return Err(Failure::Skip("the device has no scratch register".into()));
    };
    let bar = board.transport()?.bar(register.bar())?;
    evidence.count("patterns", walk(&bar, register)?);
    evidence.count("bits", register.bits.count_ones());
    Ok(())
}

/// Walks a one and a zero through all bits of a scratch register and leaves it 0; returns how many patterns that were.
///
/// # Panics
///
/// When the register is not one that a plain read may read.
pub(in crate::bringup) fn walk(
    bar: &impl Bar,
    register: &'static Register,
) -> Result<u32, Failure> {
    let has = |bit: &u32| register.bits >> bit & 1 != 0;
    let walking = (0..64)
        .filter(has)
        .flat_map(|bit| [1u64 << bit, !(1u64 << bit)]);
    let fixed = [
        0,
        0x0123_4567_89ab_cdef,
        0xffff_0000_ffff_0000,
        0xaaaa_5555_aaaa_5555,
    ];
    let mut patterns = 0;
    for written in walking.chain(fixed).map(|pattern| pattern & register.bits) {
        register.poke(bar, 0, written)?;
        let found = register.read_raw(bar, 0)?;
        let name = &*register.name;
        ensure!(
            found == written,
            ScratchSymptom {
                name,
                width: register.width,
                written,
                found
            }
        );
        patterns += 1;
    }
    register.poke(bar, 0, 0)?;
    Ok(patterns)
}

/// A pattern came back as another.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} reads {found:#0digits$x} after {written:#0digits$x} was written: {}",
    self.wrong().words(),
    digits = usize::from(self.width) * 2 + 2
)]
struct ScratchSymptom {
    name: &'static str,
    /// Bytes of the register.
    width: u8,
    written: u64,
    found: u64,
}

/// How a pattern is wrong.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Wrong {
    AllOnes,
    HalvesSwapped,
    BytesSwapped,
    HalfLost,
    LowTwice,
    Bits,
}

impl ScratchSymptom {
    fn wrong(&self) -> Wrong {
        let (written, found) = (self.written, self.found);
        let bits = u32::from(self.width) * 8;
        let low = u64::MAX >> (64 - bits / 2);
        let swapped_halves = (written >> (bits / 2)) | (written & low) << (bits / 2);
        if found == u64::MAX >> (64 - bits) {
            Wrong::AllOnes
        } else if found == swapped_halves {
            Wrong::HalvesSwapped
        } else if found == written.swap_bytes() >> (64 - bits) {
            Wrong::BytesSwapped
        } else if self.width == 8 && (found == written & low || found == written & !low) {
            Wrong::HalfLost
        } else if self.width == 8 && found == twice(written) {
            Wrong::LowTwice
        } else {
            Wrong::Bits
        }
    }
}

/// Returns what a 64-bit register reads whose low half stands for both.
pub(super) fn twice(value: u64) -> u64 {
    u64::from(value as u32) * 0x1_0000_0001
}

/// What makes the low half of a 64-bit register come twice.
pub(super) const SPLIT: Causes = &[
    "the bus bridge splits 64-bit accesses and does not count the address up for the second half",
];

impl Wrong {
    fn words(self) -> &'static str {
        match self {
            Wrong::AllOnes => "all ones, nobody answers",
            Wrong::HalvesSwapped => "the halves are swapped",
            Wrong::BytesSwapped => "the bytes are swapped",
            Wrong::HalfLost => "one half is lost, 64-bit accesses are split",
            Wrong::LowTwice => "the low half came twice, 64-bit accesses are split",
            Wrong::Bits => "a data line is stuck or the write was lost",
        }
    }
}

impl Symptom for ScratchSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self.wrong() {
            Wrong::AllOnes => &[
                "nobody answers at this register: the address decoder behind the BAR has a hole",
                "the device has left the bus since it was identified: power, clock, link (LnkSta, dmesg)",
            ],
            Wrong::HalvesSwapped => {
                &["the word order of 64-bit accesses is wrong in the bus bridge"]
            }
            Wrong::BytesSwapped => &["the byte order is wrong in the bus bridge"],
            Wrong::HalfLost => &["the bus bridge splits 64-bit accesses and drops a half"],
            Wrong::LowTwice => SPLIT,
            Wrong::Bits => &[
                "a data line is stuck or shorted in the path to the logic",
                "byte enables are ignored",
            ],
        })
    }
}
