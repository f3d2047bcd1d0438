//! What a model is made of: sizes, timing, faults, seed.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;

#[cfg(feature = "fault-files")]
use crate::faults::FaultError;
use crate::faults::{Fault, Offer};
use crate::lies::{Lie, Lies};
use crate::logic::{ModelInfo, Options};
use crate::parameter::{ConfigError, Text};
use crate::shape::Shape;

/// How a model's time passes.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// Virtual time, one thread, and the same run again for the same seed.
    #[default]
    Stepped,
    /// Real time: a thread of the model's own serves doorbells as fast as it can.
    Threaded,
}

/// The parameters of a model: those that every model has as fields, those of its own by [`SimConfig::set`] alone.
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
    /// Whether firmware has turned the function's Memory Space on; else the host has to.
    pub memory_space: bool,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What it lies about.
    pub(crate) lies: Lies,
    /// Those that only this kind of device can have.
    pub(crate) own_lies: &'static [(&'static str, &'static str)],
    /// The model's name, and the keys that it alone has.
    pub(crate) name: Cow<'static, str>,
    pub(crate) keys: &'static [(&'static str, &'static str)],
    pub(crate) options: Box<dyn Options>,
}

impl SimConfig {
    /// Configures a model with every default.
    pub(crate) fn of(model: ModelInfo) -> SimConfig {
        SimConfig {
            own_lies: model.lies,
            ..SimConfig::with(model.name.into(), model.keys, (model.options)())
        }
    }

    /// Configures a device by its own options, and with every default of what is not its own.
    pub(crate) fn with(
        name: Cow<'static, str>,
        keys: &'static [(&'static str, &'static str)],
        options: Box<dyn Options>,
    ) -> SimConfig {
        SimConfig {
            name,
            keys,
            options,
            lies: Lies::default(),
            own_lies: &[],
            seed: 0,
            mode: Mode::Stepped,
            read_latency_ns: 900,
            jitter_ns: 100,
            preemption: 64,
            // What Intel VT-d shows for a 48-bit device: all but the interrupt window.
            iommu_ranges: vec![0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1],
            iommu_pages: 1 << 12 | 1 << 21 | 1 << 30,
            iommu_entries: 65535,
            memory_space: true,
            faults: Vec::new(),
        }
    }
}

impl SimConfig {
    /// The keys of [`SimConfig::set`] that every model has, and what each does; a model's own are in [`MODELS`](crate::MODELS).
    pub const KEYS: &[(&str, &str)] = &[
        ("seed", "number that replays a stepped run"),
        ("mode", "stepped (virtual time) or threaded (real time)"),
        ("faults", "file of faults in TOML"),
        (
            "lies",
            "rules that the device breaks, by name, with + between them",
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
        (
            "memory-space",
            "on as firmware leaves it, or off until the host turns it on",
        ),
    ];

    /// The rules that any function can break, by name, and what each lie does; a model's own are in [`MODELS`](crate::MODELS).
    pub const LIES: &[(&str, &str)] = Lie::ALL;

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
            "mode" => self.mode = mode(text)?,
            "faults" => self.faults = self.read_faults(value)?,
            "lies" => self.lies = Lies::parse(text, self.own_lies)?,
            "read-latency-ns" => self.read_latency_ns = text.within(0..=SECOND_NS, LATENCY)?,
            "jitter-ns" => self.jitter_ns = text.within(0..=SECOND_NS, LATENCY)?,
            "preemption" => {
                self.preemption = text.within(0..=u64::from(u32::MAX), "a number")? as u32;
            }
            "iommu-entries" => self.iommu_entries = text.within(0..=u64::MAX, "a number")?,
            "iommu-page" => self.set_page(text)?,
            "memory-space" => self.memory_space = text.switch()?,
            _ => {
                let own = self.options.set(text);
                return own.unwrap_or_else(|| Err(self.unknown(key)));
            }
        }
        Ok(())
    }

    /// Returns the name of the model, or of the described device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the keys that only this model has, and what each does.
    pub fn keys(&self) -> &'static [(&'static str, &'static str)] {
        self.keys
    }

    /// Returns the rules of its own that this model can break, by name, and what each lie does.
    pub fn lies(&self) -> &'static [(&'static str, &'static str)] {
        self.own_lies
    }

    /// Returns the faults that only this model and its like can have.
    pub fn offers(&self) -> Vec<Offer> {
        self.shape().faults.into_owned()
    }

    /// Returns what the function shows of the device.
    pub(crate) fn shape(&self) -> Shape {
        self.options.shape(self.lies)
    }

    fn unknown(&self, key: &str) -> ConfigError {
        let keys = SimConfig::KEYS.iter().chain(self.keys);
        let known: Vec<&str> = keys.map(|(key, _)| *key).collect();
        ConfigError::UnknownKey {
            key: key.into(),
            known: known.join(", "),
        }
    }

    /// Reads the text of a fault file.
    ///
    /// # Errors
    ///
    /// The first mistake, with its line; so is a fault that this model can't have.
    #[cfg(feature = "fault-files")]
    pub fn parse_faults(&self, text: &str) -> Result<Vec<Fault>, FaultError> {
        Fault::parse_file(text, self.shape().possible())
    }

    #[cfg(not(feature = "fault-files"))]
    fn read_faults(&self, path: &str) -> Result<Vec<Fault>, ConfigError> {
        let path = PathBuf::from(path);
        Err(ConfigError::NotBuilt { path })
    }

    #[cfg(feature = "fault-files")]
    fn read_faults(&self, path: &str) -> Result<Vec<Fault>, ConfigError> {
        let path = PathBuf::from(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let faults = self.parse_faults(&text);
                faults.map_err(|source| ConfigError::Faults { path, source })
            }
            Err(source) => Err(ConfigError::Read { path, source }),
        }
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
        match self {
            c if c.iommu_pages == 0 => refuse("iommu-page", 0, "a page size"),
            c if c.read_latency_ns > SECOND_NS => {
                refuse("read-latency-ns", c.read_latency_ns, LATENCY)
            }
            c if c.jitter_ns > SECOND_NS => refuse("jitter-ns", c.jitter_ns, LATENCY),
            _ => Ok(()),
        }
    }
}

fn mode(text: Text<'_>) -> Result<Mode, ConfigError> {
    match text.value {
        "stepped" => Ok(Mode::Stepped),
        "threaded" => Ok(Mode::Threaded),
        _ => Err(text.refused("stepped or threaded")),
    }
}

const SECOND_NS: u64 = 1_000_000_000;
const LATENCY: &str = "nanoseconds, at most a second";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MODELS;

    #[test]
    fn every_key_is_taken_and_an_unknown_one_names_them() {
        for model in MODELS {
            for (key, _) in SimConfig::KEYS.iter().chain(model.keys) {
                let error = SimConfig::of(*model).set(key, "?").err();
                let unknown = matches!(error, Some(ConfigError::UnknownKey { .. }) | None);
                assert!(!unknown, "{key} of {}", model.name);
            }
        }
        let fifo = SimConfig::new("fifo").unwrap().set("pools", "1");
        let text = fifo.unwrap_err().to_string();
        assert!(text.contains("depth") && text.contains("seed"), "{text}");
        assert!(!text.contains("portals"), "{text}");
        let text = SimConfig::default()
            .set("sede", "1")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("seed") && text.contains("iommu-page"),
            "{text}"
        );
    }

    #[cfg(not(feature = "fault-files"))]
    #[test]
    fn a_build_that_reads_no_fault_files_says_so() {
        let refused = SimConfig::default().set("faults", "/a.toml").unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("/a.toml") && text.contains("`fault-files`"),
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
        for (key, value) in [
            ("pools", "0"),
            ("pools", "65"),
            ("ring-min", "7"),
            ("iommu-page", "8192"),
        ] {
            assert!(config.set(key, value).is_err(), "{key}={value}");
        }
        config.check().unwrap();
        config.jitter_ns = SECOND_NS + 1;
        assert!(config.check().is_err());
    }
}
