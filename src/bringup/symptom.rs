//! Why a rung did not pass: a symptom with its numbers, and what is to blame for it.

use std::error::Error;
use std::time::Duration;

use hwpool_devices::bus::{BusError, Transport};
use hwpool_devices::wait::{self, TimedOut};

/// What a failure probably comes from, the likeliest first; empty where nothing is known.
pub type Causes = &'static [&'static str];

/// What is to blame for a symptom, in the order in which it is judged: whoever does not answer has no other fault, and
/// what the machine refused says nothing of the device.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Blame {
    /// The device does not answer any more.
    Gone,
    /// The machine refused something: memory, a mapping, an interrupt, a descriptor, a process.
    Machine(Causes),
    /// The device is not as specified.
    Device(Causes),
}

impl Blame {
    /// Nothing is known of what it comes from.
    pub const UNKNOWN: Blame = Blame::Device(&[]);

    /// Returns the probable causes.
    pub fn causes(self) -> Causes {
        match self {
            Blame::Gone => GONE,
            Blame::Machine(causes) | Blame::Device(causes) => causes,
        }
    }
}

const GONE: Causes = &[
    "the board has left the bus: power, clock, or the link is down (LnkSta, dmesg)",
    "memory decoding is off, or the function sleeps in D3",
    "the logic behind the BAR is not loaded, or does not answer any more",
    "behind a socket: the process that serves the device has ended",
];

/// What takes a device behind a socket away, where the socket gives no answer.
pub(super) const SERVER_ENDED: Causes = &[
    "the process that serves the device has ended, or hangs: the last line that it wrote says why",
];

/// What is wrong, as a rung, a driver or the machine saw it.
///
/// Its text is the report's message; what it comes from hangs on its type and its numbers, never on words.
pub trait Symptom: Error + Send + Sync + 'static {
    /// Returns what is to blame.
    fn blame(&self) -> Blame;
}

/// Why a rung did not pass.
#[derive(Debug)]
pub enum Failure {
    /// The device is not as specified or does not answer, or the machine refused something.
    Fail(Box<dyn Symptom>),
    /// The device does not have what the rung checks.
    Skip(String),
    /// Somebody ended the climb in the middle of the rung; nothing was wrong until then.
    Ended(String),
}

impl<S: Symptom> From<S> for Failure {
    fn from(symptom: S) -> Failure {
        Failure::Fail(Box::new(symptom))
    }
}

/// Returns a symptom with the whole chain of what it comes from.
pub(super) fn message(symptom: &dyn Symptom) -> String {
    let mut text = symptom.to_string();
    let mut source = symptom.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Fails the rung with a symptom unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $symptom:expr) => {
        if !$holds {
            return Err($crate::bringup::Failure::from($symptom));
        }
    };
}
pub(super) use ensure;

/// Looks until `look` finds something, at most for `limit`; `late` makes the symptom of a wait that was given up.
pub(super) fn wait_for<T: Transport, R, S: Symptom>(
    transport: &T,
    what: &'static str,
    limit: Duration,
    late: impl FnOnce(TimedOut) -> S,
    look: impl Fn() -> Result<Option<R>, BusError>,
) -> Result<R, Failure> {
    let look = || look().map_err(Waited::Bus);
    wait::wait_for(transport, what, limit, look).map_err(|ended| match ended {
        Waited::Bus(error) => error.into(),
        Waited::Late(timeout) => late(timeout).into(),
    })
}

/// How a wait ended without what was waited for.
enum Waited {
    Bus(BusError),
    Late(TimedOut),
}

impl From<TimedOut> for Waited {
    fn from(timeout: TimedOut) -> Waited {
        Waited::Late(timeout)
    }
}
