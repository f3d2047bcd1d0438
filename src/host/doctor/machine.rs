//! Checks of the machine and its kernel.

use super::row::Row;
use super::view::View;
use crate::machine::Hugepages;

/// The first kernel with character devices of VFIO and iommufd for all of PCI.
const CDEV_KERNEL: (u32, u32) = (6, 6);
/// The first kernel on which memory of files is mapped without pinning page by page through this process.
const MAP_FILE_KERNEL: (u32, u32) = (6, 13);

pub(super) fn kernel(view: &View<'_>) -> Row {
    let Some(release) = view.tree.text("/proc/sys/kernel/osrelease") else {
        return Row::unknown("kernel").evidence("/proc/sys/kernel/osrelease can't be read");
    };
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    let has = |since| version.is_some_and(|version| version >= since);
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
    let command_line = view.tree.text("/proc/cmdline").unwrap_or_default();
    let words = command_line.split_whitespace();
    let named: Vec<_> = words.filter(|word| word.contains("iommu")).collect();
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
    let row = Row::block("iommu").evidence(format!(
        "/sys/kernel/iommu_groups is empty, {} units in /sys/class/iommu; {named}",
        units.len()
    ));
    if let Some(off) = command_line.split_whitespace().find(|word| is_off(word)) {
        return row
            .cause(format!(
                "the kernel's command line switches the IOMMU off: {off}"
            ))
            .remedy(format!(
                "take {off} off the kernel's command line and boot again"
            ));
    }
    match offered {
        Some(offer) => unused(row, offer, &command_line),
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
const OFFERS: [Offer; 3] = [
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
];

fn is_off(word: &str) -> bool {
    matches!(
        word,
        "iommu=off" | "intel_iommu=off" | "amd_iommu=off" | "iommu=noaperture,off"
    )
}

fn is_virtual(view: &View<'_>) -> bool {
    let text = view.tree.text("/proc/cpuinfo").unwrap_or_default();
    text.split_whitespace().any(|flag| flag == "hypervisor")
}

/// The firmware offers an IOMMU, and the kernel has made no group.
fn unused(row: Row, offer: &Offer, command_line: &str) -> Row {
    let Offer {
        table,
        name,
        argument,
    } = offer;
    let row = row.evidence(format!("the firmware offers {name} (ACPI table {table})"));
    let missing = argument.filter(|argument| {
        !command_line
            .split_whitespace()
            .any(|word| word == *argument)
    });
    match missing {
        Some(argument) => row
            .cause("the kernel does not use what the firmware offers: it wants to be told")
            .remedy(format!("add {argument} to the kernel's command line and boot again")),
        None => row
            .cause("the kernel does not use what the firmware offers: it was built without the driver, or that has failed")
            .remedy("dmesg | grep -i -e dmar -e amd-vi -e smmu -e iommu"),
    }
}

/// The firmware's tables are to be seen, and none tells of an IOMMU: no word for the kernel helps.
fn absent(row: Row, is_virtual: bool) -> Row {
    let row = row.evidence("no ACPI table tells of an IOMMU (DMAR, IVRS, IORT)");
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

/// Names of interrupt controllers in /proc/interrupts begin with `IR-` where interrupts are remapped (x86).
pub(super) fn interrupt_remapping(view: &View<'_>) -> Row {
    let id = "interrupt-remapping";
    let parameters = ["vfio_iommu_type1", "iommufd"]
        .map(|module| format!("/sys/module/{module}/parameters/allow_unsafe_interrupts"));
    let is_on = |path: &&String| view.tree.text(path).as_deref() == Some("Y");
    let allowed: Vec<_> = parameters.iter().filter(is_on).collect();
    let interrupts = view.tree.text("/proc/interrupts").unwrap_or_default();
    let count = |mark: &str| {
        interrupts
            .lines()
            .filter(|line| line.contains(mark))
            .count()
    };
    let (remapped, plain) = (count(" IR-"), count("IO-APIC") + count("PCI-MSI"));
    let units = view.tree.names("/sys/class/iommu");
    let is_x86 = units
        .iter()
        .any(|name| name.starts_with("dmar") || name.starts_with("ivhd"));
    if remapped > 0 && allowed.is_empty() {
        return Row::ok(id).evidence(format!(
            "remapped interrupts (IR-) in /proc/interrupts: {remapped}"
        ));
    }
    if !allowed.is_empty() {
        let row = Row::warn(id).cause(match remapped {
            0 => "a device may raise any interrupt of this machine",
            _ => "interrupts are remapped, and on a machine where they are not a device may raise any",
        });
        return allowed.iter().fold(row, |row, path| {
            row.evidence(format!("{path} is Y; {remapped} remapped interrupts"))
                .remedy(format!("echo N > {path}"))
        });
    }
    if !is_x86 || plain == 0 {
        return Row::unknown(id)
            .evidence("no IOMMU of x86 in /sys/class/iommu, or no interrupt that tells");
    }
    Row::block(id)
        .evidence(format!("of {plain} interrupts of devices in /proc/interrupts none is remapped (IR-)"))
        .cause("interrupt remapping is off: a group is refused with EPERM when it is attached")
        .remedy("switch on interrupt remapping (or x2APIC) in the firmware, and take intremap=off off the kernel's command line")
        .remedy("in a QEMU guest: -device intel-iommu,intremap=on -machine q35,kernel-irqchip=split")
        .remedy("on a machine without it, where all devices are trusted: modprobe vfio_iommu_type1 allow_unsafe_interrupts=1")
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
        (false, _) => row(Row::block("modules"))
            .cause("no driver offers functions to user space")
            .remedy("modprobe vfio-pci"),
        (true, false) => row(Row::block("modules"))
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
    Row::warn("noiommu")
        .evidence(format!("{parameter} is {}", if on { "Y" } else { "N" }))
        .evidence(match nodes.is_empty() {
            true => "no function is driven so now".to_string(),
            false => format!("nodes: {}", nodes.join(", ")),
        })
        .cause("A FUNCTION MAY BE DRIVEN WITHOUT AN IOMMU: its device reaches all memory of this machine")
        .remedy(format!("echo N > {parameter}"))
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
    let place = node.map_or(String::new(), |node| format!(" --node {node}"));
    let pages = view.pin.div_ceil(2 << 20);
    row(Row::warn("hugepages"))
        .cause(format!(
            "{free} bytes are free{} and {} are wanted: memory is taken in ordinary pages, with more entries in the \
             IOMMU",
            node.map_or(String::new(), |node| format!(" on node {node}, the device's,")),
            view.pin
        ))
        .remedy(format!("hwpool hugepages reserve {pages} --size 2M{place}"))
}

fn node(view: &View<'_>) -> Option<u32> {
    view.function.as_ref().and_then(|function| function.node)
}

/// Bytes of free hugepages on the device's node, or on all where it has none.
fn free_near(view: &View<'_>, pools: &[Hugepages]) -> u64 {
    let node = node(view);
    let near = |pool: &&Hugepages| node.is_none() || pool.node.is_none() || pool.node == node;
    let near = pools.iter().filter(near);
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
    Row::warn("thp")
        .evidence(evidence)
        .cause(
            "no other hugepages are free either: memory is mapped by small pages, which is slower",
        )
        .remedy(format!(
            "echo advise > {path}, or reserve hugepages: see the row `hugepages`"
        ))
}
