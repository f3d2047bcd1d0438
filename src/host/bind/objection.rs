//! What speaks against a plan.

use std::fmt;

use super::state::Step;
use crate::host::doctor::{in_the_way, objections};
use crate::host::usage::{Reason, Use};
use crate::machine::{Bdf, Function, Openers, Tree};

/// A reason against a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Objection {
    /// The function.
    pub bdf: Bdf,
    /// Of what kind.
    pub reason: Reason,
    /// The reason, in words.
    pub what: String,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, reason) = (&self.what, self.reason);
        write!(f, "{}: {what} (--override {reason})", self.bdf)
    }
}

/// Returns what doctor's checks have against taking the functions that the steps take from their drivers, or from whoever
/// uses them without one. What hinders VFIO's users speaks against any step.
pub(super) fn against_taking(
    tree: &Tree,
    functions: &[Function],
    steps: &[Step],
) -> Vec<Objection> {
    if steps.is_empty() {
        return Vec::new();
    }
    let taken: Vec<_> = steps.iter().filter_map(Step::takes).collect();
    let openers = Openers::read(tree);
    let objections = functions.iter().flat_map(|function| {
        let is_taken = taken.contains(&function.bdf);
        let found = objections(tree, function, functions, &openers).into_iter();
        found
            .filter(move |one| is_taken || one.reason.is_of_driving())
            .filter(|one| !one.reason.is_of_group())
            .map(|one| Objection::of(function.bdf, one))
    });
    objections.collect()
}

/// Returns what keeps the group of a function from being used by VFIO when `functions` are bound to it.
pub(super) fn against_group(device: &Function, functions: &[Function]) -> Vec<Objection> {
    let found = in_the_way(device, functions).into_iter();
    found.map(|one| Objection::of(device.bdf, one)).collect()
}

impl Objection {
    fn of(bdf: Bdf, one: Use) -> Objection {
        let Use { reason, what } = one;
        Objection { bdf, reason, what }
    }
}
