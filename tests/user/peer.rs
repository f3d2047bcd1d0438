//! A scripted peer: sends what a test says, byte by byte if need be, and takes messages apart by hand.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hwpool::user::codec::{Capabilities, Command, HEADER_SIZE, Header, Version};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// One end of a socket, with a deadline on every call.
pub(crate) struct Peer(pub(crate) UnixStream);

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// Stay open until the test's process ends.
    pub(crate) fds: Vec<RawFd>,
}

impl Got {
    /// Returns the errno of a refusal.
    #[track_caller]
    pub(crate) fn errno(&self) -> i32 {
        assert!(self.header.is_reply() && self.header.is_error(), "{self:?}");
        assert!(
            self.payload.is_empty(),
            "a refusal is a header and nothing else"
        );
        self.header.error as i32
    }

    /// Returns the payload of a reply that is no refusal.
    #[track_caller]
    pub(crate) fn ok(self) -> Vec<u8> {
        assert!(
            self.header.is_reply() && !self.header.is_error(),
            "{self:?}"
        );
        self.payload
    }
}

impl Peer {
    pub(crate) fn new(stream: UnixStream) -> Peer {
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        stream.set_write_timeout(patience).unwrap();
        Peer(stream)
    }

    pub(crate) fn send(&self, bytes: &[u8], fds: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let controls = if fds.is_empty() { &[][..] } else { &rights[..] };
        let part = [IoSlice::new(bytes)];
        let sent = sendmsg::<()>(
            self.0.as_raw_fd(),
            &part,
            controls,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// Sends a command with the id 7.
    pub(crate) fn command(&self, command: Command, body: impl FnOnce(&mut Vec<u8>)) {
        self.send(&message(&Header::command(7, command), body), &[]);
    }

    /// Sends a command and takes the next message, which must be its reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: Command, body: impl FnOnce(&mut Vec<u8>)) -> Got {
        self.ask_with(command, &[], body)
    }

    /// As [`Peer::ask`], with descriptors.
    #[track_caller]
    pub(crate) fn ask_with(
        &mut self,
        command: Command,
        fds: &[RawFd],
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Got {
        self.send(&message(&Header::command(7, command), body), fds);
        let got = self.next();
        assert_eq!(
            (got.header.id, got.header.command),
            (7, command as u16),
            "{got:?}"
        );
        got
    }

    /// Takes one message.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Got {
        let mut head = [0; HEADER_SIZE];
        let mut control = nix::cmsg_space!([RawFd; 64]);
        let mut fds = Vec::new();
        let mut part = [IoSliceMut::new(&mut head)];
        let socket = self.0.as_raw_fd();
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received =
            recvmsg::<()>(socket, &mut part, Some(&mut control), flags).expect("a message");
        assert_eq!(received.bytes, HEADER_SIZE, "a header in one piece");
        for control in received.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(raw) = control {
                fds.extend(raw);
            }
        }
        let header = Header::decode(&head).unwrap();
        let mut payload = vec![0; header.payload_len()];
        self.0.read_exact(&mut payload).unwrap();
        Got {
            header,
            payload,
            fds,
        }
    }

    /// Tells whether the other end has closed.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            // Closed with something unread; a deadline that passed is not the end.
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Agrees on a version as a client.
    pub(crate) fn greet(&mut self) -> Version {
        let version = Version {
            major: 0,
            minor: 1,
            capabilities: Capabilities {
                write_multiple: true,
                ..Capabilities::default()
            },
        };
        let reply = self.ask(Command::Version, |m| version.encode(m)).ok();
        Version::decode(&reply).unwrap()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
}

pub(crate) fn message(header: &Header, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Vec::new();
    header.write(&mut message, body);
    message
}

/// Makes memory that can be shared with a peer that does not trust us: nobody can shorten it.
pub(crate) fn sealed(len: u64) -> File {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create(c"shared", flags).unwrap());
    file.set_len(len).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
    file
}

/// Descriptors that tell whether anybody has them.
pub(crate) struct Traced {
    writer: Option<PipeWriter>,
    reader: PipeReader,
}

impl Traced {
    pub(crate) fn new() -> Traced {
        let (reader, writer) = io::pipe().unwrap();
        Traced {
            writer: Some(writer),
            reader,
        }
    }

    /// The descriptor, to be sent.
    pub(crate) fn raw(&self) -> RawFd {
        self.writer.as_ref().expect("not sent yet").as_raw_fd()
    }

    /// Waits until nobody has it any more; panics if somebody keeps it.
    #[track_caller]
    pub(crate) fn assert_dropped(mut self, what: &str) {
        self.writer = None;
        let mut fds = [PollFd::new(self.reader.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut fds, 3000u16), Ok(1), "{what}: it was kept");
        assert_eq!(fds[0].revents(), Some(PollFlags::POLLHUP), "{what}");
    }
}
