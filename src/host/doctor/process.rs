//! Checks of what this user and this process may do.

use super::{Row, View};
use crate::host::Tree;
use crate::host::config::Config;
use crate::host::tree::Permissions;

const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_IPC_LOCK: u32 = 14;
/// Descriptors beside those of interrupts: group, container, device, memory, and some for the program.
const DESCRIPTORS: u64 = 64;
/// Maps by pages of 2 MiB, if memory is not merged.
const MAP_BYTES: u64 = 2 << 20;

/// Who asks, by /proc/self/status.
pub(super) struct Who {
    uid: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

impl Who {
    pub(super) fn read(tree: &Tree) -> Who {
        let status = tree.text("/proc/self/status").unwrap_or_default();
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().to_string()
        };
        // Of real, effective, saved and file system ids the second decides.
        let effective = |key: &str| field(key).split_whitespace().nth(1)?.parse().ok();
        let nobody = u32::MAX;
        let mut groups: Vec<u32> = field("Groups:")
            .split_whitespace()
            .filter_map(|group| group.parse().ok())
            .collect();
        groups.push(effective("Gid:").unwrap_or(nobody));
        Who {
            uid: effective("Uid:").unwrap_or(nobody),
            groups,
            capabilities: u64::from_str_radix(field("CapEff:").trim(), 16).unwrap_or(0),
        }
    }

    fn can(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 != 0
    }

    /// Tells whether a file with these permissions can be read and written.
    fn may_use(&self, file: Permissions) -> bool {
        let bits = match () {
            () if file.uid == self.uid => file.mode >> 6,
            () if self.groups.contains(&file.gid) => file.mode >> 3,
            () => file.mode,
        };
        self.can(CAP_DAC_OVERRIDE) || bits & 0o6 == 0o6
    }
}

/// Reads a soft limit; `None` is none.
fn limit(tree: &Tree, name: &str) -> Result<Option<u64>, String> {
    let text = tree.text("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    match line.and_then(|line| line.split_whitespace().next()) {
        Some("unlimited") => Ok(None),
        Some(number) => number
            .parse()
            .map(Some)
            .map_err(|_| format!("`{number}` is no limit")),
        None => Err(format!("/proc/self/limits has no `{name}`")),
    }
}

pub(super) fn memlock(view: &View<'_>) -> Row {
    let limit = match limit(view.tree, "Max locked memory") {
        Ok(limit) => limit,
        Err(why) => return Row::unknown("memlock").evidence(why),
    };
    let text = limit.map_or("unlimited".into(), |limit| format!("{limit} bytes"));
    let evidence = format!("limit {text}, {} bytes to be pinned", view.pin);
    if view.who.can(CAP_IPC_LOCK) {
        return Row::ok("memlock").evidence(format!("{evidence}; CAP_IPC_LOCK: no limit holds"));
    }
    if limit.is_none_or(|limit| limit >= view.pin) {
        return Row::ok("memlock").evidence(evidence);
    }
    let kib = view.pin.div_ceil(1024);
    Row::block("memlock")
        .evidence(evidence)
        .cause("mapping memory for DMA will fail with ENOMEM; by iommufd the device's BARs count as well")
        .remedy(format!("ulimit -l {kib}, where the hard limit allows it"))
        .remedy(format!("LimitMEMLOCK={kib}K in the systemd unit, or `memlock {kib}` in /etc/security/limits.conf"))
}

pub(super) fn nofile(view: &View<'_>) -> Row {
    let limit = match limit(view.tree, "Max open files") {
        Ok(limit) => limit,
        Err(why) => return Row::unknown("nofile").evidence(why),
    };
    let config = view
        .function
        .as_ref()
        .and_then(|f| Config::read(view.tree, f.bdf));
    let vectors = config.and_then(|config| config.msix_vectors()).unwrap_or(0);
    let needed = DESCRIPTORS + u64::from(vectors);
    let text = limit.map_or("unlimited".into(), |limit| limit.to_string());
    let evidence =
        format!("limit {text}; {needed} with one descriptor for each of {vectors} MSI-X vectors");
    if limit.is_none_or(|limit| limit >= needed) {
        return Row::ok("nofile").evidence(evidence);
    }
    Row::warn("nofile")
        .evidence(evidence)
        .cause("not all interrupts can be used at once: their eventfds fail with EMFILE")
        .remedy(format!(
            "ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit"
        ))
}

/// The limits of the process's own cgroup (version 2); those further up may be tighter.
pub(super) fn cgroup(view: &View<'_>) -> Row {
    let text = view.tree.text("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::")) else {
        return Row::unknown("cgroup").evidence("no cgroup of version 2");
    };
    let at = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
    let memory = view.tree.text(&format!("{at}/memory.max"));
    let huge = view.tree.text(&format!("{at}/hugetlb.2MB.max"));
    let word = |limit: &Option<String>| limit.clone().unwrap_or("no limit".into());
    let evidence = format!(
        "{path}: memory.max {}, hugetlb.2MB.max {}",
        word(&memory),
        word(&huge)
    );
    let too_low = |limit: Option<String>| {
        limit
            .and_then(|l| l.parse().ok())
            .is_some_and(|l: u64| l < view.pin)
    };
    match (too_low(memory), too_low(huge)) {
        (false, false) => Row::ok("cgroup").evidence(evidence),
        (true, _) => Row::block("cgroup")
            .evidence(evidence)
            .cause(format!("the process is killed before {} bytes are pinned", view.pin))
            .remedy(format!("MemoryMax= above {} in the systemd unit, or a higher memory limit of the container", view.pin)),
        (false, true) => Row::warn("cgroup")
            .evidence(evidence)
            .cause("hugepages are refused although some are free (SIGBUS or ENOMEM)")
            .remedy(format!("echo {} > {at}/hugetlb.2MB.max, or hugepages in the container's limits", view.pin)),
    }
}

pub(super) fn dma_entries(view: &View<'_>) -> Row {
    let parameter = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
    let Some(limit) = view.tree.number::<u64>(parameter) else {
        return Row::unknown("dma-entries")
            .evidence("vfio_iommu_type1 is not loaded; iommufd has no such limit");
    };
    let most = view.pin.div_ceil(MAP_BYTES);
    let evidence = format!("limit {limit}; {most} mappings, if each is of 2 MiB");
    if limit >= most {
        return Row::ok("dma-entries").evidence(evidence);
    }
    Row::warn("dma-entries")
        .evidence(evidence)
        .cause("memory in pieces runs out of entries (ENOSPC); hwpool merges what is contiguous")
        .remedy("hugepages of 1 GiB need fewer")
        .remedy(format!(
            "modprobe vfio_iommu_type1 dma_entry_limit={}",
            most * 2
        ))
}

pub(super) fn nodes(view: &View<'_>) -> Row {
    let common = ["/dev/vfio/vfio", "/dev/iommu"].map(str::to_string);
    let own = view
        .function
        .iter()
        .flat_map(|function| function.vfio_nodes());
    let mut row = Row::ok("nodes");
    let mut closed = Vec::new();
    let mut ways = 0;
    for path in common.into_iter().chain(own) {
        let Some(permissions) = view.tree.permissions(&path) else {
            continue;
        };
        let owner = view.tree.user_name(permissions.uid);
        row = row.evidence(format!("{path}: {owner}, mode {:04o}", permissions.mode));
        match view.who.may_use(permissions) {
            true => ways += 1,
            false => closed.push(path),
        }
    }
    if row.evidence.is_empty() {
        return Row::block("nodes")
            .evidence("neither /dev/vfio/vfio nor /dev/iommu")
            .cause("VFIO is not loaded, or this container was not given its nodes")
            .remedy("modprobe vfio-pci")
            .remedy("in a container: --device /dev/vfio/vfio --device /dev/vfio/GROUP, or --device /dev/iommu and /dev/vfio/devices/vfioN");
    }
    if closed.is_empty() {
        return row;
    }
    // One way is enough, by group or by character device: who can use a node of each kind gets in.
    let own_open = |path: &String| !closed.contains(path);
    let own = view
        .function
        .as_ref()
        .map(|f| f.vfio_nodes())
        .unwrap_or_default();
    let gets_in = ways > 0 && (own.is_empty() || own.iter().any(own_open));
    row.verdict = match gets_in {
        true => super::Verdict::Warn,
        false => super::Verdict::Block,
    };
    let row = row.cause(format!(
        "user {} may not read and write {}",
        view.tree.user_name(view.who.uid),
        closed.join(", ")
    ));
    match &view.function {
        Some(function) if !own.is_empty() => row.remedy(format!(
            "hwpool bind {} --owner {}, which also prints the rule for udev",
            function.bdf,
            view.tree.user_name(view.who.uid)
        )),
        _ => row.remedy(
            "udev rule: SUBSYSTEM==\"misc\", KERNEL==\"iommu\", GROUP=\"vfio\", MODE=\"0660\"",
        ),
    }
}
