//! A register that keeps what is written: every data bit, seen from both ends.

use hwpool_devices::bus::Bar;
use hwpool_devices::reg::Register;

use crate::bringup::Failure;
use crate::bringup::symptom::{Blame, Symptom, ensure};

/// Walks a one and a zero through all bits of a scratch register and leaves it 0; returns how many patterns that were.
///
/// # Panics
///
/// When the register is not one that a plain read may read.
pub(in crate::bringup) fn walk(
    bar: &impl Bar,
    register: &'static Register,
) -> Result<u32, Failure> {
    let walking = (0..64).flat_map(|bit| [1u64 << bit, !(1u64 << bit)]);
    let fixed = [
        0,
        0x0123_4567_89ab_cdef,
        0xffff_0000_ffff_0000,
        0xaaaa_5555_aaaa_5555,
    ];
    let mut patterns = 0;
    for written in walking.chain(fixed) {
        register.poke(bar, 0, written)?;
        let found = register.read_raw(bar, 0)?;
        let name = &*register.name;
        ensure!(
            found == written,
            ScratchSymptom {
                name,
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
#[error("{name} reads {found:#018x} after {written:#018x} was written: {}", self.wrong().words())]
struct ScratchSymptom {
    name: &'static str,
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
    Bits,
}

impl ScratchSymptom {
    fn wrong(&self) -> Wrong {
        const LOW: u64 = 0xffff_ffff;
        let (written, found) = (self.written, self.found);
        if found == u64::MAX {
            Wrong::AllOnes
        } else if found == written.rotate_left(32) {
            Wrong::HalvesSwapped
        } else if found == written.swap_bytes() {
            Wrong::BytesSwapped
        } else if found == written & LOW || found == written & !LOW {
            Wrong::HalfLost
        } else {
            Wrong::Bits
        }
    }
}

impl Wrong {
    fn words(self) -> &'static str {
        match self {
            Wrong::AllOnes => "all ones, nobody answers",
            Wrong::HalvesSwapped => "the halves are swapped",
            Wrong::BytesSwapped => "the bytes are swapped",
            Wrong::HalfLost => "one half is lost, 64-bit accesses are split",
            Wrong::Bits => "a data line is stuck or the write was lost",
        }
    }
}

impl Symptom for ScratchSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self.wrong() {
            Wrong::AllOnes => &[
                "nobody answers at this register: the address decoder behind the BAR has a hole",
                "the device has left the bus since MAGIC was read: power, clock, link (LnkSta, dmesg)",
            ],
            Wrong::HalvesSwapped => {
                &["the word order of 64-bit accesses is wrong in the bus bridge"]
            }
            Wrong::BytesSwapped => &["the byte order is wrong in the bus bridge"],
            Wrong::HalfLost => &["the bus bridge splits 64-bit accesses and drops a half"],
            Wrong::Bits => &[
                "a data line is stuck or shorted in the path to the logic",
                "byte enables are ignored",
            ],
        })
    }
}
