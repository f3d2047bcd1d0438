//! Remedies that are commands of hwpool: only what would not be refused on this machine is a remedy.

use super::view::View;
use crate::machine::{Function, is_vfio};

/// Returns `hwpool bind` of the first of `functions` with `options`, which takes all of them for `driver`; or what is in
/// the way of that, in words.
pub(super) fn bind(
    view: &View<'_>,
    functions: &[Function],
    driver: &str,
    options: &str,
) -> Result<String, String> {
    if functions.first().is_some_and(Function::is_bridge) {
        return Err("a bridge belongs to the kernel".into());
    }
    if !view.tree.exists(&format!("/sys/bus/pci/drivers/{driver}")) {
        return Err(format!("modprobe {driver}"));
    }
    let in_the_way = functions
        .iter()
        .find_map(|function| hindrance(view, function, functions, driver));
    match (in_the_way, functions.first()) {
        (None, Some(function)) => Ok(format!("hwpool bind {}{options}", function.bdf)),
        (in_the_way, _) => Err(in_the_way.unwrap_or_default()),
    }
}

fn hindrance(
    view: &View<'_>,
    function: &Function,
    together: &[Function],
    driver: &str,
) -> Option<String> {
    let against = view.against?;
    let found = against(view.tree, function, together, view.openers);
    let is_taken = function.driver.as_deref() != Some(driver);
    let mut found = found.into_iter().filter(|one| match one.reason {
        reason if reason.is_of_driving() || reason.is_of_group() => is_vfio(driver),
        _ => is_taken,
    });
    found
        .next()
        .map(|one| format!("{}: {}", function.bdf, one.what))
}
