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
    /// Hugepages of 2 MiB.
    Huge2M,
    /// Hugepages of 1 GiB.
    Huge1G,
}

impl PageSize {
    /// Returns the size in bytes, a power of two.
    pub fn bytes(self) -> usize {
        match self {
            PageSize::Base => base_page(),
            PageSize::Huge2M => 2 << 20,
            PageSize::Huge1G => 1 << 30,
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
    /// 2 MiB pages may waste up to half of the memory, which is never more than one page: memory from 1 MiB up wants
    /// them. 1 GiB pages may waste up to an eighth, because there the last page is worth 512 smaller ones.
    pub(crate) fn suits(self, len: usize) -> bool {
        let Some(rounded) = self.round_up(len) else {
            return false;
        };
        let waste = rounded - len;
        match self {
            PageSize::Base => true,
            PageSize::Huge2M => waste <= rounded / 2,
            PageSize::Huge1G => waste <= rounded / 8,
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageSize::Base => write!(f, "{} KiB", self.bytes() >> 10),
            PageSize::Huge2M => f.write_str("2 MiB"),
            PageSize::Huge1G => f.write_str("1 GiB"),
        }
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
