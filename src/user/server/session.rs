//! The time that a client is served: the loop that takes its messages and answers them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commands::{self, Answer};
use super::errno::Errno;
use super::peer::Peer;
use super::served::Served;
use crate::user::channel::{ChannelError, Message};

/// A client and the device that it is served, with what the loop uses again.
struct Session<'d, D> {
    peer: Peer,
    device: &'d mut D,
    /// The reply on its way out, and a payload that came, as memory to use again.
    out: Vec<u8>,
    payload: Vec<u8>,
}

/// Serves one client until it goes, breaks the protocol, or the socket is shut down. Nothing of the client's stays.
pub(super) fn serve<D: Served>(
    socket: Arc<OwnedFd>,
    device: &mut D,
    patience: Duration,
) -> ChannelError {
    let mut session = Session {
        peer: Peer::new(socket, patience),
        device,
        out: Vec::new(),
        payload: Vec::new(),
    };
    let end = match session.run(Instant::now() + patience) {
        Ok(()) => ChannelError::Closed,
        Err(error) => error,
    };
    // Nobody waits for a client any more that nobody listens to.
    session.peer.hang_up();
    let mappings = session.peer.mappings().take_all();
    for (iova, size) in mappings {
        device.dma_unmap(iova, size);
    }
    device.lines().release_all();
    device.disconnected();
    end
}

impl<D: Served> Session<'_, D> {
    fn run(&mut self, greeted_by: Instant) -> Result<(), ChannelError> {
        loop {
            let payload = std::mem::take(&mut self.payload);
            let message = self.peer.next(payload, greeted_by)?;
            if !self.handle(message)? {
                return Ok(());
            }
        }
    }

    /// Acts on one message; false: the connection ends.
    fn handle(&mut self, message: Message) -> Result<bool, ChannelError> {
        let Message {
            header,
            payload,
            fds,
            flaw,
        } = message;
        if header.is_reply() {
            // A reply that nobody waits for: its command was given up.
            self.payload = payload;
            return Ok(true);
        }
        self.peer.posted = header.is_posted();
        let (peer, out) = (&mut self.peer, &mut self.out);
        header.reply().write(out, |_| ());
        let done = match flaw {
            _ if !header.is_command() => Err(Errno::EINVAL), // of a type that there is not
            Some(errno) => Err(Errno::of(errno)),
            None => commands::perform(peer, self.device, &header, &payload, fds, out),
        };
        let Answer { fds, ends } = done.unwrap_or_else(|errno| {
            header.refusal(errno.0).write(out, |_| ());
            Answer {
                // Before the versions are agreed upon there is nothing to go on with.
                ends: peer.capabilities.is_none(),
                ..Answer::PLAIN
            }
        });
        if !header.is_posted() {
            set_size(out);
            peer.send(out, &fds)?;
        }
        self.payload = payload;
        Ok(!ends)
    }
}

/// Sets the size of a message whose payload was appended behind its header.
fn set_size(message: &mut [u8]) {
    let size = (message.len() as u32).to_ne_bytes();
    message[4..8].copy_from_slice(&size);
}
