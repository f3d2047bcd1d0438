//! Which register an access meets, by an index of the table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hwpool_devices::reg::Register;

use crate::shape::Slot;

/// A register table with its slots by BAR and word.
#[derive(Debug)]
pub(crate) struct Decode {
    table: Cow<'static, [Register]>,
    slots: Vec<Slot>,
    /// For each of the first words of each BAR, as far as it has registers: the index into `slots` plus 1.
    words: [Vec<u32>; 6],
    /// The same for words behind [`NEAR`], where a table would be all holes.
    far: BTreeMap<(u8, u64), u32>,
}

/// Words of 4 bytes at the start of a BAR that are looked up in a table.
const NEAR: u64 = 1 << 18;

impl Decode {
    pub(crate) fn new(table: Cow<'static, [Register]>) -> Decode {
        let mut decode = Decode {
            table: Cow::Borrowed(&[]),
            slots: Vec::new(),
            words: Default::default(),
            far: BTreeMap::new(),
        };
        for (place, row) in (0..).zip(table.iter()) {
            let Some(words) = decode.words.get_mut(usize::from(row.bar())) else {
                continue; // no BAR of PCI's
            };
            for index in 0..row.count() {
                decode.slots.push(Slot { place, index });
                let (word, slot) = (row.offset_of(index) / 4, decode.slots.len() as u32);
                if word >= NEAR {
                    decode.far.insert((row.bar(), word), slot);
                    continue;
                }
                let word = word as usize;
                words.resize(words.len().max(word + 1), 0);
                words[word] = slot;
            }
        }
        decode.table = table;
        decode
    }

    /// Finds the register that starts at `offset` of `bar`.
    #[inline]
    pub(crate) fn find(&self, bar: u8, offset: u64) -> Option<Slot> {
        let words = self.words.get(usize::from(bar))?;
        let slot = match offset / 4 {
            far @ NEAR.. => self.far.get(&(bar, far)),
            near => words.get(near as usize),
        };
        self.slots.get((*slot? as usize).checked_sub(1)?).copied()
    }

    /// Returns the row of a slot that [`Decode::find`] gave.
    #[inline]
    pub(crate) fn row(&self, slot: Slot) -> &Register {
        &self.table[usize::from(slot.place)]
    }

    /// Returns the register's name with its index, for messages.
    pub(crate) fn place(&self, slot: Slot) -> String {
        self.row(slot).place(slot.index)
    }
}

#[cfg(test)]
mod tests {
    use hwpool_devices::{modules, reg};

    use super::*;

    #[test]
    fn the_indexed_decode_agrees_with_the_linear_one() {
        for table in modules::kinds().iter().map(|kind| kind.registers) {
            let decode = Decode::new(Cow::Borrowed(table));
            for (bar, size) in [(0, 0x1_0000), (1, 0x1000), (2, 0x8_0000), (7, 0x1000)] {
                for offset in (0..size).step_by(4) {
                    let slow = reg::decode(table, bar, offset);
                    let fast = decode.find(bar, offset);
                    let names = (
                        slow.map(|(row, i)| (&row.name, i)),
                        fast.map(|slot| (&decode.row(slot).name, slot.index)),
                    );
                    assert_eq!(names.0, names.1, "BAR {bar} {offset:#x}");
                }
            }
        }
    }
}
