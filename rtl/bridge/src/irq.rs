//! Interrupt request lines, and when they become MSI-X messages.

use crate::design::Request;
use crate::model::{Model, Pin};

/// An interrupt request line of the design's.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    pin: Pin,
    bit: u32,
    is: Request,
    vector: u16,
    acknowledge: Option<(Pin, u32)>,
    /// What the line was in the cycle before.
    was: bool,
    /// A message is to be sent.
    pending: bool,
    /// One was sent, and the design is to be told.
    tells: Tells,
    /// Messages that were asked for since the line was last 0; of a level there is one.
    in_a_row: u64,
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
        name: String,
        pin: Pin,
        bit: u32,
        is: Request,
        vector: u16,
        acknowledge: Option<(Pin, u32)>,
    ) -> Line {
        Line {
            name,
            pin,
            bit,
            is,
            vector,
            acknowledge,
            was: false,
            pending: false,
            tells: Tells::Nothing,
            in_a_row: 0,
        }
    }

    /// Sets what tells of messages to 0, bits of no line too.
    pub(crate) fn start(&self, model: &mut Model) {
        if let Some((pin, _)) = self.acknowledge {
            model.set(pin, 0);
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn vector(&self) -> u16 {
        self.vector
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Returns how many messages it has asked for without being 0 in between.
    pub(crate) fn in_a_row(&self) -> u64 {
        self.in_a_row
    }

    /// Tells whether the clock has to go on for its sake.
    pub(crate) fn is_busy(&self) -> bool {
        self.tells != Tells::Nothing
    }

    /// Looks at the line before a rising edge; tells whether it has changed, or asks anew.
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
        let pulses = now && self.is == Request::Pulse;
        self.in_a_row = if now {
            self.in_a_row + u64::from(pulses)
        } else {
            0
        };
        let moves = now != self.was || pulses;
        self.was = now;
        moves
    }

    /// The message has been sent.
    pub(crate) fn sent(&mut self) {
        self.pending = false;
        self.in_a_row += u64::from(self.is == Request::Handshake);
        if self.acknowledge.is_some() {
            self.tells = Tells::Next;
        }
    }

    /// Sets the acknowledgement for the next cycle.
    #[inline]
    pub(crate) fn drive(&mut self, model: &mut Model) {
        let Some(told) = self.acknowledge.filter(|_| self.tells != Tells::Nothing) else {
            return;
        };
        set_bit(model, told, self.tells == Tells::Next);
        self.tells = match self.tells {
            Tells::Next => Tells::Now,
            _ => Tells::Nothing,
        };
    }

    /// Is in reset with the design.
    pub(crate) fn reset(&mut self, model: &mut Model) {
        self.was = false;
        self.pending = false;
        self.in_a_row = 0;
        self.tells = Tells::Nothing;
        if let Some(told) = self.acknowledge {
            set_bit(model, told, false);
        }
    }
}

/// Sets one bit of a port of at most 64, whose others are those of other lines.
fn set_bit(model: &mut Model, (pin, bit): (Pin, u32), value: bool) {
    let others = model.get(pin) & !(1 << bit);
    model.set(pin, others | u64::from(value) << bit);
}
