//! The error registers (SPEC 4.4).

/// Kinds of error; the number is the bit.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ErrorKind {
    Range = 0,
    Align = 1,
    DoubleFree = 2,
    Overflow = 3,
    Disabled = 4,
    Config = 5,
    DmaFault = 6,
    BadDoorbell = 7,
    StaleEntry = 8,
}

impl ErrorKind {
    pub(crate) const ALL: [ErrorKind; 9] = [
        ErrorKind::Range,
        ErrorKind::Align,
        ErrorKind::DoubleFree,
        ErrorKind::Overflow,
        ErrorKind::Disabled,
        ErrorKind::Config,
        ErrorKind::DmaFault,
        ErrorKind::BadDoorbell,
        ErrorKind::StaleEntry,
    ];

    pub(crate) fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// ERR_RECORD.SOURCE.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Source {
    RegisterPath = 0,
    ReleaseRing = 1,
    AcquireRing = 2,
    Configuration = 3,
    Injected = 4,
}

/// Whose error register takes the kind.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Device,
    Pool(u16),
    Portal(u16),
    /// A free by a portal's release ring: the error is the pool's, the record names both.
    PoolByPortal(u16, u16),
}

/// Device-wide error state.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    pub(crate) status: u32,
    pub(crate) enable: u32,
    pub(crate) record: u64,
    pub(crate) address: u64,
    pub(crate) vector: u32,
    pub(crate) count: [u32; 9],
}

/// Where ERR_COUNT stops.
const COUNT_LIMIT: u32 = 0xffff_fffe;

impl Errors {
    /// Empties the record where bit 0 is written.
    pub(super) fn clear_record(&mut self, value: u32) {
        if value != 0 {
            (self.record, self.address) = (0, 0);
        }
    }

    /// Notes one error; returns whether its bit is new and enabled.
    pub(super) fn note(&mut self, kind: ErrorKind, record: u64, address: u64) -> bool {
        let count = &mut self.count[kind as usize];
        *count = (*count + 1).min(COUNT_LIMIT);
        if self.record == 0 {
            self.record = record;
            self.address = address;
        }
        let is_new = self.status & kind.bit() == 0;
        self.status |= kind.bit();
        is_new && self.enable & kind.bit() != 0
    }
}

/// Clears errors of a pool or portal, and with the last of them the first one's address.
pub(super) fn clear_errors(error: &mut u32, address: &mut u64, bits: u32) {
    *error &= !bits;
    if *error == 0 {
        *address = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_and_the_first_record_stays() {
        let mut errors = Errors {
            enable: 1,
            ..Errors::default()
        };
        errors.count[0] = COUNT_LIMIT - 1;
        assert!(errors.note(ErrorKind::Range, 1, 7));
        assert!(!errors.note(ErrorKind::Range, 3, 8));
        assert!(!errors.note(ErrorKind::Align, 5, 9));
        assert_eq!((errors.count[0], errors.count[1]), (COUNT_LIMIT, 1));
        assert_eq!((errors.record, errors.address, errors.status), (1, 7, 3));
    }
}
