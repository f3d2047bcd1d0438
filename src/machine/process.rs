//! Who this process is, and what it may do.

use std::ops::RangeInclusive;

use procfs_core::FromRead;
use procfs_core::process::Status;

use super::{Permissions, Tree};

const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RAWIO: u32 = 17;
/// The user as whom files of users outside of a user namespace are shown inside of it.
const NOBODY: u32 = 65534;

/// The user, groups and capabilities of this process, by /proc/self/status.
#[derive(Debug)]
pub(crate) struct Process {
    /// Effective user id.
    pub(crate) uid: u32,
    groups: Vec<u32>,
    capabilities: u64,
    /// NUMA nodes whose memory it may have; `None` where the kernel does not tell.
    pub(crate) nodes: Option<Vec<RangeInclusive<u32>>>,
    /// In a user namespace of its own, as in a container without root: capabilities hold inside of it only.
    is_confined: bool,
}

impl Process {
    /// Reads it; a process of which nothing is known is nobody, and may nothing.
    pub(crate) fn read(tree: &Tree) -> Process {
        let text = tree.text("/proc/self/status").unwrap_or_default();
        let is_confined = is_confined(tree);
        match Status::from_read(text.as_bytes()) {
            Ok(status) => Process {
                uid: status.euid,
                groups: [status.groups, vec![status.egid]].concat(),
                capabilities: status.capeff,
                nodes: nodes(&text),
                is_confined,
            },
            Err(_) => Process {
                uid: u32::MAX,
                groups: Vec::new(),
                capabilities: 0,
                nodes: None,
                is_confined,
            },
        }
    }

    /// Tells whether a file with these permissions can be read and written.
    pub(crate) fn may_use(&self, file: Permissions) -> bool {
        let bits = match () {
            () if file.uid == self.uid => file.mode >> 6,
            () if self.groups.contains(&file.gid) => file.mode >> 3,
            () => file.mode,
        };
        // Over files of users who are not in the namespace its capabilities have no power.
        let is_foreign = self.is_confined && file.uid == NOBODY;
        (self.has(CAP_DAC_OVERRIDE) && !is_foreign) || bits & 0o6 == 0o6
    }

    /// Tells whether it has CAP_IPC_LOCK, in whatever namespace.
    pub(crate) fn has_ipc_lock(&self) -> bool {
        self.has(CAP_IPC_LOCK)
    }

    /// Tells whether locked memory is not limited: the kernel asks for the capability in the first namespace.
    pub(crate) fn may_lock(&self) -> bool {
        self.has_ipc_lock() && !self.is_confined
    }

    /// Tells whether it may drive functions without an IOMMU: the kernel asks for the capability in the first namespace.
    pub(crate) fn may_raw_io(&self) -> bool {
        self.has(CAP_SYS_RAWIO) && !self.is_confined
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 != 0
    }
}

/// Reads the list of nodes, as in `0-1,4`.
fn nodes(status: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Mems_allowed_list:"))?;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').map(range).collect()
}

/// The first namespace has all users.
fn is_confined(tree: &Tree) -> bool {
    let map = tree.text("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<_> = map.split_whitespace().collect();
    !matches!(words[..], [] | ["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn a_process_of_which_nothing_is_known_may_nothing() {
        let machine = FakeMachine::new();
        machine.write("/proc/self/status", "Uid: 0 0 0 0\n");
        let process = Process::read(&machine.tree());
        assert_eq!(process.uid, u32::MAX);
        assert!(!process.may_lock());
        let (uid, gid, mode) = (0, 0, 0o660);
        assert!(!process.may_use(Permissions { uid, gid, mode }));
    }

    #[test]
    fn this_process_is_understood() {
        let process = Process::read(&Tree::running());
        assert_eq!(process.uid, nix::unistd::geteuid().as_raw());
    }
}
