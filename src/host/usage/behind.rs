//! Functions that hang behind another which is no bridge, as the disks of Intel's VMD do, in a domain of their own.

use super::reason::{Reason, Use};
use crate::machine::{Bdf, Function, Tree, directory};

/// Returns the functions whose way to the root complex leads through `function`. A bridge has them by its nature.
pub(super) fn functions(tree: &Tree, function: &Function) -> Vec<Function> {
    let here = directory(function.bdf);
    if function.is_bridge() || !tree.names(&here).iter().any(|name| leads_on(name)) {
        return Vec::new();
    }
    let names = tree.names("/sys/bus/pci/devices").into_iter();
    let others = names.filter_map(|name| name.parse().ok());
    let others = others.filter(|other: &Bdf| {
        let way = tree.functions_above(&directory(*other));
        *other != function.bdf && way.contains(&function.bdf)
    });
    others
        .filter_map(|other| Function::read(tree, other))
        .collect()
}

/// Tells whether a directory is a root bus (`pci10000:e0`) or a function.
fn leads_on(name: &str) -> bool {
    let is_bus = |rest: &str| rest.contains(':');
    name.strip_prefix("pci").is_some_and(is_bus) || name.parse::<Bdf>().is_ok()
}

/// Tells of a function that is behind.
pub(super) fn told(behind: &Function) -> Use {
    let driver = behind.driver.as_deref().unwrap_or("no driver");
    let bdf = behind.bdf;
    Use::new(Reason::Behind, format!("{bdf} ({driver}) hangs behind it"))
}
