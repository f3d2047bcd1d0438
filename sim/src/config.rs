//! What a model is made of: sizes, timing, faults, seed.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::faults::{Fault, FaultError};

/// How a model's time passes.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// Virtual time, one thread, and the same run again for the same seed.
    #[default]
    Stepped,
    /// Real time: a thread of the model's own serves doorbells as fast as it can.
    Threaded,
}

/// The parameters of a model.
///
/// ```
/// let mut config = hwpool_sim::SimConfig::default();
/// config.set("seed", "7")?;
/// config.set("mode", "threaded")?;
/// assert!(config.set("sede", "7").is_err());
/// # Ok::<(), hwpool_sim::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Replays a stepped run.
    pub seed: u64,
    /// How time passes.
    pub mode: Mode,
    /// Pools, 1 to 64.
    pub pools: u16,
    /// Portals, 0 to 64.
    pub portals: u16,
    /// MSI-X vectors, 1 to 32.
    pub vectors: u16,
    /// Buffers that one pool's list can hold.
    pub buffers: u64,
    /// Address bits, 32 to 64.
    pub address_width: u8,
    /// Smallest and largest stride, log2 of bytes.
    pub stride_log2: RangeInclusive<u8>,
    /// Smallest and largest ring, log2 of entries.
    pub ring_log2: RangeInclusive<u8>,
    /// `CAP_TIMEOUT` in milliseconds.
    pub timeout_ms: u16,
    /// A register read's round trip in virtual nanoseconds.
    pub read_latency_ns: u64,
    /// Most that chance adds to a delay, in virtual nanoseconds.
    pub jitter_ns: u64,
    /// One doorbell in so many is followed by a pause of the host in virtual time, as when its thread is preempted; 0: none.
    pub preemption: u32,
    /// Ranges of addresses that the IOMMU translates.
    pub iommu_ranges: Vec<RangeInclusive<u64>>,
    /// The IOMMU's page sizes: bit *n* stands for 2ⁿ bytes.
    pub iommu_pages: u64,
    /// Mappings that the IOMMU holds.
    pub iommu_entries: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            seed: 0,
            mode: Mode::Stepped,
            pools: 64,
            portals: 64,
            vectors: 32,
            buffers: 1 << 24,
            address_width: 48,
            stride_log2: 6..=20,
            ring_log2: 3..=16,
            timeout_ms: 100,
            read_latency_ns: 900,
            jitter_ns: 100,
            preemption: 64,
            // What Intel VT-d shows for a 48-bit device: all but the interrupt window.
            iommu_ranges: vec![0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1],
            iommu_pages: 1 << 12 | 1 << 21 | 1 << 30,
            iommu_entries: 65535,
            faults: Vec::new(),
        }
    }
}

/// Why a parameter was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such parameter.
    #[error("unknown key `{key}`: known are {}", known())]
    UnknownKey {
        /// What was asked for.
        key: String,
    },
    /// A value that does not read as its key needs.
    #[error("`{key}` can't be `{value}`: it takes {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value that was refused.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A fault file that can't be read.
    #[error("fault file {} can't be read", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A fault file with a mistake in it.
    #[error("fault file {} has a mistake", path.display())]
    Faults {
        /// Its path.
        path: PathBuf,
        /// The mistake.
        source: FaultError,
    },
}

fn known() -> String {
    let names: Vec<&str> = SimConfig::KEYS.iter().map(|(key, _)| *key).collect();
    names.join(", ")
}

impl SimConfig {
    /// The keys of [`SimConfig::set`] and what each does.
    pub const KEYS: &[(&str, &str)] = &[
        ("seed", "number that replays a stepped run"),
        ("mode", "stepped (virtual time) or threaded (real time)"),
        ("faults", "file of faults in TOML"),
        ("pools", "pools, 1 to 64"),
        ("portals", "portals, 0 to 64"),
        ("vectors", "MSI-X vectors, 1 to 32"),
        ("buffers", "buffers that one pool can hold"),
        ("address-width", "address bits, 32 to 64"),
        ("stride-min", "smallest stride in bytes, a power of two"),
        ("stride-max", "largest stride in bytes, a power of two"),
        ("ring-min", "entries of the smallest ring, a power of two"),
        ("ring-max", "entries of the largest ring, a power of two"),
        (
            "timeout-ms",
            "time that the device may take, in milliseconds",
        ),
        ("read-latency-ns", "round trip of a register read"),
        ("jitter-ns", "most that chance adds to a delay"),
        (
            "preemption",
            "one doorbell in so many is followed by a pause of the host, 0: none",
        ),
        ("iommu-entries", "DMA mappings that the IOMMU holds"),
        (
            "iommu-page",
            "smallest IOMMU page in bytes: 4096, 2097152 or 1073741824",
        ),
    ];

    /// Sets one parameter from text, as in the address `sim:bmu?seed=7&pools=4`.
    ///
    /// Numbers are decimal or `0x` hexadecimal.
    ///
    /// # Errors
    ///
    /// An unknown key, a value out of its range, or a fault file that can't be read.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let text = Text { key, value };
        match key {
            "seed" => self.seed = text.within(0..=u64::MAX, "a number of 64 bits")?,
            "mode" => self.mode = text.mode()?,
            "faults" => self.faults = read_faults(value)?,
            "pools" => self.pools = text.within(1..=64, "1 to 64")? as u16,
            "portals" => self.portals = text.within(0..=64, "0 to 64")? as u16,
            "vectors" => self.vectors = text.within(1..=32, "1 to 32")? as u16,
            "buffers" => self.buffers = text.within(1..=u64::from(u32::MAX), "1 to 4294967295")?,
            "address-width" => self.address_width = text.within(32..=64, "32 to 64")? as u8,
            "stride-min" => set_low(&mut self.stride_log2, text.log2(6..=30, STRIDE)?),
            "stride-max" => set_high(&mut self.stride_log2, text.log2(6..=30, STRIDE)?),
            "ring-min" => set_low(&mut self.ring_log2, text.log2(3..=20, RING)?),
            "ring-max" => set_high(&mut self.ring_log2, text.log2(3..=20, RING)?),
            "timeout-ms" => self.timeout_ms = text.within(1..=65535, "1 to 65535")? as u16,
            "read-latency-ns" => self.read_latency_ns = text.within(0..=SECOND_NS, LATENCY)?,
            "jitter-ns" => self.jitter_ns = text.within(0..=SECOND_NS, LATENCY)?,
            "preemption" => {
                self.preemption = text.within(0..=u64::from(u32::MAX), "a number")? as u32;
            }
            "iommu-entries" => self.iommu_entries = text.within(0..=u64::MAX, "a number")?,
            "iommu-page" => self.set_page(text)?,
            _ => return Err(ConfigError::UnknownKey { key: key.into() }),
        }
        Ok(())
    }

    fn set_page(&mut self, text: Text<'_>) -> Result<(), ConfigError> {
        const EXPECTED: &str = "4096, 2097152 or 1073741824";
        let log2 = text.log2(12..=30, EXPECTED)?;
        let all: u64 = 1 << 12 | 1 << 21 | 1 << 30;
        if all & 1 << log2 == 0 {
            return Err(text.refused(EXPECTED));
        }
        self.iommu_pages = all & (u64::MAX << log2);
        Ok(())
    }

    /// Checks what `set` can't know because fields are public: returns the first key with a value out of range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: u64, expected| {
            Err(ConfigError::Value {
                key: key.into(),
                value: value.to_string(),
                expected,
            })
        };
        let within = |range: &RangeInclusive<u8>, outer: RangeInclusive<u8>| {
            range.start() <= range.end()
                && outer.contains(range.start())
                && outer.contains(range.end())
        };
        match self {
            c if !(1..=64).contains(&c.pools) => refuse("pools", c.pools.into(), "1 to 64"),
            c if c.portals > 64 => refuse("portals", c.portals.into(), "0 to 64"),
            c if !(1..=32).contains(&c.vectors) => refuse("vectors", c.vectors.into(), "1 to 32"),
            c if !(1..=u64::from(u32::MAX)).contains(&c.buffers) => {
                refuse("buffers", c.buffers, "1 to 4294967295")
            }
            c if !(32..=64).contains(&c.address_width) => {
                refuse("address-width", c.address_width.into(), "32 to 64")
            }
            c if !within(&c.stride_log2, 6..=30) => {
                refuse("stride-min", (*c.stride_log2.start()).into(), STRIDE)
            }
            c if !within(&c.ring_log2, 3..=20) => {
                refuse("ring-min", (*c.ring_log2.start()).into(), RING)
            }
            c if c.timeout_ms == 0 => refuse("timeout-ms", 0, "1 to 65535"),
            c if c.iommu_pages == 0 => refuse("iommu-page", 0, "a page size"),
            c if c.read_latency_ns > SECOND_NS => {
                refuse("read-latency-ns", c.read_latency_ns, LATENCY)
            }
            c if c.jitter_ns > SECOND_NS => refuse("jitter-ns", c.jitter_ns, LATENCY),
            _ => Ok(()),
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;
const LATENCY: &str = "nanoseconds, at most a second";
const STRIDE: &str = "a power of two from 64 to 1073741824, the smallest not above the largest";
const RING: &str = "a power of two from 8 to 1048576, the smallest not above the largest";

/// A key with the text of its value.
#[derive(Copy, Clone)]
struct Text<'a> {
    key: &'a str,
    value: &'a str,
}

impl Text<'_> {
    fn refused(self, expected: &'static str) -> ConfigError {
        ConfigError::Value {
            key: self.key.into(),
            value: self.value.into(),
            expected,
        }
    }

    fn within(
        self,
        range: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, ConfigError> {
        let parsed = match self.value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => self.value.parse(),
        };
        (parsed.ok().filter(|n| range.contains(n))).ok_or_else(|| self.refused(expected))
    }

    fn log2(self, range: RangeInclusive<u8>, expected: &'static str) -> Result<u8, ConfigError> {
        let value = self.within(1..=1 << 30, expected)?;
        let log2 = value.trailing_zeros() as u8;
        if !value.is_power_of_two() || !range.contains(&log2) {
            return Err(self.refused(expected));
        }
        Ok(log2)
    }

    fn mode(self) -> Result<Mode, ConfigError> {
        match self.value {
            "stepped" => Ok(Mode::Stepped),
            "threaded" => Ok(Mode::Threaded),
            _ => Err(self.refused("stepped or threaded")),
        }
    }
}

fn set_low(range: &mut RangeInclusive<u8>, low: u8) {
    *range = low..=low.max(*range.end());
}

fn set_high(range: &mut RangeInclusive<u8>, high: u8) {
    *range = high.min(*range.start())..=high;
}

fn read_faults(path: &str) -> Result<Vec<Fault>, ConfigError> {
    let path = PathBuf::from(path);
    match std::fs::read_to_string(&path) {
        Ok(text) => Fault::parse_file(&text).map_err(|source| ConfigError::Faults { path, source }),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_taken_and_an_unknown_one_names_them() {
        for (key, _) in SimConfig::KEYS {
            let error = SimConfig::default().set(key, "?").err();
            let unknown = matches!(error, Some(ConfigError::UnknownKey { .. }) | None);
            assert!(!unknown, "{key}");
        }
        let text = SimConfig::default()
            .set("sede", "1")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("seed") && text.contains("iommu-page"),
            "{text}"
        );
    }

    #[test]
    fn values_are_read_and_bounded() {
        let mut config = SimConfig::default();
        config.set("seed", "0x10").unwrap();
        config.set("mode", "threaded").unwrap();
        config.set("ring-max", "8").unwrap();
        config.set("stride-min", "2097152").unwrap();
        assert_eq!((config.seed, config.mode), (16, Mode::Threaded));
        assert_eq!(
            (config.ring_log2.clone(), config.stride_log2.clone()),
            (3..=3, 21..=21)
        );
        for (key, value) in [
            ("pools", "0"),
            ("pools", "65"),
            ("ring-min", "7"),
            ("iommu-page", "8192"),
        ] {
            assert!(config.set(key, value).is_err(), "{key}={value}");
        }
        config.check().unwrap();
        config.vectors = 33;
        assert!(config.check().is_err());
    }
}
