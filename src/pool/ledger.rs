//! [`Ledger`]: one bit an object, which says whether the object is out.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who may hold an object: a bit is set by the one thread that succeeds to claim it.
pub(super) struct Ledger {
    bits: Box<[AtomicU64]>,
}

impl Ledger {
    /// Makes a ledger in which nothing is claimed.
    pub(super) fn new(objects: u32) -> Ledger {
        Ledger {
            bits: (0..objects.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// Makes a ledger in which everything is claimed.
    pub(super) fn all_claimed(objects: u32) -> Ledger {
        let ledger = Ledger::new(objects);
        (0..objects).for_each(|index| _ = ledger.claim(index));
        ledger
    }

    /// Marks an object out; false where it already was.
    pub(super) fn claim(&self, index: u32) -> bool {
        let (word, bit) = self.place(index);
        // AcqRel: of two threads that move one object, each sees what the other did before it.
        word.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Marks an object in; false where it already was.
    pub(super) fn release(&self, index: u32) -> bool {
        let (word, bit) = self.place(index);
        word.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Tells whether an object is out.
    pub(super) fn is_claimed(&self, index: u32) -> bool {
        let (word, bit) = self.place(index);
        word.load(Ordering::Acquire) & bit != 0
    }

    fn place(&self, index: u32) -> (&AtomicU64, u64) {
        (&self.bits[index as usize / 64], 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_once_and_releases_once() {
        let ledger = Ledger::new(65);
        assert!(ledger.claim(64));
        assert!(!ledger.claim(64));
        assert!(ledger.is_claimed(64));
        assert!(!ledger.is_claimed(0));
        assert!(ledger.release(64));
        assert!(!ledger.release(64));
    }
}
