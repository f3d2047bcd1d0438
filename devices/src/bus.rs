//! What a device driver needs of the world around it.
//!
//! ```
//! use hwpool_devices::bus::{Bar, BusError, Transport};
//!
//! /// Reads a status register of any device, over any transport.
//! fn status<T: Transport>(device: &T) -> Result<u32, BusError> {
//!     device.bar(0)?.read32(0x14)
//! }
//! ```
//!
//! A driver is written against three small traits and never learns who stands behind them: [`Bar`] for registers,
//! [`DmaBuffer`] for memory shared with the device, [`Transport`] for everything a PCI function offers besides
//! (configuration space, interrupts, reset, DMA mappings, time). The kernel's VFIO, a vfio-user socket and the
//! in-process model each implement them; see `ARCHITECTURE.md` for who does.
//!
//! Control path: general and fallible. Hot path: a [`Doorbell`], made once and checked once.

use std::fmt;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::sync::{Ordering, fence};

/// An I/O virtual address: what the device puts on the bus, never a pointer of this process.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Iova(pub u64);

impl Iova {
    /// Returns the address `bytes` further on, or `None` where it would wrap.
    pub fn checked_add(self, bytes: u64) -> Option<Iova> {
        self.0.checked_add(bytes).map(Iova)
    }
}

impl fmt::Display for Iova {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Iova {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iova({:#x})", self.0)
    }
}

/// Why an access to a register, to configuration space or to an interrupt failed.
///
/// The numbers say which access; the transport's [`name`](Transport::name) says which device, and is added by
/// the layer that reports the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The function no longer answers: removed, powered down, or its memory decoding is off.
    #[error("device is gone: {evidence}")]
    Gone {
        /// What showed it, for example a register that read all ones.
        evidence: String,
    },
    /// The function has no such BAR, or has it as I/O ports, or left it unassigned.
    #[error("no memory BAR {bar} on this device")]
    NoBar {
        /// Index of the BAR, 0 to 5.
        bar: u8,
    },
    /// An access beyond the end of a BAR or of configuration space.
    #[error("access of {width} bytes at {offset:#x} lies outside of its region of {len:#x} bytes")]
    OutOfRange {
        /// Byte offset of the access.
        offset: u64,
        /// Bytes of the access.
        width: u8,
        /// Bytes of the region.
        len: u64,
    },
    /// An access that is not aligned to its own width.
    #[error("access of {width} bytes at {offset:#x} is not aligned to its width")]
    Misaligned {
        /// Byte offset of the access.
        offset: u64,
        /// Bytes of the access.
        width: u8,
    },
    /// The function has fewer interrupt vectors, or the machine fewer left for it.
    #[error("no interrupt vector {vector}: {count} can be had, by the device and by the machine")]
    NoVector {
        /// The vector that was asked for, from 0.
        vector: u16,
        /// How many there are.
        count: u16,
    },
    /// The bus answered an access with an error instead of data.
    #[error("bus error on access of {width} bytes at {offset:#x}: {cause}")]
    Failed {
        /// Byte offset of the access.
        offset: u64,
        /// Bytes of the access.
        width: u8,
        /// The transport's own words.
        cause: String,
    },
    /// The function can't be reset, or the transport could not start its reset.
    #[error("reset failed: {cause}")]
    Reset {
        /// The transport's own words.
        cause: String,
    },
    /// A call of the operating system failed.
    #[error("{call} failed with errno {errno}: {hint}")]
    Os {
        /// The system call or ioctl by name.
        call: &'static str,
        /// Its errno.
        errno: i32,
        /// The probable cause and what to do about it.
        hint: String,
    },
}

/// Why a DMA mapping was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DmaError {
    /// The range, or a part of it, is mapped already.
    #[error("IOVA {iova}+{len:#x} overlaps a mapping that exists")]
    Exists {
        /// Start of the range asked for.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
    },
    /// The range is not one that the IOMMU translates for this device.
    #[error(
        "IOVA {iova}+{len:#x} lies outside of the ranges that the IOMMU offers (see `hwpool info`)"
    )]
    OutOfAperture {
        /// Start of the range asked for.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
    },
    /// Address, offset or length is no multiple of the smallest IOMMU page, or the length is zero.
    #[error(
        "IOVA {iova}+{len:#x} is empty, or it or its place in its file is not aligned to the IOMMU page of {page:#x} bytes"
    )]
    Misaligned {
        /// Start of the range asked for.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
        /// The smallest page of the IOMMU, in bytes.
        page: u64,
    },
    /// The IOMMU holds as many mappings as it may.
    #[error(
        "all {limit} DMA mappings of this device are used: map fewer, larger pieces (hugepages), or raise the limit \
         (of the kernel's VFIO: `dma_entry_limit` of the module vfio_iommu_type1)"
    )]
    NoEntries {
        /// The limit, in mappings.
        limit: u64,
    },
    /// The device reaches the memory at its own address alone: see [`Transport::dma_address`].
    #[error(
        "IOVA {iova}+{len:#x} is not where the device finds this memory: nothing translates its addresses"
    )]
    Elsewhere {
        /// Start of the range asked for.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
    },
    /// No such mapping: `dma_unmap` takes exactly what `dma_map` made.
    #[error("IOVA {iova}+{len:#x} is not a mapping that exists")]
    NotMapped {
        /// Start of the range asked for.
        iova: Iova,
        /// Its length in bytes.
        len: u64,
    },
    /// The memory could not be given to the device.
    #[error("{call} failed with errno {errno}: {hint}")]
    Os {
        /// The system call or ioctl by name.
        call: &'static str,
        /// Its errno.
        errno: i32,
        /// The probable cause and what to do about it.
        hint: String,
    },
}

/// A base address register's memory, mapped or reached by messages.
///
/// Each method is *exactly one* access of that width to the device: never split ([`Words`](crate::words::Words) is made to), merged, repeated or preceded by a
/// hidden read. `offset` is in bytes from the start of the BAR and a multiple of the width. Clones reach the same
/// registers.
pub trait Bar: Clone + Send + Sync + 'static {
    /// The handle of a hot register, see [`Bar::doorbell`].
    type Doorbell: Doorbell;

    /// Returns the size of the BAR in bytes.
    fn size(&self) -> u64;

    /// Reads 32 bits. Blocks for a round trip to the device.
    fn read32(&self, offset: u64) -> Result<u32, BusError>;

    /// Reads 64 bits in one access. Blocks for a round trip to the device.
    fn read64(&self, offset: u64) -> Result<u64, BusError>;

    /// Writes 32 bits. Posted: returns before the device has seen it; a read of the same device flushes it.
    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError>;

    /// Writes 64 bits in one access. Posted, as [`Bar::write32`].
    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError>;

    /// Reads 8 bits, where the transport makes such an access: none that it would have to widen.
    fn read8(&self, offset: u64) -> Result<u8, BusError> {
        Err(too_narrow(offset, 1))
    }

    /// Reads 16 bits, as [`Bar::read8`].
    fn read16(&self, offset: u64) -> Result<u16, BusError> {
        Err(too_narrow(offset, 2))
    }

    /// Writes 8 bits and no others, as [`Bar::read8`]. Posted.
    fn write8(&self, offset: u64, _value: u8) -> Result<(), BusError> {
        Err(too_narrow(offset, 1))
    }

    /// Writes 16 bits and no others, as [`Bar::read8`]. Posted.
    fn write16(&self, offset: u64, _value: u16) -> Result<(), BusError> {
        Err(too_narrow(offset, 2))
    }

    /// Makes a handle for the 64-bit register at `offset`, with bounds and alignment checked here, once.
    fn doorbell(&self, offset: u64) -> Result<Self::Doorbell, BusError>;
}

fn too_narrow(offset: u64, width: u8) -> BusError {
    BusError::Failed {
        offset,
        width,
        cause: "this device takes accesses of 32 and 64 bits only".into(),
    }
}

/// A 64-bit register that is written often.
///
/// On a mapped BAR a ring costs one plain store.
pub trait Doorbell: Send + Sync + 'static {
    /// Writes `value`. Posted.
    ///
    /// The caller has published what the doorbell announces with a [`Release`](std::sync::atomic::Ordering::Release)
    /// fence, which orders what processors see; the implementation adds what its platform needs to keep loads and stores of
    /// normal memory, too, before the store to the device.
    fn ring(&self, value: u64) -> Result<(), BusError>;
}

/// Memory that this process and the device both reach.
///
/// Loads and stores are single accesses that the device can never see half done. There is no way to borrow the
/// memory: a reference would promise that nobody else writes to it.
///
/// # Panics
///
/// Every access panics when it is misaligned or reaches past [`DmaBuffer::size`]: offsets come from the driver, so
/// that is a broken invariant of the driver and never the device's doing.
pub trait DmaBuffer: Send + Sync + 'static {
    /// Returns where the device finds the first byte.
    fn iova(&self) -> Iova;

    /// Returns the length in bytes.
    fn size(&self) -> usize;

    /// Loads the 64-bit little-endian word at byte `offset`, relaxed: order it with a fence.
    fn load64(&self, offset: usize) -> u64;

    /// Stores the 64-bit little-endian word at byte `offset`, relaxed: order it with a fence.
    fn store64(&self, offset: usize, value: u64);

    /// Loads the words from byte `offset` on, each as [`DmaBuffer::load64`] does.
    fn load_all(&self, offset: usize, words: &mut [u64]) {
        for (n, word) in words.iter_mut().enumerate() {
            *word = self.load64(offset + 8 * n);
        }
    }

    /// Stores the words from byte `offset` on, each as [`DmaBuffer::store64`] does.
    fn store_all(&self, offset: usize, words: &[u64]) {
        for (n, word) in words.iter().enumerate() {
            self.store64(offset + 8 * n, *word);
        }
    }

    /// Keeps loads that come after behind those that came before, for what the device wrote: whoever loaded a count that
    /// the device wrote last then loads what it counts.
    ///
    /// An acquire fence orders what processors write. Where a platform wants more for a device, its memory does more.
    fn after_load(&self) {
        fence(Ordering::Acquire);
    }

    /// Asks for the cache line at byte `offset`, which will be loaded from soon. Does nothing where that can't be asked.
    fn expect_load(&self, offset: usize) {
        let _ = offset;
    }

    /// Asks for the cache line at byte `offset`, which will be stored to soon. Does nothing where that can't be asked.
    fn expect_store(&self, offset: usize) {
        let _ = offset;
    }
}

/// One interrupt vector of a device, counted since it was last looked at.
pub trait Irq: Send + Sync + 'static {
    /// Waits until the vector has fired or `timeout` is over.
    ///
    /// Returns how often it fired since the last call (0: not at all within `timeout`). A timeout of zero looks
    /// without waiting. Time is the transport's, see [`Transport::now`].
    fn wait(&self, timeout: Duration) -> Result<u64, BusError>;
}

/// A piece of a file whose pages the device shall reach; the file is a memfd.
///
/// Every transport takes DMA memory in this shape: the pages stay alive for as long as the mapping does, whatever
/// the process does with its own view of them.
#[derive(Debug, Copy, Clone)]
pub struct DmaSource<'a> {
    /// The file that owns the pages.
    pub file: BorrowedFd<'a>,
    /// Byte offset of the first page in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// What the IOMMU in front of a device can map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmaLimits {
    /// The ranges of addresses that are translated, in rising order, reserved windows left out.
    pub ranges: Vec<RangeInclusive<u64>>,
    /// Page sizes as a bit map: bit *n* stands for pages of 2ⁿ bytes. Never 0.
    pub page_sizes: u64,
    /// How many more mappings can be made; `u64::MAX` where nothing limits them.
    pub entries_left: u64,
}

impl DmaLimits {
    /// Returns the smallest page in bytes: addresses and lengths of mappings are multiples of it.
    pub fn page(&self) -> u64 {
        1 << self.page_sizes.trailing_zeros().min(63)
    }
}

/// A PCI function as a driver sees it.
pub trait Transport: Send + Sync + 'static {
    /// Its registers.
    type Bar: Bar;
    /// Its interrupts.
    type Irq: Irq;

    /// Returns the address it was opened by, for messages (`sim:bmu`, `vfio:0000:01:00.0`).
    fn name(&self) -> &str;

    /// Opens the memory BAR `index` (0 to 5).
    fn bar(&self, index: u8) -> Result<Self::Bar, BusError>;

    /// Reads the 32 bits of configuration space at `offset`, a multiple of 4 below 4096.
    fn config_read32(&self, offset: u16) -> Result<u32, BusError>;

    /// Writes the 32 bits of configuration space at `offset`, a multiple of 4 below 4096.
    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError>;

    /// Writes the 16 bits of configuration space at `offset`, a multiple of 2 below 4096, and no others: a write to
    /// the command register must not clear the status register beside it.
    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError>;

    /// Returns how many MSI-X vectors the function offers; fewer, once it is known that the machine has fewer left.
    fn irq_count(&self) -> Result<u16, BusError>;

    /// Enables MSI-X `vector` and returns its counter. Asking twice returns the same vector's counter.
    fn irq(&self, vector: u16) -> Result<Self::Irq, BusError>;

    /// Resets the function (FLR) and returns when it may be accessed again.
    ///
    /// Does not promise that the device took notice: the driver verifies that by something it can observe.
    fn reset(&self) -> Result<(), BusError>;

    /// Asks what the IOMMU can map for this device at this moment.
    fn dma_limits(&self) -> Result<DmaLimits, DmaError>;

    /// Returns where the device finds `source` whatever is mapped: `None`, unless nothing translates its addresses.
    /// Then no other address can be mapped.
    fn dma_address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        let _ = source;
        Ok(None)
    }

    /// Lets the device read and write the pages of `source` at `iova`.
    ///
    /// The mapping holds the pages until [`Transport::dma_unmap`] or until the transport is dropped. After an error
    /// there is no mapping, except that [`DmaError::Os`] leaves it open: `dma_unmap` tells then.
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError>;

    /// Removes exactly the mapping that `dma_map` made at `iova` with `len` bytes. When it returns, the device can no
    /// longer reach the pages. Where there is no such mapping the answer is [`DmaError::NotMapped`], and nothing else.
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError>;

    /// Returns the time of this device's clock since the transport was opened: real time on hardware, virtual time on
    /// a stepped model, on a threaded one what its turns count for ([`TurnClock`](crate::turns::TurnClock)), which
    /// goes on while somebody relaxes. Deadlines count in it.
    fn now(&self) -> Duration;

    /// Lets a moment pass inside a wait: a spin hint on hardware, a step of virtual time on a stepped model, now and then
    /// a turn of a threaded one.
    fn relax(&self);
}
