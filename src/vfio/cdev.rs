//! The way in by iommufd and the function's own character device.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::Options;
use super::dma::{AddressSpace, Iommu};
use super::error::VfioError;
use super::group::call_error;
use super::node::Node;
use super::sys;
use super::sysfs::{Sysfs, Whereabouts};

/// Opens the function through its character device, in an address space of its own.
pub(super) fn open(
    sysfs: &Sysfs,
    at: &Whereabouts,
    options: Options,
) -> Result<(Iommu, OwnedFd), VfioError> {
    let name = at.cdev.clone().ok_or(VfioError::NoCdev { bdf: at.bdf })?;
    let node = Node::Device(name);
    let device = node.open_or_take(sysfs, at, options.fd)?;
    let iommufd = Node::Iommufd.open_or_share(sysfs, at, options.iommu)?;
    sys::bind_iommufd(device.as_fd(), iommufd.as_fd(), options.token.as_ref()).map_err(
        |errno| {
            let call = "VFIO_DEVICE_BIND_IOMMUFD";
            // EINVAL stands for other things as well, so it says so only where somebody is seen.
            let held = node.held_by_others(at, call, errno);
            held.filter(|_| matches!(errno, Errno::EBUSY | Errno::EINVAL))
                .unwrap_or_else(|| call_error(at, call, errno))
        },
    )?;
    let mut space =
        AddressSpace::new(iommufd).map_err(|errno| call_error(at, "IOMMU_IOAS_ALLOC", errno))?;
    space
        .attach(device.as_fd())
        .map_err(|errno| call_error(at, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", errno))?;
    Ok((Iommu::Ioas(space), device.into()))
}
