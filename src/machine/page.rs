//! The page sizes that memory can have, and which of them suits a length.

use std::fmt;
use std::sync::OnceLock;

use nix::unistd::{SysconfVar, sysconf};

/// A size of memory pages.
///
/// Larger pages need fewer entries in the tables of the IOMMU and of the CPU, and are contiguous for both.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub enum PageSize {
    /// The system's ordinary page: 4 KiB on x86, up to 64 KiB elsewhere. Asked at run time.
    Base,
    /// Hugepages of 64 KiB: arm64, where base pages have 4 KiB.
    Huge64K,
    /// Hugepages of 2 MiB: x86, and arm64 with any base page.
    Huge2M,
    /// Hugepages of 32 MiB: arm64, where base pages have 4 or 16 KiB.
    Huge32M,
    /// Hugepages of 512 MiB: arm64, where base pages have 64 KiB.
    Huge512M,
    /// Hugepages of 1 GiB: x86, and arm64 where base pages have 4 or 16 KiB.
    Huge1G,
    /// Hugepages of 16 GiB: arm64, where base pages have 64 KiB.
    Huge16G,
}

impl PageSize {
    /// Hugepages, smallest first (Linux, arch/arm64/hugetlbpage; x86 has two of them). Which there are says the kernel.
    pub const HUGE: [PageSize; 6] = [
        PageSize::Huge64K,
        PageSize::Huge2M,
        PageSize::Huge32M,
        PageSize::Huge512M,
        PageSize::Huge1G,
        PageSize::Huge16G,
    ];

    /// Those that memory is taken in where nobody names a size, smallest first. Those of 64 KiB save too few entries.
    pub(crate) fn large() -> impl DoubleEndedIterator<Item = PageSize> {
        PageSize::HUGE.into_iter().skip(1)
    }

    /// Returns the size in bytes, a power of two.
    pub fn bytes(self) -> usize {
        match self {
            PageSize::Base => base_page(),
            PageSize::Huge64K => 64 << 10,
            PageSize::Huge2M => 2 << 20,
            PageSize::Huge32M => 32 << 20,
            PageSize::Huge512M => 512 << 20,
            PageSize::Huge1G => 1 << 30,
            PageSize::Huge16G => 16 << 30,
        }
    }

    /// Returns the size as a number and the letter of its unit, as the kernel's arguments have it: 2M, 1G.
    pub(crate) fn in_unit(self) -> (usize, char) {
        match self.bytes() {
            bytes if bytes >> 30 > 0 => (bytes >> 30, 'G'),
            bytes if bytes >> 20 > 0 => (bytes >> 20, 'M'),
            bytes => (bytes >> 10, 'K'),
        }
    }

    /// Tells whether the page comes from a pool of hugepages that an administrator reserves.
    pub fn is_huge(self) -> bool {
        self != PageSize::Base
    }

    /// Rounds `len` up to whole pages, or returns `None` where that would overflow.
    pub(crate) fn round_up(self, len: usize) -> Option<usize> {
        len.checked_next_multiple_of(self.bytes())
    }

    /// Tells whether `len` bytes use pages of this size well enough.
    ///
    /// Pages of up to 2 MiB may waste up to half of the memory, which is never more than one page: memory from 1 MiB up wants
    /// those of 2 MiB. Larger ones may waste up to an eighth, because there the last page is worth many smaller ones.
    pub(crate) fn suits(self, len: usize) -> bool {
        let Some(rounded) = self.round_up(len) else {
            return false;
        };
        let waste = rounded - len;
        match self {
            PageSize::Base => true,
            PageSize::Huge64K | PageSize::Huge2M => waste <= rounded / 2,
            _ => waste <= rounded / 8,
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = self.in_unit();
        write!(f, "{count} {unit}iB")
    }
}

/// Asks the system once. POSIX requires an answer; a system without one gets 4 KiB, the smallest page there is.
fn base_page() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let answer = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        answer
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| bytes.is_power_of_two())
            .unwrap_or(4096)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;
    const GIB: usize = 1 << 30;

    #[test]
    fn sizes_print_with_their_unit() {
        assert_eq!(PageSize::Huge2M.to_string(), "2 MiB");
        assert_eq!(PageSize::Huge1G.to_string(), "1 GiB");
        assert_eq!(PageSize::Huge64K.to_string(), "64 KiB");
        assert_eq!(PageSize::Huge512M.to_string(), "512 MiB");
        let base = PageSize::Base.bytes();
        assert_eq!(PageSize::Base.to_string(), format!("{} KiB", base / 1024));
    }

    #[test]
    fn two_mebibyte_pages_suit_from_half_a_page_up() {
        assert!(!PageSize::Huge2M.suits(MIB - 1));
        assert!(PageSize::Huge2M.suits(MIB));
        assert!(PageSize::Huge2M.suits(2 * MIB + 1));
    }

    #[test]
    fn larger_pages_waste_an_eighth_at_most_whatever_their_size() {
        for size in PageSize::large().skip(1) {
            let page = size.bytes();
            assert!(!size.suits(page / 8 * 7 - 1), "{size}");
            assert!(size.suits(page / 8 * 7), "{size}");
            assert!(!size.suits(page + MIB), "{size}");
        }
    }

    #[test]
    fn hugepages_are_listed_smallest_first() {
        assert!(PageSize::HUGE.is_sorted_by_key(|size| size.bytes()));
        assert!(PageSize::HUGE.iter().all(|size| size.is_huge()));
    }

    #[test]
    fn gibibyte_pages_waste_an_eighth_at_most() {
        assert!(!PageSize::Huge1G.suits(GIB / 8 * 7 - 1));
        assert!(PageSize::Huge1G.suits(GIB / 8 * 7));
        assert!(PageSize::Huge1G.suits(GIB));
        assert!(!PageSize::Huge1G.suits(GIB + MIB));
        assert!(PageSize::Huge1G.suits(8 * GIB + MIB));
    }

    #[test]
    fn a_length_that_overflows_suits_nothing_huge() {
        assert_eq!(PageSize::Huge2M.round_up(usize::MAX), None);
        assert!(!PageSize::Huge2M.suits(usize::MAX));
    }
}
