//! One client, as the server and its device see it: messages, and the way back to its memory.
//!
//! Two threads may wait for what the client sends: the server's for commands, and one of the device's for the answer when
//! it reaches for memory. Whoever holds [`Incoming`] receives; what is the other's is kept, and a bell tells of it. So
//! neither waits for the other, whichever of the device's locks one of them holds.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::errno::Errno;
use super::mappings::Mappings;
use crate::user::channel::{self, ChannelError, MAX_DATA, MAX_FDS, Message, Receiver};
use crate::user::codec::{Capabilities, Command, DmaAccess, Header};
use crate::user::sync::lock;

/// How long a client may take to say which version it speaks, to send the rest of a message, to read a reply, or to
/// answer when the device reaches for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The client that a call comes from. A device reaches its memory by messages, whether or not a file came along.
#[derive(Debug)]
pub struct Peer {
    wire: Arc<Wire>,
    /// The client waits for no reply to the command that is acted on.
    pub(super) posted: bool,
    /// What the client can take; `None` before it said so.
    pub(super) capabilities: Option<Capabilities>,
    /// The smallest page that the client was told, in bytes.
    pub(super) page: u64,
}

/// A client's memory, for any thread of the device: reached by messages, a round trip each. A client that has gone
/// refuses all.
#[derive(Debug, Clone)]
pub struct ClientMemory(Arc<Wire>);

impl Peer {
    /// Tells whether the client waits for no reply: what it stored to mapped memory may be older or younger than the
    /// access that is acted on. Else all of it is older.
    pub fn is_posted(&self) -> bool {
        self.posted
    }

    /// Reads the client's memory by VFIO_USER_DMA_READ. Blocks for a round trip, for the server's patience at most.
    ///
    /// # Errors
    ///
    /// EFAULT: not mapped for reading, or the client refuses. EIO: the client does not answer; it is cut off then.
    pub fn dma_read(&mut self, iova: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.wire.read(iova, data)
    }

    /// Writes the client's memory by VFIO_USER_DMA_WRITE. Blocks for a round trip, for the server's patience at most.
    ///
    /// # Errors
    ///
    /// EFAULT: not mapped for writing, or the client refuses. EIO: the client does not answer; it is cut off then.
    pub fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), Errno> {
        self.wire.write(iova, data)
    }

    /// Returns the way to the client's memory for other threads of the device. From then on each command costs the server
    /// one system call more.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn memory(&self) -> Result<ClientMemory, Errno> {
        if self.wire.bell.get().is_none() {
            let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
            // Set by the server's thread alone.
            let _ = self.wire.bell.set(bell.map_err(Errno::of)?);
        }
        Ok(ClientMemory(Arc::clone(&self.wire)))
    }

    pub(super) fn new(socket: Arc<OwnedFd>, patience: Duration) -> Peer {
        Peer {
            wire: Arc::new(Wire::new(socket, patience)),
            posted: false,
            capabilities: None,
            page: Capabilities::default().smallest_page(),
        }
    }

    /// What the client lets the device reach.
    pub(super) fn mappings(&self) -> MutexGuard<'_, Mappings> {
        lock(&self.wire.mappings)
    }

    /// Notes what the client can take.
    pub(super) fn greeted(&mut self, capabilities: Capabilities) {
        let most = usize::try_from(capabilities.max_data_xfer_size).unwrap_or(MAX_DATA);
        let most = match most.clamp(1, MAX_DATA) {
            words @ 8.. => words & !7, // no word in two pieces
            bytes => bytes,
        };
        self.wire.most_data.store(most, Ordering::Relaxed);
        self.capabilities = Some(capabilities);
    }

    /// Returns the next message, `payload` being an empty vector to use again.
    ///
    /// Between two messages a client may be silent for as long as it likes, for a guest may sleep; one that has not even said
    /// which version it speaks keeps the place of others.
    pub(super) fn next(
        &mut self,
        payload: Vec<u8>,
        greeted_by: Instant,
    ) -> Result<Message, ChannelError> {
        let wire = &*self.wire;
        if self.capabilities.is_none() {
            let deadline = Some((greeted_by, wire.patience));
            return lock(&wire.incoming).receiver.next(payload, deadline);
        }
        loop {
            let mut incoming = wire.incoming_first();
            if let Some(message) = incoming.waiting.take() {
                return Ok(message);
            }
            // Alone it may wait with the lock held. Else only for the rest of a message that has begun.
            let Some(bell) = wire.bell.get() else {
                return incoming.receiver.next_begun(payload, wire.patience);
            };
            if incoming.receiver.has_bytes() || channel::is_readable(&wire.socket, Duration::ZERO) {
                return incoming.receiver.next_begun(payload, wire.patience);
            }
            drop(incoming);
            channel::wait_for_any([wire.socket.as_fd(), bell.as_fd()])?;
            let _ = bell.read(); // that it was not rung is well
        }
    }

    /// Sends a message, with its descriptors.
    pub(super) fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.wire.send(message, fds)
    }

    /// Ends the connection for everybody who waits on it.
    pub(super) fn hang_up(&self) {
        channel::hang_up(&*self.wire.socket);
    }
}

impl ClientMemory {
    /// Reads, as [`Peer::dma_read`].
    ///
    /// # Errors
    ///
    /// As for [`Peer::dma_read`].
    pub fn read(&self, iova: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.0.read(iova, data)
    }

    /// Writes, as [`Peer::dma_write`].
    ///
    /// # Errors
    ///
    /// As for [`Peer::dma_write`].
    pub fn write(&self, iova: u64, data: &[u8]) -> Result<(), Errno> {
        self.0.write(iova, data)
    }
}

/// The socket of a client and what came over it. Locks are taken in the order of the fields.
struct Wire {
    socket: Arc<OwnedFd>,
    patience: Duration,
    incoming: Mutex<Incoming>,
    /// The server's thread wants to receive: who only reaches for memory lets it in first.
    wanted: AtomicBool,
    /// Held while a message goes out, so that none goes into another.
    sending: Mutex<()>,
    mappings: Mutex<Mappings>,
    /// Bytes of data in one message.
    most_data: AtomicUsize,
    /// Tells the server's thread that there are commands which another one has received; there once others may.
    bell: OnceLock<EventFd>,
}

/// What receives, and what it has received for others.
struct Incoming {
    receiver: Receiver,
    next_id: u16,
    /// Commands that came while the device reached for memory.
    waiting: Waiting,
}

impl Wire {
    fn new(socket: Arc<OwnedFd>, patience: Duration) -> Wire {
        let incoming = Incoming {
            receiver: Receiver::new(Arc::clone(&socket), None),
            next_id: 0,
            waiting: Waiting::default(),
        };
        Wire {
            socket,
            patience,
            incoming: Mutex::new(incoming),
            wanted: AtomicBool::new(false),
            sending: Mutex::default(),
            mappings: Mutex::default(),
            most_data: AtomicUsize::new(1),
            bell: OnceLock::new(),
        }
    }

    /// Locks before anybody does who reaches for memory from now on. The server's thread alone comes here.
    fn incoming_first(&self) -> MutexGuard<'_, Incoming> {
        self.wanted.store(true, Ordering::Relaxed);
        let incoming = lock(&self.incoming);
        self.wanted.store(false, Ordering::Relaxed);
        incoming
    }

    fn read(&self, iova: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.check(iova, data.len(), false)?;
        let mut address = iova;
        for piece in data.chunks_mut(self.most_data.load(Ordering::Relaxed)) {
            let access = DmaAccess {
                address,
                count: piece.len() as u64,
            };
            let reply = self.ask(Command::DmaRead, |message| access.encode(message))?;
            let (answered, bytes) =
                DmaAccess::decode_data(&reply.payload).map_err(|_| Errno::EIO)?;
            if answered != access {
                return Err(Errno::EIO);
            }
            piece.copy_from_slice(bytes);
            address = address.wrapping_add(access.count);
        }
        Ok(())
    }

    fn write(&self, iova: u64, data: &[u8]) -> Result<(), Errno> {
        self.check(iova, data.len(), true)?;
        let mut address = iova;
        for piece in data.chunks(self.most_data.load(Ordering::Relaxed)) {
            let access = DmaAccess {
                address,
                count: piece.len() as u64,
            };
            self.ask(Command::DmaWrite, |message| {
                access.encode(message);
                message.extend_from_slice(piece);
            })?;
            address = address.wrapping_add(access.count);
        }
        Ok(())
    }

    fn check(&self, iova: u64, len: usize, writing: bool) -> Result<(), Errno> {
        match lock(&self.mappings).allows(iova, len as u64, writing) {
            true => Ok(()),
            false => Err(Errno::EFAULT),
        }
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let _sending = lock(&self.sending);
        channel::send(&self.socket, message, fds, self.patience)
    }

    /// Sends a command to the client and waits for its reply; commands that come meanwhile wait.
    fn ask(&self, command: Command, body: impl FnOnce(&mut Vec<u8>)) -> Result<Message, Errno> {
        while self.wanted.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let mut incoming = lock(&self.incoming);
        incoming.next_id = incoming.next_id.wrapping_add(1);
        let header = Header::command(incoming.next_id, command);
        let mut out = Vec::new();
        header.write(&mut out, body);
        self.send(&out, &[]).map_err(|_| Errno::EIO)?;
        let answer = incoming.answer(&header, self.patience);
        if let Some(bell) = self.bell.get()
            && (incoming.receiver.has_bytes() || !incoming.waiting.messages.is_empty())
        {
            let _ = bell.write(1); // full: rung already
        }
        answer.unwrap_or_else(|| {
            // Without its answer nothing that it holds can be relied on.
            channel::hang_up(&*self.socket);
            Err(Errno::EIO)
        })
    }
}

impl Incoming {
    /// Waits for the reply to `header`; `None`: there is none.
    fn answer(&mut self, header: &Header, patience: Duration) -> Option<Result<Message, Errno>> {
        let deadline = Instant::now() + patience;
        while let Ok(message) = self.receiver.next(Vec::new(), Some((deadline, patience))) {
            let got = message.header;
            if got.is_reply() && (got.id, got.command) == (header.id, header.command) {
                return Some(match (got.is_error(), message.flaw) {
                    (false, None) => Ok(message),
                    _ => Err(Errno::EFAULT),
                });
            }
            let is_kept = !got.is_command() || self.waiting.keep(message);
            // One that never falls silent never answers either.
            if !is_kept || Instant::now() >= deadline {
                break;
            }
        }
        None
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("mappings", &self.mappings)
            .finish_non_exhaustive()
    }
}

/// Commands of the client's that wait while the device reaches for its memory, in order.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
    fds: usize,
}

impl Waiting {
    /// More than a socket holds, for a client may post until it is full before it looks for what we ask.
    const MOST: usize = 1024;
    /// What they may hold of this process's memory and descriptors.
    const MOST_BYTES: usize = 8 * MAX_DATA;
    const MOST_FDS: usize = 4 * MAX_FDS;

    /// Keeps a message, or tells that there is no room for it.
    fn keep(&mut self, message: Message) -> bool {
        self.bytes += message.payload.len();
        self.fds += message.fds.len();
        self.messages.push_back(message);
        self.messages.len() <= Self::MOST
            && self.bytes <= Self::MOST_BYTES
            && self.fds <= Self::MOST_FDS
    }

    /// Takes the oldest out.
    fn take(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload.len();
        self.fds -= message.fds.len();
        Some(message)
    }
}
