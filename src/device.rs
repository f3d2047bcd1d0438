//! Opening devices by their address.
//!
//! ```
//! use hwpool::Device;
//!
//! let device = Device::open("sim:fifo?depth=256")?;
//! assert_eq!((device.about().title, device.limits().objects), ("FIFO", 256));
//! # Ok::<(), hwpool::DeviceError>(())
//! ```
//!
//! A [`Device`] is reset and enabled. [`Attached`] is the transport alone, for whoever wants to look at a device and change nothing.
//!
//! Everything below is generic over the transport, and the one `match` on the address is here. What kind of device it is
//! is found out once, by [`recognition`], for everybody who asks.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "user")]
use std::time::Duration;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::{
    About, Choice, Driver, FreeList, Limits, ListConfig, Module, OpenError, OpenReset, Recognition,
    Rejected, SetupError,
};
use hwpool_devices::{modules, pci};
use hwpool_sim::InProcess;

use crate::address::{Address, AddressError, TransportKind};
use crate::dma::{
    Domain, DomainError, MapError, Memory, MemoryError, MemoryRequest, Pages, Placement, Slice,
};
use crate::kinds::{self, KindError};
use crate::machine::{Names, Tree};
#[cfg(feature = "user")]
use crate::user;
#[cfg(feature = "vfio")]
use crate::vfio;

/// The driver of a device of any kind, over one transport, with its rings in memory of ours.
pub type AnyDriver<T> = dyn Driver<T, Slice<T>>;

/// What is known of a kind of device, as it is driven over one transport, with its rings in memory of ours.
pub type AnyModule<T> = dyn Module<T, Slice<T>>;

/// A device that was opened: its driver and the domain that its DMA memory is mapped into.
///
/// It is its process's. A child of `fork` has a copy, with which it gets no memory mapped and no list; what it drops stays
/// open, as it is the parent's. It must not call the driver, which would reach the parent's device.
pub struct Session<T: Transport> {
    /// The driver.
    pub driver: Arc<AnyDriver<T>>,
    /// Where memory is mapped for it.
    pub domain: Arc<Domain<T>>,
}

impl<T: Transport> Session<T> {
    /// Recognises, resets and enables the device behind `transport`; `choice` is what its address says of the driver.
    pub fn open(transport: Arc<T>, choice: &Choice) -> Result<Session<T>, DeviceError> {
        let module = module(&*transport, choice)?;
        Session::with(&*module, transport)
    }

    /// Resets and enables the device behind `transport` with the driver of `module`, whatever else may know it.
    pub fn with(module: &AnyModule<T>, transport: Arc<T>) -> Result<Session<T>, DeviceError> {
        let device = transport.name().to_string();
        let driver = module.open(transport.clone(), OpenReset::Best);
        let driver = driver.map_err(|source| DeviceError::Open {
            device: device.clone(),
            source,
        })?;
        let width = driver.identity().limits.address_width;
        let domain =
            Domain::new(transport, width).map_err(|source| DeviceError::Dma { device, source })?;
        Ok(Session { driver, domain })
    }

    /// Returns the driver as that of one kind of device, such as `Bmu<T>`; `None` where it is another.
    pub fn driver_as<K: Any + Send + Sync>(&self) -> Option<Arc<K>> {
        self.driver.clone().into_any().downcast().ok()
    }

    /// Takes a free list of the device into use, whose objects travel `way`, with memory for its rings on `node`.
    ///
    /// # Errors
    ///
    /// Where there is no memory for the rings, it can't be mapped, the device won't have such a list, or it is the
    /// parent's of this process.
    pub fn open_list(
        &self,
        config: &ListConfig,
        way: &str,
        node: Option<u32>,
    ) -> Result<Box<dyn FreeList>, ListError> {
        if !self.domain.is_here() {
            let device = self.driver.transport().name().to_owned();
            return Err(MapError::OtherProcess { device }.into());
        }
        let rings = match self.driver.ring_bytes(config, way) {
            0 => None,
            size => Some(self.rings(size, node)?),
        };
        Ok(self.driver.clone().open_list(config, way, rings)?)
    }

    /// Maps memory of its own for rings of `size` bytes.
    fn rings(&self, size: usize, node: Option<u32>) -> Result<Slice<T>, ListError> {
        let wanted = MemoryRequest::new(size)
            .pages(self.domain.pages())
            .node(node)
            .label("hwpool-rings");
        let memory = Arc::new(Memory::allocate(&wanted)?);
        let mapping = self.domain.map(memory, Placement::Anywhere { align: 64 })?;
        let rings = Arc::new(mapping).slice(0..size);
        rings.ok_or(ListError::RingsTooSmall { size })
    }
}

impl<T: Transport> Drop for Session<T> {
    fn drop(&mut self) {
        if !self.domain.is_here() {
            // A count that nobody gives back: the driver's end would stop the parent's device.
            std::mem::forget(Arc::clone(&self.driver));
        }
    }
}

impl<T: Transport> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("device", &self.driver.transport().name())
            .field("driver", &self.driver.about().name)
            .finish_non_exhaustive()
    }
}

/// Why a free list could not be taken into use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// There is no memory for its rings.
    #[error("there is no memory for the list's rings")]
    Memory(#[from] MemoryError),
    /// The rings can't be mapped for the device.
    #[error("the list's rings can't be mapped")]
    Map(#[from] MapError),
    /// The device, or its driver, refuses it.
    #[error("the device can't have such a list")]
    Setup(#[from] SetupError),
    /// The memory that was allocated is smaller than what was asked for.
    #[error("the memory for rings of {size} bytes is too small")]
    RingsTooSmall {
        /// What was asked for.
        size: usize,
    },
}

/// Finds out what kind of device is behind `transport`; see [`modules::recognise`].
///
/// # Errors
///
/// Where the function does not answer.
pub fn recognition<T: Transport>(
    transport: &T,
    choice: &Choice,
) -> Result<Recognition<T, Slice<T>>, OpenError> {
    modules::recognise(transport, choice)
}

/// Returns the module that knows the device behind `transport`.
pub(crate) fn module<T: Transport>(
    transport: &T,
    choice: &Choice,
) -> Result<Arc<AnyModule<T>>, DeviceError> {
    let recognition = recognition(transport, choice).map_err(|source| DeviceError::Open {
        device: transport.name().to_string(),
        source,
    });
    match recognition? {
        Recognition::Known(module) => Ok(module),
        Recognition::Unknown(rejected) => Err(unknown(transport, rejected)),
    }
}

fn unknown<T: Transport>(transport: &T, rejected: Vec<Rejected>) -> DeviceError {
    DeviceError::Unknown {
        device: transport.name().to_string(),
        ids: who(transport),
        rejected,
    }
}

/// Says what a function is that no module may know: its ids and class, and what the system's `pci.ids` calls them.
pub(crate) fn who<T: Transport>(transport: &T) -> String {
    let ids = match pci::identity(transport) {
        Ok(ids) => ids,
        Err(error) => return error.to_string(),
    };
    let names = Names::read(&Tree::running());
    let behind = |name: Option<&str>| name.map_or(String::new(), |name| format!(" {name}"));
    format!(
        "{:04x}:{:04x}{}, class {:06x}{}",
        ids.vendor,
        ids.device,
        behind(names.device(ids.vendor, ids.device).as_deref()),
        ids.class,
        behind(names.class(ids.class)),
    )
}

/// A transport that was opened, of whatever kind its address named.
#[derive(Clone)]
pub enum AnyTransport {
    /// The model in this process.
    Sim(Arc<InProcess>),
    /// A PCI function through the kernel's VFIO.
    #[cfg(feature = "vfio")]
    Vfio(Arc<vfio::Function>),
    /// A device behind a vfio-user socket.
    #[cfg(feature = "user")]
    User(Arc<user::Client>),
}

/// A transport that was opened, with what its address says of the driver; there is no driver on it yet.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The transport.
    pub transport: AnyTransport,
    /// Which driver it shall have.
    pub choice: Choice,
}

/// A device of whatever kind, over whatever transport its address named. Clones share it; it is closed with the last one.
/// In a child of `fork` it is the parent's still; see [`Session`].
#[derive(Clone)]
pub enum Device {
    /// The model in this process.
    Sim(Arc<Session<InProcess>>),
    /// A PCI function through the kernel's VFIO.
    #[cfg(feature = "vfio")]
    Vfio(Arc<Session<vfio::Function>>),
    /// A device behind a vfio-user socket.
    #[cfg(feature = "user")]
    User(Arc<Session<user::Client>>),
}

/// Does something with what is in an [`AnyTransport`] or a [`Device`](crate::Device), whatever the transport is.
///
/// For this package alone: a `cfg` in a macro asks for the features of the package that uses it.
#[macro_export]
#[doc(hidden)]
macro_rules! on_any {
    ($kind:ident, $what:expr, $inside:ident => $do:expr) => {
        match $what {
            $crate::device::$kind::Sim($inside) => $do,
            #[cfg(feature = "vfio")]
            $crate::device::$kind::Vfio($inside) => $do,
            #[cfg(feature = "user")]
            $crate::device::$kind::User($inside) => $do,
        }
    };
}

/// Why a device can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The model refuses its options.
    #[error("{device}")]
    Sim {
        /// The address.
        device: Address,
        /// Why.
        source: Box<hwpool_sim::SimError>,
    },
    /// The transport is not in this build.
    #[error(
        "{device}: hwpool was built without its feature `{feature}`, which such addresses need"
    )]
    NotBuilt {
        /// The address.
        device: Address,
        /// The feature that has it.
        feature: &'static str,
    },
    /// The kernel's VFIO refuses the function.
    #[cfg(feature = "vfio")]
    #[error("{device}")]
    Vfio {
        /// The address.
        device: Address,
        /// Why.
        source: Box<vfio::VfioError>,
    },
    /// The device behind a vfio-user socket can't be reached.
    #[cfg(feature = "user")]
    #[error("{device}")]
    User {
        /// The address.
        device: Address,
        /// Why.
        source: Box<user::ClientError>,
    },
    /// It names a kind of device that there is not, or a description that can't be used.
    #[error("{device}")]
    Kind {
        /// The address.
        device: Address,
        /// Why.
        source: Box<KindError>,
    },
    /// No module knows the device.
    #[error(
        "{device}: hwpool does not know this device ({ids}){}; a driver can be named: ?driver=NAME",
        because(rejected)
    )]
    Unknown {
        /// The address.
        device: String,
        /// Its ids and class, with their names where the system has them.
        ids: String,
        /// Why each module does not.
        rejected: Vec<Rejected>,
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
            DeviceError::Address(_)
            | DeviceError::Kind { .. }
            | DeviceError::NotBuilt { .. }
            | DeviceError::Sim { .. } => true,
            #[cfg(feature = "vfio")]
            DeviceError::Vfio { source, .. } => source.is_usage(),
            #[cfg(feature = "user")]
            DeviceError::User { source, .. } => {
                matches!(**source, user::ClientError::Option { .. })
            }
            _ => false,
        }
    }
}

/// Says why no module knows a device: first what the one says whose ids it has.
fn because(rejected: &[Rejected]) -> String {
    let by_ids = rejected.iter().filter(|no| no.has_its_ids);
    let reasons: Vec<String> = match by_ids.clone().count() {
        0 => rejected.iter().map(ToString::to_string).collect(),
        _ => by_ids.map(|no| no.why.to_string()).collect(),
    };
    match reasons.is_empty() {
        true => String::new(),
        false => format!(": {}", reasons.join("; ")),
    }
}

impl AnyTransport {
    /// Opens the transport that `address` names, and touches no register.
    pub fn open(address: &str) -> Result<AnyTransport, DeviceError> {
        Ok(Attached::open(address)?.transport)
    }

    /// Returns the address that it was opened by, as people may see it: a VF token is hidden.
    pub fn name(&self) -> &str {
        on_any!(AnyTransport, self, transport => transport.name())
    }

    /// Returns the NUMA node of the device, where it is a PCI function and the kernel knows.
    pub fn node(&self) -> Option<u32> {
        match self {
            #[cfg(feature = "vfio")]
            AnyTransport::Vfio(function) => function.node(),
            #[cfg(feature = "user")]
            AnyTransport::User(_) => None,
            AnyTransport::Sim(_) => None,
        }
    }

    /// Returns what tells that the kernel wants the device back or that it broke; `None` where no kernel is between.
    #[cfg(feature = "vfio")]
    pub fn notices(&self) -> Option<vfio::Notices> {
        match self {
            AnyTransport::Vfio(function) => Some(function.notices()),
            _ => None,
        }
    }
}

impl fmt::Debug for AnyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyTransport({})", self.name())
    }
}

impl Attached {
    /// Opens the transport that `address` names, and touches no register. As a kernel does that lends a function, it turns
    /// the function's Memory Space on.
    pub fn open(address: &str) -> Result<Attached, DeviceError> {
        let mut address: Address = address.parse()?;
        let mut choice = take_choice(&mut address)?;
        let transport = match address.transport {
            TransportKind::Sim => {
                let (transport, own) = open_sim(address)?;
                choice = choice.or(own);
                transport
            }
            TransportKind::User => open_user(address)?,
            TransportKind::Vfio => open_vfio(address)?,
        };
        let choice = choice.unwrap_or_default();
        // One that does not answer is told of by whoever asks it something next.
        let _ = on_any!(AnyTransport, &transport, link => pci::enable_memory(&**link));
        Ok(Attached { transport, choice })
    }
}

/// Takes the option that names the driver out of an address; `None` where there is none.
fn take_choice(address: &mut Address) -> Result<Option<Choice>, DeviceError> {
    let Some(driver) = address.take_option("driver") else {
        return Ok(None);
    };
    let choice = kinds::choice(&driver).map_err(|source| of_kind(address.clone(), source))?;
    Ok(Some(choice))
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {})", self.name(), self.about().name)
    }
}

impl Device {
    /// Opens the device at `address`: recognised, reset, verified and enabled.
    ///
    /// Blocks for a reset.
    pub fn open(address: &str) -> Result<Device, DeviceError> {
        let Attached { transport, choice } = Attached::open(address)?;
        Ok(match transport {
            AnyTransport::Sim(model) => Device::Sim(Arc::new(Session::open(model, &choice)?)),
            #[cfg(feature = "vfio")]
            AnyTransport::Vfio(function) => {
                Device::Vfio(Arc::new(Session::open(function, &choice)?))
            }
            #[cfg(feature = "user")]
            AnyTransport::User(client) => Device::User(Arc::new(Session::open(client, &choice)?)),
        })
    }

    /// Returns what is known of its kind.
    pub fn about(&self) -> &About {
        on_any!(Device, self, session => session.driver.about())
    }

    /// Returns what it can do.
    pub fn limits(&self) -> &Limits {
        on_any!(Device, self, session => &session.driver.identity().limits)
    }

    /// Returns the NUMA node of the device, where it is a PCI function and the kernel knows.
    pub fn node(&self) -> Option<u32> {
        match self {
            #[cfg(feature = "vfio")]
            Device::Vfio(session) => session.driver.transport().node(),
            #[cfg(feature = "user")]
            Device::User(_) => None,
            Device::Sim(_) => None,
        }
    }

    /// Returns the pages that memory has to be of to be mapped for the device: hugepages, where the IOMMU has no smaller
    /// ones or where there is none.
    pub fn pages(&self) -> Pages {
        on_any!(Device, self, session => session.domain.pages())
    }

    /// Returns the address that the device was opened by, as people may see it: a VF token is hidden.
    pub fn name(&self) -> &str {
        on_any!(Device, self, session => session.driver.transport().name())
    }

    /// Returns what tells that the kernel wants the device back or that it broke, as [`AnyTransport::notices`].
    #[cfg(feature = "vfio")]
    pub fn notices(&self) -> Option<vfio::Notices> {
        match self {
            Device::Vfio(session) => Some(session.driver.transport().notices()),
            _ => None,
        }
    }

    /// Returns the model behind the device, where it is one in this process: its counters, faults and violations.
    pub fn model(&self) -> Option<&InProcess> {
        match self {
            Device::Sim(session) => Some(session.driver.transport()),
            #[cfg(any(feature = "vfio", feature = "user"))]
            _ => None,
        }
    }
}

/// Opens a model, and tells which driver it needs where no device says that.
fn open_sim(device: Address) -> Result<(AnyTransport, Option<Choice>), DeviceError> {
    let (mut config, choice) = match kinds::model(&device.target) {
        Ok(model) => model,
        Err(source) => return Err(of_kind(device, source)),
    };
    let name = config.name().to_owned();
    let open = || {
        for (key, value) in &device.options {
            config.set(key, value)?;
        }
        InProcess::open(&name, &device.to_string(), config)
    };
    match open() {
        Ok(model) => Ok((AnyTransport::Sim(Arc::new(model)), choice)),
        Err(source) => Err(DeviceError::Sim {
            device,
            source: Box::new(source),
        }),
    }
}

fn of_kind(device: Address, source: KindError) -> DeviceError {
    DeviceError::Kind {
        device,
        source: Box::new(source),
    }
}

#[cfg(not(feature = "user"))]
fn open_user(device: Address) -> Result<AnyTransport, DeviceError> {
    let feature = "user";
    Err(DeviceError::NotBuilt { device, feature })
}

#[cfg(feature = "user")]
fn open_user(device: Address) -> Result<AnyTransport, DeviceError> {
    let name = device.to_string();
    let open = || {
        let options = UserOptions::parse(&device.options)?;
        let client = user::Client::open(&device.target, &name, options.patience)?;
        match options.without_files {
            true => client.without_files(),
            false => Ok(client),
        }
    };
    match open() {
        Ok(client) => Ok(AnyTransport::User(Arc::new(client))),
        Err(source) => Err(DeviceError::User {
            device,
            source: Box::new(source),
        }),
    }
}

/// The options of a `user:` address.
#[cfg(feature = "user")]
struct UserOptions {
    patience: Duration,
    without_files: bool,
}

#[cfg(feature = "user")]
impl UserOptions {
    fn parse(options: &[(String, String)]) -> Result<UserOptions, user::ClientError> {
        let mut found = UserOptions {
            patience: user::PATIENCE,
            without_files: false,
        };
        for (key, value) in options {
            let ms = value.parse().ok().filter(|ms| (1..=3_600_000).contains(ms));
            match (key.as_str(), value.as_str(), ms) {
                ("timeout-ms", _, Some(ms)) => found.patience = Duration::from_millis(ms),
                ("dma", "files", _) => found.without_files = false,
                ("dma", "messages", _) => found.without_files = true,
                _ => {
                    let (key, value) = (key.clone(), value.clone());
                    return Err(user::ClientError::Option { key, value });
                }
            }
        }
        Ok(found)
    }
}

#[cfg(not(feature = "vfio"))]
fn open_vfio(device: Address) -> Result<AnyTransport, DeviceError> {
    let feature = "vfio";
    Err(DeviceError::NotBuilt { device, feature })
}

#[cfg(feature = "vfio")]
fn open_vfio(device: Address) -> Result<AnyTransport, DeviceError> {
    let open = || {
        let options = vfio::Options::parse(&device.options)?;
        vfio::Function::open(device.target.parse()?, &device.to_string(), options)
    };
    match open() {
        Ok(function) => Ok(AnyTransport::Vfio(Arc::new(function))),
        Err(source) => Err(DeviceError::Vfio {
            device,
            source: Box::new(source),
        }),
    }
}

#[cfg(all(test, not(any(feature = "vfio", feature = "user"))))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_transport_names_the_feature() {
        for (address, feature) in [("vfio:0000:01:00.0", "`vfio`"), ("user:/a.sock", "`user`")] {
            let refused = Device::open(address).unwrap_err();
            assert!(refused.is_usage());
            let text = refused.to_string();
            assert!(text.contains(address) && text.contains(feature), "{text}");
        }
    }
}
