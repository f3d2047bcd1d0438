//! What uses a network interface.

use std::collections::BTreeSet;

use super::reason::{Reason, Use};
use crate::machine::{
    Function, Tree, blocks_group, may_have_other_namespaces, other_tables, routes,
};

const NETWORK: u32 = 0x02;
/// `IFF_UP` of netdevice(7).
const UP: u32 = 1;

/// Returns what uses a network interface.
pub(super) fn uses(tree: &Tree, name: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let carrier = tree.number::<u32>(&format!("/sys/class/net/{name}/carrier"));
    if carrier == Some(1) {
        uses.push(Use::new(
            Reason::Carrier,
            format!("{name} is up and has a carrier"),
        ));
    }
    routed(tree, name, &mut BTreeSet::new(), &mut uses);
    if may_have_routes(tree, name) {
        uses.extend(other_tables(tree).into_iter().map(|table| {
            Use::new(
                Reason::Route,
                format!("table {table} has routes, and no file tells whether through {name}: `ip route show table {table}` does"),
            )
        }));
    }
    uses
}

/// An interface that is not up has no routes.
fn may_have_routes(tree: &Tree, name: &str) -> bool {
    let flags = tree.number::<u32>(&format!("/sys/class/net/{name}/flags"));
    flags.is_none_or(|flags| flags & UP != 0)
}

/// Adds the routes through an interface, and through all above it: a port of a bond or a bridge has no routes of its
/// own, and what is above it may be a part of something again. `seen` ends circles.
fn routed(tree: &Tree, name: &str, seen: &mut BTreeSet<String>, uses: &mut Vec<Use>) {
    if !seen.insert(name.to_string()) {
        return;
    }
    let routes = routes(tree, name).into_iter();
    uses.extend(routes.map(|to| {
        Use::new(
            Reason::Route,
            format!("the route to {to} goes through {name}"),
        )
    }));
    for upper in tree.names(&format!("/sys/class/net/{name}")) {
        let Some(upper) = upper.strip_prefix("upper_") else {
            continue;
        };
        uses.push(Use::new(
            Reason::Holder,
            format!("{name} is a part of {upper}"),
        ));
        routed(tree, upper, seen, uses);
    }
}

/// Tells of a network controller whose driver shows no interface here, where it may be in a namespace that can't be
/// looked into.
pub(super) fn elsewhere(tree: &Tree, function: &Function, interfaces: &[String]) -> Option<Use> {
    let driver = function.driver.as_deref()?;
    // Drivers of user space make no interfaces.
    let is_kernels = blocks_group(driver) && !driver.contains("uio");
    let is_network = function.class >> 16 == NETWORK && is_kernels;
    let is_missing = is_network && interfaces.is_empty();
    (is_missing && may_have_other_namespaces(tree)).then(|| {
        Use::new(
            Reason::Namespace,
            "a network controller with a driver and no interface: it may be in another network namespace",
        )
    })
}
