//! Gets the numbers of pools and devices.

use hwpool_devices::bus::Transport;
use hwpool_devices::family::{
    About, Choice, Observed, ObservedChannel, ObservedList, OpenError, observe,
};
use hwpool_sim::Counters;

use super::snapshot::{ChannelState, DeviceState, ListState, Traffic};
use crate::device::{AnyTransport, Attached, Device, DeviceError, module};
#[cfg(feature = "pool")]
use crate::metrics::snapshot::PoolState;
use crate::on_any;
#[cfg(feature = "pool")]
use crate::pool::Pool;

#[cfg(feature = "pool")]
impl PoolState {
    /// Reads how a pool fares, while threads go on. In a child of `fork` all totals are 0.
    pub fn of(pool: &Pool) -> PoolState {
        let stats = pool.stats();
        PoolState {
            name: pool.name().into(),
            backend: pool.backend().into(),
            is_closed: pool.is_closed(),
            is_poisoned: pool.is_poisoned(),
            objects: stats.objects.into(),
            free: stats.free.into(),
            cached: stats.cached.into(),
            cache: pool.cache() as u64,
            taken: stats.taken,
            given: stats.given,
            late: stats.late,
            refills: stats.refills,
            flushes: stats.flushes,
            shortages: stats.shortages,
            backend_takes: stats.backend_dequeues,
            backend_gives: stats.backend_enqueues,
            doorbells: stats.doorbells,
        }
    }
}

impl DeviceState {
    /// Reads how a device fares that this program drives: its registers, by reads that have no effect. In a child of
    /// `fork` it must not be called, for the device is the parent's.
    pub fn of(device: &Device) -> DeviceState {
        let mut state = on_any!(Device, device, session => {
            let (driver, transport) = (&session.driver, session.driver.transport());
            match observe(&**transport, driver.about(), driver.identity()) {
                Ok(observed) => told(transport.name(), driver.about(), observed),
                Err(error) => DeviceState {
                    fault: Some(error.to_string()),
                    ..told(transport.name(), driver.about(), Observed::default())
                },
            }
        });
        state.traffic = device.model().map(|model| Traffic::of(&model.counters()));
        state
    }
}

impl Traffic {
    /// Takes over what a model counted.
    pub fn of(counters: &Counters) -> Traffic {
        Traffic {
            reads: counters.mmio_reads,
            writes: counters.mmio_writes,
            doorbells: counters.doorbells,
            dma_read_bytes: counters.dma_read_bytes,
            dma_write_bytes: counters.dma_write_bytes,
            interrupts: counters.interrupts.clone(),
        }
    }
}

impl Attached {
    /// Reads how a device fares that is attached and not driven here. Nothing is written and nothing is reset.
    ///
    /// # Errors
    ///
    /// Where no module knows the device, it can't be used, or does not answer.
    pub fn state(&self) -> Result<DeviceState, DeviceError> {
        let mut state = on_any!(AnyTransport, &self.transport, transport => {
            look_at(&**transport, &self.choice)?
        });
        state.traffic = match &self.transport {
            AnyTransport::Sim(model) => Some(Traffic::of(&model.counters())),
            #[cfg(any(feature = "vfio", feature = "user"))]
            _ => None,
        };
        Ok(state)
    }
}

/// Finds out what a device is, and reads how it fares.
pub(crate) fn look_at<T: Transport>(
    transport: &T,
    choice: &Choice,
) -> Result<DeviceState, DeviceError> {
    let module = module(transport, choice)?;
    let look = || {
        let identity = module.identify(transport)?;
        let observed = observe(transport, module.about(), &identity)?;
        Ok(told(transport.name(), module.about(), observed))
    };
    look().map_err(|source: OpenError| DeviceError::Open {
        device: transport.name().into(),
        source,
    })
}

/// Says what a device told.
fn told(name: &str, about: &About, observed: Observed) -> DeviceState {
    let named = |(name, is_so): &(&str, bool)| (name.to_string(), *is_so);
    let counted = |(name, count): &(&str, u64)| (name.to_string(), *count);
    let list = |list: &ObservedList| ListState {
        index: list.index.into(),
        capacity: list.capacity,
        available: list.available,
        low: list.low,
        high: list.high,
    };
    let channel = |channel: &ObservedChannel| ChannelState {
        name: format!("{} {}", channel.name, channel.index),
        list: channel.list.into(),
        state: channel.state.into(),
        given: channel.given.into(),
        taken: channel.taken.into(),
    };
    DeviceState {
        name: name.into(),
        kind: about.name.into(),
        fault: None,
        states: observed.states.iter().map(named).collect(),
        resets: observed.resets,
        pending: observed.pending.map(|bits| bits.count_ones().into()),
        error_counts: observed.error_counts.iter().map(counted).collect(),
        error_flags: observed.error_flags.iter().map(named).collect(),
        lists: observed.lists.iter().map(list).collect(),
        channels: observed.channels.iter().map(channel).collect(),
        traffic: None,
    }
}
