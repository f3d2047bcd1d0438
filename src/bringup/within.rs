//! The time that a climb has: a transport that counts it, and that refuses what comes after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hwpool_devices::bus::{Bar, BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};

/// How far the clock of a climb that is over is ahead, so that every wait ends.
const OVER: Duration = Duration::from_secs(1 << 30);
/// Reads that are made after the climb's time, so that a wait comes to its own end and says what it was for.
const LAST_READS: u32 = 8;

/// The time of a climb. It is over by the clock of its device, which may be virtual, or by that of the machine, which goes
/// on while a server does not answer: by which of them comes first.
pub(super) struct Budget {
    within: Duration,
    /// Nanoseconds on the device's clock at which the climb is over.
    ends: AtomicU64,
    began: Instant,
    /// Nanoseconds after `began` at which it is over.
    real_ends: AtomicU64,
    is_over: AtomicBool,
    /// Reads that came after it was over.
    late: AtomicU32,
    /// What comes after the climb may take the time that it takes.
    is_lifted: AtomicBool,
    /// Traffic runs, which ends by itself: its reads are what is measured, so that clocks are looked at in waits alone.
    is_loaded: AtomicBool,
    reads: AtomicU64,
    slowest: AtomicU64,
}

/// What a rung read, and how long its slowest read took.
pub(super) struct Reads {
    pub(super) count: u64,
    pub(super) slowest: Duration,
}

impl Budget {
    pub(super) fn new(within: Duration, now: Duration) -> Arc<Budget> {
        Arc::new(Budget {
            within,
            ends: AtomicU64::new(nanos(now.saturating_add(within))),
            began: Instant::now(),
            real_ends: AtomicU64::new(nanos(within)),
            is_over: AtomicBool::new(false),
            late: AtomicU32::new(0),
            is_lifted: AtomicBool::new(false),
            is_loaded: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            slowest: AtomicU64::new(0),
        })
    }

    pub(super) fn within(&self) -> Duration {
        self.within
    }

    /// Tells whether the time is over; once it is, it stays so.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) && !self.is_lifted.load(Ordering::Relaxed)
    }

    /// Lets everything take its time from now on.
    pub(super) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Relaxed);
    }

    /// Returns what was read since the last call.
    pub(super) fn take_reads(&self) -> Reads {
        Reads {
            count: self.reads.swap(0, Ordering::Relaxed),
            slowest: Duration::from_nanos(self.slowest.swap(0, Ordering::Relaxed)),
        }
    }

    /// Runs traffic that is to last `time`, on top of what is left, by the machine's clock alone.
    pub(super) fn under_load<R>(
        &self,
        transport: &impl Transport,
        time: Duration,
        traffic: impl FnOnce() -> R,
    ) -> R {
        let left = self.left(transport.now());
        self.ends.store(u64::MAX, Ordering::Relaxed);
        self.real_ends.fetch_add(nanos(time), Ordering::Relaxed);
        self.is_loaded.store(true, Ordering::Relaxed);
        let result = traffic();
        self.is_loaded.store(false, Ordering::Relaxed);
        self.set_left(left, transport.now());
        result
    }

    fn left(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.ends.load(Ordering::Relaxed)).saturating_sub(now)
    }

    fn set_left(&self, left: Duration, now: Duration) {
        let ends = now.saturating_add(left);
        self.ends.store(nanos(ends), Ordering::Relaxed);
    }

    /// Looks at the clock, which is `now`.
    fn look(&self, now: Duration) {
        let is_over = nanos(now) >= self.ends.load(Ordering::Relaxed)
            || nanos(self.began.elapsed()) >= self.real_ends.load(Ordering::Relaxed);
        if is_over {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Makes a read, unless the time is over, and notes what it took.
    fn read<T: Transport, R>(
        &self,
        transport: &T,
        (offset, width): (u64, u8),
        read: impl FnOnce() -> Result<R, BusError>,
    ) -> Result<R, BusError> {
        if self.is_loaded.load(Ordering::Relaxed) && !self.is_over() {
            return read();
        }
        let (began, real) = (transport.now(), Instant::now());
        self.look(began);
        if self.is_over() && self.late.fetch_add(1, Ordering::Relaxed) >= LAST_READS {
            let cause = "the climb's time is over".into();
            return Err(BusError::Failed {
                offset,
                width,
                cause,
            });
        }
        let result = read();
        let took = transport.now().saturating_sub(began).max(real.elapsed());
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.slowest.fetch_max(nanos(took), Ordering::Relaxed);
        result
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A transport whose reads count against a climb's time. Writes do not wait, so they are made whenever they come: a device
/// that is left must be stopped.
pub(super) struct Timed<T: Transport> {
    transport: Arc<T>,
    budget: Arc<Budget>,
}

impl<T: Transport> Timed<T> {
    pub(super) fn new(transport: Arc<T>, budget: Arc<Budget>) -> Arc<Timed<T>> {
        Arc::new(Timed { transport, budget })
    }

    /// Returns the transport itself, which whoever has it alone can close.
    pub(super) fn into_inner(self: Arc<Timed<T>>) -> Arc<T> {
        self.transport.clone()
    }

    /// Goes on with `other`, whose clock is one of its own.
    pub(super) fn reopened(budget: &Arc<Budget>, left: Duration, other: Arc<T>) -> Arc<Timed<T>> {
        budget.set_left(left, other.now());
        Timed::new(other, budget.clone())
    }

    /// Returns the time that is left.
    pub(super) fn left(&self) -> Duration {
        self.budget.left(self.transport.now())
    }
}

/// A BAR of a [`Timed`] transport.
pub(super) struct TimedBar<T: Transport> {
    bar: T::Bar,
    transport: Arc<T>,
    budget: Arc<Budget>,
}

impl<T: Transport> Clone for TimedBar<T> {
    fn clone(&self) -> TimedBar<T> {
        TimedBar {
            bar: self.bar.clone(),
            transport: self.transport.clone(),
            budget: self.budget.clone(),
        }
    }
}

impl<T: Transport> TimedBar<T> {
    fn read<R>(
        &self,
        offset: u64,
        width: u8,
        read: impl FnOnce(&T::Bar) -> Result<R, BusError>,
    ) -> Result<R, BusError> {
        let place = (offset, width);
        self.budget
            .read(&*self.transport, place, || read(&self.bar))
    }
}

impl<T: Transport> Bar for TimedBar<T> {
    type Doorbell = <T::Bar as Bar>::Doorbell;

    fn size(&self) -> u64 {
        self.bar.size()
    }

    fn read8(&self, offset: u64) -> Result<u8, BusError> {
        self.read(offset, 1, |bar| bar.read8(offset))
    }

    fn read16(&self, offset: u64) -> Result<u16, BusError> {
        self.read(offset, 2, |bar| bar.read16(offset))
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.read(offset, 4, |bar| bar.read32(offset))
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.read(offset, 8, |bar| bar.read64(offset))
    }

    fn write8(&self, offset: u64, value: u8) -> Result<(), BusError> {
        self.bar.write8(offset, value)
    }

    fn write16(&self, offset: u64, value: u16) -> Result<(), BusError> {
        self.bar.write16(offset, value)
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.bar.write32(offset, value)
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.bar.write64(offset, value)
    }

    fn doorbell(&self, offset: u64) -> Result<Self::Doorbell, BusError> {
        self.bar.doorbell(offset)
    }
}

impl<T: Transport> Transport for Timed<T> {
    type Bar = TimedBar<T>;
    type Irq = T::Irq;

    fn name(&self) -> &str {
        self.transport.name()
    }

    fn bar(&self, index: u8) -> Result<TimedBar<T>, BusError> {
        Ok(TimedBar {
            bar: self.transport.bar(index)?,
            transport: self.transport.clone(),
            budget: self.budget.clone(),
        })
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        let place = (offset.into(), 4);
        let read = || self.transport.config_read32(offset);
        self.budget.read(&*self.transport, place, read)
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.transport.config_write32(offset, value)
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.transport.config_write16(offset, value)
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        self.transport.irq_count()
    }

    fn irq(&self, vector: u16) -> Result<T::Irq, BusError> {
        self.transport.irq(vector)
    }

    fn reset(&self) -> Result<(), BusError> {
        self.transport.reset()
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.transport.dma_limits()
    }

    fn dma_address(&self, source: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        self.transport.dma_address(source)
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.transport.dma_map(iova, source)
    }

    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.transport.dma_unmap(iova, len)
    }

    /// Jumps ahead when the climb's time is over: whoever waits is told that it took too long.
    fn now(&self) -> Duration {
        let now = self.transport.now();
        self.budget.look(now);
        match self.budget.is_over() {
            false => now,
            true => now.saturating_add(OVER),
        }
    }

    fn relax(&self) {
        self.transport.relax();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwpool_sim::{InProcess, SimConfig};

    #[test]
    fn reads_of_traffic_are_made_without_a_look_at_a_clock() {
        let model = InProcess::open("bmu", "sim:bmu", SimConfig::default()).unwrap();
        let budget = Budget::new(Duration::from_secs(60), model.now());
        let read = || budget.read(&model, (0, 4), || Ok(7u32));
        assert_eq!(read(), Ok(7));
        assert_eq!(budget.take_reads().count, 1, "its time is noted");
        let under_load = budget.under_load(&model, Duration::ZERO, read);
        assert_eq!((under_load, budget.take_reads().count), (Ok(7), 0));
        assert_eq!((read(), budget.take_reads().count), (Ok(7), 1));
    }
}
