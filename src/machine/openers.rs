//! Processes that have device nodes open.

use std::collections::BTreeSet;

use super::Tree;

/// A process that has a device node open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
