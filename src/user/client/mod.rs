//! The client: a PCI function behind a vfio-user socket, as a [`Transport`].
//!
//! ```text
//!   Client ── Transport
//!     │ UserBar ── areas that the server lets us map: plain loads and stores
//!     │        └── the rest: messages that are waited for, as a refusal must be heard; doorbells are posted
//!     │ UserIrq ── an eventfd each
//!     ▼
//!   Connection ── one request at a time, each with a deadline ──► socket
//!     └── Windows: what the device may reach, served to the peer when it asks by DMA_READ and DMA_WRITE
//! ```
//!
//! After the first sign that the server died, fell silent or sent nonsense, the connection is closed for good and every
//! call returns [`BusError::Gone`]; a fresh [`Client::open`] works as soon as there is a server again. No request is
//! ever sent twice. A store to a mapped area can't tell that the server died, as a store to a real device can't.

mod bar;
mod connection;
mod error;
mod irq;
mod pulse;
mod windows;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hwpool_devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use vfio_bindings::bindings::vfio;

use bar::{Region, Unmapped};
pub use bar::{UserBar, UserDoorbell, UserWrite};
use connection::{CallError, Connection};
pub use error::ClientError;
pub use irq::UserIrq;
use pulse::Pulse;
use windows::Window;

use super::codec::{
    Command, DeviceInfo, DmaMap, DmaUnmap, IoFds, IoFdsRequest, IrqInfo, RegionInfo,
    RegionInfoRequest,
};
use super::sync::lock;

/// How long a server may take to answer unless the address says otherwise (`?timeout-ms=N`).
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A PCI function behind a vfio-user socket.
#[derive(Debug)]
pub struct Client {
    name: String,
    connection: Arc<Connection>,
    regions: Vec<Arc<Region>>,
    resettable: bool,
    vectors: u16,
    /// The eventfds of vectors that are enabled.
    irqs: Mutex<BTreeMap<u16, Arc<OwnedFd>>>,
    pulse: Arc<Pulse>,
}

impl Client {
    /// Connects to the server at `path` and learns what its device offers. `name` is what messages call it.
    ///
    /// Blocks for `patience` at most for each answer: a server that serves one client after the other answers when the
    /// client before has gone.
    ///
    /// # Errors
    ///
    /// No server, a silent one, one that refuses or breaks the protocol, or a device that is no PCI function.
    pub fn open(path: &str, name: &str, patience: Duration) -> Result<Client, ClientError> {
        let socket =
            connection::connect(path, patience).map_err(|source| ClientError::Connect {
                path: path.into(),
                source,
            })?;
        Client::over(socket, name, patience)
    }

    /// Opens the device at the other end of a connected socket, as [`Client::open`].
    ///
    /// # Errors
    ///
    /// As for [`Client::open`].
    pub fn from_stream(
        stream: UnixStream,
        name: &str,
        patience: Duration,
    ) -> Result<Client, ClientError> {
        Client::over(stream.into(), name, patience)
    }

    /// Has DMA mappings go without their files from now on, so that the server reaches memory by messages alone, as that
    /// of a client who has none to share. A thread answers it. For who tries a server; it is slow.
    ///
    /// # Errors
    ///
    /// The thread can't be started.
    pub fn without_files(self) -> Result<Client, ClientError> {
        let started = self.connection.go_without_files();
        started.map_err(|error| {
            ClientError::Server(format!(
                "the thread that answers its server can't be started: {error}"
            ))
        })?;
        Ok(self)
    }

    fn over(socket: OwnedFd, name: &str, patience: Duration) -> Result<Client, ClientError> {
        let connection = Arc::new(Connection::negotiate(socket, patience)?);
        let (command, all) = (Command::DeviceGetInfo, DeviceInfo::default());
        let info = connection.ask(command, |message| all.encode(message), DeviceInfo::decode)?;
        if !info.pci {
            return Err(ClientError::NotPci);
        }
        let count = info.regions.min(vfio::VFIO_PCI_NUM_REGIONS);
        let mut unmapped = Unmapped::default();
        let region = |index| region(&connection, index, &mut unmapped).map(Arc::new);
        let regions = (0..count)
            .map(region)
            .collect::<Result<Vec<_>, CallError>>()?;
        unmapped.tell();
        let vectors = vectors(&connection, info.irqs)?;
        Ok(Client {
            name: name.into(),
            pulse: Arc::new(Pulse::new(&connection)),
            connection,
            regions,
            resettable: info.resettable,
            vectors,
            irqs: Mutex::default(),
        })
    }

    /// Asks for the parts of a region whose writes may be signalled by descriptors instead of messages, as a hypervisor
    /// does for its guest. A server without such parts returns none.
    ///
    /// # Errors
    ///
    /// The server refuses, or is gone.
    pub fn region_io_fds(&self, region: u32) -> Result<(IoFds, Vec<OwnedFd>), BusError> {
        let command = Command::GetRegionIoFds;
        let request = IoFdsRequest {
            argsz: 4096,
            index: region,
        };
        let answer = self.connection.call(
            command,
            &[],
            |message| request.encode(message),
            |payload, fds| Ok((IoFds::decode(payload)?, fds)),
        );
        answer.map_err(|error| error.on_bus(command))
    }

    fn region(&self, index: u32) -> Option<&Arc<Region>> {
        self.regions
            .get(index as usize)
            .filter(|region| region.info.size > 0)
    }

    fn config(&self) -> Result<UserBar, BusError> {
        let region = self.region(vfio::VFIO_PCI_CONFIG_REGION_INDEX);
        let region = region.ok_or(BusError::OutOfRange {
            offset: 0,
            width: 4,
            len: 0,
        })?;
        Ok(UserBar::new(&self.connection, region))
    }
}

fn region(
    connection: &Connection,
    index: u32,
    unmapped: &mut Unmapped,
) -> Result<Region, CallError> {
    let command = Command::GetRegionInfo;
    let mut argsz = RegionInfo::SIZE as u32;
    loop {
        let request = RegionInfoRequest { argsz, index };
        let (info, fds) = connection.call(
            command,
            &[],
            |message| request.encode(message),
            |payload, fds| Ok((RegionInfo::decode(payload)?, fds)),
        )?;
        // The first answer tells how much there is. More than a page of areas is no sane device's.
        if info.argsz <= argsz || argsz > RegionInfo::SIZE as u32 {
            return Ok(Region::new(index, info, fds, unmapped));
        }
        argsz = info.argsz.min(4096);
    }
}

fn vectors(connection: &Connection, kinds: u32) -> Result<u16, CallError> {
    let index = vfio::VFIO_PCI_MSIX_IRQ_INDEX;
    if kinds <= index {
        return Ok(0);
    }
    let request = IrqInfo {
        index,
        ..IrqInfo::default()
    };
    let info = connection.ask(
        Command::GetIrqInfo,
        |message| request.encode(message),
        IrqInfo::decode,
    )?;
    // MSI-X has 2048 vectors at most.
    Ok(info.count.min(2048) as u16)
}

impl Transport for Client {
    type Bar = UserBar;
    type Irq = UserIrq;

    fn name(&self) -> &str {
        &self.name
    }

    fn bar(&self, index: u8) -> Result<UserBar, BusError> {
        let region = self.region(index.into()).filter(|_| index < 6);
        let region = region.ok_or(BusError::NoBar { bar: index })?;
        Ok(UserBar::new(&self.connection, region))
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        self.config()?.ask32(offset.into())
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.config()?.tell(offset.into(), &value.to_le_bytes())
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.config()?.tell(offset.into(), &value.to_le_bytes())
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(self.vectors)
    }

    fn irq(&self, vector: u16) -> Result<UserIrq, BusError> {
        if vector >= self.vectors {
            return Err(BusError::NoVector {
                vector,
                count: self.vectors,
            });
        }
        let mut irqs = lock(&self.irqs);
        let eventfd = match irqs.get(&vector) {
            Some(eventfd) => Arc::clone(eventfd),
            None => {
                let eventfd = Arc::new(irq::enable(&self.connection, vector)?);
                irqs.insert(vector, Arc::clone(&eventfd));
                eventfd
            }
        };
        Ok(UserIrq::new(&self.connection, &self.pulse, eventfd))
    }

    fn reset(&self) -> Result<(), BusError> {
        if !self.resettable {
            return Err(BusError::Reset {
                cause: "the server says that its device can't be reset".into(),
            });
        }
        let answer = self
            .connection
            .ask(Command::DeviceReset, |_| (), |_| Ok(()));
        answer.map_err(|error| match error {
            CallError::Gone(evidence) => BusError::Gone { evidence },
            refused => BusError::Reset {
                cause: refused.to_string(),
            },
        })
    }

    /// The protocol names page sizes and how many mappings, and no ranges: these are 48 bits without the window where
    /// a function's memory writes mean interrupts on x86, which is what an IOMMU there offers.
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        let peer = self.connection.peer();
        let used = self.connection.windows().len() as u64;
        Ok(DmaLimits {
            ranges: vec![0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1],
            page_sizes: peer.pgsizes,
            entries_left: peer.max_dma_maps.saturating_sub(used),
        })
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        let window = Window::new(source).map_err(|error| DmaError::Os {
            call: "dup",
            errno: error.raw_os_error().unwrap_or(0),
            hint: error.to_string(),
        })?;
        let peer = self.connection.peer();
        self.connection.windows().add(iova, window, peer)?;
        let request = DmaMap {
            readable: true,
            writable: true,
            offset: match self.connection.is_without_files() {
                true => 0,
                false => source.offset,
            },
            address: iova.0,
            size: source.len,
        };
        let command = Command::DmaMap;
        let encode = |message: &mut Vec<u8>| request.encode(message);
        let files = match self.connection.is_without_files() {
            true => &[][..],
            false => &[source.file],
        };
        let answer = self.connection.call(command, files, encode, |_, _| Ok(()));
        answer.map_err(|error| {
            self.connection.windows().remove(iova, source.len);
            error.on_dma(command, iova, source.len, peer.max_dma_maps)
        })
    }

    /// Without a connection there is nothing left to ask for: no message is served any more, and a server that loses its
    /// client should unmap its memory and close its files (vfio-user specification, Client Disconnection). One that hangs
    /// may be late with it. Its stores go to pages of the file then, which are nobody else's before it lets go of them:
    /// who frees the memory is not reached, and who keeps it to use it again should know that the server has ended.
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        if !self.connection.windows().has(iova, len) {
            return Err(DmaError::NotMapped { iova, len });
        }
        let request = DmaUnmap {
            all: false,
            dirty_pages: false,
            address: iova.0,
            size: len,
        };
        let command = Command::DmaUnmap;
        let answer = self
            .connection
            .ask(command, |message| request.encode(message), |_| Ok(()));
        match answer {
            Ok(()) | Err(CallError::Gone(_)) => {
                self.connection.windows().remove(iova, len);
                Ok(())
            }
            Err(refused) => Err(refused.on_dma(command, iova, len, 0)),
        }
    }

    fn now(&self) -> Duration {
        self.pulse.now()
    }

    /// Mostly a spin hint; now and then it looks whether the server wants something or is gone, sees to it that time goes
    /// on, and gives the core away, which the server may need.
    fn relax(&self) {
        thread_local!(static CALLS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        match calls % 64 {
            0 => {
                self.connection.serve_peer();
                self.pulse.beat();
                thread::yield_now();
            }
            _ => std::hint::spin_loop(),
        }
    }
}
