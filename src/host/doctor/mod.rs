//! Checks whether hwpool could drive a function as things are, and what to do where it could not.
//!
//! | file | idea |
//! | --- | --- |
//! | `machine.rs` | kernel, IOMMU, modules, memory |
//! | `process.rs` | what this user and process may do |
//! | `device.rs` | the function: driver, group, use, reset |
//! | `bus.rs` | the function's place on the bus: link, BARs, errors, bridges |
//!
//! Every check reads files of the kernel and changes nothing. A row says what was read (evidence), what it means where
//! it is not well (cause), and what to do, as commands where there are such (remedy).

mod bus;
mod device;
mod machine;
mod process;

use super::Usage;
use crate::machine::{Bdf, Function, Openers, Process, Tree};

/// What a check found.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// hwpool can drive the function, but something is not as it should be.
    Warn,
    /// hwpool can't drive the function as things are.
    Block,
    /// There is nothing to check, or the files that would tell are not to be read.
    Unknown,
}

impl Verdict {
    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Block => "block",
            Verdict::Unknown => "unknown",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the check, for programs; it stays.
    pub id: &'static str,
    /// What it found.
    pub verdict: Verdict,
    /// What was read.
    pub evidence: Vec<String>,
    /// Why it is not well, probably.
    pub cause: Option<String>,
    /// What to do about it, step by step.
    pub remedy: Vec<String>,
}

impl Row {
    fn new(id: &'static str, verdict: Verdict) -> Row {
        Row {
            id,
            verdict,
            evidence: Vec::new(),
            cause: None,
            remedy: Vec::new(),
        }
    }

    fn ok(id: &'static str) -> Row {
        Row::new(id, Verdict::Ok)
    }

    fn warn(id: &'static str) -> Row {
        Row::new(id, Verdict::Warn)
    }

    fn block(id: &'static str) -> Row {
        Row::new(id, Verdict::Block)
    }

    fn unknown(id: &'static str) -> Row {
        Row::new(id, Verdict::Unknown)
    }

    fn evidence(mut self, text: impl Into<String>) -> Row {
        self.evidence.push(text.into());
        self
    }

    fn cause(mut self, text: impl Into<String>) -> Row {
        self.cause = Some(text.into());
        self
    }

    fn remedy(mut self, text: impl Into<String>) -> Row {
        self.remedy.push(text.into());
        self
    }
}

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

/// What checks look at.
struct View<'a> {
    tree: &'a Tree,
    function: Option<Function>,
    usage: Option<Usage>,
    openers: Openers,
    process: Process,
    pin: u64,
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
