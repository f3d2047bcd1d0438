//! Functions that another part of this program has opened by itself, with a library of its own.
//!
//! What is taken over is descriptors: they are duplicated, and whoever lent them is kept until all that was made of them is
//! closed. That is how programs of the rust-vmm family hand over a `vfio_ioctls::VfioDevice` with its `VfioContainer` or
//! `VfioIommufd`, and nothing of that library is compiled for those who don't.

use std::fmt;
use std::os::fd::OwnedFd;

use super::error::VfioError;
use super::iommu::{AddressSpace, Container, Iommu};
use super::lender::Lender;
use super::options::Backend;
use super::sys;
use super::whereabouts::Whereabouts;
use crate::machine::Tree;

/// Where the mappings of a function are made that the program has opened by itself.
#[derive(Clone)]
#[non_exhaustive]
pub enum LentIommu {
    /// A container of type1v2, with the function's group in it: `/dev/vfio/vfio`.
    Container(Lender),
    /// An address space of iommufd that the function is attached to.
    AddressSpace {
        /// The context: `/dev/iommu`.
        iommufd: Lender,
        /// The number of the address space in it, which `IOMMU_IOAS_ALLOC` gave.
        id: u32,
    },
}

impl fmt::Debug for LentIommu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LentIommu::Container(lender) => f
                .debug_tuple("Container")
                .field(&lender.as_raw_fd())
                .finish(),
            LentIommu::AddressSpace { iommufd, id } => (f.debug_struct("AddressSpace"))
                .field("iommufd", &iommufd.as_raw_fd())
                .field("id", id)
                .finish(),
        }
    }
}

impl LentIommu {
    pub(super) fn backend(&self) -> Backend {
        match self {
            LentIommu::Container(_) => Backend::Group,
            LentIommu::AddressSpace { .. } => Backend::Cdev,
        }
    }
}

/// Takes over where the mappings are made.
pub(super) fn iommu(at: &Whereabouts, lent: LentIommu) -> Result<Iommu, VfioError> {
    Ok(match lent {
        LentIommu::Container(lender) => {
            let container = duplicate(at, &lender)?.into();
            Iommu::Type1(Container::lent(container, lender))
        }
        LentIommu::AddressSpace { iommufd, id } => {
            let own = duplicate(at, &iommufd)?.into();
            Iommu::Ioas(AddressSpace::lent(own, id, iommufd))
        }
    })
}

/// Duplicates a descriptor, close-on-exec.
pub(super) fn duplicate(at: &Whereabouts, lender: &Lender) -> Result<OwnedFd, VfioError> {
    sys::duplicate(lender.as_raw_fd())
        .map_err(|errno| at.call_error("fcntl(F_DUPFD_CLOEXEC)", errno))
}

/// Refuses a descriptor that is of another function than the address says, as far as its ids tell. They are those of sysfs,
/// as a virtual function has none in its own configuration space.
pub(super) fn check_ids(tree: &Tree, at: &Whereabouts, found: u32) -> Result<(), VfioError> {
    let files = tree.function(at.bdf);
    let ids = [files.number::<u16>("vendor"), files.number("device")];
    let found = [Some(found as u16), Some((found >> 16) as u16)];
    match ids.contains(&None) || ids == found {
        true => Ok(()),
        false => Err(VfioError::Foreign {
            bdf: at.bdf,
            what: "the descriptor that was lent is of another function: the ids differ",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::super::whereabouts::testing::{file, find_in, machine};
    use super::*;

    #[test]
    fn a_descriptor_of_another_function_is_refused() {
        let machine = machine(Some("vfio-pci"));
        machine.write(&file("vendor"), "0x1234\n");
        machine.write(&file("device"), "0xb0f5\n");
        let at = find_in(&machine, &Options::default()).unwrap();
        let check = |ids| check_ids(&machine.tree(), &at, ids);
        assert!(check(0xb0f5_1234).is_ok());
        for ids in [0xb0f6_1234, 0xb0f5_1235, 0] {
            assert!(matches!(check(ids), Err(VfioError::Foreign { .. })));
        }
    }
}
