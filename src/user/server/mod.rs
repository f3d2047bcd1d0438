//! The server: puts what is [`Served`] behind a socket, for one client after the other.
//!
//! ```text
//!   Server::run ── accept ──► session ── commands ──► Served
//!                                │  mappings             │
//!                                └──── Lines ◄───────────┘ from any thread of the device
//! ```
//!
//! A client that goes leaves nothing: its memory is unmapped and its eventfds are closed. The state of the device stays
//! as it is, as the specification asks; the next client resets it. A client that breaks the protocol beyond repair is cut
//! off; what it gets wrong within a message is refused with an errno.

mod commands;
mod errno;
mod lines;
mod mappings;
mod peer;
mod served;
mod session;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno as OsErrno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{SockFlag, accept4};

pub use crate::listener::BindError;
pub use errno::Errno;
pub use lines::Lines;
pub use peer::{ClientMemory, Peer};
pub use served::{DmaMapping, RegionDescription, RegionMapping, Served};

use super::channel::{self, ChannelError};
use super::sync::lock;
use crate::listener::Listener;

/// How long the server waits before it tries again to take a client, where the system was short of something.
const PAUSE: Duration = Duration::from_millis(200);

/// A listening socket that serves a device.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    stop: Arc<Stop>,
    patience: Duration,
}

/// Ends a server from another thread, or from a signal's.
#[derive(Debug, Clone)]
pub struct StopHandle(Arc<Stop>);

#[derive(Debug)]
struct Stop {
    wanted: AtomicBool,
    /// Wakes the wait for clients.
    bell: EventFd,
    /// The client that is served.
    client: Mutex<Option<Arc<OwnedFd>>>,
}

impl Server {
    /// Listens at `path` with mode 0600. A socket that a dead server has left there is replaced.
    ///
    /// # Errors
    ///
    /// A server that lives, a file that is no socket, or what the operating system says.
    pub fn bind(path: &Path) -> Result<Server, BindError> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let os = |errno: OsErrno| BindError::Os {
            path: path.into(),
            call: "eventfd",
            errno: errno as i32,
        };
        Ok(Server {
            stop: Arc::new(Stop {
                wanted: AtomicBool::new(false),
                bell: bell.map_err(os)?,
                client: Mutex::default(),
            }),
            listener: Listener::bind(path)?,
            patience: peer::PATIENCE,
        })
    }

    /// Sets how long a client may take to greet, to finish a message that it began, and to take or give an answer: 5
    /// seconds where nobody says otherwise. Between messages it may be silent for as long as it likes.
    pub fn patience(self, patience: Duration) -> Server {
        Server { patience, ..self }
    }

    /// Returns what ends this server.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.stop))
    }

    /// Serves one client after the other until [`StopHandle::stop`].
    ///
    /// # Errors
    ///
    /// The listening socket fails. What clients do is no error of the server's.
    pub fn run<D: Served>(&self, device: &mut D) -> Result<(), BindError> {
        while let Some(client) = self.next_client()? {
            if !self.stop.serves(Some(&client)) {
                break;
            }
            match session::serve(client, device, self.patience) {
                ChannelError::Closed => tracing::info!("a client has gone"),
                error => tracing::warn!(%error, "a client was cut off"),
            }
            self.stop.serves(None);
        }
        Ok(())
    }

    /// Waits for a client; `None`: the server shall end.
    fn next_client(&self) -> Result<Option<Arc<OwnedFd>>, BindError> {
        loop {
            let mut fds = [
                PollFd::new(self.listener.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stop.bell.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(OsErrno::EINTR) => {}
                Err(errno) => return Err(self.listener.failed("poll", errno)),
            }
            if self.stop.wanted.load(Ordering::SeqCst) {
                return Ok(None);
            }
            match accept4(self.listener.socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                Ok(client) => return Ok(Some(Arc::new(channel::own(client)))),
                // Gone before it was accepted, or one of the kernel's passing moods.
                Err(OsErrno::EAGAIN | OsErrno::EINTR | OsErrno::ECONNABORTED) => {}
                Err(errno) if is_shortage(errno) => self.pause(errno),
                Err(errno) => return Err(self.listener.failed("accept", errno)),
            }
        }
    }

    /// Lets a moment pass in which others may give back what there is too little of, unless the server shall end. The
    /// client stays in the queue, so that without the pause the wait for it would spin.
    fn pause(&self, errno: OsErrno) {
        tracing::warn!(
            "a client waits: accept failed with errno {errno} ({}); `ulimit -n`?",
            errno.desc()
        );
        let mut bell = [PollFd::new(self.stop.bell.as_fd(), PollFlags::POLLIN)];
        let _ = poll(
            &mut bell,
            PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::MAX),
        );
    }
}

/// Tells whether a call failed for want of something that may be there a little later.
fn is_shortage(errno: OsErrno) -> bool {
    matches!(
        errno,
        OsErrno::EMFILE | OsErrno::ENFILE | OsErrno::ENOBUFS | OsErrno::ENOMEM
    )
}

/// Serves the client at the other end of a connected socket, until it goes.
pub fn serve_stream<D: Served>(stream: UnixStream, device: &mut D) {
    session::serve(Arc::new(stream.into()), device, peer::PATIENCE);
}

impl StopHandle {
    /// Ends the server: cuts its client off and has [`Server::run`] return.
    pub fn stop(&self) {
        self.0.wanted.store(true, Ordering::SeqCst);
        let _ = self.0.bell.write(1); // full: rung already
        let client = lock(&self.0.client);
        if let Some(client) = &*client {
            channel::hang_up(&**client);
        }
    }
}

impl Stop {
    /// Notes who is served; false: nobody shall be any more.
    fn serves(&self, client: Option<&Arc<OwnedFd>>) -> bool {
        let mut place = lock(&self.client);
        *place = client.cloned();
        !self.wanted.load(Ordering::SeqCst)
    }
}
