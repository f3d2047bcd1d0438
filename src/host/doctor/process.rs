//! Checks of what this user and this process may do.

use super::command;
use super::row::{Row, Stand, Verdict};
use super::view::View;
use crate::host::hugepages::size_text;
use crate::machine::{Config, Function, Hierarchy, Limit, hierarchies};

/// `bind` is run by another process, and often by another user.
const PROCESS: Stand =
    Stand::Not("it concerns the process that drives the function, and not the one that binds it");
/// Descriptors beside those of interrupts: group, container, device, memory, and some for the program.
const DESCRIPTORS: u64 = 64;
/// Maps by pages of 2 MiB, if memory is not merged.
const MAP_BYTES: u64 = 2 << 20;

/// Tells whether a limit that holds is high enough.
fn suffices(limit: Limit, needed: u64) -> bool {
    limit.soft.is_none_or(|limit| limit >= needed)
}

/// Tells whether this process itself could raise a limit as far.
fn can_be_raised(limit: Limit, needed: u64) -> bool {
    limit.hard.is_none_or(|limit| limit >= needed)
}

fn text(limit: Limit, written: impl Fn(u64) -> String) -> String {
    let word = |limit: Option<u64>| limit.map_or("unlimited".into(), &written);
    match limit.soft == limit.hard {
        true => word(limit.soft),
        false => format!("{} (hard limit {})", word(limit.soft), word(limit.hard)),
    }
}

pub(super) fn memlock(view: &View<'_>) -> Row {
    let limit = match Limit::read(view.tree, Limit::LOCKED_MEMORY) {
        Ok(limit) => limit,
        Err(why) => return Row::unknown("memlock").evidence(why),
    };
    let evidence = format!(
        "limit {}, {} to be pinned",
        text(limit, size_text),
        size_text(view.pin)
    );
    if view.process.may_lock() {
        return Row::ok("memlock").evidence(format!("{evidence}; CAP_IPC_LOCK: no limit holds"));
    }
    let evidence = match view.process.has_ipc_lock() {
        true => format!("{evidence}; CAP_IPC_LOCK does not count in a user namespace"),
        false => evidence,
    };
    if suffices(limit, view.pin) {
        return Row::ok("memlock").evidence(evidence);
    }
    let kib = view.pin.div_ceil(1024);
    let row = Row::block("memlock", PROCESS).evidence(evidence).cause(
        "mapping memory for DMA will fail with ENOMEM; by iommufd the device's BARs count as well",
    );
    let row = match can_be_raised(limit, view.pin) {
        true => row.remedy(format!("ulimit -l {kib}")),
        false => row,
    };
    row.remedy(format!(
        "LimitMEMLOCK={kib}K in the systemd unit, or `memlock {kib}` in /etc/security/limits.conf"
    ))
    .remedy(format!("in a container: --ulimit memlock={}", view.pin))
}

pub(super) fn nofile(view: &View<'_>) -> Row {
    let limit = match Limit::read(view.tree, Limit::OPEN_FILES) {
        Ok(limit) => limit,
        Err(why) => return Row::unknown("nofile").evidence(why),
    };
    let config = view
        .function
        .as_ref()
        .and_then(|f| Config::whole(view.tree, f.bdf));
    let vectors = config.map(|config| config.msix_vectors().unwrap_or(0));
    let needed = DESCRIPTORS + u64::from(vectors.unwrap_or(0));
    let limit_text = text(limit, |limit| limit.to_string());
    let evidence = match vectors {
        Some(vectors) => format!(
            "limit {limit_text}; {needed} with one descriptor for each of {vectors} MSI-X vectors"
        ),
        None => format!(
            "limit {limit_text}; {needed} and one for each MSI-X vector, of which nothing can be read"
        ),
    };
    if suffices(limit, needed) {
        return Row::ok("nofile").evidence(evidence);
    }
    let row = Row::warn("nofile", PROCESS)
        .evidence(evidence)
        .cause("not all interrupts can be used at once: their eventfds fail with EMFILE");
    let row = match can_be_raised(limit, needed) {
        true => row.remedy(format!("ulimit -n {needed}")),
        false => row,
    };
    row.remedy(format!("LimitNOFILE={needed} in the systemd unit"))
}

/// The limits of the process's own control groups, or tighter ones of those that they are in.
pub(super) fn cgroup(view: &View<'_>) -> Row {
    let hierarchies = hierarchies(view.tree);
    if hierarchies.is_empty() {
        return Row::unknown("cgroup").evidence("no control group that limits memory");
    }
    let row = hierarchies
        .iter()
        .fold(Row::ok("cgroup"), |row, one| row.evidence(limits_text(one)));
    let caps = hierarchies.iter().flat_map(|one| &one.caps);
    let too_low = caps.filter(|cap| cap.bytes < view.pin);
    let (huge, memory): (Vec<_>, Vec<_>) = too_low.partition(|cap| cap.is_of_hugepages());
    if let Some(cap) = memory.first() {
        return row.but(Verdict::Block, PROCESS)
            .cause(format!("the process is killed before {} are pinned", size_text(view.pin)))
            .remedy(format!("MemoryMax= above {} in the systemd unit, or a higher memory limit of the container", view.pin))
            .remedy(format!("without systemd: echo {} > {}", view.pin, cap.file));
    }
    if let Some(cap) = huge.first() {
        return row
            .but(Verdict::Warn, PROCESS)
            .cause("hugepages are refused although some are free (SIGBUS or ENOMEM)")
            .remedy(format!(
                "echo {} > {}, or hugepages in the container's limits",
                view.pin, cap.file
            ));
    }
    let node = view.function.as_ref().and_then(|function| function.node);
    match node.zip(view.process.nodes.as_ref()) {
        Some((node, nodes)) if !nodes.iter().any(|range| range.contains(&node)) => row
            .evidence(format!("memory of the device's node {node} is not for this process (Mems_allowed_list)"))
            .but(Verdict::Warn, PROCESS)
            .cause("a cpuset keeps the process from memory near the device, so that pools on its node fail")
            .remedy(format!("add {node} to cpuset.mems of its control group, or run it elsewhere (AllowedMemoryNodes= in the systemd unit)")),
        _ => row,
    }
}

fn limits_text(hierarchy: &Hierarchy) -> String {
    let caps = &hierarchy.caps;
    let is_unlimited = |name: &&&str| caps.iter().all(|cap| cap.name != **name);
    let unlimited = hierarchy.usual.iter().filter(is_unlimited);
    let limited = caps
        .iter()
        .map(|cap| format!("{} {}", cap.name, size_text(cap.bytes)));
    let all: Vec<_> = limited
        .chain(unlimited.map(|name| format!("{name} no limit")))
        .collect();
    format!("{}: {}", hierarchy.path, all.join(", "))
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
    Row::warn("dma-entries", PROCESS)
        .evidence(evidence)
        .cause("memory in pieces runs out of entries (ENOSPC); hwpool merges what is contiguous")
        .remedy("hugepages of 1 GiB need fewer")
        .remedy(format!("echo {} > {parameter}", most.saturating_mul(2)))
}

/// The two ways in: group and container, or character device and iommufd. Each takes two nodes, and one way is enough.
pub(super) fn nodes(view: &View<'_>) -> Row {
    let own = view.function.as_ref().map(Function::vfio_nodes);
    let own = own.unwrap_or_default();
    let all = COMMON.iter().copied().chain(own.iter().map(String::as_str));
    let found: Vec<_> = all
        .filter_map(|path| Some((path, view.tree.permissions(path)?)))
        .collect();
    let row = found
        .iter()
        .fold(Row::ok("nodes"), |row, (path, permissions)| {
            let owner = view.tree.user_name(permissions.uid);
            row.evidence(format!("{path}: {owner}, mode {:04o}", permissions.mode))
        });
    let is_there = |wanted: &str| found.iter().any(|(path, _)| *path == wanted);
    let has_own = own.is_empty() || own.iter().any(|path| is_there(path));
    if !has_own || !COMMON.iter().any(|path| is_there(path)) {
        return without_nodes(row, &own);
    }
    let group = view.function.as_ref().and_then(|f| f.group.as_ref());
    if group.is_some_and(|group| group.noiommu) && !view.process.may_raw_io() {
        return row
            .but(Verdict::Block, PROCESS)
            .cause("without an IOMMU a function is opened with CAP_SYS_RAWIO alone, whoever owns its node (EPERM)")
            .remedy("run the program as root, or give it the capability: setcap cap_sys_rawio+ep PROGRAM");
    }
    let (open, closed): (Vec<_>, Vec<_>) = found
        .iter()
        .partition(|(_, permissions)| view.process.may_use(*permissions));
    let paths = |nodes: Vec<&(_, _)>| nodes.iter().map(|(path, _)| *path).collect::<Vec<&str>>();
    let (open, closed) = (paths(open), paths(closed));
    match (closed.is_empty(), gets_in(&open, &own)) {
        (true, _) => row,
        (false, true) => with_closed(row, Verdict::Warn, view, &closed),
        (false, false) => with_closed(row, Verdict::Block, view, &closed),
    }
}

/// The nodes that all functions share.
const COMMON: [&str; 2] = ["/dev/vfio/vfio", "/dev/iommu"];

/// Tells whether one of the ways in is open; `own` are the nodes of the function, none where no function is asked about.
fn gets_in(open: &[&str], own: &[String]) -> bool {
    let is_cdev = |path: &str| path.starts_with("/dev/vfio/devices/");
    let opens = |common: &str, by_cdev: bool| {
        let mut own_way = own.iter().filter(|path| is_cdev(path) == by_cdev);
        let is_own_open = own.is_empty() || own_way.any(|path| open.contains(&path.as_str()));
        open.contains(&common) && is_own_open
    };
    opens("/dev/vfio/vfio", false) || opens("/dev/iommu", true)
}

/// Says which nodes this user may not use.
fn with_closed(row: Row, verdict: Verdict, view: &View<'_>, closed: &[&str]) -> Row {
    let user = view.tree.user_name(view.process.uid);
    let row = row.but(verdict, PROCESS).cause(format!(
        "user {user} may not read and write {}",
        closed.join(", ")
    ));
    closed.iter().fold(row, |row, path| match *path {
        "/dev/vfio/vfio" => {
            row.remedy("chmod 666 /dev/vfio/vfio: it gives nothing without a group's node")
        }
        "/dev/iommu" => row.remedy(
            "udev rule: SUBSYSTEM==\"misc\", KERNEL==\"iommu\", GROUP=\"vfio\", MODE=\"0660\"",
        ),
        _ => with_owner(row, view, &user),
    })
}

/// One remedy for all nodes of the function.
fn with_owner(row: Row, view: &View<'_>, user: &str) -> Row {
    let Some(function) = &view.function else {
        return row;
    };
    let driver = function.driver.as_deref().unwrap_or("vfio-pci");
    let options = match driver {
        "vfio-pci" => format!(" --owner {user}"),
        other => format!(" --driver {other} --owner {user}"),
    };
    let functions = std::slice::from_ref(function);
    let text = match command::bind(view, functions, driver, &options) {
        Ok(command) => format!("{command}, which also prints the rule for udev"),
        Err(what) => {
            format!("give {user} its nodes by `hwpool bind --owner` once this is mended: {what}")
        }
    };
    match row.remedy.contains(&text) {
        true => row,
        false => row.remedy(text),
    }
}

fn without_nodes(row: Row, own: &[String]) -> Row {
    let found = row.evidence;
    let missing = match own.is_empty() {
        true => "neither /dev/vfio/vfio nor /dev/iommu".to_string(),
        false => format!(
            "not both a node of VFIO (/dev/vfio/vfio, /dev/iommu) and one of the function ({})",
            own.join(", ")
        ),
    };
    found
        .into_iter()
        .fold(Row::block("nodes", PROCESS).evidence(missing), Row::evidence)
        .cause("VFIO is not loaded, or this container was not given its nodes")
        .remedy("modprobe vfio-pci")
        .remedy("in a container: --device /dev/vfio/vfio --device /dev/vfio/GROUP, or --device /dev/iommu and /dev/vfio/devices/vfioN")
}
