//! Capability chains: what the kernel appends to its answers about regions and IOMMUs.
//!
//! Each link has a header of id, version and the offset of the next link from the start of the answer, 0 at the end.
//! A chain that is malformed ends where it stops making sense; it never makes this process read elsewhere or for ever.

use std::ops::{Range, RangeInclusive};

const HEADER: usize = 8;

/// A capability of a region (linux/vfio.h, `VFIO_REGION_INFO_CAP_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionCap {
    /// Only these byte ranges of the region can be mapped.
    SparseMmap(Vec<Range<u64>>),
    /// A region of a kind of its own.
    Type {
        /// The kind, or a PCI vendor with the top bit set.
        kind: u32,
        /// The kind within it.
        subtype: u32,
    },
    /// The pages of the MSI-X table can be mapped with the rest.
    MsixMappable,
    /// Address of an NVLink 2 target in its system.
    NvlinkTarget(u64),
    /// Speed of an NVLink 2.
    NvlinkSpeed(u32),
    /// A capability of a kernel newer than this.
    Other {
        /// Its id.
        id: u16,
        /// Its version.
        version: u16,
    },
}

/// A capability of a type1 IOMMU (linux/vfio.h, `VFIO_IOMMU_TYPE1_INFO_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IommuCap {
    /// The ranges that are translated.
    IovaRanges(Vec<RangeInclusive<u64>>),
    /// How many mappings are left.
    DmaAvailable(u32),
    /// One that this driver has no use for.
    Other,
}

/// Reads the capabilities of a region's answer, whose chain starts at `first`.
pub(super) fn region(answer: &[u8], first: u32) -> Vec<RegionCap> {
    let read = |cap: Cap<'_>| match cap.id {
        1 => cap.sparse_mmap(),
        2 => Some(RegionCap::Type {
            kind: cap.u32(0)?,
            subtype: cap.u32(4)?,
        }),
        3 => Some(RegionCap::MsixMappable),
        4 => cap.u64(0).map(RegionCap::NvlinkTarget),
        5 => cap.u32(0).map(RegionCap::NvlinkSpeed),
        id => Some(RegionCap::Other {
            id,
            version: cap.version,
        }),
    };
    Chain::new(answer, first).filter_map(read).collect()
}

/// Reads the capabilities of an IOMMU's answer, whose chain starts at `first`.
pub(super) fn iommu(answer: &[u8], first: u32) -> Vec<IommuCap> {
    let read = |cap: Cap<'_>| match cap.id {
        1 => cap.iova_ranges(),
        3 => cap.u32(0).map(IommuCap::DmaAvailable),
        _ => Some(IommuCap::Other),
    };
    Chain::new(answer, first).filter_map(read).collect()
}

/// One capability: its header, and everything behind it up to the end of the answer.
struct Cap<'a> {
    id: u16,
    version: u16,
    body: &'a [u8],
}

impl Cap<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        read_u32(self.body, at)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = self.body.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }

    /// Reads pairs of 64 bits from byte 8 on, at most `count` and as many as there are.
    fn pairs(&self, count: u32) -> impl Iterator<Item = (u64, u64)> {
        (0..count as usize).map_while(|n| Some((self.u64(8 + 16 * n)?, self.u64(16 + 16 * n)?)))
    }

    fn sparse_mmap(&self) -> Option<RegionCap> {
        let pairs = self.pairs(self.u32(0)?);
        let areas = pairs.filter_map(|(offset, size)| Some(offset..offset.checked_add(size)?));
        Some(RegionCap::SparseMmap(areas.collect()))
    }

    fn iova_ranges(&self) -> Option<IommuCap> {
        let pairs = self.pairs(self.u32(0)?);
        let ranges = pairs.filter(|(start, last)| start <= last);
        Some(IommuCap::IovaRanges(
            ranges.map(|(start, last)| start..=last).collect(),
        ))
    }
}

/// Walks a chain in rising order of offsets. The kernel appends, so one that turns back is malformed.
struct Chain<'a> {
    answer: &'a [u8],
    at: usize,
}

impl<'a> Chain<'a> {
    fn new(answer: &'a [u8], first: u32) -> Chain<'a> {
        let at = first as usize;
        Chain { answer, at }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Cap<'a>;

    fn next(&mut self) -> Option<Cap<'a>> {
        if self.at < HEADER {
            return None;
        }
        let link = self.answer.get(self.at..)?;
        let ids = read_u32(link, 0)?;
        let next = read_u32(link, 4)? as usize;
        self.at = if next > self.at { next } else { 0 };
        let ids = ids.to_ne_bytes();
        Some(Cap {
            id: u16::from_ne_bytes([ids[0], ids[1]]),
            version: u16::from_ne_bytes([ids[2], ids[3]]),
            body: &link[HEADER..],
        })
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lays out an answer of 32 bytes with capabilities behind it, linked in order.
    fn answer(caps: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        for (n, (id, body)) in caps.iter().enumerate() {
            let end = bytes.len() + HEADER + body.len();
            let next = if n + 1 < caps.len() { end as u32 } else { 0 };
            bytes.extend(id.to_ne_bytes());
            bytes.extend(1u16.to_ne_bytes());
            bytes.extend(next.to_ne_bytes());
            bytes.extend(body);
        }
        bytes
    }

    fn body(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn all_capabilities_of_a_region_are_read() {
        let bytes = answer(&[
            (1, body(&[2, 0, 0x1000, 0x3000, 0x1000])),
            (3, vec![]),
            (2, body(&[5 << 32 | 0x8000_8086])),
            (4, body(&[0x77])),
            (5, body(&[9])),
            (99, body(&[1])),
        ]);
        let caps = region(&bytes, 32);
        let sparse = RegionCap::SparseMmap(vec![0..0x1000, 0x3000..0x4000]);
        assert_eq!(caps[0], sparse);
        assert_eq!(caps[1], RegionCap::MsixMappable);
        assert_eq!(
            caps[2],
            RegionCap::Type {
                kind: 0x8000_8086,
                subtype: 5
            }
        );
        assert_eq!(
            caps[3..5],
            [RegionCap::NvlinkTarget(0x77), RegionCap::NvlinkSpeed(9)]
        );
        assert_eq!(caps[5..], [RegionCap::Other { id: 99, version: 1 }]);
    }

    #[test]
    fn all_capabilities_of_an_iommu_are_read() {
        let bytes = answer(&[
            (1, body(&[2, 0, 0xfedf_ffff, 0xfef0_0000, (1 << 48) - 1])),
            (2, body(&[0, 4096, 1])),
            (3, body(&[65535])),
        ]);
        let ranges = vec![0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1];
        let expected = [
            IommuCap::IovaRanges(ranges),
            IommuCap::Other,
            IommuCap::DmaAvailable(65535),
        ];
        assert_eq!(iommu(&bytes, 32), expected);
    }

    #[test]
    fn no_chain_is_no_capability() {
        assert_eq!(region(&answer(&[(3, vec![])]), 0), []);
        assert_eq!(region(&[], 32), []);
    }

    #[test]
    fn a_chain_that_turns_back_ends() {
        let mut bytes = answer(&[(3, vec![]), (5, body(&[9]))]);
        // The second link points at the first.
        bytes[44..48].copy_from_slice(&32u32.to_ne_bytes());
        assert_eq!(
            region(&bytes, 32),
            [RegionCap::MsixMappable, RegionCap::NvlinkSpeed(9)]
        );
        // The first points at itself.
        bytes[36..40].copy_from_slice(&32u32.to_ne_bytes());
        assert_eq!(region(&bytes, 32), [RegionCap::MsixMappable]);
    }

    #[test]
    fn a_link_that_is_cut_short_is_left_out() {
        let bytes = answer(&[(3, vec![]), (4, vec![1, 2, 3])]);
        assert_eq!(region(&bytes, 32), [RegionCap::MsixMappable]);
        let bytes = answer(&[(1, body(&[u32::MAX.into(), 0, 16]))]);
        assert_eq!(region(&bytes, 32), [RegionCap::SparseMmap(vec![0..16])]);
        let bytes = answer(&[(1, body(&[1, u64::MAX, 2]))]);
        assert_eq!(
            region(&bytes, 32),
            [RegionCap::SparseMmap(vec![])],
            "an area that wraps"
        );
    }

    proptest! {
        /// Neither a panic nor an endless walk, whatever the bytes are.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256), first in 0u32..300) {
            prop_assert!(region(&bytes, first).len() <= bytes.len());
            prop_assert!(iommu(&bytes, first).len() <= bytes.len());
        }
    }
}
