//! The clock of a device that is made of threads: it goes only while these threads do.
//!
//! ```
//! use hwpool_devices::turns::{LONGEST, TurnClock};
//!
//! let clock = TurnClock::new();
//! clock.turn(); // the model's thread has done what it was asked
//! assert!(clock.now() <= 2 * LONGEST);
//! ```
//!
//! A model needs a processor, and on a busy machine it may get none for longer than any timeout. Real time would tell its
//! host then that the device does not answer. So a transport to a model counts *turns*: in a turn, the model does all that it
//! was asked before. Time between turns counts up to [`LONGEST`] and no further.
//!
//! Whoever waits for `limit` on such a clock, and has asked before, is served before the wait ends. The clock must go on by
//! `limit`, which is more than [`LONGEST`], so two turns end meanwhile; and as they come one after the other, the second
//! one began after the question.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time that counts from one turn to the next: less than the shortest timeout of a device, 1 ms.
pub const LONGEST: Duration = Duration::from_micros(500);
/// After so long without a turn, who waits should see to one.
pub const DUE: Duration = Duration::from_micros(250);

/// A clock that counts turns of a device.
#[derive(Debug)]
pub struct TurnClock {
    start: Instant,
    /// When the last turn ended, in nanoseconds from the start.
    last: AtomicU64,
    /// What counted until then, in nanoseconds.
    counted: AtomicU64,
}

impl Default for TurnClock {
    fn default() -> TurnClock {
        TurnClock::new()
    }
}

impl TurnClock {
    /// Starts a clock at 0.
    pub fn new() -> TurnClock {
        TurnClock {
            start: Instant::now(),
            last: AtomicU64::new(0),
            counted: AtomicU64::new(0),
        }
    }

    /// Returns the time that counts.
    pub fn now(&self) -> Duration {
        // Acquire: who sees a turn counted sees what the device did in it.
        Duration::from_nanos(self.counted.load(Ordering::Acquire))
    }

    /// Tells whether the last turn is [`DUE`] ago.
    pub fn is_due(&self) -> bool {
        self.since_last(self.real()) >= DUE
    }

    /// Counts a turn that the device has just had.
    ///
    /// One caller at a time, who had no part of the turn before another's call ended: a lock is around turn and call.
    pub fn turn(&self) {
        self.count(LONGEST);
    }

    /// Counts all of the time since the last turn: the device will have none any more, and waits for it are to end.
    pub fn run_out(&self) {
        self.count(Duration::MAX);
    }

    fn count(&self, most: Duration) {
        let now = self.real();
        let passed = self.since_last(now).min(most).as_nanos() as u64;
        self.last.store(now, Ordering::Relaxed);
        self.counted.fetch_add(passed, Ordering::Release);
    }

    fn since_last(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    /// Real time in nanoseconds, for some 500 years.
    fn real(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock whose last turn is `ago`.
    fn idle_for(ago: Duration) -> TurnClock {
        TurnClock {
            start: Instant::now()
                .checked_sub(ago)
                .expect("a machine that is up"),
            ..TurnClock::new()
        }
    }

    #[test]
    fn time_without_turns_does_not_count() {
        let clock = idle_for(Duration::from_secs(10));
        assert!(clock.is_due());
        assert_eq!(clock.now(), Duration::ZERO);
        clock.turn();
        assert_eq!(clock.now(), LONGEST);
    }

    #[test]
    fn short_turns_count_as_real_time_and_the_end_counts_all() {
        let clock = idle_for(LONGEST / 2);
        clock.turn();
        assert!(clock.now() >= LONGEST / 2 && clock.now() <= LONGEST);
        let clock = idle_for(Duration::from_secs(10));
        clock.run_out();
        assert!(clock.now() >= Duration::from_secs(10));
    }
}
