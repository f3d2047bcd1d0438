//! Which of up to 64 numbered parts of a device are in use.

/// Parts that can't be claimed, a bit each.
#[derive(Default)]
pub(crate) struct Claim {
    /// Used by somebody.
    pub(crate) live: u64,
    /// Used by nobody, but the device did not let go of it: not to be claimed before a reset.
    pub(crate) stuck: u64,
}

impl Claim {
    /// Takes the lowest number below `count` that is neither in use nor stuck.
    pub(crate) fn take(&mut self, count: u16) -> Option<u16> {
        let free = (self.live | self.stuck).trailing_ones() as u16;
        (free < count).then(|| {
            self.live |= 1 << free;
            free
        })
    }

    pub(crate) fn release(&mut self, number: u16, clean: bool) {
        self.live &= !(1 << number);
        self.stuck |= u64::from(!clean) << number;
    }
}
