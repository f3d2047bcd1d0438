//! What was read last and before that: rates are differences over measured time.

use std::time::{Duration, Instant};

use hwpool::metrics::{ChannelState, DeviceState, PoolState, Snapshot, Traffic};

/// A reading, and when it was made.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) snapshot: Snapshot,
}

/// The last reading, and the one before.
#[derive(Debug)]
pub(super) struct History {
    began: Instant,
    before: Option<Reading>,
    last: Reading,
}

impl History {
    pub(super) fn new(first: Reading) -> History {
        History {
            began: first.at,
            before: None,
            last: first,
        }
    }

    pub(super) fn add(&mut self, reading: Reading) {
        self.before = Some(std::mem::replace(&mut self.last, reading));
    }

    pub(super) fn now(&self) -> &Snapshot {
        &self.last.snapshot
    }

    /// Returns how long is looked on.
    pub(super) fn lasted(&self) -> Duration {
        self.last.at - self.began
    }

    /// Returns how fast a total of a pool grew, a second; `None` in the first frame, and where the pool is another.
    pub(super) fn of_pool(&self, pool: &PoolState, total: fn(&PoolState) -> u64) -> Option<f64> {
        let (before, time) = self.before()?;
        let mut pools = before.pools.iter();
        let was = pools.find(|was| was.name == pool.name)?;
        // A total that went down is that of a new pool of this name.
        let grown = total(pool).checked_sub(total(was))?;
        Some(grown as f64 / time)
    }

    /// Returns how much of what a pool's users took its caches had, from 0 to 1: the rest are calls of the backend.
    pub(super) fn hits(&self, pool: &PoolState) -> Option<f64> {
        let taken = self.of_pool(pool, |pool| pool.taken)?;
        let calls = self.of_pool(pool, |pool| pool.backend_takes)?;
        (pool.cache > 0 && taken > 0.0).then(|| (1.0 - calls / taken).clamp(0.0, 1.0))
    }

    /// Returns how fast a channel's count grew, which counts modulo 2^32.
    pub(super) fn of_channel(
        &self,
        device: &DeviceState,
        channel: &ChannelState,
        total: fn(&ChannelState) -> u64,
    ) -> Option<f64> {
        let (was, time) = self.device(device)?;
        let mut channels = was.channels.iter();
        let was = channels.find(|was| was.name == channel.name && was.list == channel.list)?;
        let grown = (total(channel) as u32).wrapping_sub(total(was) as u32);
        Some(f64::from(grown) / time)
    }

    /// Returns how fast something grew that crosses the bus.
    pub(super) fn of_traffic(
        &self,
        device: &DeviceState,
        total: fn(&Traffic) -> u64,
    ) -> Option<f64> {
        let (was, time) = self.device(device)?;
        let grown = total(device.traffic.as_ref()?).checked_sub(total(was.traffic.as_ref()?))?;
        Some(grown as f64 / time)
    }

    /// Returns how many errors came since the reading before.
    pub(super) fn new_errors(&self, device: &DeviceState) -> Option<u64> {
        let (was, _) = self.device(device)?;
        device.errors()?.checked_sub(was.errors()?)
    }

    fn before(&self) -> Option<(&Snapshot, f64)> {
        let before = self.before.as_ref()?;
        let time = self
            .last
            .at
            .checked_duration_since(before.at)?
            .as_secs_f64();
        (time > 0.0).then_some((&before.snapshot, time))
    }

    fn device(&self, device: &DeviceState) -> Option<(&DeviceState, f64)> {
        let (before, time) = self.before()?;
        let was = before.devices.iter().find(|was| was.name == device.name)?;
        Some((was, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, taken: u64, given: u64) -> Reading {
        let pool = PoolState {
            name: "rx".into(),
            cache: 8,
            taken,
            backend_takes: taken / 4,
            ..PoolState::default()
        };
        let channel = ChannelState {
            name: "portal 0".into(),
            given,
            ..ChannelState::default()
        };
        let device = DeviceState {
            channels: vec![channel],
            ..DeviceState::default()
        };
        let snapshot = Snapshot {
            pools: vec![pool],
            devices: vec![device],
        };
        Reading { at, snapshot }
    }

    #[test]
    fn rates_are_differences_over_measured_time() {
        let start = Instant::now();
        let mut history = History::new(reading(start, 1000, u64::from(u32::MAX)));
        let rate = |history: &History| history.of_pool(&history.now().pools[0], |pool| pool.taken);
        let given = |history: &History| {
            let device = &history.now().devices[0];
            history.of_channel(device, &device.channels[0], |channel| channel.given)
        };
        assert_eq!(
            (rate(&history), given(&history)),
            (None, None),
            "the first frame has none"
        );
        history.add(reading(start + Duration::from_millis(2500), 6000, 9));
        assert_eq!(rate(&history), Some(2000.0), "5000 in 2.5 s");
        assert_eq!(given(&history), Some(4.0), "10 in 2.5 s, past 2^32");
        assert_eq!(history.hits(&history.now().pools[0]), Some(0.75));
        history.add(reading(start + Duration::from_secs(3), 10, 9));
        assert_eq!(rate(&history), None, "a new pool of that name");
        assert_eq!(history.lasted(), Duration::from_secs(3));
    }
}
