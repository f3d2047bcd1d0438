//! Making a served model, looking at it, ending it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use hwpool_sim::{Counters, Mode, Model, SimConfig, SimError, Violation};

use super::doorbells::Doorbells;
use super::poller;
use super::shared::Shared;
use crate::often::Often;
use crate::user::server::Lines;
use crate::user::sync::lock;

/// Why a model can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimDeviceError {
    /// No such model, or a parameter out of its range.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The doorbell pages can't be made.
    #[error("the doorbell pages can't be made: {0}")]
    Pages(std::io::Error),
    /// The model's thread can't be started.
    #[error("the model's thread can't be started: {0}")]
    Thread(std::io::Error),
}

/// A model that a server can serve: it is [`Served`](crate::user::server::Served).
#[derive(Debug)]
pub struct SimDevice {
    pub(super) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Mappings that the model was given.
    pub(super) given: BTreeSet<u64>,
    /// Mappings of this client's in files that are slow to reach, and those that were refused.
    pub(super) copied: Often,
    pub(super) refused: Often,
}

/// Looks at a served model from outside.
#[derive(Debug, Clone)]
pub struct SimMonitor(Arc<Shared>);

impl SimDevice {
    /// Makes the model `name` as firmware would leave it, and starts its thread.
    ///
    /// # Errors
    ///
    /// No such model, a parameter out of its range, or what the operating system says.
    pub fn new(name: &str, config: SimConfig) -> Result<SimDevice, SimDeviceError> {
        config.check_model(name).map_err(SimError::from)?;
        let stepped = config.mode == Mode::Stepped;
        let model = Model::new(config).map_err(SimError::from)?;
        let vectors = model.vectors();
        let bank = model.doorbells();
        let size = bank.and_then(|bank| model.bar_size(bank.bar));
        let doorbells = Doorbells::new(bank, size.unwrap_or(0));
        let shared = Arc::new(Shared {
            doorbells: doorbells.map_err(SimDeviceError::Pages)?,
            sizes: (0..6).map(|bar| model.bar_size(bar)).collect(),
            model: Mutex::new(model),
            vectors,
            lines: Arc::new(Lines::new([0, 0, vectors.into(), 0, 0])),
            wanted: AtomicBool::new(false),
            running: AtomicU64::new(0),
            stepped,
            stop: AtomicBool::new(false),
            poller: OnceLock::new(),
            violations: Mutex::default(),
        });
        let thread = poller::start(&shared).map_err(SimDeviceError::Thread)?;
        Ok(SimDevice {
            shared,
            thread: Some(thread),
            given: BTreeSet::new(),
            copied: Often::default(),
            refused: Often::default(),
        })
    }

    /// Returns what looks at the model while it is served.
    pub fn monitor(&self) -> SimMonitor {
        SimMonitor(Arc::clone(&self.shared))
    }
}

impl SimMonitor {
    /// Takes the violations that were recorded since the last call, the first 1024 of them.
    pub fn violations(&self) -> Vec<Violation> {
        self.0.collect_violations();
        std::mem::take(&mut lock(&self.0.violations))
    }

    /// Reads the register at `offset` of a BAR from beside the bus, as [`Model::peek`].
    #[cfg(feature = "metrics")]
    pub(crate) fn peek(&self, bar: u8, offset: u64) -> Option<u64> {
        self.0.beside(|model| model.peek(bar, offset))
    }

    /// Reads 32 bits of configuration space from beside the bus.
    #[cfg(feature = "metrics")]
    pub(crate) fn peek_config(&self, offset: u16) -> u32 {
        self.0.beside(|model| model.peek_config(offset))
    }

    /// Returns the size of a BAR, where there is one.
    #[cfg(feature = "metrics")]
    pub(crate) fn bar_size(&self, bar: u8) -> Option<u64> {
        self.0.sizes.get(usize::from(bar)).copied().flatten()
    }

    /// Returns what crossed the bus since the model was made.
    pub fn counters(&self) -> Counters {
        lock(&self.0.model).counters()
    }
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic was printed when it happened.
            let _ = thread.join();
        }
    }
}
