//! Disks that the kernel gives to other machines: targets of NVMe and of SCSI, by what configfs says of them. The kernel lists
//! them as nobody's holders.

use super::Tree;
use super::mounts::is_node;

const NVME: &str = "/sys/kernel/config/nvmet/subsystems";
const SCSI: &str = "/sys/kernel/config/target/core";

/// Returns the targets that give away the device with the node `/dev/NAME`.
pub(crate) fn exports(tree: &Tree, name: &str) -> Vec<String> {
    let places = nvme(tree).into_iter().chain(scsi(tree));
    let ours = places.filter(|(at, file)| {
        let node = tree.text(&format!("{at}/{file}"));
        let is_off = tree.text(&format!("{at}/enable")).as_deref() == Some("0");
        !is_off && node.is_some_and(|node| is_node(tree, &node, name))
    });
    ours.map(|(at, _)| at).collect()
}

/// Namespaces of a disk, or a whole controller that is passed through; each with the file that names its node.
fn nvme(tree: &Tree) -> Vec<(String, &'static str)> {
    let file = "device_path";
    let subsystems = tree.names(NVME).into_iter();
    let places = subsystems.flat_map(|name| {
        let at = format!("{NVME}/{name}");
        let numbers = tree.names(&format!("{at}/namespaces")).into_iter();
        let passed = std::iter::once(format!("{at}/passthru"));
        let namespaces = numbers.map(|number| format!("{at}/namespaces/{number}"));
        Vec::from_iter(namespaces.chain(passed))
    });
    places.map(|at| (at, file)).collect()
}

/// Backstores of every kind: `iblock_0/NAME`, and those that files and whole devices have.
fn scsi(tree: &Tree) -> Vec<(String, &'static str)> {
    let kinds = tree.names(SCSI).into_iter();
    let places = kinds.flat_map(|kind| {
        let at = format!("{SCSI}/{kind}");
        let names = tree.names(&at).into_iter();
        Vec::from_iter(names.map(|name| format!("{at}/{name}")))
    });
    places.map(|at| (at, "udev_path")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn each_kind_of_target_names_its_node() {
        let machine = FakeMachine::new();
        machine.link("/dev/disk/by-id/b", "../../sdb");
        let space = format!("{NVME}/pool/namespaces/1");
        machine.write(&format!("{space}/device_path"), "/dev/nvme0n1\n");
        machine.write(&format!("{space}/enable"), "1\n");
        let passed = format!("{NVME}/pool/passthru");
        machine.write(&format!("{passed}/device_path"), "/dev/nvme1\n");
        let block = format!("{SCSI}/iblock_0/data");
        machine.write(&format!("{block}/udev_path"), "/dev/disk/by-id/b\n");
        let found = |name| exports(&machine.tree(), name);
        assert_eq!(found("nvme0n1"), std::slice::from_ref(&space));
        assert_eq!(found("nvme1"), [passed]);
        assert_eq!(found("sdb"), [block]);
        assert!(found("nvme0").is_empty());
        machine.write(&format!("{space}/enable"), "0\n");
        assert!(found("nvme0n1").is_empty());
    }
}
