//! The DMA mappings of one device.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hwpool_devices::bus::{DmaError, Iova, Transport};

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

    /// Maps all of `memory` and tells where; [`Domain::map`] makes the mapping's handle of it.
    pub(super) fn map_at(&self, memory: &Arc<Memory>, at: Placement) -> Result<Iova, MapError> {
        if !self.is_here() {
            let device = self.transport.name().to_owned();
            return Err(MapError::OtherProcess { device });
        }
        let at = self.prescribed(memory, at)?;
        let iova = self.place(memory, at)?;
        match self.transport.dma_map(iova, memory.source()) {
            Ok(()) => Ok(iova),
            Err(source) => {
                self.settle(iova, memory, at, &source);
                Err(self.refused(memory, iova, source))
            }
        }
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
        let iova = match self.transport.dma_address(memory.source()) {
            Ok(None) => return Ok(at),
            Ok(Some(iova)) => iova,
            Err(source) => return Err(self.refused(memory, Iova(0), source)),
        };
        let (wanted, suits) = match at {
            Placement::Fixed(wanted) => (wanted, wanted == iova),
            Placement::Anywhere { align } => (iova, iova.0.is_multiple_of(align)),
        };
        if suits {
            return Ok(Placement::Fixed(iova));
        }
        let len = memory.len() as u64;
        let source = DmaError::Elsewhere { iova: wanted, len };
        Err(self.refused(memory, wanted, source))
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

    /// Takes addresses for `memory`.
    fn place(&self, memory: &Memory, at: Placement) -> Result<Iova, MapError> {
        let len = memory.len() as u64;
        let mut iovas = self.iovas();
        if !len.is_multiple_of(iovas.page()) {
            return Err(MapError::Granularity {
                device: self.transport.name().to_owned(),
                len,
                page: iovas.page(),
            });
        }
        let placed = match at {
            Placement::Fixed(iova) => iovas.reserve(iova, len).map(|()| iova),
            Placement::Anywhere { align } if !align.is_power_of_two() => {
                Err(IovaError::Alignment { align })
            }
            Placement::Anywhere { align } => {
                iovas.allocate(len, align.max(memory.page_size().bytes() as u64))
            }
        };
        placed.map_err(|source| MapError::Address {
            device: self.transport.name().to_owned(),
            label: memory.label().to_owned(),
            source,
        })
    }

    /// Decides what becomes of the addresses after `dma_map` failed.
    fn settle(&self, iova: Iova, memory: &Arc<Memory>, at: Placement, error: &DmaError) {
        match error {
            // Refused before anything was mapped.
            DmaError::OutOfAperture { .. }
            | DmaError::Misaligned { .. }
            | DmaError::NoEntries { .. }
            | DmaError::Elsewhere { .. }
            | DmaError::NotMapped { .. } => self.free(iova, memory),
            // Somebody else's mapping is there, and not ours to remove. Addresses that we chose stay taken, or the
            // next search would find them again; those that the caller chose he may try again.
            DmaError::Exists { .. } => {
                if let Placement::Fixed(_) = at {
                    self.free(iova, memory);
                }
            }
            // The mapping may exist all the same.
            _ => match self.transport.dma_unmap(iova, memory.len() as u64) {
                Ok(()) | Err(DmaError::NotMapped { .. }) => self.free(iova, memory),
                Err(error) => self.quarantine(iova, memory, &error),
            },
        }
    }

    /// Removes a mapping; whatever happens, the device can't reach memory that somebody else gets. In a child
    /// of `fork` it stays: it is the parent's.
    pub(super) fn unmap(&self, iova: Iova, memory: &Arc<Memory>) {
        if !self.is_here() {
            return;
        }
        match self.transport.dma_unmap(iova, memory.len() as u64) {
            Ok(()) => self.free(iova, memory),
            Err(error) => self.quarantine(iova, memory, &error),
        }
    }

    /// Gives the addresses back. The device can't reach anything there any more.
    fn free(&self, iova: Iova, memory: &Memory) {
        if let Err(error) = self.iovas().free(iova, memory.len() as u64) {
            tracing::error!("{}: freeing IOVA failed: {error}", self.transport.name());
        }
    }

    /// Gives up memory that the device may still reach: it is never freed, and its addresses are never used again.
    fn quarantine(&self, iova: Iova, memory: &Arc<Memory>, error: &DmaError) {
        let len = memory.len() as u64;
        // A count that nobody gives back keeps the memory for ever.
        std::mem::forget(Arc::clone(memory));
        let total = self.quarantined.fetch_add(len, Ordering::Relaxed) + len;
        tracing::error!(
            "{}: unmapping the memory of {} at {iova}+{len:#x} failed: {error}; the device may still reach it, \
             so its {len} bytes are given up ({total} in all)",
            self.transport.name(),
            memory.label(),
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
