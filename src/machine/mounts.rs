//! File systems that are mounted.

use std::collections::BTreeSet;

use procfs_core::process::MountInfo;

use super::Tree;

/// The tables of this process and of init: other namespaces can't be seen.
const TABLES: [&str; 2] = ["/proc/self/mountinfo", "/proc/1/mountinfo"];

/// Returns where a disk or partition is mounted, by the number of its device and by the names in the source and in
/// the options: file systems over several disks have a number of their own, and keep journals elsewhere (`logdev`).
///
/// A line that is not understood may be about any disk, so it counts for this one.
pub(crate) fn mount_points(tree: &Tree, name: &str) -> BTreeSet<String> {
    let number = tree.text(&format!("/sys/class/block/{name}/dev"));
    let is_ours = |mount: &MountInfo| {
        number.as_ref() == Some(&mount.majmin) || nodes(mount).any(|node| is_node(tree, node, name))
    };
    let mut points = BTreeSet::new();
    for table in TABLES {
        for line in tree.text(table).unwrap_or_default().lines() {
            match MountInfo::from_line(line) {
                Ok(mount) if !is_ours(&mount) => {}
                Ok(mount) => _ = points.insert(mount.mount_point.display().to_string()),
                Err(_) => _ = points.insert(format!("an unknown place ({table} has `{line}`)")),
            }
        }
    }
    points
}

/// Returns the device nodes that a mount names. Some file systems list several in one word.
fn nodes(mount: &MountInfo) -> impl Iterator<Item = &str> {
    let options = mount.super_options.values().flatten();
    let words = mount.mount_source.iter().chain(options);
    words
        .flat_map(|word| word.split(':'))
        .filter(|node| node.starts_with("/dev/"))
}

/// Tells whether a node is that of a device, itself or by a link such as `/dev/disk/by-id/...`.
pub(super) fn is_node(tree: &Tree, node: &str, name: &str) -> bool {
    node.strip_prefix("/dev/") == Some(name) || tree.link(node).as_deref() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn a_disk_is_known_by_its_number_and_by_its_name() {
        let machine = FakeMachine::new();
        machine.write("/sys/class/block/sda1/dev", "8:1\n");
        machine.write(
            "/proc/self/mountinfo",
            "30 1 8:1 / /data\\040disk rw shared:1 new:2 - ext4 /dev/root rw\n\
             31 1 0:44 /sub /srv rw - btrfs /dev/sda1 rw\n\
             32 1 0:21 / /proc rw - proc none rw\n",
        );
        let points = mount_points(&machine.tree(), "sda1");
        assert_eq!(
            Vec::from_iter(points),
            ["/data\\040disk".to_string(), "/srv".to_string()]
        );
        assert!(mount_points(&machine.tree(), "sdb").is_empty());
    }

    #[test]
    fn sources_of_several_devices_and_options_that_name_one() {
        let machine = FakeMachine::new();
        machine.link("/dev/disk/by-id/log", "../../sdc");
        machine.write(
            "/proc/self/mountinfo",
            "30 1 0:44 / /several rw - bcachefs /dev/sda:/dev/sdb rw\n\
             31 1 8:1 / /logged rw - xfs /dev/sdd rw,logdev=/dev/disk/by-id/log,noquota\n",
        );
        let points = |name| Vec::from_iter(mount_points(&machine.tree(), name));
        assert_eq!(points("sdb"), ["/several"]);
        assert_eq!(points("sdc"), ["/logged"]);
        assert_eq!(points("sdd"), ["/logged"]);
        assert!(points("sd").is_empty());
    }

    #[test]
    fn a_line_that_is_not_understood_counts_for_every_disk() {
        let machine = FakeMachine::new();
        machine.write("/proc/1/mountinfo", "30 1 8:1 /\n");
        let points = mount_points(&machine.tree(), "sda");
        assert!(
            points
                .iter()
                .any(|point| point.contains("/proc/1/mountinfo")),
            "{points:?}"
        );
    }
}
