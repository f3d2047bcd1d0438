//! Limits of the control groups that this process is in: of version 2, of version 1, and of both at once (hybrid).

use std::path::Path;

use procfs_core::process::MountInfo;

use super::Tree;

/// From here on a limit of version 1 is none: the kernel writes the greatest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// What the limits of a hierarchy are, all the way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// The group that the process is in.
    pub(crate) path: String,
    /// The limits that it may have, by the names of their files.
    pub(crate) usual: Vec<&'static str>,
    /// The tightest limit of each kind, by the name of its file.
    pub(crate) caps: Vec<Cap>,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cap {
    /// Name of the file, as in `memory.max`.
    pub(crate) name: String,
    /// The file that has it; the tightest on the way up.
    pub(crate) file: String,
    pub(crate) bytes: u64,
}

impl Cap {
    /// Tells whether it is one of hugepages.
    pub(crate) fn is_of_hugepages(&self) -> bool {
        self.name.starts_with("hugetlb.")
    }
}

/// Reads the hierarchies that limit memory: lines `NUMBER:CONTROLLERS:PATH` of /proc/self/cgroup, where version 2 has the
/// number 0 and no controllers (cgroups(7)).
pub(crate) fn hierarchies(tree: &Tree) -> Vec<Hierarchy> {
    let text = tree.text("/proc/self/cgroup").unwrap_or_default();
    let found = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (place, usual) = match (number, controllers) {
            ("0", "") => (place(tree, None), vec!["memory.max", "hugetlb.2MB.max"]),
            _ => {
                let has = |name: &&str| controllers.split(',').any(|one| one == *name);
                let ours = ["memory", "hugetlb"].into_iter().filter(has);
                let ours: Vec<_> = ours.collect();
                let files = ours.iter().map(|name| match *name {
                    "memory" => "memory.limit_in_bytes",
                    _ => "hugetlb.2MB.limit_in_bytes",
                });
                (place(tree, Some(ours.first()?)), files.collect())
            }
        };
        let (top, root) = place;
        // In a namespace of its own a group may be called by what it is not below.
        let inner = path.strip_prefix(root.trim_end_matches('/'));
        let inner = inner.filter(|inner| !inner.contains("..")).unwrap_or("");
        let at = format!("{top}{}", inner.trim_end_matches('/'));
        Some(Hierarchy {
            path: path.into(),
            usual,
            caps: caps(tree, &top, &at),
        })
    });
    found.collect()
}

/// Returns where a hierarchy is mounted, and which group of it is shown there.
fn place(tree: &Tree, controller: Option<&str>) -> (String, String) {
    let table = tree.text("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts = table
        .lines()
        .filter_map(|line| MountInfo::from_line(line).ok());
    let is_it = |mount: &MountInfo| match controller {
        None => mount.fs_type == "cgroup2",
        Some(name) => mount.fs_type == "cgroup" && mount.super_options.contains_key(name),
    };
    match (mounts.find(is_it), controller) {
        (Some(mount), _) => (mount.mount_point.display().to_string(), mount.root),
        (None, None) => ("/sys/fs/cgroup".into(), "/".into()),
        (None, Some(name)) => (format!("/sys/fs/cgroup/{name}"), "/".into()),
    }
}

/// Returns the tightest limits from a group up to the top.
fn caps(tree: &Tree, top: &str, at: &str) -> Vec<Cap> {
    let way = Path::new(at).ancestors();
    let way = way.take_while(|directory| directory.starts_with(top));
    let mut caps: Vec<Cap> = Vec::new();
    for directory in way {
        let directory = directory.display().to_string();
        let names = tree.names(&directory).into_iter();
        for name in names.filter(|name| is_cap(name)) {
            let file = format!("{directory}/{name}");
            let bytes = tree.number::<u64>(&file).filter(|bytes| *bytes < NO_LIMIT);
            let Some(bytes) = bytes else { continue };
            match caps.iter_mut().find(|cap| cap.name == name) {
                Some(cap) if cap.bytes <= bytes => {}
                Some(cap) => *cap = Cap { name, file, bytes },
                None => caps.push(Cap { name, file, bytes }),
            }
        }
    }
    caps
}

/// Tells whether a file limits what pools take: memory, or hugepages of the sizes that hwpool has.
fn is_cap(name: &str) -> bool {
    let ends = |name: &str| {
        let kind = name.strip_prefix("rsvd.").unwrap_or(name);
        matches!(kind, "max" | "limit_in_bytes")
    };
    let sizes = ["hugetlb.2MB.", "hugetlb.1GB."];
    let of_size = sizes.iter().find_map(|size| name.strip_prefix(size));
    let of_memory = [
        "memory.max",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    ];
    of_memory.contains(&name) || of_size.is_some_and(ends)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    fn found(machine: &FakeMachine) -> Vec<(String, u64)> {
        let all = hierarchies(&machine.tree()).into_iter();
        let caps = all.flat_map(|one| one.caps);
        caps.map(|cap| (cap.file, cap.bytes)).collect()
    }

    #[test]
    fn a_hybrid_has_its_limits_in_the_hierarchies_of_version_1() {
        let machine = FakeMachine::new();
        machine.write(
            "/proc/self/cgroup",
            "9:memory:/box/inner\n5:cpu,cpuacct:/box\n3:hugetlb:/docker/1/app\n0::/box\n",
        );
        machine.write(
            "/proc/self/mountinfo",
            "40 1 0:30 /docker/1 /cg/huge rw - cgroup cgroup rw,hugetlb\n\
             41 1 0:31 / /cg/unified rw - cgroup2 cgroup2 rw\n",
        );
        machine.write(
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854710272\n",
        );
        machine.write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "4096\n");
        machine.write(
            "/sys/fs/cgroup/memory/box/inner/memory.limit_in_bytes",
            "8192\n",
        );
        machine.write("/cg/huge/app/hugetlb.2MB.rsvd.limit_in_bytes", "2097152\n");
        machine.write("/cg/huge/app/hugetlb.64KB.limit_in_bytes", "0\n");
        machine.write("/cg/unified/box/memory.max", "max\n");
        let expected = [
            ("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", 4096),
            ("/cg/huge/app/hugetlb.2MB.rsvd.limit_in_bytes", 2 << 20),
        ];
        assert_eq!(
            found(&machine),
            expected.map(|(file, bytes)| (file.to_string(), bytes))
        );
    }
}
