//! Hot reset: of a slot or bus, with every function that is on it.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use hwpool_devices::bus::BusError;
use nix::errno::Errno;

use super::error::hint;
use super::sys;
use crate::machine::{Bdf, Watch};

/// `VFIO_PCI_DEVID_NOT_OWNED`: the function belongs to somebody else.
const NOT_OWNED: u32 = u32::MAX;
const BY_DEVICE: u32 = vfio_bindings::bindings::vfio::VFIO_PCI_HOT_RESET_FLAG_DEV_ID;

/// A function that a hot reset resets.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affected {
    /// Its address.
    pub bdf: Bdf,
    /// This process may reset it: it is in the IOMMU group or the iommufd context that it opened.
    pub is_ours: bool,
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bdf.fmt(f)
    }
}

/// Lists the functions that share the reset of a slot or bus with `device`, itself included.
pub(super) fn affected(device: BorrowedFd<'_>, group: u32) -> Result<Vec<Affected>, BusError> {
    let call = "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO";
    let (flags, entries) = sys::hot_reset_info(device).map_err(|errno| refused(call, errno))?;
    let is_ours = |id: u32| match flags & BY_DEVICE != 0 {
        true => id != NOT_OWNED,
        false => id == group,
    };
    let affected = entries.iter().map(|entry| Affected {
        bdf: Bdf::of_bus(entry.segment, entry.bus, entry.devfn),
        is_ours: is_ours(entry.id),
    });
    Ok(affected.collect())
}

/// Resets the slot or bus of `device`; `group` is the descriptor of its group where it was opened by one.
pub(super) fn reset(
    device: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
    affected: &[Affected],
    watch: &Watch,
) -> Result<(), BusError> {
    check(affected)?;
    let groups: Vec<RawFd> = group.iter().map(AsRawFd::as_raw_fd).collect();
    sys::hot_reset(device, &groups, watch)
        .map_err(|errno| refused("VFIO_DEVICE_PCI_HOT_RESET", errno))
}

/// Makes the error of a call that refused. ENODEV stands for a slot that can't be reset, not for a function that is gone.
fn refused(call: &'static str, errno: Errno) -> BusError {
    BusError::Reset {
        cause: format!("{call} failed with errno {errno}: {}", hint(call, errno)),
    }
}

/// Refuses to pull the ground from under somebody else's function; the kernel would, too, without a name.
fn check(affected: &[Affected]) -> Result<(), BusError> {
    let foreign = affected.iter().filter(|each| !each.is_ours);
    let names: Vec<String> = foreign.map(ToString::to_string).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(BusError::Reset {
        cause: format!(
            "a hot reset would also reset {}, which this process does not have open",
            names.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_cant_be_reset_is_no_function_that_is_gone() {
        let error = refused("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Errno::ENODEV);
        assert!(matches!(error, BusError::Reset { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("as on the root bus"), "{text}");
        assert!(!text.contains("gone"), "{text}");
    }

    #[test]
    fn functions_of_others_stand_in_the_way_by_name() {
        let each = |function, is_ours| Affected {
            bdf: Bdf::of_bus(0, 3, function),
            is_ours,
        };
        assert_eq!(check(&[each(0, true), each(1, true)]), Ok(()));
        let refused = check(&[each(0, true), each(9, false)])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("also reset 0000:03:01.1,"), "{refused}");
    }
}
