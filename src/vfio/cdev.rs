//! The way in by iommufd and the function's own character device.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::error::VfioError;
use super::iommu::{AddressSpace, Iommu};
use super::node::Node;
use super::options::{Options, VfToken};
use super::sys;
use super::whereabouts::Whereabouts;
use crate::machine::{Tree, Watch};

/// Opens the function through its character device, in an address space of its own.
pub(super) fn open(
    tree: &Tree,
    at: &Whereabouts,
    options: Options,
    watch: &Watch,
) -> Result<(Iommu, OwnedFd), VfioError> {
    let node = Node::cdev(at).ok_or(VfioError::NoCdev { bdf: at.bdf })?;
    let device = node.open_or_take(tree, at, options.fd)?;
    let iommufd = Node::Iommufd.open_or_share(tree, at, options.iommu)?;
    sys::bind_iommufd(
        device.as_fd(),
        iommufd.as_fd(),
        options.token.as_ref().map(VfToken::bytes),
        watch,
    )
    .map_err(|errno| {
        let call = "VFIO_DEVICE_BIND_IOMMUFD";
        // EINVAL stands for other things as well, so it says so only where somebody is seen.
        let held = node.held_by_others(tree, at, call, errno);
        held.filter(|_| matches!(errno, Errno::EBUSY | Errno::EINVAL))
            .unwrap_or_else(|| at.call_error(call, errno))
    })?;
    let mut space =
        AddressSpace::new(iommufd).map_err(|errno| at.call_error("IOMMU_IOAS_ALLOC", errno))?;
    space
        .attach(at.bdf, device.as_fd())
        .map_err(|errno| at.call_error("VFIO_DEVICE_ATTACH_IOMMUFD_PT", errno))?;
    Ok((Iommu::Ioas(space), device.into()))
}
