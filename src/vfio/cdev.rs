//! The way in by iommufd and the function's own character device.

use std::os::fd::{AsFd, OwnedFd};

use super::Options;
use super::dma::{AddressSpace, Iommu};
use super::error::VfioError;
use super::group::{call_error, open_file};
use super::sys;
use super::sysfs::Whereabouts;

pub(super) const IOMMUFD: &str = "/dev/iommu";

/// Returns the node of a character device, whose name sysfs tells.
pub(super) fn path(name: &str) -> String {
    format!("/dev/vfio/devices/{name}")
}

/// Opens the function through its character device, in an address space of its own.
pub(super) fn open(at: &Whereabouts, options: Options) -> Result<(Iommu, OwnedFd), VfioError> {
    let name = at
        .cdev
        .as_deref()
        .ok_or(VfioError::NoCdev { bdf: at.bdf })?;
    let iommufd = open_file(at, IOMMUFD, options.iommu)?;
    let device = open_file(at, &path(name), options.fd)?;
    sys::bind_iommufd(device.as_fd(), iommufd.as_fd(), options.token.as_ref())
        .map_err(|errno| call_error(at, "VFIO_DEVICE_BIND_IOMMUFD", errno))?;
    let ioas = sys::ioas_alloc(iommufd.as_fd())
        .map_err(|errno| call_error(at, "IOMMU_IOAS_ALLOC", errno))?;
    sys::attach(device.as_fd(), ioas)
        .map_err(|errno| call_error(at, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", errno))?;
    let space = AddressSpace::new(iommufd, ioas);
    Ok((Iommu::Ioas(space), device.into()))
}
