//! The kernel's VFIO for userspace drivers: a PCI function bound to vfio-pci, as a [`Transport`].
//!
//! ```no_run
//! use hwpool::devices::pci;
//! use hwpool::vfio::{Function, Options};
//!
//! let function = Function::open("0000:01:00.0".parse()?, "my board", Options::default())?;
//! let ids = pci::identity(&function)?;
//! println!("{:04x}:{:04x}", ids.vendor, ids.device);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Function::open`] takes a [`Bdf`] and [`Options`]. It finds its way by itself: through iommufd and the function's
//! own character device where this process may open both ([`Backend::Cdev`]), else through its IOMMU group and a container
//! ([`Backend::Group`]). From there on both are the same: regions, interrupts and reset belong to the device's
//! descriptor, DMA mappings to the IOMMU's.
//!
//! | file | idea |
//! | --- | --- |
//! | `options.rs` | what an address may ask for |
//! | `whereabouts.rs` | where a function is found, or why it can't be opened |
//! | `node.rs` | the files of VFIO, opened or handed over |
//! | `group.rs`, `cdev.rs` | the two ways in |
//! | `adopt.rs`, `lender.rs` | functions that the program has opened by itself |
//! | `device.rs`, `bar.rs` | regions, configuration space, mapped registers |
//! | `caps.rs` | capability chains of the kernel's answers |
//! | `irq.rs` | interrupts as eventfds |
//! | `slot.rs` | hot reset |
//! | `iommu.rs` | container, address space, and what they can map |
//! | `dma.rs`, `view.rs` | DMA mappings, and the pages behind them |
//! | `noiommu.rs` | physical addresses, where nothing is mapped |
//! | `sys.rs` | the calls themselves, each behind a safe function; those that can last minutes want a `Watch` |
//! | `error.rs` | what failed, why probably, and what to do |
//!
//! # Which calls, and whose
//!
//! All calls are made in `sys.rs`, with the structures of `vfio-bindings` and `iommufd-bindings`. `vfio-ioctls` wraps them for
//! virtual machines and is not used (0.10.0 was read), for each wrapper lacks something that a driver can't do without. A
//! function that a program has opened by it is taken over: [`Function::adopt`].
//!
//! What matters most: its devices panic on drop where the function was unplugged; errors of region accesses are logged and not
//! returned; a container or a group can't be handed in by its descriptor; there is no VF token; what an IOMMU can map is not asked.
//!
//! | call | what a driver needs of it |
//! | --- | --- |
//! | `VFIO_GET_API_VERSION`, `VFIO_CHECK_EXTENSION`, `VFIO_SET_IOMMU` | a container that was handed over, or of type no-IOMMU |
//! | `VFIO_GROUP_GET_STATUS`, `VFIO_GROUP_SET_CONTAINER` | the errno, which tells a group in use from one that is not viable |
//! | `VFIO_GROUP_GET_DEVICE_FD` | a VF token behind the name; the errno |
//! | `VFIO_DEVICE_GET_INFO`, `VFIO_DEVICE_GET_REGION_INFO` | all capabilities of a region, as far as the kernel tells them, and none beyond |
//! | `pread`, `pwrite` of a region | the error, and how much was moved: a wrapper logs it and leaves the buffer as it was |
//! | `VFIO_DEVICE_GET_IRQ_INFO`, `VFIO_DEVICE_SET_IRQS` | vectors one by one, none in between (-1), how many could be had, INTx unmasked |
//! | `VFIO_DEVICE_RESET`, `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO`, `VFIO_DEVICE_PCI_HOT_RESET` | the errno of one, any way to do the other |
//! | `VFIO_IOMMU_GET_INFO` | ranges, page sizes, entries left |
//! | `VFIO_IOMMU_MAP_DMA`, `VFIO_IOMMU_UNMAP_DMA` | pages of ours instead of a pointer; how much was unmapped |
//! | `VFIO_DEVICE_BIND_IOMMUFD` | a VF token; a structure that older kernels know |
//! | `VFIO_DEVICE_ATTACH_IOMMUFD_PT`, `VFIO_DEVICE_DETACH_IOMMUFD_PT` | an address space that is left before it is destroyed |
//! | `IOMMU_IOAS_ALLOC`, `IOMMU_DESTROY` | an address space that goes with its function, not with its iommufd |
//! | `IOMMU_IOAS_IOVA_RANGES`, `IOMMU_IOAS_MAP`, `IOMMU_IOAS_UNMAP` | as for a container |
//! | `IOMMU_IOAS_MAP_FILE` | pages by their file, on a kernel that can, and by a view of them on others |
//!
//! Not here: I/O ports, migration, dirty pages.

mod adopt;
mod bar;
mod caps;
mod cdev;
mod device;
mod dma;
mod error;
mod group;
mod iommu;
mod irq;
mod lender;
mod node;
mod noiommu;
mod options;
mod slot;
mod sys;
mod view;
mod whereabouts;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool_devices::pci;
use nix::unistd::{AccessFlags, access};

pub use adopt::LentIommu;
pub use bar::{VfioBar, VfioDoorbell};
pub use caps::RegionCap;
pub use device::Region;
pub use error::{KernelErrno, OptionError, VfioError};
pub use irq::{Intx, Notice, Notices, VfioIrq};
pub use lender::Lender;
pub use options::{Backend, Descriptor, Options, VfToken};
pub use slot::Affected;

pub use crate::machine::{Bdf, NotAnAddress};

use device::DeviceFd;
use dma::Mappings;
use iommu::Iommu;
use irq::Interrupts;
use node::Node;
use whereabouts::Whereabouts;

use crate::machine::{Tree, Watch};

/// Bytes of an entry of the MSI-X table.
const MSIX_ENTRY: u64 = 16;

/// A PCI function that this process drives through the kernel's VFIO.
///
/// It has the function to itself: a second open fails as long as one lives. When it is dropped the function loses its
/// right to DMA first and its mappings then; handles made from it keep the function open, but not its mappings.
pub struct Function {
    name: String,
    backend: Backend,
    whereabouts: Whereabouts,
    device: Arc<DeviceFd>,
    interrupts: Interrupts,
    notices: Notices,
    mappings: Mappings,
    opened: Instant,
}

impl Function {
    /// Opens the function at `bdf` and takes its right to DMA away; `name` is what messages call it, so no secret is in
    /// it.
    ///
    /// Nothing else of the function is touched: a driver resets it.
    ///
    /// # Errors
    ///
    /// [`VfioError`] says which call refused, why probably, and what to do.
    pub fn open(bdf: Bdf, name: &str, options: Options) -> Result<Function, VfioError> {
        let tree = Tree::running();
        let whereabouts = whereabouts::find(&tree, bdf, &options)?;
        let watch = Watch::of(&tree, bdf, "opening");
        if whereabouts.group.noiommu {
            tracing::warn!(
                "{name}: THERE IS NO IOMMU. The device reaches all memory of this machine; a mistake of its own or of \
                 its driver can destroy anything, and the kernel is marked as tainted"
            );
        }
        let backend = options
            .backend
            .or_else(|| way_of_handed(&tree, &whereabouts, &options))
            .unwrap_or_else(|| choose(&whereabouts, may_open));
        let (iommu, fd) = match backend {
            Backend::Group => group::open(&tree, &whereabouts, options, &watch)?,
            Backend::Cdev => cdev::open(&tree, &whereabouts, options, &watch)?,
        };
        let device = DeviceFd::new(bdf, fd, None)?;
        Function::with(name, backend, whereabouts, device, iommu)
    }

    /// Takes over a function that the program has opened by itself, such as a `vfio_ioctls::VfioDevice` with its container or
    /// its iommufd, and takes its right to DMA away.
    ///
    /// `device` is lent with the function's descriptor, which is duplicated, and kept until everything that was made of the
    /// function is dropped. `iommu` is where its mappings are made: IOVAs at which the program has mappings of its own are
    /// refused ([`DmaError::Exists`]), and only what was mapped here is unmapped. Interrupts that are asked for here, and the
    /// kernel's notices, take the place of those that the program has enabled.
    ///
    /// What can't be had of a function that was lent: a [hot reset](Self::hot_reset) of one in a container, since the group's
    /// descriptor is the program's.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use hwpool::vfio::{Function, LentIommu};
    ///
    /// # fn opened() -> (std::fs::File, std::fs::File) { unimplemented!() }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (device, container) = opened(); // or a VfioDevice and a VfioContainer
    /// let iommu = LentIommu::Container(Arc::new(container));
    /// let function = Function::adopt("0000:01:00.0".parse()?, "mine", Arc::new(device), iommu)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`VfioError`], as for [`Function::open`]; [`VfioError::Foreign`] where the descriptor is of another function.
    pub fn adopt(
        bdf: Bdf,
        name: &str,
        device: Lender,
        iommu: LentIommu,
    ) -> Result<Function, VfioError> {
        let tree = Tree::running();
        let whereabouts = whereabouts::find(&tree, bdf, &Options::default())?;
        let fd = adopt::duplicate(&whereabouts, &device)?;
        let backend = iommu.backend();
        let iommu = adopt::iommu(&whereabouts, iommu)?;
        let device = DeviceFd::new(bdf, fd, Some(device))?;
        let ids = device.config_read32(0);
        let ids = ids.map_err(|source| VfioError::Bus { bdf, source })?;
        adopt::check_ids(&tree, &whereabouts, ids)?;
        Function::with(name, backend, whereabouts, device, iommu)
    }

    /// Makes a function of what was opened for it.
    fn with(
        name: &str,
        backend: Backend,
        whereabouts: Whereabouts,
        device: DeviceFd,
        iommu: Iommu,
    ) -> Result<Function, VfioError> {
        let bdf = whereabouts.bdf;
        let device = Arc::new(device);
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

    /// Returns the number of the function's IOMMU group.
    pub fn group(&self) -> u32 {
        self.whereabouts.group.number
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

    /// Enables the function's legacy interrupt, INTx. Not together with message interrupts ([`Transport::irq`]).
    ///
    /// # Errors
    ///
    /// [`BusError::NoVector`] where it has none, [`BusError::Os`] where the kernel refuses.
    pub fn intx(&self) -> Result<Intx, BusError> {
        Intx::enable(&self.device)
    }

    /// Lists the functions that a [hot reset](Self::hot_reset) resets, this one included.
    ///
    /// # Errors
    ///
    /// [`BusError::Reset`] where the kernel can reset neither slot nor bus, as for a function of the root complex.
    pub fn affected(&self) -> Result<Vec<Affected>, BusError> {
        slot::affected(self.device.fd(), self.group())
    }

    /// Resets the whole slot or bus, for a board that an FLR does not bring back; see [`Function::affected`].
    ///
    /// Blocks for the reset. Configuration space is restored by the kernel; the device's own state is lost.
    ///
    /// # Errors
    ///
    /// [`BusError::Reset`] names the functions of others that would be reset, too, or says what the kernel refused.
    pub fn hot_reset(&self) -> Result<(), BusError> {
        self.need_answer()?;
        if self.backend == Backend::Group && self.mappings.group().is_none() {
            return Err(BusError::Reset {
                cause: "a hot reset takes the descriptor of the group, which whoever lent this function has".into(),
            });
        }
        let affected = self.affected()?;
        let watch = Watch::of(
            &Tree::running(),
            self.whereabouts.bdf,
            "resetting the slot of",
        );
        slot::reset(self.device.fd(), self.mappings.group(), &affected, &watch)
    }

    /// Refuses to have the kernel wait for a function that does not answer.
    fn need_answer(&self) -> Result<(), BusError> {
        match whereabouts::is_gone(&Tree::running(), self.whereabouts.bdf) {
            true => Err(BusError::Gone {
                evidence: "configuration space reads all ones".into(),
            }),
            false => Ok(()),
        }
    }

    /// Returns what tells that the kernel asks for the function back or that its link broke.
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }
}

/// Returns the way in that the descriptors which were handed over belong to. That of the function itself tells more than
/// that of the IOMMU.
fn way_of_handed(tree: &Tree, at: &Whereabouts, options: &Options) -> Option<Backend> {
    let handed = [&options.fd, &options.iommu].into_iter().flatten();
    handed
        .map(Descriptor::number)
        .find_map(|fd| node::kind_of(tree, at, fd))
}

/// Chooses the way in where nobody asked for one, and says why. `may_open` says why a node can't be opened.
fn choose(at: &Whereabouts, may_open: impl Fn(&str) -> nix::Result<()>) -> Backend {
    let group = |why: String| {
        tracing::info!("{}: opened by its group, because {why}", at.bdf);
        Backend::Group
    };
    let Some(device) = Node::cdev(at) else {
        return group("it has no character device of its own".into());
    };
    if at.group.noiommu {
        return group("it is behind no IOMMU".into());
    }
    let nodes = [Node::Iommufd.path(), device.path()];
    let mut refusals = nodes
        .iter()
        .filter_map(|path| Some((path, may_open(path).err()?)));
    match refusals.next() {
        None => Backend::Cdev,
        Some((path, errno)) => group(format!("opening {path} would fail: {}", errno.desc())),
    }
}

/// Asks whether this process may read and write a node.
fn may_open(node: &str) -> nix::Result<()> {
    access(node, AccessFlags::R_OK | AccessFlags::W_OK)
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
        self.need_answer()?;
        self.device.reset(self.whereabouts.bdf)
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.mappings.limits()
    }

    fn dma_address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        self.mappings.address(source)
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
    use crate::machine::Group;
    use nix::errno::Errno;

    fn at() -> Whereabouts {
        Whereabouts {
            bdf: "0000:01:00.0".parse().unwrap(),
            group: Group {
                number: 7,
                noiommu: false,
                others: vec![],
                reserved: vec![],
            },
            cdev: Some("vfio3".into()),
            node: None,
        }
    }

    /// Chooses where some nodes can't be opened.
    fn chosen(at: &Whereabouts, closed: &[(&str, Errno)]) -> Backend {
        choose(at, |node| {
            match closed.iter().find(|(name, _)| *name == node) {
                Some((_, errno)) => Err(*errno),
                None => Ok(()),
            }
        })
    }

    #[test]
    fn the_way_in_is_one_whose_nodes_open() {
        let by_itself = |closed: &[_]| chosen(&at(), closed);
        assert_eq!(by_itself(&[]), Backend::Cdev);
        let (iommu, device) = ("/dev/iommu", "/dev/vfio/devices/vfio3");
        assert_eq!(by_itself(&[(iommu, Errno::ENOENT)]), Backend::Group);
        assert_eq!(by_itself(&[(iommu, Errno::EACCES)]), Backend::Group);
        // As where somebody was given the group alone.
        assert_eq!(by_itself(&[(device, Errno::EACCES)]), Backend::Group);
    }

    #[test]
    fn without_a_node_or_an_iommu_it_is_the_group() {
        let (mut no_node, mut no_iommu) = (at(), at());
        no_node.cdev = None;
        no_iommu.group.noiommu = true;
        for at in [no_node, no_iommu] {
            assert_eq!(chosen(&at, &[]), Backend::Group);
        }
    }
}
