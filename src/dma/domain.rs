//! The DMA mappings of one device.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hwpool_devices::bus::{DmaError, DmaSource, Iova, Transport};

use super::iova::{IovaAllocator, IovaError};
use super::memory::Memory;
use super::request::Pages;
use crate::fork::Home;
use crate::machine::PageSize;

/// Where a mapping shall be.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Placement {
    /// At the lowest free address with this alignment.
    Anywhere {
        /// A power of two, in bytes; 1 for no wish. Raised to the memory's page size, so that the IOMMU can use its
        /// large pages.
        align: u64,
    },
    /// At exactly this address.
    Fixed(Iova),
}

/// Why a domain could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// The transport does not tell what its IOMMU can map.
    #[error("{device}: asking for the limits of the IOMMU failed")]
    Limits {
        /// The transport's name.
        device: String,
        /// What it said.
        source: DmaError,
    },
    /// The limits leave no address that the device can reach.
    #[error("{device}: no IOVA to map at")]
    Addresses {
        /// The transport's name.
        device: String,
        /// Why.
        source: IovaError,
    },
    /// The kernel gives no page that tells a child of `fork` that the device is its parent's.
    #[error(
        "{device}: no page that is wiped on fork (errno {errno}), which needs Linux 4.14 and memory"
    )]
    NoMark {
        /// The transport's name.
        device: String,
        /// The kernel's error.
        errno: i32,
    },
}

/// Why memory could not be mapped for a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The memory is not made of whole IOMMU pages.
    #[error(
        "{device}: {len:#x} bytes are no multiple of the IOMMU page of {page:#x} bytes: allocate a multiple of it"
    )]
    Granularity {
        /// The transport's name.
        device: String,
        /// Length of the memory in bytes.
        len: u64,
        /// The smallest page of the IOMMU, in bytes.
        page: u64,
    },
    /// There is no address for it.
    #[error("{device}: no IOVA for the memory of {label}")]
    Address {
        /// The transport's name.
        device: String,
        /// The memory's label.
        label: String,
        /// Why.
        source: IovaError,
    },
    /// The transport refused.
    #[error("{device}: mapping the memory of {label} at {iova}+{len:#x} failed")]
    Refused {
        /// The transport's name.
        device: String,
        /// The memory's label.
        label: String,
        /// Where it was to be.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
        /// What the transport said.
        source: DmaError,
    },
    /// The device is that of the process which this one was forked from.
    #[error("{device} is that of the parent process: after fork, open it in this process")]
    OtherProcess {
        /// The transport's name.
        device: String,
    },
}

/// Where the pages of a memory are, for a device.
struct Span<'a> {
    memory: &'a Arc<Memory>,
    /// The address of the first page, and the length of all.
    first: Iova,
    len: u64,
}

impl<'a> Span<'a> {
    /// Of memory whose first byte is at `iova`.
    fn of(memory: &'a Arc<Memory>, iova: Iova) -> Span<'a> {
        Span {
            memory,
            first: Iova(iova.0 - memory.before() as u64),
            len: memory.sources().iter().map(|source| source.len).sum(),
        }
    }

    /// Returns each file's piece, and its address.
    fn pieces(&self) -> impl Iterator<Item = (Iova, DmaSource<'a>)> {
        let mut next = self.first.0;
        self.memory.sources().into_iter().map(move |source| {
            let iova = Iova(next);
            next += source.len;
            (iova, source)
        })
    }
}

/// The addresses of one device and what is mapped there.
///
/// A child of `fork` can neither map nor unmap: the device's mappings are its parent's.
///
/// Keeps the transport open for as long as a mapping lives. Locks: one, around the addresses; it is never held
/// while the transport is called.
pub struct Domain<T> {
    transport: Arc<T>,
    iovas: Mutex<IovaAllocator>,
    quarantined: AtomicU64,
    home: Home,
}

impl<T: Transport> Domain<T> {
    /// Asks the transport for its limits and starts with nothing mapped, for a device with `address_width` bits of
    /// DMA address (1 to 64).
    ///
    /// A transport should have one domain: two would hand out the same addresses, and the second mapping would fail.
    pub fn new(transport: Arc<T>, address_width: u32) -> Result<Arc<Domain<T>>, DomainError> {
        let device = || transport.name().to_owned();
        let limits = transport.dma_limits().map_err(|source| {
            let device = device();
            DomainError::Limits { device, source }
        })?;
        let iovas = IovaAllocator::new(&limits, address_width).map_err(|source| {
            let device = device();
            DomainError::Addresses { device, source }
        })?;
        let home = Home::here().map_err(|error| DomainError::NoMark {
            device: device(),
            errno: error.raw_os_error().unwrap_or_default(),
        })?;
        Ok(Arc::new(Domain {
            transport,
            iovas: Mutex::new(iovas),
            quarantined: AtomicU64::new(0),
            home,
        }))
    }

    /// Returns the device's transport.
    pub fn transport(&self) -> &Arc<T> {
        &self.transport
    }

    /// Tells whether this is the process that opened the device, no child of it.
    pub(crate) fn is_here(&self) -> bool {
        self.home.is_here()
    }

    /// Returns how many bytes of memory were given up because a mapping of them could not be removed: they stay
    /// allocated, and their addresses taken, until the process ends.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Maps all of `memory`, one mapping for each of its files, side by side, and tells where its first byte is;
    /// [`Domain::map`] makes the mapping's handle of it.
    pub(super) fn map_at(&self, memory: &Arc<Memory>, at: Placement) -> Result<Iova, MapError> {
        if !self.is_here() {
            let device = self.transport.name().to_owned();
            return Err(MapError::OtherProcess { device });
        }
        let at = self.prescribed(memory, at)?;
        let first = self.place(memory, at)?;
        let span = Span::of(memory, first);
        for (index, (iova, source)) in span.pieces().enumerate() {
            if let Err(source) = self.transport.dma_map(iova, source) {
                self.settle(&span, index, at, &source);
                return Err(self.refused(memory, first, source));
            }
        }
        Ok(first)
    }

    /// Returns the pages that mappings can be made of, for a [`MemoryRequest`](super::MemoryRequest).
    pub fn pages(&self) -> Pages {
        match self.iovas().page() > PageSize::Base.bytes() as u64 {
            true => Pages::Exactly(PageSize::Huge2M),
            false => Pages::Largest,
        }
    }

    /// Turns the wish for a place into the only one there is, where nothing translates the device's addresses.
    fn prescribed(&self, memory: &Memory, at: Placement) -> Result<Placement, MapError> {
        let Some(iova) = self.prescribed_address(memory)? else {
            return Ok(at);
        };
        let (wanted, suits) = match at {
            Placement::Fixed(wanted) => (wanted, wanted == iova),
            Placement::Anywhere { align } => (iova, iova.0.is_multiple_of(align)),
        };
        if suits {
            return Ok(Placement::Fixed(iova));
        }
        Err(self.elsewhere(memory, wanted))
    }

    /// Returns where the device finds the first byte, whatever is mapped, if it finds it by itself.
    fn prescribed_address(&self, memory: &Memory) -> Result<Option<Iova>, MapError> {
        let mut first = None;
        let mut next = None;
        for source in memory.sources() {
            let found = self.transport.dma_address(source);
            let Some(iova) = found.map_err(|error| self.refused(memory, Iova(0), error))? else {
                return Ok(None);
            };
            // One range of addresses, in pieces of several files.
            if next.is_some_and(|next| next != Some(iova)) {
                return Err(self.elsewhere(memory, iova));
            }
            next = Some(iova.checked_add(source.len));
            first = first.or_else(|| iova.checked_add(memory.before() as u64));
        }
        Ok(first)
    }

    fn elsewhere(&self, memory: &Memory, iova: Iova) -> MapError {
        let len = memory.len() as u64;
        self.refused(memory, iova, DmaError::Elsewhere { iova, len })
    }

    fn refused(&self, memory: &Memory, iova: Iova, source: DmaError) -> MapError {
        MapError::Refused {
            device: self.transport.name().to_owned(),
            label: memory.label().to_owned(),
            iova,
            len: memory.len() as u64,
            source,
        }
    }

    /// Takes addresses for the pages of `memory`, and returns that of its first byte.
    fn place(&self, memory: &Memory, at: Placement) -> Result<Iova, MapError> {
        let before = memory.before() as u64;
        let mut iovas = self.iovas();
        let page = iovas.page();
        for len in memory.sources().iter().map(|source| source.len) {
            if !len.is_multiple_of(page) {
                return Err(MapError::Granularity {
                    device: self.transport.name().to_owned(),
                    len,
                    page,
                });
            }
        }
        let len = memory.sources().iter().map(|source| source.len).sum();
        let placed = match at {
            Placement::Fixed(iova) => match iova.0.checked_sub(before) {
                Some(first) => iovas.reserve(Iova(first), len).map(|()| iova),
                None => Err(IovaError::Misaligned { iova, page }),
            },
            Placement::Anywhere { align }
                if !align.is_power_of_two() || !before.is_multiple_of(align) =>
            {
                Err(IovaError::Alignment { align })
            }
            Placement::Anywhere { align } => {
                let first = iovas.allocate(len, align.max(memory.page_size().bytes() as u64));
                first.map(|first| Iova(first.0 + before))
            }
        };
        placed.map_err(|source| MapError::Address {
            device: self.transport.name().to_owned(),
            label: memory.label().to_owned(),
            source,
        })
    }

    /// Decides what becomes of the addresses after `dma_map` failed for the piece at `index`. Those before it were mapped.
    fn settle(&self, span: &Span<'_>, index: usize, at: Placement, error: &DmaError) {
        let removed = self.remove(span.pieces().take(index));
        let removed = match error {
            // Refused before anything was mapped.
            DmaError::OutOfAperture { .. }
            | DmaError::Misaligned { .. }
            | DmaError::NoEntries { .. }
            | DmaError::Elsewhere { .. }
            | DmaError::NotMapped { .. } => removed,
            // Somebody else's mapping is there, and not ours to remove. Addresses that we chose stay taken, or the
            // next search would find them again; those that the caller chose he may try again.
            DmaError::Exists { .. } if removed.is_ok() && !matches!(at, Placement::Fixed(_)) => {
                return;
            }
            DmaError::Exists { .. } => removed,
            // The mapping may exist all the same.
            _ => removed.and(self.remove_if_there(span, index)),
        };
        self.give_back(span, removed);
    }

    fn remove_if_there(&self, span: &Span<'_>, index: usize) -> Result<(), DmaError> {
        match self.remove(span.pieces().skip(index).take(1)) {
            Err(DmaError::NotMapped { .. }) => Ok(()),
            result => result,
        }
    }

    /// Removes a mapping; whatever happens, the device can't reach memory that somebody else gets. In a child
    /// of `fork` it stays: it is the parent's.
    pub(super) fn unmap(&self, iova: Iova, memory: &Arc<Memory>) {
        if !self.is_here() {
            return;
        }
        let span = Span::of(memory, iova);
        self.give_back(&span, self.remove(span.pieces()));
    }

    /// Removes the mappings of all pieces, whatever becomes of some; returns the first failure.
    fn remove<'a>(
        &self,
        pieces: impl Iterator<Item = (Iova, DmaSource<'a>)>,
    ) -> Result<(), DmaError> {
        let removed = pieces.map(|(iova, source)| self.transport.dma_unmap(iova, source.len));
        removed.fold(Ok(()), Result::and)
    }

    /// Gives the addresses back, or, where the device may still reach something there, gives them up.
    fn give_back(&self, span: &Span<'_>, removed: Result<(), DmaError>) {
        match removed {
            Ok(()) => {
                if let Err(error) = self.iovas().free(span.first, span.len) {
                    tracing::error!("{}: freeing IOVA failed: {error}", self.transport.name());
                }
            }
            Err(error) => self.quarantine(span, &error),
        }
    }

    /// Gives up memory that the device may still reach: it is never freed, and its addresses are never used again. Of
    /// somebody else's memory the files stay open; its owner is not kept from using their pages again.
    fn quarantine(&self, span: &Span<'_>, error: &DmaError) {
        let (iova, len) = (span.first, span.len);
        // A count that nobody gives back keeps the memory for ever.
        std::mem::forget(Arc::clone(span.memory));
        let total = self.quarantined.fetch_add(len, Ordering::Relaxed) + len;
        tracing::error!(
            "{}: unmapping the memory of {} at {iova}+{len:#x} failed: {error}; the device may still reach it, \
             so its {len} bytes are given up ({total} in all)",
            self.transport.name(),
            span.memory.label(),
        );
    }

    /// No method of the allocator can panic half-way, so a poisoned lock guards a sound state.
    fn iovas(&self) -> MutexGuard<'_, IovaAllocator> {
        self.iovas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Domain<T> {
    fn drop(&mut self) {
        if !self.home.is_here() {
            // A count that nobody gives back keeps it open: to close it would end the parent's use of the device.
            std::mem::forget(Arc::clone(&self.transport));
        }
    }
}

impl<T: Transport> fmt::Debug for Domain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("device", &self.transport.name())
            .field("iovas", &self.iovas)
            .field("quarantined", &self.quarantined)
            .finish()
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
