//! Memory that somebody else allocated and mapped: pages of his files, side by side in this process.

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use hwpool_devices::bus::DmaSource;

use super::error::MemoryError;
use crate::machine::PageSize;

/// Pages of one file that are mapped side by side, for [`Memory::foreign`](super::Memory::foreign).
#[derive(Debug)]
pub struct Segment {
    /// The file, open for reading and writing.
    pub file: OwnedFd,
    /// Where in the file the first page is, in bytes; whole pages.
    pub offset: u64,
    /// How many bytes, whole pages.
    pub len: usize,
}

/// A range of bytes in pages that somebody else mapped.
#[derive(Debug)]
pub(super) struct Foreign {
    first: NonNull<u8>,
    len: usize,
    /// Bytes of the first page that are before the first byte.
    before: usize,
    segments: Vec<Segment>,
}

// SAFETY: an address, and files; who dereferences it answers for races, as with all memory of this module.
unsafe impl Send for Foreign {}
// SAFETY: as for Send.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Of `bytes`, whose pages are those of the segments, no more and no less.
    ///
    /// # Errors
    /// Where the pages are others, or the bytes begin within a word.
    pub(super) fn new(
        label: &str,
        bytes: NonNull<[u8]>,
        page_size: PageSize,
        segments: Vec<Segment>,
    ) -> Result<Foreign, MemoryError> {
        let (first, len) = (bytes.cast::<u8>(), bytes.len());
        if len == 0 {
            return Err(MemoryError::Empty);
        }
        let page = page_size.bytes();
        let before = first.addr().get() % page;
        let needed = before
            .checked_add(len)
            .and_then(|len| page_size.round_up(len));
        let given = segments.iter().try_fold(0usize, |sum, segment| {
            let is_whole = segment.len.is_multiple_of(page) && segment.len > 0;
            let begins_well = segment.offset.is_multiple_of(page as u64);
            (is_whole && begins_well).then_some(sum.checked_add(segment.len)?)
        });
        let is_aligned = first.addr().get().is_multiple_of(size_of::<u64>());
        if given.is_none() || given != needed || !is_aligned {
            return Err(MemoryError::Segments {
                label: label.to_owned(),
                address: first.addr().get(),
                len,
                page_size,
            });
        }
        Ok(Foreign {
            first,
            len,
            before,
            segments,
        })
    }

    pub(super) fn first(&self) -> NonNull<u8> {
        self.first
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn before(&self) -> usize {
        self.before
    }

    /// Returns each segment's pages.
    pub(super) fn sources(&self) -> impl Iterator<Item = DmaSource<'_>> {
        self.segments.iter().map(|segment| DmaSource {
            file: segment.file.as_fd(),
            offset: segment.offset,
            len: segment.len as u64,
        })
    }
}
