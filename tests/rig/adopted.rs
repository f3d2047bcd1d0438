//! Functions that `vfio-ioctls` opens, and hwpool takes over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hwpool::vfio::{Function, Lender, LentIommu};
use vfio_ioctls::{VfioContainer, VfioDevice, VfioIommufd, VfioOps};

/// Opens `vfio:BDF`, with `?backend=cdev` by its character device, else by its group.
pub(crate) fn function(address: &str) -> Function {
    let place = address.strip_prefix("vfio:").expect("a function");
    let (bdf, options) = place.split_once('?').unwrap_or((place, ""));
    let path = PathBuf::from(format!("/sys/bus/pci/devices/{bdf}"));
    let (device, iommu) = match options.contains("backend=cdev") {
        true => by_cdev(&path),
        false => by_group(&path),
    };
    let bdf = bdf.parse().expect("an address");
    Function::adopt(bdf, address, device, iommu).expect("it is taken over")
}

fn by_group(path: &Path) -> (Lender, LentIommu) {
    let container = Arc::new(VfioContainer::new(None).expect("a container"));
    let device = opened(path, container.clone());
    (device, LentIommu::Container(container))
}

fn by_cdev(path: &Path) -> (Lender, LentIommu) {
    let iommufd = Arc::new(iommufd_ioctls::IommuFd::new().expect("a context"));
    let space = VfioIommufd::new(iommufd.clone(), None, None).expect("an address space");
    let id = space.ioas().id();
    let device = opened(path, Arc::new(space));
    (device, LentIommu::AddressSpace { iommufd, id })
}

fn opened(path: &Path, iommu: Arc<dyn VfioOps>) -> Lender {
    Arc::new(VfioDevice::new(path, iommu, true).expect("it opens"))
}
