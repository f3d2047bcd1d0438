//! What checks look at.

use crate::host::usage::Usage;
use crate::machine::{Function, Openers, Process, Tree};

/// What checks look at.
pub(super) struct View<'a> {
    pub(super) tree: &'a Tree,
    pub(super) function: Option<Function>,
    pub(super) usage: Option<Usage>,
    pub(super) openers: Openers,
    pub(super) process: Process,
    pub(super) pin: u64,
}
