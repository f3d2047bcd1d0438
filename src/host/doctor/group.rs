//! Checks of the IOMMU group: who else is in it, and why.

use super::command;
use super::row::{Row, Stand, Verdict};
use super::view::View;
use crate::host::usage::{Reason, Usage, Use};
use crate::machine::{Acs, Bdf, Config, Function, Group, Member, directory};

/// Returns what keeps VFIO from the group of a function when `together` are bound to it at once.
pub(crate) fn in_the_way(function: &Function, together: &[Function]) -> Vec<Use> {
    let Some(group) = &function.group else {
        return vec![Use::new(
            Reason::NoIommu,
            "it is in no IOMMU group, so that VFIO takes it without an IOMMU or not at all; `hwpool doctor` says why",
        )];
    };
    let strangers = group.strangers().into_iter();
    strangers
        .filter(|member| together.iter().all(|f| f.bdf != member.bdf))
        .map(|member| {
            let driver = member.driver.as_deref().unwrap_or_default();
            Use::new(
                Reason::Group,
                format!(
                    "{} of its group {} is on {driver}, so that the group is not viable; --whole-group binds it, too",
                    member.bdf, group.number
                ),
            )
        })
        .collect()
}

pub(super) fn group(view: &View<'_>, function: &Function) -> Row {
    let found = in_the_way(function, view.together);
    let Some(group) = &function.group else {
        return Row::block("group", Stand::Uses(found))
            .evidence("in no IOMMU group")
            .cause("there is no IOMMU in front of the function")
            .remedy("see the row `iommu`");
    };
    if group.noiommu {
        return Row::warn(
            "group",
            Stand::Not("VFIO made the group up: it has the function already"),
        )
        .evidence(format!("group {} of VFIO without an IOMMU", group.number))
        .cause("the device reaches all memory of this machine")
        .remedy("open it with ?noiommu=1 if that is what you want, or switch the IOMMU on");
    }
    let evidence = members(view, group);
    if found.is_empty() {
        return Row::ok("group").evidence(evidence);
    }
    let strangers = group.strangers();
    let remedies = strangers.iter().map(|one| moved(view, function, one));
    let row = Row::block("group", Stand::Uses(found)).evidence(evidence);
    let row = remedies.fold(row, Row::remedy);
    let names = strangers.iter().map(|stranger| {
        let driver = stranger.driver.as_deref().unwrap_or_default();
        format!("{} on {driver}", stranger.bdf)
    });
    let names: Vec<_> = names.collect();
    row.cause(format!(
        "the group is not viable: {} may do DMA in it",
        names.join(", ")
    ))
    .remedy("or another slot, whose bridge separates it: see the row `acs`")
}

/// Tells who is in a group.
fn members(view: &View<'_>, group: &Group) -> String {
    let members = group.others.iter().map(|member| {
        let driver = member.driver.as_deref().unwrap_or("no driver");
        format!("{} ({driver})", member.bdf)
    });
    let members: Vec<_> = members.collect();
    let text = match members.is_empty() {
        true => format!("group {}, alone", group.number),
        false => format!("group {} with {}", group.number, members.join(", ")),
    };
    let kind = format!("/sys/kernel/iommu_groups/{}/type", group.number);
    match view.tree.text(&kind).as_deref() {
        // What `iommu=pt` leads to. VFIO gives the group a domain of its own all the same.
        Some("identity") => format!(
            "{text}; passed through while a driver of the kernel has it, translated on VFIO"
        ),
        _ => text,
    }
}

/// Tells how another function of the group is got out of the way.
fn moved(view: &View<'_>, function: &Function, stranger: &Member) -> String {
    let bdf = stranger.bdf;
    let sibling = Function::read(view.tree, bdf);
    if sibling.as_ref().is_some_and(Function::is_bridge) {
        return match whole_group(view, function) {
            Ok(command) => format!("{command}: takes the bridge {bdf} from its driver, too"),
            Err(what) => {
                format!("the bridge {bdf} goes with the whole group, once this is mended: {what}")
            }
        };
    }
    let uses = sibling
        .as_ref()
        .map(|sibling| Usage::of(view.tree, sibling, view.openers).uses);
    if let Some(one) = uses.unwrap_or_default().first() {
        return format!("{bdf} is in use: {}; move that elsewhere first", one.what);
    }
    match command::bind(view, sibling.as_slice(), "pci-stub", " --driver pci-stub") {
        Ok(command) => format!("{command} (it is idle)"),
        Err(what) => format!("{what}; then give {bdf}, which is idle, to pci-stub"),
    }
}

/// Returns the command that binds all of a group, or what is in the way of it.
fn whole_group(view: &View<'_>, function: &Function) -> Result<String, String> {
    let strangers = function.group.iter().flat_map(Group::strangers);
    let others = strangers.filter_map(|member| Function::read(view.tree, member.bdf));
    let all: Vec<_> = [function.clone()].into_iter().chain(others).collect();
    command::bind(view, &all, "vfio-pci", " --whole-group --dry-run")
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
    let found = in_the_way(function, view.together);
    let stand = match found.is_empty() {
        true => Stand::Not("its neighbours are idle or on VFIO, which gives a group to one user"),
        false => Stand::Uses(found),
    };
    not_apart(
        view,
        row.but(Verdict::Warn, stand),
        function,
        &others,
        &states,
    )
}

/// Says why functions are in one group, and how one of them gets a group of its own.
fn not_apart(
    view: &View<'_>,
    row: Row,
    function: &Function,
    others: &[Bdf],
    bridges: &[(&Bdf, Option<Acs>)],
) -> Row {
    let whole = match whole_group(view, function) {
        Ok(command) => format!("bind the whole group: {command}"),
        Err(what) => format!("bind the whole group (--whole-group), once this is mended: {what}"),
    };
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
        None => "whether ACS is on can't be read".into(),
        Some(Acs::On) => "ACS on".into(),
        Some(Acs::NotNeeded) => "upstream port of a switch, which needs no ACS".into(),
        Some(Acs::Off(bits)) => format!("ACS controls {bits:#x} are off"),
        Some(Acs::Absent) => "ACS absent".into(),
        Some(Acs::Shared) => "to conventional PCI, which has no ACS".into(),
    }
}
