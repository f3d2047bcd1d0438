//! What the server asks of a device, and what it offers to it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::errno::Errno;
use super::lines::Lines;
use super::peer::Peer;
use crate::user::codec::{IoFd, SparseArea};

/// A PCI function to serve. Regions and kinds of interrupts have the indices of `linux/vfio.h`.
///
/// All calls come from the thread that serves. Other threads of the device raise interrupts by [`Lines`].
pub trait Served {
    /// Tells whether [`Served::reset`] does anything.
    fn is_resettable(&self) -> bool {
        true
    }

    /// Describes a region; `None`: there is none of that index.
    fn region(&self, index: u32) -> Option<RegionDescription<'_>>;

    /// Returns the parts of a region whose writes may come by eventfd, and the descriptors; mostly none.
    fn io_fds(&self, _region: u32) -> (Vec<IoFd>, Vec<BorrowedFd<'_>>) {
        (Vec::new(), Vec::new())
    }

    /// Returns the interrupt lines: how many of each kind, and who listens.
    fn lines(&self) -> &Arc<Lines>;

    /// Reads from a region; range and length are within it.
    ///
    /// # Errors
    ///
    /// What the client is told, as EINVAL for an access that the region does not take.
    fn read(
        &mut self,
        peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno>;

    /// Writes to a region; range and length are within it.
    ///
    /// # Errors
    ///
    /// As for [`Served::read`]; nobody hears of it when the client wanted no reply.
    fn write(
        &mut self,
        peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno>;

    /// Returns the page sizes of DMA mappings: bit *n* stands for 2ⁿ bytes. Clients are told, and the smallest is what
    /// addresses and sizes must be multiples of.
    fn page_sizes(&self) -> u64 {
        4096
    }

    /// The client lets the device reach memory. Ranges never overlap, and consist of whole [pages](Served::page_sizes).
    ///
    /// # Errors
    ///
    /// What the client is told; there is no mapping then.
    fn dma_map(&mut self, peer: &mut Peer, mapping: DmaMapping) -> Result<(), Errno>;

    /// The client takes back exactly what one [`Served::dma_map`] was given. The device touches it no more from the
    /// moment on when this returns.
    fn dma_unmap(&mut self, iova: u64, size: u64);

    /// The client has assigned or taken back eventfds of these lines, as a driver that requests or frees interrupts.
    fn lines_changed(&mut self, _kind: u32, _lines: std::ops::Range<u32>) {}

    /// Resets the function and returns when it is done.
    ///
    /// # Errors
    ///
    /// What the client is told.
    fn reset(&mut self) -> Result<(), Errno>;

    /// The client has gone. Its memory was unmapped and its eventfds were closed; the state stays as it is.
    fn disconnected(&mut self) {}
}

/// A region as a device describes it.
#[derive(Debug, Clone, Default)]
pub struct RegionDescription<'a> {
    /// Bytes; 0: not there.
    pub size: u64,
    /// Clients may read it.
    pub readable: bool,
    /// Clients may write it.
    pub writable: bool,
    /// What clients may map instead: the file, where the region begins in it, and which areas.
    pub mapping: Option<RegionMapping<'a>>,
}

/// What of a region clients may map.
#[derive(Debug, Clone)]
pub struct RegionMapping<'a> {
    /// The memory; a memfd. Sealed by F_SEAL_SHRINK, or clients that don't trust the server won't map it, as ours.
    pub file: BorrowedFd<'a>,
    /// Where the region's first byte would be in it.
    pub offset: u64,
    /// The areas, in bytes of the region; at least one.
    pub areas: Vec<SparseArea>,
}

/// Memory of the client's.
#[derive(Debug)]
pub struct DmaMapping {
    /// First address of the device.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// The device may read it.
    pub readable: bool,
    /// The device may write it.
    pub writable: bool,
    /// The pages, and where they begin in the file; without, [`Peer::dma_read`] and [`Peer::dma_write`] reach them,
    /// and from other threads [`Peer::memory`].
    ///
    /// A client that shortens the file later ends by SIGBUS who has mapped it: check its seals, or trust the client.
    pub file: Option<(OwnedFd, u64)>,
}
