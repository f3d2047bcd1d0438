//! Opening devices by their address.
//!
//! Everything below is generic over the transport; the one `match` on the address is here.

use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bmu::{Bmu, OpenError, OpenReset};
use hwpool_devices::bus::Transport;
use hwpool_sim::{InProcess, MODELS, SimConfig};

use crate::address::{Address, AddressError, TransportKind};
use crate::dma::{Domain, DomainError, Pages};
use crate::{user, vfio};

/// A device that was opened: its driver and the domain that its DMA memory is mapped into.
pub struct Session<T: Transport> {
    /// The driver.
    pub bmu: Arc<Bmu<T>>,
    /// Where memory is mapped for it.
    pub domain: Arc<Domain<T>>,
}

impl<T: Transport> Session<T> {
    /// Identifies, resets and enables the device behind `transport`.
    pub fn open(transport: Arc<T>) -> Result<Session<T>, DeviceError> {
        let device = transport.name().to_string();
        let bmu =
            Bmu::open(transport.clone(), OpenReset::Best).map_err(|source| DeviceError::Open {
                device: device.clone(),
                source,
            })?;
        let width = bmu.capabilities().address_width;
        let domain =
            Domain::new(transport, width).map_err(|source| DeviceError::Dma { device, source })?;
        Ok(Session {
            bmu: Arc::new(bmu),
            domain,
        })
    }
}

/// A transport that was opened, of whatever kind the address named, with no driver on it yet.
#[derive(Clone)]
pub enum Link {
    /// The model in this process.
    Sim(Arc<InProcess>),
    /// A PCI function through the kernel's VFIO.
    Vfio(Arc<vfio::Function>),
    /// A device behind a vfio-user socket.
    User(Arc<user::Client>),
}

/// A device of whatever kind the address named. Clones share it; it is closed with the last one.
#[derive(Clone)]
pub enum Device {
    /// The model in this process.
    Sim(Arc<Session<InProcess>>),
    /// A PCI function through the kernel's VFIO.
    Vfio(Arc<Session<vfio::Function>>),
    /// A device behind a vfio-user socket.
    User(Arc<Session<user::Client>>),
}

/// Why a device can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is no such model.
    #[error("{device}: no model `{model}`; there is {}", MODELS.iter().map(|m| m.name).collect::<Vec<_>>().join(", "))]
    NoModel {
        /// The address.
        device: Address,
        /// The name in it.
        model: String,
    },
    /// The model refuses its options.
    #[error("{device}")]
    Sim {
        /// The address.
        device: Address,
        /// Why.
        source: Box<hwpool_sim::SimError>,
    },
    /// The kernel's VFIO refuses the function.
    #[error("{device}")]
    Vfio {
        /// The address.
        device: Address,
        /// Why.
        source: Box<vfio::VfioError>,
    },
    /// The device behind a vfio-user socket can't be reached.
    #[error("{device}")]
    User {
        /// The address.
        device: Address,
        /// Why.
        source: Box<user::ClientError>,
    },
    /// The driver refuses the device.
    #[error("{device}")]
    Open {
        /// The address.
        device: String,
        /// Why.
        source: OpenError,
    },
    /// What the IOMMU can map can't be learned.
    #[error("{device}")]
    Dma {
        /// The address.
        device: String,
        /// Why.
        source: DomainError,
    },
}

impl DeviceError {
    /// Tells whether the mistake is in the address, not with the device.
    pub fn is_usage(&self) -> bool {
        match self {
            DeviceError::Address(_) | DeviceError::NoModel { .. } | DeviceError::Sim { .. } => true,
            DeviceError::Vfio { source, .. } => source.is_usage(),
            DeviceError::User { source, .. } => {
                matches!(**source, user::ClientError::Option { .. })
            }
            _ => false,
        }
    }
}

impl Link {
    /// Opens the transport that `address` names, and touches no register.
    pub fn open(address: &str) -> Result<Link, DeviceError> {
        let address: Address = address.parse()?;
        match address.transport {
            TransportKind::Sim => open_sim(address),
            TransportKind::User => open_user(address),
            TransportKind::Vfio => open_vfio(address),
        }
    }

    /// Returns the NUMA node of the device, where it is a PCI function and the kernel knows.
    pub fn node(&self) -> Option<u32> {
        match self {
            Link::Vfio(function) => function.node(),
            Link::Sim(_) | Link::User(_) => None,
        }
    }

    /// Returns what tells that the kernel wants the device back or that it broke; `None` where no kernel is between.
    pub fn notices(&self) -> Option<vfio::Notices> {
        match self {
            Link::Vfio(function) => Some(function.notices()),
            Link::Sim(_) | Link::User(_) => None,
        }
    }
}

impl Device {
    /// Returns the NUMA node of the device, where it is a PCI function and the kernel knows.
    pub fn node(&self) -> Option<u32> {
        match self {
            Device::Vfio(session) => session.bmu.transport().node(),
            Device::Sim(_) | Device::User(_) => None,
        }
    }

    /// Returns the pages that memory has to be of to be mapped for the device: hugepages, where the IOMMU has no smaller
    /// ones or where there is none.
    pub fn pages(&self) -> Pages {
        match self {
            Device::Sim(session) => session.domain.pages(),
            Device::Vfio(session) => session.domain.pages(),
            Device::User(session) => session.domain.pages(),
        }
    }

    /// Opens the device at `address`: identified, reset, verified and enabled.
    ///
    /// Blocks for a reset.
    pub fn open(address: &str) -> Result<Device, DeviceError> {
        match Link::open(address)? {
            Link::Sim(model) => Session::open(model).map(|session| Device::Sim(Arc::new(session))),
            Link::Vfio(function) => {
                Session::open(function).map(|session| Device::Vfio(Arc::new(session)))
            }
            Link::User(client) => {
                Session::open(client).map(|session| Device::User(Arc::new(session)))
            }
        }
    }

    /// Returns the address that the device was opened by, as people may see it: a VF token is hidden.
    pub fn name(&self) -> &str {
        match self {
            Device::Sim(session) => session.bmu.transport().name(),
            Device::Vfio(session) => session.bmu.transport().name(),
            Device::User(session) => session.bmu.transport().name(),
        }
    }

    /// Returns what tells that the kernel wants the device back or that it broke, as [`Link::notices`].
    pub fn notices(&self) -> Option<vfio::Notices> {
        match self {
            Device::Vfio(session) => Some(session.bmu.transport().notices()),
            Device::Sim(_) | Device::User(_) => None,
        }
    }

    /// Returns the model behind the device, where it is one in this process: its counters, faults and violations.
    pub fn model(&self) -> Option<&InProcess> {
        match self {
            Device::Sim(session) => Some(session.bmu.transport()),
            Device::Vfio(_) => None,
            Device::User(_) => None,
        }
    }
}

fn open_sim(device: Address) -> Result<Link, DeviceError> {
    if !MODELS.iter().any(|model| model.name == device.target) {
        let model = device.target.clone();
        return Err(DeviceError::NoModel { device, model });
    }
    let open = || {
        let mut config = SimConfig::default();
        for (key, value) in &device.options {
            config.set(key, value)?;
        }
        InProcess::open(&device.target, &device.to_string(), config)
    };
    match open() {
        Ok(model) => Ok(Link::Sim(Arc::new(model))),
        Err(source) => Err(DeviceError::Sim {
            device,
            source: Box::new(source),
        }),
    }
}

fn open_user(device: Address) -> Result<Link, DeviceError> {
    let name = device.to_string();
    let patience = patience(&device.options);
    let open = |patience| user::Client::open(&device.target, &name, patience);
    match patience.and_then(open) {
        Ok(client) => Ok(Link::User(Arc::new(client))),
        Err(source) => Err(DeviceError::User {
            device,
            source: Box::new(source),
        }),
    }
}

/// Reads the options of a `user:` address.
fn patience(options: &[(String, String)]) -> Result<Duration, user::ClientError> {
    let mut patience = user::PATIENCE;
    for (key, value) in options {
        let ms = value.parse().ok().filter(|ms| (1..=3_600_000).contains(ms));
        match (key.as_str(), ms) {
            ("timeout-ms", Some(ms)) => patience = Duration::from_millis(ms),
            _ => {
                let (key, value) = (key.clone(), value.clone());
                return Err(user::ClientError::Option { key, value });
            }
        }
    }
    Ok(patience)
}

fn open_vfio(device: Address) -> Result<Link, DeviceError> {
    let open = || {
        let options = vfio::Options::parse(&device.options)?;
        vfio::Function::open(device.target.parse()?, &device.to_string(), options)
    };
    match open() {
        Ok(function) => Ok(Link::Vfio(Arc::new(function))),
        Err(source) => Err(DeviceError::Vfio {
            device,
            source: Box::new(source),
        }),
    }
}
