//! Interrupts: an eventfd for each vector, which the server signals.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, Irq};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_bindings::bindings::vfio;

use super::connection::Connection;
use crate::user::codec::{Command, IrqAction, IrqData, SetIrqs};

/// Gives the server an eventfd for MSI-X `vector`.
pub(super) fn enable(connection: &Connection, vector: u16) -> Result<OwnedFd, BusError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let eventfd = EventFd::from_flags(flags).map_err(|errno| BusError::Os {
        call: "eventfd",
        errno: errno as i32,
        hint: "too many descriptors are open".into(),
    })?;
    let command = Command::SetIrqs;
    let request = SetIrqs {
        action: IrqAction::Trigger,
        data: IrqData::Eventfd,
        index: vfio::VFIO_PCI_MSIX_IRQ_INDEX,
        start: vector.into(),
        count: 1,
    };
    let fds = [eventfd.as_fd()];
    let answer = connection.call(
        command,
        &fds,
        |message| request.encode(message),
        |_, _| Ok(()),
    );
    answer.map_err(|error| error.on_bus(command))?;
    Ok(eventfd.into())
}

/// An interrupt vector of a vfio-user device.
#[derive(Debug)]
pub struct UserIrq {
    connection: Arc<Connection>,
    eventfd: Arc<OwnedFd>,
}

impl UserIrq {
    pub(super) fn new(connection: &Arc<Connection>, eventfd: Arc<OwnedFd>) -> UserIrq {
        UserIrq {
            connection: Arc::clone(connection),
            eventfd,
        }
    }

    /// Takes the count.
    fn take(&self) -> Result<u64, BusError> {
        let mut count = [0; 8];
        match nix::unistd::read(&self.eventfd, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => Err(os("read of an eventfd", errno)),
        }
    }
}

impl Irq for UserIrq {
    /// Serves the server's own requests meanwhile, and ends at once when the server is gone.
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut peer = PollFlags::POLLIN;
        loop {
            let fired = self.take()?;
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if fired > 0 || left.is_zero() {
                return Ok(fired);
            }
            let mut fds = [
                PollFd::new(self.eventfd.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.connection.socket(), peer),
            ];
            // While somebody else's reply waits in the socket only a short sleep is left.
            let nap = if peer.is_empty() {
                Duration::from_millis(1)
            } else {
                left
            };
            let timeout = PollTimeout::try_from(left.min(nap)).unwrap_or(PollTimeout::MAX);
            // Rounded up: a remainder below a millisecond must not spin.
            let timeout = if timeout == PollTimeout::ZERO {
                PollTimeout::from(1u8)
            } else {
                timeout
            };
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(os("poll", errno)),
            }
            let events = fds[1].revents().unwrap_or(PollFlags::empty());
            if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
                return self.last_words();
            }
            if events.contains(PollFlags::POLLIN) {
                self.connection.serve_peer();
                peer = PollFlags::empty();
            } else {
                peer = PollFlags::POLLIN;
            }
        }
    }
}

impl UserIrq {
    /// The server is gone: what it signalled before still counts.
    fn last_words(&self) -> Result<u64, BusError> {
        match self.take()? {
            0 => Err(BusError::Gone {
                evidence: "the vfio-user server has closed the connection".into(),
            }),
            fired => Ok(fired),
        }
    }
}

fn os(call: &'static str, errno: Errno) -> BusError {
    BusError::Os {
        call,
        errno: errno as i32,
        hint: "this should not happen to a descriptor of our own".into(),
    }
}
