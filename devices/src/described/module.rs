//! Described devices as members of the family of devices.

use std::any::Any;
use std::sync::Arc;

use super::device::{Device, identify};
use super::list::List;
use crate::bus::{BusError, DmaBuffer, Transport};
use crate::family;
use crate::family::{
    About, Described, Driver, FreeList, Identity, Kind, ListConfig, OpenError, OpenReset,
    ResetError, SetupError,
};
use crate::reg::Register;

/// The module of one description.
#[derive(Debug, Copy, Clone)]
pub struct Module(pub &'static Described);

impl Kind for Module {
    fn about(&self) -> &About {
        &self.0.about
    }

    /// Of a described register is known what the driver does with it, not what else it does: only the scratch register has
    /// no effect for certain.
    fn harmless(&self, row: &Register, _identity: &Identity) -> u64 {
        match self.0.about.scratch {
            Some(scratch) if scratch.name == row.name => row.bits,
            _ => 0,
        }
    }

    fn is_left_alone(&self, row: &Register) -> bool {
        let description = self.0.description;
        let mut never = description.never.iter();
        never.any(|&register| description.row(register).name == row.name)
    }
}

impl<T: Transport, D: DmaBuffer> family::Module<T, D> for Module {
    fn identify(&self, transport: &T) -> Result<Identity, OpenError> {
        identify(transport, self.0)
    }

    fn open(
        &self,
        transport: Arc<T>,
        reset: OpenReset,
    ) -> Result<Arc<dyn Driver<T, D>>, OpenError> {
        Ok(Arc::new(Device::open(self.0, transport, reset)?))
    }
}

impl<T: Transport, D: DmaBuffer> Driver<T, D> for Device<T> {
    fn about(&self) -> &About {
        &self.described().about
    }

    fn identity(&self) -> &Identity {
        Device::identity(self)
    }

    fn transport(&self) -> &Arc<T> {
        Device::transport(self)
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
        let known = &Device::identity(&self).limits.ways;
        match known.contains(&way) {
            true => Ok(Box::new(List::open(&self, config)?)),
            false => Err(SetupError::NoWay {
                way: way.into(),
                known: known.clone(),
            }),
        }
    }

    fn reset(&self, reset: OpenReset) -> Result<(), ResetError> {
        Device::reset(self, reset)
    }

    fn start(&self) -> Result<(), BusError> {
        Device::start(self)
    }

    fn close(&self) -> Result<(), ResetError> {
        Device::close(self)
    }

    fn vectors(&self) -> Result<u16, BusError> {
        Device::vectors(self)
    }

    fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        Device::interrupt(self, vector)
    }

    fn trigger(&self, vector: u16) -> Result<bool, BusError> {
        Device::trigger(self, vector)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
