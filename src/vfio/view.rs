//! Views of memory that devices shall reach: the pages of its file, mapped into this process.

use hwpool_devices::bus::{DmaError, DmaSource};
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

use super::error::dma_error;
use crate::machine::PageSize;

/// Maps the pages of `source` into this process, and returns where in the view it begins: views begin on a page of
/// the file's own size, and end on one, as hugepages must.
pub(super) fn view(source: DmaSource<'_>) -> Result<(MmapRaw, usize), DmaError> {
    let page = file_page(source);
    let start = source.offset / page * page;
    let skip = source.offset - start;
    let len = skip
        .checked_add(source.len)
        .and_then(|len| len.checked_next_multiple_of(page))
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| dma_error("mmap", Errno::EOVERFLOW))?;
    let view = MmapOptions::new()
        .offset(start)
        .len(len)
        .map_raw(&source.file);
    match view {
        Ok(view) => Ok((view, skip as usize)),
        Err(error) => Err(dma_error(
            "mmap",
            Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        )),
    }
}

/// Returns the size of the pages of the file behind `source`.
pub(super) fn file_page(source: DmaSource<'_>) -> u64 {
    let huge = fstatfs(source.file)
        .ok()
        .filter(|fs| fs.filesystem_type() == HUGETLBFS_MAGIC);
    huge.map_or(base_page(), |fs| fs.block_size() as u64)
}

/// Returns the page of this process, which is that of the IOMMU where the kernel tells none.
pub(super) fn base_page() -> u64 {
    PageSize::Base.bytes() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::{Memory, MemoryRequest, PageSize, Pages};

    #[test]
    fn views_begin_on_pages_of_the_file() {
        let page = PageSize::Base.bytes();
        let request = MemoryRequest::new(2 * page).pages(Pages::Exactly(PageSize::Base));
        let memory = Memory::allocate(&request).unwrap();
        let source = memory.source_range(page, page).unwrap();
        let (view, skip) = view(source).unwrap();
        assert_eq!((view.len(), skip), (page, 0));
        let past = DmaSource {
            len: u64::MAX,
            ..source
        };
        assert!(super::view(past).is_err());
    }
}
