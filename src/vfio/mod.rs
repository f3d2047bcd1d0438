//! The kernel's VFIO for userspace drivers: a PCI function bound to vfio-pci, as a [`Transport`].
//!
//! [`Function::open`] takes a [`Bdf`] and [`Options`]. It finds its way by itself: through iommufd and the function's
//! own character device where the kernel has them ([`Backend::Cdev`]), else through its IOMMU group and a container
//! ([`Backend::Group`]). From there on both are the same: regions, interrupts and reset belong to the device's
//! descriptor, DMA mappings to the IOMMU's.
//!
//! | file | idea |
//! | --- | --- |
//! | `sysfs.rs` | what the kernel tells about a function before it is opened |
//! | `group.rs`, `cdev.rs` | the two ways in |
//! | `device.rs`, `bar.rs` | regions, configuration space, mapped registers |
//! | `caps.rs` | capability chains of the kernel's answers |
//! | `irq.rs` | interrupts as eventfds |
//! | `dma.rs` | DMA mappings and limits |
//! | `sys.rs` | the calls themselves, each behind a safe function |
//! | `error.rs` | what failed, why probably, and what to do |
//!
//! The structures are those of `vfio-bindings`, the calls are made here: the error numbers and the partial updates of
//! interrupts that a driver needs get lost in wrappers made for virtual machines.
//!
//! Not here: I/O ports, INTx, hot reset of a whole slot, VF tokens, mode without IOMMU.

mod bar;
mod caps;
mod cdev;
mod device;
mod dma;
mod error;
mod group;
mod irq;
mod sys;
mod sysfs;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool_devices::pci;

pub use bar::{VfioBar, VfioDoorbell};
pub use caps::RegionCap;
pub use device::Region;
pub use error::{NotAnAddress, OptionError, VfioError};
pub use irq::{Notice, Notices, VfioIrq};
pub use sysfs::Bdf;

use device::Device;
use dma::{Iommu, Mappings};
use irq::Interrupts;
use sysfs::{Sysfs, Whereabouts};

/// Bytes of an entry of the MSI-X table.
const MSIX_ENTRY: u64 = 16;

/// The way into the kernel's VFIO.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Backend {
    /// The function's IOMMU group in a container of type1v2.
    Group,
    /// iommufd, and the function's own character device.
    Cdev,
}

/// How to open a function.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The way in; `None` takes [`Backend::Cdev`] where the kernel offers it, else [`Backend::Group`].
    pub backend: Option<Backend>,
    /// The caller accepts a device that reaches all memory. No way of opening one is implemented, so this changes
    /// the message alone.
    pub noiommu: bool,
}

impl Options {
    /// Reads the options behind the question mark of an address: `backend=group`, `backend=cdev`, `noiommu=1`.
    ///
    /// # Errors
    ///
    /// [`OptionError`] names the option or the value that is not known.
    pub fn parse(pairs: &[(String, String)]) -> Result<Options, OptionError> {
        let mut options = Options::default();
        for (key, value) in pairs {
            match (key.as_str(), value.as_str()) {
                ("backend", "group") => options.backend = Some(Backend::Group),
                ("backend", "cdev") => options.backend = Some(Backend::Cdev),
                ("noiommu", "1") => options.noiommu = true,
                ("noiommu", "0") => options.noiommu = false,
                ("backend" | "noiommu", _) => {
                    let (key, value) = (key.clone(), value.clone());
                    return Err(OptionError::Value { key, value });
                }
                _ => return Err(OptionError::Unknown { key: key.clone() }),
            }
        }
        Ok(options)
    }
}

/// A PCI function that this process drives through the kernel's VFIO.
///
/// It has the function to itself: a second open fails as long as one lives. When it is dropped the function loses its
/// right to DMA first and its mappings then; handles made from it keep the function open, but not its mappings.
pub struct Function {
    name: String,
    backend: Backend,
    whereabouts: Whereabouts,
    device: Arc<Device>,
    interrupts: Interrupts,
    notices: Notices,
    mappings: Mappings,
    opened: Instant,
}

impl Function {
    /// Opens the function at `bdf` and takes its right to DMA away; `name` is what messages call it.
    ///
    /// Nothing else of the function is touched: a driver resets it.
    ///
    /// # Errors
    ///
    /// [`VfioError`] says which call refused, why probably, and what to do.
    pub fn open(bdf: Bdf, name: &str, options: Options) -> Result<Function, VfioError> {
        let sysfs = Sysfs::running();
        let whereabouts = sysfs.find(bdf, options)?;
        let backend = match options.backend {
            Some(backend) => backend,
            None if whereabouts.cdev.is_some() && cdev::is_offered() => Backend::Cdev,
            None => Backend::Group,
        };
        let (iommu, fd) = match backend {
            Backend::Group => {
                let (container, fd) = group::open(&sysfs, &whereabouts)?;
                (Iommu::Type1(container), fd)
            }
            Backend::Cdev => {
                let (ioas, fd) = cdev::open(&whereabouts)?;
                (Iommu::Ioas(ioas), fd)
            }
        };
        let device = Arc::new(Device::new(bdf, fd)?);
        let function = Function {
            name: name.into(),
            backend,
            interrupts: Interrupts::new(Arc::clone(&device)),
            notices: Notices::arm(&device).map_err(|source| VfioError::Bus { bdf, source })?,
            mappings: Mappings::new(iommu).map_err(|source| VfioError::Dma { bdf, source })?,
            device,
            whereabouts,
            opened: Instant::now(),
        };
        // The kernel clears it too when it opens a function; a driver must not depend on which kernel.
        pci::set_bus_master(&function, false).map_err(|source| VfioError::Bus { bdf, source })?;
        tracing::info!("{name}: opened by {backend:?}, {:?}", function.whereabouts);
        Ok(function)
    }

    /// Returns the way in that was taken.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Returns the NUMA node that the function is attached to; `None` where the firmware does not tell.
    pub fn node(&self) -> Option<u32> {
        self.whereabouts.node
    }

    /// Describes region `index` of the function: 0 to 5 are BARs, 6 is the ROM, 7 is configuration space.
    ///
    /// # Errors
    ///
    /// [`BusError::Os`] where the kernel knows no such region.
    pub fn region(&self, index: u32) -> Result<Region, BusError> {
        self.device.region(index)
    }

    /// Returns what tells that the kernel asks for the function back or that its link broke.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("backend", &self.backend)
            .field("whereabouts", &self.whereabouts)
            .finish_non_exhaustive()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Best effort: a function that is gone can't do DMA either, and the kernel disables it on the last close.
        let _ = pci::set_bus_master(self, false);
        self.mappings.unmap_all();
        self.notices.close();
    }
}

impl Transport for Function {
    type Bar = VfioBar;
    type Irq = VfioIrq;

    fn name(&self) -> &str {
        &self.name
    }

    fn bar(&self, index: u8) -> Result<VfioBar, BusError> {
        let msix = pci::msix(self)?.filter(|msix| msix.table.0 == index);
        let table = msix.map(|msix| {
            let start = u64::from(msix.table.1);
            start..start + MSIX_ENTRY * u64::from(msix.vectors)
        });
        VfioBar::open(&self.device, index, table)
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        self.device.config_read32(offset)
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.device.config_write(offset, &value.to_le_bytes())
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.device.config_write(offset, &value.to_le_bytes())
    }

    /// Returns how many MSI-X vectors the function offers, or MSI messages where it has no MSI-X.
    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(self.interrupts.count())
    }

    fn irq(&self, vector: u16) -> Result<VfioIrq, BusError> {
        self.interrupts.vector(vector)
    }

    fn reset(&self) -> Result<(), BusError> {
        self.device.reset()
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.mappings.limits()
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.mappings.map(iova, source)
    }

    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.mappings.unmap(iova, len)
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    fn relax(&self) {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Options, OptionError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Options::parse(&pairs)
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parse(&[]).unwrap(), Options::default());
        let options = parse(&[("backend", "cdev"), ("noiommu", "1")]).unwrap();
        assert_eq!(options.backend, Some(Backend::Cdev));
        assert!(options.noiommu);
        assert_eq!(
            parse(&[("backend", "group")]).unwrap().backend,
            Some(Backend::Group)
        );
    }

    #[test]
    fn options_that_are_not_known_are_refused_by_name() {
        assert!(
            matches!(parse(&[("seed", "1")]), Err(OptionError::Unknown { key }) if key == "seed")
        );
        assert!(
            matches!(parse(&[("backend", "uio")]), Err(OptionError::Value { value, .. }) if value == "uio")
        );
        assert!(matches!(
            parse(&[("noiommu", "yes")]),
            Err(OptionError::Value { .. })
        ));
    }
}
