//! The MSI-X table and pending bit array in BAR 4.

/// Vector Control: Mask Bit.
const MASKED: u32 = 1;

#[derive(Debug, Clone)]
pub(crate) struct Msix {
    /// Address low, address high, data, control of each vector.
    table: Vec<[u32; 4]>,
    pending: u32,
    /// Offset of the pending bit array.
    pba: u64,
}

impl Msix {
    pub(crate) fn new(vectors: u16, pba: u64) -> Msix {
        Msix {
            pba,
            table: vec![[0, 0, 0, MASKED]; usize::from(vectors)],
            pending: 0,
        }
    }

    pub(crate) fn is_masked(&self, vector: u16) -> bool {
        (self.table.get(usize::from(vector))).is_none_or(|entry| entry[3] & MASKED != 0)
    }

    pub(crate) fn set_mask(&mut self, vector: u16, masked: bool) {
        if let Some(entry) = self.table.get_mut(usize::from(vector)) {
            entry[3] = if masked { MASKED } else { 0 };
        }
    }

    /// Writes back a table that was saved; what is pending now stays so.
    pub(crate) fn restore(&mut self, saved: &Msix) {
        self.table.clone_from(&saved.table);
    }

    pub(crate) fn hold(&mut self, vector: u16) {
        self.pending |= 1 << vector;
    }

    /// Takes the vectors that are pending and no longer masked.
    pub(crate) fn release(&mut self) -> u32 {
        let free = (0..self.table.len() as u16).filter(|v| !self.is_masked(*v));
        let mask: u32 = free.map(|v| 1 << v).sum();
        let out = self.pending & mask;
        self.pending &= !mask;
        out
    }

    /// Reads 4 or 8 bytes; `None` where there is nothing.
    pub(crate) fn read(&self, offset: u64, width: u8) -> Option<u64> {
        match width {
            4 => self.word(offset).map(u64::from),
            _ => {
                let high = u64::from(self.word(offset + 4)?);
                Some(high << 32 | u64::from(self.word(offset)?))
            }
        }
    }

    /// Writes 4 or 8 bytes; `None` where there is nothing to write.
    pub(crate) fn write(&mut self, offset: u64, width: u8, value: u64) -> Option<()> {
        if width == 8 {
            self.write(offset + 4, 4, value >> 32)?;
        }
        let entry = self.table.get_mut((offset / 16) as usize)?;
        let word = (offset % 16 / 4) as usize;
        entry[word] = match word {
            0 => value as u32 & !3,
            3 => value as u32 & MASKED,
            _ => value as u32,
        };
        Some(())
    }

    fn word(&self, offset: u64) -> Option<u32> {
        if offset >= self.pba {
            return match offset - self.pba {
                0 => Some(self.pending),
                4 => Some(0),
                _ => None,
            };
        }
        let entry = self.table.get((offset / 16) as usize)?;
        Some(entry[(offset % 16 / 4) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_vector_waits_in_the_pending_array() {
        let mut msix = Msix::new(2, 0x1000);
        msix.hold(1);
        assert_eq!(msix.release(), 0);
        assert_eq!(msix.read(0x1000, 8), Some(2));
        msix.write(16 + 8, 8, 0x55).unwrap();
        assert_eq!(msix.read(16 + 8, 4), Some(0x55));
        assert_eq!((msix.release(), msix.release()), (2, 0));
    }

    #[test]
    fn the_table_has_its_vectors_and_no_more() {
        let mut msix = Msix::new(2, 0x1000);
        assert_eq!(msix.read(12, 4), Some(1));
        assert_eq!(msix.read(32, 4), None);
        assert_eq!(msix.write(32, 4, 0), None);
        assert_eq!(msix.write(0x1000, 4, 1), None);
    }
}
