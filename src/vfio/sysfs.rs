//! What the kernel's files tell about a function before it is opened: its driver, its IOMMU group, who else is in it.

use std::fmt;
use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{NotAnAddress, VfioError};
use super::node::{self, Node};
use super::{Backend, Options};

/// The address of a PCI function: domain, bus, device, function.
///
/// ```
/// use hwpool::vfio::Bdf;
///
/// let bdf: Bdf = "0000:01:00.0".parse()?;
/// assert_eq!(bdf.to_string(), "0000:01:00.0");
/// assert!("1:0.0".parse::<Bdf>().is_err());
/// # Ok::<(), hwpool::vfio::NotAnAddress>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bdf {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// Names a function as the bus does: `devfn` holds device and function.
    pub(super) fn of_bus(domain: u16, bus: u8, devfn: u8) -> Bdf {
        Bdf {
            domain: domain.into(),
            bus,
            device: devfn >> 3,
            function: devfn & 7,
        }
    }
}

impl FromStr for Bdf {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Bdf, NotAnAddress> {
        parse(text).ok_or_else(|| NotAnAddress { text: text.into() })
    }
}

/// Reads `DDDD:BB:DD.F`, all digits hexadecimal and none left out: a short form could mean two functions.
fn parse(text: &str) -> Option<Bdf> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let (device, function) = (hex(device, 2)?, hex(function, 1)?);
    // A domain of Intel's VMD has more than four digits.
    let digits = domain.len().clamp(4, 8);
    (device < 32 && function < 8).then_some(Bdf {
        domain: hex(domain, digits)?,
        bus: hex(bus, 2)? as u8,
        device: device as u8,
        function: function as u8,
    })
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let good = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| good)
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bdf {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bdf({self})")
    }
}

/// Where a function that can be opened is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whereabouts {
    pub(super) bdf: Bdf,
    /// Number of its IOMMU group.
    pub(super) group: u32,
    /// Name of its character device below /dev/vfio/devices, where the kernel has such.
    pub(super) cdev: Option<String>,
    pub(super) node: Option<u32>,
    /// There is no IOMMU, and the caller accepts that.
    pub(super) noiommu: bool,
}

/// sysfs below some root directory.
pub(super) struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// Looks at the running system.
    pub(super) fn running() -> Sysfs {
        Sysfs::at(Path::new("/sys"))
    }

    /// Looks at a tree that has `bus` under `root`.
    pub(super) fn at(root: &Path) -> Sysfs {
        Sysfs { root: root.into() }
    }

    /// Finds out all that opening `bdf` needs, or why it can't be opened.
    pub(super) fn find(&self, bdf: Bdf, options: Options) -> Result<Whereabouts, VfioError> {
        let function = self.function(bdf);
        if !function.is_dir() {
            return Err(VfioError::NoFunction { bdf });
        }
        let driver = link_name(&function.join("driver"));
        if !driver.as_deref().is_some_and(is_vfio) {
            return Err(VfioError::Driver { bdf, driver });
        }
        let cdev = first_entry(&function.join("vfio-dev"));
        let (group, noiommu) = self.group(bdf, options)?;
        if options.backend == Some(Backend::Cdev) && cdev.is_none() {
            return Err(VfioError::NoCdev { bdf });
        }
        let node = fs::read_to_string(function.join("numa_node"));
        let node = node.ok().and_then(|text| text.trim().parse().ok());
        Ok(Whereabouts {
            bdf,
            group,
            cdev,
            node,
            noiommu,
        })
    }

    /// Returns the functions of a group that keep it from being used: each with its driver.
    pub(super) fn strangers(&self, whereabouts: &Whereabouts) -> Vec<(String, String)> {
        let function = self.function(whereabouts.bdf);
        let entries = fs::read_dir(function.join("iommu_group/devices"));
        let names = entries.into_iter().flatten().flatten();
        let mut strangers: Vec<_> = names
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let driver =
                    link_name(&self.root.join("bus/pci/devices").join(&name).join("driver"))?;
                blocks_group(&driver).then_some((name, driver))
            })
            .collect();
        strangers.sort();
        strangers
    }

    /// Returns the number of a character device as the kernel writes it, `MAJOR:MINOR`; `None` where there is none.
    pub(super) fn number(&self, at: &Whereabouts, node: &Node) -> Option<String> {
        let entry = match node {
            Node::Container => self.root.join("class/misc/vfio"),
            Node::Iommufd => self.root.join("class/misc/iommu"),
            Node::Group(name) => self.root.join("class/vfio").join(name),
            // Below the function itself: whatever else has such a name is not it.
            Node::Device(name) => self.function(at.bdf).join("vfio-dev").join(name),
        };
        let number = fs::read_to_string(entry.join("dev")).ok()?;
        Some(number.trim().into())
    }

    /// Tells which way in a descriptor of this process belongs to, by the device that it is.
    pub(super) fn kind_of(&self, at: &Whereabouts, fd: RawFd) -> Option<Backend> {
        let is = |node| node::is_one_of(self, at, &node, fd);
        let device = at.cdev.clone().map(Node::Device);
        if is(Node::Iommufd) || device.is_some_and(is) {
            return Some(Backend::Cdev);
        }
        (is(Node::Container) || is(Node::group(at))).then_some(Backend::Group)
    }

    /// Returns the number of the function's group, and whether it is one of those without an IOMMU.
    fn group(&self, bdf: Bdf, options: Options) -> Result<(u32, bool), VfioError> {
        let link = link_name(&self.function(bdf).join("iommu_group"));
        let Some(group) = link.and_then(|name| name.parse().ok()) else {
            return Err(VfioError::NoIommu { bdf });
        };
        // A group that vfio made up because there is no IOMMU says so by its name.
        let name = fs::read_to_string(self.function(bdf).join("iommu_group/name"));
        let noiommu = name.is_ok_and(|name| name.trim() == "vfio-noiommu");
        match noiommu && !options.noiommu {
            true => Err(VfioError::NoIommuMode { bdf, group }),
            false => Ok((group, noiommu)),
        }
    }

    fn function(&self, bdf: Bdf) -> PathBuf {
        self.root.join("bus/pci/devices").join(bdf.to_string())
    }
}

/// Tells whether a driver offers its functions to VFIO. Variants such as mlx5-vfio-pci have the same interface.
pub(crate) fn is_vfio(driver: &str) -> bool {
    driver.contains("vfio")
}

/// Tells whether a driver keeps VFIO from the group that its function is in: all do that may do DMA.
pub(crate) fn blocks_group(driver: &str) -> bool {
    !(is_vfio(driver) || driver == "pci-stub" || driver == "pcieport")
}

/// Returns the last part of what a symbolic link points to.
fn link_name(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_str()?.into())
}

fn first_entry(directory: &Path) -> Option<String> {
    let entry = fs::read_dir(directory).ok()?.next()?.ok()?;
    entry.file_name().into_string().ok()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use std::os::unix::fs::symlink;

    pub(crate) const BDF: &str = "0000:01:00.0";

    /// A tree like /sys, removed when it is dropped.
    pub(crate) struct Tree(pub(crate) PathBuf);

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Tree {
        /// Makes a tree with a function in group 7, without a driver.
        pub(crate) fn new(test: &str) -> Tree {
            let root =
                std::env::temp_dir().join(format!("hwpool-sysfs-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            let tree = Tree(root);
            tree.add(BDF, None);
            fs::write(tree.function(BDF).join("numa_node"), "1\n").unwrap();
            tree
        }

        /// Adds a function to group 7.
        pub(crate) fn add(&self, name: &str, driver: Option<&str>) {
            let group = self.0.join("kernel/iommu_groups/7/devices");
            fs::create_dir_all(&group).unwrap();
            fs::create_dir_all(self.function(name)).unwrap();
            symlink(
                "../../../../kernel/iommu_groups/7",
                self.function(name).join("iommu_group"),
            )
            .unwrap();
            symlink("anywhere", group.join(name)).unwrap();
            if let Some(driver) = driver {
                self.bind(name, driver);
            }
        }

        pub(crate) fn bind(&self, name: &str, driver: &str) {
            symlink(
                format!("../../drivers/{driver}"),
                self.function(name).join("driver"),
            )
            .unwrap();
        }

        pub(crate) fn function(&self, name: &str) -> PathBuf {
            self.0.join("bus/pci/devices").join(name)
        }

        pub(crate) fn find(&self, options: Options) -> Result<Whereabouts, VfioError> {
            Sysfs::at(&self.0).find(BDF.parse().unwrap(), options)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{BDF, Tree};
    use super::*;

    const CDEV: Options = Options {
        backend: Some(Backend::Cdev),
        noiommu: false,
        fd: None,
        iommu: None,
        token: None,
    };

    #[test]
    fn a_function_that_is_bound_is_found() {
        let tree = Tree::new("bound");
        tree.bind(BDF, "vfio-pci");
        let found = tree.find(Options::default()).unwrap();
        assert_eq!(
            (found.group, found.node, found.cdev.as_deref()),
            (7, Some(1), None)
        );
        assert!(matches!(tree.find(CDEV), Err(VfioError::NoCdev { .. })));
        fs::create_dir_all(tree.function(BDF).join("vfio-dev/vfio3")).unwrap();
        assert_eq!(tree.find(CDEV).unwrap().cdev.as_deref(), Some("vfio3"));
    }

    #[test]
    fn a_node_of_minus_one_is_none() {
        let tree = Tree::new("node");
        tree.bind(BDF, "mlx5-vfio-pci");
        fs::write(tree.function(BDF).join("numa_node"), "-1\n").unwrap();
        assert_eq!(tree.find(Options::default()).unwrap().node, None);
    }

    #[test]
    fn a_function_that_is_absent_or_not_bound_is_refused() {
        let tree = Tree::new("driver");
        let other = "0000:02:00.0".parse().unwrap();
        let absent = Sysfs::at(&tree.0).find(other, Options::default());
        assert!(matches!(absent, Err(VfioError::NoFunction { .. })));
        let unbound = tree.find(Options::default());
        assert!(matches!(
            unbound,
            Err(VfioError::Driver { driver: None, .. })
        ));
        tree.bind(BDF, "nvme");
        let bound = tree.find(Options::default());
        assert!(
            matches!(bound, Err(VfioError::Driver { driver: Some(name), .. }) if name == "nvme")
        );
    }

    #[test]
    fn without_an_iommu_a_function_is_refused() {
        let tree = Tree::new("iommu");
        tree.bind(BDF, "vfio-pci");
        fs::write(tree.0.join("kernel/iommu_groups/7/name"), "vfio-noiommu\n").unwrap();
        let refused = tree.find(Options::default());
        assert!(matches!(
            refused,
            Err(VfioError::NoIommuMode { group: 7, .. })
        ));
        let asked = Options {
            noiommu: true,
            ..Options::default()
        };
        assert!(tree.find(asked).unwrap().noiommu);
        fs::remove_file(tree.function(BDF).join("iommu_group")).unwrap();
        assert!(matches!(
            tree.find(Options::default()),
            Err(VfioError::NoIommu { .. })
        ));
    }

    #[test]
    fn those_who_block_a_group_are_named() {
        let tree = Tree::new("strangers");
        tree.bind(BDF, "vfio-pci");
        tree.add("0000:01:00.1", Some("ixgbe"));
        tree.add("0000:00:01.0", Some("pcieport"));
        tree.add("0000:01:00.2", None);
        let found = tree.find(Options::default()).unwrap();
        let strangers = Sysfs::at(&tree.0).strangers(&found);
        assert_eq!(
            strangers,
            [("0000:01:00.1".to_string(), "ixgbe".to_string())]
        );
    }

    #[test]
    fn addresses_are_read_in_full_or_not_at_all() {
        for good in ["0000:01:00.0", "ffff:ff:1f.7", "10000:e1:00.0"] {
            assert_eq!(good.parse::<Bdf>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "01:00.0",
            "0000:1:00.0",
            "0000:01:20.0",
            "0000:01:00.8",
            "0000:01:00",
            "0000:01:00.+1",
            "000:01:00.0",
            "+000:01:00.0",
            "123456789:01:00.0",
            "0000:01:00.0 ",
            "../../../etc",
        ] {
            assert!(bad.parse::<Bdf>().is_err(), "{bad}");
        }
    }
}
