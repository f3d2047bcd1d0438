//! What memory is asked for.

use super::error::MemoryError;
use crate::machine::PageSize;

/// Longest label in bytes: `MFD_NAME_MAX_LEN` of linux/mm/memfd.c.
pub(super) const LABEL_MAX: usize = 249;

/// Which pages to take.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Pages {
    /// The largest pages that are free and don't waste much.
    ///
    /// Of more than 2 MiB (on x86 those of 1 GiB) where at most an eighth of the memory is wasted by rounding, 2 MiB pages
    /// from 1 MiB up, else base pages. Memory that would have had hugepages if enough were free comes with [`Warning::BasePages`](super::Warning::BasePages). Nearness
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

    /// Sets the NUMA node to prefer, best the device's own. A node that is full or missing gives a [`Warning`](super::Warning).
    pub fn node(self, node: Option<u32>) -> MemoryRequest {
        MemoryRequest { node, ..self }
    }

    /// Sets the name that `/proc/PID/maps` shows behind `memfd:`, at most 249 bytes and no NUL.
    pub fn label(mut self, label: &str) -> MemoryRequest {
        self.label = String::from(label);
        self
    }

    pub(super) fn check(&self) -> Result<(), MemoryError> {
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
