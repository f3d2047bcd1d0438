//! What the kernel itself uses of a function: its console and the machine's display.

use super::reason::{Reason, Use};
use crate::machine::{Arguments, Bar, Function, Tree, directory};

/// Words of the kernel's command line that give it a console at an address.
const ARGUMENTS: [&str; 3] = ["console", "earlycon", "earlyprintk"];
/// Names of framebuffers that the firmware has left, in /proc/iomem.
const FIRMWARE_DISPLAYS: [&str; 6] = [
    "BOOTFB",
    "efifb",
    "simple-framebuffer",
    "simplefb",
    "vesafb",
    "vga16fb",
];

/// Returns the kernel's own uses of a function, whose terminals and framebuffers are given by name.
pub(super) fn uses(
    tree: &Tree,
    function: &Function,
    terminals: &[String],
    framebuffers: &[String],
) -> Vec<Use> {
    let mut words = by_memory(tree, &function.bars);
    // What follows ends where a driver of the kernel has left the function.
    if !function.is_on_vfio() {
        let boot = tree.number::<u32>(&format!("{}/boot_vga", directory(function.bdf)));
        let boot =
            (boot == Some(1)).then_some("it is the display that the machine was started with");
        words.extend(boot.map(str::to_string));
        let shown = framebuffers.iter();
        words.extend(shown.map(|name| format!("the kernel draws on its framebuffer {name}")));
        words.extend(by_terminal(tree, terminals));
        words.extend(by_argument(tree, &function.bars));
    }
    let words = words.into_iter();
    words.map(|what| Use::new(Reason::Console, what)).collect()
}

/// Returns the interfaces through which the kernel sends its messages (netconsole): by configfs, where targets are that were
/// made later, and by the command line.
pub(super) fn by_network(tree: &Tree, interfaces: &[String]) -> Vec<Use> {
    let at = "/sys/kernel/config/netconsole";
    let targets = tree.names(at).into_iter();
    let on =
        targets.filter(|name| tree.text(&format!("{at}/{name}/enabled")).as_deref() == Some("1"));
    let mut named: Vec<_> = on
        .filter_map(|name| tree.text(&format!("{at}/{name}/dev_name")))
        .collect();
    let arguments = Arguments::read(tree);
    let words = arguments.named(|name| matches!(name, "netconsole" | "netconsole.netconsole"));
    named.extend(words.filter_map(source_interface));
    named.sort();
    named.dedup();
    let ours = named.into_iter().filter(|name| interfaces.contains(name));
    let told =
        ours.map(|name| format!("the kernel sends its messages through {name} (netconsole)"));
    told.map(|what| Use::new(Reason::Console, what)).collect()
}

/// Reads the interface from `netconsole=[+][r][PORT]@[ADDRESS]/[INTERFACE],...`.
fn source_interface(word: &str) -> Option<String> {
    let source = word.split_once('=')?.1.split(',').next()?;
    let name = source.split_once('/').map_or("", |(_, name)| name);
    // It takes the first one by itself.
    Some(if name.is_empty() { "eth0" } else { name }.to_string())
}

fn by_terminal(tree: &Tree, terminals: &[String]) -> Vec<String> {
    let active = tree.text("/sys/class/tty/console/active");
    let active = active.unwrap_or_default();
    let consoles = active.split_whitespace();
    consoles
        .filter(|name| terminals.iter().any(|one| one == name))
        .map(|name| format!("the kernel's console is its port {name}"))
        .collect()
}

/// Finds consoles such as `earlycon=uart8250,mmio32,0xf0200000,115200` in a BAR.
fn by_argument(tree: &Tree, bars: &[Bar]) -> Vec<String> {
    let arguments = Arguments::read(tree);
    let words = arguments.named(|name| ARGUMENTS.contains(&name));
    let is_inside = |word: &&str| {
        let mut addresses = word.split(',').filter_map(hexadecimal);
        addresses.any(|address| bars.iter().any(|bar| has(bar, address)))
    };
    words
        .filter(is_inside)
        .map(|word| format!("the kernel was told {word}, which is in a BAR of it"))
        .collect()
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// Finds displays of the firmware in a BAR: lines `FIRST-LAST : NAME`. Who is not root reads zeros there.
fn by_memory(tree: &Tree, bars: &[Bar]) -> Vec<String> {
    let table = tree.text("/proc/iomem").unwrap_or_default();
    let lines = table.lines().filter_map(|line| {
        let (range, name) = line.trim().split_once(" : ")?;
        let first = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
        let is_ours = FIRMWARE_DISPLAYS.contains(&name) && bars.iter().any(|bar| has(bar, first));
        is_ours
            .then(|| format!("the kernel draws on the firmware's display ({name}) in a BAR of it"))
    });
    lines.collect()
}

fn has(bar: &Bar, address: u64) -> bool {
    let start = bar.start.filter(|start| *start <= address);
    start.is_some_and(|start| address - start < bar.bytes)
}
