//! The MSI-X table (PCI Express Base Specification 7.7.2): stored as it is written, for messages go by eventfds.

/// Vector Control: the vector is masked.
const MASKED: u8 = 1;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
}

impl Table {
    /// Makes one of so many vectors, all masked.
    pub(super) fn new(vectors: u16) -> Table {
        let mut table = Table {
            bytes: vec![0; 16 * usize::from(vectors)],
        };
        table.reset();
        table
    }

    pub(super) fn reset(&mut self) {
        self.bytes.fill(0);
        for entry in self.bytes.chunks_mut(16) {
            entry[12] = MASKED;
        }
    }

    /// Masks a vector, or not.
    pub(super) fn mask(&mut self, vector: u16, masked: bool) {
        if let Some(byte) = self.bytes.get_mut(16 * usize::from(vector) + 12) {
            *byte = *byte & !MASKED | if masked { MASKED } else { 0 };
        }
    }

    /// Returns the vectors that are not masked, a bit each.
    pub(super) fn unmasked(&self) -> u128 {
        let entries = self.bytes.chunks(16).enumerate();
        entries
            .filter(|(_, entry)| entry[12] & MASKED == 0)
            .fold(0, |bits, (vector, _)| bits | 1 << vector)
    }

    /// Returns a byte; 0 where there is none.
    pub(super) fn read(&self, at: u64) -> u8 {
        usize::try_from(at)
            .ok()
            .and_then(|at| self.bytes.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// Writes a byte, if there is one.
    pub(super) fn write(&mut self, at: u64, value: u8) {
        if let Some(byte) = usize::try_from(at)
            .ok()
            .and_then(|at| self.bytes.get_mut(at))
        {
            *byte = value;
        }
    }
}
