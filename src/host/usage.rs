//! Who uses a function now: what would break if its driver were taken away.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::{Function, Tree};
use crate::vfio::Bdf;

/// A reason not to take a function from its driver. Each can be overridden by its name, for itself alone.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A route goes through its network interface.
    Route,
    /// Its network interface is up and has a carrier.
    Carrier,
    /// Something on its disk is mounted.
    Mount,
    /// Something is built on its disk (LVM, RAID, encryption), or on its network interface (bond, bridge).
    Holder,
    /// The kernel swaps to its disk.
    Swap,
    /// A process has one of its device nodes open.
    Open,
    /// Its virtual functions are on, and go with it.
    Vfs,
    /// Another function of its IOMMU group has a driver of its own.
    Group,
    /// It is behind no IOMMU: whoever drives it reaches all memory.
    NoIommu,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 9] = [
        Reason::Route,
        Reason::Carrier,
        Reason::Mount,
        Reason::Holder,
        Reason::Swap,
        Reason::Open,
        Reason::Vfs,
        Reason::Group,
        Reason::NoIommu,
    ];

    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Route => "route",
            Reason::Carrier => "carrier",
            Reason::Mount => "mount",
            Reason::Holder => "holder",
            Reason::Swap => "swap",
            Reason::Open => "open",
            Reason::Vfs => "vfs",
            Reason::Group => "group",
            Reason::NoIommu => "no-iommu",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Reason, String> {
        let found = Reason::ALL.into_iter().find(|reason| reason.word() == text);
        found.ok_or_else(|| {
            let known = Reason::ALL.map(Reason::word).join(", ");
            format!("`{text}` is no reason: known are {known}")
        })
    }
}

/// One use of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Of what kind.
    pub reason: Reason,
    /// By whom, in words.
    pub what: String,
}

/// What the kernel has made of a function, and who uses that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Network interfaces.
    pub interfaces: Vec<String>,
    /// Disks and their partitions.
    pub disks: Vec<String>,
    /// Device nodes of other kinds, without `/dev/`.
    pub nodes: Vec<String>,
    /// Its uses, in the order of [`Reason`].
    pub uses: Vec<Use>,
}

/// A process that has a device node open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opener {
    /// Process id.
    pub pid: u32,
    /// Name of its program, as the kernel cuts it.
    pub command: String,
    /// The node.
    pub node: String,
}

/// Device nodes that processes have open, as far as this user may see: root sees all.
///
/// Reading it walks all processes, so it is read once and asked for each function.
#[derive(Debug, Default)]
pub struct Openers(Vec<Opener>);

impl Openers {
    /// Looks at the descriptors of all processes.
    pub fn read(tree: &Tree) -> Openers {
        let pids = tree.names("/proc").into_iter();
        let pids = pids.filter_map(|name| name.parse().ok());
        Openers(pids.flat_map(|pid| open_nodes(tree, pid)).collect())
    }

    /// Returns those who have one of `nodes` open.
    pub fn of(&self, nodes: &[String]) -> Vec<&Opener> {
        let wanted = |opener: &&Opener| nodes.contains(&opener.node);
        self.0.iter().filter(wanted).collect()
    }
}

/// Returns the nodes below /dev that a process has open, each once.
fn open_nodes(tree: &Tree, pid: u32) -> Vec<Opener> {
    let descriptors = tree.names(&format!("/proc/{pid}/fd"));
    let targets = descriptors
        .iter()
        .filter_map(|fd| tree.target(&format!("/proc/{pid}/fd/{fd}")));
    let nodes: BTreeSet<_> = targets.filter(|path| path.starts_with("/dev/")).collect();
    let command = || tree.text(&format!("/proc/{pid}/comm")).unwrap_or_default();
    let opener = |node| Opener {
        pid,
        command: command(),
        node,
    };
    nodes.into_iter().map(opener).collect()
}

impl Usage {
    /// Finds out what `function` is used for. Interfaces and mounts of other namespaces than this process's and
    /// init's can't be seen.
    pub fn of(tree: &Tree, function: &Function, openers: &Openers) -> Usage {
        let mut usage = Usage {
            interfaces: of_class(tree, "/sys/class/net", function.bdf),
            disks: of_class(tree, "/sys/class/block", function.bdf),
            nodes: other_nodes(tree, function.bdf),
            uses: Vec::new(),
        };
        let interfaces = usage.interfaces.iter();
        let mut uses: Vec<Use> = interfaces
            .flat_map(|name| of_interface(tree, name))
            .collect();
        uses.extend(
            usage
                .disks
                .iter()
                .flat_map(|name| of_disk(tree, name, name)),
        );
        uses.extend(of_openers(&usage, function, openers));
        if function.sriov.enabled > 0 {
            uses.push(Use {
                reason: Reason::Vfs,
                what: format!("{} virtual functions are on", function.sriov.enabled),
            });
        }
        uses.sort_by_key(|one| one.reason);
        uses.dedup();
        usage.uses = uses;
        usage
    }
}

/// Returns the entries of a class that belong to a function, and not to one behind it.
fn of_class(tree: &Tree, class: &str, bdf: Bdf) -> Vec<String> {
    let names = tree.names(class).into_iter();
    names
        .filter(|name| belongs(tree, &format!("{class}/{name}"), bdf))
        .collect()
}

/// Tells whether an entry of sysfs belongs to a function. NVMe's disks with several paths hang below no function, but
/// below a subsystem that links to its controllers.
fn belongs(tree: &Tree, entry: &str, bdf: Bdf) -> bool {
    let above = |path: &str| tree.functions_above(path).last() == Some(&bdf);
    let subsystem = tree.target(entry);
    let subsystem = subsystem.as_deref().and_then(|target| {
        let (_, rest) = target.split_once("/nvme-subsystem/")?;
        rest.split('/').next()
    });
    match subsystem {
        None => above(entry),
        Some(subsystem) => {
            let at = format!("/sys/class/nvme-subsystem/{subsystem}");
            let names = tree.names(&at).into_iter();
            let mut controllers = names.filter(|name| name.starts_with("nvme"));
            controllers.any(|name| above(&format!("{at}/{name}")))
        }
    }
}

/// Returns the character devices of a function, by the names that the kernel gives their nodes.
fn other_nodes(tree: &Tree, bdf: Bdf) -> Vec<String> {
    let at = "/sys/dev/char";
    let numbers = tree.names(at).into_iter();
    let ours = numbers.filter(|number| belongs(tree, &format!("{at}/{number}"), bdf));
    ours.filter_map(|number| {
        let event = tree.text(&format!("{at}/{number}/uevent"))?;
        let name = event.lines().find_map(|l| l.strip_prefix("DEVNAME="))?;
        Some(name.to_string())
    })
    .collect()
}

fn of_interface(tree: &Tree, name: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let carrier = tree.number::<u32>(&format!("/sys/class/net/{name}/carrier"));
    if carrier == Some(1) {
        uses.push(Use {
            reason: Reason::Carrier,
            what: format!("{name} is up and has a carrier"),
        });
    }
    uses.extend(routes(tree, name));
    // A port of a bond or a bridge has no routes of its own; its upper interface has.
    for upper in tree.names(&format!("/sys/class/net/{name}")) {
        let Some(upper) = upper.strip_prefix("upper_") else {
            continue;
        };
        uses.push(Use {
            reason: Reason::Holder,
            what: format!("{name} is a part of {upper}"),
        });
        uses.extend(routes(tree, upper));
    }
    uses
}

/// Returns the routes through an interface, by both tables (proc(5)); multicast and link-local ones tell nothing.
fn routes(tree: &Tree, name: &str) -> Vec<Use> {
    let text = tree.text("/proc/net/route").unwrap_or_default();
    let v4 = text.lines().skip(1).filter_map(|line| v4_route(line, name));
    let text6 = tree.text("/proc/net/ipv6_route").unwrap_or_default();
    let v6 = text6.lines().filter_map(|line| v6_route(line, name));
    let route = |to: String| Use {
        reason: Reason::Route,
        what: format!("the route to {to} goes through {name}"),
    };
    v4.chain(v6).map(route).collect()
}

/// Reads `IFACE DESTINATION GATEWAY FLAGS ... MASK`, addresses as the CPU's words in hexadecimal.
fn v4_route(line: &str, name: &str) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let word = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
    if fields.first() != Some(&name) {
        return None;
    }
    let [a, b, c, d] = word(1)?.to_ne_bytes();
    let prefix = word(7)?.count_ones();
    Some(match prefix {
        0 => "default".into(),
        _ => format!("{a}.{b}.{c}.{d}/{prefix}"),
    })
}

/// Reads `DESTINATION PREFIX SOURCE PREFIX GATEWAY METRIC REFS USE FLAGS IFACE`.
fn v6_route(line: &str, name: &str) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    if fields.get(9) != Some(&name) {
        return None;
    }
    let address = u128::from_str_radix(fields[0], 16).ok()?;
    let prefix = u8::from_str_radix(fields[1], 16).ok()?;
    let tells_nothing = address >> 118 == 0xfe80 >> 6 || address >> 120 == 0xff;
    match (tells_nothing, prefix) {
        (true, _) => None,
        (false, 0) => Some("default (IPv6)".into()),
        (false, _) => Some(format!("{}/{prefix}", std::net::Ipv6Addr::from(address))),
    }
}

/// Returns what uses a disk, a partition, or what is built on them; `chain` says how it was come to.
fn of_disk(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let mut uses = mounts(tree, name, chain);
    let swaps = tree.text("/proc/swaps").unwrap_or_default();
    let node = format!("/dev/{name}");
    if swaps
        .lines()
        .any(|line| line.split_whitespace().next() == Some(&node))
    {
        uses.push(Use {
            reason: Reason::Swap,
            what: format!("{chain} is swap"),
        });
    }
    // The way through holders is bounded, whatever the files say.
    if chain.len() > 256 {
        return uses;
    }
    for holder in tree.names(&format!("/sys/class/block/{name}/holders")) {
        let called = tree.text(&format!("/sys/class/block/{holder}/dm/name"));
        let called = called.map_or(holder.clone(), |called| format!("{holder} ({called})"));
        uses.push(Use {
            reason: Reason::Holder,
            what: format!("{chain} is a part of {called}"),
        });
        uses.extend(of_disk(tree, &holder, &format!("{chain} > {called}")));
    }
    uses
}

/// Looks a disk up among the mounts of this process and of init, by number and by the name of the source: file
/// systems over several disks have a number of their own.
fn mounts(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let number = tree.text(&format!("/sys/class/block/{name}/dev"));
    let source = format!("/dev/{name}");
    let mut points = BTreeSet::new();
    for table in ["/proc/self/mountinfo", "/proc/1/mountinfo"] {
        let text = tree.text(table).unwrap_or_default();
        for line in text.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let behind = fields.iter().position(|field| *field == "-").unwrap_or(0);
            let is_ours = fields.get(2).map(|n| n.to_string()) == number
                || fields.get(behind + 2) == Some(&source.as_str());
            if let (true, Some(point)) = (is_ours, fields.get(4)) {
                points.insert(point.to_string());
            }
        }
    }
    let mount = |point: String| Use {
        reason: Reason::Mount,
        what: format!("{chain} is mounted on {point}"),
    };
    points.into_iter().map(mount).collect()
}

fn of_openers(usage: &Usage, function: &Function, openers: &Openers) -> Vec<Use> {
    let names = usage.disks.iter().chain(&usage.nodes);
    let mut nodes: Vec<_> = names.map(|name| format!("/dev/{name}")).collect();
    nodes.extend(function.vfio_nodes());
    let open = |opener: &Opener| Use {
        reason: Reason::Open,
        what: format!(
            "process {} ({}) has {} open",
            opener.pid, opener.command, opener.node
        ),
    };
    openers.of(&nodes).into_iter().map(open).collect()
}
