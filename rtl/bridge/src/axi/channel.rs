//! A channel that the design drives: VALID and what goes with it stay until READY.

use super::rule::{Breach, Rule};
use crate::model::{Model, Pin};

/// A signal: its name and its place.
#[derive(Debug, Clone)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) pin: Pin,
}

/// A channel of the design's, watched from cycle to cycle.
#[derive(Debug)]
pub(crate) struct Channel {
    valid: Signal,
    ready: Signal,
    payload: Vec<Signal>,
    /// What was there, where READY did not come in the cycle before.
    waiting: Option<Vec<Value>>,
    /// How many cycles it waits.
    waited: u64,
}

/// A value of any width.
type Value = [u8; 128];

/// What a channel does in a cycle.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Beat {
    /// VALID is 0.
    None,
    /// VALID is 1, and READY is 0.
    Waits,
    /// Both are 1: the beat is taken at the end of this cycle.
    Taken,
}

impl Channel {
    pub(crate) fn new(valid: Signal, ready: Signal, payload: Vec<Signal>) -> Channel {
        Channel {
            valid,
            ready,
            payload,
            waiting: None,
            waited: 0,
        }
    }

    /// Returns the name of VALID.
    pub(crate) fn valid(&self) -> &str {
        &self.valid.name
    }

    /// Looks at the channel before a rising edge.
    #[inline]
    pub(crate) fn look(&mut self, model: &Model) -> Result<Beat, Breach> {
        let (valid, ready) = (
            model.get(self.valid.pin) != 0,
            model.get(self.ready.pin) != 0,
        );
        if self.waiting.is_some() {
            self.check(model, valid)?;
        }
        self.note(model, valid && !ready);
        Ok(match (valid, ready) {
            (false, _) => Beat::None,
            (true, false) => Beat::Waits,
            (true, true) => Beat::Taken,
        })
    }

    /// Returns VALID, without READY's mattering.
    pub(crate) fn is_valid(&self, model: &Model) -> bool {
        model.get(self.valid.pin) != 0
    }

    /// Sets READY for the next cycle.
    #[inline]
    pub(crate) fn set_ready(&self, model: &mut Model, ready: bool) {
        model.set(self.ready.pin, ready.into());
    }

    /// Forgets what it waited for, as a reset does.
    pub(crate) fn forget(&mut self) {
        self.waiting = None;
        self.waited = 0;
    }

    fn check(&self, model: &Model, valid: bool) -> Result<(), Breach> {
        if !valid {
            let seen = format!(
                "it fell after {} cycles although {} had not come",
                self.waited, self.ready.name
            );
            return Err(Breach::new(Rule::ValidStays, &self.valid.name, seen));
        }
        let before = self.waiting.iter().flatten();
        let changed = self
            .payload
            .iter()
            .zip(before)
            .find(|(signal, before)| value(model, signal.pin) != **before);
        match changed {
            None => Ok(()),
            Some((signal, before)) => {
                let (old, new) = (word(before), word(&value(model, signal.pin)));
                let seen = format!(
                    "it went from {old:#x} to {new:#x} while {} waited for {}",
                    self.valid.name, self.ready.name
                );
                Err(Breach::new(Rule::PayloadStays, &signal.name, seen))
            }
        }
    }

    fn note(&mut self, model: &Model, waits: bool) {
        if !waits {
            self.forget();
        } else if self.waiting.is_none() {
            self.waiting = Some(
                self.payload
                    .iter()
                    .map(|signal| value(model, signal.pin))
                    .collect(),
            );
            self.waited = 1;
        } else {
            self.waited += 1;
        }
    }
}

fn value(model: &Model, pin: Pin) -> Value {
    let mut bytes = [0; 128];
    model.get_bytes(pin, &mut bytes);
    bytes
}

/// Returns the lowest 64 bits, for a message.
fn word(value: &Value) -> u64 {
    let bytes = value.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(bytes)
}
