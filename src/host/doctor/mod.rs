//! Checks whether hwpool could drive a function as things are, and what to do where it could not.
//!
//! | file | idea |
//! | --- | --- |
//! | `machine.rs` | kernel, IOMMU, modules, memory |
//! | `process.rs` | what this user and process may do |
//! | `device.rs` | the function: driver, group, use, reset |
//! | `row.rs`, `view.rs` | what a check says, and what it looks at |
//! | `bus.rs` | the function's place on the bus: link, BARs, errors, bridges |
//!
//! Every check reads files of the kernel and changes nothing. A row says what was read (evidence), what it means where
//! it is not well (cause), and what to do, as commands where there are such (remedy).

mod bus;
mod device;
mod machine;
mod process;
mod row;
mod view;

use super::usage::Usage;
use crate::machine::{Bdf, Function, Openers, Process, Tree};

pub use row::{Row, Verdict};

use view::View;

/// What to check for.
#[derive(Debug, Copy, Clone)]
pub struct Question {
    /// The function; without one the machine alone is checked.
    pub device: Option<Bdf>,
    /// Bytes of memory that the driver shall pin for DMA.
    pub pin: u64,
}

/// Runs all checks; `None` where there is no such function.
pub fn examine(tree: &Tree, question: Question) -> Option<Vec<Row>> {
    let function = match question.device {
        Some(bdf) => Some(Function::read(tree, bdf)?),
        None => None,
    };
    let openers = Openers::read(tree);
    let view = View {
        tree,
        pin: question.pin,
        process: Process::read(tree),
        usage: function.as_ref().map(|f| Usage::of(tree, f, &openers)),
        function,
        openers,
    };
    let machine = MACHINE.iter().map(|check| check(&view));
    let device = view.function.iter().flat_map(|function| {
        let view = &view;
        DEVICE.iter().map(move |check| check(view, function))
    });
    Some(machine.chain(device).collect())
}

const MACHINE: &[fn(&View<'_>) -> Row] = &[
    machine::kernel,
    machine::iommu,
    machine::interrupt_remapping,
    machine::modules,
    machine::lockdown,
    machine::noiommu,
    machine::hugepages,
    machine::thp,
    process::memlock,
    process::nofile,
    process::cgroup,
    process::dma_entries,
    process::nodes,
];

const DEVICE: &[fn(&View<'_>, &Function) -> Row] = &[
    bus::answers,
    device::driver,
    device::group,
    bus::acs,
    device::in_use,
    device::holder,
    device::iova,
    device::reset,
    device::power,
    device::sriov,
    device::numa,
    bus::link,
    bus::requests,
    bus::bars,
    bus::aer,
];
