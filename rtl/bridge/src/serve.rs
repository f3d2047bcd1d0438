//! From a design's file to a function that a server can serve.

use std::path::Path;
use std::sync::Arc;

use hwpool::user::server::Lines;

use crate::axi::pace::Pace;
use crate::build::{self, BuildError, Built, Options, Said, Verilator};
use crate::clock::{Clock, Monitor, Order};
use crate::design::Design;
use crate::function::Function;
use crate::machine::{Machine, NewError};
use crate::model::{Model, ModelError, PinInfo, Start};

/// Why a design can't be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It can't be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its ports are not as the file says, or it does not survive its reset.
    #[error(transparent)]
    New(#[from] NewError),
    /// The thread of its clock can't be started.
    #[error("the thread of the clock can't be started")]
    Thread(#[source] std::io::Error),
}

/// How a design is run.
#[derive(Debug, Copy, Clone, Default)]
pub struct Run<'a> {
    /// What chance does: back-pressure and what registers hold at the start. `None`: none of it.
    pub seed: Option<u64>,
    /// The file of the waveform.
    pub trace: Option<&'a Path>,
    /// Threads of the design; 0 as 1.
    pub threads: u32,
}

/// A design that is ready to be served.
#[derive(Debug)]
pub struct Opened {
    /// What a server serves.
    pub function: Function,
    /// Looks at it meanwhile.
    pub monitor: Monitor,
    /// Its ports.
    pub ports: Vec<PinInfo>,
    /// It was built before.
    pub cached: bool,
    /// What looks like a combinational loop.
    pub loops: Option<Said>,
}

/// Builds a design, or finds it built; what of `run` is not about waveforms and threads does not matter.
///
/// # Errors
///
/// What is missing, or what Verilator refuses.
pub fn prepare(design: &Design, run: Run<'_>) -> Result<Built, BuildError> {
    let options = Options {
        threads: run.threads.max(1),
        traced: run.trace.is_some(),
    };
    build::build(&Verilator::find()?, &design.sources, options)
}

/// Builds a design, loads it, connects it, resets it, and lets it do what its reset begins.
///
/// # Errors
///
/// What is missing, what Verilator refuses, a port that is not there, or a design that does not survive its reset.
pub fn open(design: &Design, run: Run<'_>) -> Result<Opened, OpenError> {
    open_built(design, &prepare(design, run)?, run)
}

/// Loads a design that was built with the same `run`, connects it, resets it, and lets it do what its reset begins.
///
/// # Errors
///
/// A port that is not there, or a design that does not survive its reset.
pub fn open_built(design: &Design, built: &Built, run: Run<'_>) -> Result<Opened, OpenError> {
    let start = run.seed.map_or(Start::Zeros, Start::Random);
    let mut model = Model::load(&built.library, start, run.threads.max(1))?;
    if let Some(path) = run.trace {
        model.trace_to(path)?;
    }
    let ports = model.pins().map(|(_, info)| info.clone()).collect();
    let lines = Arc::new(Lines::new([0, 0, design.pci.vectors.into(), 0, 0]));
    let pace = run.seed.map_or_else(Pace::steady, Pace::seeded);
    let machine = Machine::new(design, model, Arc::clone(&lines), pace)?;
    let order = if run.seed.is_some() {
        Order::Replayed
    } else {
        Order::Prompt
    };
    let clock = Clock::start(machine, order).map_err(OpenError::Thread)?;
    clock.power_up();
    Ok(Opened {
        monitor: clock.monitor(),
        function: Function::new(design, clock, lines),
        ports,
        cached: built.cached,
        loops: built.loops.clone(),
    })
}
