//! One connection to a server: requests with replies, posted requests, and what the server asks of us meanwhile.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, DmaError, Iova};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};

use super::error::ClientError;
use super::windows::Windows;
use crate::user::channel::{self, ChannelError, MAX_DATA, MAX_FDS, Message, Receiver};
use crate::user::codec::{
    Capabilities, CodecError, Command, DeviceInfo, DmaAccess, Header, Version,
};
use crate::user::sync::lock;

/// The version that is proposed: all earlier minor ones are understood.
const MAJOR: u16 = 0;
const MINOR: u16 = 1;

/// Requests of the server's that are served by a call that waits for nothing from it.
const SERVED_AT_ONCE: u32 = 16;

/// A connection that was negotiated.
pub(super) struct Connection {
    socket: Arc<OwnedFd>,
    patience: Duration,
    wire: Mutex<Wire>,
    windows: Mutex<Windows>,
    peer: Capabilities,
    /// DMA mappings go without their files, so that the server has to ask.
    without_files: AtomicBool,
    /// Posted messages may still be under way: no reply has come since.
    in_flight: AtomicBool,
    /// Why there is no connection any more.
    gone: OnceLock<String>,
    /// Tells the thread that answers the server, if there is one, that the connection is dropped.
    bell: OnceLock<Arc<EventFd>>,
}

/// What one request at a time uses.
struct Wire {
    receiver: Receiver,
    next_id: u16,
    /// A message on its way out, and payloads that came, as memory to use again.
    out: Vec<u8>,
    payload: Vec<u8>,
}

/// Why a request has no result.
#[derive(Debug, Clone)]
pub(super) enum CallError {
    /// There is no connection any more; says why.
    Gone(String),
    /// The server answered with an error, 0 where it named none.
    Refused(i32),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Gone(evidence) => f.write_str(evidence),
            CallError::Refused(errno) => {
                write!(
                    f,
                    "the vfio-user server refused with errno {errno} ({})",
                    Errno::from_raw(*errno).desc()
                )
            }
        }
    }
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> ClientError {
        ClientError::Server(error.to_string())
    }
}

impl CallError {
    /// Words it as the error of a call that is no register access.
    pub(super) fn on_bus(self, command: Command) -> BusError {
        match self {
            CallError::Gone(evidence) => BusError::Gone { evidence },
            CallError::Refused(errno) => BusError::Os {
                call: command.name(),
                errno,
                hint: self.to_string(),
            },
        }
    }

    /// Words it as the error of a register access.
    pub(super) fn on_access(self, offset: u64, width: u8) -> BusError {
        match self {
            CallError::Gone(evidence) => BusError::Gone { evidence },
            CallError::Refused(_) => BusError::Failed {
                offset,
                width,
                cause: self.to_string(),
            },
        }
    }

    /// Words it as the error of a DMA mapping.
    pub(super) fn on_dma(self, command: Command, iova: Iova, len: u64, limit: u64) -> DmaError {
        let errno = match &self {
            CallError::Gone(_) => Errno::ENOTCONN as i32,
            CallError::Refused(errno) => *errno,
        };
        match (command, Errno::from_raw(errno)) {
            (Command::DmaMap, Errno::EEXIST) => DmaError::Exists { iova, len },
            (Command::DmaMap, Errno::ENOSPC) => DmaError::NoEntries { limit },
            _ => DmaError::Os {
                call: command.name(),
                errno,
                hint: self.to_string(),
            },
        }
    }
}

/// Connects to a listening socket within `patience`.
pub(super) fn connect(path: &str, patience: Duration) -> io::Result<OwnedFd> {
    let kind = SockType::Stream;
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    // A connect to a server with a full backlog waits as long as a send would.
    channel::set_patience(&socket, None, patience)?;
    let address = UnixAddr::new(path)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

impl Connection {
    /// Agrees on a version.
    pub(super) fn negotiate(
        socket: OwnedFd,
        patience: Duration,
    ) -> Result<Connection, ClientError> {
        let timed = channel::set_patience(&socket, Some(patience), patience);
        timed.map_err(|error| ClientError::Server(format!("can't be waited for: {error}")))?;
        let mut connection = Connection::over(Arc::new(socket), patience);
        let ours = Version {
            major: MAJOR,
            minor: MINOR,
            capabilities: Capabilities {
                max_msg_fds: MAX_FDS as u64,
                max_data_xfer_size: MAX_DATA as u64,
                write_multiple: true,
                ..Capabilities::default()
            },
        };
        let encode = |message: &mut Vec<u8>| ours.encode(message);
        let theirs = connection.ask(Command::Version, encode, Version::decode)?;
        connection.peer = accepted(theirs)?;
        Ok(connection)
    }

    /// Makes a connection whose server has said nothing yet.
    fn over(socket: Arc<OwnedFd>, patience: Duration) -> Connection {
        Connection {
            wire: Mutex::new(Wire {
                receiver: Receiver::new(Arc::clone(&socket), Some(patience)),
                next_id: 0,
                out: Vec::new(),
                payload: Vec::new(),
            }),
            socket,
            patience,
            windows: Mutex::default(),
            peer: Capabilities::default(),
            without_files: AtomicBool::new(false),
            in_flight: AtomicBool::new(false),
            gone: OnceLock::new(),
            bell: OnceLock::new(),
        }
    }

    /// What the server can take.
    pub(super) fn peer(&self) -> &Capabilities {
        &self.peer
    }

    /// What the device may reach.
    pub(super) fn windows(&self) -> MutexGuard<'_, Windows> {
        lock(&self.windows)
    }

    /// Sends no more files along with DMA mappings, and starts a thread that answers what the server asks instead while
    /// nobody else does: a driver may be busy with other things for longer than a server waits.
    pub(super) fn go_without_files(self: &Arc<Connection>) -> io::Result<()> {
        self.without_files.store(true, Ordering::Relaxed);
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let bell = Arc::clone(self.bell.get_or_init(|| Arc::new(bell)));
        let (connection, socket) = (Arc::downgrade(self), Arc::clone(&self.socket));
        let answer = move || {
            while channel::wait_for_any([socket.as_fd(), bell.as_fd()]).is_ok() {
                let Some(connection) = connection.upgrade() else {
                    return;
                };
                // A child of `fork` has dropped its copy.
                let _ = bell.read();
                // Whoever waits for a reply answers meanwhile.
                connection.serve_all(lock(&connection.wire));
                if connection.gone.get().is_some() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("hwpool-user-dma".into());
        thread.spawn(answer).map(drop)
    }

    /// Tells whether DMA mappings go without their files.
    pub(super) fn is_without_files(&self) -> bool {
        self.without_files.load(Ordering::Relaxed)
    }

    /// The socket, to wait for its end.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a request without descriptors, waits for the reply and reads its payload.
    #[inline]
    pub(super) fn ask<R>(
        &self,
        command: Command,
        encode: impl FnOnce(&mut Vec<u8>),
        decode: impl FnOnce(&[u8]) -> Result<R, CodecError>,
    ) -> Result<R, CallError> {
        self.call(command, &[], encode, |payload, _| decode(payload))
    }

    /// Sends a request, waits for the reply and reads its payload and descriptors.
    ///
    /// The request is sent once, whatever happens. A reply that can't be read ends the connection: what the server did
    /// is unknown then.
    pub(super) fn call<R>(
        &self,
        command: Command,
        fds: &[BorrowedFd<'_>],
        encode: impl FnOnce(&mut Vec<u8>),
        decode: impl FnOnce(&[u8], Vec<OwnedFd>) -> Result<R, CodecError>,
    ) -> Result<R, CallError> {
        let mut wire = lock(&self.wire);
        self.check_alive()?;
        let header = Header::command(wire.take_id(), command);
        header.write(&mut wire.out, encode);
        self.send(&wire.out, fds)?;
        let reply = self.await_reply(&mut wire, &header)?;
        let Message {
            header,
            payload,
            fds,
            flaw,
        } = reply;
        let result = match (header.is_error(), flaw) {
            (true, _) => Err(CallError::Refused(i32::try_from(header.error).unwrap_or(0))),
            (_, Some(errno)) => Err(self.fail(format!("sent a reply that was lost: {errno}"))),
            _ => decode(&payload, fds).map_err(|error| self.nonsense(command, &error)),
        };
        wire.payload = payload;
        result
    }

    /// Sends a request that wants no reply.
    pub(super) fn post(
        &self,
        command: Command,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CallError> {
        let mut wire = lock(&self.wire);
        self.check_alive()?;
        let header = Header::posted(wire.take_id(), command);
        header.write(&mut wire.out, encode);
        self.in_flight.store(true, Ordering::Relaxed);
        self.send(&wire.out, &[])
    }

    /// Makes sure that the server has acted on every posted message of this thread's: only doorbells are posted, and
    /// accesses to mapped areas ask this first.
    #[inline]
    pub(super) fn settle(&self) -> Result<(), CallError> {
        match self.in_flight.load(Ordering::Relaxed) {
            false => Ok(()),
            true => self.flush(),
        }
    }

    #[cold]
    fn flush(&self) -> Result<(), CallError> {
        let all = DeviceInfo::default();
        self.ask(
            Command::DeviceGetInfo,
            |message| all.encode(message),
            |_| Ok(()),
        )
    }

    /// Answers what the server asks, if it asks and nobody waits for a reply; notices when it is gone. A server that never
    /// falls silent is served a few requests at a time.
    pub(super) fn serve_peer(&self) {
        if let Ok(wire) = self.wire.try_lock() {
            self.serve_all(wire); // else whoever waits for a reply serves
        }
    }

    fn serve_all(&self, mut wire: MutexGuard<'_, Wire>) {
        let mut left = SERVED_AT_ONCE;
        while self.gone.get().is_none()
            && left > 0
            && (wire.receiver.has_bytes() || channel::is_readable(&self.socket, Duration::ZERO))
        {
            let message = match self.receive(&mut wire, Instant::now() + self.patience) {
                Ok(message) => message,
                Err(_) => return,
            };
            if message.header.is_reply() {
                self.fail("sent a reply that nobody asked for".into());
                return;
            }
            if self.serve(&mut wire, message).is_err() {
                return;
            }
            left -= 1;
        }
    }

    fn check_alive(&self) -> Result<(), CallError> {
        match self.gone.get() {
            None => Ok(()),
            Some(evidence) => Err(CallError::Gone(evidence.clone())),
        }
    }

    /// Ends the connection; later calls say why.
    fn fail(&self, why: String) -> CallError {
        let evidence = format!("the vfio-user server {why}");
        let evidence = self.gone.get_or_init(|| evidence).clone();
        channel::hang_up(&*self.socket);
        CallError::Gone(evidence)
    }

    fn nonsense(&self, command: Command, error: &CodecError) -> CallError {
        self.fail(format!(
            "answered {} with nonsense: {error}",
            command.name()
        ))
    }

    fn lost(&self, error: ChannelError) -> CallError {
        self.fail(match error {
            ChannelError::Closed => "has closed the connection: it died, or it was stopped".into(),
            ChannelError::Deadline(_) => format!(
                "did not answer within {:?}: it hangs, or serves another client",
                self.patience
            ),
            error => format!("can't be reached: {error}"),
        })
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), CallError> {
        let sent = channel::send(&self.socket, message, fds, self.patience);
        sent.map_err(|error| self.lost(error))
    }

    fn receive(&self, wire: &mut Wire, deadline: Instant) -> Result<Message, CallError> {
        let payload = std::mem::take(&mut wire.payload);
        let message = wire.receiver.next(payload, Some((deadline, self.patience)));
        message.map_err(|error| self.lost(error))
    }

    /// Waits for the reply to `request` and serves the peer meanwhile.
    fn await_reply(&self, wire: &mut Wire, request: &Header) -> Result<Message, CallError> {
        let deadline = Instant::now() + self.patience;
        loop {
            let message = self.receive(wire, deadline)?;
            let got = message.header;
            if !got.is_reply() {
                self.serve(wire, message)?;
                // One that asks without end does not answer.
                if Instant::now() >= deadline {
                    return Err(self.lost(ChannelError::Deadline(self.patience)));
                }
            } else if (got.id, got.command) == (request.id, request.command) {
                // The server acts on messages in the order in which they were sent.
                self.in_flight.store(false, Ordering::Relaxed);
                return Ok(message);
            } else {
                return Err(self.fail(format!(
                    "answered message {} of command {} with message {} of command {}",
                    request.id, request.command, got.id, got.command
                )));
            }
        }
    }

    /// Does what the server asks: it may only read and write what it was given.
    fn serve(&self, wire: &mut Wire, message: Message) -> Result<(), CallError> {
        let Message {
            header,
            payload,
            flaw,
            ..
        } = message;
        let result = match flaw {
            Some(errno) => Err(errno),
            None if !header.is_command() => Err(Errno::EINVAL),
            None => self.perform(wire, &header, &payload),
        };
        wire.payload = payload;
        if header.is_posted() {
            return Ok(());
        }
        if let Err(errno) = result {
            header.refusal(errno as i32).write(&mut wire.out, |_| ());
        }
        self.send(&wire.out, &[])
    }

    /// Writes the reply to a command of the server's into `wire.out`.
    fn perform(&self, wire: &mut Wire, header: &Header, payload: &[u8]) -> Result<(), Errno> {
        match Command::from_number(header.command) {
            Some(Command::DmaRead) => {
                let access = DmaAccess::decode(payload).map_err(|_| Errno::EINVAL)?;
                let len = usize::try_from(access.count)
                    .ok()
                    .filter(|len| *len <= MAX_DATA);
                let mut data = vec![0; len.ok_or(Errno::EINVAL)?];
                self.windows().read(access.address, &mut data)?;
                header.reply().write(&mut wire.out, |message| {
                    access.encode(message);
                    message.extend_from_slice(&data);
                });
                Ok(())
            }
            Some(Command::DmaWrite) => {
                let (access, data) = DmaAccess::decode_data(payload).map_err(|_| Errno::EINVAL)?;
                self.windows().write(access.address, data)?;
                header
                    .reply()
                    .write(&mut wire.out, |message| access.encode(message));
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

/// Returns what a server can take that answered with this version, if it can be talked to.
fn accepted(theirs: Version) -> Result<Capabilities, ClientError> {
    let Version {
        major,
        minor,
        mut capabilities,
    } = theirs;
    if major != MAJOR || minor > MINOR {
        return Err(ClientError::Version { major, minor });
    }
    if capabilities.twin_socket {
        let why =
            "insists on a second socket for its commands (twin_socket), which was not proposed";
        return Err(ClientError::Server(format!("the vfio-user server {why}")));
    }
    if capabilities.pgsizes == 0 {
        capabilities.pgsizes = Capabilities::default().pgsizes;
    }
    Ok(capabilities)
}

impl Wire {
    fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(bell) = self.bell.get() {
            let _ = bell.write(1); // full: rung already
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}
