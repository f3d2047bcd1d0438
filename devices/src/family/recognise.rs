//! Which kind of device is behind a transport: one answer for everybody who asks.

use std::fmt;
use std::ptr;
use std::sync::Arc;

use crate::bus::{Bar, BusError, DmaBuffer, Transport};
use crate::family::{About, Described, Module, OpenError};
use crate::pci;

/// Which module shall drive a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that recognises it.
    #[default]
    Recognised,
    /// The one of this name, whatever the device says.
    Named(String),
    /// The one of this description, whatever the device says.
    Described(&'static Described),
    /// None: not a register is read to find out.
    None,
}

/// What was found out of a device.
pub enum Recognition<T: Transport, D: DmaBuffer> {
    /// A module knows it, or was named. Whether the device can be used, and what it can do, the module tells.
    Known(Arc<dyn Module<T, D>>),
    /// No module knows it: why each does not, by the module's name.
    Unknown(Vec<Rejected>),
}

impl<T: Transport, D: DmaBuffer> fmt::Debug for Recognition<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recognition::Known(module) => {
                f.debug_tuple("Known").field(&module.about().name).finish()
            }
            Recognition::Unknown(rejected) => f.debug_tuple("Unknown").field(rejected).finish(),
        }
    }
}

/// Why a module says that a device is none of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The module.
    pub name: &'static str,
    /// Its ids are those of this kind of device.
    pub has_its_ids: bool,
    /// Why.
    pub why: OpenError,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}: {}", self.name, self.why)
    }
}

/// Finds out which of `modules` knows the device behind `transport`: by what the device says, those first whose ids it
/// has. Ids alone decide nothing, for boards have ids of their own.
///
/// Reads configuration space and, of a device whose BARs fit, the one register that identifies each kind; writes nothing.
/// With [`Choice::Named`], [`Choice::Described`] and [`Choice::None`] no register is read.
///
/// # Errors
///
/// Where the function does not answer.
pub fn recognise<T: Transport, D: DmaBuffer>(
    transport: &T,
    mut modules: Vec<Arc<dyn Module<T, D>>>,
    choice: &Choice,
) -> Result<Recognition<T, D>, OpenError> {
    let ids = pci::identity(transport)?;
    let ids = (ids.vendor, ids.device);
    let is_chosen = |about: &About| match choice {
        Choice::Named(name) => about.name == name,
        Choice::Described(described) => ptr::eq(about, &described.about),
        Choice::Recognised | Choice::None => false,
    };
    if *choice == Choice::None {
        return Ok(Recognition::Unknown(Vec::new()));
    }
    if *choice != Choice::Recognised {
        modules.retain(|module| is_chosen(module.about()));
        if let Some(module) = modules.pop() {
            return Ok(Recognition::Known(module));
        }
    }
    let has_its_ids = |module: &Arc<dyn Module<T, D>>| module.about().ids.contains(&ids);
    modules.sort_by_key(|module| !has_its_ids(module));
    let mut rejected = Vec::new();
    for module in modules {
        let has_its_ids = has_its_ids(&module);
        match is_one(transport, module.about()) {
            Err(why) if is_another(&why, has_its_ids) => rejected.push(Rejected {
                name: module.about().name,
                has_its_ids,
                why,
            }),
            _ => return Ok(Recognition::Known(module)),
        }
    }
    Ok(Recognition::Unknown(rejected))
}

/// Finds that the BARs of a kind of device are there, so that no register of something smaller is read, and then that
/// the register that identifies the kind says so.
fn is_one<T: Transport>(transport: &T, about: &About) -> Result<(), OpenError> {
    for &(bar, least) in about.bars {
        sized_bar(transport, bar, least)?;
    }
    match about.identity {
        Some((register, _)) => check_identity(&transport.bar(register.bar())?, about),
        None => Err(OpenError::Anonymous {
            device: about.title,
        }),
    }
}

/// Reads the register that identifies a kind of device; of a kind that has none, the one that shows that it is there.
///
/// # Errors
///
/// [`BusError::Gone`] where it reads all ones, [`OpenError::Stranger`] where it reads anything else that is not the
/// kind's.
pub(crate) fn check_identity(bar: &impl Bar, about: &About) -> Result<(), OpenError> {
    let register = about.identity.map_or(about.alive, |(register, _)| register);
    let found = register.read_raw(bar, 0)?;
    if found == register.all_ones() {
        return Err(BusError::Gone {
            evidence: format!("{} reads all ones", register.name),
        }
        .into());
    }
    let Some((register, expected)) = about.identity else {
        return Ok(());
    };
    if found == u64::from(expected) {
        return Ok(());
    }
    Err(OpenError::Stranger {
        device: about.title,
        register: &register.name,
        bar: register.bar(),
        found: found as u32,
        expected,
    })
}

/// Opens a BAR and checks its size.
pub(crate) fn sized_bar<T: Transport>(
    transport: &T,
    index: u8,
    expected: u64,
) -> Result<T::Bar, OpenError> {
    let bar = transport.bar(index)?;
    let found = bar.size();
    match found < expected {
        true => Err(OpenError::BarSize {
            bar: index,
            found,
            expected,
        }),
        false => Ok(bar),
    }
}

/// Tells whether a device is of another kind, rather than one of this kind that can't be used.
///
/// A device without the ids of this kind may answer a read with all ones or not at all, and be sound.
fn is_another(why: &OpenError, has_its_ids: bool) -> bool {
    match why {
        OpenError::Stranger { .. } | OpenError::BarSize { .. } | OpenError::Anonymous { .. } => {
            true
        }
        OpenError::Bus(BusError::NoBar { .. }) => true,
        OpenError::Bus(_) => !has_its_ids,
        _ => false,
    }
}
