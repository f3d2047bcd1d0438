//! What the handles of one model share, and who ends it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use hwpool_devices::reg::Bank;
use hwpool_devices::turns::{DUE, TurnClock};

use crate::model::{Cell, Model};

/// What handles and the model's thread share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) threaded: bool,
    /// What waits count on in threaded mode; turned with the model locked.
    pub(super) clock: Apart<TurnClock>,
    pub(super) model: Mutex<Model>,
    pub(super) cells: Arc<[Cell]>,
    /// Where the doorbells lie that the cells stand for.
    pub(super) doorbells: Option<Bank>,
    pub(super) lines: Lines,
    /// Handles that want the lock: the model's thread lets them in.
    pub(super) wanted: AtomicU32,
    pub(super) stop: AtomicBool,
    pub(super) asleep: Apart<AtomicBool>,
    pub(super) server: OnceLock<Thread>,
}

/// Something on a cache line of its own: read with each doorbell, it must not lie where the model's thread writes.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Ends the model's thread with the last handle.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Option<JoinHandle<()>>,
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
pub(super) struct Lines {
    fired: Mutex<Vec<u64>>,
    news: Condvar,
}

impl Lines {
    pub(super) fn take(&self, vector: u16) -> u64 {
        std::mem::take(&mut lock(&self.fired)[usize::from(vector)])
    }

    fn add(&self, fired: &[u64]) {
        let mut counts = lock(&self.fired);
        for (count, new) in counts.iter_mut().zip(fired) {
            *count += new;
        }
        self.news.notify_all();
    }

    /// Takes the count of a vector as soon as there is one, or 0 after `timeout` of real time.
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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(name: String, threaded: bool, model: Model) -> Shared {
        Shared {
            name,
            threaded,
            clock: Apart::default(),
            cells: model.cells(),
            doorbells: model.doorbells(),
            lines: Lines {
                fired: Mutex::new(vec![0; usize::from(model.vectors())]),
                news: Condvar::new(),
            },
            model: Mutex::new(model),
            wanted: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            asleep: Apart::default(),
            server: OnceLock::new(),
        }
    }

    /// Does something with the model, and passes on the interrupts that came of it.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Model) -> R) -> R {
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

    /// Waits for an interrupt in threaded mode, for `timeout` on the model's clock.
    pub(super) fn wait_for_interrupt(&self, vector: u16, timeout: Duration) -> u64 {
        let deadline = self.clock.now().saturating_add(timeout);
        loop {
            let over = self.clock.now() >= deadline;
            let nap = if over { Duration::ZERO } else { DUE };
            let fired = self.lines.wait(vector, nap);
            if fired > 0 || over {
                return fired;
            }
            self.see_to_a_turn();
        }
    }

    pub(super) fn publish(&self, model: &mut Model) {
        if let Some(fired) = model.take_interrupts() {
            self.lines.add(&fired);
        }
    }
}
