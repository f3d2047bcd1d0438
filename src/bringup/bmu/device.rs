//! A BMU, its lists and portals, as the rungs of its own use them.

use std::sync::Arc;

use hwpool_devices::bmu::{Bmu, PortalConfig, PortalRef};
use hwpool_devices::bus::Transport;
use hwpool_devices::family::{ListConfig, SetupError};

use crate::bringup::Failure;
use crate::bringup::general::device::{self, low_base};
use crate::bringup::rung::{Board, BoardSymptom};
use crate::dma::{Domain, Mapping, Memory, MemoryRequest, Placement, Slice};

/// Rings begin at a border of pages.
const PAGE: u64 = 4096;

/// A BMU that was opened.
pub(super) struct Session<T: Transport> {
    pub(super) bmu: Arc<Bmu<T>>,
    pub(super) domain: Arc<Domain<T>>,
}

/// Returns the driver as what it is.
pub(super) fn session<T: Transport>(board: &Board<'_, T>) -> Result<Session<T>, Failure> {
    let session = board.session()?;
    Ok(Session {
        bmu: session.driver_as().ok_or(BoardSymptom::NotOpened)?,
        domain: session.domain.clone(),
    })
}

/// A list of the device, with rings in memory of ours.
pub(super) type List<T> = hwpool_devices::bmu::List<T, Slice<T>>;

/// Skips a rung that moves objects by registers on a device that has no registers for that.
pub(super) fn needs_register_path<T: Transport>(bmu: &Bmu<T>) -> Result<(), Failure> {
    match bmu.capabilities().register_path {
        true => Ok(()),
        false => Err(Failure::Skip("the device has no register path".into())),
    }
}

/// Returns `wanted`, or as many objects as a pool of this device has at the most.
pub(super) fn objects<T: Transport>(bmu: &Bmu<T>, wanted: u32) -> u32 {
    device::objects(&bmu.identity().limits, wanted)
}

/// Opens a small pool at the bottom of the address space.
pub(super) fn small_list<T: Transport>(bmu: &Arc<Bmu<T>>) -> Result<List<T>, SetupError> {
    List::open(bmu, &small_list_config(bmu))
}

/// What a small pool at the bottom of the address space is to be.
pub(super) fn small_list_config<T: Transport>(bmu: &Bmu<T>) -> ListConfig {
    device::small_config(&bmu.identity().limits)
}

/// Opens a pool at the bottom of the address space, full at `capacity` objects.
pub(super) fn open_list<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    objects: u32,
    capacity: u32,
) -> Result<List<T>, SetupError> {
    let limits = &bmu.identity().limits;
    let config = device::list_config(limits, low_base(limits), objects);
    List::open(bmu, &ListConfig { capacity, ..config })
}

/// Memory for a portal's rings, mapped for the device.
pub(super) struct RingMemory<T: Transport> {
    mapping: Arc<Mapping<T>>,
    config: PortalConfig,
}

impl<T: Transport> RingMemory<T> {
    /// Maps memory for rings that hold a small pool.
    pub(super) fn small(session: &Session<T>) -> Result<RingMemory<T>, Failure> {
        let ring_log2 = session.bmu.capabilities().ring_log2;
        RingMemory::on_node(session, PortalConfig::for_pool(64, ring_log2), None)
    }

    /// Maps memory on a NUMA node, or wherever there is some.
    pub(super) fn on_node(
        session: &Session<T>,
        config: PortalConfig,
        node: Option<u32>,
    ) -> Result<RingMemory<T>, Failure> {
        let mapping = map(&session.domain, config.layout.size(), node)?;
        Ok(RingMemory { mapping, config })
    }

    /// Returns the memory.
    pub(super) fn mapping(&self) -> &Arc<Mapping<T>> {
        &self.mapping
    }

    /// Returns what the rings are like.
    pub(super) fn config(&self) -> &PortalConfig {
        &self.config
    }

    /// Opens a portal on `list` with its rings at the start of the memory.
    pub(super) fn open_portal<'a>(
        &self,
        list: &'a mut List<T>,
    ) -> Result<PortalRef<'a, T, Slice<T>>, SetupError> {
        let rings = slice(&self.mapping, 0, self.config.layout.size());
        let id = list.open_portal(rings, &self.config)?;
        Ok(list.portal(id).expect("it was opened just now"))
    }
}

/// Maps `len` bytes of memory for the device.
pub(super) fn map<T: Transport>(
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
pub(super) fn slice<T: Transport>(mapping: &Arc<Mapping<T>>, start: usize, len: usize) -> Slice<T> {
    let slice = mapping.slice(start..start + len);
    slice.expect("rungs map as much as they use")
}
