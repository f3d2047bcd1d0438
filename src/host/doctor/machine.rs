//! Checks of the machine and its kernel.

use super::{Row, View};
use crate::host::hugepages;

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
    let row = Row::block("iommu").evidence(format!(
        "/sys/kernel/iommu_groups is empty, {} units in /sys/class/iommu; {named}",
        units.len()
    ));
    let row = match units.is_empty() {
        true => row.cause(
            "the IOMMU is off in the firmware or in the kernel, or this virtual machine has none",
        ),
        false => row.cause("the IOMMU is there, and the kernel does not use it for DMA"),
    };
    row.remedy("switch on VT-d, AMD-Vi or SMMU in the firmware")
        .remedy("add intel_iommu=on (Intel) to the kernel's command line and boot again; AMD and Arm need no word")
        .remedy("in a QEMU guest: -device intel-iommu,intremap=on -machine q35,kernel-irqchip=split")
}

/// Names of interrupt controllers in /proc/interrupts begin with `IR-` where interrupts are remapped (x86).
pub(super) fn interrupt_remapping(view: &View<'_>) -> Row {
    let id = "interrupt-remapping";
    let parameter = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
    let unsafe_allowed = view.tree.text(parameter).as_deref() == Some("Y");
    let interrupts = view.tree.text("/proc/interrupts").unwrap_or_default();
    let remapped = interrupts
        .lines()
        .filter(|line| line.contains(" IR-"))
        .count();
    let units = view.tree.names("/sys/class/iommu");
    let is_x86 = units
        .iter()
        .any(|name| name.starts_with("dmar") || name.starts_with("ivhd"));
    if unsafe_allowed {
        return Row::warn(id)
            .evidence(format!("{parameter} is Y; {remapped} remapped interrupts"))
            .cause("a device may raise any interrupt of this machine")
            .remedy(format!("echo N > {parameter}"));
    }
    if remapped > 0 {
        return Row::ok(id).evidence(format!(
            "remapped interrupts (IR-) in /proc/interrupts: {remapped}"
        ));
    }
    if !is_x86 {
        return Row::unknown(id).evidence("no IOMMU of x86 in /sys/class/iommu");
    }
    Row::warn(id)
        .evidence("no line of /proc/interrupts is remapped (IR-)")
        .cause("interrupt remapping is off: a group is refused with EPERM when it is attached")
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
        Some(_) => Row::warn("lockdown")
            .evidence(text)
            .cause(
                "Secure Boot, probably: BARs can't be mapped through sysfs and there is no VFIO without an IOMMU; \
                 VFIO with an IOMMU, which hwpool uses, works",
            )
            .remedy("nothing for hwpool; tools that map /sys/.../resourceN will fail"),
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
    let pools = hugepages::Pool::all(view.tree);
    if pools.is_empty() {
        return Row::unknown("hugepages").evidence("the kernel has none");
    }
    let node = view.function.as_ref().and_then(|function| function.node);
    let near = |pool: &&hugepages::Pool| node.is_none() || pool.node.is_none() || pool.node == node;
    let free: u64 = pools
        .iter()
        .filter(near)
        .map(|pool| pool.free.saturating_mul(pool.bytes))
        .sum();
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

pub(super) fn thp(view: &View<'_>) -> Row {
    match view
        .tree
        .text("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    {
        Some(text) => Row::ok("thp").evidence(format!("for shared memory: {text}")),
        None => Row::unknown("thp").evidence("the kernel has no transparent hugepages"),
    }
}
