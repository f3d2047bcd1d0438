//! DPDK's memory in the shape that devices have mapped: pages of files.
//!
//! Whoever finds packets through EAL's segments takes the file behind each, so memory without files has nobody to share it
//! with.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use hwpool::dma::{Memory, PageSize, Segment};

use crate::abi::{Page, RteMempool};
use crate::dpdk;
use crate::log::chain;

/// Tells why memory such as a mempool itself lies in can't be mapped for a device, if it can't.
pub(crate) fn why_not(mempool: *const RteMempool) -> Option<String> {
    let Some(page) = dpdk::page_of(mempool) else {
        return Some("DPDK has no segments".into());
    };
    let known = size_of_pages(page.len).and_then(|_| file_of(&page));
    known.err()
}

/// Returns `len` bytes of DPDK's memory for a device to map; the pages that they lie in are those of files.
///
/// # Errors
/// Why they can't be mapped.
///
/// # Safety
/// DPDK does not take the memory back before the devices that have it mapped have let go of it.
pub(crate) unsafe fn memory(name: &str, first: NonNull<u8>, len: usize) -> Result<Memory, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut next, end) = (first.addr().get(), first.addr().get() + len);
    let page_len = page(next)?.len;
    while next < end {
        let page = page(next)?;
        if page.len != page_len {
            return Err("it lies in pages of different sizes".into());
        }
        let (file, offset) = file_of(&page)?;
        match pieces.last_mut() {
            Some(last) if last.goes_on(file, offset) => last.len += page.len,
            _ => pieces.push(Piece {
                file,
                offset,
                len: page.len,
            }),
        }
        next = page.address + page.len;
    }
    let segments = pieces.iter().map(Piece::segment).collect::<io::Result<_>>();
    let segments = segments.map_err(|error| {
        format!("each page has a file of its own, and {} of them can't be opened once more ({error}): give DPDK --single-file-segments, or raise the limit of open files (ulimit -n)", pieces.len())
    })?;
    let bytes = NonNull::slice_from_raw_parts(first, len);
    // SAFETY: DPDK maps its pages shared and writable, in this order; and the caller's promise.
    let memory = unsafe { Memory::foreign(name, bytes, size_of_pages(page_len)?, segments) };
    memory.map_err(|error| chain(&error))
}

/// Pages side by side, in one file.
struct Piece {
    file: c_int,
    offset: u64,
    len: usize,
}

impl Piece {
    fn goes_on(&self, file: c_int, offset: u64) -> bool {
        self.file == file && self.offset + self.len as u64 == offset
    }

    fn segment(&self) -> io::Result<Segment> {
        Ok(Segment {
            file: open(self.file)?,
            offset: self.offset,
            len: self.len,
        })
    }
}

fn open(file: c_int) -> io::Result<OwnedFd> {
    // SAFETY: DPDK keeps it open while the page is its own, in which something lies that it does not free meanwhile.
    unsafe { BorrowedFd::borrow_raw(file) }.try_clone_to_owned()
}

fn page(address: usize) -> Result<Page, String> {
    let page = dpdk::page(std::ptr::without_provenance(address));
    page.ok_or_else(|| format!("DPDK has no segment at {address:#x}, where the chunk is"))
}

fn file_of(page: &Page) -> Result<(c_int, u64), String> {
    let file = page.file;
    file.ok_or_else(|| "DPDK has no file behind the memory, by which others map it".into())
}

fn size_of_pages(len: usize) -> Result<PageSize, String> {
    let mut all = std::iter::once(PageSize::Base).chain(PageSize::HUGE);
    let size = all.find(|size| size.bytes() == len);
    size.ok_or_else(|| format!("pages of {len} bytes are none that hwpool maps"))
}
