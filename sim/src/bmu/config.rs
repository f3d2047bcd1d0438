//! What a BMU is made of, and what its capability registers say of it (SPEC 4.2).

use std::ops::RangeInclusive;

use super::pool::PoolLimits;

/// The parameters of a BMU.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) pools: u16,
    pub(super) portals: u16,
    pub(super) vectors: u16,
    /// Buffers that one pool's list can hold.
    pub(super) buffers: u64,
    /// Address bits, 32 to 64.
    pub(super) address_width: u8,
    /// Smallest and largest stride, log2 of bytes.
    pub(super) stride_log2: RangeInclusive<u8>,
    /// Smallest and largest ring, log2 of entries.
    pub(super) ring_log2: RangeInclusive<u8>,
    pub(super) timeout_ms: u16,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            pools: 64,
            portals: 64,
            vectors: 32,
            buffers: 1 << 24,
            address_width: 48,
            stride_log2: 6..=20,
            ring_log2: 3..=16,
            timeout_ms: 100,
        }
    }
}

/// The capability registers (SPEC 4.2).
impl Config {
    pub(super) fn counts(&self) -> u64 {
        u64::from(self.pools) | u64::from(self.portals) << 8 | u64::from(self.vectors) << 16
    }

    pub(super) fn rings(&self) -> u64 {
        u64::from(*self.ring_log2.start()) | u64::from(*self.ring_log2.end()) << 8
    }

    pub(super) fn address(&self) -> u64 {
        let (min, max) = (*self.stride_log2.start(), *self.stride_log2.end());
        u64::from(self.address_width) | u64::from(min) << 8 | u64::from(max) << 16
    }

    pub(super) fn features(&self) -> u64 {
        0x1d | u64::from(self.portals > 0) << 1
    }

    /// Returns what SPEC 5.1 asks of a pool.
    pub(super) fn pool_limits(&self) -> PoolLimits {
        PoolLimits {
            width: self.address_width,
            stride_log2: (*self.stride_log2.start(), *self.stride_log2.end()),
            buffers: self.buffers,
        }
    }
}
