//! The backends `bmu` and `bmu-registers`: the free list lies in a device.
//!
//! One pool of the device, and one portal for it, behind a lock; caches keep threads from meeting there. What the
//! device hands out goes through the driver's ledger before it counts as an object.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hwpool_devices::bmu::{FreeList, ListConfig, PathError, Portal, PortalConfig};
use hwpool_devices::bus::{Iova, Transport};

use crate::device::{Device, Session};
use crate::dma::{Mapping, Memory, MemoryRequest, Placement, Slice};
use crate::pool::backend::{Backend, BackendError};
use crate::pool::error::BoxError;
use crate::pool::registry::BackendRequest;

/// How objects go to the device and come back.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// Through rings in host memory: `bmu`.
    Portal,
    /// Through one register access an object: `bmu-registers`.
    Registers,
}

/// Makes the backend on `device`, of whatever transport it is.
pub(super) fn make(
    device: &Device,
    path: Path,
    request: &BackendRequest<'_>,
) -> Result<Box<dyn Backend>, BoxError> {
    match device {
        Device::Sim(session) => Ok(Box::new(BmuBackend::new(session.clone(), path, request)?)),
        Device::Vfio(session) => Ok(Box::new(BmuBackend::new(session.clone(), path, request)?)),
        Device::User(session) => Ok(Box::new(BmuBackend::new(session.clone(), path, request)?)),
    }
}

/// A pool's free list in a device.
struct BmuBackend<T: Transport> {
    /// `None` once it was drained.
    state: Mutex<Option<State<T>>>,
    /// Keeps the objects reachable for devices as long as the pool lives.
    objects: Mapping<T>,
    /// Keeps the device open; dropped last.
    _session: Arc<Session<T>>,
}

/// Field order is drop order: the portal goes before the list that it serves.
struct State<T: Transport> {
    portal: Option<Portal<T, Slice<T>>>,
    list: FreeList<T>,
}

impl<T: Transport> BmuBackend<T> {
    fn new(
        session: Arc<Session<T>>,
        path: Path,
        request: &BackendRequest<'_>,
    ) -> Result<BmuBackend<T>, BoxError> {
        let anywhere = Placement::Anywhere {
            align: request.align as u64,
        };
        let placement = request.iova.map_or(anywhere, Placement::Fixed);
        let objects = session.domain.map(request.memory.clone(), placement)?;
        let config = ListConfig {
            base: objects.iova(),
            stride: request.stride as u64,
            objects: request.objects,
            capacity: request.objects,
        };
        let list = FreeList::open(&session.bmu, &config)?;
        let portal = match path {
            Path::Portal => Some(open_portal(&session, &list, request)?),
            Path::Registers => None,
        };
        let state = Mutex::new(Some(State { portal, list }));
        Ok(BmuBackend {
            state,
            objects,
            _session: session,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<State<T>>> {
        // A panic within the driver is a broken invariant; the driver's own poison tells what is known of the list.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a portal with rings in memory of their own, on the pool's node.
fn open_portal<T: Transport>(
    session: &Session<T>,
    list: &FreeList<T>,
    request: &BackendRequest<'_>,
) -> Result<Portal<T, Slice<T>>, BoxError> {
    let config = PortalConfig::for_pool(request.objects, session.bmu.capabilities().ring_log2);
    let size = config.layout.size();
    let wanted = MemoryRequest::new(size)
        .pages(session.domain.pages())
        .node(request.node)
        .label("hwpool-rings");
    let memory = Arc::new(Memory::allocate(&wanted)?);
    let mapping = Arc::new(
        session
            .domain
            .map(memory, Placement::Anywhere { align: 1 })?,
    );
    let rings = mapping
        .slice(0..size)
        .ok_or("the memory for rings is too small")?;
    Ok(Portal::open(list, rings, &config)?)
}

impl<T: Transport> Backend for BmuBackend<T> {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        let mut state = self.lock();
        let state = state.as_mut().ok_or(BackendError::Closed)?;
        state.enqueue(objects).map_err(backend_error)
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        let mut state = self.lock();
        let state = state.as_mut().ok_or(BackendError::Closed)?;
        match state.dequeue(objects).map_err(backend_error)? {
            true => Ok(()),
            false => Err(BackendError::Short),
        }
    }

    fn count(&self) -> u32 {
        self.lock()
            .as_ref()
            .map_or(0, |state| state.list.ledger().held())
    }

    fn iova(&self) -> Option<Iova> {
        Some(self.objects.iova())
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let state = self.lock().take().ok_or(BackendError::Closed)?;
        state.drain().map_err(backend_error)
    }
}

impl<T: Transport> State<T> {
    fn enqueue(&mut self, objects: &[u32]) -> Result<(), PathError> {
        match &mut self.portal {
            Some(portal) => portal.enqueue(&mut self.list, objects),
            None => self.list.free_all(objects),
        }
    }

    fn dequeue(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        match &mut self.portal {
            Some(portal) => portal.dequeue(&mut self.list, objects),
            None => self.list.alloc_all(objects),
        }
    }

    /// Takes everything out: through the portal first, then what the portal leaves, one by one.
    fn drain(mut self) -> Result<Vec<u32>, PathError> {
        let mut drained = Vec::with_capacity(self.list.ledger().held() as usize);
        if let Some(mut portal) = self.portal.take() {
            drained.extend(portal.drain(&mut self.list)?);
            drained.extend(portal.close(&mut self.list)?);
        }
        while let Some(index) = self.list.alloc()? {
            drained.push(index);
        }
        self.list.expect_empty()?;
        Ok(drained)
    }
}

fn backend_error(error: PathError) -> BackendError {
    match error {
        PathError::Refused { .. } => BackendError::Refused {
            cause: error.into(),
        },
        PathError::Poisoned { .. } => BackendError::Failed {
            cause: error.into(),
        },
    }
}
