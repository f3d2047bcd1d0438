//! A model behind the server: what `hwpool sim serve` serves.
//!
//! ```text
//!   client's store ──► doorbell page (memfd) ◄── looked at by the model's thread ──┐
//!   client's messages ──► Served for SimDevice ───────────── lock ──► Model ◄──────┘
//!                                                                      │ interrupts
//!                                                                    Lines
//! ```
//!
//! The pages of the hot doorbells, where the device has some, can be mapped by the client; everything else takes a
//! message. Such a doorbell is a state, so a page is looked at and need not be caught at every value. When the device
//! begins or ends to serve one its page is zeroed: a doorbell counts as 0 until it is written in that life.
//!
//! Messages and stores come by different ways, and only a client that waits for its replies keeps them in order, as ours
//! does. Hypervisors post writes. Behind a posted write a doorbell that is seen may be older or younger, so: one that is
//! served is taken first, which the device may do at any time; one that is not served is taken after, for the write may
//! be what lets it be. For the same reason the model's thread reports a doorbell that nobody
//! serves a little later, so that a message that was sent before it can come.
//!
//! # What a client is trusted with
//!
//! Its own memory. The model maps sealed files that a client sends as DMA memory, as those of [`Memory`](crate::dma::Memory)
//! and of QEMU's `memory-backend-memfd` are, and reaches them by plain accesses. A file that the client could shorten
//! afterwards would end the server by SIGBUS, so the kernel copies its words, each by a system call: slow, and safe.
//!
//! Hugepages are mapped whatever the client could do to them, for the kernel does not write to their files. A client that
//! shortens such a file, or punches a hole into it when the system has no more hugepages, ends the server at the next
//! access. So the socket is for who may end the server anyhow, which is what its mode of 0600 says. A client can do no
//! other harm by its files: mappings are looked up and checked at each access, and the doorbell pages that it gets are
//! sealed.
//!
//! # Memory
//!
//! The model reaches memory whose mapping brought a file and is readable and writable. Mappings without are accepted, as
//! hypervisors map ROMs and the BARs of other functions so; the model meets a DMA fault there.

mod doorbells;
mod poller;

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};

use hwpool_devices::bus::{BusError, DmaError, DmaSource, Iova};
use hwpool_sim::{Counters, Mode, Model, SimConfig, SimError, Violation};
use vfio_bindings::bindings::vfio;

use doorbells::Doorbells;

use super::codec::SparseArea;
use super::memory::{can_be_shortened, is_huge};
use super::server::{DmaMapping, Errno, Lines, Peer, RegionDescription, RegionMapping, Served};

/// Bytes of configuration space.
const CONFIG_SIZE: u64 = 4096;
/// Violations that are kept for who asks.
const MAX_VIOLATIONS: usize = 1024;

/// Why a model can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimDeviceError {
    /// No such model, or a parameter out of its range.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The doorbell pages can't be made.
    #[error("the doorbell pages can't be made: {0}")]
    Pages(std::io::Error),
    /// The model's thread can't be started.
    #[error("the model's thread can't be started: {0}")]
    Thread(std::io::Error),
}

/// A model that a server can serve: it is [`Served`].
#[derive(Debug)]
pub struct SimDevice {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Mappings that the model was given.
    given: BTreeSet<u64>,
}

/// Looks at a served model from outside.
#[derive(Debug, Clone)]
pub struct SimMonitor(Arc<Shared>);

/// What the server's thread and the model's have in common.
#[derive(Debug)]
struct Shared {
    model: Mutex<Model>,
    /// The size of each BAR that there is.
    sizes: Vec<Option<u64>>,
    vectors: u16,
    doorbells: Doorbells,
    lines: Arc<Lines>,
    /// The server's thread wants the lock: the model's lets it in.
    wanted: AtomicU32,
    /// Doorbells that the device serves, as the model's thread should watch them.
    running: AtomicU64,
    stepped: bool,
    stop: AtomicBool,
    poller: OnceLock<Thread>,
    violations: Mutex<Vec<Violation>>,
}

impl SimDevice {
    /// Makes the model `name` as firmware would leave it, and starts its thread.
    ///
    /// # Errors
    ///
    /// No such model, a parameter out of its range, or what the operating system says.
    pub fn new(name: &str, config: SimConfig) -> Result<SimDevice, SimDeviceError> {
        config.check_model(name).map_err(SimError::from)?;
        let stepped = config.mode == Mode::Stepped;
        let model = Model::new(config).map_err(SimError::from)?;
        let vectors = model.vectors();
        let bank = model.doorbells();
        let size = bank.and_then(|bank| model.bar_size(bank.bar));
        let doorbells = Doorbells::new(bank, size.unwrap_or(0));
        let shared = Arc::new(Shared {
            doorbells: doorbells.map_err(SimDeviceError::Pages)?,
            sizes: (0..6).map(|bar| model.bar_size(bar)).collect(),
            model: Mutex::new(model),
            vectors,
            lines: Arc::new(Lines::new([0, 0, vectors.into(), 0, 0])),
            wanted: AtomicU32::new(0),
            running: AtomicU64::new(0),
            stepped,
            stop: AtomicBool::new(false),
            poller: OnceLock::new(),
            violations: Mutex::default(),
        });
        let thread = poller::start(&shared).map_err(SimDeviceError::Thread)?;
        Ok(SimDevice {
            shared,
            thread: Some(thread),
            given: BTreeSet::new(),
        })
    }

    /// Returns what looks at the model while it is served.
    pub fn monitor(&self) -> SimMonitor {
        SimMonitor(Arc::clone(&self.shared))
    }
}

impl SimMonitor {
    /// Takes the violations that were recorded since the last call, the first 1024 of them.
    pub fn violations(&self) -> Vec<Violation> {
        self.0.collect_violations();
        std::mem::take(&mut lock(&self.0.violations))
    }

    /// Returns what crossed the bus since the model was made.
    pub fn counters(&self) -> Counters {
        lock(&self.0.model).counters()
    }
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Does something with the model for a client: doorbells that it rang before come first, interrupts after.
    ///
    /// Accesses to the doorbells' own BAR need those only that the device serves; the others matter to accesses that may
    /// let them be served, unless these are posted.
    fn with<R>(&self, needed: Watched, act: impl FnOnce(&mut Model) -> R) -> R {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let mut model = lock(&self.model);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        let before = model.running();
        let watched = match needed {
            Watched::Running => before,
            Watched::All => u64::MAX,
        };
        self.doorbells
            .take(watched, |q, value| self.ring(&mut model, q, value));
        let result = act(&mut model);
        self.settle(&mut model, before);
        if self.stepped {
            self.wake_poller();
        }
        result
    }

    /// Passes on what came of it: doorbells that begin or end a life start from 0, interrupts go out.
    fn settle(&self, model: &mut Model, before: u64) {
        let running = model.running();
        if running != before {
            self.doorbells.clear(before & !running);
            self.doorbells.renew(running & !before);
            self.running.store(running, Ordering::SeqCst);
            self.wake_poller();
        }
        if let Some(fired) = model.take_interrupts() {
            for (vector, count) in (0..).zip(fired) {
                for _ in 0..count {
                    self.lines.fire(vfio::VFIO_PCI_MSIX_IRQ_INDEX, vector);
                }
            }
        }
    }

    /// Passes on a doorbell that was seen.
    fn ring(&self, model: &mut Model, doorbell: usize, value: u64) {
        if let Some(bank) = self.doorbells.bank() {
            // In range and aligned, so it can't fail.
            let _ = model.bar_write(bank.bar, bank.offset_of(doorbell as u16), 8, value);
        }
    }

    /// Tells which doorbells an access to a BAR needs to have been looked at.
    fn needed(&self, bar: u8) -> Watched {
        match self.doorbells.bank() {
            Some(bank) if bank.bar == bar => Watched::Running,
            _ => Watched::All,
        }
    }

    fn wake_poller(&self) {
        if let Some(poller) = self.poller.get() {
            poller.unpark();
        }
    }

    fn collect_violations(&self) -> Vec<Violation> {
        let found = lock(&self.model).take_violations();
        let mut kept = lock(&self.violations);
        let room = MAX_VIOLATIONS.saturating_sub(kept.len());
        kept.extend(found.iter().take(room).cloned());
        found
    }
}

/// Which doorbells an access needs to have been looked at: those that the device serves, or all.
#[derive(Debug, Copy, Clone)]
enum Watched {
    Running,
    All,
}

/// Locks; a panic elsewhere has left the data as sound as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        let (bar, width) = (region as u8, width(data.len())?);
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
        let (bar, width) = (region as u8, width(data.len())?);
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

    fn dma_map(&mut self, mapping: DmaMapping) -> Result<(), Errno> {
        let Some((file, offset)) = mapping
            .file
            .filter(|_| mapping.readable && mapping.writable)
        else {
            return Ok(());
        };
        let source = DmaSource {
            file: file.as_fd(),
            offset,
            len: mapping.size,
        };
        let iova = Iova(mapping.iova);
        let copied = can_be_shortened(source.file) && !is_huge(source.file).map_err(os)?;
        if copied {
            tracing::warn!(%iova, "DMA memory in a file that is no memfd sealed with F_SEAL_SHRINK is slow to reach");
        }
        let mapped = self.shared.with(Watched::All, |model| match copied {
            true => model.dma_map_copied(iova, source),
            false => model.dma_map(iova, source),
        });
        mapped.map_err(|error| refused_mapping(&error))?;
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

/// The link carries accesses of 4 and 8 bytes to the registers.
fn width(len: usize) -> Result<u8, Errno> {
    match len {
        4 | 8 => Ok(len as u8),
        _ => Err(Errno::EINVAL),
    }
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

fn refused_mapping(error: &DmaError) -> Errno {
    tracing::warn!(%error, "a DMA mapping was refused");
    match error {
        DmaError::Exists { .. } => Errno::EEXIST,
        DmaError::NoEntries { .. } => Errno::ENOSPC,
        DmaError::Os { errno, .. } if *errno != 0 => Errno(*errno),
        _ => Errno::EINVAL,
    }
}
