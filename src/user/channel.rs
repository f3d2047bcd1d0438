//! One stream socket: whole messages in, whole messages out, with descriptors.
//!
//! A [`Receiver`] collects bytes until a message is complete, however the peer has cut it up, and allocates for what
//! has come, never for what was announced. Received descriptors are closed on exec.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, Shutdown, sendmsg, setsockopt, shutdown, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::codec::{CodecError, HEADER_SIZE, Header};

/// Bytes of data in one read or write that this side takes.
pub(super) const MAX_DATA: usize = 1 << 20;
/// Longest message that is taken; longer ones are drained.
const MAX_MESSAGE: usize = MAX_DATA + 4096;
/// Descriptors in one message that this side takes.
pub(super) const MAX_FDS: usize = 64;
/// What it says it takes: QEMU won't attach to a server that announces more (VFIO_USER_MAX_MAX_FDS).
pub(super) const ANNOUNCED_FDS: usize = 16;
/// Descriptors that the kernel lets through in one call (SCM_MAX_FD): with room for them none gets lost unseen.
const KERNEL_MAX_FDS: usize = 253;
/// Bytes that a receiver begins with.
const FIRST_BUFFER: usize = 8192;

/// Why no message was sent or received. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    #[error("the peer has closed the connection")]
    Closed,
    #[error("the peer was silent for {0:?}")]
    Deadline(Duration),
    #[error("{call} failed: {errno}")]
    Os { call: &'static str, errno: Errno },
    #[error("the peer sent nonsense: {0}")]
    Codec(CodecError),
}

impl From<CodecError> for ChannelError {
    fn from(error: CodecError) -> ChannelError {
        ChannelError::Codec(error)
    }
}

/// A message that has come.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    /// Empty when the message was too long.
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// Why it can't be acted on, whatever it says.
    pub(super) flaw: Option<Errno>,
}

/// Sets the times after which calls on `socket` give up.
pub(super) fn set_patience(
    socket: &impl AsFd,
    receive: Option<Duration>,
    send: Duration,
) -> io::Result<()> {
    let time =
        |time: Duration| TimeVal::microseconds(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    if let Some(receive) = receive {
        setsockopt(socket, sockopt::ReceiveTimeout, &time(receive))?;
    }
    setsockopt(socket, sockopt::SendTimeout, &time(send))?;
    Ok(())
}

/// Takes a descriptor over that a call has just opened.
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: callers pass what a system call has returned to them and nobody else: it is open and theirs.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Ends a connection for both directions and everybody who waits on it.
pub(super) fn hang_up(socket: &impl AsRawFd) {
    // Fails only where the connection is gone already.
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
}

/// Sends a message, with its descriptors; blocks for `patience` at most.
///
/// Not by a call that blocks: its limit would be one for each piece that the kernel cuts the message into, so that a
/// peer who takes a little now and then could hold us for as long as it likes.
pub(super) fn send(
    socket: &OwnedFd,
    message: &[u8],
    fds: &[BorrowedFd<'_>],
    patience: Duration,
) -> Result<(), ChannelError> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let mut controls = if raw.is_empty() { &[][..] } else { &rights[..] };
    let mut rest = message;
    let mut deadline = None;
    while !rest.is_empty() {
        let parts = [io::IoSlice::new(rest)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match sendmsg::<()>(socket.as_raw_fd(), &parts, controls, flags, None) {
            Ok(sent) => {
                rest = &rest[sent..];
                controls = &[]; // they went with the first bytes
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let now = Instant::now();
                let left = deadline
                    .get_or_insert(now + patience)
                    .saturating_duration_since(now);
                if !is_ready(socket, PollFlags::POLLOUT, left) {
                    return Err(ChannelError::Deadline(patience));
                }
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ChannelError::Closed),
            Err(errno) => {
                return Err(ChannelError::Os {
                    call: "sendmsg",
                    errno,
                });
            }
        }
    }
    Ok(())
}

/// Waits until `socket` can be read or `patience` is over; tells which.
pub(super) fn is_readable(socket: &OwnedFd, patience: Duration) -> bool {
    is_ready(socket, PollFlags::POLLIN, patience)
}

/// Waits until one of these can be read, for ever.
pub(super) fn wait_for_any(fds: [BorrowedFd<'_>; 2]) -> Result<(), ChannelError> {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(ChannelError::Os {
            call: "poll",
            errno,
        }),
    }
}

fn is_ready(socket: &OwnedFd, what: PollFlags, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a wait that ends early would be followed by one that nothing ends.
        let left = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(socket.as_fd(), what)];
        match poll(&mut fds, timeout) {
            Ok(ready) if ready > 0 => return true,
            _ if Instant::now() >= deadline => return false,
            _ => {}
        }
    }
}

/// The incoming half of a socket.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: Arc<OwnedFd>,
    /// How long the kernel lets a call wait, if [`set_patience`] said so.
    patience: Option<Duration>,
    buffer: Vec<u8>,
    /// What has come and was not taken yet.
    start: usize,
    end: usize,
    /// Bytes of a message that is too long, still to come.
    skip: u64,
    /// Bytes that have come and were taken, since the beginning.
    taken: u64,
    /// Descriptors with the place in the stream up to which they came.
    fds: Vec<(u64, OwnedFd)>,
    /// A place in the stream up to which descriptors got lost.
    lost_at: Option<u64>,
}

impl Receiver {
    pub(super) fn new(socket: Arc<OwnedFd>, patience: Option<Duration>) -> Receiver {
        Receiver {
            socket,
            patience,
            buffer: vec![0; FIRST_BUFFER],
            start: 0,
            end: 0,
            skip: 0,
            taken: 0,
            fds: Vec::new(),
            lost_at: None,
        }
    }

    /// Tells whether bytes wait here that no poll of the socket shows.
    pub(super) fn has_bytes(&self) -> bool {
        self.end > self.start
    }

    /// Waits for the next message and returns it; `payload` is an empty vector to use again.
    ///
    /// Without a deadline it waits for ever, or as long as [`set_patience`] said.
    pub(super) fn next(
        &mut self,
        payload: Vec<u8>,
        deadline: Option<(Instant, Duration)>,
    ) -> Result<Message, ChannelError> {
        loop {
            self.drop_skipped();
            if let Some(message) = self.take_message()? {
                return Ok(self.fill_in(message, payload));
            }
            if let Some((deadline, patience)) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ChannelError::Deadline(patience));
                }
            }
            self.receive(deadline)?;
        }
    }

    /// Waits for the next message as long as it takes to begin, and for what follows its first byte `patience` at most.
    pub(super) fn next_begun(
        &mut self,
        payload: Vec<u8>,
        patience: Duration,
    ) -> Result<Message, ChannelError> {
        let mut begun: Option<Instant> = None;
        loop {
            self.drop_skipped();
            if let Some(message) = self.take_message()? {
                return Ok(self.fill_in(message, payload));
            }
            if !self.has_bytes() && self.skip == 0 {
                begun = None;
                self.receive(None)?;
                continue;
            }
            let deadline = *begun.get_or_insert_with(Instant::now) + patience;
            if Instant::now() >= deadline {
                return Err(ChannelError::Deadline(patience));
            }
            self.receive(Some((deadline, patience)))?;
        }
    }

    /// Finds the bytes of the next message, once they are all there.
    fn take_message(&mut self) -> Result<Option<Found>, ChannelError> {
        let bytes = &self.buffer[self.start..self.end];
        if bytes.len() < HEADER_SIZE {
            return Ok(None);
        }
        let header = Header::decode(bytes)?;
        let size = header.size as usize;
        if size > MAX_MESSAGE {
            self.skip = size as u64;
            return Ok(Some(Found {
                header,
                payload: 0..0,
                too_long: true,
            }));
        }
        if bytes.len() < size {
            return Ok(None);
        }
        let payload = self.start + HEADER_SIZE..self.start + size;
        Ok(Some(Found {
            header,
            payload,
            too_long: false,
        }))
    }

    fn fill_in(&mut self, found: Found, mut payload: Vec<u8>) -> Message {
        payload.clear();
        payload.extend_from_slice(&self.buffer[found.payload.clone()]);
        let end = self.taken + u64::from(found.header.size);
        let lost = self.lost_at.is_some_and(|at| at <= end);
        let mut fds = Vec::new();
        if !self.fds.is_empty() {
            fds.extend(
                self.fds
                    .extract_if(.., |(at, _)| *at <= end)
                    .map(|(_, fd)| fd),
            );
        }
        if lost {
            self.lost_at = None;
        }
        if !found.too_long {
            self.consume(found.header.size as usize);
        }
        Message {
            header: found.header,
            payload,
            fds,
            flaw: match (found.too_long, lost) {
                (true, _) => Some(Errno::EMSGSIZE),
                (_, true) => Some(Errno::EMFILE),
                _ => None,
            },
        }
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.taken += len as u64;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Drops what has come of a message that is too long.
    fn drop_skipped(&mut self) {
        if self.skip == 0 {
            return;
        }
        let here = self.skip.min((self.end - self.start) as u64);
        self.skip -= here;
        self.consume(here as usize);
        let taken = self.taken;
        self.fds.retain(|(at, _)| *at > taken);
    }

    /// Makes room behind what is there: by moving it to the front, else by a larger buffer.
    fn make_room(&mut self) {
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            let len = (self.buffer.len() * 2).min(MAX_MESSAGE + FIRST_BUFFER);
            self.buffer.resize(len, 0);
        }
    }

    /// Takes what the socket has.
    fn receive(&mut self, deadline: Option<(Instant, Duration)>) -> Result<(), ChannelError> {
        self.make_room();
        let mut control = Control([0; CONTROL_WORDS]);
        let received = loop {
            if let Some((deadline, patience)) = deadline
                && self.patience.is_none()
                && !is_readable(
                    &self.socket,
                    deadline.saturating_duration_since(Instant::now()),
                )
            {
                return Err(ChannelError::Deadline(patience));
            }
            match receive_some(&self.socket, &mut self.buffer[self.end..], &mut control) {
                Err(Errno::EINTR) => {}
                result => break result,
            }
        };
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN) => {
                return Err(ChannelError::Deadline(self.patience.unwrap_or_default()));
            }
            Err(Errno::ECONNRESET) => return Err(ChannelError::Closed),
            Err(errno) => {
                return Err(ChannelError::Os {
                    call: "recvmsg",
                    errno,
                });
            }
        };
        self.end += received.bytes;
        self.keep_fds(received.fds, received.lost);
        match received.bytes {
            0 => Err(ChannelError::Closed),
            _ => Ok(()),
        }
    }

    /// Notes where in the stream descriptors came: the kernel ends a read behind the bytes that brought some, so they
    /// belong to the message that the last of these bytes is a part of.
    fn keep_fds(&mut self, fds: Vec<OwnedFd>, lost: bool) {
        let place = self.taken + (self.end - self.start) as u64;
        let room = MAX_FDS - self.fds.len().min(MAX_FDS);
        if lost || fds.len() > room {
            self.lost_at = Some(place);
        }
        self.fds
            .extend(fds.into_iter().take(room).map(|fd| (place, fd)));
    }
}

/// Where a complete message lies in the buffer.
struct Found {
    header: Header,
    payload: std::ops::Range<usize>,
    too_long: bool,
}

const CONTROL_WORDS: usize = KERNEL_MAX_FDS * size_of::<RawFd>() / 8 + 8;

/// Room for control messages, aligned as they need.
struct Control([u64; CONTROL_WORDS]);

/// What one call brought.
struct Received {
    bytes: usize,
    fds: Vec<OwnedFd>,
    /// The kernel had more descriptors than it could give, as when the process has too many open.
    lost: bool,
}

/// Calls recvmsg once.
///
/// Not by `nix`, whose view of a truncated control message gives no way to close the descriptors that did come.
fn receive_some(
    socket: &OwnedFd,
    space: &mut [u8],
    control: &mut Control,
) -> Result<Received, Errno> {
    let mut part = libc::iovec {
        iov_base: space.as_mut_ptr().cast(),
        iov_len: space.len(),
    };
    // SAFETY: msghdr consists of integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `header` names two pieces of memory, `space` and `control`, with their true lengths; both are borrowed
    // for longer than the call.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
    let bytes = Errno::result(bytes)? as usize;
    Ok(Received {
        bytes,
        fds: if header.msg_controllen == 0 {
            Vec::new()
        } else {
            descriptors(&header)
        },
        lost: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Takes the descriptors out of what recvmsg returned.
fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: recvmsg has filled `header`, whose control buffer is aligned and still borrowed; these macros walk it
    // and end with null.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: as above: not null, so it is a control message within the buffer.
    while let Some(message) = unsafe { control.as_ref() } {
        if (message.cmsg_level, message.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: the header's own length is what the kernel wrote, or cut to what it wrote.
            let data = unsafe { libc::CMSG_DATA(control) };
            // SAFETY: the pointers lie in one control message, header before data.
            let before = unsafe { data.offset_from(control.cast()) } as usize;
            let count = message.cmsg_len.saturating_sub(before) / size_of::<RawFd>();
            for i in 0..count {
                // SAFETY: i < count numbers lie behind `data`, which need not be aligned for them.
                let fd = unsafe { data.cast::<RawFd>().add(i).read_unaligned() };
                // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    fds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;

    #[test]
    fn a_peer_that_takes_a_little_now_and_then_is_given_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = OwnedFd::from(ours);
        let patience = Duration::from_millis(100);
        let (end, ended) = channel::<()>();
        // Often enough that no single call has to wait for as long as the patience.
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while ended.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
                let _ = theirs.read(&mut buffer);
            }
        });
        let sent = send(&ours, &vec![0; 32 << 20], &[], patience);
        drop(end);
        reader.join().unwrap();
        assert!(matches!(sent, Err(ChannelError::Deadline(_))), "{sent:?}");
    }

    #[test]
    fn a_wait_never_ends_early() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let started = Instant::now();
        assert!(!is_readable(&ours.into(), Duration::from_micros(2_500)));
        assert!(started.elapsed() >= Duration::from_micros(2_500));
    }
}
