//! Kinds of device as people name them: by the name of a module, or by the file of a description.
//!
//! ```
//! let fifo = hwpool::kinds::about("fifo")?;
//! assert!(fifo.registers.iter().any(|row| row.name == "POP"));
//! # Ok::<(), hwpool::kinds::KindError>(())
//! ```

use std::path::Path;

use hwpool_devices::description::Mistake;
use hwpool_devices::family::{About, Choice, Described};
use hwpool_devices::modules;
use hwpool_sim::{ConfigError, MODELS, SimConfig};

use crate::address::{Address, TransportKind};

/// Why a text names no kind of device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KindError {
    /// No module has that name, and it is not that of a file either.
    #[error(
        "no driver `{name}`; there is {}, the file of a description (FILE.toml), or none",
        names()
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// No model has that name, and it is not that of a file either.
    #[error(
        "no model `{name}`; there is {}, or the file of a description, FILE.toml",
        models()
    )]
    NoModel {
        /// The name.
        name: String,
    },
    /// The model can't be made as the description says.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The description is wrong, or can't be read.
    #[cfg(feature = "describe")]
    #[error(transparent)]
    Description(#[from] hwpool_describe::DescribeError),
    /// The description contradicts itself.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// A build that reads no descriptions.
    #[error("{file} can't be read: hwpool was built without its feature `describe`")]
    NotBuilt {
        /// The file.
        file: String,
    },
}

/// Returns the seed of the model in this process that an address names; `None` for any other device, and where what it says
/// is no seed.
pub fn seed(address: &Address) -> Option<u64> {
    let mut config = SimConfig::default();
    if let Some(seed) = address.option("seed") {
        config.set("seed", seed).ok()?;
    }
    (address.transport == TransportKind::Sim).then_some(config.seed)
}

/// Returns the names of the modules, for messages.
fn names() -> String {
    let names = modules::kinds()
        .iter()
        .map(|kind| kind.name)
        .collect::<Vec<_>>();
    names.join(", ")
}

/// Returns the names of the models, for messages.
fn models() -> String {
    let names = MODELS.iter().map(|model| model.name).collect::<Vec<_>>();
    names.join(", ")
}

/// Tells whether a text is the name of a description's file and not that of a module or model: it ends in `.toml`.
pub fn is_file(text: &str) -> bool {
    Path::new(text)
        .extension()
        .is_some_and(|extension| extension == "toml")
}

/// Returns what is known of the kind of device that `text` names: a module, or a description's file, which is read.
///
/// # Errors
///
/// [`KindError`]; that of a description names file, line and column.
pub fn about(text: &str) -> Result<&'static About, KindError> {
    if is_file(text) {
        return Ok(&described(text)?.about);
    }
    let found = modules::kinds().into_iter().find(|kind| kind.name == text);
    found.ok_or_else(|| KindError::Unknown { name: text.into() })
}

/// Returns which driver a device shall have whose address names it so: `none`, a module, or a description's file.
pub(crate) fn choice(text: &str) -> Result<Choice, KindError> {
    match text {
        "none" => Ok(Choice::None),
        file if is_file(file) => Ok(Choice::Described(described(file)?)),
        name => Ok(Choice::Named(about(name)?.name.into())),
    }
}

/// Configures the model of that name, or of what a description's file describes, with every default. With it comes the driver
/// that it needs where the device does not tell by itself: that of the description.
///
/// # Errors
///
/// As for [`about`].
pub fn model(text: &str) -> Result<(SimConfig, Option<Choice>), KindError> {
    if is_file(text) {
        let described = described(text)?;
        let config = SimConfig::described(described.description.clone())?;
        return Ok((config, Some(Choice::Described(described))));
    }
    // There is no other reason.
    let config = SimConfig::new(text).map_err(|_| KindError::NoModel { name: text.into() })?;
    Ok((config, None))
}

/// Reads the description in a file. It stays for the life of the process, and is there once however often it is read.
///
/// # Errors
///
/// As for [`about`].
#[cfg(feature = "describe")]
pub fn described(file: &str) -> Result<&'static Described, KindError> {
    let description = hwpool_describe::read(Path::new(file))?;
    // Which checks again, for the sake of those that are made by hand.
    Ok(Described::keep(description)?)
}

#[cfg(not(feature = "describe"))]
pub(crate) fn described(file: &str) -> Result<&'static Described, KindError> {
    Err(KindError::NotBuilt { file: file.into() })
}
