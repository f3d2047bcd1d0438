//! The time of a device behind a socket, as its server's answers count it.
//!
//! The server may be a model that gets no processor. So what waits count on stands still while the server does not answer:
//! who waits asks it for a word of configuration space now and then, behind which a model has done what it was asked. A
//! server that never answers ends the connection, after the patience that it is given.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hwpool_devices::turns::TurnClock;
use vfio_bindings::bindings::vfio;

use super::connection::{CallError, Connection};
use crate::user::codec::{Command, RegionAccess};

/// The clock, and the right to turn it.
#[derive(Debug)]
pub(super) struct Pulse {
    connection: Arc<Connection>,
    clock: TurnClock,
    /// Held from question to answer.
    asking: Mutex<()>,
}

impl Pulse {
    pub(super) fn new(connection: &Arc<Connection>) -> Pulse {
        Pulse {
            connection: Arc::clone(connection),
            clock: TurnClock::new(),
            asking: Mutex::new(()),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Has the server answer, where it is due and nobody else does. Blocks for the server's patience at most.
    pub(super) fn beat(&self) {
        if !self.clock.is_due() {
            return;
        }
        let Ok(_asking) = self.asking.try_lock() else {
            return;
        };
        match self.ask() {
            // Nobody is there to have a turn: waits end by real time, and then find out why.
            Err(CallError::Gone(_)) => self.clock.run_out(),
            Ok(()) | Err(CallError::Refused(_)) => self.clock.turn(),
        }
    }

    fn ask(&self) -> Result<(), CallError> {
        let vendor = RegionAccess {
            offset: 0,
            region: vfio::VFIO_PCI_CONFIG_REGION_INDEX,
            count: 4,
        };
        let command = Command::RegionRead;
        (self.connection).ask(command, |message| vendor.encode(message), |_| Ok(()))
    }
}
