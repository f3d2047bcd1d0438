//! The driver's own knowledge of where each buffer is.
//!
//! [`Geometry`] turns addresses that the device hands out into object numbers and refuses all others; [`Ledger`] adds
//! whether the device can have the object at all. They are the only place where an address from the device becomes
//! an object, so what passes here may be trusted from then on.

use crate::bus::Iova;
use crate::family::error::{Breach, Misuse};

/// Where the objects of a pool lie: `objects` pieces of `stride` bytes from `base` on.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Geometry {
    base: u64,
    stride: u64,
    objects: u32,
    /// `floor((2^64 - 1) / stride) + 1`: multiplying a multiple of the stride by it divides by the stride.
    reciprocal: u64,
}

impl Geometry {
    /// Granule of bases and strides in bytes: the low bits of an address are free for marks in a ring's entry.
    pub const GRANULE: u64 = 64;

    /// Describes a pool, or returns `None` where base or stride is 0 or no multiple of 64, there are no objects, or the
    /// pool does not fit below 2^64.
    pub fn new(base: Iova, stride: u64, objects: u32) -> Option<Geometry> {
        let aligned = base.0.is_multiple_of(Self::GRANULE) && stride.is_multiple_of(Self::GRANULE);
        if base.0 == 0 || stride == 0 || objects == 0 || !aligned {
            return None;
        }
        base.checked_add(stride.checked_mul(objects.into())?)?;
        Some(Geometry {
            base: base.0,
            stride,
            objects,
            reciprocal: u64::MAX / stride + 1,
        })
    }

    /// Returns the first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Returns the byte just past the last object.
    pub fn end(&self) -> u64 {
        self.base + self.stride * u64::from(self.objects)
    }

    /// Returns the bytes from one object to the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// Returns how many objects there are.
    pub fn objects(&self) -> u32 {
        self.objects
    }

    /// Returns where the device finds object `index`.
    #[inline]
    pub fn address(&self, index: u32) -> u64 {
        self.base + self.stride * u64::from(index)
    }

    /// Returns the object that starts at `address`, or what is wrong with the address.
    pub fn index(&self, address: u64) -> Result<u32, Breach> {
        match self.divide(address) {
            Some(index) if index < u64::from(self.objects) => Ok(index as u32),
            _ => Err(self.no_object(address)),
        }
    }

    /// Returns how many strides after the base `address` lies, unless that is no whole number.
    #[inline]
    fn divide(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.base);
        // The reciprocal is too large by less than 1, so the quotient of a multiple of the stride is too large by less
        // than offset / 2^64, which is shifted out. Of any other offset it may be wrong, and the product always is.
        let quotient = ((u128::from(offset) * u128::from(self.reciprocal)) >> 64) as u64;
        (quotient.wrapping_mul(self.stride) == offset).then_some(quotient)
    }

    /// Tells why no object starts at `address`.
    #[cold]
    fn no_object(&self, address: u64) -> Breach {
        let (base, end) = (self.base, self.end());
        if !(base..end).contains(&address) {
            return Breach::OutOfRange { address, base, end };
        }
        let offset = address - base;
        Breach::Misaligned {
            address,
            index: (offset / self.stride) as u32,
            excess: offset % self.stride,
        }
    }
}

/// A mark an object: set while the device has it.
///
/// A mark is a byte, not a bit: objects that move together are often neighbours, and changes of one word would wait
/// for each other.
#[derive(Debug)]
pub struct Ledger {
    geometry: Geometry,
    inside: Vec<bool>,
    held: u32,
}

impl Ledger {
    /// Makes the ledger of a pool whose objects are all with the host.
    pub fn new(geometry: Geometry) -> Ledger {
        Ledger {
            geometry,
            inside: vec![false; geometry.objects as usize],
            held: 0,
        }
    }

    /// Returns the pool's geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Returns how many objects the device has.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Tells whether the device has object `index`; no, where there is no such object.
    pub fn is_inside(&self, index: u32) -> bool {
        self.inside.get(index as usize) == Some(&true)
    }

    /// Returns the objects that are with the host, in rising order.
    pub fn outside(&self) -> impl Iterator<Item = u32> {
        (0..self.geometry.objects).filter(|&index| !self.is_inside(index))
    }

    /// Notes that the host gives object `index` to the device; refuses what it can't have to give.
    pub fn give(&mut self, index: u32) -> Result<(), Misuse> {
        self.give_all(&[index]).map_err(|(_, why)| why)
    }

    /// Gives all of `objects` or, refusing, none; returns the first that is refused.
    pub fn give_all(&mut self, objects: &[u32]) -> Result<(), (u32, Misuse)> {
        for (done, &index) in objects.iter().enumerate() {
            match self.inside.get_mut(index as usize) {
                Some(inside) if !*inside => *inside = true,
                _ => {
                    self.mark(&objects[..done], false);
                    return Err((index, self.refusal(index)));
                }
            }
        }
        self.held += objects.len() as u32;
        Ok(())
    }

    #[cold]
    fn refusal(&self, index: u32) -> Misuse {
        let objects = self.geometry.objects;
        if index < objects {
            Misuse::DoubleFree
        } else {
            Misuse::Foreign { objects }
        }
    }

    /// Turns an address that the device hands out into the object that it stands for, now the host's.
    ///
    /// Fails where the address is outside of the pool, not the start of an object, or of an object that the device
    /// does not have; then nothing is changed.
    pub fn take(&mut self, address: u64) -> Result<u32, Breach> {
        let mut object = [0];
        self.take_all(&[address], &mut object)?;
        Ok(object[0])
    }

    /// Turns addresses into `objects`, each as [`Ledger::take`] does: all of them or none.
    ///
    /// Where it fails, what `objects` has is void.
    ///
    /// # Panics
    ///
    /// When there are not as many `objects` as `addresses`.
    pub fn take_all(&mut self, addresses: &[u64], objects: &mut [u32]) -> Result<(), Breach> {
        assert_eq!(addresses.len(), objects.len(), "an object an address");
        let geometry = self.geometry;
        for (done, (&address, object)) in addresses.iter().zip(&mut *objects).enumerate() {
            let index = geometry.divide(address).unwrap_or(u64::MAX);
            *object = index as u32;
            // The marks end where the objects do.
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            match self.inside.get_mut(place) {
                Some(inside) if *inside => *inside = false,
                _ => {
                    self.mark(&objects[..done], true);
                    return Err(self.lie(address));
                }
            }
        }
        self.held -= objects.len() as u32;
        Ok(())
    }

    /// Notes that the device hands out object `number`, which is the host's now.
    ///
    /// Fails where there is no such object, or the device does not have it; then nothing is changed.
    pub fn take_number(&mut self, number: u32) -> Result<u32, Breach> {
        match self.inside.get_mut(number as usize) {
            Some(inside) if *inside => *inside = false,
            Some(_) => {
                return Err(Breach::Duplicate {
                    address: number.into(),
                    index: number,
                });
            }
            None => {
                let objects = self.geometry.objects;
                return Err(Breach::NoSuchNumber { number, objects });
            }
        }
        self.held -= 1;
        Ok(number)
    }

    /// Tells why the device can't have handed out `address`.
    #[cold]
    fn lie(&self, address: u64) -> Breach {
        match self.geometry.index(address) {
            Ok(index) => Breach::Duplicate { address, index },
            Err(breach) => breach,
        }
    }

    /// Undoes [`Ledger::take`] of `objects`.
    pub(crate) fn put_back(&mut self, objects: &[u32]) {
        self.mark(objects, true);
        self.held += objects.len() as u32;
    }

    fn mark(&mut self, objects: &[u32], inside: bool) {
        for &index in objects {
            self.inside[index as usize] = inside;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(base: u64, stride: u64, objects: u32) -> Geometry {
        Geometry::new(Iova(base), stride, objects).expect("valid geometry")
    }

    #[test]
    fn every_start_of_an_object_is_its_index() {
        for stride in [64, 128, 192, 2048, 2112, 9216, 65536 - 64, 1 << 20] {
            let pool = geometry(0x10_0000, stride, 1000);
            for index in 0..1000 {
                assert_eq!(
                    pool.index(pool.address(index)),
                    Ok(index),
                    "stride {stride}"
                );
            }
        }
    }

    #[test]
    fn the_largest_pools_are_numbered_exactly() {
        for stride in [64, 2112, 65536 + 64, (1 << 22) - 64] {
            let pool = geometry(1 << 40, stride, 1 << 24);
            for index in [0, 1, (1 << 24) - 2, (1 << 24) - 1, 0x00ab_cdef] {
                assert_eq!(
                    pool.index(pool.address(index)),
                    Ok(index),
                    "stride {stride}"
                );
                assert!(matches!(
                    pool.index(pool.address(index) + 1),
                    Err(Breach::Misaligned { excess: 1, .. })
                ));
            }
        }
    }

    #[test]
    fn addresses_outside_and_between_are_refused() {
        let pool = geometry(0x1000, 192, 10);
        for address in [0, 0xfff, 0x1000 - 192, pool.end(), u64::MAX, !63, 1 << 63] {
            assert!(
                matches!(pool.index(address), Err(Breach::OutOfRange { .. })),
                "{address:#x}"
            );
        }
        for offset in [1, 63, 64, 128, 191, 193] {
            assert!(
                matches!(pool.index(0x1000 + offset), Err(Breach::Misaligned { .. })),
                "{offset}"
            );
        }
    }

    #[test]
    fn impossible_geometries_are_refused() {
        for (base, stride, objects) in [
            (0, 64, 1),
            (64, 0, 1),
            (64, 64, 0),
            (65, 64, 1),
            (64, 65, 1),
            (u64::MAX - 63, 64, 2),
            (64, 1 << 63, 2),
        ] {
            assert_eq!(
                Geometry::new(Iova(base), stride, objects),
                None,
                "{base:#x} {stride:#x} {objects}"
            );
        }
    }

    #[test]
    fn an_object_is_never_given_or_taken_twice() {
        let mut ledger = Ledger::new(geometry(0x1000, 64, 100));
        assert_eq!(
            ledger.take(0x1000),
            Err(Breach::Duplicate {
                address: 0x1000,
                index: 0
            })
        );
        assert_eq!(ledger.give(0), Ok(()));
        assert_eq!(ledger.give(0), Err(Misuse::DoubleFree));
        assert_eq!(ledger.give(100), Err(Misuse::Foreign { objects: 100 }));
        assert_eq!(ledger.held(), 1);
        assert_eq!(ledger.take(0x1000), Ok(0));
        assert_eq!(
            ledger.take(0x1000),
            Err(Breach::Duplicate {
                address: 0x1000,
                index: 0
            })
        );
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn a_batch_with_a_bad_object_changes_nothing() {
        let mut ledger = Ledger::new(geometry(0x1000, 64, 100));
        assert_eq!(ledger.give_all(&[1, 2, 3, 2]), Err((2, Misuse::DoubleFree)));
        assert_eq!(
            ledger.give_all(&[1, 2, 100]),
            Err((100, Misuse::Foreign { objects: 100 }))
        );
        assert_eq!(ledger.held(), 0);
        assert_eq!(ledger.outside().count(), 100);
        assert_eq!(ledger.give_all(&[1, 2, 3]), Ok(()));
        assert_eq!(ledger.outside().count(), 97);
    }

    #[test]
    fn a_lie_among_true_addresses_takes_nothing() {
        let mut ledger = Ledger::new(geometry(0x1000, 64, 100));
        ledger.give_all(&[1, 2, 3]).unwrap();
        let at = |index: u64| 0x1000 + 64 * index;
        let duplicate = |index: u32| Breach::Duplicate {
            address: at(index.into()),
            index,
        };
        let misaligned = Breach::Misaligned {
            address: at(2) + 1,
            index: 2,
            excess: 1,
        };
        let beyond = Breach::OutOfRange {
            address: at(100),
            base: at(0),
            end: at(100),
        };
        let mut objects = [0; 3];
        for (lie, breach) in [
            (at(1), duplicate(1)), // it was true a moment ago
            (at(4), duplicate(4)),
            (at(2) + 1, misaligned),
            (at(100), beyond),
        ] {
            let taken = ledger.take_all(&[at(3), at(1), lie], &mut objects);
            assert_eq!(taken, Err(breach));
            assert_eq!(ledger.held(), 3);
            assert!((1..=3).all(|index| ledger.is_inside(index)), "{lie:#x}");
        }
        let taken = ledger.take_all(&[at(3), at(1), at(2)], &mut objects);
        assert_eq!((taken, objects, ledger.held()), (Ok(()), [3, 1, 2], 0));
    }
}
