//! What `devices`, `doctor` and `bind --dry-run` print about machines as they occur, kept in tests/data/host.
//!
//! `HWPOOL_BLESS=1 cargo test --test host golden` writes the files anew; look at the difference before you keep it.

use std::path::Path;

use super::cli::hwpool;
use super::machine::{BMU, Config, Machine, PORT, Spec, bmu, home, nic, port};

/// Runs the three commands, as text and as JSON, and compares them with what is kept under `name`.
fn golden(name: &str, machine: &Machine) {
    let commands: [&[&str]; 3] = [&["devices"], &["doctor", BMU], &["bind", BMU, "--dry-run"]];
    for ending in ["txt", "json"] {
        let mut all = String::new();
        for command in commands {
            let form: &[&str] = if ending == "json" { &["--json"] } else { &[] };
            let output = hwpool(machine, &[command, form].concat());
            assert!(!output.err.contains("panicked"), "{}", output.err);
            all += &format!(
                "$ hwpool {}\n{}{}",
                command.join(" "),
                output.out,
                output.err
            );
            all += &format!("exit status {}\n\n", output.code);
        }
        assert!(!all.contains(machine.root()), "{name}: {all}");
        compare(&format!("{name}.{ending}"), &all);
    }
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/host")
        .join(name);
    if std::env::var_os("HWPOOL_BLESS").is_some() {
        std::fs::write(&path, found).expect("a file");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = kept
        .lines()
        .zip(found.lines())
        .find(|(kept, found)| kept != found);
    assert!(
        kept == found,
        "{name} differs, first in {difference:?}; all of it:\n{found}"
    );
}

/// A machine with the board as `change` makes it.
fn with(change: impl FnOnce(&mut Spec)) -> (Machine, Spec) {
    let mut spec = bmu();
    change(&mut spec);
    let machine = Machine::new();
    machine.add(&spec);
    (machine, spec)
}

/// All is well, and alice may use the nodes.
#[test]
fn golden_ready() {
    let (machine, _) = with(|_| {});
    machine.node("/dev/vfio/7", 0o666);
    golden("ready", &machine);
}

/// The other function of the board is a network controller in use; the board's functions are in one group.
#[test]
fn golden_multi_function_group() {
    let (machine, _) = with(|spec| spec.driver = Some("e1000e"));
    let second = nic("0000:01:00.1", "igb", 7);
    machine.add(&second);
    machine.interface(&second, "eth2", true);
    machine.add(&Spec {
        driver: Some("snd"),
        bdf: "0000:01:00.2",
        ..bmu()
    });
    golden("multi-function-group", &machine);
}

#[test]
fn golden_nic_with_route() {
    let (machine, spec) = with(|spec| *spec = nic(BMU, "e1000e", 7));
    machine.interface(&spec, "eth1", true);
    let address = u32::from_ne_bytes([192, 0, 2, 0]);
    let mask = u32::from_ne_bytes([255, 255, 255, 0]);
    let table = format!(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
         eth1 00000000 00000000 0003 0 0 0 00000000 0 0 0\n\
         eth1 {address:08X} 00000000 0001 0 0 0 {mask:08X} 0 0 0\n"
    );
    machine.file("/proc/net/route", table);
    golden("nic-with-route", &machine);
}

#[test]
fn golden_disk_with_volume() {
    let (machine, spec) = with(|spec| {
        spec.class = 0x01_0802;
        spec.ids = (0x144d, 0xa808);
        spec.driver = Some("nvme");
    });
    machine.disk(&spec, "nvme/nvme0/nvme0n1", "259:0");
    machine.disk(&spec, "nvme/nvme0/nvme0n1/nvme0n1p2", "259:2");
    machine.mapped(
        &spec,
        "nvme/nvme0/nvme0n1/nvme0n1p2",
        "dm-0",
        "vg-root",
        "253:0",
    );
    machine.file(
        "/proc/self/mountinfo",
        "22 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n",
    );
    golden("disk-with-volume", &machine);
}

#[test]
fn golden_no_iommu() {
    let machine = Machine::new();
    std::fs::remove_dir_all(machine.path("/sys/kernel/iommu_groups")).unwrap();
    std::fs::remove_dir_all(machine.path("/sys/class/iommu")).unwrap();
    std::fs::remove_file(
        machine
            .path("/sys/devices/pci0000:00")
            .join(PORT)
            .join("iommu_group"),
    )
    .unwrap();
    machine.file("/proc/cmdline", "root=/dev/vda1 quiet\n");
    machine.add(&Spec {
        driver: None,
        group: None,
        ..bmu()
    });
    golden("no-iommu", &machine);
}

#[test]
fn golden_no_flr() {
    let (machine, _) = with(|spec| {
        spec.config.flr = false;
        spec.reset = "bus";
    });
    machine.node("/dev/vfio/7", 0o666);
    golden("no-flr", &machine);
}

#[test]
fn golden_vf_of_vfio_pf() {
    let (machine, spec) = with(|spec| {
        // The registers of a virtual function read zero.
        spec.config.bars = [0; 6];
        spec.link = None;
    });
    machine.node("/dev/vfio/7", 0o666);
    let physical = Spec {
        bdf: "0000:01:00.7",
        group: Some(8),
        ..bmu()
    };
    machine.add(&physical);
    machine.file(&format!("{}/sriov_numvfs", home(&physical)), "1\n");
    machine.file(&format!("{}/sriov_totalvfs", home(&physical)), "4\n");
    machine.link(&format!("{}/physfn", home(&spec)), &home(&physical));
    golden("vf-of-vfio-pf", &machine);
}

/// One BAR got no room, another lost its address when the board was programmed again.
#[test]
fn golden_bar_unassigned() {
    let (machine, _) = with(|spec| {
        spec.resource = "\
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x00000000f0100000 0x00000000f013ffff 0x0000000000140204
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000fff 0x0000000020040200
0x0000000000000000 0x0000000000000000 0x0000000000000000
";
        spec.config.bars = [0x4, 0, 0x4, 0, 0, 0];
    });
    machine.node("/dev/vfio/7", 0o666);
    golden("bar-unassigned", &machine);
}

#[test]
fn golden_link_narrow() {
    let (machine, spec) =
        with(|spec| spec.link = Some(["2.5 GT/s PCIe", "1", "8.0 GT/s PCIe", "8"]));
    machine.node("/dev/vfio/7", 0o666);
    let counts = "RxErr 12\nBadTLP 3\nTOTAL_ERR_COR 15\n";
    machine.file(&format!("{}/aer_dev_correctable", home(&spec)), counts);
    golden("link-narrow", &machine);
}

/// A user without rights on a machine that is set up badly in many ways at once.
#[test]
fn golden_unprivileged() {
    let (machine, spec) = with(|_| {});
    machine.limits("65536", "64");
    machine.process(812, "testpmd", "/dev/vfio/7");
    machine.file("/sys/fs/cgroup/user/memory.max", "16777216\n");
    machine.file(
        "/sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    machine.file(
        "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
        "Y\n",
    );
    machine.file(
        "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
        "Y\n",
    );
    machine.file(
        "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
        "16\n",
    );
    machine.file(&format!("{}/numa_node", home(&spec)), "-1\n");
    let visible = std::fs::read(machine.path(&format!("{}/config", home(&spec)))).unwrap();
    machine.file(&format!("{}/config", home(&spec)), &visible[..64]);
    golden("unprivileged", &machine);
}

/// The port above the board does not keep it apart from its neighbour behind the same switch.
#[test]
fn golden_no_acs() {
    let machine = Machine::new();
    let switch = port("0000:02:00.0", 7, None);
    machine.add(&switch);
    let above: &'static [&'static str] = &["0000:02:00.0"];
    machine.add(&Spec {
        above,
        driver: Some("e1000e"),
        ..bmu()
    });
    machine.add(&Spec {
        above,
        ..nic("0000:03:00.0", "igb", 7)
    });
    golden("no-acs", &machine);
}

/// The board does not answer any more, as when it is being programmed.
#[test]
fn golden_gone() {
    let (machine, spec) = with(|_| {});
    machine.node("/dev/vfio/7", 0o666);
    machine.file(&format!("{}/config", home(&spec)), [0xff; 4096]);
    golden("gone", &machine);
}

/// Files that say nothing sensible lead to no panic.
#[test]
fn files_of_nonsense_are_survived() {
    let (machine, spec) = with(|_| {});
    let nonsense = [
        "",
        "\n",
        "x",
        "0x",
        "-1",
        "18446744073709551616",
        "0xffffffffffffffff",
        "a b c d e f g h i j k",
        "[",
        "(null)",
    ];
    let mut paths: Vec<_> = machine
        .contents()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    paths.retain(|path| {
        machine
            .path(path)
            .symlink_metadata()
            .is_ok_and(|m| m.is_file())
            && !path.ends_with("vendor")
            && !path.ends_with("device")
            && !path.ends_with("class")
    });
    for (index, path) in paths.iter().enumerate() {
        let kept = std::fs::read(machine.path(path)).unwrap();
        machine.file(path, nonsense[index % nonsense.len()]);
        examine(&machine);
        machine.file(path, [0xffu8; 256]);
        examine(&machine);
        machine.file(path, kept);
    }
    let at = format!("{}/config", home(&spec));
    for length in [0, 1, 63, 64, 65, 130, 256, 257, 4095, 4096] {
        for byte in [0x00u8, 0x10, 0x40, 0xff] {
            machine.file(&at, vec![byte; length]);
            examine(&machine);
        }
    }
    let _: Config = spec.config;
}

fn examine(machine: &Machine) {
    use hwpool::host::doctor::{Question, examine};
    let device = BMU.parse().ok();
    let tree = machine.tree();
    examine(
        &tree,
        Question {
            device,
            pin: u64::MAX,
        },
    )
    .expect("the function is there");
    examine(&tree, Question { device, pin: 0 }).expect("the function is there");
}
