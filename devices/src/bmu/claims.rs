//! Which pools and portals of a device are in use.

use std::fmt;

/// The number of a pool, from 0.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub(crate) u16);

/// The number of a portal, from 0.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortalId(pub(crate) u16);

impl PoolId {
    /// Returns the number, below [`Capabilities::pools`](crate::bmu::Capabilities::pools).
    pub fn number(self) -> u16 {
        self.0
    }
}

impl PortalId {
    /// Returns the number, below [`Capabilities::portals`](crate::bmu::Capabilities::portals).
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}", self.0)
    }
}

impl fmt::Display for PortalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "portal {}", self.0)
    }
}

/// Which pools and portals can't be claimed, a bit each.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) pools: Claim,
    pub(super) portals: Claim,
}

#[derive(Default)]
pub(super) struct Claim {
    /// Used by somebody.
    pub(super) live: u64,
    /// Used by nobody, but the device did not let go of it: not to be claimed before a reset.
    pub(super) stuck: u64,
}

impl Claim {
    /// Takes the lowest number below `count` that is neither in use nor stuck.
    pub(super) fn take(&mut self, count: u16) -> Option<u16> {
        let free = (self.live | self.stuck).trailing_ones() as u16;
        (free < count).then(|| {
            self.live |= 1 << free;
            free
        })
    }

    pub(super) fn release(&mut self, number: u16, clean: bool) {
        self.live &= !(1 << number);
        self.stuck |= u64::from(!clean) << number;
    }
}
