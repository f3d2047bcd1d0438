//! Memory for DMA as this process sees it: pages of a memfd, mapped and populated, or pages that somebody else mapped.

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use hwpool_devices::bus::DmaSource;
use memmap2::MmapRaw;

use super::error::{MemoryError, Warning};
use super::foreign::{Foreign, Segment};
use super::numa;
use crate::machine::PageSize;

/// Memory that devices can be given, in pages of one size.
///
/// A memfd, if [allocated](Memory::allocate) here: other processes get it by passing the descriptor, and a
/// [`Transport`](hwpool_devices::bus::Transport) maps it for the device. All pages exist from the start and are zero; the
/// file is sealed, so nobody can shorten it under the mapping. (A process that was given the descriptor can still punch
/// holes. They read as zeros, and in hugepages an access may then raise SIGBUS: pass the descriptor to nobody who may not
/// crash this process.) What somebody else allocated is given to devices in the same way, by
/// [`foreign`](Memory::foreign).
///
/// There is no way to borrow the bytes: a device or another process may change them at any time. `Memory` is
/// [`Send`] and [`Sync`] because it hands out an address and nothing else; who dereferences it answers for races.
#[derive(Debug)]
pub struct Memory {
    pub(super) pages: Held,
    pub(super) page_size: PageSize,
    pub(super) label: String,
    pub(super) warnings: Vec<Warning>,
}

/// Who has the pages mapped in this process.
#[derive(Debug)]
pub(super) enum Held {
    /// The memory itself. Dropped in any order: a mapping keeps its file's pages by itself.
    Own {
        map: MmapRaw,
        file: File,
    },
    Foreign(Foreign),
}

impl Memory {
    /// Takes bytes that somebody else allocated, such as another library's heap, for devices to reach where they are.
    ///
    /// The pages in which `bytes` lie are, in this order, those of `segments`: devices reach all of each page. Nothing is
    /// mapped in this process; each device's transport maps the files by itself, so that what a device reaches stays alive
    /// until it is unmapped, whatever becomes of the owner's mapping. The files need no seals; a model behind a vfio-user
    /// socket copies words of files without, which is slow.
    ///
    /// # Safety
    ///
    /// `bytes` are mapped, shared and writable, and stay so as long as anybody accesses them by way of this: whoever
    /// dereferences [`as_ptr`](Self::as_ptr), or reads or writes a [`Mapping`](super::Mapping). A raw pool does neither.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Segments`] where `segments` have fewer or more pages than those of `bytes`, or other than whole ones,
    /// or where `bytes` do not begin at a multiple of 8; [`MemoryError::Empty`] where there are none.
    pub unsafe fn foreign(
        label: &str,
        bytes: NonNull<[u8]>,
        page_size: PageSize,
        segments: Vec<Segment>,
    ) -> Result<Memory, MemoryError> {
        Ok(Memory {
            pages: Held::Foreign(Foreign::new(label, bytes, page_size, segments)?),
            page_size,
            label: label.to_owned(),
            warnings: Vec::new(),
        })
    }

    /// Returns the address of the first byte in this process, aligned to the page size where the memory was allocated here.
    ///
    /// It stays valid for [`Memory::len`] bytes as long as the `Memory` lives, or, of somebody else's, as long as was
    /// promised. Device and other processes may access
    /// the bytes too: use atomics for words that both sides write, and plain accesses only for bytes whose
    /// ownership a protocol has handed over.
    pub fn as_ptr(&self) -> NonNull<u8> {
        match &self.pages {
            Held::Own { map, .. } => {
                NonNull::new(map.as_mut_ptr()).expect("mmap chose an address above 0")
            }
            Held::Foreign(foreign) => foreign.first(),
        }
    }

    /// Returns the length in bytes: what was asked for, rounded up to whole pages where the memory was allocated here.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        match &self.pages {
            Held::Own { map, .. } => map.len(),
            Held::Foreign(foreign) => foreign.len(),
        }
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

    /// Returns how many bytes the first page has before the first byte: 0 where the memory was allocated here.
    pub fn before(&self) -> usize {
        match &self.pages {
            Held::Own { .. } => 0,
            Held::Foreign(foreign) => foreign.before(),
        }
    }

    /// Returns its pages in the shape that transports map: one piece of each file, in the order of their addresses, side by
    /// side. The first begins [`before`](Self::before) the first byte.
    pub fn sources(&self) -> Vec<DmaSource<'_>> {
        match &self.pages {
            Held::Own { map, file } => vec![DmaSource {
                file: file.as_fd(),
                offset: 0,
                len: map.len() as u64,
            }],
            Held::Foreign(foreign) => foreign.sources().collect(),
        }
    }

    /// Returns `len` bytes from `offset` in the shape that transports map, or `None` where they are not all inside, or not
    /// all in one file.
    pub fn source_range(&self, offset: usize, len: usize) -> Option<DmaSource<'_>> {
        let end = offset.checked_add(len)?;
        if end > self.len() {
            return None;
        }
        let mut offset = (self.before() + offset) as u64;
        for source in self.sources() {
            if let Some(left) = source.len.checked_sub(offset).filter(|left| *left > 0) {
                return (len as u64 <= left).then_some(DmaSource {
                    offset: source.offset + offset,
                    len: len as u64,
                    ..source
                });
            }
            offset -= source.len;
        }
        None
    }
}
