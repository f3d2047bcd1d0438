//! AXI at the pins: what drives a slave, what answers a master, and the rules that both are held to.
//!
//! Each port has two calls a cycle. `look` comes when the design has settled before a rising edge: a handshake is VALID
//! and READY there. `drive` comes after the edge and sets what the next cycle begins with; it depends on what `look` saw
//! and on nothing newer, so that no signal of ours is a combinational answer to one of the design's.
//!
//! Verilator has two states for a bit, so an X is not seen here. A register that no reset sets holds what
//! `--seed` makes of it, and a design that depends on such a one differs from seed to seed.

pub(crate) mod burst;
pub(crate) mod channel;
pub(crate) mod lite;
pub(crate) mod pace;
pub(crate) mod reads;
mod rule;
pub(crate) mod writes;

use std::collections::VecDeque;

use pace::Pace;
pub use rule::{Rule, Violation};

pub(crate) use rule::Breach;

/// RESP of AXI.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Okay = 0,
    Slave = 2,
    Decode = 3,
}

/// Our side of a handshake in which we drive VALID or READY: a few cycles after it may, then until it was taken.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Turn {
    delay: u32,
    left: bool,
}

impl Turn {
    /// Begins one that waits `delay` cycles.
    pub(crate) fn after(delay: u32) -> Turn {
        Turn { delay, left: true }
    }

    /// Tells whether the handshake is still to come.
    pub(crate) fn is_left(self) -> bool {
        self.left
    }

    /// Tells whether our signal is 1 in the cycle that comes now.
    pub(crate) fn step(&mut self) -> bool {
        let now = self.left && self.delay == 0;
        self.delay = self.delay.saturating_sub(1);
        now
    }

    /// The handshake has taken place.
    pub(crate) fn done(&mut self) {
        self.left = false;
    }
}

/// Counts cycles in which the design lets us wait.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Patience(u64);

/// Whose turn it is in a cycle.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Nobody waits, or what was waited for has come.
    Nobodys,
    /// We hold back, which is no fault of the design's.
    Ours,
    /// The design lets us wait.
    Designs,
}

impl Patience {
    /// Counts a cycle; tells whether the limit is passed.
    #[inline]
    pub(crate) fn is_out(&mut self, whose: Whose, limit: u64) -> bool {
        match whose {
            Whose::Nobodys => self.0 = 0,
            Whose::Ours => {}
            Whose::Designs => self.0 += 1,
        }
        self.0 > limit
    }
}

/// Makes the breach of a handshake that does not come.
pub(crate) fn late(signal: &str, limit: u64) -> Breach {
    Breach::new(
        Rule::InTime,
        signal,
        format!("it did not come within {limit} cycles"),
    )
}

/// Chooses what is answered next, as the pace has it: of each ID the oldest may be, once it has no delay left.
pub(crate) fn next_of<T>(
    queue: &VecDeque<T>,
    pace: &mut Pace,
    of: impl Fn(&T) -> (u64, u32),
) -> Option<usize> {
    let may = |at: &usize| {
        let (id, delay) = of(&queue[*at]);
        delay == 0 && queue.iter().take(*at).all(|older| of(older).0 != id)
    };
    let ripe = || (0..queue.len()).filter(may);
    match ripe().count() {
        0 => None,
        count => ripe().nth(pace.choose(count)),
    }
}
