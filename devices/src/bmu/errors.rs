//! The kinds of error that a BMU reports.

use std::fmt;

use crate::bmu::about::ABOUT;
use crate::bmu::regs;
use crate::family::Complaint;
use crate::reg::Field;

/// Kinds of error as the device reports them, a bit a kind (SPEC 4.4).
#[derive(Copy, Clone, PartialEq, Eq, Default)]
pub struct ErrorBits(pub u32);

impl ErrorBits {
    /// The fields that name the bits.
    pub const KINDS: &[Field] = &[
        regs::error::RANGE,
        regs::error::ALIGN,
        regs::error::DOUBLE_FREE,
        regs::error::OVERFLOW,
        regs::error::DISABLED,
        regs::error::CONFIG,
        regs::error::DMA_FAULT,
        regs::error::BAD_DOORBELL,
        regs::error::STALE_ENTRY,
    ];

    /// Tells whether no error is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the mnemonics of the kinds that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::KINDS
            .iter()
            .filter(move |kind| kind.of(self.0.into()) != 0)
            .map(|kind| &*kind.name)
    }
}

impl fmt::Display for ErrorBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no error bit");
        }
        let names: Vec<_> = self.names().collect();
        write!(f, "{}", names.join("+"))
    }
}

impl fmt::Debug for ErrorBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorBits({:#x}: {self})", self.0)
    }
}

impl From<ErrorBits> for Complaint {
    fn from(errors: ErrorBits) -> Complaint {
        Complaint {
            kind: ABOUT.name,
            bits: errors.0.into(),
            names: errors.to_string(),
        }
    }
}
