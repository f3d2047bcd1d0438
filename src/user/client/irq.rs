//! Interrupts: an eventfd for each vector, which the server signals.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bus::{BusError, Irq};
use hwpool_devices::turns::DUE;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_bindings::bindings::vfio;

use super::connection::Connection;
use super::pulse::Pulse;
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
    pulse: Arc<Pulse>,
    eventfd: Arc<OwnedFd>,
}

impl UserIrq {
    pub(super) fn new(
        connection: &Arc<Connection>,
        pulse: &Arc<Pulse>,
        eventfd: Arc<OwnedFd>,
    ) -> UserIrq {
        UserIrq {
            connection: Arc::clone(connection),
            pulse: Arc::clone(pulse),
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
        let deadline = self.pulse.now().saturating_add(timeout);
        let mut peer = PollFlags::POLLIN;
        loop {
            let over = self.pulse.now() >= deadline;
            let fired = self.take()?;
            if fired > 0 || over {
                return Ok(fired);
            }
            let events = self.sleep(peer)?;
            if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
                return self.last_words();
            }
            if events.contains(PollFlags::POLLIN) {
                self.connection.serve_peer();
                peer = PollFlags::empty(); // it may be a reply that somebody else waits for
            } else {
                peer = PollFlags::POLLIN;
            }
            self.pulse.beat();
        }
    }
}

impl UserIrq {
    /// Sleeps until the interrupt comes, something comes from the server, or it is to be asked; says what the server's
    /// socket has of `peer`.
    fn sleep(&self, peer: PollFlags) -> Result<PollFlags, BusError> {
        let mut fds = [
            PollFd::new(self.eventfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.connection.socket(), peer),
        ];
        match ppoll(&mut fds, Some(DUE.into()), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(fds[1].revents().unwrap_or(PollFlags::empty())),
            Err(errno) => Err(os("ppoll", errno)),
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
