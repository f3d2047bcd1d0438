//! `hwpool devices`: which PCI functions there are, who has them, and what for.

use clap::Args;
use hwpool::host::{Function, Names, Openers, Tree, Usage};
use serde_json::{Value, json};

use super::arguments::Machine;
use super::output::{Colour, Output};

/// List PCI functions: ids, driver, IOMMU group, link, use.
///
/// Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool devices --all --json")]
pub(crate) struct Devices {
    /// Bridges, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(args: &Devices, output: Output) -> anyhow::Result<()> {
    let tree = args.machine.tree();
    let functions = functions(&tree, args.all);
    let names = Names::read(&tree);
    output.print(
        || {
            let functions = functions
                .iter()
                .map(|(function, usage)| function_json(function, usage, &names));
            json!({ "schema": "hwpool.devices/1", "functions": functions.collect::<Vec<_>>() })
        },
        || text(&functions, &names, output),
    )
}

fn functions(tree: &Tree, all: bool) -> Vec<(Function, Usage)> {
    let openers = Openers::read(tree);
    let functions = Function::all(tree).into_iter();
    functions
        .filter(|function| all || !function.is_bridge())
        .map(|function| {
            let usage = Usage::of(tree, &function, &openers);
            (function, usage)
        })
        .collect()
}

fn function_json(function: &Function, usage: &Usage, names: &Names) -> Value {
    let member = |member: &hwpool::host::Member| json!({ "function": member.bdf.to_string(), "driver": member.driver });
    let bar = |bar: &hwpool::host::Bar| json!({ "bar": bar.index, "bytes": bar.bytes, "start": bar.start, "io_ports": bar.io_ports, "lost": bar.lost });
    json!({
        "function": function.bdf.to_string(),
        "vendor": function.vendor, "device": function.device, "class": function.class, "revision": function.revision,
        "kind": kind(function.class, names), "name": names.device(function.vendor, function.device),
        "driver": function.driver, "driver_override": function.driver_override,
        "group": function.group.as_ref().map(|group| json!({
            "number": group.number, "noiommu": group.noiommu,
            "others": group.others.iter().map(member).collect::<Vec<_>>(),
            "viable": group.strangers().is_empty(),
        })),
        "node": function.node,
        "link": function.link.as_ref().map(|link| json!({
            "speed": link.speed, "max_speed": link.max_speed, "width": link.width, "max_width": link.max_width,
        })),
        "bars": function.bars.iter().map(bar).collect::<Vec<_>>(),
        "sriov": {
            "physical": function.sriov.physical.map(|bdf| bdf.to_string()),
            "enabled": function.sriov.enabled, "total": function.sriov.total,
        },
        "answers": !function.is_gone,
        "reset_methods": function.reset_methods,
        "nodes": function.vfio_nodes(),
        "module": function.module(),
        "interfaces": usage.interfaces, "disks": usage.disks,
        "uses": usage.uses.iter().map(|one| json!({ "reason": one.reason.word(), "what": one.what })).collect::<Vec<_>>(),
    })
}

fn text(functions: &[(Function, Usage)], names: &Names, output: Output) -> String {
    if functions.is_empty() {
        return "no PCI functions\n".into();
    }
    let lines = functions
        .iter()
        .map(|(function, usage)| function_text(function, usage, names, output));
    lines.collect()
}

/// A line of what it is, and lines of what is worth knowing, short enough for 100 columns.
fn function_text(function: &Function, usage: &Usage, names: &Names, output: Output) -> String {
    let group = function
        .group
        .as_ref()
        .map_or("no group".into(), |group| match group.noiommu {
            true => "NO IOMMU".into(),
            false => format!("group {}", group.number),
        });
    let node = function
        .node
        .map_or(String::new(), |node| format!(", node {node}"));
    let module = function
        .module()
        .map_or(String::new(), |name| format!(", hwpool drives it ({name})"));
    let mut text = format!(
        "{}  {:04x}:{:04x}  {:<16} {}{node}{module}\n",
        function.bdf,
        function.vendor,
        function.device,
        function.driver.as_deref().unwrap_or("no driver"),
        group,
    );
    let mut note = |line: String| text += &output.fold(&format!("    {line}\n"), 8);
    names
        .device(function.vendor, function.device)
        .into_iter()
        .for_each(&mut note);
    note(format!(
        "{}{}",
        kind(function.class, names),
        link_text(function)
    ));
    if function.is_gone {
        let word = output.paint(Colour::Bad, "gone");
        note(format!(
            "{word}: nobody answers at its address; `hwpool doctor {}` says what to do",
            function.bdf
        ));
    }
    for member in function.group.iter().flat_map(|group| &group.others) {
        let driver = member.driver.as_deref().unwrap_or("no driver");
        note(format!("in the group: {} on {driver}", member.bdf));
    }
    let made: Vec<_> = usage
        .interfaces
        .iter()
        .chain(&usage.disks)
        .map(String::as_str)
        .collect();
    if !made.is_empty() && usage.uses.is_empty() {
        note(format!("{}, idle", made.join(", ")));
    }
    for one in &usage.uses {
        let word = output.paint(Colour::Bad, "in use");
        text += &output.fold(&format!("    {word} ({}): {}\n", one.reason, one.what), 8);
    }
    text
}

/// Says how a function's link runs, and what it could do where that is more.
fn link_text(function: &Function) -> String {
    let Some(link) = &function.link else {
        return String::new();
    };
    let text = format!(", x{} at {}", link.width, link.speed);
    match link.is_reduced() {
        true => format!(
            "{text}, able to do x{} at {}",
            link.max_width, link.max_speed
        ),
        false => text,
    }
}

/// Names the class, as far as it matters here (PCI Code and ID Assignment); others as the system does.
fn kind(class: u32, names: &Names) -> &str {
    match (class >> 16, class >> 8 & 0xff) {
        (0x01, 0x08) => "NVMe controller",
        (0x01, _) => "storage controller",
        (0x02, _) => "network controller",
        (0x03, _) => "display controller",
        (0x05, _) => "memory controller",
        (0x06, 0x04) => "PCI bridge",
        (0x06, _) => "bridge",
        (0x0c, 0x03) => "USB controller",
        (0x0c, _) => "serial bus controller",
        (0x12, _) => "accelerator",
        _ => names.class(class).unwrap_or("other device"),
    }
}
