//! PCI functions as sysfs describes them.

use hwpool_devices::modules;
use std::str::FromStr;

use super::bdf::directory;
use super::config::Config;
use super::{Bdf, Tree};

/// The widest link that there is.
const MOST_LANES: u32 = 32;
/// Base class of bridges.
const BRIDGE: u32 = 0x06;
/// Class and subclass of bridges between PCI buses, whose header differs.
const PCI_BRIDGE: u32 = 0x0604;
/// The kernel gave no address to the range (`IORESOURCE_UNSET`).
const UNSET: u64 = 0x2000_0000;
const IO_PORTS: u64 = 0x100;
const BITS_64: u64 = 0x10_0000;

/// A PCI function, what it is and who has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Function {
    /// Its address.
    pub bdf: Bdf,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class, subclass, programming interface.
    pub class: u32,
    /// Revision id.
    pub revision: u8,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// The only driver that may bind it, where somebody has said so.
    pub driver_override: Option<String>,
    /// Its IOMMU group; `None` without an IOMMU.
    pub group: Option<Group>,
    /// NUMA node; `None` where the firmware does not tell.
    pub node: Option<u32>,
    /// State of its link; `None` where it has none.
    pub link: Option<Link>,
    /// BARs that the function has.
    pub bars: Vec<Bar>,
    /// Its part in SR-IOV.
    pub sriov: Sriov,
    /// Its character device below /dev/vfio/devices, where there is one.
    pub vfio_device: Option<String>,
    /// Ways in which the kernel can reset it, best first; `None` where the kernel does not tell.
    pub reset_methods: Option<Vec<String>>,
    /// Nobody answers at its address: its registers, and what the kernel reads from them, are all ones.
    pub is_gone: bool,
}

/// An IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Its number.
    pub number: u32,
    /// vfio made it up, because there is no IOMMU.
    pub noiommu: bool,
    /// All other functions in it.
    pub others: Vec<Member>,
    /// Ranges with a meaning of their own, as the kernel lists them.
    pub reserved: Vec<Region>,
}

/// A range of addresses that a device behind an IOMMU does not have for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// From where to where, as in `0x00000000fee00000 to 0x00000000feefffff`.
    pub range: String,
    /// What for, as in `msi`.
    pub kind: String,
}

/// Another function of the same group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its address.
    pub bdf: Bdf,
    /// Its driver.
    pub driver: Option<String>,
}

/// A link as the kernel's files describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Transfer rate now, as in `8.0 GT/s PCIe`.
    pub speed: String,
    /// Highest transfer rate of the function.
    pub max_speed: String,
    /// Lanes now.
    pub width: u32,
    /// Lanes of the function.
    pub max_width: u32,
}

/// A BAR.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bar {
    /// Its number, 0 to 5.
    pub index: u8,
    /// Where it is on the bus, and `None` where it got no address.
    pub start: Option<u64>,
    /// Its length; 0 where the kernel has forgotten it, because it found no room.
    pub bytes: u64,
    /// It is one of I/O ports, not of memory.
    pub io_ports: bool,
    /// The kernel has an address for it, and the function's register holds none.
    pub lost: bool,
}

/// A function's part in SR-IOV.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sriov {
    /// The physical function, of a virtual one.
    pub physical: Option<Bdf>,
    /// How many virtual functions are on.
    pub enabled: u32,
    /// How many it can have.
    pub total: u32,
}

impl Function {
    /// Reads all functions, in the order of their addresses.
    pub fn all(tree: &Tree) -> Vec<Function> {
        let names = tree.names("/sys/bus/pci/devices");
        let functions = names.iter().filter_map(|name| name.parse().ok());
        functions
            .filter_map(|bdf| Function::read(tree, bdf))
            .collect()
    }

    /// Reads one function; `None` where there is no such.
    pub fn read(tree: &Tree, bdf: Bdf) -> Option<Function> {
        let files = tree.function(bdf);
        let header = Config::header(tree, bdf);
        let is_gone = header.as_ref().is_some_and(Config::is_gone);
        let class = files.number("class")?;
        Some(Function {
            bdf,
            vendor: files.number("vendor")?,
            device: files.number("device")?,
            class,
            revision: files.number("revision").unwrap_or(0),
            driver: files.driver(),
            driver_override: files.driver_override(),
            group: files.group(),
            node: files.node(),
            link: files.link().filter(|_| !is_gone),
            bars: files.bars(class, header.as_ref()),
            is_gone,
            sriov: files.sriov(),
            vfio_device: files.vfio_device(),
            reset_methods: files
                .text("reset_method")
                .map(|text| text.split_whitespace().map(str::to_string).collect()),
        })
    }

    /// Tells whether it is a bridge, which belongs to the kernel.
    pub fn is_bridge(&self) -> bool {
        self.class >> 16 == BRIDGE
    }

    /// Tells whether a driver of VFIO has it. Variants such as mlx5-vfio-pci count.
    pub fn is_on_vfio(&self) -> bool {
        self.driver.as_deref().is_some_and(is_vfio)
    }

    /// Returns the name of the driver in hwpool that it probably has, by its ids: the device itself is not asked.
    pub fn module(&self) -> Option<&'static str> {
        modules::by_ids(self.vendor, self.device).map(|kind| kind.name)
    }

    /// Returns the device nodes that VFIO offers for it now.
    pub fn vfio_nodes(&self) -> Vec<String> {
        match self.is_on_vfio() {
            true => self.possible_nodes(),
            false => Vec::new(),
        }
    }

    /// Returns the device nodes that may be there: that of its group is, as soon as any function of it is on VFIO.
    pub(crate) fn possible_nodes(&self) -> Vec<String> {
        let group = self.group.iter().map(Group::path);
        let device = self.vfio_device.iter().map(|name| cdev_path(name));
        group.chain(device).collect()
    }
}

impl Group {
    /// Returns its device node.
    pub fn path(&self) -> String {
        format!("/dev/vfio/{}", self.node_name())
    }

    /// Returns the name of its device node below /dev/vfio.
    pub(crate) fn node_name(&self) -> String {
        let prefix = if self.noiommu { "noiommu-" } else { "" };
        format!("{prefix}{}", self.number)
    }

    /// Returns the ranges that the firmware wants mapped for the group as they are (RMRR, IVMD). The kernel gives such a
    /// group to no VFIO; ranges that may be given up (`direct-relaxable`) don't count.
    pub(crate) fn direct_regions(&self) -> impl Iterator<Item = &Region> {
        self.reserved
            .iter()
            .filter(|region| region.kind == "direct")
    }

    /// Returns the members whose drivers keep VFIO from taking the group.
    pub fn strangers(&self) -> Vec<&Member> {
        let is_stranger = |member: &&Member| member.driver.as_deref().is_some_and(blocks_group);
        self.others.iter().filter(is_stranger).collect()
    }
}

impl Link {
    /// Tells whether it runs slower or narrower than the function could; speeds that the kernel has no name for are no
    /// reason.
    pub fn is_reduced(&self) -> bool {
        let is_known = |speed: &str| !speed.starts_with("Unknown");
        let are_known = is_known(&self.speed) && is_known(&self.max_speed);
        self.width < self.max_width || (are_known && self.speed != self.max_speed)
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

/// Returns the device node of a function's own, by its name.
pub(crate) fn cdev_path(name: &str) -> String {
    format!("/dev/vfio/devices/{name}")
}

/// What sysfs has of one function, read piece by piece.
#[derive(Debug, Copy, Clone)]
pub(crate) struct FunctionFiles<'a> {
    tree: &'a Tree,
    bdf: Bdf,
}

impl Tree {
    /// Names a function to be read, which need not be there.
    pub(crate) fn function(&self, bdf: Bdf) -> FunctionFiles<'_> {
        FunctionFiles { tree: self, bdf }
    }
}

impl FunctionFiles<'_> {
    fn path(&self, file: &str) -> String {
        format!("{}/{file}", directory(self.bdf))
    }

    /// Tells whether there is such a function.
    pub(crate) fn exists(&self) -> bool {
        self.tree.exists(&directory(self.bdf))
    }

    pub(crate) fn text(&self, file: &str) -> Option<String> {
        self.tree.text(&self.path(file))
    }

    pub(crate) fn number<T: FromStr + TryFrom<u64>>(&self, file: &str) -> Option<T> {
        self.tree.number(&self.path(file))
    }

    pub(crate) fn driver(&self) -> Option<String> {
        self.tree.link(&self.path("driver"))
    }

    /// The kernel writes `(null)` where nobody has named a driver.
    fn driver_override(&self) -> Option<String> {
        let text = self.text("driver_override")?;
        (!text.is_empty() && text != "(null)").then_some(text)
    }

    /// The node, where the firmware tells it: the kernel writes -1 elsewhere.
    pub(crate) fn node(&self) -> Option<u32> {
        self.number("numa_node")
    }

    /// Name of its character device below /dev/vfio/devices.
    pub(crate) fn vfio_device(&self) -> Option<String> {
        let names = self.tree.names(&self.path("vfio-dev"));
        names.into_iter().next()
    }

    pub(crate) fn group(&self) -> Option<Group> {
        let number = self.tree.link(&self.path("iommu_group"))?.parse().ok()?;
        let names = self.tree.names(&self.path("iommu_group/devices"));
        let members = names.iter().filter_map(|name| name.parse().ok());
        let member = |bdf| Member {
            bdf,
            driver: self.tree.function(bdf).driver(),
        };
        let others = members.filter(|other| *other != self.bdf).map(member);
        Some(Group {
            number,
            // A group that vfio made up because there is no IOMMU says so by its name.
            noiommu: self.text("iommu_group/name").as_deref() == Some("vfio-noiommu"),
            others: others.collect(),
            reserved: self.reserved_regions(),
        })
    }

    /// Reads lines `FIRST LAST KIND`.
    fn reserved_regions(&self) -> Vec<Region> {
        let text = self.text("iommu_group/reserved_regions");
        let text = text.unwrap_or_default();
        let regions = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Region {
                range: format!("{} to {}", words.next()?, words.next()?),
                kind: words.next()?.to_string(),
            })
        });
        regions.collect()
    }

    fn link(&self) -> Option<Link> {
        let link = Link {
            speed: self.text("current_link_speed")?,
            max_speed: self.text("max_link_speed")?,
            width: self.number("current_link_width")?,
            max_width: self.number("max_link_width")?,
        };
        // A function that the root complex integrates has no lanes, and the status of a virtual one reads zero (SR-IOV
        // 3.5.4). A register of all ones has 63, and 255 is the kernel's word for not knowing.
        let is_width = |lanes: u32| (1..=MOST_LANES).contains(&lanes);
        (is_width(link.width) && is_width(link.max_width)).then_some(link)
    }

    fn sriov(&self) -> Sriov {
        let physical = self.tree.link(&self.path("physfn"));
        Sriov {
            physical: physical.and_then(|name| name.parse().ok()),
            enabled: self.number("sriov_numvfs").unwrap_or(0),
            total: self.number("sriov_totalvfs").unwrap_or(0),
        }
    }

    /// Compares the kernel's ranges with the function's own registers.
    fn bars(&self, class: u32, header: Option<&Config>) -> Vec<Bar> {
        // A bridge between buses has two; where others have more, it has the numbers of its buses.
        let count = match class >> 8 {
            PCI_BRIDGE => 2,
            _ => 6,
        };
        let text = self.text("resource").unwrap_or_default();
        let registers = header.filter(|config| self.has_bars(config));
        let mut bars = Vec::new();
        let mut upper_half = false;
        for (index, line) in (0u8..count).zip(text.lines()) {
            if std::mem::take(&mut upper_half) {
                continue;
            }
            let Some(range) = Range::parse(line) else {
                continue;
            };
            let register = registers.map(|config| config.bar(index.into()));
            upper_half = match range.bytes() {
                0 => register.unwrap_or(0) & 0b111 == 0b100,
                _ => range.flags & BITS_64 != 0,
            };
            bars.extend(range.bar(index, register));
        }
        bars
    }

    /// Tells whether the function's BARs tell something: those of a virtual function read zero, as its ranges are the
    /// physical function's, and those of one that is gone read all ones.
    fn has_bars(&self, header: &Config) -> bool {
        let is_virtual = self.tree.exists(&self.path("physfn"));
        !is_virtual && header.ids().0 != u16::MAX
    }
}

/// A line of `resource`: first and last address, flags.
struct Range {
    start: u64,
    end: u64,
    flags: u64,
}

impl Range {
    fn parse(line: &str) -> Option<Range> {
        let mut words = line.split_whitespace().map(|word| {
            let digits = word.strip_prefix("0x")?;
            u64::from_str_radix(digits, 16).ok()
        });
        Some(Range {
            start: words.next()??,
            end: words.next()??,
            flags: words.next()??,
        })
    }

    fn bytes(&self) -> u64 {
        match self.end {
            0 => 0,
            end => end.saturating_sub(self.start).saturating_add(1),
        }
    }

    /// A range that the kernel has dropped still shows the type of its BAR in the function's register.
    fn bar(&self, index: u8, register: Option<u32>) -> Option<Bar> {
        let kind = register.unwrap_or(0) & 0xf;
        if self.bytes() == 0 && kind == 0 {
            return None;
        }
        let assigned = self.bytes() > 0 && self.flags & UNSET == 0;
        let address = register.unwrap_or(0) & !0xf;
        Some(Bar {
            index,
            start: assigned.then_some(self.start),
            bytes: self.bytes(),
            io_ports: self.flags & IO_PORTS != 0 || (self.flags == 0 && kind & 1 != 0),
            lost: assigned && register.is_some() && address == 0 && self.start as u32 & !0xf != 0,
        })
    }
}
