//! Without an IOMMU a device reaches all memory, and memory by its physical address. Nothing is mapped; what can be
//! done is to learn where pages are, and to take only pages that stay there.

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;

use super::error::dma_error;
use super::view::file_page;
use crate::machine::{Frame, Pagemap, Tree};

/// Hugepages alone stay where they are: the kernel moves others about.
const SMALLEST: u64 = 2 << 20;

/// Returns the limits: any address, in hugepages.
pub(super) fn limits() -> DmaLimits {
    DmaLimits {
        ranges: vec![0..=u64::MAX],
        page_sizes: !(SMALLEST - 1),
        entries_left: u64::MAX,
    }
}

/// Finds the physical address of `source`, which must lie in one piece of hugepages.
pub(super) fn physical(source: DmaSource<'_>) -> Result<Iova, DmaError> {
    let page = file_page(source);
    if page < SMALLEST {
        return Err(refused(format!(
            "without an IOMMU memory must be hugepages, which stay where they are; this has pages of {page} bytes: \
             `hwpool` takes hugepages where some are free (vm.nr_hugepages)"
        )));
    }
    let view = populated(source)?;
    let pagemap = Pagemap::open(&Tree::running()).map_err(|error| io("open of pagemap", &error))?;
    let frames = (0..source.len)
        .step_by(page as usize)
        .map(|offset| frame(&pagemap, view.as_ptr() as u64 + offset));
    let frames = frames.collect::<Result<Vec<u64>, DmaError>>()?;
    contiguous(&frames, page).map(Iova)
}

/// Maps the pages for a moment, present in the page table.
fn populated(source: DmaSource<'_>) -> Result<MmapRaw, DmaError> {
    let len = usize::try_from(source.len).map_err(|_| dma_error("mmap", Errno::EOVERFLOW))?;
    let mut options = MmapOptions::new();
    let options = options.offset(source.offset).len(len).populate();
    options
        .map_raw(&source.file)
        .map_err(|error| io("mmap", &error))
}

/// Finds the physical address of the page at `address` of this process.
fn frame(pagemap: &Pagemap, address: u64) -> Result<u64, DmaError> {
    let frame = pagemap.frame(address);
    match frame.map_err(|error| io("read of pagemap", &error))? {
        Frame::Absent => Err(refused("the page is not in memory".into())),
        Frame::Hidden => Err(refused(
            "the kernel hides physical addresses from this process: CAP_SYS_ADMIN, or root".into(),
        )),
        Frame::At(address) => Ok(address),
    }
}

/// Returns the first address of pages that follow each other.
fn contiguous(frames: &[u64], page: u64) -> Result<u64, DmaError> {
    let broken = frames
        .windows(2)
        .position(|pair| pair[0].checked_add(page) != Some(pair[1]));
    match (broken, frames.first()) {
        (None, Some(first)) => Ok(*first),
        (at, _) => Err(refused(format!(
            "the memory is in pieces: page {} of {} lies elsewhere; use 1 GiB hugepages, or reserve pages at boot",
            at.map_or(0, |at| at + 1),
            frames.len()
        ))),
    }
}

fn refused(hint: String) -> DmaError {
    DmaError::Os {
        call: "physical address",
        errno: Errno::EINVAL as i32,
        hint,
    }
}

fn io(call: &'static str, error: &std::io::Error) -> DmaError {
    dma_error(call, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::{Memory, MemoryRequest, PageSize, Pages};

    #[test]
    fn pages_must_follow_each_other() {
        let page = SMALLEST;
        assert_eq!(contiguous(&[page, 2 * page, 3 * page], page), Ok(page));
        let torn = contiguous(&[page, 3 * page], page).unwrap_err().to_string();
        assert!(torn.contains("page 1 of 2"), "{torn}");
        assert!(contiguous(&[!(page - 1), 0], page).is_err());
    }

    #[test]
    fn pages_that_move_are_refused() {
        let request = MemoryRequest::new(4096).pages(Pages::Exactly(PageSize::Base));
        let memory = Memory::allocate(&request).unwrap();
        let refused = physical(memory.sources()[0]).unwrap_err().to_string();
        assert!(refused.contains("must be hugepages"), "{refused}");
        assert_eq!(limits().page(), SMALLEST);
    }
}
