//! What the targets with a socket share: an input becomes messages, some with descriptors, sent as a peer would.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use hwpool::user::codec::{Capabilities, Command, Header, Version};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Bytes of the file behind each descriptor that is sent.
const FILE_SIZE: u64 = 0x4000;
/// Bytes that one side sends at most, and calls it makes: both must fit into the socket before anybody reads.
const MOST_BYTES: usize = 48 << 10;
const MOST_CALLS: u32 = 48;

/// One end of a socket, and a file that goes along with messages.
pub struct Wire {
    pub stream: UnixStream,
    pub file: File,
    sent: usize,
    calls: u32,
}

impl Wire {
    /// Returns our end and the one to test.
    pub fn new() -> (Wire, UnixStream) {
        let (stream, theirs) = UnixStream::pair().expect("a pair of sockets");
        let file = File::from(memfd_create(c"fuzz", MFdFlags::MFD_CLOEXEC).expect("a file"));
        file.set_len(FILE_SIZE).expect("a size");
        let wire = Wire {
            stream,
            file,
            sent: 0,
            calls: 0,
        };
        (wire, theirs)
    }

    /// Sends bytes, with the file as often as `fds` says. What would have to wait for a reader is left out.
    pub fn send(&mut self, bytes: &[u8], fds: usize) {
        self.sent += bytes.len();
        self.calls += 1;
        if self.sent > MOST_BYTES || self.calls > MOST_CALLS || bytes.is_empty() {
            return;
        }
        let raw: Vec<RawFd> = vec![self.file.as_raw_fd(); fds];
        let rights = [ControlMessage::ScmRights(&raw)];
        let controls = if fds == 0 { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let _ = sendmsg::<()>(self.stream.as_raw_fd(), &parts, controls, flags, None);
    }

    /// Reads and drops whatever comes, until the other end closes.
    pub fn drain(&self) -> JoinHandle<()> {
        let mut replies = self.stream.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while replies.read(&mut buffer).is_ok_and(|n| n > 0) {}
        })
    }
}

/// Splits the next message off: a byte of command, one of flags, one of length, the payload. The top flags say how many
/// descriptors go along.
pub fn split_message(input: &[u8]) -> Option<(Header, &[u8], usize, &[u8])> {
    let [command, flags, len, rest @ ..] = input else {
        return None;
    };
    let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
    let header = Header {
        command: u16::from(*command),
        flags: u32::from(*flags & 0x3f),
        error: u32::from(*len),
        ..Header::command(1, Command::Version)
    };
    Some((header, payload, usize::from(*flags >> 6), rest))
}

/// Makes a message.
pub fn message(header: &Header, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Vec::new();
    header.write(&mut message, body);
    message
}

/// The version that both sides open a conversation with.
pub fn version() -> Version {
    let capabilities = Capabilities {
        write_multiple: true,
        ..Capabilities::default()
    };
    Version {
        major: 0,
        minor: 1,
        capabilities,
    }
}
