//! One list for both verbs: what doctor has against a function, `bind` refuses by name, and the commands that doctor
//! gives as remedies are not refused. The machines are made of a list of changes, alone and in pairs.

use std::collections::BTreeSet;

use hwpool::host::Reason;
use hwpool::host::doctor::{Question, Row, Stand, Verdict, examine};

use super::cli::hwpool;
use super::machine::{BMU, Machine, PORT, Spec, bmu, home, nic, port};
use super::refusals::plan;

/// Something that is not as it should be.
struct Change {
    name: &'static str,
    make: fn(&Machine, &Spec),
    /// The names by which it is refused, before the board is on vfio-pci.
    reasons: &'static [Reason],
}

const CHANGES: &[Change] = &[
    Change {
        name: "gone",
        make: |machine, spec| machine.file(&format!("{}/config", home(spec)), [0xff; 4096]),
        reasons: &[Reason::Answers],
    },
    Change {
        name: "a BAR without an address",
        make: |machine, spec| {
            let text = "0x0000000000000000 0x0000000000000fff 0x0000000020040200\n";
            machine.file(&format!("{}/resource", home(spec)), text);
        },
        reasons: &[Reason::Bars],
    },
    Change {
        name: "no BAR",
        make: |machine, spec| {
            let zeros = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(6);
            machine.file(&format!("{}/resource", home(spec)), zeros);
            let mut config =
                std::fs::read(machine.path(&format!("{}/config", home(spec)))).unwrap();
            config[0x10..0x28].fill(0);
            machine.file(&format!("{}/config", home(spec)), config);
        },
        reasons: &[Reason::Bars],
    },
    Change {
        name: "no power",
        make: |machine, spec| machine.file(&format!("{}/power_state", home(spec)), "D3cold\n"),
        reasons: &[Reason::Power],
    },
    Change {
        name: "long requests",
        make: |machine, _| {
            let mut narrow = port(PORT, 1, Some(0x1d));
            narrow.config.payload = 0;
            machine.add(&narrow);
        },
        reasons: &[Reason::Requests],
    },
    Change {
        name: "physical function on VFIO",
        make: |machine, spec| {
            let physical = Spec {
                bdf: "0000:01:00.7",
                group: Some(8),
                ..bmu()
            };
            machine.add(&physical);
            machine.link(&format!("{}/physfn", home(spec)), &home(&physical));
        },
        reasons: &[Reason::Token],
    },
    Change {
        name: "memory for the firmware",
        make: |machine, _| {
            let text = "0x00000000bdd00000 0x00000000bddfffff direct\n";
            machine.file("/sys/kernel/iommu_groups/7/reserved_regions", text);
        },
        reasons: &[Reason::Reserved],
    },
    Change {
        name: "a carrier",
        make: |machine, spec| machine.interface(spec, "eth1", true),
        reasons: &[Reason::Carrier],
    },
    Change {
        name: "a process",
        make: |machine, spec| machine.mapping(42, "poke", &format!("{}/resource0", home(spec)), 0),
        reasons: &[Reason::Open],
    },
    Change {
        name: "the display",
        make: |machine, spec| machine.file(&format!("{}/boot_vga", home(spec)), "1\n"),
        reasons: &[Reason::Console],
    },
    Change {
        name: "a neighbour in use",
        make: |machine, _| {
            let neighbour = nic("0000:01:00.1", "igb", 7);
            machine.add(&neighbour);
            machine.interface(&neighbour, "eth2", true);
        },
        reasons: &[Reason::Group],
    },
    Change {
        name: "an idle neighbour",
        make: |machine, _| machine.add(&nic("0000:01:00.2", "igb", 7)),
        reasons: &[Reason::Group],
    },
    Change {
        name: "an idle neighbour, and no driver to park it",
        make: |machine, _| {
            machine.add(&nic("0000:01:00.3", "igb", 7));
            let _ = std::fs::remove_dir_all(machine.path("/sys/bus/pci/drivers/pci-stub"));
        },
        reasons: &[Reason::Group],
    },
    Change {
        name: "a neighbour on VFIO",
        make: |machine, _| {
            machine.add(&Spec {
                bdf: "0000:01:00.4",
                ..bmu()
            });
        },
        reasons: &[],
    },
    Change {
        name: "a narrow link",
        make: |machine, spec| machine.file(&format!("{}/current_link_width", home(spec)), "1\n"),
        reasons: &[],
    },
    Change {
        name: "errors",
        make: |machine, spec| {
            machine.file(&format!("{}/aer_dev_correctable", home(spec)), "RxErr 3\n");
        },
        reasons: &[],
    },
    Change {
        name: "no reset",
        make: |machine, spec| machine.file(&format!("{}/reset_method", home(spec)), "\n"),
        reasons: &[],
    },
    Change {
        name: "no node",
        make: |machine, spec| machine.file(&format!("{}/numa_node", home(spec)), "-1\n"),
        reasons: &[],
    },
    Change {
        name: "no hugepages free",
        make: |machine, _| machine.hugepages(0, 2048, 64, 2),
        reasons: &[],
    },
    Change {
        name: "pages of 64 KiB",
        make: |machine, _| {
            for node in 0..2 {
                let at = format!("/sys/devices/system/node/node{node}/hugepages");
                let _ = std::fs::remove_dir_all(machine.path(&at));
                machine.hugepages(node, 512 << 10, 0, 0);
            }
        },
        reasons: &[],
    },
    Change {
        name: "hugepages of 1 GiB alone",
        make: |machine, _| {
            for node in 0..2 {
                let at = format!("/sys/devices/system/node/node{node}/hugepages");
                let _ = std::fs::remove_dir_all(machine.path(&at));
            }
            machine.hugepages(1, 1 << 20, 0, 0);
        },
        reasons: &[],
    },
];

/// A machine whose board is on `driver`, with some changes.
fn machine(driver: &'static str, changes: &[&Change]) -> Machine {
    let spec = Spec {
        driver: Some(driver),
        ..bmu()
    };
    let machine = Machine::new();
    machine.add(&spec);
    changes
        .iter()
        .for_each(|change| (change.make)(&machine, &spec));
    machine
}

fn rows(machine: &Machine) -> Vec<Row> {
    let question = Question {
        device: BMU.parse().ok(),
        pin: 64 << 20,
    };
    examine(&machine.tree(), question).expect("the board is there")
}

fn refusals(machine: &Machine, overrides: &[Reason]) -> BTreeSet<Reason> {
    let plan = plan(machine, overrides).expect("a plan");
    plan.objections.iter().map(|one| one.reason).collect()
}

/// Sees that both verbs say the same of a machine, and returns the reasons.
fn agree(machine: &Machine, name: &str) -> BTreeSet<Reason> {
    let rows = rows(machine);
    for row in &rows {
        let is_finding = matches!(row.verdict, Verdict::Warn | Verdict::Block);
        assert_eq!(is_finding, row.stand != Stand::Nothing, "{name}: {row:?}");
    }
    let told: BTreeSet<_> = rows
        .iter()
        .flat_map(Row::objections)
        .map(|one| one.reason)
        .collect();
    assert_eq!(refusals(machine, &[]), told, "{name}");
    let overrides: Vec<_> = told.iter().copied().collect();
    assert!(refusals(machine, &overrides).is_empty(), "{name}");
    told
}

#[test]
fn what_doctor_has_against_a_function_bind_refuses_by_name() {
    for change in CHANGES {
        let told = agree(&machine("e1000e", &[change]), change.name);
        assert_eq!(
            told,
            change.reasons.iter().copied().collect(),
            "{}",
            change.name
        );
    }
    for (index, first) in CHANGES.iter().enumerate() {
        for second in &CHANGES[index + 1..] {
            let name = format!("{} and {}", first.name, second.name);
            agree(&machine("e1000e", &[first, second]), &name);
        }
    }
}

/// Returns the commands of ours in a remedy, as far as they are commands.
fn commands(remedy: &str) -> Option<Vec<String>> {
    let (_, rest) = remedy.split_once("hwpool ")?;
    let end = [", ", ": ", " (", "; ", "` "].iter();
    let end = end
        .filter_map(|end| rest.find(end))
        .min()
        .unwrap_or(rest.len());
    let words: Vec<_> = rest[..end].split_whitespace().map(str::to_string).collect();
    let verbs = [
        "bind",
        "unbind",
        "recover",
        "hugepages",
        "doctor",
        "devices",
    ];
    let is_verb = |word: &String| verbs.contains(&word.as_str());
    words.first().is_some_and(is_verb).then_some(words)
}

#[test]
fn a_remedy_that_is_a_command_is_not_refused() {
    let mut tried = BTreeSet::new();
    for change in CHANGES {
        for driver in ["e1000e", "vfio-pci"] {
            let machine = machine(driver, &[change]);
            let rows = rows(&machine);
            for remedy in rows.iter().flat_map(|row| &row.remedy) {
                // A sentence about what has to be mended first quotes what can't be run yet.
                if remedy.contains("once this is mended") {
                    continue;
                }
                let Some(mut arguments) = commands(remedy) else {
                    continue;
                };
                if !arguments.iter().any(|word| word == "--dry-run") {
                    arguments.push("--dry-run".into());
                }
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let run = hwpool(&machine, &arguments);
                assert_eq!(
                    run.code, 0,
                    "{} on {driver}: {remedy}: {}{}",
                    change.name, run.out, run.err
                );
                tried.insert(arguments[..2].join(" "));
            }
        }
    }
    let bind = format!("bind {BMU}");
    for command in ["hugepages reserve", bind.as_str(), "bind 0000:01:00.2"] {
        assert!(tried.contains(command), "never given: {command}: {tried:?}");
    }
}
