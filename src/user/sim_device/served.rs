//! What the server asks of a device, answered by a model.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hwpool_devices::bus::{BusError, DmaError, DmaSource, Iova};
use hwpool_sim::{AskedMemory, Model, Violation};
use vfio_bindings::bindings::vfio;

use super::device::SimDevice;
use super::shared::Watched;
use crate::user::codec::SparseArea;
use crate::user::memory::{can_be_shortened, is_huge};
use crate::user::server::{
    ClientMemory, DmaMapping, Errno, Lines, Peer, RegionDescription, RegionMapping, Served,
};
use crate::user::sync::lock;

/// Bytes of configuration space.
const CONFIG_SIZE: u64 = 4096;

impl Served for SimDevice {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        let size = match index {
            vfio::VFIO_PCI_CONFIG_REGION_INDEX => CONFIG_SIZE,
            _ => (*self.shared.sizes.get(index as usize)?)?,
        };
        let pages = self.shared.doorbells.pages();
        let mapped = pages.filter(|(bank, _)| index == u32::from(bank.bar));
        Some(RegionDescription {
            size,
            readable: true,
            writable: true,
            mapping: mapped.map(|(bank, file)| RegionMapping {
                file,
                offset: 0,
                areas: vec![SparseArea {
                    offset: bank.base,
                    size: u64::from(bank.count) * bank.stride,
                }],
            }),
        })
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.shared.lines
    }

    fn read(
        &mut self,
        _peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        if region == vfio::VFIO_PCI_CONFIG_REGION_INDEX {
            self.read_config(offset, data);
            return Ok(());
        }
        let bar = region as u8;
        let Some(width) = width(offset, data.len()) else {
            data.fill(self.odd_access(bar, offset));
            return Ok(());
        };
        let read = |model: &mut Model| model.bar_read(bar, offset, width);
        let value = self
            .shared
            .with(self.shared.needed(bar), read)
            .map_err(refusal)?;
        data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
        Ok(())
    }

    fn write(
        &mut self,
        peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        if region == vfio::VFIO_PCI_CONFIG_REGION_INDEX {
            self.write_config(offset, data);
            return Ok(());
        }
        let bar = region as u8;
        let Some(width) = width(offset, data.len()) else {
            self.odd_access(bar, offset);
            return Ok(());
        };
        let value = word(data);
        let write = |model: &mut Model| model.bar_write(bar, offset, width, value);
        let needed = match peer.is_posted() {
            true => Watched::Running,
            false => self.shared.needed(bar),
        };
        self.shared.with(needed, write).map_err(refusal)
    }

    fn page_sizes(&self) -> u64 {
        lock(&self.shared.model).dma_limits().page_sizes
    }

    fn dma_map(&mut self, peer: &mut Peer, mapping: DmaMapping) -> Result<(), Errno> {
        let whole = mapping.readable && mapping.writable;
        let iova = Iova(mapping.iova);
        let mapped = match mapping.file.filter(|_| whole) {
            Some((file, offset)) => self.map_file(iova, mapping.size, &file, offset)?,
            None => match self.map_asked(iova, mapping.size, peer)? {
                // A guest's ROMs and other functions lie anywhere, and this one need not reach them.
                Err(DmaError::OutOfAperture { .. }) => return Ok(()),
                mapped => mapped,
            },
        };
        mapped.map_err(|error| self.refused_mapping(&error))?;
        self.given.insert(mapping.iova);
        Ok(())
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) {
        if self.given.remove(&iova) {
            let unmap = |model: &mut Model| model.dma_unmap(Iova(iova), size);
            if let Err(error) = self.shared.with(Watched::All, unmap) {
                tracing::error!(%error, "the model and the server disagree about mappings");
            }
        }
    }

    /// Programs the MSI-X table as a kernel does for whom it gives a vector to.
    fn lines_changed(&mut self, kind: u32, lines: std::ops::Range<u32>) {
        self.shared.with(Watched::All, |model| {
            for vector in lines {
                match self.shared.lines.is_heard(kind, vector) {
                    true => model.set_vector_mask(vector as u16, false),
                    false => model.mask_vector(vector as u16, true),
                }
            }
        });
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.shared.with(Watched::All, Model::reset);
        Ok(())
    }

    fn disconnected(&mut self) {
        self.tell_counts();
        let found = self.shared.collect_violations();
        let mut counts: Vec<(&Violation, usize)> = Vec::new();
        for violation in &found {
            match counts
                .iter_mut()
                .find(|(first, _)| first.kind == violation.kind)
            {
                Some((_, count)) => *count += 1,
                None => counts.push((violation, 1)),
            }
        }
        for (first, count) in counts {
            tracing::warn!("the client broke a rule of the device, {count} times, first: {first}");
        }
    }
}

impl SimDevice {
    /// Gives the model memory in a file: mapped, or copied where its owner could shorten it.
    fn map_file(
        &mut self,
        iova: Iova,
        len: u64,
        file: &OwnedFd,
        offset: u64,
    ) -> Result<Result<(), DmaError>, Errno> {
        let file = file.as_fd();
        let source = DmaSource { file, offset, len };
        let copied = can_be_shortened(file) && !is_huge(file).map_err(os)?;
        if copied && self.copied.is_first() {
            tracing::warn!(%iova, "DMA memory in a file that is no memfd sealed with F_SEAL_SHRINK is slow to reach; more such mappings are counted until the client goes");
        }
        Ok(self.shared.with(Watched::All, |model| match copied {
            true => model.dma_map_copied(iova, source),
            false => model.dma_map(iova, source),
        }))
    }

    /// Gives the model memory that it asks the client for.
    fn map_asked(
        &mut self,
        iova: Iova,
        len: u64,
        peer: &Peer,
    ) -> Result<Result<(), DmaError>, Errno> {
        let host = Arc::new(ByMessages(peer.memory()?));
        let map = |model: &mut Model| model.dma_map_asked(iova, len, host);
        Ok(self.shared.with(Watched::All, map))
    }

    /// Passes on an access that no register takes. It is no error: a hypervisor passes on what its guest does, and the
    /// device answers (SPEC 2).
    fn odd_access(&mut self, bar: u8, offset: u64) -> u8 {
        let needed = self.shared.needed(bar);
        self.shared
            .with(needed, |model| model.odd_access(bar, offset))
    }

    /// Says how often the client did what was logged the first time only.
    fn tell_counts(&self) {
        if let Some(count) = self.copied.take() {
            tracing::warn!("{count} mappings of the client's were in files that are slow to reach");
        }
        if let Some(count) = self.refused.take() {
            tracing::warn!("{count} DMA mappings of the client's were refused");
        }
    }

    fn refused_mapping(&self, error: &DmaError) -> Errno {
        if self.refused.is_first() {
            tracing::warn!(%error, "a DMA mapping was refused; more are counted until the client goes");
        }
        match error {
            DmaError::Exists { .. } => Errno::EEXIST,
            DmaError::NoEntries { .. } => Errno::ENOSPC,
            DmaError::Os { errno, .. } if *errno != 0 => Errno(*errno),
            _ => Errno::EINVAL,
        }
    }

    /// Reads any number of bytes, by the widest accesses that are aligned.
    fn read_config(&mut self, offset: u64, data: &mut [u8]) {
        self.shared.with(Watched::All, |model| {
            for (at, part) in pieces(offset, data.len()) {
                let value = model.config_read(at, part.len() as u8);
                data[part.clone()].copy_from_slice(&value.to_le_bytes()[..part.len()]);
            }
        });
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let lines = &self.shared.lines;
        self.shared.with(Watched::All, |model| {
            let mut reset = false;
            for (at, part) in pieces(offset, data.len()) {
                let value = word(&data[part.clone()]) as u32;
                reset |= model.config_write(at, part.len() as u8, value);
            }
            // The table behind the client's eventfds is ours to keep, as it would be the kernel's.
            for vector in (0..self.shared.vectors).filter(|_| reset) {
                if lines.is_heard(vfio::VFIO_PCI_MSIX_IRQ_INDEX, vector.into()) {
                    model.mask_vector(vector, false);
                }
            }
        });
    }
}

/// The client's memory as the model asks for it.
#[derive(Debug)]
struct ByMessages(ClientMemory);

impl AskedMemory for ByMessages {
    fn read(&self, iova: u64, bytes: &mut [u8]) -> bool {
        self.0.read(iova, bytes).is_ok()
    }

    fn write(&self, iova: u64, bytes: &[u8]) -> bool {
        self.0.write(iova, bytes).is_ok()
    }
}

/// Cuts a range of configuration space into aligned accesses of 4, 2 and 1 bytes, with their places in the data.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u16, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = u16::try_from(offset + done as u64).ok()?;
        let fits = |width: usize| at.is_multiple_of(width as u16) && width <= len - done;
        let width = [4, 2, 1].into_iter().find(|width| fits(*width))?;
        done += width;
        Some((at, done - width..done))
    })
}

/// Returns the width of an access that a register can have: 4 or 8 bytes, aligned.
fn width(offset: u64, len: usize) -> Option<u8> {
    (matches!(len, 4 | 8) && offset.is_multiple_of(len as u64)).then_some(len as u8)
}

/// Returns up to 8 bytes as a number.
fn word(data: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..data.len()].copy_from_slice(data);
    u64::from_le_bytes(bytes)
}

fn refusal(error: BusError) -> Errno {
    match error {
        BusError::Failed { .. } => Errno::EIO,
        _ => Errno::EINVAL,
    }
}

fn os(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}
