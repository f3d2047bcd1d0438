//! Checks of the function's place on the bus.

use super::row::{Row, Stand, Verdict};
use super::view::View;
use crate::host::hugepages::size_text;
use crate::host::usage::Reason;
use crate::machine::{Bdf, Config, Function, directory};

/// Counts since boot are no state of now.
const COUNTED: Stand = Stand::Not("they were counted since boot, and may be over");

/// A function that is gone reads all ones, also where its ids should be.
pub(super) fn answers(view: &View<'_>, function: &Function) -> Row {
    let Some(config) = Config::header(view.tree, function.bdf) else {
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
            return Row::block("answers", Stand::Against(Reason::Answers))
                .evidence(evidence)
                .evidence(known)
                .cause("nobody answers: its power is off (D3cold), and the kernel has not woken it")
                .remedy(format!("echo on > {at}/power/control"));
        }
        (u16::MAX, _) => "nobody answers: the board has lost power or link, or is being programmed",
        _ => "the board was programmed with another design after the kernel had looked at it",
    };
    Row::block("answers", Stand::Against(Reason::Answers))
        .evidence(evidence)
        .evidence(known)
        .cause(cause)
        .remedy(format!("echo 1 > {}/remove", directory(function.bdf)))
        .remedy("echo 1 > /sys/bus/pci/rescan, once the board is programmed and its link is up")
}

pub(super) fn link(_: &View<'_>, function: &Function) -> Row {
    let Some(link) = &function.link else {
        return Row::unknown("link").evidence(match function.is_gone {
            true => "nobody answers, so that its state is not known",
            false => "no link of its own, or the kernel does not tell its width",
        });
    };
    let evidence = format!(
        "x{} at {}, able to do x{} at {}",
        link.width, link.speed, link.max_width, link.max_speed
    );
    if !link.is_reduced() {
        return Row::ok("link").evidence(evidence);
    }
    Row::warn("link", Stand::Not("it is slower, and does all"))
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
    let port = port_above(view, function.bdf).and_then(|bdf| Some((bdf, of(bdf)?)));
    let row = Row::ok("requests").evidence(evidence);
    match port {
        Some((bdf, port)) if port.max_payload < requests.max_payload => row
            .but(Verdict::Warn, Stand::Against(Reason::Requests))
            .evidence(format!("the port above, {bdf}, takes {} bytes", port.max_payload))
            .cause("writes of the device that are longer than the port takes are errors (malformed TLP, which is fatal)")
            .remedy("pci=pcie_bus_safe on the kernel's command line, and boot again"),
        _ => row,
    }
}

pub(super) fn bars(view: &View<'_>, function: &Function) -> Row {
    if function.is_bridge() {
        return Row::unknown("bars").evidence("a bridge, which the kernel drives");
    }
    if function.bars.is_empty() {
        return without_bars(view, function);
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
    row.but(Verdict::Block, Stand::Against(Reason::Bars))
        .cause("the board was programmed again after the kernel had looked at it, or the bridge above has no room")
        .remedy(format!("unbind it, echo 1 > {}/remove, best of the port above it", directory(function.bdf)))
        .remedy("echo 1 > /sys/bus/pci/rescan; where there is no room: pci=realloc on the kernel's command line")
}

fn without_bars(view: &View<'_>, function: &Function) -> Row {
    let at = directory(function.bdf);
    if view
        .tree
        .text(&format!("{at}/resource"))
        .is_none_or(|text| text.is_empty())
    {
        return Row::unknown("bars").evidence(format!("{at}/resource can't be read"));
    }
    Row::block("bars", Stand::Against(Reason::Bars))
        .evidence("the function has no BAR")
        .cause("there is no register to drive it by: its design has none, or the board was not programmed when the kernel looked at it")
        .remedy(format!("unbind it, program the board, echo 1 > {at}/remove"))
        .remedy("echo 1 > /sys/bus/pci/rescan")
}

/// Errors of a link are counted at both of its ends, and those of a virtual function by its physical one.
pub(super) fn aer(view: &View<'_>, function: &Function) -> Row {
    let physical = function.sriov.physical;
    let ends = [Some(function.bdf), physical, port_above(view, function.bdf)];
    let counts = ends
        .into_iter()
        .flatten()
        .map(|bdf| (bdf, counted(view, bdf)));
    let counts: Vec<_> = counts.collect();
    if counts.iter().all(|(_, counted)| counted.is_none()) {
        return Row::unknown("aer").evidence("the kernel counts no errors of this function's link");
    }
    let errors = counts.into_iter().flat_map(|(bdf, counted)| {
        let lines = counted.unwrap_or_default().into_iter();
        lines.map(move |line| match bdf == function.bdf {
            true => line,
            false if Some(bdf) == physical => format!("its physical function {bdf}: {line}"),
            false => format!("the port above, {bdf}: {line}"),
        })
    });
    let errors: Vec<_> = errors.collect();
    if errors.is_empty() {
        return Row::ok("aer").evidence("no error since boot");
    }
    errors
        .into_iter()
        .fold(Row::warn("aer", COUNTED), Row::evidence)
        .cause("errors on the link since boot: a bad contact, a clock, or a design that answers wrongly")
        .remedy("look whether the counts grow while the board works; reseat it, then look at its clock and power")
}

/// Returns the lines of what a function has counted; `None` where the kernel counts nothing of it.
fn counted(view: &View<'_>, bdf: Bdf) -> Option<Vec<String>> {
    let files = view.tree.function(bdf);
    let kinds = ["correctable", "nonfatal", "fatal"].into_iter();
    let texts: Vec<_> = kinds
        .filter_map(|kind| files.text(&format!("aer_dev_{kind}")))
        .collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let counted = lines.filter(|line| is_counted(line)).map(str::to_string);
    (!texts.is_empty()).then(|| counted.collect())
}

/// Returns the port at the other end of a function's link.
fn port_above(view: &View<'_>, bdf: Bdf) -> Option<Bdf> {
    let above = view.tree.functions_above(&directory(bdf)).into_iter();
    above.rev().find(|above| *above != bdf)
}

/// Tells whether a line `KIND COUNT` counts something; totals repeat the others.
fn is_counted(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_total = words.next().is_none_or(|kind| kind.starts_with("TOTAL"));
    !is_total && words.next().is_some_and(|count| count != "0")
}
