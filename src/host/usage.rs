//! Who uses a function now: what would break if its driver were taken away.

use std::fmt;
use std::str::FromStr;

use crate::machine::{Bdf, Function, Opener, Openers, Tree, mount_points, routes};

/// A reason not to take a function from its driver. Each can be overridden by its name, for itself alone.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Use {
    /// Of what kind.
    pub reason: Reason,
    /// By whom, in words.
    pub what: String,
}

/// What the kernel has made of a function, and who uses that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
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
    uses.extend(routed(tree, name));
    // A port of a bond or a bridge has no routes of its own; its upper interface has.
    for upper in tree.names(&format!("/sys/class/net/{name}")) {
        let Some(upper) = upper.strip_prefix("upper_") else {
            continue;
        };
        uses.push(Use {
            reason: Reason::Holder,
            what: format!("{name} is a part of {upper}"),
        });
        uses.extend(routed(tree, upper));
    }
    uses
}

/// Returns the routes through an interface as uses.
fn routed(tree: &Tree, name: &str) -> impl Iterator<Item = Use> {
    let routes = routes(tree, name).into_iter();
    routes.map(move |to| Use {
        reason: Reason::Route,
        what: format!("the route to {to} goes through {name}"),
    })
}

/// Returns what uses a disk, a partition, or what is built on them; `chain` says how it was come to.
fn of_disk(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let mounted = mount_points(tree, name).into_iter().map(|point| Use {
        reason: Reason::Mount,
        what: format!("{chain} is mounted on {point}"),
    });
    let mut uses: Vec<_> = mounted.collect();
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
