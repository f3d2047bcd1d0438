//! What general rungs ask of a device: the one place where they name the BMU.

use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bmu::{Bmu, PortalConfig, PortalRef, regs};
use hwpool_devices::bus::{Bar, BusError, Iova, Transport};
use hwpool_devices::family::{ListConfig, OpenReset, SetupError};
use hwpool_devices::pci;

use crate::bringup::Failure;
use crate::bringup::rung::Session;
use crate::dma::{Domain, Mapping, Memory, MemoryRequest, Placement, Slice};

/// Objects of the small pools of most rungs, where the device takes as many.
pub(in crate::bringup) const OBJECTS: u32 = 64;
/// Rings begin at a border of pages.
const PAGE: u64 = 4096;

/// The BARs that the device must have: the name of their size in reports, index and least size.
pub(super) const BARS: [(&str, u8, u64); 2] = [
    ("BAR0 bytes", regs::CONTROL_BAR, regs::CONTROL_BAR_SIZE),
    ("BAR2 bytes", regs::OPERATION_BAR, regs::OPERATION_BAR_SIZE),
];

/// Reads the register that identifies the device, and that never reads all ones while it is there; returns its name too.
pub(in crate::bringup) fn witness<T: Transport>(
    transport: &T,
) -> Result<(&'static str, u32), BusError> {
    let bar = transport.bar(regs::CONTROL_BAR)?;
    Ok((&*regs::MAGIC.row().name, regs::MAGIC.read(&bar)?))
}

/// What [`witness`] reads of a device of this kind.
pub(super) const WITNESS: u32 = regs::MAGIC_VALUE;

/// Reads major and minor version of the specification, and what the implementer says.
pub(super) fn version(bar: &impl Bar) -> Result<(u32, u32, u32), BusError> {
    let version = regs::VERSION.read(bar)?.into();
    let (major, minor) = (
        regs::version::MAJOR.of(version),
        regs::version::MINOR.of(version),
    );
    let implementation = regs::IMPLEMENTATION.read(bar)?;
    Ok((major as u32, minor as u32, implementation))
}

/// The major version that the driver knows.
pub(super) const MAJOR: u32 = regs::VERSION_MAJOR;

/// The BAR with the registers that identify the device.
pub(super) fn control<T: Transport>(transport: &T) -> Result<T::Bar, BusError> {
    transport.bar(regs::CONTROL_BAR)
}

/// Leaves a mark in the scratch register that a reset must clear.
pub(super) fn mark<T: Transport>(bmu: &Bmu<T>) -> Result<(), BusError> {
    regs::SCRATCH.write(bmu.control(), 0x00c0_ffee)
}

/// Reads the scratch register.
pub(super) fn scratch<T: Transport>(bmu: &Bmu<T>) -> Result<u64, BusError> {
    bmu.read(regs::SCRATCH)
}

/// Reads how many resets the device counted.
pub(super) fn reset_count<T: Transport>(bmu: &Bmu<T>) -> Result<u32, BusError> {
    bmu.read(regs::RESET_COUNT)
}

/// Returns the ways to reset the function. Without a function level reset the best one is the soft one: it is tried once,
/// and counted as what it is.
pub(super) fn resets<T: Transport>(bmu: &Bmu<T>) -> Result<&'static [OpenReset], BusError> {
    Ok(match pci::has_flr(&**bmu.transport())? {
        true => &[OpenReset::Best, OpenReset::Soft],
        false => &[OpenReset::Soft],
    })
}

/// A list of the device, with rings in memory of ours.
pub(in crate::bringup) type List<T> = hwpool_devices::bmu::List<T, Slice<T>>;

/// Takes a list of `objects` whose objects travel the best way, with its rings on `node`.
pub(super) fn best_list<T: Transport>(
    session: &Session<T>,
    objects: u32,
    node: Option<u32>,
) -> Result<List<T>, Failure> {
    let bmu = &session.bmu;
    let mut list = open_list(bmu, low_base(bmu), objects, objects)?;
    if bmu.capabilities().portals == 0 {
        needs_register_path(bmu)?;
    } else {
        let config = PortalConfig::for_pool(objects, bmu.capabilities().ring_log2);
        RingMemory::on_node(session, config, node)?.open_portal(&mut list)?;
    }
    Ok(list)
}

/// Returns how many lists can be driven at once, of `wanted`, and the word for the way in which their objects travel best.
pub(super) fn lanes<T: Transport>(bmu: &Bmu<T>, wanted: u16) -> (u16, &'static str) {
    let can = bmu.capabilities();
    match can.portals {
        0 => (wanted.min(can.pools), "registers"),
        portals => (wanted.min(portals).min(can.pools), "portals"),
    }
}

/// Skips a rung that moves objects by registers on a device that has no registers for that.
pub(in crate::bringup) fn needs_register_path<T: Transport>(bmu: &Bmu<T>) -> Result<(), Failure> {
    match bmu.capabilities().register_path {
        true => Ok(()),
        false => Err(Failure::Skip("the device has no register path".into())),
    }
}

/// Returns `wanted`, or as many objects as a pool of this device has at the most.
pub(in crate::bringup) fn objects<T: Transport>(bmu: &Bmu<T>, wanted: u32) -> u32 {
    bmu.capabilities().buffers.clamp(1, wanted.into()) as u32
}

/// Opens a small pool at the bottom of the address space.
pub(in crate::bringup) fn small_list<T: Transport>(
    bmu: &Arc<Bmu<T>>,
) -> Result<List<T>, SetupError> {
    List::open(bmu, &small_list_config(bmu))
}

/// What a small pool at the bottom of the address space is to be.
pub(in crate::bringup) fn small_list_config<T: Transport>(bmu: &Bmu<T>) -> ListConfig {
    let objects = objects(bmu, OBJECTS);
    list_config(bmu, low_base(bmu), objects, objects)
}

/// Opens a pool at `base` whose objects have 2 KiB, or the size nearest to it that the device takes.
pub(in crate::bringup) fn open_list<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    base: Iova,
    objects: u32,
    capacity: u32,
) -> Result<List<T>, SetupError> {
    List::open(bmu, &list_config(bmu, base, objects, capacity))
}

fn list_config<T: Transport>(bmu: &Bmu<T>, base: Iova, objects: u32, capacity: u32) -> ListConfig {
    ListConfig {
        base,
        stride: stride(bmu),
        objects,
        capacity,
    }
}

/// The lowest base that leaves room for a free below the range.
pub(in crate::bringup) fn low_base<T: Transport>(bmu: &Bmu<T>) -> Iova {
    Iova(stride(bmu).max(1 << 20))
}

/// The base of a small pool that ends where the device's addresses end.
pub(super) fn high_base<T: Transport>(bmu: &Bmu<T>) -> Iova {
    let top = u64::MAX >> (64 - bmu.capabilities().address_width.min(63));
    Iova(top + 1 - stride(bmu) * u64::from(objects(bmu, OBJECTS)))
}

/// Bytes from one object to the next in the rungs' pools.
pub(in crate::bringup) fn stride<T: Transport>(bmu: &Bmu<T>) -> u64 {
    let (min, max) = bmu.capabilities().stride;
    2048u64.clamp(min, max.max(min))
}

/// Memory for a portal's rings, mapped for the device.
pub(in crate::bringup) struct RingMemory<T: Transport> {
    mapping: Arc<Mapping<T>>,
    config: PortalConfig,
}

impl<T: Transport> RingMemory<T> {
    /// Maps memory for rings that hold a small pool.
    pub(in crate::bringup) fn small(session: &Session<T>) -> Result<RingMemory<T>, Failure> {
        let ring_log2 = session.bmu.capabilities().ring_log2;
        RingMemory::on_node(session, PortalConfig::for_pool(64, ring_log2), None)
    }

    /// Maps memory on a NUMA node, or wherever there is some.
    pub(in crate::bringup) fn on_node(
        session: &Session<T>,
        config: PortalConfig,
        node: Option<u32>,
    ) -> Result<RingMemory<T>, Failure> {
        let mapping = map(&session.domain, config.layout.size(), node)?;
        Ok(RingMemory { mapping, config })
    }

    /// Returns the memory.
    pub(in crate::bringup) fn mapping(&self) -> &Arc<Mapping<T>> {
        &self.mapping
    }

    /// Returns what the rings are like.
    pub(in crate::bringup) fn config(&self) -> &PortalConfig {
        &self.config
    }

    /// Opens a portal on `list` with its rings at the start of the memory.
    pub(in crate::bringup) fn open_portal<'a>(
        &self,
        list: &'a mut List<T>,
    ) -> Result<PortalRef<'a, T, Slice<T>>, SetupError> {
        let rings = slice(&self.mapping, 0, self.config.layout.size());
        let id = list.open_portal(rings, &self.config)?;
        Ok(list.portal(id).expect("it was opened just now"))
    }
}

/// Maps `len` bytes of memory for the device.
pub(in crate::bringup) fn map<T: Transport>(
    domain: &Arc<Domain<T>>,
    len: usize,
    node: Option<u32>,
) -> Result<Arc<Mapping<T>>, Failure> {
    let wanted = MemoryRequest::new(len).pages(domain.pages()).node(node);
    let memory = Memory::allocate(&wanted.label("hwpool-rings"))?;
    let placement = Placement::Anywhere { align: PAGE };
    Ok(Arc::new(domain.map(Arc::new(memory), placement)?))
}

/// Returns a part of mapped memory.
///
/// # Panics
///
/// When it reaches past the end: the rung computed both.
pub(in crate::bringup) fn slice<T: Transport>(
    mapping: &Arc<Mapping<T>>,
    start: usize,
    len: usize,
) -> Slice<T> {
    let slice = mapping.slice(start..start + len);
    slice.expect("rungs map as much as they use")
}

/// How long an interrupt that must come may take: on a machine with much to do, its thread waits for its turn.
pub(in crate::bringup) const INTERRUPT: Duration = Duration::from_secs(1);
