//! The IOMMU of a function: a container with its group, an address space of iommufd, or none.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};

use super::caps::{self, IommuCap};
use super::error::dma_error;
use super::lender::Lender;
use super::noiommu;
use super::sys::{self, Pages};
use super::view::base_page;
use crate::machine::{Bdf, SlowToClose};

/// What a kernel older than the query for ranges translates at least: below the window of interrupt messages.
const OLD_KERNEL: RangeInclusive<u64> = 0x1_0000..=0xfedf_ffff;

/// A container with one group.
pub(super) struct Container {
    container: File,
    /// Keeps the group in the container; what lent the container does it for one that was lent.
    group: Result<File, Lender>,
}

impl Container {
    pub(super) fn new(container: File, group: File) -> Container {
        let group = Ok(group);
        Container { container, group }
    }

    /// Takes over one that has its group in it.
    pub(super) fn lent(container: File, lender: Lender) -> Container {
        let group = Err(lender);
        Container { container, group }
    }

    fn limits(&self) -> Result<DmaLimits, DmaError> {
        let (info, answer) = sys::iommu_info(self.container.as_fd())
            .map_err(|errno| dma_error("VFIO_IOMMU_GET_INFO", errno))?;
        let (flags, pages) = (info.flags, info.iova_pgsizes);
        Ok(type1_limits(flags, pages, &answer, info.cap_offset))
    }
}

/// An I/O address space of iommufd that a function is attached to.
///
/// Its context may outlive it, where the descriptor of that came from somebody else. So it is destroyed when it is
/// dropped, which the kernel refuses as long as a function is attached. One that was lent is left as it is.
pub(super) struct AddressSpace {
    iommufd: File,
    id: u32,
    /// The function, once it is attached.
    attached: Option<SlowToClose<OwnedFd>>,
    lender: Option<Lender>,
}

impl AddressSpace {
    /// Makes one in a context.
    pub(super) fn new(iommufd: File) -> nix::Result<AddressSpace> {
        let id = sys::ioas_alloc(iommufd.as_fd())?;
        Ok(AddressSpace {
            iommufd,
            id,
            attached: None,
            lender: None,
        })
    }

    /// Takes over one that the function is attached to.
    pub(super) fn lent(iommufd: File, id: u32, lender: Lender) -> AddressSpace {
        AddressSpace {
            iommufd,
            id,
            attached: None,
            lender: Some(lender),
        }
    }

    /// Lets a function that is bound to the context reach what is mapped here.
    pub(super) fn attach(&mut self, bdf: Bdf, device: BorrowedFd<'_>) -> nix::Result<()> {
        let own = sys::duplicate(device.as_raw_fd())?;
        sys::attach(device, self.id)?;
        self.attached = Some(SlowToClose::new(bdf, own));
        Ok(())
    }

    fn limits(&self) -> Result<DmaLimits, DmaError> {
        let (ranges, align) = sys::ioas_ranges(self.iommufd.as_fd(), self.id)
            .map_err(|errno| dma_error("IOMMU_IOAS_IOVA_RANGES", errno))?;
        let ranges = ranges.iter().filter(|range| range.start <= range.last);
        Ok(DmaLimits {
            ranges: ranges.map(|range| range.start..=range.last).collect(),
            page_sizes: match align.is_power_of_two() {
                true => align,
                false => base_page(),
            },
            // iommufd has no limit of its own.
            entries_left: u64::MAX,
        })
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        if self.lender.is_some() {
            return;
        }
        // A function that is gone is attached to nothing, so what decides is whether the space could be destroyed.
        let detached = self
            .attached
            .take()
            .map(|device| sys::detach(device.as_fd()));
        if let Err(errno) = sys::destroy(self.iommufd.as_fd(), self.id) {
            let id = self.id;
            tracing::warn!(
                "address space {id} is left until its iommufd is closed: IOMMU_DESTROY failed with errno {errno} \
                 (after VFIO_DEVICE_DETACH_IOMMUFD_PT: {detached:?})"
            );
        }
    }
}

/// Where mappings are made.
pub(super) enum Iommu {
    Type1(Container),
    Ioas(AddressSpace),
    /// Nothing is mapped: the device reaches all memory.
    None(Container),
}

impl Iommu {
    /// Returns the group's descriptor, where this driver has opened the function by its group.
    pub(super) fn group(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Iommu::Type1(container) | Iommu::None(container) => {
                container.group.as_ref().ok().map(AsFd::as_fd)
            }
            Iommu::Ioas(_) => None,
        }
    }

    /// Returns where the device finds `source` by itself: nowhere, unless nothing is mapped.
    pub(super) fn address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        match self {
            Iommu::None(_) => noiommu::physical(source).map(Some),
            Iommu::Type1(_) | Iommu::Ioas(_) => Ok(None),
        }
    }

    pub(super) fn map_call(&self) -> &'static str {
        match self {
            Iommu::Type1(_) | Iommu::None(_) => "VFIO_IOMMU_MAP_DMA",
            Iommu::Ioas(_) => "IOMMU_IOAS_MAP",
        }
    }

    pub(super) fn unmap_call(&self) -> &'static str {
        match self {
            Iommu::Type1(_) | Iommu::None(_) => "VFIO_IOMMU_UNMAP_DMA",
            Iommu::Ioas(_) => "IOMMU_IOAS_UNMAP",
        }
    }

    pub(super) fn map(&self, iova: u64, pages: Pages<'_>) -> nix::Result<()> {
        match self {
            Iommu::Type1(type1) => sys::map_dma(type1.container.as_fd(), iova, pages),
            Iommu::Ioas(ioas) => sys::ioas_map(ioas.iommufd.as_fd(), ioas.id, iova, pages),
            Iommu::None(_) => Ok(()),
        }
    }

    /// Maps a file's pages that this process need not have mapped. Returns `None` where the kernel can't, of this file at least:
    /// `IOMMU_IOAS_MAP_FILE` is there since Linux 6.13, for memfds and hugetlbfs.
    pub(super) fn map_file(&self, iova: u64, source: DmaSource<'_>) -> Option<nix::Result<()>> {
        let Iommu::Ioas(ioas) = self else { return None };
        if !is_writable(source.file) {
            return None;
        }
        match sys::ioas_map_file(ioas.iommufd.as_fd(), ioas.id, iova, source) {
            // What kernels, filters of system calls and emulators say to what they don't know, and kernels to a file that is
            // no memory.
            Err(Errno::ENOTTY | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EINVAL) => None,
            mapped => Some(mapped),
        }
    }

    /// Returns how many bytes were unmapped.
    pub(super) fn unmap(&self, iova: u64, len: u64) -> nix::Result<u64> {
        match self {
            Iommu::Type1(type1) => sys::unmap_dma(type1.container.as_fd(), iova, len),
            Iommu::Ioas(ioas) => sys::ioas_unmap(ioas.iommufd.as_fd(), ioas.id, iova, len),
            Iommu::None(_) => Ok(len),
        }
    }

    /// Asks for the limits of this moment.
    pub(super) fn limits(&self) -> Result<DmaLimits, DmaError> {
        match self {
            Iommu::None(_) => Ok(noiommu::limits()),
            Iommu::Type1(type1) => type1.limits(),
            Iommu::Ioas(ioas) => ioas.limits(),
        }
    }
}

/// Tells whether this process may write to a file. A device may where this process may, and what the kernel asks before it maps
/// a file's pages for a device is not documented.
fn is_writable(file: BorrowedFd<'_>) -> bool {
    let asked = |what| fcntl(file, what).unwrap_or(0);
    let both = asked(FcntlArg::F_GETFL) & OFlag::O_ACCMODE.bits() == OFlag::O_RDWR.bits();
    let sealed = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_FUTURE_WRITE;
    both && asked(FcntlArg::F_GET_SEALS) & sealed.bits() == 0
}

/// Reads the limits out of a container's answer.
fn type1_limits(flags: u32, page_sizes: u64, answer: &[u8], first: u32) -> DmaLimits {
    let has = |bit: u32| flags & bit != 0;
    let caps = caps::iommu(answer, if has(2) { first } else { 0 });
    let mut limits = DmaLimits {
        ranges: vec![OLD_KERNEL],
        page_sizes: if has(1) && page_sizes != 0 {
            page_sizes
        } else {
            base_page()
        },
        entries_left: u64::MAX,
    };
    for cap in caps {
        match cap {
            IommuCap::IovaRanges(ranges) => limits.ranges = ranges,
            IommuCap::DmaAvailable(left) => limits.entries_left = left.into(),
            IommuCap::Other => {}
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};

    /// A device writes through the kernel's mapping, whatever this process may do with the file.
    #[test]
    fn files_that_this_process_may_not_write_to_are_not_handed_over() {
        let memfd = || memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(is_writable(memfd().as_fd()));
        for seal in [SealFlag::F_SEAL_WRITE, SealFlag::F_SEAL_FUTURE_WRITE] {
            let sealed = memfd();
            fcntl(&sealed, FcntlArg::F_ADD_SEALS(seal)).unwrap();
            assert!(!is_writable(sealed.as_fd()), "{seal:?}");
        }
        let sized = memfd();
        fcntl(&sized, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
        assert!(is_writable(sized.as_fd()));
        assert!(!is_writable(File::open("/dev/null").unwrap().as_fd()));
    }

    #[test]
    fn limits_of_a_container_are_read() {
        let mut answer = vec![0; 24];
        answer.extend([1u16, 1].iter().flat_map(|n| n.to_ne_bytes()));
        answer.extend([56u32, 1, 0].iter().flat_map(|n| n.to_ne_bytes()));
        answer.extend([0u64, 0xffff].iter().flat_map(|n| n.to_ne_bytes()));
        answer.resize(56, 0);
        answer.extend([3u16, 1].iter().flat_map(|n| n.to_ne_bytes()));
        answer.extend([0u32, 65535].iter().flat_map(|n| n.to_ne_bytes()));
        let limits = type1_limits(3, 0x4020_1000, &answer, 24);
        assert_eq!(limits.ranges, [0..=0xffff]);
        assert_eq!(
            (limits.page_sizes, limits.entries_left),
            (0x4020_1000, 65535)
        );
        let old = type1_limits(0, 0, &[], 0);
        assert_eq!(
            (old.ranges, old.page_sizes),
            (vec![OLD_KERNEL], base_page())
        );
    }
}
