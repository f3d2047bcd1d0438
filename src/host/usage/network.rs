//! What uses a network interface.

use super::reason::{Reason, Use};
use crate::machine::{Tree, routes};

/// Returns what uses a network interface.
pub(super) fn uses(tree: &Tree, name: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let carrier = tree.number::<u32>(&format!("/sys/class/net/{name}/carrier"));
    if carrier == Some(1) {
        uses.push(Use {
            reason: Reason::Carrier,
            what: format!("{name} is up and has a carrier"),
        });
    }
    uses.extend(routed(tree, name));
    // A port of a bond or a bridge has no routes of its own; its upper interface has.
    for upper in tree.names(&format!("/sys/class/net/{name}")) {
        let Some(upper) = upper.strip_prefix("upper_") else {
            continue;
        };
        uses.push(Use {
            reason: Reason::Holder,
            what: format!("{name} is a part of {upper}"),
        });
        uses.extend(routed(tree, upper));
    }
    uses
}

/// Returns the routes through an interface as uses.
fn routed(tree: &Tree, name: &str) -> impl Iterator<Item = Use> {
    let routes = routes(tree, name).into_iter();
    routes.map(move |to| Use {
        reason: Reason::Route,
        what: format!("the route to {to} goes through {name}"),
    })
}
