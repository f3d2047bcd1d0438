//! Which pools and portals of a device are in use.

use std::fmt;

use crate::family::Claim;

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

/// Which pools and portals can't be claimed.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) pools: Claim,
    pub(super) portals: Claim,
}
