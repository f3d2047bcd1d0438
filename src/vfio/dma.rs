//! DMA mappings: which there are, and the pages behind each.
//!
//! The kernel is never handed a pointer of a caller's. Where it can, it maps the pages by their file; elsewhere a mapping keeps a
//! view of its own of them until it is removed.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};
use memmap2::MmapRaw;
use nix::errno::Errno;

use super::error::dma_error;
use super::iommu::Iommu;
use super::sys::Pages;
use super::view::view;
use crate::machine::{Limit, Tree};

/// The mappings of one function.
pub(super) struct Mappings {
    iommu: Iommu,
    /// The ranges and pages as they were when the function was opened; they do not change while it is.
    limits: DmaLimits,
    table: Mutex<Table>,
}

/// Mappings by their first address.
type Table = BTreeMap<u64, Held>;

/// A mapping, with the view of its pages where the kernel has mapped them by that.
struct Held {
    len: u64,
    _view: Option<MmapRaw>,
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
        self.iommu.group()
    }

    /// Returns where the device finds `source` by itself: nowhere, unless there is no IOMMU.
    pub(super) fn address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        self.iommu.address(source)
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
        let _view = self.let_device_reach(iova, source, &table)?;
        let len = source.len;
        table.insert(iova.0, Held { len, _view });
        Ok(())
    }

    /// Has the kernel map `source`, by its file or by a view of its pages, which is returned to be kept.
    fn let_device_reach(
        &self,
        iova: Iova,
        source: DmaSource<'_>,
        table: &Table,
    ) -> Result<Option<MmapRaw>, DmaError> {
        let failed = |call, errno| self.map_error(call, errno, iova, source.len, table);
        if let Some(mapped) = self.iommu.map_file(iova.0, source) {
            return match mapped {
                Ok(()) => Ok(None),
                Err(errno) => Err(failed("IOMMU_IOAS_MAP_FILE", errno)),
            };
        }
        let (view, skip) = view(source)?;
        let pages = Pages::of(&view, skip, source.len as usize).ok_or(DmaError::Os {
            call: "mmap",
            errno: Errno::EINVAL as i32,
            hint: "the range is longer than this process can address".into(),
        })?;
        check_address(&pages, self.limits.page())?;
        let mapped = self.iommu.map(iova.0, pages);
        mapped.map_err(|errno| failed(self.iommu.map_call(), errno))?;
        Ok(Some(view))
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
            .map_err(|errno| dma_error(call, errno))?;
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
        let failed = (left.into_iter()).filter_map(|(iova, len)| self.unmap(Iova(iova), len).err());
        let failed: Vec<_> = failed.collect();
        if let Some(first) = failed.first() {
            let count = failed.len();
            tracing::warn!("{count} mappings are left to the kernel to remove, first: {first}");
        }
    }

    fn map_error(
        &self,
        call: &'static str,
        errno: Errno,
        iova: Iova,
        len: u64,
        table: &Table,
    ) -> DmaError {
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
                let limit = Limit::read(&Tree::running(), Limit::LOCKED_MEMORY);
                let limit = limit.map_or(0, |limit| limit.soft.unwrap_or(u64::MAX));
                DmaError::Os {
                    call,
                    errno: errno as i32,
                    hint: memlock_hint(pinned, len, limit),
                }
            }
            _ => dma_error(call, errno),
        }
    }

    /// Nothing can panic half-way through a change of the table, so a poisoned lock guards a sound one.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::super::iommu::{AddressSpace, Container};
    use super::super::lender::Lender;
    use super::*;
    use crate::dma::{Memory, MemoryRequest, PageSize, Pages as PageChoice};
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::sync::Arc;

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
        let held = || Held {
            len: 0x2000,
            _view: None,
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

    /// Where a page of 64 KiB still is within the limits.
    const AT: Iova = Iova(0x20000);

    /// A kernel before 6.13 knows no mappings of files, and gets a view of the pages.
    #[test]
    fn a_kernel_that_maps_no_files_gets_a_view() {
        let null = || File::open("/dev/null").unwrap();
        let lender: Lender = Arc::new(null());
        let mappings = Mappings {
            iommu: Iommu::Ioas(AddressSpace::lent(null(), 1, lender)),
            ..deaf()
        };
        let memory = Memory::allocate(&base(PageSize::Base.bytes())).unwrap();
        let source = memory.sources()[0];
        assert!(mappings.iommu.map_file(AT.0, source).is_none());
        let refused = mappings.map(AT, source).unwrap_err();
        assert!(
            matches!(
                refused,
                DmaError::Os {
                    call: "IOMMU_IOAS_MAP",
                    ..
                }
            ),
            "{refused}"
        );
    }

    fn base(len: usize) -> MemoryRequest {
        MemoryRequest::new(len).pages(PageChoice::Exactly(PageSize::Base))
    }

    #[test]
    fn what_the_kernel_refused_is_not_mapped() {
        let page = PageSize::Base.bytes() as u64;
        let memory = Memory::allocate(&base(page as usize)).unwrap();
        let mappings = deaf();
        let refused = mappings.map(AT, memory.sources()[0]);
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
        let unmapped = mappings.unmap(AT, page);
        assert_eq!(
            unmapped,
            Err(DmaError::NotMapped {
                iova: AT,
                len: page
            })
        );
    }

    #[test]
    fn a_mapping_that_the_kernel_keeps_is_kept() {
        let page = PageSize::Base.bytes() as u64;
        let memory = Memory::allocate(&base(page as usize)).unwrap();
        let mappings = deaf();
        let held = Held {
            len: page,
            _view: None,
        };
        mappings.table().insert(AT.0, held);
        assert!(matches!(
            mappings.unmap(AT, 2 * page),
            Err(DmaError::NotMapped { .. })
        ));
        assert!(matches!(mappings.unmap(AT, page), Err(DmaError::Os { .. })));
        assert_eq!(mappings.table().len(), 1, "the device may still reach it");
        let again = mappings.map(AT, memory.sources()[0]);
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
            mappings.map_error("map", errno, Iova(0x1000), 4096, &Table::new())
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
}
