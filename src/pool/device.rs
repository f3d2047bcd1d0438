//! The backends whose free list lies in a device, of whatever kind.
//!
//! One list of the device behind a lock; caches keep threads from meeting there. What the device hands out goes through
//! the driver's ledger before it counts as an object.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hwpool_devices::bus::{Iova, Transport};
use hwpool_devices::family::{FreeList, ListConfig, PathError};

use crate::device::{Device, Session};
use crate::dma::{Mapping, Placement};
use crate::on_any;
use crate::pool::backend::{Backend, BackendError, BackendRequest};
use crate::pool::error::BoxError;

/// Makes the backend on `device`, whose objects travel `way`: the device's best one where none is named.
pub(super) fn make(
    device: &Device,
    way: Option<&str>,
    request: &BackendRequest<'_>,
) -> Result<Box<dyn Backend>, BoxError> {
    on_any!(Device, device, session => Ok(Box::new(DeviceBackend::new(session.clone(), way, request)?)))
}

/// A pool's free list in a device. Field order is drop order.
struct DeviceBackend<T: Transport> {
    /// `None` once it was drained.
    list: Mutex<Option<Box<dyn FreeList>>>,
    /// Keeps the objects reachable for devices as long as the pool lives.
    objects: Mapping<T>,
    /// Keeps the device open.
    _session: Arc<Session<T>>,
}

impl<T: Transport> DeviceBackend<T> {
    fn new(
        session: Arc<Session<T>>,
        way: Option<&str>,
        request: &BackendRequest<'_>,
    ) -> Result<DeviceBackend<T>, BoxError> {
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
        let best = session.driver.identity().limits.ways.first().copied();
        let way = way.or(best).ok_or("the device moves no objects")?;
        let list = session.open_list(&config, way, request.node)?;
        Ok(DeviceBackend {
            list: Mutex::new(Some(list)),
            objects,
            _session: session,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn FreeList>>> {
        // A panic within the driver is a broken invariant; the driver's own poison tells what is known of the list.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Backend for DeviceBackend<T> {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        let mut list = self.lock();
        let list = list.as_mut().ok_or(BackendError::Closed)?;
        list.give(objects).map_err(backend_error)
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        let mut list = self.lock();
        let list = list.as_mut().ok_or(BackendError::Closed)?;
        match list.take(objects).map_err(backend_error)? {
            true => Ok(()),
            false => Err(BackendError::Short),
        }
    }

    fn count(&self) -> u32 {
        self.lock().as_ref().map_or(0, |list| list.ledger().held())
    }

    fn doorbells(&self) -> Option<u64> {
        self.lock().as_ref()?.doorbells()
    }

    fn iova(&self) -> Option<Iova> {
        Some(self.objects.iova())
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let mut list = self.lock().take().ok_or(BackendError::Closed)?;
        list.drain().map_err(backend_error)
    }
}

fn backend_error(error: PathError) -> BackendError {
    match error {
        PathError::Refused { .. } => BackendError::Refused {
            cause: error.into(),
        },
        _ => BackendError::Failed {
            cause: error.into(),
        },
    }
}
