//! Rules for udev: they go by what stays from boot to boot.

use super::cli::hwpool;
use super::machine::{BMU, Machine, nic, port};

const SECOND: &str = "0000:01:00.1";
const BRIDGE: &str = "0000:00:04.0";

/// Returns the rules that bind prints, with alice as the owner of the nodes.
fn rules(machine: &Machine, arguments: &[&str]) -> Vec<String> {
    let command = ["bind", BMU, "--owner", "alice", "--dry-run"];
    let run = hwpool(machine, &[&command, arguments].concat());
    let rules = run.out.lines().filter(|line| line.contains("=="));
    rules.map(str::to_string).collect()
}

/// Returns the value that a rule compares a key with.
fn wanted<'a>(rule: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = rule.split_once(&format!("{key}==\""))?;
    rest.split('"').next()
}

/// Tells whether a rule gives alice a node of VFIO with this name, as udev matches the keys that stand in it.
fn gives_alice(machine: &Machine, rule: &str, name: &str) -> bool {
    let pattern = wanted(rule, "KERNEL").expect("a name");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = match pattern.strip_suffix("[0-9]*") {
        Some(prefix) => name.strip_prefix(prefix).filter(|rest| digits(rest)),
        None => (pattern == name).then_some(name),
    };
    let Some(number) = number else { return false };
    let is_member = wanted(rule, "TEST").is_none_or(|path| {
        // udev knows no number of a name that is nothing else.
        let number = if number == name { "" } else { number };
        let path = path.replace("%k", name).replace("%n", number);
        machine.path(&path).exists()
    });
    let same = |id: &str| {
        let wanted = wanted(rule, &format!("ATTR{{[pci/{BMU}]{id}}}"));
        let file = format!("/sys/bus/pci/devices/{BMU}/{id}");
        wanted.is_none_or(|wanted| machine.text(&file).trim() == wanted)
    };
    rule.contains("OWNER=\"alice\"") && is_member && same("vendor") && same("device")
}

/// Returns the nodes, of those with these names, that the rules give to alice.
fn owned<'a>(machine: &Machine, rules: &[String], names: &[&'a str]) -> Vec<&'a str> {
    let group_rules = || {
        let rules = rules.iter();
        rules.filter(|rule| rule.starts_with("SUBSYSTEM==\"vfio\""))
    };
    let is_owned = |name: &&&str| group_rules().any(|rule| gives_alice(machine, rule, name));
    names.iter().filter(is_owned).copied().collect()
}

/// The numbers of the groups are those of this boot.
#[test]
fn the_owner_gets_the_same_function_after_another_boot() {
    let first = Machine::new();
    first.add(&nic(BMU, "e1000e", 7));
    first.add(&nic(SECOND, "igb", 8));
    let rules = rules(&first, &[]);
    let names = ["7", "8", "noiommu-7", "noiommu-8"];
    assert_eq!(owned(&first, &rules, &names), ["7", "noiommu-7"]);
    let second = Machine::new();
    second.add(&nic(BMU, "e1000e", 8));
    second.add(&nic(SECOND, "igb", 7));
    assert_eq!(owned(&second, &rules, &names), ["8", "noiommu-8"]);
    // Another board is in the slot.
    let third = Machine::new();
    let mut other = nic(BMU, "e1000e", 7);
    other.ids = (0x10ee, 0x9038);
    third.add(&other);
    assert!(owned(&third, &rules, &names).is_empty());
    let own = rules.iter().find(|rule| rule.contains("vfio-dev"));
    let own = own.and_then(|rule| wanted(rule, "KERNELS"));
    assert_eq!(own, Some(BMU));
}

#[test]
fn all_members_of_a_group_are_bound_at_the_next_boot() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    machine.add(&nic(SECOND, "igb", 7));
    let mut bridge = port(BRIDGE, 7, None);
    bridge.driver = Some("shpchp");
    machine.add(&bridge);
    let rules = rules(&machine, &["--whole-group"]);
    let bound = rules.iter().filter(|rule| rule.contains("driver_override"));
    let bound: Vec<_> = bound.filter_map(|rule| wanted(rule, "KERNEL")).collect();
    assert_eq!(bound, [BMU, SECOND]);
    // For the second one the driver is loaded already, and does not look by itself.
    let probe = "ATTR{[subsystem/pci]drivers_probe}=\"%k\"";
    let probed = rules.iter().filter(|rule| rule.contains(probe)).count();
    assert_eq!(probed, 2, "{rules:#?}");
    let run = hwpool(&machine, &["bind", BMU, "--whole-group", "--dry-run"]);
    let told = "0000:00:04.0 is a bridge that has to be without a driver";
    assert!(run.out.contains(told), "{}", run.out);
}
