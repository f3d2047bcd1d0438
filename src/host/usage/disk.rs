//! What uses a disk.

use super::reason::{Reason, Use};
use crate::machine::{
    Part, Tree, exports, f2fs, is_journal, mount_points, shared_filesystems, zfs,
};

/// Returns what uses a disk, a partition, or what is built on them; `chain` says how it was come to.
pub(super) fn uses(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let mounted = mount_points(tree, name).into_iter();
    let mounted =
        mounted.map(|point| Use::new(Reason::Mount, format!("{chain} is mounted on {point}")));
    let mut uses: Vec<_> = mounted.collect();
    // The table of mounts tells it already of the device that the file system is called by.
    if uses.is_empty() {
        uses.extend(of_shared(tree, name, chain));
    }
    uses.extend(is_swap(tree, name).then(|| Use::new(Reason::Swap, format!("{chain} is swap"))));
    uses.extend(exported(tree, name, chain));
    // The way through holders is bounded, whatever the files say.
    if chain.len() > 256 {
        return uses;
    }
    for holder in holders(tree, name) {
        let called = tree.text(&format!("/sys/class/block/{holder}/dm/name"));
        let called = called.map_or(holder.clone(), |called| format!("{holder} ({called})"));
        uses.push(Use::new(
            Reason::Holder,
            format!("{chain} is a part of {called}"),
        ));
        uses.extend(self::uses(tree, &holder, &format!("{chain} > {called}")));
    }
    uses
}

/// Returns the targets by which the kernel gives a disk, or a controller, to other machines.
pub(super) fn exported(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let targets = exports(tree, name).into_iter();
    let told = targets.map(|at| format!("{chain} is given to other machines ({at})"));
    told.map(|what| Use::new(Reason::Holder, what)).collect()
}

/// Returns what is built on a disk: by its list, and loops, which are on no list.
fn holders(tree: &Tree, name: &str) -> Vec<String> {
    let mut holders = tree.names(&format!("/sys/class/block/{name}/holders"));
    let loops = tree.names("/sys/class/block").into_iter();
    let backed = |holder: &String| {
        let file = tree.text(&format!("/sys/class/block/{holder}/loop/backing_file"));
        file.is_some_and(|file| file == format!("/dev/{name}"))
    };
    holders.extend(loops.filter(backed));
    holders
}

fn is_swap(tree: &Tree, name: &str) -> bool {
    let swaps = tree.text("/proc/swaps").unwrap_or_default();
    let node = format!("/dev/{name}");
    let mut places = swaps.lines().map(|line| line.split_whitespace().next());
    places.any(|place| place == Some(&node))
}

/// Returns the mounts that are told under another device's name, or under none.
fn of_shared(tree: &Tree, name: &str, chain: &str) -> Vec<Use> {
    let shared = shared_filesystems(tree, name).into_iter();
    let mut words: Vec<_> = shared
        .map(|shared| {
            let points = shared
                .devices
                .iter()
                .flat_map(|one| mount_points(tree, one));
            let points: Vec<_> = points.collect();
            let place = match points.is_empty() {
                true => "in use somewhere".to_string(),
                false => format!("mounted on {}", points.join(", ")),
            };
            format!("{chain} is a device of {}, which is {place}", shared.name)
        })
        .collect();
    if is_journal(tree, name) {
        words.push(format!(
            "{chain} holds the journal of a file system that is mounted"
        ));
    }
    match zfs(tree, name) {
        Part::No => {}
        Part::Member => words.push(format!(
            "{chain} has the label of a ZFS pool, and ZFS has pools imported"
        )),
        Part::Unknown => words.push(format!(
            "ZFS has pools imported, and whether {chain} is in one can't be told; `zpool status` can"
        )),
    }
    if f2fs(tree, name) == Part::Unknown {
        words.push(format!(
            "an F2FS is mounted, and whether {chain} is a further device of it can't be told: nothing that has a label is on it"
        ));
    }
    let words = words.into_iter();
    words.map(|what| Use::new(Reason::Mount, what)).collect()
}
