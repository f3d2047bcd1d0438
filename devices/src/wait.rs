//! Waits that end.

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
#[derive(Debug, Copy, Clone)]
pub struct Deadline {
    what: &'static str,
    limit: Duration,
    at: Duration,
}

impl Deadline {
    /// Starts a wait for `what` that may take `limit`.
    pub fn new(transport: &impl Transport, what: &'static str, limit: Duration) -> Deadline {
        Deadline {
            what,
            limit,
            at: transport.now().saturating_add(limit),
        }
    }

    /// Lets a moment pass, or fails when the deadline is over.
    ///
    /// Call it after a look that found nothing, then look again: what happened before the deadline is always seen.
    pub fn relax(&self, transport: &impl Transport) -> Result<(), TimedOut> {
        if transport.now() >= self.at {
            return Err(TimedOut {
                what: self.what,
                limit: self.limit,
            });
        }
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
    let deadline = Deadline::new(transport, what, limit);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        deadline.relax(transport)?;
    }
}
