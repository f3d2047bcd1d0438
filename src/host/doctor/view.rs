//! What checks look at.

use crate::host::usage::{Usage, Use};
use crate::machine::{Function, Openers, Process, Tree};

/// Returns what speaks against binding a function at once with others.
pub(super) type Against = fn(&Tree, &Function, &[Function], &Openers) -> Vec<Use>;

/// What checks look at.
pub(super) struct View<'a> {
    pub(super) tree: &'a Tree,
    pub(super) function: Option<Function>,
    pub(super) usage: Option<Usage>,
    pub(super) openers: &'a Openers,
    pub(super) process: Process,
    pub(super) pin: u64,
    /// What is bound at once with the function, where that is asked about.
    pub(super) together: &'a [Function],
    /// Tells whether a binding that is a remedy would be refused; `None` where nobody reads the remedies.
    pub(super) against: Option<Against>,
}
