//! DMA mappings: what exists, what can be, and the pages behind it.
//!
//! Each mapping keeps a view of its own of the memfd's pages until it is removed, so that the kernel is never handed a
//! pointer of a caller's.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

use super::caps::{self, IommuCap};
use super::error::hint;
use super::noiommu;
use super::sys::{self, Pages};
use crate::dma::PageSize;

/// What a kernel older than the query for ranges translates at least: below the window of interrupt messages.
const OLD_KERNEL: RangeInclusive<u64> = 0x1_0000..=0xfedf_ffff;

/// A container with one group.
pub(super) struct Container {
    container: File,
    /// Keeps the group in the container.
    group: File,
}

impl Container {
    pub(super) fn new(container: File, group: File) -> Container {
        Container { container, group }
    }
}

/// An I/O address space of iommufd that a function is attached to.
///
/// Its context may outlive it, where the descriptor of that came from somebody else. So it is destroyed when it is
/// dropped, which the kernel refuses as long as a function is attached.
pub(super) struct AddressSpace {
    iommufd: File,
    id: u32,
    /// The function, once it is attached.
    attached: Option<OwnedFd>,
}

impl AddressSpace {
    /// Makes one in a context.
    pub(super) fn new(iommufd: File) -> nix::Result<AddressSpace> {
        let id = sys::ioas_alloc(iommufd.as_fd())?;
        Ok(AddressSpace {
            iommufd,
            id,
            attached: None,
        })
    }

    /// Lets a function that is bound to the context reach what is mapped here.
    pub(super) fn attach(&mut self, device: BorrowedFd<'_>) -> nix::Result<()> {
        let own = sys::duplicate(device.as_raw_fd())?;
        sys::attach(device, self.id)?;
        self.attached = Some(own);
        Ok(())
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
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
    fn map_call(&self) -> &'static str {
        match self {
            Iommu::Type1(_) | Iommu::None(_) => "VFIO_IOMMU_MAP_DMA",
            Iommu::Ioas(_) => "IOMMU_IOAS_MAP",
        }
    }

    fn unmap_call(&self) -> &'static str {
        match self {
            Iommu::Type1(_) | Iommu::None(_) => "VFIO_IOMMU_UNMAP_DMA",
            Iommu::Ioas(_) => "IOMMU_IOAS_UNMAP",
        }
    }

    fn map(&self, iova: u64, pages: Pages<'_>) -> nix::Result<()> {
        match self {
            Iommu::Type1(type1) => sys::map_dma(type1.container.as_fd(), iova, pages),
            Iommu::Ioas(ioas) => sys::ioas_map(ioas.iommufd.as_fd(), ioas.id, iova, pages),
            Iommu::None(_) => Ok(()),
        }
    }

    /// Returns how many bytes were unmapped.
    fn unmap(&self, iova: u64, len: u64) -> nix::Result<u64> {
        match self {
            Iommu::Type1(type1) => sys::unmap_dma(type1.container.as_fd(), iova, len),
            Iommu::Ioas(ioas) => sys::ioas_unmap(ioas.iommufd.as_fd(), ioas.id, iova, len),
            Iommu::None(_) => Ok(len),
        }
    }

    fn limits(&self) -> Result<DmaLimits, DmaError> {
        match self {
            Iommu::None(_) => Ok(noiommu::limits()),
            Iommu::Type1(type1) => {
                let (info, answer) = sys::iommu_info(type1.container.as_fd())
                    .map_err(|errno| os("VFIO_IOMMU_GET_INFO", errno))?;
                Ok(type1_limits(
                    info.flags,
                    info.iova_pgsizes,
                    &answer,
                    info.cap_offset,
                ))
            }
            Iommu::Ioas(ioas) => {
                let (ranges, align) = sys::ioas_ranges(ioas.iommufd.as_fd(), ioas.id)
                    .map_err(|errno| os("IOMMU_IOAS_IOVA_RANGES", errno))?;
                let ranges = ranges.iter().filter(|range| range.start <= range.last);
                let page = if align.is_power_of_two() {
                    align
                } else {
                    base_page()
                };
                Ok(DmaLimits {
                    ranges: ranges.map(|range| range.start..=range.last).collect(),
                    page_sizes: page,
                    // iommufd has no limit of its own.
                    entries_left: u64::MAX,
                })
            }
        }
    }
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

/// The mappings of one function.
pub(super) struct Mappings {
    iommu: Iommu,
    /// The ranges and pages as they were when the function was opened; they do not change while it is.
    limits: DmaLimits,
    table: Mutex<Table>,
}

/// Mappings by their first address.
type Table = BTreeMap<u64, Held>;

/// The view of a mapping's pages that is kept for as long as the device reaches them.
struct Held {
    len: u64,
    _view: MmapRaw,
}

impl Mappings {
    pub(super) fn new(iommu: Iommu) -> Result<Mappings, DmaError> {
        Ok(Mappings {
            limits: iommu.limits()?,
            iommu,
            table: Mutex::default(),
        })
    }

    /// Asks for the limits of this moment.
    pub(super) fn limits(&self) -> Result<DmaLimits, DmaError> {
        self.iommu.limits()
    }

    /// Returns the group's descriptor, where the function was opened by its group.
    pub(super) fn group(&self) -> Option<BorrowedFd<'_>> {
        match &self.iommu {
            Iommu::Type1(container) | Iommu::None(container) => Some(container.group.as_fd()),
            Iommu::Ioas(_) => None,
        }
    }

    /// Returns where the device finds `source` by itself: nowhere, unless there is no IOMMU.
    pub(super) fn address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        match self.iommu {
            Iommu::None(_) => noiommu::physical(source).map(Some),
            Iommu::Type1(_) | Iommu::Ioas(_) => Ok(None),
        }
    }

    /// Maps the pages of `source` at `iova`, for reading and writing.
    pub(super) fn map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        check(&self.limits, iova, source)?;
        if self.address(source)?.is_some_and(|at| at != iova) {
            let len = source.len;
            return Err(DmaError::Elsewhere { iova, len });
        }
        // Held throughout, so that two calls for one range can't both find it free.
        let mut table = self.table();
        if overlaps(&table, iova.0, source.len) {
            return Err(DmaError::Exists {
                iova,
                len: source.len,
            });
        }
        let (view, skip) = view(source)?;
        let pages = Pages::of(&view, skip, source.len as usize).ok_or(DmaError::Os {
            call: "mmap",
            errno: Errno::EINVAL as i32,
            hint: "the range is longer than this process can address".into(),
        })?;
        check_address(&pages, self.limits.page())?;
        let mapped = self.iommu.map(iova.0, pages);
        mapped.map_err(|errno| self.map_error(errno, iova, source.len, &table))?;
        table.insert(
            iova.0,
            Held {
                len: source.len,
                _view: view,
            },
        );
        Ok(())
    }

    /// Removes exactly one mapping.
    pub(super) fn unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        let mut table = self.table();
        if table.get(&iova.0).is_none_or(|held| held.len != len) {
            return Err(DmaError::NotMapped { iova, len });
        }
        let call = self.iommu.unmap_call();
        let unmapped = self
            .iommu
            .unmap(iova.0, len)
            .map_err(|errno| os(call, errno))?;
        if unmapped != len {
            return Err(DmaError::Os {
                call,
                errno: 0,
                hint: format!("the kernel unmapped {unmapped} of {len:#x} bytes at {iova}"),
            });
        }
        table.remove(&iova.0);
        Ok(())
    }

    /// Removes all mappings that are left, as far as the kernel lets it.
    pub(super) fn unmap_all(&self) {
        let left: Vec<_> = self
            .table()
            .iter()
            .map(|(iova, held)| (*iova, held.len))
            .collect();
        for (iova, len) in left {
            if let Err(error) = self.unmap(Iova(iova), len) {
                tracing::warn!("a mapping is left to the kernel to remove: {error}");
            }
        }
    }

    fn map_error(&self, errno: Errno, iova: Iova, len: u64, table: &Table) -> DmaError {
        let call = self.iommu.map_call();
        match errno {
            Errno::EEXIST => DmaError::Exists { iova, len },
            // As the kernel counted when nothing was mapped; a kernel that tells no count still has a limit.
            Errno::ENOSPC => DmaError::NoEntries {
                limit: match self.limits.entries_left {
                    u64::MAX => table.len() as u64,
                    limit => limit,
                },
            },
            Errno::ENOMEM => {
                let pinned: u64 = table.values().map(|held| held.len).sum();
                let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft);
                DmaError::Os {
                    call,
                    errno: errno as i32,
                    hint: memlock_hint(pinned, len, limit),
                }
            }
            _ => os(call, errno),
        }
    }

    /// Nothing can panic half-way through a change of the table, so a poisoned lock guards a sound one.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn os(call: &'static str, errno: Errno) -> DmaError {
    DmaError::Os {
        call,
        errno: errno as i32,
        hint: hint(call, errno),
    }
}

fn memlock_hint(pinned: u64, len: u64, limit: u64) -> String {
    let needed = pinned.saturating_add(len);
    if needed <= limit {
        return format!(
            "out of memory, or this user's other processes use up the limit of locked memory ({limit} bytes)"
        );
    }
    format!(
        "{needed} bytes would be pinned and the limit of locked memory is {limit}: `ulimit -l {}`, LimitMEMLOCK= of \
         systemd, or CAP_IPC_LOCK",
        needed.div_ceil(1024)
    )
}

/// Checks what can be checked without the kernel, so that each refusal has its own name.
fn check(limits: &DmaLimits, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
    let (page, len) = (limits.page(), source.len);
    let is_aligned = |number: u64| number.is_multiple_of(page);
    if len == 0 || ![len, iova.0, source.offset].into_iter().all(is_aligned) {
        return Err(DmaError::Misaligned { iova, len, page });
    }
    let last = iova.0.checked_add(len - 1);
    let inside = |last: u64| {
        limits
            .ranges
            .iter()
            .any(|r| *r.start() <= iova.0 && last <= *r.end())
    };
    match last.is_some_and(inside) {
        true => Ok(()),
        false => Err(DmaError::OutOfAperture { iova, len }),
    }
}

/// Refuses pages of this process that begin within a page of the IOMMU's, as happens where that is larger than the
/// file's.
fn check_address(pages: &Pages<'_>, page: u64) -> Result<(), DmaError> {
    if pages.address().is_multiple_of(page) {
        return Ok(());
    }
    let hint = format!(
        "the smallest page of the IOMMU has {page:#x} bytes and the memory's are smaller: take hugepages (2 MiB or 1 GiB)"
    );
    let errno = Errno::EINVAL as i32;
    Err(DmaError::Os {
        call: "mmap",
        errno,
        hint,
    })
}

/// Tells whether a range meets a mapping; mappings never overlap, so the last one before the range's end decides.
fn overlaps(table: &Table, iova: u64, len: u64) -> bool {
    let last = iova.saturating_add(len - 1);
    let before = table.range(..=last).next_back();
    before.is_some_and(|(start, held)| start.saturating_add(held.len - 1) >= iova)
}

/// Maps the pages of `source` into this process, and returns where in the view it begins: views begin on a page of
/// the file's own size, and end on one, as hugepages must.
fn view(source: DmaSource<'_>) -> Result<(MmapRaw, usize), DmaError> {
    let page = file_page(source);
    let start = source.offset / page * page;
    let skip = source.offset - start;
    let len = skip
        .checked_add(source.len)
        .and_then(|len| len.checked_next_multiple_of(page))
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| os("mmap", Errno::EOVERFLOW))?;
    let view = MmapOptions::new()
        .offset(start)
        .len(len)
        .map_raw(&source.file);
    match view {
        Ok(view) => Ok((view, skip as usize)),
        Err(error) => Err(os(
            "mmap",
            Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        )),
    }
}

pub(super) fn file_page(source: DmaSource<'_>) -> u64 {
    let huge = fstatfs(source.file)
        .ok()
        .filter(|fs| fs.filesystem_type() == HUGETLBFS_MAGIC);
    huge.map_or(base_page(), |fs| fs.block_size() as u64)
}

/// Returns the page of this process, which is that of the IOMMU where the kernel tells none.
fn base_page() -> u64 {
    PageSize::Base.bytes() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::{Memory, MemoryRequest, PageSize, Pages as PageChoice};
    use std::fs::File;

    fn limits() -> DmaLimits {
        DmaLimits {
            ranges: vec![0x1000..=0xffff, 0x20000..=0x2ffff],
            page_sizes: 0x1000,
            entries_left: 9,
        }
    }

    #[test]
    fn ranges_are_checked_before_the_kernel_is_asked() {
        let file = File::open("/dev/null").unwrap();
        let check_at = |iova, len, offset| {
            let file = file.as_fd();
            check(&limits(), Iova(iova), DmaSource { file, offset, len })
        };
        let check = |iova, len| check_at(iova, len, 0);
        assert_eq!(check(0x1000, 0xf000), Ok(()));
        assert_eq!(check(0x2f000, 0x1000), Ok(()));
        for (iova, len) in [(0x1800, 0x1000), (0x1000, 0x800), (0x1000, 0)] {
            assert!(matches!(
                check(iova, len),
                Err(DmaError::Misaligned { page: 4096, .. })
            ));
        }
        let within = check_at(0x1000, 0x1000, 0x200);
        assert!(matches!(within, Err(DmaError::Misaligned { .. })));
        for (iova, len) in [
            (0, 0x1000),
            (0xf000, 0x2000),
            (0x2f000, 0x2000),
            (u64::MAX - 0xfff, 0x2000),
        ] {
            assert!(
                matches!(check(iova, len), Err(DmaError::OutOfAperture { .. })),
                "{iova:#x}"
            );
        }
    }

    #[test]
    fn overlaps_are_found_on_both_sides() {
        let memory = Memory::allocate(&base(1)).unwrap();
        let held = || Held {
            len: 0x2000,
            _view: view(memory.source()).unwrap().0,
        };
        let table = Table::from([(0x4000, held()), (0x8000, held())]);
        for (iova, len) in [
            (0x4000, 0x2000),
            (0x3000, 0x2000),
            (0x5000, 0x1000),
            (0x1000, 0x10000),
            (0x9000, 0x1000),
        ] {
            assert!(overlaps(&table, iova, len), "{iova:#x}");
        }
        for (iova, len) in [(0x3000, 0x1000), (0x6000, 0x2000), (0xa000, 0x1000)] {
            assert!(!overlaps(&table, iova, len), "{iova:#x}");
        }
    }

    /// Answers nothing: each call fails with ENOTTY.
    fn deaf() -> Mappings {
        let null = || File::open("/dev/null").unwrap();
        let iommu = Iommu::Type1(Container::new(null(), null()));
        Mappings {
            iommu,
            limits: limits(),
            table: Mutex::default(),
        }
    }

    fn base(len: usize) -> MemoryRequest {
        MemoryRequest::new(len).pages(PageChoice::Exactly(PageSize::Base))
    }

    #[test]
    fn what_the_kernel_refused_is_not_mapped() {
        let memory = Memory::allocate(&base(4096)).unwrap();
        let mappings = deaf();
        let refused = mappings.map(Iova(0x1000), memory.source());
        assert!(
            matches!(
                &refused,
                Err(DmaError::Os {
                    call: "VFIO_IOMMU_MAP_DMA",
                    ..
                })
            ),
            "{refused:?}"
        );
        let unmapped = mappings.unmap(Iova(0x1000), 4096);
        assert_eq!(
            unmapped,
            Err(DmaError::NotMapped {
                iova: Iova(0x1000),
                len: 4096
            })
        );
    }

    #[test]
    fn a_mapping_that_the_kernel_keeps_is_kept() {
        let memory = Memory::allocate(&base(4096)).unwrap();
        let mappings = deaf();
        let held = Held {
            len: 4096,
            _view: view(memory.source()).unwrap().0,
        };
        mappings.table().insert(0x1000, held);
        assert!(matches!(
            mappings.unmap(Iova(0x1000), 8192),
            Err(DmaError::NotMapped { .. })
        ));
        assert!(matches!(
            mappings.unmap(Iova(0x1000), 4096),
            Err(DmaError::Os { .. })
        ));
        assert_eq!(mappings.table().len(), 1, "the device may still reach it");
        let again = mappings.map(Iova(0x1000), memory.source());
        assert!(matches!(again, Err(DmaError::Exists { .. })));
    }

    #[test]
    fn pages_smaller_than_the_iommus_are_refused_before_the_kernel_is_asked() {
        let file = nix::sys::memfd::memfd_create("test", nix::sys::memfd::MFdFlags::empty());
        let file = File::from(file.unwrap());
        // No kernel puts a mapping at a multiple of this by itself.
        let page = 1 << 40;
        file.set_len(page).unwrap();
        let mut mappings = deaf();
        mappings.limits.page_sizes = page;
        mappings.limits.ranges = vec![0..=u64::MAX];
        let source = DmaSource {
            file: file.as_fd(),
            offset: 0,
            len: page,
        };
        let Err(DmaError::Os { call, hint, .. }) = mappings.map(Iova(page), source) else {
            panic!("the address is not aligned");
        };
        assert_eq!(call, "mmap");
        assert!(hint.contains("0x10000000000 bytes") && hint.contains("hugepages"));
    }

    #[test]
    fn errnos_have_names() {
        let mut mappings = deaf();
        let error = |mappings: &Mappings, errno| {
            mappings.map_error(errno, Iova(0x1000), 4096, &Table::new())
        };
        assert!(matches!(
            error(&mappings, Errno::EEXIST),
            DmaError::Exists { .. }
        ));
        let full = error(&mappings, Errno::ENOSPC);
        assert_eq!(full, DmaError::NoEntries { limit: 9 }, "the kernel's count");
        assert!(full.to_string().contains("dma_entry_limit"), "{full}");
        assert!(matches!(
            error(&mappings, Errno::ENOMEM),
            DmaError::Os { errno: 12, .. }
        ));
        mappings.limits.entries_left = u64::MAX;
        let full = error(&mappings, Errno::ENOSPC);
        assert_eq!(full, DmaError::NoEntries { limit: 0 }, "our own count");
    }

    #[test]
    fn too_low_a_limit_names_the_number_that_is_needed() {
        let hint = memlock_hint(1 << 20, 1 << 20, 65536);
        assert!(
            hint.contains("2097152 bytes")
                && hint.contains("65536")
                && hint.contains("ulimit -l 2048"),
            "{hint}"
        );
        assert!(memlock_hint(0, 4096, 65536).contains("out of memory"));
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
        assert_eq!((old.ranges, old.page_sizes), (vec![OLD_KERNEL], 4096));
    }

    #[test]
    fn views_begin_on_pages_of_the_file() {
        let memory = Memory::allocate(&base(8192)).unwrap();
        let source = memory.source_range(4096, 4096).unwrap();
        let (view, skip) = view(source).unwrap();
        assert_eq!((view.len(), skip), (4096, 0));
        let past = DmaSource {
            len: u64::MAX,
            ..source
        };
        assert!(super::view(past).is_err());
    }
}
