//! Memory for DMA as this process sees it: pages of a memfd, mapped and populated.

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use hwpool_devices::bus::DmaSource;
use memmap2::MmapRaw;

use super::error::Warning;
use super::numa;
use crate::machine::PageSize;

/// Memory that devices can be given, in pages of one size.
///
/// A memfd: other processes get it by passing the descriptor, and a [`Transport`](hwpool_devices::bus::Transport)
/// maps it for the device. All pages exist from the start and are zero; the file is sealed, so nobody can shorten it
/// under the mapping. (A process that was given the descriptor can still punch holes. They read as zeros, and in
/// hugepages an access may then raise SIGBUS: pass the descriptor to nobody who may not crash this process.)
///
/// There is no way to borrow the bytes: a device or another process may change them at any time. `Memory` is
/// [`Send`] and [`Sync`] because it hands out an address and nothing else; who dereferences it answers for races.
#[derive(Debug)]
pub struct Memory {
    // Dropped in any order: a mapping keeps its file's pages by itself.
    pub(super) map: MmapRaw,
    pub(super) file: File,
    pub(super) page_size: PageSize,
    pub(super) label: String,
    pub(super) warnings: Vec<Warning>,
}

impl Memory {
    /// Returns the address of the first byte in this process, aligned to the page size.
    ///
    /// It stays valid for [`Memory::len`] bytes as long as the `Memory` lives. Device and other processes may access
    /// the bytes too: use atomics for words that both sides write, and plain accesses only for bytes whose
    /// ownership a protocol has handed over.
    pub fn as_ptr(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_mut_ptr()).expect("mmap chose an address above 0")
    }

    /// Returns the length in bytes: what was asked for, rounded up to whole pages.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns the size of the pages.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Asks the kernel for the NUMA node of the first page; `None` where it does not tell.
    pub fn node(&self) -> Option<u32> {
        numa::node_of(self.as_ptr())
    }

    /// Returns the name the memory was given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns what is worse about this memory than was asked for; empty when all is well.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns all of it in the shape that transports map.
    pub fn source(&self) -> DmaSource<'_> {
        DmaSource {
            file: self.file.as_fd(),
            offset: 0,
            len: self.len() as u64,
        }
    }

    /// Returns `len` bytes from `offset` in the shape that transports map, or `None` where they are not all inside.
    pub fn source_range(&self, offset: usize, len: usize) -> Option<DmaSource<'_>> {
        let end = offset.checked_add(len)?;
        (end <= self.len()).then(|| DmaSource {
            file: self.file.as_fd(),
            offset: offset as u64,
            len: len as u64,
        })
    }
}
