//! File systems that lie on more devices than the table of mounts names, by what the kernel lists of each kind.

use super::Tree;

/// Devices that one mounted file system, or one cache of such, has together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Its kind and number, as in `btrfs 1234-...`.
    pub(crate) name: String,
    /// Its devices, as `/sys/class/block` names them.
    pub(crate) devices: Vec<String>,
}

/// Returns the devices of one file system, whose directory is given.
type Lister = fn(&Tree, &str) -> Vec<String>;

/// What is known of a device's part in ZFS or F2FS, which list their devices nowhere.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// There is none in use, or the device holds something else.
    No,
    /// It has the label of a member, and one is in use.
    Member,
    /// One is in use, and nothing tells what the device holds.
    Unknown,
}

/// Returns what device `name` is a part of. These directories are there while the file system is mounted, in whatever
/// namespace.
pub(crate) fn shared(tree: &Tree, name: &str) -> Vec<Shared> {
    let kinds: [(&str, Lister); 3] = [("btrfs", btrfs), ("bcachefs", bcachefs), ("bcache", bcache)];
    let all = kinds.into_iter().flat_map(|(kind, devices)| {
        let at = format!("/sys/fs/{kind}");
        let numbers = tree.names(&at).into_iter();
        numbers.map(move |number| Shared {
            name: format!("{kind} {number}"),
            devices: devices(tree, &format!("{at}/{number}")),
        })
    });
    let is_part = |shared: &Shared| shared.devices.iter().any(|device| device == name);
    all.filter(is_part).collect()
}

fn btrfs(tree: &Tree, at: &str) -> Vec<String> {
    tree.names(&format!("{at}/devices"))
}

fn bcachefs(tree: &Tree, at: &str) -> Vec<String> {
    let names = tree.names(at).into_iter();
    let devices = names.filter(|name| name.starts_with("dev-"));
    devices
        .filter_map(|name| tree.link(&format!("{at}/{name}/block")))
        .collect()
}

/// Caches and what they cache are links to the directory `bcache` of a device.
fn bcache(tree: &Tree, at: &str) -> Vec<String> {
    let targets = tree.names(at).into_iter();
    let targets = targets.filter_map(|name| tree.target(&format!("{at}/{name}")));
    targets
        .filter_map(|target| {
            let device = target.strip_suffix("/bcache")?;
            device.rsplit('/').next().map(str::to_string)
        })
        .collect()
}

/// Tells whether a mounted file system has its journal on device `name`, and nothing else there: the kernel's journal
/// (ext4, OCFS2) lists itself by its device, and with a number behind it where it is a file.
pub(crate) fn is_journal(tree: &Tree, name: &str) -> bool {
    tree.exists(&format!("/proc/fs/jbd2/{name}"))
}

/// Tells what is known of a device's part in ZFS, by what udev has read from it.
pub(crate) fn zfs(tree: &Tree, name: &str) -> Part {
    if !tree
        .names("/proc/spl/kstat/zfs")
        .iter()
        .any(|pool| tree.exists(&format!("/proc/spl/kstat/zfs/{pool}/state")))
    {
        return Part::No;
    }
    let record = record(tree, name);
    match (record.has("ID_FS_TYPE=zfs_member"), record.is_empty()) {
        (true, _) => Part::Member,
        (false, true) => Part::Unknown,
        (false, false) => Part::No,
    }
}

/// Tells what is known of a device's part in an F2FS of several devices: only the first has a label. `/sys/fs/f2fs` has the
/// first device of each that is mounted.
pub(crate) fn f2fs(tree: &Tree, name: &str) -> Part {
    let mounted = tree.names("/sys/fs/f2fs").into_iter();
    let mut first = mounted.filter(|one| tree.exists(&format!("/sys/class/block/{one}")));
    let is_mounted = first.any(|one| one != name);
    match is_mounted && record(tree, name).is_empty() {
        true => Part::Unknown,
        false => Part::No,
    }
}

/// What udev has read from a device.
struct Record(String);

fn record(tree: &Tree, name: &str) -> Record {
    let number = tree.text(&format!("/sys/class/block/{name}/dev"));
    let number = number.unwrap_or_default();
    Record(
        tree.text(&format!("/run/udev/data/b{number}"))
            .unwrap_or_default(),
    )
}

impl Record {
    fn has(&self, property: &str) -> bool {
        let mut lines = self.0.lines();
        lines.any(|line| line.strip_prefix("E:") == Some(property))
    }

    /// Tells whether it knows of nothing on the device.
    fn is_empty(&self) -> bool {
        let known = ["E:ID_FS_TYPE=", "E:ID_PART_TABLE_TYPE="];
        let mut lines = self.0.lines();
        !lines.any(|line| known.iter().any(|start| line.starts_with(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn each_kind_lists_its_devices_in_its_own_way() {
        let machine = FakeMachine::new();
        let link = |from: &str, to: &str| machine.link(from, &format!("../../devices/{to}"));
        link("/sys/fs/btrfs/1-2/devices/sda", "ata1/block/sda");
        link("/sys/fs/btrfs/1-2/devices/sdb1", "ata2/block/sdb/sdb1");
        machine.write("/sys/fs/btrfs/features/raid56", "0\n");
        link("/sys/fs/bcachefs/3/dev-0/block", "ata3/block/sdc");
        link("/sys/fs/bcache/4/cache0", "ata4/block/sdd/bcache");
        link("/sys/fs/bcache/4/bdev0", "ata5/block/sde/bcache");
        let found = |name| {
            let shared = shared(&machine.tree(), name).into_iter();
            Vec::from_iter(shared.map(|shared| (shared.name, shared.devices.join(" "))))
        };
        let one = |name: &str, devices: &str| vec![(name.to_string(), devices.to_string())];
        assert_eq!(found("sdb1"), one("btrfs 1-2", "sda sdb1"));
        assert_eq!(found("sdc"), one("bcachefs 3", "sdc"));
        assert_eq!(found("sdd"), one("bcache 4", "sde sdd"));
        assert!(found("sdb").is_empty(), "its partition is another device");
    }

    #[test]
    fn a_part_in_zfs_is_known_unknown_or_none() {
        let machine = FakeMachine::new();
        machine.write("/sys/class/block/sda/dev", "8:0\n");
        assert_eq!(zfs(&machine.tree(), "sda"), Part::No, "no pool");
        machine.write("/proc/spl/kstat/zfs/tank/state", "ONLINE\n");
        assert_eq!(zfs(&machine.tree(), "sda"), Part::Unknown);
        let cases = [
            ("E:ID_FS_TYPE=zfs_member", Part::Member),
            ("E:ID_FS_TYPE=ext4", Part::No),
            ("E:ID_PART_TABLE_TYPE=gpt", Part::No),
            ("E:ID_MODEL=disk", Part::Unknown),
        ];
        for (record, expected) in cases {
            machine.write("/run/udev/data/b8:0", format!("{record}\n"));
            assert_eq!(zfs(&machine.tree(), "sda"), expected, "{record}");
        }
    }
}
