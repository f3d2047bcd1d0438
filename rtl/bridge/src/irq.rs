//! Interrupt request lines, and when they become MSI-X messages.

use crate::design::Request;
use crate::model::{Model, Pin};

/// An interrupt request line of the design's.
#[derive(Debug)]
pub(crate) struct Line {
    pin: Pin,
    bit: u32,
    is: Request,
    vector: u16,
    acknowledge: Option<Pin>,
    /// What the line was in the cycle before.
    was: bool,
    /// A message is to be sent.
    pending: bool,
    /// One was sent, and the design is to be told.
    tells: Tells,
}

/// Where the acknowledgement is.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Tells {
    Nothing,
    Next,
    Now,
}

impl Line {
    pub(crate) fn new(
        pin: Pin,
        bit: u32,
        is: Request,
        vector: u16,
        acknowledge: Option<Pin>,
    ) -> Line {
        Line {
            pin,
            bit,
            is,
            vector,
            acknowledge,
            was: false,
            pending: false,
            tells: Tells::Nothing,
        }
    }

    pub(crate) fn vector(&self) -> u16 {
        self.vector
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Tells whether the clock has to go on for its sake.
    pub(crate) fn is_busy(&self) -> bool {
        self.tells != Tells::Nothing
    }

    /// Looks at the line before a rising edge; tells whether it has changed.
    #[inline]
    pub(crate) fn look(&mut self, model: &Model) -> bool {
        let now = match self.bit {
            0..64 => model.get(self.pin) >> self.bit & 1 != 0,
            bit => {
                let mut bytes = [0; 128];
                model.get_bytes(self.pin, &mut bytes);
                bytes[bit as usize / 8] >> (bit % 8) & 1 != 0
            }
        };
        match self.is {
            // What has fallen before it could be sent asks for nothing any more.
            Request::Level => self.pending = now && (self.pending || !self.was),
            Request::Pulse => self.pending |= now,
            // Until the acknowledgement has been there it is the one that was sent.
            Request::Handshake => self.pending = now && self.tells == Tells::Nothing,
        }
        let changed = now != self.was;
        self.was = now;
        changed
    }

    /// The message has been sent.
    pub(crate) fn sent(&mut self) {
        self.pending = false;
        if self.acknowledge.is_some() {
            self.tells = Tells::Next;
        }
    }

    /// Sets the acknowledgement for the next cycle.
    #[inline]
    pub(crate) fn drive(&mut self, model: &mut Model) {
        let Some(pin) = self.acknowledge.filter(|_| self.tells != Tells::Nothing) else {
            return;
        };
        model.set(pin, (self.tells == Tells::Next).into());
        self.tells = match self.tells {
            Tells::Next => Tells::Now,
            _ => Tells::Nothing,
        };
    }

    /// Is in reset with the design.
    pub(crate) fn reset(&mut self, model: &mut Model) {
        self.was = false;
        self.pending = false;
        self.tells = Tells::Nothing;
        self.acknowledge
            .into_iter()
            .for_each(|pin| model.set(pin, 0));
    }
}
