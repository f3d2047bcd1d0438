//! What a BMU is made of, and what its capability registers say of it (SPEC 4.2).

use std::ops::RangeInclusive;

use super::pool::PoolLimits;
use crate::shape::Halves;

/// The registers of each optional part (SPEC 4.2).
const REGISTER_PATH: [&str; 2] = ["POOL_ALLOC", "POOL_FREE"];
const THRESHOLDS: [&str; 6] = [
    "POOL_LOW",
    "POOL_HIGH",
    "POOL_EVENT",
    "POOL_EVENT_SET",
    "POOL_EVENT_ENABLE",
    "POOL_VECTOR",
];
const INJECTION: [&str; 5] = [
    "ERR_STATUS_SET",
    "POOL_EVENT_SET",
    "POOL_ERROR_SET",
    "PORTAL_EVENT_SET",
    "PORTAL_ERROR_SET",
];

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
    /// VERSION.MINOR.
    pub(super) minor: u16,
    pub(super) register_path: bool,
    pub(super) thresholds: bool,
    pub(super) natural_align: bool,
    pub(super) injection: bool,
    pub(super) halves: Halves,
    pub(super) power_of_two: bool,
    /// CAP_EMPTYING; 0 where emptying a list takes no time.
    pub(super) emptying_ms: u16,
    /// Refused DMA writes are seen.
    pub(super) write_faults: bool,
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
            minor: 1,
            register_path: true,
            thresholds: true,
            natural_align: true,
            injection: true,
            halves: Halves::Off,
            power_of_two: false,
            emptying_ms: 0,
            write_faults: true,
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
        let bits = [
            self.register_path,
            self.portals > 0,
            self.thresholds,
            self.natural_align,
            self.injection,
            self.halves != Halves::Off,
            self.halves == Halves::Only,
            self.power_of_two,
            self.emptying_ms > 0,
            // A device of 1.0 may see them, and has no way to say so.
            self.write_faults && self.minor > 0,
        ];
        let set = |(bit, has): (usize, &bool)| u64::from(*has) << bit;
        bits.iter().enumerate().map(set).sum()
    }

    /// Returns the names of the registers whose part this device does not have, apart from whole pools and portals.
    pub(super) fn lacks(&self) -> Vec<&'static str> {
        let parts: [(bool, &[&str]); 4] = [
            (self.register_path, &REGISTER_PATH),
            (self.thresholds, &THRESHOLDS),
            (self.injection, &INJECTION),
            (self.emptying_ms > 0, &["CAP_EMPTYING"]),
        ];
        let absent = parts.iter().filter(|(has, _)| !has);
        absent.flat_map(|(_, names)| *names).copied().collect()
    }

    /// Returns what SPEC 5.1 asks of a pool.
    pub(super) fn pool_limits(&self) -> PoolLimits {
        PoolLimits {
            width: self.address_width,
            stride_log2: (*self.stride_log2.start(), *self.stride_log2.end()),
            power_of_two: self.power_of_two,
            buffers: self.buffers,
        }
    }
}
