//! The transport that calls the model: no socket, no kernel, no privileges.
//!
//! `shared` is what the handles have in common, `server` the thread of threaded mode, `handles` BARs, doorbells and
//! interrupts.

mod handles;
mod server;
mod shared;

use std::cell::Cell as Local;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};

use crate::config::{Mode, SimConfig};
use crate::counters::Counters;
use crate::faults::{Fault, FaultError};
use crate::model::Model;
use crate::parameter::ConfigError;
use crate::violation::Violation;
pub use handles::{SimBar, SimDoorbell, SimIrq};
use shared::{Keeper, Shared};

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// There is no such model, or a parameter is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model's thread could not be started.
    #[error("the model's thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// A model in this process, as a [`Transport`].
///
/// Clones, and the handles made from it, reach the same function; the model ends with the last of them.
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Keeper>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl InProcess {
    /// Makes the model `name` (see [`MODELS`](crate::MODELS)) as firmware would leave it; `address` is what messages
    /// call it, such as `sim:bmu?seed=7`.
    ///
    /// # Errors
    ///
    /// No such model, a parameter out of its range, or no thread to be had.
    pub fn open(name: &str, address: &str, config: SimConfig) -> Result<InProcess, SimError> {
        config.check_model(name)?;
        let threaded = config.mode == Mode::Threaded;
        let model = Model::new(config)?;
        let shared = Arc::new(Shared::new(address.into(), threaded, model));
        let thread = if threaded {
            Some(server::start(&shared).map_err(SimError::Thread)?)
        } else {
            None
        };
        Ok(InProcess {
            shared: Arc::new(Keeper { shared, thread }),
        })
    }

    /// Takes the violations that were recorded since the last call. A test of a correct driver finds none.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.with(Model::take_violations)
    }

    /// Returns what crossed the bus since the model was opened or [`InProcess::reset_counters`].
    pub fn counters(&self) -> Counters {
        self.shared.with(|model| model.counters())
    }

    /// Starts all counters from 0.
    pub fn reset_counters(&self) {
        self.shared.with(Model::reset_counters);
    }

    /// Adds a fault; it counts occurrences from now on.
    ///
    /// # Errors
    ///
    /// A register that does not exist, or a fault that can't happen as written.
    pub fn inject(&self, fault: Fault) -> Result<(), FaultError> {
        self.shared.with(|model| model.inject(fault))
    }

    /// Sets or clears a vector's mask bit in the MSI-X table: masked messages wait in the pending bit array.
    ///
    /// # Errors
    ///
    /// [`BusError::NoVector`].
    pub fn mask_vector(&self, vector: u16, masked: bool) -> Result<(), BusError> {
        self.check_vector(vector)?;
        self.shared
            .with(|model| model.set_vector_mask(vector, masked));
        Ok(())
    }

    fn check_vector(&self, vector: u16) -> Result<(), BusError> {
        let count = self.shared.with(|model| model.vectors());
        if vector >= count {
            return Err(BusError::NoVector { vector, count });
        }
        Ok(())
    }
}

impl Transport for InProcess {
    type Bar = SimBar;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        &self.shared.name
    }

    fn bar(&self, index: u8) -> Result<SimBar, BusError> {
        let size = self
            .shared
            .with(|model| model.bar_size(index))
            .ok_or(BusError::NoBar { bar: index })?;
        Ok(SimBar {
            shared: Arc::clone(&self.shared),
            index,
            size,
        })
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        check_config(offset, 4)?;
        Ok(self.shared.with(|model| model.config_read(offset, 4)))
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        check_config(offset, 4)?;
        self.shared
            .with(|model| model.config_write(offset, 4, value));
        Ok(())
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        check_config(offset, 2)?;
        self.shared
            .with(|model| model.config_write(offset, 2, value.into()));
        Ok(())
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(self.shared.with(|model| model.vectors()))
    }

    fn irq(&self, vector: u16) -> Result<SimIrq, BusError> {
        self.mask_vector(vector, false)?;
        Ok(SimIrq {
            shared: Arc::clone(&self.shared),
            vector,
        })
    }

    fn reset(&self) -> Result<(), BusError> {
        self.shared.with(Model::reset);
        Ok(())
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        Ok(self.shared.with(|model| model.dma_limits()))
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.shared.with(|model| model.dma_map(iova, source))
    }

    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.shared.with(|model| model.dma_unmap(iova, len))
    }

    fn now(&self) -> Duration {
        if self.shared.threaded {
            return self.shared.clock.now(); // asked in every wait: no lock
        }
        self.shared.with(|model| model.now())
    }

    fn relax(&self) {
        thread_local!(static CALLS: Local<u32> = const { Local::new(0) });
        if !self.shared.threaded {
            return self.shared.with(Model::relax);
        }
        // Mostly a spin hint; now and then the core, which the model's thread may need, or the model's turn.
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        match calls % 64 {
            0 => self.shared.see_to_a_turn(),
            _ => std::hint::spin_loop(),
        }
    }
}

fn check_config(offset: u16, width: u8) -> Result<(), BusError> {
    if u64::from(offset) + u64::from(width) > 4096 {
        return Err(BusError::OutOfRange {
            offset: offset.into(),
            width,
            len: 4096,
        });
    }
    if !offset.is_multiple_of(width.into()) {
        return Err(BusError::Misaligned {
            offset: offset.into(),
            width,
        });
    }
    Ok(())
}
