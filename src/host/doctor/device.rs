//! Checks of the function itself: who has it, and whether it can be taken.

use super::command;
use super::row::{Row, Stand, Verdict};
use super::view::View;
use crate::host::usage::{Reason, Use};
use crate::machine::{Bdf, Config, Function, Region, directory, is_vfio};

pub(super) fn driver(view: &View<'_>, function: &Function) -> Row {
    let bdf = function.bdf;
    let named = function.driver_override.as_deref();
    let evidence = format!(
        "driver {}, driver_override {}",
        function.driver.as_deref().unwrap_or("none"),
        named.unwrap_or("none")
    );
    if function.is_on_vfio() {
        return Row::ok("driver").evidence(evidence);
    }
    let row = Row::block("driver", Stand::Not("to bind it is the remedy"))
        .evidence(evidence)
        .cause("only functions on vfio-pci can be opened");
    let functions = std::slice::from_ref(function);
    row.remedy(
        match command::bind(view, functions, "vfio-pci", " --dry-run") {
            Ok(command) => format!("{command}, then without --dry-run"),
            Err(what) => format!("bind {bdf} once this is mended: {what}"),
        },
    )
}

pub(super) fn in_use(view: &View<'_>, function: &Function) -> Row {
    let uses = view.usage.iter().flat_map(|usage| &usage.uses);
    // Who holds it and what the firmware wants are rows of their own.
    let is_here = |one: &&Use| !matches!(one.reason, Reason::Open | Reason::Reserved);
    let uses: Vec<_> = uses.filter(is_here).collect();
    let Some(usage) = &view.usage else {
        return Row::unknown("in-use");
    };
    let mut made: Vec<_> = usage
        .interfaces
        .iter()
        .chain(&usage.disks)
        .cloned()
        .collect();
    made.sort();
    if uses.is_empty() {
        let made = match made.is_empty() {
            true => "no interface, no disk".into(),
            false => format!("{} idle", made.join(", ")),
        };
        return Row::ok("in-use").evidence(made);
    }
    // Whether an interface that can't be seen is used is not known.
    let stand = Stand::Uses(uses.iter().map(|one| (*one).clone()).collect());
    let row = match uses.iter().all(|one| one.reason == Reason::Namespace) {
        true => {
            Row::warn("in-use", stand).cause("its use in another network namespace can't be seen")
        }
        false => Row::block("in-use", stand)
            .cause("what uses the function would break if its driver were taken away"),
    };
    let row = uses.iter().fold(row, |row, one| {
        row.evidence(format!("{}: {}", one.reason, one.what))
    });
    let remedies = uses.iter().map(|one| remedy(one.reason, function));
    remedies.fold(row, |row, text| match row.remedy.contains(&text) {
        true => row,
        false => row.remedy(text),
    })
}

fn remedy(reason: Reason, function: &Function) -> String {
    let text = match reason {
        Reason::Vfs => return format!("echo 0 > {}/sriov_numvfs", directory(function.bdf)),
        Reason::Route => "ip route: move the routes to another interface",
        Reason::Carrier => "ip link set INTERFACE down",
        Reason::Namespace => "ip netns list, and look into each",
        Reason::Behind => {
            "bind the functions behind it instead, or switch the mode that puts them there off in the firmware (VMD)"
        }
        Reason::Console => {
            "give the console and the display another device: console= on the kernel's command line, the firmware's setup"
        }
        Reason::Mount => "umount the file systems named",
        Reason::Holder => "take it out of the volume, array, bond or bridge named",
        Reason::Swap => "swapoff the device named",
        Reason::Open
        | Reason::Reserved
        | Reason::Answers
        | Reason::Bars
        | Reason::Power
        | Reason::Requests
        | Reason::Token
        | Reason::Group
        | Reason::NoIommu => "see the row of that name",
    };
    text.into()
}

pub(super) fn holder(view: &View<'_>, function: &Function) -> Row {
    let uses = view.usage.iter().flat_map(|usage| &usage.uses);
    let holders: Vec<_> = uses.filter(|one| one.reason == Reason::Open).collect();
    if holders.is_empty() {
        return Row::ok("holder")
            .evidence("no process that this user can see has a node of it open");
    }
    let stand = Stand::Uses(holders.iter().map(|one| (*one).clone()).collect());
    holders
        .iter()
        .fold(Row::block("holder", stand), |row, one| row.evidence(one.what.clone()))
        .cause("a function has one user at a time: opening it fails with EBUSY, and unbinding waits for that process")
        .remedy(format!("end that process, or use another function than {}", function.bdf))
}

/// Width of addresses behind a VT-d unit, its reserved ranges.
pub(super) fn iova(view: &View<'_>, function: &Function) -> Row {
    let Some(group) = &function.group else {
        return Row::unknown("iova").evidence("no IOMMU group");
    };
    let units = view.tree.names("/sys/class/iommu").into_iter();
    let mut row = units
        .filter_map(|unit| {
            let bits = address_bits(view, &unit)?;
            Some(format!("{unit} translates {bits} bits"))
        })
        .fold(Row::ok("iova"), Row::evidence);
    for Region { range, kind, .. } in &group.reserved {
        row = row.evidence(format!("reserved {range} ({kind})"));
    }
    let uses = view.usage.iter().flat_map(|usage| &usage.uses);
    let direct = uses.filter(|one| one.reason == Reason::Reserved);
    let direct: Vec<_> = direct.cloned().collect();
    if !direct.is_empty() {
        return row.but(Verdict::Block, Stand::Uses(direct))
            .cause("the firmware wants memory of its own mapped for this function (RMRR, IVMD): the kernel gives it to no VFIO")
            .remedy("switch off what the firmware does with the device (USB legacy support, iLO or iDRAC sharing), or use another slot")
            .remedy("dmesg | grep -i -e rmrr -e '1:1'");
    }
    if row.evidence.is_empty() {
        return Row::unknown("iova").evidence(
            "the group's reserved_regions can't be read; the ranges are asked for at open",
        );
    }
    row
}

/// Reads the capabilities of a VT-d unit, whose bits 21 to 16 are the greatest address width less one (VT-d 11.4.2).
/// Zeros and ones tell nothing.
fn address_bits(view: &View<'_>, unit: &str) -> Option<u64> {
    let text = view
        .tree
        .text(&format!("/sys/class/iommu/{unit}/intel-iommu/cap"))?;
    let capability = u64::from_str_radix(&text, 16).ok()?;
    (!matches!(capability, 0 | u64::MAX)).then_some((capability >> 16 & 0x3f) + 1)
}

pub(super) fn reset(view: &View<'_>, function: &Function) -> Row {
    let flr = match Config::whole(view.tree, function.bdf) {
        Some(config) if config.has_flr() => "DevCap offers FLR",
        Some(_) => "DevCap offers no FLR",
        None => "DevCap can't be read",
    };
    let Some(methods) = &function.reset_methods else {
        return Row::unknown("reset")
            .evidence(format!("{flr}; no file reset_method (kernel before 5.15)"));
    };
    let evidence = format!("{flr}; the kernel would use: {}", methods.join(" "));
    let own = ["flr", "af_flr", "device_specific", "acpi", "pm"];
    let first = methods.first().map(String::as_str);
    if first.is_some_and(|method| own.contains(&method)) {
        return Row::ok("reset").evidence(evidence);
    }
    let stand = Stand::Not("hwpool resets it by its registers, and verifies that");
    let row = Row::warn("reset", stand).evidence(evidence);
    match first {
        None => row
            .cause("the kernel has no way to reset the function: what it held stays in it when a driver is killed")
            .remedy("a device with FLR; with this one hwpool relies on the soft reset, and verifies it"),
        Some(_) => {
            let others = others_on_bus(view, function);
            if others.is_empty() {
                return row.but(Verdict::Ok, Stand::Nothing).evidence("alone on its bus");
            }
            row.evidence(format!("on the same bus: {}", others.join(", ")))
                .cause("without FLR the kernel resets the whole bus, with all functions on it; VFIO does so only where it has all of them")
                .remedy("see that all functions of the slot are idle or on vfio-pci")
        }
    }
}

fn others_on_bus(view: &View<'_>, function: &Function) -> Vec<String> {
    let names = view.tree.names("/sys/bus/pci/devices").into_iter();
    let is_other = |name: &String| {
        let other = name.parse::<Bdf>();
        other.is_ok_and(|other| other != function.bdf && other.shares_bus(function.bdf))
    };
    names.filter(is_other).collect()
}

/// A function that sleeps with its power off reads all ones until it is woken; VFIO wakes one that it opens.
pub(super) fn power(view: &View<'_>, function: &Function) -> Row {
    let at = directory(function.bdf);
    let files = view.tree.function(function.bdf);
    let read = |file: &str| files.text(file);
    let Some(state) = read("power_state") else {
        return Row::unknown("power").evidence("no file power_state (kernel before 5.9)");
    };
    let status = read("power/runtime_status").unwrap_or("unknown".into());
    let evidence = format!("{state}, runtime {status}");
    let row = Row::warn("power", Stand::Against(Reason::Power)).evidence(evidence.clone());
    match state.as_str() {
        "D3cold" if status == "suspended" => {
            Row::ok("power").evidence(format!("{evidence}: it sleeps, and is woken when it is opened"))
        }
        "D3cold" => row
            .cause("its power is off: registers and state are lost, and it reads all ones until it is woken")
            .remedy(format!("echo on > {at}/power/control"))
            .remedy(format!("echo 0 > {at}/d3cold_allowed")),
        "error" => row
            .cause("the kernel could not bring it to the power state that it wanted")
            .remedy(format!("echo on > {at}/power/control, and dmesg says more")),
        "unknown" => Row::unknown("power").evidence(evidence),
        _ => Row::ok("power").evidence(evidence),
    }
}

pub(super) fn sriov(view: &View<'_>, function: &Function) -> Row {
    let sriov = &function.sriov;
    if let Some(physical) = sriov.physical {
        let owner = Function::read(view.tree, physical);
        let driver = owner.as_ref().and_then(|f| f.driver.as_deref());
        let evidence = format!(
            "virtual function of {physical} ({})",
            driver.unwrap_or("no driver")
        );
        if !driver.is_some_and(is_vfio) {
            return Row::ok("sriov").evidence(format!("{evidence}: opened without a token"));
        }
        return Row::warn("sriov", Stand::Against(Reason::Token))
            .evidence(evidence)
            .cause("its physical function is on VFIO, too: opening it without the token fails with EACCES")
            .remedy(format!("vfio:{}?token=UUID, with the token that the physical function's driver has set", function.bdf));
    }
    match sriov.total {
        0 => Row::ok("sriov").evidence("none"),
        total if sriov.enabled > 0 && function.is_on_vfio() => Row::warn(
            "sriov",
            Stand::Against(Reason::Token),
        )
        .evidence(format!(
            "physical function on VFIO, {} of {total} virtual ones are on",
            sriov.enabled
        ))
        .cause("while one of them is open, opening this one without the token fails with EACCES")
        .remedy(format!(
            "vfio:{}?token=UUID, with the token of those who have the virtual functions open",
            function.bdf
        )),
        total => Row::ok("sriov").evidence(format!(
            "physical function, {} of {total} virtual ones are on",
            sriov.enabled
        )),
    }
}

pub(super) fn numa(view: &View<'_>, function: &Function) -> Row {
    let nodes = view.tree.nodes();
    let warn = || {
        Row::warn(
            "numa",
            Stand::Not("it costs time, and can't be mended by another driver"),
        )
    };
    match function.node {
        Some(node) if nodes.contains(&node) && is_empty(view, node) => warn()
            .evidence(format!("node {node} of {}, without memory", nodes.len()))
            .cause("memory for the device comes from another node: no module is in the slots of its own")
            .remedy("put memory into the slots of that node, or the board into a slot of another"),
        Some(node) if nodes.contains(&node) => {
            Row::ok("numa").evidence(format!("node {node} of {}", nodes.len()))
        }
        Some(node) => warn()
            .evidence(format!("node {node}, which is not there"))
            .cause("the firmware's tables are wrong")
            .remedy("choose a node yourself: hwpool takes memory from anywhere"),
        None if nodes.len() < 2 => Row::ok("numa").evidence("one node"),
        None => warn()
            .evidence(format!("numa_node is -1 on a machine with {} nodes", nodes.len()))
            .cause("the firmware does not tell where the function is: memory may be far from it")
            .remedy("look up the slot in the board's manual, and run the program by numactl --cpunodebind --membind"),
    }
}

fn is_empty(view: &View<'_>, node: u32) -> bool {
    let meminfo = view.tree.meminfo(Some(node));
    meminfo.and_then(|meminfo| meminfo.bytes("MemTotal")) == Some(0)
}
