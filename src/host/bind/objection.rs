//! What speaks against a plan.

use std::fmt;

use super::state::Step;
use crate::host::usage::{Reason, Usage, Use};
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

/// Returns the uses of all functions that the steps take from their drivers, or from whoever uses them without one.
pub(super) fn against_taking(
    tree: &Tree,
    functions: &[Function],
    steps: &[Step],
) -> Vec<Objection> {
    let taken: Vec<_> = steps.iter().filter_map(Step::takes).collect();
    let openers = Openers::read(tree);
    let concerned = functions.iter().filter(|f| taken.contains(&f.bdf));
    let objections = concerned.flat_map(|function| {
        let uses = Usage::of(tree, function, &openers).uses.into_iter();
        uses.map(|Use { reason, what }| Objection {
            bdf: function.bdf,
            reason,
            what,
        })
    });
    objections.collect()
}

/// Returns what keeps the group of a function from being used by VFIO when `functions` are bound to it.
pub(super) fn against_group(device: &Function, functions: &[Function]) -> Vec<Objection> {
    let bdf = device.bdf;
    let Some(group) = &device.group else {
        return vec![Objection {
            bdf,
            reason: Reason::NoIommu,
            what: "it is in no IOMMU group, so that VFIO takes it without an IOMMU or not at all; `hwpool doctor` says why".into(),
        }];
    };
    let strangers = group.strangers().into_iter();
    strangers
        .filter(|member| functions.iter().all(|f| f.bdf != member.bdf))
        .map(|member| Objection {
            bdf,
            reason: Reason::Group,
            what: format!(
                "{} of its group {} is on {}, so that the group is not viable; --whole-group binds it, too",
                member.bdf,
                group.number,
                member.driver.as_deref().unwrap_or_default()
            ),
        })
        .collect()
}
