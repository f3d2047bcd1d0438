//! The FIFO as a member of the family of devices.

use std::any::Any;
use std::sync::Arc;

use crate::bus::{BusError, DmaBuffer, Transport};
use crate::family;
use crate::family::{
    About, Driver, FreeList, Identity, Kind, ListConfig, OpenError, OpenReset, ResetError,
    SetupError,
};
use crate::fifo::about::{ABOUT, REGISTER};
use crate::fifo::device::{Fifo, identify};
use crate::fifo::queue::Queue;
use crate::fifo::regs;
use crate::reg::Register;

/// The module of the FIFO.
#[derive(Debug, Copy, Clone)]
pub struct Module;

impl Kind for Module {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn harmless(&self, row: &Register, _identity: &Identity) -> u64 {
        // An interrupt that is enabled by a test would be sent when the next test sets its event.
        match row.name == regs::CONTROL.row().name {
            true => regs::control::ENABLE.mask(),
            false => row.bits,
        }
    }
}

impl<T: Transport, D: DmaBuffer> family::Module<T, D> for Module {
    fn identify(&self, transport: &T) -> Result<Identity, OpenError> {
        identify(transport)
    }

    fn open(
        &self,
        transport: Arc<T>,
        reset: OpenReset,
    ) -> Result<Arc<dyn Driver<T, D>>, OpenError> {
        Ok(Arc::new(Fifo::open(transport, reset)?))
    }
}

impl<T: Transport, D: DmaBuffer> Driver<T, D> for Fifo<T> {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn identity(&self) -> &Identity {
        Fifo::identity(self)
    }

    fn transport(&self) -> &Arc<T> {
        Fifo::transport(self)
    }

    fn ring_bytes(&self, _config: &ListConfig, _way: &str) -> usize {
        0
    }

    fn open_list(
        self: Arc<Self>,
        config: &ListConfig,
        way: &str,
        _rings: Option<D>,
    ) -> Result<Box<dyn FreeList>, SetupError> {
        match way == REGISTER.name {
            true => Ok(Box::new(Queue::open(&self, config)?)),
            false => Err(SetupError::NoWay {
                way: way.into(),
                known: vec![REGISTER.name],
            }),
        }
    }

    fn reset(&self, reset: OpenReset) -> Result<(), ResetError> {
        Fifo::reset(self, reset)
    }

    fn start(&self) -> Result<(), BusError> {
        Fifo::start(self)
    }

    fn close(&self) -> Result<(), ResetError> {
        Fifo::close(self)
    }

    fn vectors(&self) -> Result<u16, BusError> {
        Fifo::vectors(self)
    }

    fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        Fifo::interrupt(self, vector)
    }

    fn trigger(&self, vector: u16) -> Result<bool, BusError> {
        Fifo::trigger(self)?;
        Ok(vector == 0)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
