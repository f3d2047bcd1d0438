//! Memory for DMA as this process sees it: pages of a memfd, mapped and populated.

use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use hwpool_devices::bus::DmaSource;
use memmap2::MmapRaw;

use super::attempt::Attempt;
use super::error::{MemoryError, Warning};
use super::system::System;
use super::{PageSize, numa};

/// Longest label in bytes: `MFD_NAME_MAX_LEN` of linux/mm/memfd.c.
const LABEL_MAX: usize = 249;

/// Which pages to take.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Pages {
    /// The largest pages that are free and don't waste much.
    ///
    /// 1 GiB pages where at most an eighth of the memory is wasted by rounding, 2 MiB pages from 1 MiB up, else base
    /// pages. Memory that would have had hugepages if enough were free comes with [`Warning::BasePages`]. Nearness
    /// goes before size: base pages on the node asked for rather than hugepages on another.
    #[default]
    Largest,
    /// Pages of this size or an error.
    Exactly(PageSize),
}

/// What memory to allocate.
///
/// ```
/// use hwpool::dma::{Memory, MemoryRequest, PageSize, Pages};
///
/// let request = MemoryRequest::new(4096)
///     .pages(Pages::Exactly(PageSize::Base))
///     .label("rings");
/// let memory = Memory::allocate(&request)?;
/// assert!(memory.len() >= 4096);
/// # Ok::<(), hwpool::dma::MemoryError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct MemoryRequest {
    pub(super) len: usize,
    pub(super) pages: Pages,
    pub(super) node: Option<u32>,
    pub(super) label: String,
}

impl MemoryRequest {
    /// Asks for at least `len` bytes, of the [largest](Pages::Largest) pages, on any NUMA node.
    pub fn new(len: usize) -> MemoryRequest {
        MemoryRequest {
            len,
            pages: Pages::default(),
            node: None,
            label: String::from("hwpool"),
        }
    }

    /// Sets which pages to take.
    pub fn pages(self, pages: Pages) -> MemoryRequest {
        MemoryRequest { pages, ..self }
    }

    /// Sets the NUMA node to prefer, best the device's own. A node that is full or missing gives a [`Warning`].
    pub fn node(self, node: Option<u32>) -> MemoryRequest {
        MemoryRequest { node, ..self }
    }

    /// Sets the name that `/proc/PID/maps` shows behind `memfd:`, at most 249 bytes and no NUL.
    pub fn label(mut self, label: &str) -> MemoryRequest {
        self.label = String::from(label);
        self
    }

    fn check(&self) -> Result<(), MemoryError> {
        if self.len == 0 {
            return Err(MemoryError::Empty);
        }
        if self.label.contains('\0') || self.label.len() > LABEL_MAX {
            return Err(MemoryError::Label {
                label: self.label.clone(),
                max: LABEL_MAX,
            });
        }
        Ok(())
    }
}

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
    /// Allocates memory, zeroed, with every page populated.
    ///
    /// Blocks while the kernel clears the pages, which can take seconds for many GiB. Warnings are kept in
    /// [`Memory::warnings`] and logged, after the first of the process as debug messages.
    ///
    /// # Errors
    ///
    /// [`MemoryError`]; in particular too few hugepages or too little memory are errors here, never a signal later.
    pub fn allocate(request: &MemoryRequest) -> Result<Memory, MemoryError> {
        let memory = Memory::allocate_on(&System::running(), request)?;
        for warning in &memory.warnings {
            log(&memory.label, warning);
        }
        Ok(memory)
    }

    fn allocate_on(system: &System, request: &MemoryRequest) -> Result<Memory, MemoryError> {
        request.check()?;
        let missing = request.node.filter(|node| !system.has_node(*node));
        let node = request.node.filter(|_| missing.is_none());
        let mut memory = match request.pages {
            Pages::Exactly(size) => Attempt::new(system, request, node, size)?.run()?,
            Pages::Largest => Memory::allocate_largest(system, request, node)?,
        };
        let warning = missing.map(|node| Warning::NodeMissing { node });
        memory.warnings.extend(warning);
        Ok(memory)
    }

    fn allocate_largest(
        system: &System,
        request: &MemoryRequest,
        node: Option<u32>,
    ) -> Result<Memory, MemoryError> {
        let mut warning = None;
        for size in [PageSize::Huge1G, PageSize::Huge2M] {
            if !size.suits(request.len) {
                continue;
            }
            let attempt = Attempt::new(system, request, node, size)?;
            let shortage = attempt.hugepages(node);
            if shortage.is_none() {
                match attempt.run() {
                    // Somebody else took them since they were counted.
                    Err(MemoryError::NoHugepages { .. }) => {}
                    result => return result,
                }
            }
            warning = Some(Warning::BasePages(shortage));
        }
        let mut memory = Attempt::new(system, request, node, PageSize::Base)?.run()?;
        memory.warnings.extend(warning);
        Ok(memory)
    }

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

/// Logs a warning; later ones mostly say the same of other memory, and are for those who look for them.
fn log(label: &str, warning: &Warning) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        tracing::debug!("DMA memory for {label}: {warning}");
    } else {
        tracing::warn!("DMA memory for {label}: {warning}");
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
