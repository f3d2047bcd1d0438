//! The list of devices that have a model.

use crate::config::SimConfig;
use crate::logic::ModelInfo;
use crate::parameter::ConfigError;
use crate::{bmu, fifo};

/// Every model; the first is what [`SimConfig::default`] configures.
pub const MODELS: &[ModelInfo] = &[bmu::MODEL, fifo::MODEL];

impl Default for SimConfig {
    /// Configures the first of [`MODELS`].
    fn default() -> SimConfig {
        SimConfig::of(MODELS[0])
    }
}

impl SimConfig {
    /// Configures the model `name` with every default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownModel`].
    pub fn new(name: &str) -> Result<SimConfig, ConfigError> {
        let found = MODELS.iter().find(|model| model.name == name);
        let model = found.ok_or_else(|| {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            ConfigError::UnknownModel {
                name: name.into(),
                known: names.join(", "),
            }
        })?;
        Ok(SimConfig::of(*model))
    }

    /// Checks that the configuration is one of the model `name`.
    pub fn check_model(&self, name: &str) -> Result<(), ConfigError> {
        if self.name == name {
            return Ok(());
        }
        SimConfig::new(name)?;
        Err(ConfigError::OtherModel {
            wanted: name.into(),
            found: self.name.to_string(),
        })
    }
}
