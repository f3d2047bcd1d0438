//! One client: the loop that takes its messages, and the way back to its memory.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::commands;
use super::device::Device;
use super::mappings::Mappings;
use crate::user::channel::{self, ChannelError, MAX_DATA, MAX_FDS, Message, Receiver};
use crate::user::codec::{Capabilities, Command, DmaAccess, Header};

/// How long a client may take to say which version it speaks, to send the rest of a message, to read a reply, or to
/// answer when the device reaches for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The connection to a client.
pub(super) struct Session {
    pub(super) socket: Arc<OwnedFd>,
    patience: Duration,
    receiver: Receiver,
    next_id: u16,
    /// Commands that came while the device reached for memory.
    waiting: Waiting,
    pub(super) mappings: Mappings,
    /// The client waits for no reply to the command that is acted on.
    posted: bool,
    /// What the client can take; `None` before it said so.
    pub(super) client: Option<Capabilities>,
    /// The smallest page that the client was told, in bytes.
    pub(super) page: u64,
    /// The reply on its way out, as memory to use again.
    out: Vec<u8>,
    payload: Vec<u8>,
}

/// What a command is answered with.
pub(super) struct Answer<'a> {
    /// Descriptors that go along.
    pub(super) fds: Vec<BorrowedFd<'a>>,
    /// The connection ends after the answer.
    pub(super) ends: bool,
}

impl Answer<'_> {
    /// Makes an answer without descriptors.
    pub(super) const PLAIN: Answer<'static> = Answer {
        fds: Vec::new(),
        ends: false,
    };
}

/// Serves one client until it goes, breaks the protocol, or the socket is shut down. Nothing of the client's stays.
pub(super) fn serve<D: Device>(
    socket: Arc<OwnedFd>,
    device: &mut D,
    patience: Duration,
) -> ChannelError {
    let mut session = Session::new(socket, patience);
    let end = match session.run(device) {
        Ok(()) => ChannelError::Closed,
        Err(error) => error,
    };
    for (iova, size) in session.mappings.take_all() {
        device.dma_unmap(iova, size);
    }
    device.lines().release_all();
    device.disconnected();
    end
}

impl Session {
    fn new(socket: Arc<OwnedFd>, patience: Duration) -> Session {
        Session {
            receiver: Receiver::new(Arc::clone(&socket), None),
            socket,
            patience,
            next_id: 0,
            waiting: Waiting::default(),
            mappings: Mappings::default(),
            posted: false,
            client: None,
            page: Capabilities::default().smallest_page(),
            out: Vec::new(),
            payload: Vec::new(),
        }
    }

    fn run<D: Device>(&mut self, device: &mut D) -> Result<(), ChannelError> {
        let greeted_by = Instant::now() + self.patience;
        loop {
            let message = match self.waiting.take() {
                Some(message) => message,
                None => self.next(greeted_by)?,
            };
            if !self.handle(device, message)? {
                return Ok(());
            }
        }
    }

    /// Waits for a message. Between two a client may be silent for as long as it likes, for a guest may sleep; one that
    /// has not even said which version it speaks keeps the place of others.
    fn next(&mut self, greeted_by: Instant) -> Result<Message, ChannelError> {
        let payload = std::mem::take(&mut self.payload);
        match self.client {
            Some(_) => self.receiver.next_begun(payload, self.patience),
            None => self
                .receiver
                .next(payload, Some((greeted_by, self.patience))),
        }
    }

    /// Acts on one message; false: the connection ends.
    fn handle<D: Device>(
        &mut self,
        device: &mut D,
        message: Message,
    ) -> Result<bool, ChannelError> {
        let Message {
            header,
            payload,
            fds,
            flaw,
        } = message;
        if !header.is_command() {
            // A reply that nobody waits for: its command was given up.
            self.payload = payload;
            return Ok(true);
        }
        self.posted = header.is_posted();
        let mut out = std::mem::take(&mut self.out);
        header.reply().write(&mut out, |_| ());
        let done = match flaw {
            Some(errno) => Err(errno),
            None => commands::perform(self, device, &header, &payload, fds, &mut out),
        };
        let (fds, ends) = match done {
            Ok(answer) => (answer.fds, answer.ends),
            Err(errno) => {
                header.refusal(errno as i32).write(&mut out, |_| ());
                // Before the versions are agreed upon there is nothing to go on with.
                (Vec::new(), self.client.is_none())
            }
        };
        if !header.is_posted() {
            commands::finish(&mut out);
            channel::send(&self.socket, &out, &fds, self.patience)?;
        }
        drop(fds);
        (self.out, self.payload) = (out, payload);
        Ok(!ends)
    }

    /// Sends a command to the client and waits for its reply; commands that come meanwhile wait.
    fn ask(&mut self, command: Command, body: impl FnOnce(&mut Vec<u8>)) -> Result<Message, Errno> {
        self.next_id = self.next_id.wrapping_add(1);
        let header = Header::command(self.next_id, command);
        let mut out = Vec::new();
        header.write(&mut out, body);
        channel::send(&self.socket, &out, &[], self.patience).map_err(|_| Errno::EIO)?;
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

/// The client's memory, as a device reaches it from inside of a call: by messages, whether or not a file came along.
pub struct Peer<'a> {
    pub(super) session: &'a mut Session,
}

impl Peer<'_> {
    /// Tells whether the client waits for no reply: what it stored to mapped memory may be older or younger than the
    /// access that is acted on. Else all of it is older.
    pub fn is_posted(&self) -> bool {
        self.session.posted
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
            let reply = self.session.ask(Command::DmaRead, |m| access.encode(m))?;
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
            self.session.ask(Command::DmaWrite, |m| {
                access.encode(m);
                m.extend_from_slice(piece);
            })?;
            address = address.wrapping_add(access.count);
        }
        Ok(())
    }

    /// Returns how many bytes go into one message.
    fn piece(&self) -> usize {
        let client = self
            .session
            .client
            .as_ref()
            .map_or(1, |c| c.max_data_xfer_size);
        usize::try_from(client)
            .unwrap_or(MAX_DATA)
            .clamp(1, MAX_DATA)
    }

    fn check(&self, iova: u64, len: usize, writing: bool) -> Result<(), Errno> {
        match self.session.mappings.allows(iova, len as u64, writing) {
            true => Ok(()),
            false => Err(Errno::EFAULT),
        }
    }
}
