//! What each kind of device adds to the ladder: the one list.

use hwpool_devices::bus::Transport;
use hwpool_devices::family::Complaint;

use super::rung::Rung;
use super::symptom::Causes;
use super::{bmu, fifo};

/// What the bring-up of one kind of device has of its own.
struct Own<T: Transport> {
    /// The kind, by the name of its driver.
    kind: &'static str,
    /// Its rungs; one with the id of a general rung stands in its place.
    rungs: fn() -> Vec<Rung<T>>,
    /// What makes it complain so.
    complaint: fn(&Complaint) -> Causes,
}

#[rustfmt::skip] // a table: one kind, one line
fn all<T: Transport>() -> Vec<Own<T>> {
    vec![
        Own { kind: "bmu", rungs: bmu::rungs, complaint: bmu::halted },
        Own { kind: "fifo", rungs: fifo::rungs, complaint: |_| &[] },
    ]
}

/// Returns the rungs of a kind; none where it has none of its own.
pub(super) fn rungs<T: Transport>(kind: &str) -> Vec<Rung<T>> {
    let own = all().into_iter().find(|own| own.kind == kind);
    own.map_or_else(Vec::new, |own| (own.rungs)())
}

/// Returns the rungs of every kind.
pub(super) fn all_rungs<T: Transport>() -> Vec<Rung<T>> {
    all().into_iter().flat_map(|own| (own.rungs)()).collect()
}

/// Returns what makes a device complain so; nothing where nobody knows.
pub(super) fn complaint(complaint: &Complaint) -> Causes {
    let all = all::<crate::sim::InProcess>();
    let own = all.iter().find(|own| own.kind == complaint.kind);
    own.map_or(&[], |own| (own.complaint)(complaint))
}
