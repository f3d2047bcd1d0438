//! The way in by IOMMU group and container: every kernel has it.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_GROUP_FLAGS_VIABLE, VFIO_TYPE1v2_IOMMU,
};

use super::dma::Container;
use super::error::VfioError;
use super::sys;
use super::sysfs::{Sysfs, Whereabouts};

/// Opens the function through its group, in a container of its own.
pub(super) fn open(sysfs: &Sysfs, at: &Whereabouts) -> Result<(Container, OwnedFd), VfioError> {
    let container = open_file(at, "/dev/vfio/vfio")?;
    check_kernel(at, &container)?;
    let group = open_file(at, &format!("/dev/vfio/{}", at.group))?;
    let call = |call, result: nix::Result<()>| result.map_err(|errno| call_error(at, call, errno));
    let flags = sys::group_status(group.as_fd())
        .map_err(|errno| call_error(at, "VFIO_GROUP_GET_STATUS", errno))?;
    if flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
        let strangers = sysfs.strangers(at);
        return Err(VfioError::NotViable {
            bdf: at.bdf,
            group: at.group,
            strangers,
        });
    }
    call(
        "VFIO_GROUP_SET_CONTAINER",
        sys::set_container(group.as_fd(), container.as_fd()),
    )?;
    call(
        "VFIO_SET_IOMMU",
        sys::set_iommu(container.as_fd(), VFIO_TYPE1v2_IOMMU),
    )?;
    let name = CString::new(at.bdf.to_string()).expect("a PCI address has no NUL");
    let device = sys::device_fd(group.as_fd(), &name)
        .map_err(|errno| call_error(at, "VFIO_GROUP_GET_DEVICE_FD", errno))?;
    Ok((Container::new(container, group), device))
}

fn check_kernel(at: &Whereabouts, container: &File) -> Result<(), VfioError> {
    let foreign = |what| VfioError::Foreign { bdf: at.bdf, what };
    let version = sys::api_version(container.as_fd())
        .map_err(|errno| call_error(at, "VFIO_GET_API_VERSION", errno))?;
    if version != VFIO_API_VERSION as i32 {
        return Err(foreign(
            "this kernel speaks a version of VFIO that this driver does not know",
        ));
    }
    let type1 = sys::has_extension(container.as_fd(), VFIO_TYPE1v2_IOMMU)
        .map_err(|errno| call_error(at, "VFIO_CHECK_EXTENSION", errno))?;
    match type1 {
        true => Ok(()),
        false => Err(foreign(
            "the kernel offers no type1v2 container: `modprobe vfio_iommu_type1`",
        )),
    }
}

/// Opens a file of VFIO for reading and writing.
pub(super) fn open_file(at: &Whereabouts, path: &str) -> Result<File, VfioError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| VfioError::Open {
        bdf: at.bdf,
        group: at.group,
        path: path.into(),
        errno: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
    })
}

pub(super) fn call_error(at: &Whereabouts, call: &'static str, errno: Errno) -> VfioError {
    VfioError::Call {
        bdf: at.bdf,
        group: at.group,
        call,
        errno,
    }
}
