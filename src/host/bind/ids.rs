//! Why a function is on another driver than it shall be: ids that vfio-pci was told to take.

use super::state::Wanted;
use crate::machine::{Arguments, Bdf, Function, Tree, is_vfio};

/// Says why `bdf` is on the driver `found` and not on the wanted one, and what to do.
pub(super) fn why(tree: &Tree, bdf: Bdf, wanted: &Wanted, found: Option<&str>) -> String {
    let function = Function::read(tree, bdf);
    let (Some(function), Some(driver), Wanted::Any) = (function, found, wanted) else {
        return "the driver refused it; dmesg says why".into();
    };
    let Function { vendor, device, .. } = function;
    match named_at(tree, &function) {
        Some(place) => format!(
            "{place} gives {driver} each function {vendor:04x}:{device:04x}; take the ids out there and boot again, or name \
             a driver (--driver)"
        ),
        None => format!(
            "somebody told {driver} to take {vendor:04x}:{device:04x}; `echo {vendor:04x} {device:04x} > \
             /sys/bus/pci/drivers/{driver}/remove_id` ends that, or name a driver (--driver)"
        ),
    }
}

/// Returns where the ids of a function stand as those that vfio-pci shall take.
fn named_at(tree: &Tree, function: &Function) -> Option<String> {
    let arguments = Arguments::read(tree);
    let mut words = arguments.named(|name| name.strip_suffix(".ids").is_some_and(is_vfio));
    let has_it = |word: &&str| {
        word.split_once('=')
            .is_some_and(|(_, ids)| has(ids, function))
    };
    if let Some(word) = words.find(has_it) {
        return Some(format!("`{word}` on the kernel's command line"));
    }
    [
        "/etc/modprobe.d",
        "/run/modprobe.d",
        "/usr/lib/modprobe.d",
        "/lib/modprobe.d",
    ]
    .iter()
    .flat_map(|directory| {
        let names = tree.names(directory).into_iter();
        names.map(move |name| format!("{directory}/{name}"))
    })
    .find(|path| {
        let text = tree.text(path).unwrap_or_default();
        text.lines().any(|line| is_option(line, function))
    })
}

/// Tells whether a line of modprobe.d is `options vfio-pci ids=...` with the ids of a function.
fn is_option(line: &str, function: &Function) -> bool {
    let mut words = line.split_whitespace();
    let is_for_vfio = words.next() == Some("options") && words.next().is_some_and(is_vfio);
    let mut ids = words.filter_map(|word| word.trim_matches('"').strip_prefix("ids="));
    is_for_vfio && ids.any(|ids| has(ids, function))
}

/// Looks for a function in `VENDOR:DEVICE[:...],...`, in hexadecimal digits, where ffffffff is any.
fn has(ids: &str, function: &Function) -> bool {
    let is = |text: Option<&str>, id: u16| {
        let number =
            text.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        number == Some(id.into()) || number == Some(u32::MAX)
    };
    ids.trim_matches('"').split(',').any(|entry| {
        let mut parts = entry.split(':');
        is(parts.next(), function.vendor) && is(parts.next(), function.device)
    })
}
