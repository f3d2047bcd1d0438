//! Which pages are taken for a request.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{MemoryError, Warning};
use super::memfd::Memfd;
use super::memory::Memory;
use super::request::{MemoryRequest, Pages};
use crate::machine::{PageSize, Tree};

impl Memory {
    /// Allocates memory, zeroed, with every page populated.
    ///
    /// Blocks while the kernel clears the pages, which can take seconds for many GiB. Warnings are kept in
    /// [`Memory::warnings`] and logged, after the first of the process as debug messages.
    ///
    /// # Errors
    ///
    /// [`MemoryError`]; in particular too few hugepages or too little memory are errors here, never a signal later.
    pub fn allocate(request: &MemoryRequest) -> Result<Memory, MemoryError> {
        let memory = Memory::allocate_on(&Tree::running(), request)?;
        for warning in memory.warnings() {
            log(memory.label(), warning);
        }
        Ok(memory)
    }

    fn allocate_on(tree: &Tree, request: &MemoryRequest) -> Result<Memory, MemoryError> {
        request.check()?;
        let missing = request.node.filter(|node| !tree.has_node(*node));
        let node = request.node.filter(|_| missing.is_none());
        let mut memory = match request.pages {
            Pages::Exactly(size) => Memfd::new(tree, request, node, size)?.allocate()?,
            Pages::Largest => Memory::allocate_largest(tree, request, node)?,
        };
        let warning = missing.map(|node| Warning::NodeMissing { node });
        memory.warnings.extend(warning);
        Ok(memory)
    }

    fn allocate_largest(
        tree: &Tree,
        request: &MemoryRequest,
        node: Option<u32>,
    ) -> Result<Memory, MemoryError> {
        let mut warning = None;
        for size in PageSize::large().rev() {
            if !size.suits(request.len) {
                continue;
            }
            let memfd = Memfd::new(tree, request, node, size)?;
            let shortage = memfd.hugepages(node);
            if shortage.is_none() {
                match memfd.allocate() {
                    // Somebody else took them since they were counted.
                    Err(MemoryError::NoHugepages { .. }) => {}
                    result => return result,
                }
            }
            warning = Some(Warning::BasePages(shortage));
        }
        let mut memory = Memfd::new(tree, request, node, PageSize::Base)?.allocate()?;
        memory.warnings.extend(warning);
        Ok(memory)
    }
}

/// Logs a warning; later ones mostly say the same of other memory, and are for those who look for them.
fn log(label: &str, warning: &Warning) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        tracing::debug!("DMA memory for {label}: {warning}");
    } else {
        tracing::warn!("DMA memory for {label}: {warning}");
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
