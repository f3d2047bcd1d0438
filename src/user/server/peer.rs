//! One client, as the server and its device see it: messages, and the way back to its memory.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errno::Errno;
use super::mappings::Mappings;
use crate::user::channel::{self, ChannelError, MAX_DATA, MAX_FDS, Message, Receiver};
use crate::user::codec::{Capabilities, Command, DmaAccess, Header};

/// How long a client may take to say which version it speaks, to send the rest of a message, to read a reply, or to
/// answer when the device reaches for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The client that a call comes from. A device reaches its memory by messages, whether or not a file came along.
pub struct Peer {
    socket: Arc<OwnedFd>,
    patience: Duration,
    receiver: Receiver,
    next_id: u16,
    /// Commands that came while the device reached for memory.
    waiting: Waiting,
    pub(super) mappings: Mappings,
    /// The client waits for no reply to the command that is acted on.
    pub(super) posted: bool,
    /// What the client can take; `None` before it said so.
    pub(super) capabilities: Option<Capabilities>,
    /// The smallest page that the client was told, in bytes.
    pub(super) page: u64,
}

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
        let most = self.piece();
        self.check(iova, data.len(), false)?;
        let mut address = iova;
        for piece in data.chunks_mut(most) {
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

    /// Writes the client's memory by VFIO_USER_DMA_WRITE. Blocks for a round trip, for the server's patience at most.
    ///
    /// # Errors
    ///
    /// EFAULT: not mapped for writing, or the client refuses. EIO: the client does not answer; it is cut off then.
    pub fn dma_write(&mut self, iova: u64, data: &[u8]) -> Result<(), Errno> {
        let most = self.piece();
        self.check(iova, data.len(), true)?;
        let mut address = iova;
        for piece in data.chunks(most) {
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

    pub(super) fn new(socket: Arc<OwnedFd>, patience: Duration) -> Peer {
        Peer {
            receiver: Receiver::new(Arc::clone(&socket), None),
            socket,
            patience,
            next_id: 0,
            waiting: Waiting::default(),
            mappings: Mappings::default(),
            posted: false,
            capabilities: None,
            page: Capabilities::default().smallest_page(),
        }
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
        if let Some(message) = self.waiting.take() {
            return Ok(message);
        }
        match self.capabilities {
            Some(_) => self.receiver.next_begun(payload, self.patience),
            None => self
                .receiver
                .next(payload, Some((greeted_by, self.patience))),
        }
    }

    /// Sends a message, with its descriptors.
    pub(super) fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        channel::send(&self.socket, message, fds, self.patience)
    }

    /// Sends a command to the client and waits for its reply; commands that come meanwhile wait.
    fn ask(&mut self, command: Command, body: impl FnOnce(&mut Vec<u8>)) -> Result<Message, Errno> {
        self.next_id = self.next_id.wrapping_add(1);
        let header = Header::command(self.next_id, command);
        let mut out = Vec::new();
        header.write(&mut out, body);
        self.send(&out, &[]).map_err(|_| Errno::EIO)?;
        let deadline = Instant::now() + self.patience;
        while let Ok(message) = self
            .receiver
            .next(Vec::new(), Some((deadline, self.patience)))
        {
            let got = message.header;
            if got.is_reply() && (got.id, got.command) == (header.id, header.command) {
                return match (got.is_error(), message.flaw) {
                    (false, None) => Ok(message),
                    _ => Err(Errno::EFAULT),
                };
            }
            let is_kept = !got.is_command() || self.waiting.keep(message);
            // One that never falls silent never answers either.
            if !is_kept || Instant::now() >= deadline {
                break;
            }
        }
        // Without its answer nothing that it holds can be relied on.
        channel::hang_up(&*self.socket);
        Err(Errno::EIO)
    }

    /// Returns how many bytes go into one message.
    fn piece(&self) -> usize {
        let most = self
            .capabilities
            .as_ref()
            .map_or(1, |client| client.max_data_xfer_size);
        usize::try_from(most).unwrap_or(MAX_DATA).clamp(1, MAX_DATA)
    }

    fn check(&self, iova: u64, len: usize, writing: bool) -> Result<(), Errno> {
        match self.mappings.allows(iova, len as u64, writing) {
            true => Ok(()),
            false => Err(Errno::EFAULT),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("capabilities", &self.capabilities)
            .field("mappings", &self.mappings)
            .field("posted", &self.posted)
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
    /// As many as a client has under way that posts without a break for a round trip.
    const MOST: usize = 256;
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
