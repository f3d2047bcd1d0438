//! Each reason not to take a function: named, before anything is changed, and overridden by its own name alone.

use hwpool::host::bind::{BindError, Journals, Plan, Request};
use hwpool::host::{Openers, Reason, Usage};

use super::machine::{BMU, Machine, Spec, bmu, home, nic};

/// A machine with the board on a driver of its own.
fn with(spec: &Spec) -> Machine {
    let machine = Machine::new();
    machine.add(spec);
    machine
}

/// Plans to take the board, alone and for nobody else.
pub(crate) fn plan(machine: &Machine, overrides: &[Reason]) -> Result<Plan, BindError> {
    let request = Request {
        device: BMU.parse().expect("an address"),
        driver: "vfio-pci".into(),
        owner: None,
        whole_group: false,
        overrides: overrides.to_vec(),
    };
    Plan::bind(
        &machine.tree(),
        &Journals::at(&machine.path("/run/hwpool")),
        &request,
    )
}

/// Sees that exactly `expected` speak against binding, that each override takes away its own, and that nothing
/// happens to a plan with an objection. Returns what they say.
fn refused(machine: &Machine, expected: &[Reason]) -> Vec<String> {
    let found = plan(machine, &[]).expect("a plan");
    let mut reasons: Vec<_> = found.objections.iter().map(|one| one.reason).collect();
    reasons.sort();
    let words: Vec<_> = found
        .objections
        .iter()
        .map(|one| one.what.clone())
        .collect();
    reasons.dedup();
    assert_eq!(reasons, expected, "{words:?}");
    for reason in expected {
        let rest = plan(machine, &[*reason]).expect("a plan").objections;
        assert!(rest.iter().all(|one| one.reason != *reason));
        assert_eq!(
            rest.is_empty(),
            expected.len() == 1,
            "{reason}: only itself"
        );
    }
    assert!(
        plan(machine, expected)
            .expect("a plan")
            .objections
            .is_empty()
    );
    nothing_happens(machine, &found);
    words
}

fn nothing_happens(machine: &Machine, plan: &Plan) {
    struct Untouched;
    impl hwpool::host::Writer for Untouched {
        fn write(&mut self, path: &std::path::Path, _: &str) -> std::io::Result<()> {
            panic!("{} is written", path.display());
        }
        fn own(&mut self, path: &std::path::Path, _: u32) -> std::io::Result<()> {
            panic!("{} is given away", path.display());
        }
    }
    let journals = Journals::at(&machine.path("/run/hwpool"));
    let lock = journals.lock().expect("is free");
    let result = plan.execute(&machine.tree(), &mut Untouched, &journals, &lock);
    assert!(matches!(result, Err(BindError::Refused { .. })));
    assert!(journals.all().expect("readable").is_empty());
}

#[test]
fn an_idle_function_is_not_refused() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    // Link-local and multicast routes come with every interface.
    machine.file(
        "/proc/net/ipv6_route",
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n\
         ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n",
    );
    refused_none(&machine);
}

fn refused_none(machine: &Machine) {
    let plan = plan(machine, &[]).expect("a plan");
    assert!(plan.objections.is_empty(), "{:?}", plan.objections);
}

#[test]
fn a_route_and_a_carrier() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", true);
    machine.file("/proc/net/route", route("eth1"));
    let words = refused(&machine, &[Reason::Route, Reason::Carrier]);
    assert!(
        words
            .iter()
            .any(|w| w.contains("192.0.2.0/24 goes through eth1")),
        "{words:?}"
    );
}

/// A table with a route to 192.0.2.0/24, in the CPU's order of bytes.
fn route(interface: &str) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    format!(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n{interface} {} 00000000 0001 0 0 0 {} 0 0 0\n",
        word([192, 0, 2, 0]),
        word([255, 255, 255, 0])
    )
}

#[test]
fn an_ipv6_route() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    machine.file(
        "/proc/net/ipv6_route",
        "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n",
    );
    let words = refused(&machine, &[Reason::Route]);
    assert!(words[0].contains("2001:db8::/32"), "{words:?}");
}

/// The kernel lists the routes of other tables without their interfaces.
#[test]
fn a_route_in_another_table() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    machine.file(
        "/proc/net/fib_trie",
        "Id 100:\n  +-- 10.0.0.0/8 2 0 2\n     |-- 10.0.0.0\n        /8 link UNICAST\nMain:\n",
    );
    let words = refused(&machine, &[Reason::Route]);
    assert!(words[0].contains("table 100"), "{words:?}");
    let flags = |flags: &str| machine.file("/sys/class/net/eth1/flags", format!("{flags}\n"));
    flags("0x1003");
    refused(&machine, &[Reason::Route]);
    flags("0x1002");
    refused_none(&machine);
}

#[test]
fn an_interface_that_carries_the_kernels_messages() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    let at = "/sys/kernel/config/netconsole/log";
    machine.file(&format!("{at}/dev_name"), "eth1\n");
    machine.file(&format!("{at}/enabled"), "0\n");
    refused_none(&machine);
    machine.file(&format!("{at}/enabled"), "1\n");
    refused(&machine, &[Reason::Console]);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    machine.file(
        "/proc/cmdline",
        "netconsole=@10.0.0.1/eth1,9353@10.0.0.2/\n",
    );
    refused(&machine, &[Reason::Console]);
    machine.file(
        "/proc/cmdline",
        "netconsole=@10.0.0.1/eth0,9353@10.0.0.2/\n",
    );
    refused_none(&machine);
}

#[test]
fn a_disk_that_other_machines_are_given() {
    let nvme = "/sys/kernel/config/nvmet/subsystems/pool/namespaces/1/device_path";
    let scsi = "/sys/kernel/config/target/core/iblock_0/data/udev_path";
    for file in [nvme, scsi] {
        let machine = with_disk();
        machine.file(file, "/dev/nvme0n2\n");
        refused_none(&machine);
        machine.file(file, "/dev/nvme0n1\n");
        let words = refused(&machine, &[Reason::Holder]);
        assert!(words[0].contains("other machines"), "{words:?}");
    }
}

#[test]
fn a_disk_that_may_be_a_further_one_of_an_f2fs() {
    let machine = with_disk();
    machine.file("/sys/fs/f2fs/features/casefold", "supported\n");
    refused_none(&machine);
    machine.file("/sys/class/block/sda1/dev", "8:1\n");
    machine.file("/sys/fs/f2fs/sda1/features", "\n");
    let words = refused(&machine, &[Reason::Mount]);
    assert!(words[0].contains("can't be told"), "{words:?}");
    machine.file("/run/udev/data/b259:0", "E:ID_FS_TYPE=ext4\n");
    refused_none(&machine);
}

#[test]
fn a_part_of_a_bond_with_the_route() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    machine.file("/sys/devices/virtual/net/bond0/carrier", "1\n");
    machine.link("/sys/class/net/bond0", "/sys/devices/virtual/net/bond0");
    machine.link(
        &format!("{}/net/eth1/upper_bond0", home(&spec)),
        "/sys/devices/virtual/net/bond0",
    );
    machine.file("/proc/net/route", route("bond0"));
    refused(&machine, &[Reason::Route, Reason::Holder]);
}

#[test]
fn a_route_over_whatever_is_above() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", false);
    let mut below = format!("{}/net/eth1", home(&spec));
    for upper in ["bond0", "bond0.5", "br0"] {
        let at = format!("/sys/devices/virtual/net/{upper}");
        machine.link(&format!("/sys/class/net/{upper}"), &at);
        machine.link(&format!("{below}/upper_{upper}"), &at);
        below = at;
    }
    // A circle comes to an end.
    machine.link(
        &format!("{below}/upper_bond0"),
        "/sys/devices/virtual/net/bond0",
    );
    machine.file("/proc/net/route", route("br0"));
    let words = refused(&machine, &[Reason::Route, Reason::Holder]);
    assert!(words[0].contains("goes through br0"), "{words:?}");
}

#[test]
fn an_interface_in_another_network_namespace() {
    let mounted = "40 1 0:4 net:[4026532001] /run/netns/blue rw - nsfs nsfs rw\n";
    let machine = with(&nic(BMU, "e1000e", 7));
    refused_none(&machine);
    machine.file("/proc/1/mountinfo", mounted);
    refused(&machine, &[Reason::Namespace]);
    let machine = with(&nic(BMU, "e1000e", 7));
    machine.dangling("/proc/70/ns/net", "net:[4026532001]");
    refused(&machine, &[Reason::Namespace]);
    let machine = with(&nic(BMU, "e1000e", 7));
    machine.file("/proc/70/comm", "whose namespace may not be seen\n");
    refused(&machine, &[Reason::Namespace]);
    let spec = nic(BMU, "e1000e", 7);
    machine.interface(&spec, "eth1", false);
    refused_none(&machine);
}

#[test]
fn ranges_that_the_firmware_wants() {
    let machine = with(&nic(BMU, "e1000e", 7));
    let regions = |kind| {
        let text = format!("0x00000000bdd00000 0x00000000bddfffff {kind}\n");
        machine.file("/sys/kernel/iommu_groups/7/reserved_regions", text);
    };
    regions("direct-relaxable");
    refused_none(&machine);
    regions("direct");
    let words = refused(&machine, &[Reason::Reserved]);
    assert!(words[0].contains("0x00000000bdd00000"), "{words:?}");
    let request = Request {
        device: BMU.parse().expect("an address"),
        driver: "pci-stub".into(),
        owner: None,
        whole_group: false,
        overrides: Vec::new(),
    };
    let journals = Journals::at(&machine.path("/run/hwpool"));
    let stub = Plan::bind(&machine.tree(), &journals, &request).expect("a plan");
    assert!(stub.objections.is_empty(), "it concerns VFIO alone");
}

#[test]
fn what_the_kernel_itself_uses() {
    let spec = Spec {
        driver: Some("e1000e"),
        ..bmu()
    };
    let at = home(&spec);
    let cases: [(&str, &str, &str); 5] = [
        ("boot_vga", "1\n", "started with"),
        ("graphics/fb0/name", "", "framebuffer fb0"),
        ("tty/ttyS4/dev", "4:68\n", "port ttyS4"),
        (
            "/proc/cmdline",
            "earlycon=uart8250,mmio32,0xf0200000,115200\n",
            "earlycon",
        ),
        (
            "/proc/iomem",
            "f0000000-f0ffffff : PCI\n  f0100000-f01fffff : efifb\n",
            "efifb",
        ),
    ];
    for (file, text, words) in cases {
        let machine = with(&spec);
        machine.file("/sys/class/tty/console/active", "tty0 ttyS4\n");
        let path = match file.starts_with('/') {
            true => file.to_string(),
            false => format!("{at}/{file}"),
        };
        machine.file(&path, text);
        for class in ["graphics/fb0", "tty/ttyS4"] {
            if file.starts_with(class) {
                machine.link(&format!("/sys/class/{class}"), &format!("{at}/{class}"));
            }
        }
        let found = refused(&machine, &[Reason::Console]);
        assert!(found[0].contains(words), "{found:?}");
    }
    let machine = with(&spec);
    machine.file(&format!("{at}/boot_vga"), "0\n");
    machine.file(
        "/proc/cmdline",
        "console=ttyS0,115200 earlycon=uart8250,mmio32,0xf0201000\n",
    );
    machine.file(
        "/proc/iomem",
        "f0000000-f000ffff : nvme\nf0300000-f03fffff : efifb\n",
    );
    refused_none(&machine);
}

/// A display that VFIO has can be given back.
#[test]
fn what_lasts_speaks_against_taking_alone() {
    let machine = with(&bmu());
    machine.file("/proc/iomem", "f0000000-f0000fff : efifb\n");
    let regions = "0x00000000bdd00000 0x00000000bddfffff direct\n";
    machine.file("/sys/kernel/iommu_groups/7/reserved_regions", regions);
    let journals = Journals::at(&machine.path("/run/hwpool"));
    let device = BMU.parse().expect("an address");
    let plan = Plan::unbind(&machine.tree(), &journals, device, None, &[]).expect("a plan");
    assert!(!plan.steps.is_empty());
    assert!(plan.objections.is_empty(), "{:?}", plan.objections);
}

#[test]
fn functions_behind_one_that_is_no_bridge() {
    let spec = Spec {
        class: 0x01_0400,
        driver: Some("vmd"),
        ..bmu()
    };
    let machine = with(&spec);
    let at = format!("{}/pci10000:e0/10000:e0:01.0/10000:e1:00.0", home(&spec));
    let of_disk = [
        ("vendor", "0x144d"),
        ("device", "0xa808"),
        ("class", "0x010802"),
    ];
    for (file, text) in of_disk {
        machine.file(&format!("{at}/{file}"), format!("{text}\n"));
    }
    machine.link("/sys/bus/pci/devices/10000:e1:00.0", &at);
    let words = refused(&machine, &[Reason::Behind]);
    assert!(words[0].contains("10000:e1:00.0"), "{words:?}");
    machine.file(&format!("{at}/nvme/nvme0/nvme0n1/dev"), "259:0\n");
    machine.link(
        "/sys/class/block/nvme0n1",
        &format!("{at}/nvme/nvme0/nvme0n1"),
    );
    machine.file(
        "/proc/self/mountinfo",
        "30 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n",
    );
    let words = refused(&machine, &[Reason::Mount, Reason::Behind]);
    assert!(
        words.contains(&"10000:e1:00.0: nvme0n1 is mounted on /".to_string()),
        "{words:?}"
    );
}

fn disk() -> Spec {
    Spec {
        class: 0x01_0802,
        driver: Some("nvme"),
        ..bmu()
    }
}

#[test]
fn a_mounted_partition() {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine.disk(&disk(), "nvme/nvme0/nvme0n1/nvme0n1p1", "259:1");
    machine.file(
        "/proc/self/mountinfo",
        "30 1 259:1 / /data rw shared:1 - ext4 /dev/nvme0n1p1 rw\n",
    );
    let words = refused(&machine, &[Reason::Mount]);
    assert_eq!(words, ["nvme0n1p1 is mounted on /data"]);
}

#[test]
fn a_file_system_with_a_number_of_its_own_is_known_by_its_source() {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine.file(
        "/proc/1/mountinfo",
        "30 1 0:44 /sub /srv rw - btrfs /dev/nvme0n1 rw\n",
    );
    refused(&machine, &[Reason::Mount]);
}

/// A machine whose idle-looking disk is nvme0n1.
fn with_disk() -> Machine {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine
}

#[test]
fn the_second_disk_of_a_file_system() {
    let ours = format!("{}/nvme/nvme0/nvme0n1", home(&disk()));
    for member in [
        "/sys/fs/btrfs/12-34/devices/nvme0n1",
        "/sys/fs/bcachefs/12-34/dev-1/block",
    ] {
        let machine = with_disk();
        machine.link(member, &ours);
        let words = refused(&machine, &[Reason::Mount]);
        assert!(words[0].contains("in use somewhere"), "{words:?}");
        // The table names the first device only.
        let first = member.replace("nvme0n1", "sda").replace("dev-1", "dev-0");
        machine.link(&first, "/sys/devices/ata1/block/sda");
        machine.file(
            "/proc/self/mountinfo",
            "30 1 0:44 / /data rw - anyfs /dev/sda rw\n",
        );
        let words = refused(&machine, &[Reason::Mount]);
        assert!(
            words[0].contains("nvme0n1 is a device of") && words[0].contains("mounted on /data"),
            "{words:?}"
        );
    }
}

#[test]
fn a_journal_on_a_disk_of_its_own() {
    let machine = with_disk();
    machine.file("/proc/fs/jbd2/sda1-8/info", "");
    refused_none(&machine);
    machine.file("/proc/fs/jbd2/nvme0n1/info", "");
    let words = refused(&machine, &[Reason::Mount]);
    assert!(words[0].contains("journal"), "{words:?}");
    let machine = with_disk();
    machine.file(
        "/proc/self/mountinfo",
        "30 1 8:1 / /data rw - xfs /dev/sda1 rw,logdev=/dev/nvme0n1,noquota\n",
    );
    refused(&machine, &[Reason::Mount]);
}

#[test]
fn a_disk_that_may_be_in_a_zfs_pool() {
    let machine = with_disk();
    machine.file("/proc/spl/kstat/zfs/tank/state", "ONLINE\n");
    let words = refused(&machine, &[Reason::Mount]);
    assert!(words[0].contains("can't be told"), "{words:?}");
    machine.file("/run/udev/data/b259:0", "E:ID_FS_TYPE=zfs_member\n");
    let words = refused(&machine, &[Reason::Mount]);
    assert!(words[0].contains("label of a ZFS pool"), "{words:?}");
    machine.file("/run/udev/data/b259:0", "E:ID_FS_TYPE=ext4\n");
    refused_none(&machine);
}

#[test]
fn a_loop_on_the_disk() {
    let machine = with_disk();
    machine.file("/sys/class/block/loop0/loop/backing_file", "/dev/nvme0n1\n");
    machine.file("/sys/class/block/loop0/dev", "7:0\n");
    machine.file(
        "/proc/self/mountinfo",
        "30 1 7:0 / /data rw - ext4 /dev/loop0 rw\n",
    );
    refused(&machine, &[Reason::Mount, Reason::Holder]);
}

#[test]
fn a_volume_on_the_disk_with_swap_in_it() {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine.mapped(&disk(), "nvme/nvme0/nvme0n1", "dm-0", "vg-swap", "253:0");
    machine.file(
        "/proc/swaps",
        "Filename Type Size Used Priority\n/dev/dm-0 partition 100 0 -2\n",
    );
    let words = refused(&machine, &[Reason::Holder, Reason::Swap]);
    assert!(
        words.contains(&"nvme0n1 is a part of dm-0 (vg-swap)".to_string()),
        "{words:?}"
    );
    assert!(
        words.contains(&"nvme0n1 > dm-0 (vg-swap) is swap".to_string()),
        "{words:?}"
    );
}

#[test]
fn a_disk_with_several_paths_hangs_below_its_subsystem() {
    let machine = with(&disk());
    let controller = format!("{}/nvme/nvme0", home(&disk()));
    machine.file(&format!("{controller}/state"), "live\n");
    let at = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    machine.link("/sys/class/nvme-subsystem/nvme-subsys0", at);
    machine.link(&format!("{at}/nvme0"), &controller);
    machine.file(&format!("{at}/nvme0n1/dev"), "259:0\n");
    machine.link("/sys/class/block/nvme0n1", &format!("{at}/nvme0n1"));
    machine.file(
        "/proc/self/mountinfo",
        "30 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n",
    );
    refused(&machine, &[Reason::Mount]);
}

#[test]
fn holders_in_a_circle_come_to_an_end() {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine.link(
        &format!("{}/nvme/nvme0/nvme0n1/holders/nvme0n1", home(&disk())),
        "/sys/class/block/nvme0n1",
    );
    let words = refused(&machine, &[Reason::Holder]);
    assert!(words.len() < 100);
}

#[test]
fn an_open_node() {
    let machine = with(&disk());
    machine.disk(&disk(), "nvme/nvme0/nvme0n1", "259:0");
    machine.file(
        &format!("{}/nvme/nvme0/uevent", home(&disk())),
        "MAJOR=240\nDEVNAME=nvme0\n",
    );
    machine.link(
        "/sys/dev/char/240:0",
        &format!("{}/nvme/nvme0", home(&disk())),
    );
    machine.process(42, "nvme", "/dev/nvme0");
    machine.process(43, "mkfs", "/dev/nvme0n1");
    machine.process(44, "cat", "/dev/null");
    let words = refused(&machine, &[Reason::Open]);
    assert_eq!(
        words,
        [
            "process 42 (nvme) has /dev/nvme0 open",
            "process 43 (mkfs) has /dev/nvme0n1 open"
        ]
    );
}

/// Sees that the board is refused because of one process, who holds `file`.
fn held(machine: &Machine, file: &str) {
    let words = refused(machine, &[Reason::Open]);
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].contains(file), "{words:?}");
    assert!(words[0].contains("process 42 (poke)"), "{words:?}");
}

#[test]
fn every_file_by_which_a_process_holds_a_function() {
    let at = home(&bmu());
    let function = Spec {
        driver: Some("e1000e"),
        ..bmu()
    };
    let files = ["resource0", "resource2_wc", "config"].map(|name| format!("{at}/{name}"));
    for file in files.into_iter().chain(["/proc/bus/pci/01/00.0".into()]) {
        let machine = with(&function);
        machine.process(42, "poke", &file);
        held(&machine, &format!("{file} open"));
        let machine = with(&function);
        machine.mapping(42, "poke", &file, 0);
        held(&machine, &format!("{file} mapped"));
        // A function without a driver may be held as well.
        let machine = with(&Spec {
            driver: None,
            ..bmu()
        });
        machine.mapping(42, "poke", &file, 0);
        held(&machine, &format!("{file} mapped"));
    }
    let machine = with(&function);
    machine.process(42, "poke", &format!("{at}/uevent"));
    machine.process(43, "poke", &files_of_another());
    refused_none(&machine);
}

/// The port above is another function, though the board lies below it.
fn files_of_another() -> String {
    let at = home(&bmu());
    let (above, _) = at.rsplit_once('/').expect("a port above");
    format!("{above}/config")
}

#[test]
fn all_memory_shows_what_of_it_is_mapped() {
    let function = Spec {
        driver: Some("e1000e"),
        ..bmu()
    };
    let machine = with(&function);
    machine.mapping(42, "poke", "/dev/mem", 0xf013_f000);
    held(&machine, "/dev/mem mapped");
    let machine = with(&function);
    machine.mapping(42, "poke", "/dev/mem", 0xf014_0000);
    machine.process(43, "dmidecode", "/dev/mem");
    refused_none(&machine);
}

#[test]
fn nodes_that_are_mapped_and_devices_without_a_node() {
    let vfio = bmu();
    for (file, opened) in [("/dev/vfio/7", true), ("/dev/vfio/devices/vfio0", false)] {
        let machine = with(&vfio);
        machine.file(&format!("{}/vfio-dev/vfio0/dev", home(&vfio)), "511:0\n");
        match opened {
            true => machine.process(42, "poke", file),
            false => machine.mapping(42, "poke", file, 0),
        }
        assert_eq!(usage(&machine).len(), 1, "{file}");
    }
    let machine = with(&vfio);
    machine.process(42, "poke", "anon_inode:[vfio-device]");
    assert!(usage(&machine).is_empty(), "it may be any device's");
    let info = format!("pos: 0\nvfio-device-syspath: {}\n", home(&vfio));
    machine.file("/proc/42/fdinfo/3", info);
    assert_eq!(usage(&machine).len(), 1);
}

/// Returns the uses of the board.
fn usage(machine: &Machine) -> Vec<hwpool::host::Use> {
    let tree = machine.tree();
    let bdf = BMU.parse().expect("an address");
    let function = hwpool::host::Function::read(&tree, bdf).expect("the board");
    Usage::of(&tree, &function, &Openers::read(&tree)).uses
}

#[test]
fn a_group_that_would_not_be_viable() {
    let machine = with(&nic(BMU, "e1000e", 7));
    machine.add(&nic("0000:01:00.1", "igb", 7));
    let words = refused(&machine, &[Reason::Group]);
    assert!(
        words[0].contains("0000:01:00.1") && words[0].contains("igb"),
        "{words:?}"
    );
}

#[test]
fn a_group_with_nobody_else_in_the_way_is_viable() {
    let machine = with(&nic(BMU, "e1000e", 7));
    machine.add(&Spec {
        bdf: "0000:01:00.1",
        driver: Some("pci-stub"),
        ..bmu()
    });
    machine.add(&Spec {
        bdf: "0000:01:00.2",
        driver: None,
        ..bmu()
    });
    refused_none(&machine);
}

#[test]
fn a_sibling_in_use_is_not_taken_with_the_group() {
    let second = nic("0000:01:00.1", "igb", 7);
    let machine = with(&nic(BMU, "e1000e", 7));
    machine.add(&second);
    machine.interface(&second, "eth2", true);
    let request = Request {
        device: BMU.parse().expect("an address"),
        driver: "vfio-pci".into(),
        owner: None,
        whole_group: true,
        overrides: Vec::new(),
    };
    let journals = Journals::at(&machine.path("/run/hwpool"));
    let plan = Plan::bind(&machine.tree(), &journals, &request).expect("a plan");
    let [objection] = &plan.objections[..] else {
        panic!("{:?}", plan.objections);
    };
    assert_eq!(
        (objection.bdf.to_string().as_str(), objection.reason),
        ("0000:01:00.1", Reason::Carrier)
    );
}

#[test]
fn no_iommu() {
    let machine = with(&Spec {
        driver: Some("e1000e"),
        group: None,
        ..bmu()
    });
    refused(&machine, &[Reason::NoIommu]);
}

#[test]
fn virtual_functions_that_are_on() {
    let machine = with(&nic(BMU, "ixgbe", 7));
    machine.file(&format!("/sys/bus/pci/devices/{BMU}/sriov_numvfs"), "3\n");
    refused(&machine, &[Reason::Vfs]);
}

#[test]
fn what_somebody_has_open_is_not_given_back() {
    let machine = with(&bmu());
    machine.process(99, "testpmd", "/dev/vfio/7");
    let journals = Journals::at(&machine.path("/run/hwpool"));
    machine.driver("e1000e");
    let device = BMU.parse().expect("an address");
    let plan = Plan::unbind(&machine.tree(), &journals, device, None, &[]).expect("a plan");
    assert_eq!(plan.objections.len(), 1);
    assert!(plan.objections[0].what.contains("process 99 (testpmd)"));
}

#[test]
fn a_driver_that_is_not_there_is_found_out_first() {
    let machine = with(&nic(BMU, "e1000e", 7));
    std::fs::remove_dir_all(machine.path("/sys/bus/pci/drivers/vfio-pci")).unwrap();
    assert!(matches!(
        plan(&machine, &[]),
        Err(BindError::NoDriver { .. })
    ));
}

#[test]
fn what_is_behind_a_bridge_is_not_the_bridges() {
    let spec = nic(BMU, "e1000e", 7);
    let machine = with(&spec);
    machine.interface(&spec, "eth1", true);
    let tree = machine.tree();
    let openers = Openers::read(&tree);
    let port = super::machine::PORT.parse().expect("an address");
    let port = hwpool::host::Function::read(&tree, port).expect("the port");
    assert!(Usage::of(&tree, &port, &openers).interfaces.is_empty());
}
