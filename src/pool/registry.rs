//! The registry: backends by name, as DPDK's `rte_mempool_ops` are.

use std::sync::{Arc, Mutex, PoisonError};

use hwpool_devices::family::Way;
use hwpool_devices::modules;

use crate::device::Device;
use crate::pool::backend::{Backend, BackendRequest};
use crate::pool::device;
use crate::pool::error::{BoxError, CreateError, RegisterError};
use crate::pool::ring::Ring;
use crate::pool::stack::Stack;
use crate::pool::store::Store;

type Factory = Arc<dyn Fn(&BackendRequest<'_>) -> Result<Store, BoxError> + Send + Sync>;

/// A way to make backends.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) make: Factory,
    /// Whether memory safety may rest on what these backends say.
    pub(super) trusted: bool,
    /// The device that they lie in; `None` for those in software.
    pub(super) device: Option<Device>,
}

impl Maker {
    fn new<F>(make: F, trusted: bool) -> Maker
    where
        F: Fn(&BackendRequest<'_>) -> Result<Box<dyn Backend>, BoxError> + Send + Sync + 'static,
    {
        let make = Arc::new(move |request: &BackendRequest<'_>| make(request).map(Store::Other));
        Maker {
            make,
            trusted,
            device: None,
        }
    }

    /// Makes backends on `device`, whose objects travel `way`: the device's best one where none is named.
    fn in_device(device: Device, way: Option<&'static str>) -> Maker {
        let opened = device.clone();
        // Trusted: the driver's ledger has checked each object that the device hands out.
        Maker {
            device: Some(device),
            ..Maker::new(move |request| device::make(&opened, way, request), true)
        }
    }
}

struct Entry {
    name: String,
    maker: Maker,
}

/// What was registered besides the built-in backends.
static REGISTERED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

const RING: &str = "ring";
const STACK: &str = "stack";

/// Registers a backend for pools to name.
///
/// The pool checks every object that such a backend hands out: in range, and not out already.
///
/// # Errors
/// Where the name is taken, empty, or looks like the address of a device.
pub fn register<F>(name: &str, make: F) -> Result<(), RegisterError>
where
    F: Fn(&BackendRequest<'_>) -> Result<Box<dyn Backend>, BoxError> + Send + Sync + 'static,
{
    add(name, Maker::new(make, false))
}

/// Registers a backend whose answers the pool believes unchecked, which saves an atomic operation an object.
///
/// # Errors
/// As [`register`].
///
/// # Safety
/// Backends that `make` returns hand out only objects that they were given, each once until it is given to them again;
/// an object given by an `enqueue` that failed counts as given only if the error was
/// [`Failed`](crate::pool::BackendError::Failed). What `drain` returns obeys the same rule.
pub unsafe fn register_trusted<F>(name: &str, make: F) -> Result<(), RegisterError>
where
    F: Fn(&BackendRequest<'_>) -> Result<Box<dyn Backend>, BoxError> + Send + Sync + 'static,
{
    add(name, Maker::new(make, true))
}

/// Lists the names that pools can be built with, the built-in ones first.
pub fn backends() -> Vec<String> {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let ways = hardware().map(|(_, way)| way.backend);
    ([RING, STACK].into_iter().chain(ways))
        .map(str::to_owned)
        .chain(registered.iter().map(|entry| entry.name.clone()))
        .collect()
}

fn add(name: &str, maker: Maker) -> Result<(), RegisterError> {
    if name.is_empty() || name.contains(':') {
        return Err(RegisterError::BadName {
            name: name.to_owned(),
        });
    }
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if is_built_in(name) || registered.iter().any(|entry| entry.name == name) {
        return Err(RegisterError::Duplicate {
            name: name.to_owned(),
        });
    }
    registered.push(Entry {
        name: name.to_owned(),
        maker,
    });
    Ok(())
}

/// Finds the maker of `backend` for `pool`. One that lies in a device has it open: `given`, or where that is `None`, a model.
pub(super) fn find(
    pool: &str,
    backend: &str,
    given: Option<&Device>,
) -> Result<Maker, CreateError> {
    let in_device = match backend.contains(':') {
        // Opened for the pool alone.
        true => Some(
            Device::open(backend)
                .map_err(BoxError::from)
                .map(|device| (device, None)),
        ),
        // A device that a file describes has a way that is none of those that are known before.
        false => own_way(given, backend).map(Ok).or_else(|| {
            hardware()
                .find(|(_, way)| way.backend == backend)
                .map(|(kind, way)| Ok((device_of(pool, kind, way.name, given)?, Some(way.name))))
        }),
    };
    if let Some(found) = in_device {
        let maker = found.map(|(device, way)| Maker::in_device(device, way));
        return maker.map_err(|cause| CreateError::Backend {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            cause,
        });
    }
    let registered = || {
        let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        registered
            .iter()
            .find(|entry| entry.name == backend)
            .map(|entry| entry.maker.clone())
    };
    software(backend)
        .or_else(registered)
        .ok_or_else(|| CreateError::UnknownBackend {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            known: backends(),
        })
}

/// Returns the device that the pool was given with its way of this name, where it has it.
fn own_way(given: Option<&Device>, backend: &str) -> Option<(Device, Option<&'static str>)> {
    let device = given?;
    let way = device
        .about()
        .ways
        .iter()
        .find(|way| way.backend == backend)?;
    Some((device.clone(), Some(way.name)))
}

/// Returns the device that the pool was given, or a model where it was given none.
fn device_of(
    pool: &str,
    kind: &str,
    way: &str,
    given: Option<&Device>,
) -> Result<Device, BoxError> {
    match given {
        Some(device) if device.about().name != kind => Err(other_kind(device, kind, way).into()),
        Some(device) => Ok(device.clone()),
        None => model_of(kind, pool),
    }
}

/// Says that a backend is none of this kind of device, and which ones are.
fn other_kind(device: &Device, kind: &str, way: &str) -> String {
    let about = device.about();
    let own: Vec<&str> = about.ways.iter().map(|way| way.backend).collect();
    format!(
        "it is the way `{way}` of a {kind}, and {} is a {}: its backends are {}",
        device.name(),
        about.name,
        own.join(", ")
    )
}

/// Opens a model for a pool whose owner named no device, and says so: who has a board would not know otherwise.
fn model_of(kind: &str, pool: &str) -> Result<Device, BoxError> {
    let address = format!("sim:{kind}");
    tracing::warn!(
        "pool `{pool}` has no device: it runs on a model in this process ({address}), not on hardware; \
         name a device, or `{address}` as the backend"
    );
    Ok(Device::open(&address)?)
}

/// Lists every way in which objects can travel to a device, with the kind of device.
fn hardware() -> impl Iterator<Item = (&'static str, &'static Way)> {
    let kinds = modules::kinds().into_iter();
    kinds.flat_map(|kind| kind.ways.iter().map(|way| (kind.name, way)))
}

fn is_built_in(name: &str) -> bool {
    software(name).is_some() || hardware().any(|(_, way)| way.backend == name)
}

fn software(name: &str) -> Option<Maker> {
    let make: Factory = match name {
        RING => Arc::new(|request| Ok(Store::Ring(Ring::new(request.capacity)))),
        STACK => Arc::new(|request| Ok(Store::Stack(Stack::new(request.capacity)))),
        _ => return None,
    };
    // Trusted: they copy words in and out under a reservation or a lock and invent none.
    Some(Maker {
        make,
        trusted: true,
        device: None,
    })
}
