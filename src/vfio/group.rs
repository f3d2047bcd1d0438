//! The way in by IOMMU group and container: every kernel has it.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_GROUP_FLAGS_VIABLE, VFIO_NOIOMMU_IOMMU, VFIO_TYPE1v2_IOMMU,
};

use super::error::VfioError;
use super::iommu::{Container, Iommu};
use super::node::Node;
use super::options::Options;
use super::sys;
use super::whereabouts::{Whereabouts, strangers};
use crate::machine::{Tree, Watch};

/// Opens the function through its group, in a container of its own.
pub(super) fn open(
    tree: &Tree,
    at: &Whereabouts,
    options: Options,
    watch: &Watch,
) -> Result<(Iommu, OwnedFd), VfioError> {
    let kind = match at.group.noiommu {
        true => VFIO_NOIOMMU_IOMMU,
        false => VFIO_TYPE1v2_IOMMU,
    };
    let group = Node::group(at).open_or_take(tree, at, options.fd)?;
    let container = Node::Container.open_or_share(tree, at, options.iommu)?;
    check_kernel(at, &container, kind)?;
    let call = |call, result: nix::Result<()>| result.map_err(|errno| at.call_error(call, errno));
    let flags = sys::group_status(group.as_fd())
        .map_err(|errno| at.call_error("VFIO_GROUP_GET_STATUS", errno))?;
    if flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
        return Err(VfioError::NotViable {
            bdf: at.bdf,
            group: at.group.number,
            strangers: strangers(tree, at),
        });
    }
    call(
        "VFIO_GROUP_SET_CONTAINER",
        sys::set_container(group.as_fd(), container.as_fd()),
    )?;
    call("VFIO_SET_IOMMU", sys::set_iommu(container.as_fd(), kind))?;
    let token = options.token.map(|token| format!(" vf_token={token}"));
    let name = format!("{}{}", at.bdf, token.unwrap_or_default());
    let name = CString::new(name).expect("neither an address nor a token has a NUL");
    let device = sys::device_fd(group.as_fd(), &name, watch)
        .map_err(|errno| at.call_error("VFIO_GROUP_GET_DEVICE_FD", errno))?;
    let container = Container::new(container, group);
    let iommu = match at.group.noiommu {
        true => Iommu::None(container),
        false => Iommu::Type1(container),
    };
    Ok((iommu, device))
}

fn check_kernel(at: &Whereabouts, container: &File, kind: u32) -> Result<(), VfioError> {
    let foreign = |what| VfioError::Foreign { bdf: at.bdf, what };
    let version = sys::api_version(container.as_fd())
        .map_err(|errno| at.call_error("VFIO_GET_API_VERSION", errno))?;
    if version != VFIO_API_VERSION as i32 {
        return Err(foreign(
            "this kernel speaks a version of VFIO that this driver does not know",
        ));
    }
    let known = sys::has_extension(container.as_fd(), kind)
        .map_err(|errno| at.call_error("VFIO_CHECK_EXTENSION", errno))?;
    match known {
        true => Ok(()),
        false if at.group.noiommu => Err(foreign(
            "the kernel does not let devices without an IOMMU be driven: `echo 1 > \
             /sys/module/vfio/parameters/enable_unsafe_noiommu_mode`",
        )),
        false => Err(foreign(
            "the kernel offers no type1v2 container: `modprobe vfio_iommu_type1`",
        )),
    }
}
