//! 64-bit registers behind a bridge of 32 bits.
//!
//! ```
//! use hwpool_devices::bus::{Bar, BusError};
//! use hwpool_devices::words::Words;
//!
//! /// Reads a counter of 64 bits: one access, or two with the low half first.
//! fn counter<B: Bar>(bar: B, halves: bool) -> Result<u64, BusError> {
//!     Words::new(bar, halves).read64(0x10)
//! }
//! ```

use crate::bus::{Bar, BusError, Doorbell};

/// A BAR whose 64-bit registers are accessed as they have to be: whole, or as two halves of 32 bits, the low one first.
///
/// As halves no access of 64 bits is made at all, and two users of one register must not get between each other's
/// halves: a device says what keeps whom apart (SPEC 2.1 of the BMU).
#[derive(Debug, Clone)]
pub struct Words<B> {
    bar: B,
    halves: bool,
}

impl<B: Bar> Words<B> {
    /// Makes of every access of 64 bits two of 32 where `halves` says so.
    pub fn new(bar: B, halves: bool) -> Words<B> {
        Words { bar, halves }
    }

    /// Tells whether 64-bit registers are accessed as halves.
    pub fn are_halves(&self) -> bool {
        self.halves
    }

    /// Returns the BAR as the transport made it.
    pub fn whole(&self) -> &B {
        &self.bar
    }
}

impl<B: Bar> Bar for Words<B> {
    type Doorbell = WordsDoorbell<B>;

    fn size(&self) -> u64 {
        self.bar.size()
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.bar.read32(offset)
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        match self.halves {
            false => self.bar.read64(offset),
            true => read_halves(&self.bar, offset),
        }
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.bar.write32(offset, value)
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        match self.halves {
            false => self.bar.write64(offset, value),
            true => write_halves(&self.bar, offset, value),
        }
    }

    fn doorbell(&self, offset: u64) -> Result<WordsDoorbell<B>, BusError> {
        if !self.halves {
            return self.bar.doorbell(offset).map(WordsDoorbell::Whole);
        }
        let (width, len) = (8, self.size());
        if !offset.is_multiple_of(8) {
            return Err(BusError::Misaligned { offset, width });
        }
        match offset.checked_add(8).is_some_and(|end| end <= len) {
            true => Ok(WordsDoorbell::Halves(self.bar.clone(), offset)),
            false => Err(BusError::OutOfRange { offset, width, len }),
        }
    }
}

fn read_halves(bar: &impl Bar, offset: u64) -> Result<u64, BusError> {
    let low = bar.read32(offset)?;
    let high = bar.read32(offset + 4)?;
    Ok(u64::from(low) | u64::from(high) << 32)
}

fn write_halves(bar: &impl Bar, offset: u64, value: u64) -> Result<(), BusError> {
    bar.write32(offset, value as u32)?;
    bar.write32(offset + 4, (value >> 32) as u32)
}

/// The handle of a hot register of [`Words`].
#[derive(Debug)]
pub enum WordsDoorbell<B: Bar> {
    /// One access of 64 bits.
    Whole(B::Doorbell),
    /// Two of 32 bits, at an offset of the BAR.
    Halves(B, u64),
}

impl<B: Bar> Doorbell for WordsDoorbell<B> {
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        match self {
            WordsDoorbell::Whole(doorbell) => doorbell.ring(value),
            WordsDoorbell::Halves(bar, offset) => write_halves(bar, *offset, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A BAR that notes what is done to it.
    #[derive(Debug, Clone, Default)]
    struct Noted(Arc<Mutex<Vec<(char, u64, u64)>>>);

    impl Noted {
        fn note(&self, what: char, offset: u64, value: u64) {
            self.0.lock().unwrap().push((what, offset, value));
        }

        fn take(&self) -> Vec<(char, u64, u64)> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Bar for Noted {
        type Doorbell = Ring;

        fn size(&self) -> u64 {
            64
        }
        fn read32(&self, offset: u64) -> Result<u32, BusError> {
            self.note('r', offset, 4);
            Ok(offset as u32)
        }
        fn read64(&self, offset: u64) -> Result<u64, BusError> {
            self.note('R', offset, 8);
            Ok(7)
        }
        fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
            self.note('w', offset, value.into());
            Ok(())
        }
        fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
            self.note('W', offset, value);
            Ok(())
        }
        fn doorbell(&self, offset: u64) -> Result<Ring, BusError> {
            Ok(Ring(self.clone(), offset))
        }
    }

    #[derive(Debug)]
    struct Ring(Noted, u64);

    impl Doorbell for Ring {
        fn ring(&self, value: u64) -> Result<(), BusError> {
            self.0.write64(self.1, value)
        }
    }

    #[test]
    fn whole_accesses_go_as_they_are() {
        let noted = Noted::default();
        let words = Words::new(noted.clone(), false);
        assert_eq!(words.read64(8), Ok(7));
        words.write64(16, 9).unwrap();
        words.doorbell(24).unwrap().ring(5).unwrap();
        assert_eq!(noted.take(), [('R', 8, 8), ('W', 16, 9), ('W', 24, 5)]);
    }

    #[test]
    fn halves_go_low_first() {
        let noted = Noted::default();
        let words = Words::new(noted.clone(), true);
        assert_eq!(words.read64(8), Ok(12 << 32 | 8));
        words.write64(16, 2 << 32 | 1).unwrap();
        words.doorbell(24).unwrap().ring(4 << 32 | 3).unwrap();
        let reads = [('r', 8, 4), ('r', 12, 4)];
        let writes = [('w', 16, 1), ('w', 20, 2), ('w', 24, 3), ('w', 28, 4)];
        assert_eq!(noted.take(), [&reads[..], &writes[..]].concat());
        assert!(matches!(
            words.doorbell(60),
            Err(BusError::Misaligned { .. })
        ));
        assert!(matches!(
            words.doorbell(64),
            Err(BusError::OutOfRange { .. })
        ));
    }
}
