//! Who uses a function now: what would break if its driver were taken away.
//!
//! | file | idea |
//! | --- | --- |
//! | `reason.rs` | the names, each of which can be overridden |
//! | `disk.rs` | file systems, swap and volumes on disks |
//! | `network.rs` | routes and carriers of interfaces, and interfaces that are elsewhere |
//! | `console.rs` | what the kernel itself uses |
//! | `behind.rs` | functions behind another that is no bridge |

mod behind;
mod console;
mod disk;
mod network;
mod reason;

pub use reason::{Reason, Use};

use crate::machine::{Bdf, Function, Openers, Tree};

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
        let mut uses = usage.own(tree, function, openers);
        for behind in behind::functions(tree, function) {
            uses.push(behind::told(&behind));
            let theirs = Usage::of(tree, &behind, openers).uses.into_iter();
            uses.extend(theirs.map(|one| Use {
                what: format!("{}: {}", behind.bdf, one.what),
                ..one
            }));
        }
        uses.sort_by_key(|one| one.reason);
        uses.dedup();
        usage.uses = uses;
        usage
    }

    /// Returns the uses of the function itself.
    fn own(&self, tree: &Tree, function: &Function, openers: &Openers) -> Vec<Use> {
        let interfaces = self.interfaces.iter();
        let mut uses: Vec<_> = interfaces
            .flat_map(|name| network::uses(tree, name))
            .collect();
        uses.extend(network::elsewhere(tree, function, &self.interfaces));
        let disks = self.disks.iter();
        uses.extend(disks.flat_map(|name| disk::uses(tree, name, name)));
        let nodes = self.nodes.iter();
        uses.extend(nodes.flat_map(|name| disk::exported(tree, name, name)));
        uses.extend(of_openers(self, function, openers));
        let enabled = function.sriov.enabled;
        uses.extend(
            (enabled > 0)
                .then(|| Use::new(Reason::Vfs, format!("{enabled} virtual functions are on"))),
        );
        let terminals = of_class(tree, "/sys/class/tty", function.bdf);
        let framebuffers = of_class(tree, "/sys/class/graphics", function.bdf);
        uses.extend(console::uses(tree, function, &terminals, &framebuffers));
        uses.extend(console::by_network(tree, &self.interfaces));
        let group = function.group.iter();
        let direct = group.flat_map(|group| group.direct_regions());
        uses.extend(direct.map(|region| {
            Use::new(
                Reason::Reserved,
                format!("the firmware wants {} mapped for it (RMRR, IVMD), and the kernel gives such a function to no VFIO", region.range),
            )
        }));
        uses
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

fn of_openers(usage: &Usage, function: &Function, openers: &Openers) -> Vec<Use> {
    let names = usage.disks.iter().chain(&usage.nodes);
    let mut nodes: Vec<_> = names.map(|name| format!("/dev/{name}")).collect();
    nodes.extend(function.vfio_nodes());
    let held = openers.of_function(function, &nodes).into_iter();
    held.map(|opener| Use::new(Reason::Open, opener.to_string()))
        .collect()
}
