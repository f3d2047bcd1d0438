//! Which I/O virtual addresses of a device are free.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Range, RangeInclusive};

use hwpool_devices::bus::{DmaLimits, Iova};

/// Addresses below this are never handed out: 0 stands for "no buffer" in many devices, and the first MiB holds
/// legacy windows on some platforms.
const LOWEST: u64 = 1 << 20;

/// Ranges of addresses, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IovaRanges(pub Vec<RangeInclusive<u64>>);

impl fmt::Display for IovaRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{:#x}-{:#x}", range.start(), range.end())?;
        }
        if self.0.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

/// Why addresses could not be handed out or taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IovaError {
    /// The device claims an address width that no device has.
    #[error("an address width of {width} bits is not within 1 to 64")]
    AddressWidth {
        /// The width in bits.
        width: u32,
    },
    /// The IOMMU names no page size.
    #[error("the IOMMU reports no page size at all")]
    NoPageSize,
    /// Nothing is left of the IOMMU's ranges.
    #[error(
        "no usable IOVA: the IOMMU translates {ranges}, the device reaches {width} address bits, \
         and the first MiB is left out"
    )]
    NoRanges {
        /// Address bits of the device.
        width: u32,
        /// What the IOMMU offers.
        ranges: IovaRanges,
    },
    /// The length is 0 or so large that rounding it up overflows.
    #[error("{len:#x} is no length for a range of IOVA")]
    Length {
        /// The length in bytes.
        len: u64,
    },
    /// The alignment is not a power of two.
    #[error("alignment {align:#x} is not a power of two")]
    Alignment {
        /// The alignment in bytes.
        align: u64,
    },
    /// No hole is large enough.
    #[error(
        "no {len:#x} bytes of IOVA aligned to {align:#x} left: the largest hole has {largest_hole:#x}, within \
         {ranges} ({width} address bits): unmap something, or map with a smaller page size"
    )]
    Exhausted {
        /// Bytes wanted, whole pages.
        len: u64,
        /// Alignment wanted, in bytes.
        align: u64,
        /// Bytes of the largest hole, whatever its alignment.
        largest_hole: u64,
        /// Address bits of the device.
        width: u32,
        /// What can be handed out in all.
        ranges: IovaRanges,
    },
    /// A fixed address is not on a page of the IOMMU.
    #[error("IOVA {iova} is no multiple of the IOMMU page of {page:#x} bytes")]
    Misaligned {
        /// The address.
        iova: Iova,
        /// The smallest page of the IOMMU, in bytes.
        page: u64,
    },
    /// A fixed range is not within what can be handed out.
    #[error("IOVA {iova}+{len:#x} lies outside of {ranges} ({width} address bits)")]
    Outside {
        /// The address.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
        /// Address bits of the device.
        width: u32,
        /// What can be handed out in all.
        ranges: IovaRanges,
    },
    /// A fixed range, or a part of it, is in use.
    #[error("IOVA {iova}+{len:#x} is in use: {used_iova}+{used_len:#x}")]
    Taken {
        /// The address.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
        /// Start of the lowest range in use that is in the way.
        used_iova: Iova,
        /// Its length in bytes.
        used_len: u64,
    },
    /// A range that is given back was never handed out, or not in this shape.
    #[error("IOVA {iova}+{len:#x} was not handed out as one range")]
    NotTaken {
        /// The address.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
    },
}

/// Hands out I/O virtual addresses that the IOMMU translates and the device can reach.
///
/// First fit from low addresses; neighbouring holes merge. Only arithmetic: mapping is the
/// [`Domain`](super::Domain)'s business. Lengths are rounded up to the IOMMU's smallest page everywhere.
#[derive(Debug)]
pub struct IovaAllocator {
    /// Start to end, exclusive. Disjoint, not touching.
    holes: BTreeMap<u64, u64>,
    /// Start to end, exclusive. Disjoint. Together with the holes: `ranges`.
    taken: BTreeMap<u64, u64>,
    /// All there is to hand out: whole pages, rising, disjoint, not touching.
    ranges: Vec<Range<u64>>,
    page: u64,
    width: u32,
}

impl IovaAllocator {
    /// Starts with everything free that `limits` allow and `address_width` bits (1 to 64) can express, except for the
    /// first MiB.
    pub fn new(limits: &DmaLimits, address_width: u32) -> Result<IovaAllocator, IovaError> {
        if limits.page_sizes == 0 {
            return Err(IovaError::NoPageSize);
        }
        let page = limits.page();
        let limit = address_limit(address_width, page)?;
        let ranges = usable(&limits.ranges, page, limit);
        if ranges.is_empty() {
            return Err(IovaError::NoRanges {
                width: address_width,
                ranges: IovaRanges(limits.ranges.clone()),
            });
        }
        Ok(IovaAllocator {
            holes: ranges.iter().map(|r| (r.start, r.end)).collect(),
            taken: BTreeMap::new(),
            ranges,
            page,
            width: address_width,
        })
    }

    /// Returns the smallest page of the IOMMU in bytes.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// Returns how many bytes are free in all.
    pub fn available(&self) -> u64 {
        self.holes.iter().map(|(start, end)| end - start).sum()
    }

    /// Takes `len` bytes at the lowest address that is a multiple of `align`, a power of two, and of the IOMMU page.
    pub fn allocate(&mut self, len: u64, align: u64) -> Result<Iova, IovaError> {
        let rounded = self.whole_pages(len)?;
        if !align.is_power_of_two() {
            return Err(IovaError::Alignment { align });
        }
        // Holes are whole pages, so a smaller alignment gives pages too.
        let fit = self.holes.iter().find_map(|(&hole, &hole_end)| {
            let start = hole.checked_next_multiple_of(align)?;
            let end = start.checked_add(rounded)?;
            (end <= hole_end).then_some((hole, start..end))
        });
        let Some((hole, range)) = fit else {
            return Err(self.exhausted(rounded, align));
        };
        let iova = Iova(range.start);
        self.take(hole, range);
        Ok(iova)
    }

    /// Takes exactly the `len` bytes at `iova`.
    pub fn reserve(&mut self, iova: Iova, len: u64) -> Result<(), IovaError> {
        let rounded = self.whole_pages(len)?;
        if !iova.0.is_multiple_of(self.page) {
            return Err(IovaError::Misaligned {
                iova,
                page: self.page,
            });
        }
        let Some(range) = self.inside(iova, rounded) else {
            return Err(IovaError::Outside {
                iova,
                len,
                width: self.width,
                ranges: self.offered(),
            });
        };
        if let Some((used, used_end)) = self.first_taken_in(&range) {
            return Err(IovaError::Taken {
                iova,
                len,
                used_iova: Iova(used),
                used_len: used_end - used,
            });
        }
        // The range is inside and not taken, so a single hole holds it: holes that touch are merged.
        let hole = self.holes.range(..=range.start).next_back();
        if let Some((&hole, _)) = hole {
            self.take(hole, range);
        }
        Ok(())
    }

    /// Gives back exactly what [`allocate`](Self::allocate) or [`reserve`](Self::reserve) took.
    pub fn free(&mut self, iova: Iova, len: u64) -> Result<(), IovaError> {
        let rounded = self.whole_pages(len)?;
        let end = self.taken.get(&iova.0).copied();
        let Some(mut end) = end.filter(|end| *end - iova.0 == rounded) else {
            return Err(IovaError::NotTaken { iova, len });
        };
        self.taken.remove(&iova.0);
        let mut start = iova.0;
        if let Some(after) = self.holes.remove(&end) {
            end = after;
        }
        let before = self.holes.range(..start).next_back();
        if let Some((&before, _)) = before.filter(|(_, before_end)| **before_end == start) {
            start = before;
        }
        self.holes.insert(start, end);
        Ok(())
    }

    /// Moves `range` from the hole that starts at `hole` to what is taken; the rest of it stays a hole or two.
    fn take(&mut self, hole: u64, range: Range<u64>) {
        let Some(hole_end) = self.holes.remove(&hole) else {
            return;
        };
        if hole < range.start {
            self.holes.insert(hole, range.start);
        }
        if range.end < hole_end {
            self.holes.insert(range.end, hole_end);
        }
        self.taken.insert(range.start, range.end);
    }

    fn whole_pages(&self, len: u64) -> Result<u64, IovaError> {
        len.checked_next_multiple_of(self.page)
            .filter(|rounded| *rounded > 0)
            .ok_or(IovaError::Length { len })
    }

    fn inside(&self, iova: Iova, len: u64) -> Option<Range<u64>> {
        let range = iova.0..iova.0.checked_add(len)?;
        self.ranges
            .iter()
            .any(|r| r.start <= range.start && range.end <= r.end)
            .then_some(range)
    }

    fn first_taken_in(&self, range: &Range<u64>) -> Option<(u64, u64)> {
        let below = self.taken.range(..=range.start).next_back();
        let below = below.filter(|(_, end)| **end > range.start);
        let within = || self.taken.range(range.clone()).next();
        below.or_else(within).map(|(start, end)| (*start, *end))
    }

    fn exhausted(&self, len: u64, align: u64) -> IovaError {
        let sizes = self.holes.iter().map(|(start, end)| end - start);
        IovaError::Exhausted {
            len,
            align,
            largest_hole: sizes.max().unwrap_or(0),
            width: self.width,
            ranges: self.offered(),
        }
    }

    fn offered(&self) -> IovaRanges {
        let inclusive = |r: &Range<u64>| r.start..=r.end - 1;
        IovaRanges(self.ranges.iter().map(inclusive).collect())
    }
}

/// Returns the first address that the device can't reach. For 64 bits it leaves out the topmost page, so that the
/// end of a range is always a number: `!(page - 1)` is that page.
fn address_limit(width: u32, page: u64) -> Result<u64, IovaError> {
    match width {
        1..=63 => Ok(1 << width),
        64 => Ok(!(page - 1)),
        _ => Err(IovaError::AddressWidth { width }),
    }
}

/// Cuts ranges down to whole pages between the lowest address and `limit`, and merges those that touch: what a
/// transport reports may come from another process.
fn usable(ranges: &[RangeInclusive<u64>], page: u64, limit: u64) -> Vec<Range<u64>> {
    let mut cut: Vec<Range<u64>> = ranges
        .iter()
        .filter_map(|r| {
            let start = (*r.start()).max(LOWEST).checked_next_multiple_of(page)?;
            let end = r.end().saturating_add(1).min(limit) & !(page - 1);
            (start < end).then_some(start..end)
        })
        .collect();
    cut.sort_unstable_by_key(|r| r.start);
    cut.dedup_by(|next, kept| {
        let touch = next.start <= kept.end;
        if touch {
            kept.end = kept.end.max(next.end);
        }
        touch
    });
    cut
}

#[cfg(test)]
#[path = "iova_tests.rs"]
mod tests;
