//! Waits that end.
//!
//! ```
//! use std::time::Duration;
//!
//! use hwpool_devices::bus::{Bar, BusError, Transport};
//! use hwpool_devices::wait::{TimedOut, wait_for};
//!
//! enum Failed {
//!     Bus(BusError),
//!     Late(TimedOut),
//! }
//!
//! impl From<TimedOut> for Failed {
//!     fn from(late: TimedOut) -> Failed {
//!         Failed::Late(late)
//!     }
//! }
//!
//! /// Waits for a bit, 10 ms of the device's clock at most.
//! fn ready<T: Transport>(device: &T) -> Result<u32, Failed> {
//!     let bar = device.bar(0).map_err(Failed::Bus)?;
//!     wait_for(device, "READY", Duration::from_millis(10), || {
//!         let status = bar.read32(0x14).map_err(Failed::Bus)?;
//!         Ok((status & 1 == 1).then_some(status))
//!     })
//! }
//! ```

use std::time::Duration;

use crate::bus::Transport;

/// A wait was given up at its deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {limit:?}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: &'static str,
    /// The time it was given, on the device's clock.
    pub limit: Duration,
}

/// A point on the device's clock ([`Transport::now`]) at which a wait ends.
#[derive(Debug)]
pub struct Deadline {
    what: &'static str,
    limit: Duration,
    at: Duration,
    over: bool,
}

impl Deadline {
    /// Starts a wait for `what` that may take `limit`.
    pub fn new(transport: &impl Transport, what: &'static str, limit: Duration) -> Deadline {
        let at = transport.now().saturating_add(limit);
        Deadline {
            what,
            limit,
            at,
            over: false,
        }
    }

    /// Lets a moment pass, or fails when the deadline was over already at the last call.
    ///
    /// Call it after a look that found nothing, then look again. There is one look after the deadline: the thread may
    /// have been off its core for all of the time that the device took.
    pub fn relax(&mut self, transport: &impl Transport) -> Result<(), TimedOut> {
        if self.over {
            return Err(TimedOut {
                what: self.what,
                limit: self.limit,
            });
        }
        self.over = transport.now() >= self.at;
        transport.relax();
        Ok(())
    }
}

/// Looks until `look` finds something, at most for `limit`.
///
/// Looks at least once, and once more at the very end.
pub fn wait_for<T, R, E: From<TimedOut>>(
    transport: &T,
    what: &'static str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<R>, E>,
) -> Result<R, E>
where
    T: Transport,
{
    let mut deadline = Deadline::new(transport, what, limit);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        deadline.relax(transport)?;
    }
}
