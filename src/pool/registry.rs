//! The registry: backends by name, as DPDK's `rte_mempool_ops` are.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dma::Memory;
use crate::pool::backend::Backend;
use crate::pool::error::{BoxError, CreateError, RegisterError};
use crate::pool::ring::Ring;
use crate::pool::stack::Stack;

/// What a backend is made for.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendRequest<'a> {
    /// Name of the pool.
    pub pool: &'a str,
    /// How many objects there are; the backend must have room for all.
    pub objects: u32,
    /// Bytes from one object to the next: a multiple of the alignment.
    pub stride: usize,
    /// Bytes of one object that users may use.
    pub size: usize,
    /// Alignment of every object, in memory and on the bus.
    pub align: usize,
    /// The memory that the objects are in, object 0 first.
    pub memory: &'a Arc<Memory>,
    /// The NUMA node that was asked for.
    pub node: Option<u32>,
    /// What was given to [`PoolBuilder::device`](crate::pool::PoolBuilder::device).
    pub device: Option<Arc<dyn Any + Send + Sync>>,
}

type Factory = Arc<dyn Fn(&BackendRequest<'_>) -> Result<Box<dyn Backend>, BoxError> + Send + Sync>;

/// A way to make backends.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) make: Factory,
    /// Whether memory safety may rest on what these backends say.
    pub(super) trusted: bool,
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
    add(
        name,
        Maker {
            make: Arc::new(make),
            trusted: false,
        },
    )
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
    add(
        name,
        Maker {
            make: Arc::new(make),
            trusted: true,
        },
    )
}

/// Lists the names that pools can be built with, the built-in ones first.
pub fn backends() -> Vec<String> {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    [RING, STACK]
        .into_iter()
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
    if built_in(name).is_some() || registered.iter().any(|entry| entry.name == name) {
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

/// Finds the maker of `backend` for `pool`.
pub(super) fn find(pool: &str, backend: &str) -> Result<Maker, CreateError> {
    if backend.contains(':') {
        return device(pool, backend);
    }
    let registered = || {
        let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        registered
            .iter()
            .find(|entry| entry.name == backend)
            .map(|entry| entry.maker.clone())
    };
    built_in(backend)
        .or_else(registered)
        .ok_or_else(|| CreateError::UnknownBackend {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            known: backends(),
        })
}

/// Finds the maker for a device's address, such as `sim:bmu`: the one place where devices become backends.
fn device(pool: &str, address: &str) -> Result<Maker, CreateError> {
    Err(CreateError::NoDeviceBackend {
        pool: pool.to_owned(),
        address: address.to_owned(),
    })
}

fn built_in(name: &str) -> Option<Maker> {
    let make: Factory = match name {
        RING => Arc::new(|request| Ok(Box::new(Ring::new(request.objects)))),
        STACK => Arc::new(|request| Ok(Box::new(Stack::new(request.objects)))),
        _ => return None,
    };
    // Trusted: both copy indices in and out under a reservation or a lock, and invent none.
    Some(Maker {
        make,
        trusted: true,
    })
}
