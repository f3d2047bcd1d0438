//! Looks at a model that is served, from beside the bus: its client notices nothing.

use std::time::Duration;

use hwpool_devices::bus::{
    Bar, BusError, DmaError, DmaLimits, DmaSource, Doorbell, Iova, Irq, Transport,
};
use hwpool_devices::family::Choice;

use super::look::look_at;
use super::snapshot::{DeviceState, Traffic};
use crate::user::SimMonitor;

impl DeviceState {
    /// Reads how a model fares that is served. `name` is what it is called; `choice` is the driver of one that a file
    /// describes, as [`kinds::model`](crate::kinds::model) tells it.
    ///
    /// Nothing of it crosses the bus: no read is counted and no fault of the model's is spent. Of a model in reset, or one
    /// that no driver knows, only what crossed the bus is told.
    pub fn of_served(monitor: &SimMonitor, name: &str, choice: Option<&Choice>) -> DeviceState {
        let beside = Beside {
            name: name.into(),
            monitor: monitor.clone(),
        };
        let choice = choice.cloned().unwrap_or_default();
        let state = look_at(&beside, &choice).unwrap_or_else(|error| {
            let why =
                std::error::Error::source(&error).map_or(error.to_string(), |why| why.to_string());
            DeviceState {
                name: name.into(),
                fault: Some(why),
                ..DeviceState::default()
            }
        });
        DeviceState {
            traffic: Some(Traffic::of(&monitor.counters())),
            ..state
        }
    }
}

/// A model without the bus before it. Of a transport it has reads; who asks for more is refused.
struct Beside {
    name: String,
    monitor: SimMonitor,
}

/// The registers of one BAR.
#[derive(Clone)]
struct Registers {
    monitor: SimMonitor,
    index: u8,
    size: u64,
}

/// What nobody gets here.
enum Nothing {}

impl Doorbell for Nothing {
    fn ring(&self, _value: u64) -> Result<(), BusError> {
        match *self {}
    }
}

impl Irq for Nothing {
    fn wait(&self, _timeout: Duration) -> Result<u64, BusError> {
        match *self {}
    }
}

fn refused(offset: u64, width: u8) -> BusError {
    BusError::Failed {
        offset,
        width,
        cause: "who looks at a model that another drives changes nothing".into(),
    }
}

impl Bar for Registers {
    type Doorbell = Nothing;

    fn size(&self) -> u64 {
        self.size
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        Ok(self.read64(offset)? as u32)
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        Ok(self.monitor.peek(self.index, offset).unwrap_or(0))
    }

    fn write32(&self, offset: u64, _value: u32) -> Result<(), BusError> {
        Err(refused(offset, 4))
    }

    fn write64(&self, offset: u64, _value: u64) -> Result<(), BusError> {
        Err(refused(offset, 8))
    }

    fn doorbell(&self, offset: u64) -> Result<Nothing, BusError> {
        Err(refused(offset, 8))
    }
}

impl Transport for Beside {
    type Bar = Registers;
    type Irq = Nothing;

    fn name(&self) -> &str {
        &self.name
    }

    fn bar(&self, index: u8) -> Result<Registers, BusError> {
        let size = self.monitor.bar_size(index);
        Ok(Registers {
            monitor: self.monitor.clone(),
            index,
            size: size.ok_or(BusError::NoBar { bar: index })?,
        })
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        Ok(self.monitor.peek_config(offset))
    }

    fn config_write32(&self, offset: u16, _value: u32) -> Result<(), BusError> {
        Err(refused(offset.into(), 4))
    }

    fn config_write16(&self, offset: u16, _value: u16) -> Result<(), BusError> {
        Err(refused(offset.into(), 2))
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(0)
    }

    fn irq(&self, vector: u16) -> Result<Nothing, BusError> {
        Err(BusError::NoVector { vector, count: 0 })
    }

    fn reset(&self) -> Result<(), BusError> {
        Err(BusError::Reset {
            cause: "another drives it".into(),
        })
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        Ok(DmaLimits {
            ranges: Vec::new(),
            page_sizes: 0,
            entries_left: 0,
        })
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        let len = source.len;
        Err(DmaError::NotMapped { iova, len })
    }

    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        Err(DmaError::NotMapped { iova, len })
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn relax(&self) {}
}
