//! Every kind of device that hwpool knows: the one list.
//!
//! ```
//! let fifo = hwpool_devices::modules::kind("fifo").ok_or("it is listed")?;
//! assert_eq!(fifo.about().title, "FIFO");
//! # Ok::<(), &str>(())
//! ```

use std::sync::Arc;

use crate::bus::{DmaBuffer, Transport};
use crate::described;
use crate::family::{self, About, Choice, Kind, Module, OpenError, Recognition};

macro_rules! modules {
    ($($module:ident),+ $(,)?) => {
        /// Returns the modules, ready to drive devices over the transport `T`.
        pub fn all<T: Transport, D: DmaBuffer>() -> Vec<Arc<dyn Module<T, D>>> {
            vec![$(Arc::new(crate::$module::Module)),+]
        }

        /// Returns what is known of each kind.
        pub fn kinds() -> Vec<&'static About> {
            vec![$(&crate::$module::ABOUT),+]
        }

        /// Returns the kind of this name.
        pub fn kind(name: &str) -> Option<&'static dyn Kind> {
            let kinds: &[&'static dyn Kind] = &[$(&crate::$module::Module),+];
            kinds.iter().copied().find(|kind| kind.about().name == name)
        }
    };
}

/// Finds out which module drives the device behind `transport`: see [`family::recognise`].
///
/// # Errors
///
/// Where the function does not answer.
pub fn recognise<T: Transport, D: DmaBuffer>(
    transport: &T,
    choice: &Choice,
) -> Result<Recognition<T, D>, OpenError> {
    let modules: Vec<Arc<dyn Module<T, D>>> = match choice {
        Choice::Described(described) => vec![Arc::new(described::Module(described))],
        _ => all(),
    };
    family::recognise(transport, modules, choice)
}

/// Returns the kind whose devices use these vendor and device ids: what a device with them probably is. What it really is
/// the device says, see [`recognise`](crate::family::recognise).
pub fn by_ids(vendor: u16, device: u16) -> Option<&'static About> {
    let mut kinds = kinds().into_iter();
    kinds.find(|kind| kind.ids.contains(&(vendor, device)))
}

// A kind of device: its folder, named here and as a `mod` of the crate.
modules!(bmu, fifo);
