//! The transport that calls the model: no socket, no kernel, no privileges.

use std::cell::Cell as Local;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::{
    Bar, BusError, DmaError, DmaLimits, DmaSource, Doorbell, Iova, Irq, Transport,
};

use crate::config::{ConfigError, Mode, SimConfig};
use crate::counters::Counters;
use crate::faults::{Fault, FaultError};
use crate::model::{Cell, Model};
use crate::violation::Violation;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// There is no model of that name.
    #[error("no model `{name}`: known are bmu")]
    UnknownModel {
        /// What was asked for.
        name: String,
    },
    /// A parameter is out of its range.
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

/// What handles and the model's thread share.
struct Shared {
    name: String,
    threaded: bool,
    model: Mutex<Model>,
    cells: Arc<[Cell]>,
    lines: Lines,
    /// Handles that want the lock: the model's thread lets them in.
    wanted: AtomicU32,
    /// Portals that run, as the model's thread should watch them.
    running: AtomicU64,
    stop: AtomicBool,
    asleep: AtomicBool,
    server: OnceLock<Thread>,
}

/// Ends the model's thread with the last handle.
struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::ops::Deref for Keeper {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Interrupts that arrived and were not looked at yet.
struct Lines {
    fired: Mutex<Vec<u64>>,
    news: Condvar,
}

impl Lines {
    fn take(&self, vector: u16) -> u64 {
        std::mem::take(&mut lock(&self.fired)[usize::from(vector)])
    }

    fn add(&self, fired: &[u64]) {
        let mut counts = lock(&self.fired);
        for (count, new) in counts.iter_mut().zip(fired) {
            *count += new;
        }
        self.news.notify_all();
    }

    fn wait(&self, vector: u16, timeout: Duration) -> u64 {
        let deadline = Instant::now().checked_add(timeout);
        let mut counts = lock(&self.fired);
        loop {
            let fired = std::mem::take(&mut counts[usize::from(vector)]);
            let left = deadline.map_or(timeout, |d| d.saturating_duration_since(Instant::now()));
            if fired > 0 || left.is_zero() {
                return fired;
            }
            let woken = self.news.wait_timeout(counts, left);
            counts = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Locks; a panic elsewhere has left the data as sound as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Does something with the model, and passes on the interrupts that came of it.
    fn with<R>(&self, act: impl FnOnce(&mut Model) -> R) -> R {
        if self.threaded {
            self.wanted.fetch_add(1, Ordering::Relaxed);
        }
        let mut model = lock(&self.model);
        if self.threaded {
            self.wanted.fetch_sub(1, Ordering::Relaxed);
        }
        let result = act(&mut model);
        self.publish(&mut model);
        result
    }

    fn publish(&self, model: &mut Model) {
        if self.threaded {
            self.running.store(model.running(), Ordering::Relaxed);
        }
        if let Some(fired) = model.take_interrupts() {
            self.lines.add(&fired);
        }
    }
}

/// Empty looks before the model's thread gives up its core, and before it sleeps.
const SPINS: u32 = 4_000;
const YIELDS: u32 = SPINS + 200;
/// Longest sleep of the model's thread.
const NAP: Duration = Duration::from_millis(1);
/// Passes between looks at what is rare: doorbells of disabled portals, delayed ones.
const RARE: u32 = 256;
/// Passes with the lock held.
const BURST: u32 = 16;

impl Shared {
    /// The model's thread: serves doorbells until the last handle is gone.
    fn serve(&self) {
        let mut taken = vec![0; self.cells.len()];
        let mut idle = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if self.wanted.load(Ordering::Relaxed) > 0 {
                thread::yield_now();
                continue;
            }
            if self.has_rung(&mut taken, self.running.load(Ordering::Relaxed)) {
                self.burst();
                idle = 0;
                continue;
            }
            idle += 1;
            if idle % RARE == 0 {
                self.look_at_all();
            }
            idle = self.back_off(&mut taken, idle);
        }
    }

    /// Tells whether a doorbell of the portals in `mask` was written since the last look.
    fn has_rung(&self, taken: &mut [u64], mask: u64) -> bool {
        let mut left = mask;
        let mut rung = false;
        while left != 0 {
            let q = left.trailing_zeros() as usize;
            left &= left - 1;
            let rings = self.cells[q].rings.load(Ordering::SeqCst);
            rung |= std::mem::replace(&mut taken[q], rings) != rings;
        }
        rung
    }

    fn burst(&self) {
        let mut model = lock(&self.model);
        for _ in 0..BURST {
            let busy = model.poll_running();
            if !busy || self.wanted.load(Ordering::Relaxed) > 0 {
                break;
            }
        }
        self.publish(&mut model);
    }

    fn look_at_all(&self) {
        let mut model = lock(&self.model);
        model.poll();
        self.publish(&mut model);
    }

    /// Spins, then yields, then sleeps until a doorbell wakes it or the nap is over.
    fn back_off(&self, taken: &mut [u64], idle: u32) -> u32 {
        if idle < SPINS {
            std::hint::spin_loop();
        } else if idle < YIELDS {
            thread::yield_now();
        } else {
            self.asleep.store(true, Ordering::SeqCst);
            if !self.has_rung(taken, self.running.load(Ordering::SeqCst)) {
                thread::park_timeout(NAP);
                self.look_at_all();
            } else {
                self.burst();
            }
            self.asleep.store(false, Ordering::SeqCst);
            return SPINS;
        }
        idle
    }
}

impl InProcess {
    /// Makes the model `name` (see [`MODELS`](crate::MODELS)) as firmware would leave it.
    ///
    /// # Errors
    ///
    /// No such model, a parameter out of its range, or no thread to be had.
    pub fn open(name: &str, config: SimConfig) -> Result<InProcess, SimError> {
        if !crate::MODELS.iter().any(|model| model.name == name) {
            return Err(SimError::UnknownModel { name: name.into() });
        }
        let threaded = config.mode == Mode::Threaded;
        let model = Model::new(config)?;
        let shared = Arc::new(Shared {
            name: format!("sim:{name}"),
            threaded,
            cells: model.cells(),
            lines: Lines {
                fired: Mutex::new(vec![0; usize::from(model.vectors())]),
                news: Condvar::new(),
            },
            model: Mutex::new(model),
            wanted: AtomicU32::new(0),
            running: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            server: OnceLock::new(),
        });
        let thread = if threaded {
            Some(start(&shared)?)
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

fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, SimError> {
    let served = Arc::clone(shared);
    let server = thread::Builder::new()
        .name("hwpool-sim".into())
        .spawn(move || served.serve())
        .map_err(SimError::Thread)?;
    // Set once, here.
    let _ = shared.server.set(server.thread().clone());
    Ok(server)
}

impl Transport for InProcess {
    type Bar = SimBar;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        &self.shared.name
    }

    fn bar(&self, index: u8) -> Result<SimBar, BusError> {
        let size = Model::bar_size(index).ok_or(BusError::NoBar { bar: index })?;
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
        self.shared.with(|model| model.now())
    }

    fn relax(&self) {
        thread_local!(static CALLS: Local<u32> = const { Local::new(0) });
        if !self.shared.threaded {
            return self.shared.with(Model::relax);
        }
        // Mostly a spin hint; now and then the core, which the model's thread may need.
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        match calls % 64 {
            0 => thread::yield_now(),
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

/// A BAR of a model.
#[derive(Clone)]
pub struct SimBar {
    shared: Arc<Keeper>,
    index: u8,
    size: u64,
}

impl fmt::Debug for SimBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBar")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl SimBar {
    fn read(&self, offset: u64, width: u8) -> Result<u64, BusError> {
        self.shared
            .with(|model| model.bar_read(self.index, offset, width))
    }

    fn write(&self, offset: u64, width: u8, value: u64) -> Result<(), BusError> {
        self.shared
            .with(|model| model.bar_write(self.index, offset, width, value))
    }
}

impl Bar for SimBar {
    type Doorbell = SimDoorbell;

    fn size(&self) -> u64 {
        self.size
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.read(offset, 4).map(|value| value as u32)
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.read(offset, 8)
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.write(offset, 4, value.into())
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.write(offset, 8, value)
    }

    fn doorbell(&self, offset: u64) -> Result<SimDoorbell, BusError> {
        if offset.checked_add(8).is_none_or(|end| end > self.size) {
            return Err(BusError::OutOfRange {
                offset,
                width: 8,
                len: self.size,
            });
        }
        if !offset.is_multiple_of(8) {
            return Err(BusError::Misaligned { offset, width: 8 });
        }
        Ok(SimDoorbell {
            cells: Arc::clone(&self.shared.cells),
            cell: self.cell(offset),
            bar: self.clone(),
            offset,
        })
    }
}

impl SimBar {
    /// Finds the portal whose doorbell is at `offset`, where the model's thread watches it.
    fn cell(&self, offset: u64) -> Option<usize> {
        let page = offset.checked_sub(regs::PORTAL_PAGES)?;
        let portal = (page / regs::PAGE) as usize;
        let is_doorbell = self.index == regs::OPERATION_BAR
            && page.is_multiple_of(regs::PAGE)
            && portal < self.shared.cells.len();
        (self.shared.threaded && is_doorbell).then_some(portal)
    }
}

/// A hot register of a model.
pub struct SimDoorbell {
    cells: Arc<[Cell]>,
    /// The cell that the model's thread watches; `None` where each write is a call.
    cell: Option<usize>,
    bar: SimBar,
    offset: u64,
}

impl fmt::Debug for SimDoorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDoorbell")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Doorbell for SimDoorbell {
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        let Some(cell) = self.cell else {
            return self.bar.write64(self.offset, value);
        };
        self.cells[cell].ring(value);
        let shared = &self.bar.shared;
        if shared.asleep.load(Ordering::SeqCst)
            && let Some(server) = shared.server.get()
        {
            server.unpark();
        }
        Ok(())
    }
}

/// An interrupt vector of a model.
pub struct SimIrq {
    shared: Arc<Keeper>,
    vector: u16,
}

impl fmt::Debug for SimIrq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimIrq")
            .field("vector", &self.vector)
            .finish_non_exhaustive()
    }
}

impl Irq for SimIrq {
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        if self.shared.threaded {
            return Ok(self.shared.lines.wait(self.vector, timeout));
        }
        let deadline = self
            .shared
            .with(|model| model.now())
            .saturating_add(timeout);
        loop {
            let fired = self.shared.lines.take(self.vector);
            if fired > 0 || self.shared.with(|model| model.now()) >= deadline {
                return Ok(fired);
            }
            self.shared.with(|model| model.step_towards(deadline));
        }
    }
}
