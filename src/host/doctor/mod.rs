//! Checks whether hwpool could drive a function as things are, and what to do where it could not.
//!
//! | file | idea |
//! | --- | --- |
//! | `machine.rs` | kernel, IOMMU, modules, memory |
//! | `interrupts.rs` | whether interrupts of devices are kept apart |
//! | `process.rs` | what this user and process may do |
//! | `device.rs` | the function: driver, use, reset |
//! | `group.rs` | who is in its group, and why |
//! | `command.rs` | remedies that are commands of hwpool |
//! | `row.rs`, `view.rs` | what a check says, and what it looks at |
//! | `bus.rs` | the function's place on the bus: link, BARs, errors, bridges |
//!
//! Every check reads files of the kernel and changes nothing. A row says what was read (evidence), what it means where
//! it is not well (cause), and what to do, as commands where there are such (remedy). What warns or blocks also says
//! whether it speaks against binding the function: `bind` asks the same checks, and has no list of its own.

mod bus;
mod command;
mod device;
mod group;
mod interrupts;
mod machine;
mod process;
mod row;
mod view;

use super::usage::{Usage, Use};
use crate::machine::{Bdf, Function, Openers, Process, Tree};

pub(crate) use group::in_the_way;
pub use row::{Row, Stand, Verdict};

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
        openers: &openers,
        together: &[],
        against: Some(objections),
    };
    let machine = MACHINE.iter().map(|check| check(&view));
    Some(machine.chain(device_rows(&view)).collect())
}

/// Returns what speaks against binding `function` at once with all of `together`.
pub(crate) fn objections(
    tree: &Tree,
    function: &Function,
    together: &[Function],
    openers: &Openers,
) -> Vec<Use> {
    let view = View {
        tree,
        pin: 0,
        process: Process::read(tree),
        usage: Some(Usage::of(tree, function, openers)),
        function: Some(function.clone()),
        openers,
        together,
        against: None,
    };
    let mut found: Vec<_> = device_rows(&view)
        .flat_map(|row| row.objections())
        .collect();
    found.sort_by_key(|one| one.reason);
    found
}

fn device_rows<'a>(view: &'a View<'_>) -> impl Iterator<Item = Row> + 'a {
    let functions = view.function.iter();
    functions.flat_map(move |function| DEVICE.iter().map(move |check| check(view, function)))
}

const MACHINE: &[fn(&View<'_>) -> Row] = &[
    machine::kernel,
    machine::iommu,
    interrupts::interrupt_remapping,
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
    group::group,
    group::acs,
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
