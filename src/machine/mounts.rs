//! File systems that are mounted.

use std::collections::BTreeSet;

use procfs_core::process::MountInfo;

use super::Tree;

/// The tables of this process and of init: other namespaces can't be seen.
const TABLES: [&str; 2] = ["/proc/self/mountinfo", "/proc/1/mountinfo"];

/// Returns where a disk or partition is mounted, by the number of its device and by the name of the source: file
/// systems over several disks have a number of their own.
///
/// A line that is not understood may be about any disk, so it counts for this one.
pub(crate) fn mount_points(tree: &Tree, name: &str) -> BTreeSet<String> {
    let number = tree.text(&format!("/sys/class/block/{name}/dev"));
    let source = format!("/dev/{name}");
    let is_ours = |mount: &MountInfo| {
        number.as_ref() == Some(&mount.majmin) || mount.mount_source.as_ref() == Some(&source)
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
