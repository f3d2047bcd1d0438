//! Checks of the machine and its kernel.

use super::row::{Row, Stand};
use super::view::View;
use crate::host::hugepages::size_text;
use crate::machine::{Arguments, Hugepages, PageSize, has};

/// The first kernel with character devices of VFIO and iommufd for all of PCI.
const CDEV_KERNEL: (u32, u32) = (6, 6);
/// The first kernel on which memory of files is mapped without pinning page by page through this process.
const MAP_FILE_KERNEL: (u32, u32) = (6, 13);

/// No machine has as many pages; the command takes no greater number.
const MOST_PAGES: u64 = 1 << 40;
const MODULES: Stand =
    Stand::Not("`bind` looks for the driver itself, which loads what is missing");
const MEMORY: Stand = Stand::Not("it concerns whoever drives the function, later");

pub(super) fn kernel(view: &View<'_>) -> Row {
    let Some(release) = view.tree.text("/proc/sys/kernel/osrelease") else {
        return Row::unknown("kernel").evidence("/proc/sys/kernel/osrelease can't be read");
    };
    let has = |since| view.tree.kernel() >= Some(since);
    let option = "CONFIG_VFIO_DEVICE_CDEV";
    let config = view.tree.text(&format!("/boot/config-{release}"));
    let configured = config.map(|text| text.lines().any(|line| line == format!("{option}=y")));
    // The class vfio-dev is there on kernels without character devices, too.
    let loaded = !view.tree.names("/dev/vfio/devices").is_empty();
    let cdev = match (loaded || configured == Some(true), configured) {
        (true, _) => "VFIO has character devices".to_string(),
        (false, Some(false)) => format!("VFIO by group only ({option} is off)"),
        (false, _) if has(CDEV_KERNEL) => format!("VFIO may have character devices ({option})"),
        (false, _) => "VFIO by group only (character devices came with 6.6)".into(),
    };
    let files = match has(MAP_FILE_KERNEL) {
        true => "iommufd maps files",
        false => "iommufd maps no files (came with 6.13)",
    };
    Row::ok("kernel").evidence(format!("Linux {release}: {cdev}; {files}"))
}

pub(super) fn iommu(view: &View<'_>) -> Row {
    let units = view.tree.names("/sys/class/iommu");
    let groups = view.tree.names("/sys/kernel/iommu_groups").len();
    let arguments = Arguments::read(view.tree);
    let named: Vec<_> = arguments.named(is_about_iommu).collect();
    let named = match named.is_empty() {
        true => "no word about it on the kernel's command line".to_string(),
        false => format!("command line: {}", named.join(" ")),
    };
    if groups > 0 {
        let units = match units.is_empty() {
            true => "no unit listed".to_string(),
            false => units.join(", "),
        };
        return Row::ok("iommu").evidence(format!("{units}; {groups} groups; {named}"));
    }
    let tables = view.tree.names(ACPI_TABLES);
    let offered = OFFERS
        .iter()
        .find(|offer| tables.iter().any(|name| name == offer.table));
    let row = Row::block(
        "iommu",
        Stand::Not("a function without an IOMMU is in no group, which the row `group` tells"),
    )
    .evidence(format!(
        "/sys/kernel/iommu_groups is empty, {} units in /sys/class/iommu; {named}",
        units.len()
    ));
    if let Some(off) = switch_off(&arguments) {
        return row
            .cause(format!(
                "the kernel's command line switches the IOMMU off: {off}"
            ))
            .remedy(format!(
                "take {off} off the kernel's command line and boot again"
            ));
    }
    match offered {
        Some(offer) => unused(row, offer, &arguments),
        None if tables.is_empty() => unclear(row),
        None => absent(row, is_virtual(view)),
    }
}

/// What firmware offers, and what makes the kernel use it.
struct Offer {
    /// The ACPI table that tells of it.
    table: &'static str,
    name: &'static str,
    /// Word for the kernel's command line, where it needs one.
    argument: Option<&'static str>,
}

const ACPI_TABLES: &str = "/sys/firmware/acpi/tables";
const OFFERS: [Offer; 5] = [
    Offer {
        table: "DMAR",
        name: "VT-d",
        argument: Some("intel_iommu=on"),
    },
    Offer {
        table: "IVRS",
        name: "AMD-Vi",
        argument: None,
    },
    Offer {
        table: "IORT",
        name: "SMMU",
        argument: None,
    },
    Offer {
        table: "VIOT",
        name: "virtio-iommu",
        argument: None,
    },
    Offer {
        table: "RIMT",
        name: "the RISC-V IOMMU",
        argument: None,
    },
];

/// Tells whether an argument of the kernel's is about the IOMMU.
fn is_about_iommu(name: &str) -> bool {
    let exact = [
        "iommu",
        "intel_iommu",
        "amd_iommu",
        "intremap",
        "nointremap",
    ];
    exact.contains(&name)
        || ["iommu.", "arm_smmu"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Returns the word that switches the IOMMU off. What Intel's driver was told last holds; nothing overrules the others.
fn switch_off(arguments: &Arguments) -> Option<&str> {
    let intel = arguments.last_with("intel_iommu", &["on", "off"]);
    let intel = intel.filter(|word| has(word, "off"));
    let others = ["iommu", "amd_iommu"].into_iter();
    let mut others = others.filter_map(|name| arguments.last_with(name, &["off"]));
    others.next().or(intel)
}

fn is_virtual(view: &View<'_>) -> bool {
    let text = view.tree.text("/proc/cpuinfo").unwrap_or_default();
    text.split_whitespace().any(|flag| flag == "hypervisor")
}

/// The firmware offers an IOMMU, and the kernel has made no group.
fn unused(row: Row, offer: &Offer, arguments: &Arguments) -> Row {
    let Offer {
        table,
        name,
        argument,
    } = offer;
    let row = row.evidence(format!("the firmware offers {name} (ACPI table {table})"));
    let is_missing = |argument: &&str| {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        arguments.last_with(name, &[value]).is_none()
    };
    let missing = argument.filter(is_missing);
    match missing {
        Some(argument) => row
            .cause("the kernel does not use what the firmware offers: it wants to be told")
            .remedy(format!("add {argument} to the kernel's command line and boot again")),
        None => row
            .cause("the kernel does not use what the firmware offers: it was built without the driver, or that has failed")
            .remedy("dmesg | grep -i -e dmar -e amd-vi -e smmu -e iommu; where the driver is a module: modprobe virtio_iommu"),
    }
}

/// The firmware's tables are to be seen, and none tells of an IOMMU: no word for the kernel helps.
fn absent(row: Row, is_virtual: bool) -> Row {
    let tables = OFFERS.map(|offer| offer.table).join(", ");
    let row = row.evidence(format!("no ACPI table tells of an IOMMU ({tables})"));
    match is_virtual {
        true => row
            .cause("this virtual machine was given no IOMMU")
            .remedy("in a QEMU guest: -device intel-iommu,intremap=on -machine q35,kernel-irqchip=split"),
        false => row
            .cause("VT-d, AMD-Vi or SMMU is switched off in the firmware, or this machine has none")
            .remedy("switch it on in the firmware's setup; a word on the kernel's command line alone does not help"),
    }
}

/// Containers see no tables, and not all machines have ACPI.
fn unclear(row: Row) -> Row {
    row.cause("the IOMMU is off in the firmware or in the kernel, or this virtual machine has none")
        .remedy("switch on VT-d, AMD-Vi or SMMU in the firmware")
        .remedy("add intel_iommu=on (Intel) to the kernel's command line and boot again; AMD and Arm need no word")
        .remedy("in a QEMU guest: -device intel-iommu,intremap=on -machine q35,kernel-irqchip=split")
}

pub(super) fn modules(view: &View<'_>) -> Row {
    let bound = view.tree.exists("/sys/bus/pci/drivers/vfio-pci");
    let type1 = view.tree.exists("/sys/module/vfio_iommu_type1");
    let iommufd = view.tree.exists("/dev/iommu");
    let word = |there| if there { "there" } else { "absent" };
    let row = |row: Row| {
        row.evidence(format!(
            "vfio-pci {}, vfio_iommu_type1 {}, /dev/iommu {}",
            word(bound),
            word(type1),
            word(iommufd)
        ))
    };
    match (bound, type1 || iommufd) {
        (true, true) => row(Row::ok("modules")),
        (false, _) => row(Row::block("modules", MODULES))
            .cause("no driver offers functions to user space")
            .remedy("modprobe vfio-pci"),
        (true, false) => row(Row::block("modules", MODULES))
            .cause("neither way to the IOMMU is there")
            .remedy("modprobe vfio_iommu_type1, or modprobe iommufd"),
    }
}

/// The mode in brackets is the one in force.
pub(super) fn lockdown(view: &View<'_>) -> Row {
    let Some(text) = view.tree.text("/sys/kernel/security/lockdown") else {
        return Row::ok("lockdown").evidence("the kernel has none");
    };
    let mode = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split(']').next());
    match mode {
        None | Some("none") => Row::ok("lockdown").evidence(text),
        Some(_) => Row::ok("lockdown").evidence(text).evidence(
            "through sysfs no BAR can be mapped and no configuration space written: tools that do so fail; VFIO, which \
             hwpool uses, is not concerned",
        ),
    }
}

pub(super) fn noiommu(view: &View<'_>) -> Row {
    let parameter = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    let nodes = view.tree.names("/dev/vfio").into_iter();
    let nodes: Vec<_> = nodes.filter(|name| name.starts_with("noiommu-")).collect();
    let on = view.tree.text(parameter).as_deref() == Some("Y");
    if !on && nodes.is_empty() {
        return Row::ok("noiommu").evidence("off");
    }
    Row::warn(
        "noiommu",
        Stand::Not("whether a function has an IOMMU the row `group` tells"),
    )
    .evidence(format!("{parameter} is {}", if on { "Y" } else { "N" }))
    .evidence(match nodes.is_empty() {
        true => "no function is driven so now".to_string(),
        false => format!("nodes: {}", nodes.join(", ")),
    })
    .cause(
        "A FUNCTION MAY BE DRIVEN WITHOUT AN IOMMU: its device reaches all memory of this machine",
    )
    .remedy(match is_without_iommu(view) {
        true => format!("if the function shall not be driven so: echo N > {parameter}"),
        false => format!("echo N > {parameter}"),
    })
}

/// The way without an IOMMU is the only one that there is to the function.
fn is_without_iommu(view: &View<'_>) -> bool {
    let group = view.function.as_ref().map(|f| f.group.as_ref());
    group.is_some_and(|group| group.is_none_or(|group| group.noiommu))
}

pub(super) fn hugepages(view: &View<'_>) -> Row {
    let pools = Hugepages::all(view.tree);
    if pools.is_empty() {
        return Row::unknown("hugepages").evidence("the kernel has none");
    }
    let (node, free) = (node(view), free_near(view, &pools));
    let mut text: Vec<_> = pools
        .iter()
        .filter(|pool| pool.total > 0)
        .map(|pool| format!("{}{} of {} free", pool.place(), pool.free, pool.total))
        .collect();
    if text.is_empty() {
        text.push("none reserved".into());
    }
    let row = |row: Row| text.iter().fold(row, Row::evidence);
    if free >= view.pin {
        return row(Row::ok("hugepages"));
    }
    let Some(size) = useful(&pools) else {
        return row(Row::ok("hugepages")).evidence(
            "hwpool uses those of 2 MiB to 16 GiB, which this kernel has not, or its ordinary pages",
        );
    };
    row(Row::warn("hugepages", MEMORY))
        .cause(format!(
            "{} free{}, and {} are wanted: memory is taken in ordinary pages, with more entries in the \
             IOMMU",
            match free {
                0 => "nothing is".into(),
                free => format!("{} are", size_text(free)),
            },
            node.map_or(String::new(), |node| format!(" on node {node}, the device's")),
            size_text(view.pin)
        ))
        .remedy(reserve(&pools, node, size, view.pin - free))
}

/// Returns the size that is reserved: the smallest of those that hwpool uses and the kernel has.
fn useful(pools: &[Hugepages]) -> Option<PageSize> {
    let mut sizes = PageSize::large().filter(|size| pools.iter().any(|pool| is_of(pool, *size)));
    sizes.next()
}

fn is_of(pool: &Hugepages, size: PageSize) -> bool {
    pool.bytes == size.bytes() as u64
}

/// Returns the command that reserves `bytes` more, on the device's node where that has pages of the size.
fn reserve(pools: &[Hugepages], node: Option<u32>, size: PageSize, bytes: u64) -> String {
    let pages = bytes.div_ceil(size.bytes() as u64);
    if pages > MOST_PAGES {
        return format!(
            "a machine with more memory, or less to be pinned: {pages} pages of {size} are missing"
        );
    }
    let has_pages = |node: &u32| {
        let mut ours = pools.iter().filter(|pool| pool.node == Some(*node));
        ours.any(|pool| is_of(pool, size))
    };
    let place = node.filter(has_pages);
    let place = place.map_or(String::new(), |node| format!(" --node {node}"));
    let (count, unit) = size.in_unit();
    format!("hwpool hugepages reserve {pages} --size {count}{unit}{place}")
}

fn node(view: &View<'_>) -> Option<u32> {
    view.function.as_ref().and_then(|function| function.node)
}

/// Bytes of free hugepages on the device's node, or on all where it has none.
fn free_near(view: &View<'_>, pools: &[Hugepages]) -> u64 {
    let node = node(view);
    let near = |pool: &&Hugepages| node.is_none() || pool.node.is_none() || pool.node == node;
    let near = pools.iter().filter(near);
    let is_used = |pool: &&Hugepages| PageSize::large().any(|size| is_of(pool, size));
    let near = near.filter(is_used);
    near.fold(0, |sum: u64, pool| {
        sum.saturating_add(pool.free.saturating_mul(pool.bytes))
    })
}

/// Memory of pools is shared memory, which transparent hugepages are for where no others are free.
pub(super) fn thp(view: &View<'_>) -> Row {
    let path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let Some(text) = view.tree.text(path) else {
        return Row::unknown("thp").evidence("the kernel has no transparent hugepages");
    };
    let is_off = text.contains("[never]") || text.contains("[deny]");
    let evidence = format!("for shared memory: {text}");
    if !is_off || free_near(view, &Hugepages::all(view.tree)) >= view.pin {
        return Row::ok("thp").evidence(evidence);
    }
    Row::warn("thp", MEMORY)
        .evidence(evidence)
        .cause(
            "no other hugepages are free either: memory is mapped by small pages, which is slower",
        )
        .remedy(format!(
            "echo advise > {path}, or reserve hugepages: see the row `hugepages`"
        ))
}
