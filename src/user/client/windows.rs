//! What the device may reach in this process: the client's own table of its DMA mappings.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use hwpool_devices::bus::{DmaError, DmaSource, Iova};
use nix::errno::Errno;

use crate::user::codec::Capabilities;
use crate::user::memory::SharedMemory;

/// One DMA mapping.
#[derive(Debug)]
pub(super) struct Window {
    file: OwnedFd,
    offset: u64,
    len: u64,
    /// Made when the server first asks by message: most map the file themselves. The server can shorten the file unless
    /// it is sealed, as every `dma::Memory` is.
    memory: OnceLock<SharedMemory>,
}

impl Window {
    /// Keeps the pages of `source`.
    pub(super) fn new(source: DmaSource<'_>) -> io::Result<Window> {
        Ok(Window {
            file: source.file.try_clone_to_owned()?,
            offset: source.offset,
            len: source.len,
            memory: OnceLock::new(),
        })
    }

    fn memory(&self) -> Result<&SharedMemory, Errno> {
        if let Some(memory) = self.memory.get() {
            return Ok(memory);
        }
        let mapped = SharedMemory::map(self.file.as_fd(), self.offset, self.len);
        let mapped = mapped.map_err(|_| Errno::EFAULT)?;
        Ok(self.memory.get_or_init(|| mapped))
    }
}

/// All DMA mappings, by first address.
#[derive(Debug, Default)]
pub(super) struct Windows {
    all: BTreeMap<u64, Window>,
}

impl Windows {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Notes a mapping, or refuses as an IOMMU does.
    pub(super) fn add(
        &mut self,
        iova: Iova,
        window: Window,
        peer: &Capabilities,
    ) -> Result<(), DmaError> {
        let len = window.len;
        let page = peer.smallest_page();
        if len == 0 || (iova.0 | len | window.offset) & (page - 1) != 0 {
            return Err(DmaError::Misaligned { iova, len, page });
        }
        let last = iova.0.checked_add(len - 1);
        let last = last.ok_or(DmaError::OutOfAperture { iova, len })?;
        let before = self.all.range(..=last).next_back();
        if before.is_some_and(|(start, window)| start + (window.len - 1) >= iova.0) {
            return Err(DmaError::Exists { iova, len });
        }
        if self.all.len() as u64 >= peer.max_dma_maps {
            return Err(DmaError::NoEntries {
                limit: peer.max_dma_maps,
            });
        }
        self.all.insert(iova.0, window);
        Ok(())
    }

    /// Tells whether there is exactly this mapping.
    pub(super) fn has(&self, iova: Iova, len: u64) -> bool {
        self.all
            .get(&iova.0)
            .is_some_and(|window| window.len == len)
    }

    /// Forgets exactly this mapping.
    pub(super) fn remove(&mut self, iova: Iova, len: u64) {
        if self.has(iova, len) {
            self.all.remove(&iova.0);
        }
    }

    /// Copies out of memory for the device; the range may span mappings next to each other.
    pub(super) fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.pieces(address, out.len(), |window, offset, part| {
            window
                .memory()?
                .read(offset, &mut out[part])
                .ok_or(Errno::EFAULT)
        })
    }

    /// Copies into memory for the device, all or, where a part is not mapped, nothing.
    pub(super) fn write(&self, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.pieces(address, data.len(), |_, _, _| Ok(()))?;
        self.pieces(address, data.len(), |window, offset, part| {
            window
                .memory()?
                .write(offset, &data[part])
                .ok_or(Errno::EFAULT)
        })
    }

    fn pieces(
        &self,
        address: u64,
        len: usize,
        mut act: impl FnMut(&Window, u64, std::ops::Range<usize>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut done = 0;
        while done < len {
            let at = address.checked_add(done as u64).ok_or(Errno::EFAULT)?;
            let (window, offset, part) = self.find(at, len - done)?;
            act(window, offset, done..done + part)?;
            done += part;
        }
        Ok(())
    }

    /// Finds the mapping of an address: how far into it that is, and how much of `len` lies in it.
    fn find(&self, at: u64, len: usize) -> Result<(&Window, u64, usize), Errno> {
        let (start, window) = self.all.range(..=at).next_back().ok_or(Errno::EFAULT)?;
        let offset = at - start;
        let left = window.len.checked_sub(offset).filter(|left| *left > 0);
        let left = usize::try_from(left.ok_or(Errno::EFAULT)?).unwrap_or(usize::MAX);
        Ok((window, offset, left.min(len)))
    }
}
