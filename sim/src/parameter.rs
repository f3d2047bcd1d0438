//! One parameter of a model: its text, and why it was refused.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use hwpool_devices::description::Mistake;

use crate::faults::FaultError;

/// Why a parameter was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no model of that name.
    #[error("no model `{name}`: known are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The parameters are another model's.
    #[error("these are parameters of the model `{found}`, not of `{wanted}`")]
    OtherModel {
        /// The model that was asked for.
        wanted: String,
        /// The model that the parameters are for.
        found: String,
    },
    /// A description that no device can be made of.
    #[error("the description of `{name}` has a mistake")]
    Description {
        /// The name that it gives the device.
        name: String,
        /// The mistake.
        source: Mistake,
    },
    /// The model has no such parameter.
    #[error("unknown key `{key}`: known are {known}")]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// What this model has.
        known: String,
    },
    /// The device has no such rule to break.
    #[error("no lie `{name}`: known are {known}")]
    UnknownLie {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
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
    /// A fault file, in a build that reads none.
    #[error("fault file {} can't be read: hwpool was built without its feature `fault-files`", path.display())]
    NotBuilt {
        /// Its path.
        path: PathBuf,
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

/// A key with the text of its value.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Text<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

impl Text<'_> {
    pub(crate) fn refused(self, expected: &'static str) -> ConfigError {
        ConfigError::Value {
            key: self.key.into(),
            value: self.value.into(),
            expected,
        }
    }

    pub(crate) fn within(
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

    /// Reads what is there or not.
    pub(crate) fn switch(self) -> Result<bool, ConfigError> {
        match self.value {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(self.refused("on or off")),
        }
    }

    pub(crate) fn log2(
        self,
        range: RangeInclusive<u8>,
        expected: &'static str,
    ) -> Result<u8, ConfigError> {
        let value = self.within(1..=1 << 30, expected)?;
        let log2 = value.trailing_zeros() as u8;
        if !value.is_power_of_two() || !range.contains(&log2) {
            return Err(self.refused(expected));
        }
        Ok(log2)
    }
}
