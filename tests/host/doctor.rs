//! What `doctor` says of machines on which one thing is not as it should be: the verdict, a true cause, the remedy.

use hwpool::host::doctor::{Question, Row, Verdict, examine};

use super::machine::{BMU, Machine, PORT, Spec, bmu, home, nic, port};

/// Runs all checks for the board, or for the machine alone where there is none, and returns one row.
fn row(machine: &Machine, id: &str) -> Row {
    let tree = machine.tree();
    let is_there = machine
        .path(&format!("/sys/bus/pci/devices/{BMU}"))
        .exists();
    let question = Question {
        device: is_there.then(|| BMU.parse().expect("an address")),
        pin: 64 << 20,
    };
    let rows = examine(&tree, question).expect("the function is there");
    let mut rows = rows.into_iter().filter(|row| row.id == id);
    rows.next().unwrap_or_else(|| panic!("a row {id}"))
}

/// Expects a verdict, and words in the evidence, the cause and the remedy of a row.
fn expect(machine: &Machine, id: &str, verdict: Verdict, words: &[&str]) {
    let row = row(machine, id);
    let text = format!("{row:?}");
    assert_eq!(row.verdict, verdict, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}`: {text}");
    }
    let needs_remedy = matches!(verdict, Verdict::Warn | Verdict::Block);
    assert_eq!(
        needs_remedy,
        row.cause.is_some() && !row.remedy.is_empty(),
        "{text}"
    );
}

fn ready() -> Machine {
    let machine = Machine::new();
    machine.add(&bmu());
    machine.node("/dev/vfio/7", 0o666);
    machine
}

/// A machine without a group, whose firmware has these ACPI tables.
fn without_iommu(tables: &[&str], command_line: &str) -> Machine {
    let machine = Machine::new();
    std::fs::remove_dir_all(machine.path("/sys/kernel/iommu_groups")).expect("groups");
    std::fs::remove_dir_all(machine.path("/sys/class/iommu")).expect("units");
    for table in tables {
        machine.file(&format!("/sys/firmware/acpi/tables/{table}"), "");
    }
    machine.file("/proc/cmdline", command_line);
    machine
}

#[test]
fn a_word_for_the_kernel_that_is_missing_is_told_from_firmware_that_offers_nothing() {
    let block = |tables: &[&str], line, words: &[&str]| {
        expect(&without_iommu(tables, line), "iommu", Verdict::Block, words);
    };
    block(
        &["APIC", "DMAR"],
        "quiet",
        &[
            "VT-d (ACPI table DMAR)",
            "wants to be told",
            "add intel_iommu=on",
        ],
    );
    block(
        &["DMAR"],
        "intel_iommu=on",
        &["built without the driver", "dmesg"],
    );
    block(
        &["DMAR"],
        "intel_iommu=off",
        &[
            "switches the IOMMU off: intel_iommu=off",
            "take intel_iommu=off off",
        ],
    );
    block(&["IVRS"], "", &["AMD-Vi", "dmesg"]);
    block(
        &["APIC", "FACP"],
        "intel_iommu=on",
        &["switched off in the firmware", "alone does not help"],
    );
    let guest = without_iommu(&["APIC"], "");
    guest.file("/proc/cpuinfo", "flags : fpu hypervisor lahf_lm\n");
    expect(
        &guest,
        "iommu",
        Verdict::Block,
        &["given no IOMMU", "-device intel-iommu"],
    );
    let remedies = row(&without_iommu(&["APIC"], ""), "iommu").remedy;
    assert!(
        !format!("{remedies:?}").contains("intel_iommu=on"),
        "{remedies:?}"
    );
}

#[test]
fn passthrough_hinders_nobody() {
    let machine = ready();
    machine.file("/proc/cmdline", "iommu=pt");
    machine.file("/sys/kernel/iommu_groups/7/type", "identity\n");
    expect(&machine, "iommu", Verdict::Ok, &["command line: iommu=pt"]);
    expect(&machine, "group", Verdict::Ok, &["translated on VFIO"]);
}

#[test]
fn interrupts_that_are_not_remapped_block() {
    let machine = ready();
    machine.file(
        "/proc/interrupts",
        " 1: 0 IO-APIC 1-edge i8042\n24: 0 PCI-MSI 4-edge eth0\n",
    );
    let id = "interrupt-remapping";
    expect(&machine, id, Verdict::Block, &["EPERM", "intremap=on"]);
    let parameter = "/sys/module/iommufd/parameters/allow_unsafe_interrupts";
    machine.file(parameter, "Y\n");
    expect(
        &machine,
        id,
        Verdict::Warn,
        &["any interrupt", "echo N > /sys/module/iommufd"],
    );
    machine.file(parameter, "N\n");
    machine.file("/proc/interrupts", "");
    expect(&machine, id, Verdict::Unknown, &[]);
}

#[test]
fn lockdown_is_no_hindrance_to_vfio() {
    let machine = ready();
    machine.file(
        "/sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    expect(&machine, "lockdown", Verdict::Ok, &["no BAR can be mapped"]);
}

#[test]
fn a_limit_is_raised_by_the_shell_only_as_far_as_the_hard_one() {
    let machine = ready();
    let limits = |soft: &str, hard: &str| {
        machine.file(
            "/proc/self/limits",
            format!("Max locked memory {soft} {hard} bytes\nMax open files 16 {hard} files\n"),
        );
    };
    limits("65536", "unlimited");
    expect(
        &machine,
        "memlock",
        Verdict::Block,
        &["64 KiB (hard limit unlimited)", "ulimit -l 65536"],
    );
    expect(&machine, "nofile", Verdict::Warn, &["ulimit -n 96"]);
    limits("16", "16");
    let remedy = format!("{:?}", row(&machine, "memlock").remedy);
    assert!(
        !remedy.contains("ulimit -l") && remedy.contains("LimitMEMLOCK=65536K"),
        "{remedy}"
    );
    assert!(!format!("{:?}", row(&machine, "nofile").remedy).contains("ulimit"));
}

#[test]
fn capabilities_of_a_user_namespace_lock_no_memory_and_open_no_foreign_node() {
    let machine = ready();
    machine.limits("65536", "1024");
    machine.status(0, 0, 0x1ff_ffff_ffff);
    expect(&machine, "memlock", Verdict::Ok, &["no limit holds"]);
    machine.file("/proc/self/uid_map", "0 100000 65536\n");
    expect(
        &machine,
        "memlock",
        Verdict::Block,
        &["does not count in a user namespace"],
    );
}

/// In a container sysfs shows the function and its group, and /dev has only the nodes that it was given.
#[test]
fn nodes_that_a_container_was_not_given_block() {
    let machine = ready();
    std::fs::remove_file(machine.path("/dev/vfio/7")).expect("a node");
    expect(
        &machine,
        "nodes",
        Verdict::Block,
        &["/dev/vfio/7", "--device /dev/vfio/GROUP"],
    );
    let machine = ready();
    std::fs::remove_file(machine.path("/dev/vfio/vfio")).expect("a node");
    expect(
        &machine,
        "nodes",
        Verdict::Block,
        &["--device /dev/vfio/vfio"],
    );
}

#[test]
fn each_way_in_takes_both_of_its_nodes() {
    let machine = ready();
    machine.node("/dev/vfio/vfio", 0o600);
    expect(
        &machine,
        "nodes",
        Verdict::Block,
        &["chmod 666 /dev/vfio/vfio"],
    );
    machine.node("/dev/iommu", 0o666);
    expect(
        &machine,
        "nodes",
        Verdict::Block,
        &["may not read and write /dev/vfio/vfio"],
    );
    machine.file(&format!("{}/vfio-dev/vfio0/dev", home(&bmu())), "511:0\n");
    machine.node("/dev/vfio/devices/vfio0", 0o666);
    expect(&machine, "nodes", Verdict::Warn, &["chmod 666"]);
    machine.node("/dev/vfio/devices/vfio0", 0o600);
    expect(&machine, "nodes", Verdict::Block, &["--owner alice"]);
}

/// A bridge can't be bound to a stub driver: the whole group takes it from its own.
#[test]
fn a_bridge_in_the_group_is_not_told_to_be_bound() {
    let machine = ready();
    machine.add(&Spec {
        driver: Some("shpchp"),
        ..port("0000:00:04.0", 7, None)
    });
    expect(
        &machine,
        "group",
        Verdict::Block,
        &[
            "0000:00:04.0 on shpchp",
            "hwpool bind 0000:01:00.0 --whole-group",
        ],
    );
    let row = row(&machine, "group");
    assert!(!format!("{row:?}").contains("pci-stub"), "{row:?}");
}

/// Another board behind the same switch, in one group with the first, whose bridges are `above`.
fn shared(above: &'static [&'static str], bridges: &[Spec]) -> Machine {
    let machine = Machine::new();
    bridges.iter().for_each(|bridge| machine.add(bridge));
    machine.add(&Spec { above, ..bmu() });
    machine.add(&Spec {
        above,
        driver: Some("vfio-pci"),
        ..nic("0000:03:00.0", "igb", 7)
    });
    machine
}

#[test]
fn the_bridge_that_does_not_keep_functions_apart_is_the_one_that_is_named() {
    const UP: &str = "0000:02:00.0";
    const DOWN: &str = "0000:02:01.0";
    let above: &'static [&'static str] = &[PORT, UP, DOWN];
    let bridge = |bdf, kind, acs| {
        let mut spec = port(bdf, 9, acs);
        spec.config.port = kind;
        spec.above = match bdf {
            UP => &[PORT],
            _ => &[PORT, UP],
        };
        spec
    };
    let machine = shared(above, &[bridge(UP, 5, None), bridge(DOWN, 6, Some(0))]);
    let words = [
        "bridge 0000:02:00.0: upstream port",
        "ACS controls 0x1d are off",
        "bridge 0000:02:01.0 does not keep",
    ];
    expect(&machine, "acs", Verdict::Warn, &words);
    let machine = shared(above, &[bridge(UP, 5, None), bridge(DOWN, 7, None)]);
    expect(
        &machine,
        "acs",
        Verdict::Warn,
        &["to conventional PCI", "bridge 0000:02:01.0 does not keep"],
    );
    // What a port is not able to do it does not have to be kept from.
    let mut down = bridge(DOWN, 6, Some(0x1c));
    down.config.acs_able = 0x1c;
    let machine = shared(above, &[bridge(UP, 5, None), down]);
    expect(
        &machine,
        "acs",
        Verdict::Warn,
        &["bridge 0000:02:01.0: ACS on", "something on the way up"],
    );
}

#[test]
fn another_slot_is_no_remedy_for_functions_of_one_board() {
    let machine = ready();
    machine.add(&Spec {
        bdf: "0000:01:00.1",
        ..bmu()
    });
    expect(
        &machine,
        "acs",
        Verdict::Warn,
        &["functions of the same board", "--whole-group"],
    );
    assert!(!format!("{:?}", row(&machine, "acs").remedy).contains("slot"));
}

#[test]
fn memory_that_firmware_wants_mapped_blocks() {
    let machine = ready();
    let regions = |kind: &str| {
        let text = format!("0x00000000000e0000 0x00000000000fffff {kind}\n");
        machine.file("/sys/kernel/iommu_groups/7/reserved_regions", text);
    };
    regions("direct");
    expect(&machine, "iova", Verdict::Block, &["RMRR", "dmesg"]);
    regions("direct-relaxable");
    expect(&machine, "iova", Verdict::Ok, &["direct-relaxable"]);
}

#[test]
fn who_is_hit_by_a_reset_of_the_bus_is_named() {
    let machine = ready();
    machine.add(&Spec {
        reset: "bus",
        ..bmu()
    });
    expect(&machine, "reset", Verdict::Ok, &["alone on its bus"]);
    machine.add(&nic("0000:01:00.1", "igb", 8));
    expect(
        &machine,
        "reset",
        Verdict::Warn,
        &["on the same bus: 0000:01:00.1"],
    );
}

#[test]
fn a_board_without_power_is_told_from_one_that_is_gone() {
    let machine = ready();
    let at = home(&bmu());
    machine.file(&format!("{at}/power_state"), "D3cold\n");
    expect(
        &machine,
        "power",
        Verdict::Warn,
        &["its power is off", "power/control"],
    );
    machine.file(&format!("{at}/power/runtime_status"), "suspended\n");
    expect(&machine, "power", Verdict::Ok, &["woken when it is opened"]);
    machine.file(&format!("{at}/config"), [0xff; 4096]);
    expect(
        &machine,
        "answers",
        Verdict::Block,
        &["D3cold", "power/control"],
    );
    expect(&machine, "reset", Verdict::Ok, &["DevCap can't be read"]);
    machine.file(&format!("{at}/power_state"), "D0\n");
    expect(
        &machine,
        "answers",
        Verdict::Block,
        &["lost power or link", "/remove"],
    );
}

#[test]
fn tokens_are_asked_for_by_both_sides() {
    let machine = ready();
    let at = home(&bmu());
    machine.file(&format!("{at}/sriov_totalvfs"), "4\n");
    machine.file(&format!("{at}/sriov_numvfs"), "0\n");
    expect(&machine, "sriov", Verdict::Ok, &["0 of 4"]);
    machine.file(&format!("{at}/sriov_numvfs"), "2\n");
    expect(&machine, "sriov", Verdict::Warn, &["EACCES", "?token=UUID"]);
}

#[test]
fn a_node_without_memory_is_told() {
    let machine = ready();
    machine.file(
        "/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal:        0 kB\nNode 0 MemFree: 0 kB\n",
    );
    expect(&machine, "numa", Verdict::Warn, &["without memory"]);
    machine.file(
        "/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal:  16384 kB\n",
    );
    expect(&machine, "numa", Verdict::Ok, &["node 0 of 2"]);
}

#[test]
fn payloads_that_the_port_above_does_not_take_are_told() {
    let machine = ready();
    let mut narrow = port(PORT, 1, Some(0x1d));
    narrow.config.payload = 0;
    machine.add(&narrow);
    expect(
        &machine,
        "requests",
        Verdict::Warn,
        &["0000:00:1c.0, takes 128 bytes", "pcie_bus_safe"],
    );
}

#[test]
fn hugepages_that_come_by_themselves_matter_where_no_others_are_free() {
    let machine = ready();
    machine.file(
        "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        "always advise [never]\n",
    );
    machine.hugepages(0, 2048, 64, 64);
    expect(&machine, "thp", Verdict::Ok, &[]);
    machine.hugepages(0, 2048, 64, 2);
    expect(&machine, "thp", Verdict::Warn, &["echo advise"]);
}

#[test]
fn the_tightest_cgroup_on_the_way_up_counts() {
    let machine = ready();
    machine.file("/proc/self/cgroup", "0::/box/inner\n");
    machine.file("/sys/fs/cgroup/box/inner/memory.max", "max\n");
    machine.file("/sys/fs/cgroup/box/memory.max", "1048576\n");
    expect(
        &machine,
        "cgroup",
        Verdict::Block,
        &["memory.max 1 MiB", "MemoryMax="],
    );
    machine.file("/sys/fs/cgroup/box/memory.max", "1073741824\n");
    expect(&machine, "cgroup", Verdict::Ok, &["memory.max 1 GiB"]);
}

#[test]
fn a_remedy_names_its_file_with_the_whole_path() {
    let machine = ready();
    let at = home(&bmu());
    machine.file(&format!("{at}/sriov_totalvfs"), "8\n");
    machine.file(&format!("{at}/sriov_numvfs"), "2\n");
    let remedy = "echo 0 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs";
    expect(&machine, "in-use", Verdict::Block, &[remedy]);
}

#[test]
fn a_bar_of_less_than_a_kibibyte_is_told_in_bytes() {
    let machine = ready();
    let path = format!("{}/resource", home(&bmu()));
    let resource = machine.text(&path).replace("f000ffff", "f00000ff");
    machine.file(&path, resource);
    let told = ["BAR 0 256 bytes at 0xf0000000"];
    expect(&machine, "bars", Verdict::Ok, &told);
}

/// Files of a function, each with its text.
type Files<'a> = &'a [(&'a str, &'a str)];

/// Files that have a value for what is not known: it is no reason to do anything.
#[test]
fn a_file_that_can_not_tell_is_no_fact() {
    let machine = ready();
    let at = home(&bmu());
    let unknown: [(Files<'_>, &str, Verdict); 6] = [
        // The status of a virtual function's link reads zero, and 255 and a register of ones are no widths.
        (
            &[
                ("current_link_width", "0"),
                ("current_link_speed", "Unknown"),
            ],
            "link",
            Verdict::Unknown,
        ),
        (
            &[("current_link_width", "63"), ("max_link_width", "63")],
            "link",
            Verdict::Unknown,
        ),
        (
            &[("current_link_width", "8"), ("max_link_width", "255")],
            "link",
            Verdict::Unknown,
        ),
        (
            &[
                ("max_link_width", "8"),
                ("current_link_speed", "Unknown speed"),
            ],
            "link",
            Verdict::Ok,
        ),
        (&[("power_state", "unknown")], "power", Verdict::Unknown),
        (&[("resource", "")], "bars", Verdict::Unknown),
    ];
    for (files, id, verdict) in unknown {
        for (file, text) in files {
            machine.file(&format!("{at}/{file}"), format!("{text}\n"));
        }
        expect(&machine, id, verdict, &[]);
    }
    let unit = "/sys/class/iommu/dmar0/intel-iommu/cap";
    for nothing in ["0", "ffffffffffffffff"] {
        machine.file(unit, nothing);
        let row = row(&machine, "iova");
        assert!(!format!("{row:?}").contains("translates"), "{row:?}");
    }
}

#[test]
fn limits_of_every_version_of_control_groups_count() {
    let machine = ready();
    machine.file("/proc/self/cgroup", "9:memory:/box\n7:hugetlb:/box\n0::/\n");
    machine.file(
        "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
        "1048576\n",
    );
    expect(
        &machine,
        "cgroup",
        Verdict::Block,
        &[
            "/box: memory.limit_in_bytes 1 MiB",
            "> /sys/fs/cgroup/memory/box/memory",
        ],
    );
    machine.file(
        "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    expect(
        &machine,
        "cgroup",
        Verdict::Ok,
        &["/box: memory.limit_in_bytes no limit"],
    );
    machine.file(
        "/sys/fs/cgroup/hugetlb/box/hugetlb.2MB.limit_in_bytes",
        "0\n",
    );
    expect(
        &machine,
        "cgroup",
        Verdict::Warn,
        &["hugetlb.2MB.limit_in_bytes 0"],
    );
    let machine = ready();
    let status = machine.text("/proc/self/status");
    machine.file(
        "/proc/self/status",
        format!("{status}Mems_allowed_list:\t1-3,5\n"),
    );
    expect(&machine, "cgroup", Verdict::Warn, &["node 0", "cpuset"]);
    machine.file(
        "/proc/self/status",
        format!("{status}Mems_allowed_list:\t0-3\n"),
    );
    expect(&machine, "cgroup", Verdict::Ok, &[]);
}

#[test]
fn errors_at_the_other_end_of_the_link_are_its_errors() {
    let machine = ready();
    let file = format!("/sys/bus/pci/devices/{PORT}/aer_dev_correctable");
    machine.file(&file, "RxErr 0\nBadTLP 5\nTOTAL_ERR_COR 5\n");
    expect(
        &machine,
        "aer",
        Verdict::Warn,
        &["the port above, 0000:00:1c.0: BadTLP 5"],
    );
}

#[test]
fn arguments_of_the_kernel_are_words_and_lists() {
    let cause = |line: &str| {
        let row = row(&without_iommu(&["DMAR"], line), "iommu");
        row.cause.expect("a cause")
    };
    for off in [
        "iommu=pt,off",
        "amd_iommu=fullflush,off",
        "intel-iommu=off",
        "intel_iommu=on intel_iommu=sm_off,off",
    ] {
        assert!(cause(off).contains("switches the IOMMU off"), "{off}");
    }
    for on in ["intel_iommu=on,sm_on", "intel_iommu=off intel_iommu=on"] {
        assert!(cause(on).contains("built without the driver"), "{on}");
    }
    for other in [
        "xintel_iommu=off",
        "iommu=offer",
        "x=\"a intel_iommu=off\"",
        "-- iommu=off",
    ] {
        assert!(cause(other).contains("wants to be told"), "{other}");
    }
}

#[test]
fn every_table_of_firmware_that_tells_of_an_iommu() {
    for (table, name) in [
        ("DMAR", "VT-d"),
        ("IVRS", "AMD-Vi"),
        ("IORT", "SMMU"),
        ("VIOT", "virtio-iommu"),
        ("RIMT", "RISC-V"),
    ] {
        let machine = without_iommu(&["APIC", table], "");
        let words = [name, "the firmware offers"];
        expect(&machine, "iommu", Verdict::Block, &words);
    }
}

#[test]
fn who_owns_a_node_without_an_iommu_is_all_the_same() {
    let machine = ready();
    machine.file("/sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
    machine.node("/dev/vfio/noiommu-7", 0o666);
    expect(&machine, "nodes", Verdict::Block, &["CAP_SYS_RAWIO"]);
    assert!(!format!("{:?}", row(&machine, "nodes")).contains("--owner"));
    machine.status(machine.alice(), 100, 1 << 17);
    expect(&machine, "nodes", Verdict::Ok, &["/dev/vfio/noiommu-7"]);
    // What opens it is not switched off by another remedy.
    machine.file(
        "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
        "Y\n",
    );
    let remedy = row(&machine, "noiommu").remedy;
    assert!(
        remedy[0].starts_with("if the function shall not"),
        "{remedy:?}"
    );
    machine.file("/proc/self/uid_map", "0 100000 65536\n");
    expect(&machine, "nodes", Verdict::Block, &["CAP_SYS_RAWIO"]);
}

/// Which IOMMU it is, which controllers there are, and what the platform makes of that.
#[test]
fn whether_interrupts_are_kept_apart_the_platform_decides() {
    let id = "interrupt-remapping";
    let x86 = "  1: 0 IO-APIC 1-edge i8042\n 24: 0 PCI-MSIX-0000:00:03.0 0-edge virtio0\n";
    let remapped = "  1: 0 IR-IO-APIC 1-edge i8042\n 24: 0 IR-PCI-MSIX-0000:00:03.0 0-edge x\n";
    let its = " 11: 0 GICv3 27 Level arch_timer\n 47: 0 ITS-PCI-MSIX-0000:00:03.0 0 Edge x\n";
    let v2m = " 11: 0 GICv2 27 Level arch_timer\n 47: 0 GICv2m-PCI-MSI-0000:00:03.0 0 Edge x\n";
    let cases = [
        ("dmar0", x86, Verdict::Block),
        ("dmar0", remapped, Verdict::Ok),
        ("ivhd0", x86, Verdict::Block),
        ("0000:00:02.0", x86, Verdict::Block),
        ("0000:00:02.0", its, Verdict::Ok),
        ("0000:00:02.0", v2m, Verdict::Block),
        ("smmu3.0x0000000009050000", its, Verdict::Ok),
        ("smmu3.0x0000000009050000", v2m, Verdict::Block),
        ("smmu3.0x0000000009050000", "", Verdict::Unknown),
    ];
    for (unit, interrupts, verdict) in cases {
        let machine = ready();
        std::fs::remove_dir_all(machine.path("/sys/class/iommu")).expect("units");
        machine.file(&format!("/sys/class/iommu/{unit}/name"), "");
        machine.file("/proc/interrupts", interrupts);
        let consent = "echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
        let words: &[&str] = match verdict {
            Verdict::Block => &["EPERM", consent],
            _ => &[],
        };
        expect(&machine, id, verdict, words);
        if verdict == Verdict::Block {
            // Whoever does so is not told to undo it.
            let parameter = consent.split("> ").nth(1).expect("a file");
            machine.file(parameter, "Y\n");
            let row = row(&machine, id);
            assert_eq!(row.verdict, Verdict::Warn, "{row:?}");
            let undoes = |text: &String| text.starts_with("echo N");
            assert!(!row.remedy.iter().any(undoes), "{row:?}");
        }
    }
}

/// Groups that vfio made up have no IOMMU, and nobody refuses them for their interrupts.
#[test]
fn without_an_iommu_nobody_asks_for_remapping() {
    let machine = ready();
    let plain = "  1: 0 IO-APIC 1-edge i8042\n 24: 0 PCI-MSIX-0000:00:03.0 0-edge virtio0\n";
    machine.file("/proc/interrupts", plain);
    expect(&machine, "interrupt-remapping", Verdict::Block, &[]);
    let groups = std::fs::read_dir(machine.path("/sys/kernel/iommu_groups")).expect("groups");
    for group in groups.map(|group| group.expect("a group").file_name().into_string().unwrap()) {
        machine.file(
            &format!("/sys/kernel/iommu_groups/{group}/name"),
            "vfio-noiommu\n",
        );
    }
    expect(
        &machine,
        "interrupt-remapping",
        Verdict::Unknown,
        &["no IOMMU"],
    );
}

/// A module that was loaded before takes no option any more.
#[test]
fn a_parameter_of_a_module_is_written_and_not_given_again() {
    let machine = ready();
    let limit = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";
    machine.file(limit, "16\n");
    expect(
        &machine,
        "dma-entries",
        Verdict::Warn,
        &["echo 64 > /sys/module"],
    );
    machine.file("/proc/interrupts", " 1: 0 IO-APIC 1-edge i8042\n");
    std::fs::remove_dir_all(machine.path("/sys/module/vfio_iommu_type1")).expect("a module");
    let words = ["modprobe vfio_iommu_type1 && echo Y > /sys/module/vfio_iommu_type1"];
    expect(&machine, "interrupt-remapping", Verdict::Block, &words);
}

/// What is read from a function that is gone is all ones, and nothing follows from that but that it is gone.
#[test]
fn of_a_function_that_is_gone_nothing_else_is_said() {
    let machine = ready();
    let at = home(&bmu());
    machine.file(&format!("{at}/config"), [0xff; 4096]);
    for file in ["current_link_width", "max_link_width"] {
        machine.file(&format!("{at}/{file}"), "63\n");
    }
    for file in ["current_link_speed", "max_link_speed"] {
        machine.file(&format!("{at}/{file}"), "Unknown\n");
    }
    expect(&machine, "answers", Verdict::Block, &["lost power or link"]);
    expect(&machine, "link", Verdict::Unknown, &["nobody answers"]);
    expect(
        &machine,
        "nofile",
        Verdict::Ok,
        &["of which nothing can be read"],
    );
    let question = Question {
        device: BMU.parse().ok(),
        pin: 64 << 20,
    };
    let rows = examine(&machine.tree(), question).expect("the board");
    let mut others = rows.iter().filter(|row| row.id != "answers");
    assert!(
        others.all(|row| matches!(row.verdict, Verdict::Ok | Verdict::Unknown)),
        "{rows:#?}"
    );
    let text = super::cli::hwpool(&machine, &["devices"]).out;
    assert!(
        text.contains("gone: nobody answers") && !text.contains("x63"),
        "{text}"
    );
}
