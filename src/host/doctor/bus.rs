//! Checks of the function's place on the bus.

use super::row::{Row, Verdict};
use super::view::View;
use crate::host::hugepages::size_text;
use crate::machine::{Acs, Bdf, Config, Function, directory};

/// A function that is gone reads all ones, also where its ids should be.
pub(super) fn answers(view: &View<'_>, function: &Function) -> Row {
    let Some(config) = Config::read(view.tree, function.bdf) else {
        return Row::unknown("answers").evidence("its configuration space can't be read");
    };
    let ids = config.ids();
    let evidence = format!("configuration space says {:04x}:{:04x}", ids.0, ids.1);
    let is_known = ids == (function.vendor, function.device) || function.sriov.physical.is_some();
    if is_known && !config.is_gone() {
        return Row::ok("answers").evidence(evidence);
    }
    let known = format!(
        "the kernel has known it as {:04x}:{:04x}",
        function.vendor, function.device
    );
    let at = directory(function.bdf);
    let power = view.tree.text(&format!("{at}/power_state"));
    let cause = match (ids.0, power.as_deref()) {
        (u16::MAX, Some("D3cold")) => {
            return Row::block("answers")
                .evidence(evidence)
                .evidence(known)
                .cause("nobody answers: its power is off (D3cold), and the kernel has not woken it")
                .remedy(format!("echo on > {at}/power/control"));
        }
        (u16::MAX, _) => "nobody answers: the board has lost power or link, or is being programmed",
        _ => "the board was programmed with another design after the kernel had looked at it",
    };
    Row::block("answers")
        .evidence(evidence)
        .evidence(known)
        .cause(cause)
        .remedy(format!("echo 1 > {}/remove", directory(function.bdf)))
        .remedy("echo 1 > /sys/bus/pci/rescan, once the board is programmed and its link is up")
}

/// Without access control on the way up, functions can reach each other behind the IOMMU's back, so that the kernel
/// puts them into one group.
pub(super) fn acs(view: &View<'_>, function: &Function) -> Row {
    let above = view.tree.functions_above(&directory(function.bdf));
    let bridges: Vec<Bdf> = above
        .into_iter()
        .filter(|bdf| *bdf != function.bdf)
        .collect();
    let states = bridges.iter().map(|bridge| {
        let config = Config::whole(view.tree, *bridge);
        (bridge, config.map(|config| config.acs()))
    });
    let states: Vec<_> = states.collect();
    let row = states.iter().fold(Row::ok("acs"), |row, (bridge, acs)| {
        row.evidence(format!("bridge {bridge}: {}", acs_text(*acs)))
    });
    let others = function.group.iter().flat_map(|group| &group.others);
    let others: Vec<Bdf> = others
        .map(|member| member.bdf)
        .filter(|bdf| !bridges.contains(bdf))
        .collect();
    if others.is_empty() {
        return row;
    }
    let row = Row {
        verdict: Verdict::Warn,
        ..row
    };
    not_apart(row, function, &others, &states)
}

/// Says why functions are in one group, and how one of them gets a group of its own.
fn not_apart(
    row: Row,
    function: &Function,
    others: &[Bdf],
    bridges: &[(&Bdf, Option<Acs>)],
) -> Row {
    let whole = format!(
        "bind the whole group: hwpool bind {} --whole-group --dry-run",
        function.bdf
    );
    if others.iter().all(|bdf| bdf.shares_device(function.bdf)) {
        return row
            .cause(
                "the other members are functions of the same board, which does not keep them apart",
            )
            .remedy(whole);
    }
    let is_missing =
        |acs: &Option<Acs>| matches!(acs, Some(Acs::Off(_) | Acs::Absent | Acs::Shared));
    let missing = bridges.iter().filter(|(_, acs)| is_missing(acs));
    let missing: Vec<_> = missing.map(|(bdf, _)| format!("bridge {bdf}")).collect();
    let culprits = match missing.is_empty() {
        true => "something on the way up".into(),
        false => missing.join(", "),
    };
    row.cause(format!(
        "{culprits} does not keep the functions below it apart"
    ))
    .remedy("another slot, below a root port of its own")
    .remedy(whole)
}

fn acs_text(acs: Option<Acs>) -> String {
    match acs {
        None => "ACS can't be read by this user".into(),
        Some(Acs::On) => "ACS on".into(),
        Some(Acs::NotNeeded) => "upstream port of a switch, which needs no ACS".into(),
        Some(Acs::Off(bits)) => format!("ACS controls {bits:#x} are off"),
        Some(Acs::Absent) => "ACS absent".into(),
        Some(Acs::Shared) => "to conventional PCI, which has no ACS".into(),
    }
}

pub(super) fn link(_: &View<'_>, function: &Function) -> Row {
    let Some(link) = &function.link else {
        return Row::unknown("link").evidence("no link of its own");
    };
    let evidence = format!(
        "x{} at {}, able to do x{} at {}",
        link.width, link.speed, link.max_width, link.max_speed
    );
    if !link.is_reduced() {
        return Row::ok("link").evidence(evidence);
    }
    Row::warn("link")
        .evidence(evidence)
        .cause("the slot has fewer lanes or is slower, the board sits badly, or lanes are broken or not constrained in the design")
        .remedy("reseat the board, try another slot, compare LnkCap of the port above (lspci -vv)")
}

/// A port takes no payload that is longer than its own limit.
pub(super) fn requests(view: &View<'_>, function: &Function) -> Row {
    let of = |bdf| Config::whole(view.tree, bdf)?.requests();
    let Some(requests) = of(function.bdf) else {
        return Row::unknown("requests").evidence("no PCI Express capability, or it can't be read");
    };
    let evidence = format!(
        "payload {} of {} bytes, read requests {} bytes",
        requests.max_payload, requests.max_payload_supported, requests.max_read
    );
    let above = view.tree.functions_above(&directory(function.bdf));
    let port = above.into_iter().rev().find(|bdf| *bdf != function.bdf);
    let port = port.and_then(|bdf| Some((bdf, of(bdf)?)));
    let row = Row::ok("requests").evidence(evidence);
    match port {
        Some((bdf, port)) if port.max_payload < requests.max_payload => Row { verdict: Verdict::Warn, ..row }
            .evidence(format!("the port above, {bdf}, takes {} bytes", port.max_payload))
            .cause("writes of the device that are longer than the port takes are errors (malformed TLP, which is fatal)")
            .remedy("pci=pcie_bus_safe on the kernel's command line, and boot again"),
        _ => row,
    }
}

pub(super) fn bars(_: &View<'_>, function: &Function) -> Row {
    if function.bars.is_empty() {
        return Row::unknown("bars").evidence("the function has no BAR");
    }
    let mut row = Row::ok("bars");
    let mut bad = false;
    for bar in &function.bars {
        let text = match (bar.start, bar.lost) {
            (None, _) => "has no address".to_string(),
            (Some(start), true) => {
                format!("is at {start:#x} for the kernel, and its register holds no address")
            }
            (Some(start), false) => format!("{} at {start:#x}", size_text(bar.bytes)),
        };
        bad |= bar.start.is_none() || bar.lost;
        row = row.evidence(format!("BAR {} {text}", bar.index));
    }
    if !bad {
        return row;
    }
    row.verdict = Verdict::Block;
    row.cause("the board was programmed again after the kernel had looked at it, or the bridge above has no room")
        .remedy(format!("unbind it, echo 1 > {}/remove, best of the port above it", directory(function.bdf)))
        .remedy("echo 1 > /sys/bus/pci/rescan; where there is no room: pci=realloc on the kernel's command line")
}

pub(super) fn aer(view: &View<'_>, function: &Function) -> Row {
    let kinds = ["correctable", "nonfatal", "fatal"];
    let files = kinds.map(|kind| format!("{}/aer_dev_{kind}", directory(function.bdf)));
    let texts: Vec<_> = files
        .iter()
        .filter_map(|file| view.tree.text(file))
        .collect();
    if texts.is_empty() {
        return Row::unknown("aer").evidence("the kernel counts no errors of this function");
    }
    let counted: Vec<_> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| is_counted(line))
        .collect();
    if counted.is_empty() {
        return Row::ok("aer").evidence("no error since boot");
    }
    counted
        .iter()
        .fold(Row::warn("aer"), |row, line| row.evidence(*line))
        .cause("errors on the link since boot: a bad contact, a clock, or a design that answers wrongly")
        .remedy("look whether the counts grow while the board works; reseat it, then look at its clock and power")
}

/// Tells whether a line `KIND COUNT` counts something; totals repeat the others.
fn is_counted(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_total = words.next().is_none_or(|kind| kind.starts_with("TOTAL"));
    !is_total && words.next().is_some_and(|count| count != "0")
}
