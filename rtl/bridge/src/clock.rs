//! Who runs the clock: an access for itself, and a thread for what goes on after it.
//!
//! The thread sleeps while the design is idle. It gives way to an access after the cycle that it is at; with a seed an
//! access waits until the design is idle instead, so that a run depends on the accesses alone and not on their time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use hwpool::user::server::StopHandle;

use crate::machine::{Fault, Machine};

/// Cycles for which an access waits that lets the design become idle: one that never does is not replayed by its seed.
const LONGEST: u64 = 10_000_000;
/// Cycles that a design has to itself after its reset, at most: one whose clock always runs is looked at then.
const POWER_UP: u64 = 1_000_000;

/// Whether an access comes at once or in its place.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// At once: what the design does meanwhile depends on time.
    Prompt,
    /// When the design has done what the access before has started.
    Replayed,
}

/// A machine and the thread that runs its clock.
#[derive(Debug)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Looks at a served design from outside.
#[derive(Debug, Clone)]
pub struct Monitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    machine: Mutex<Machine>,
    order: Order,
    /// Somebody wants the machine now.
    wanted: AtomicBool,
    ends: AtomicBool,
    /// The machine has something to do, or the end has come.
    work: Condvar,
    /// The machine has become idle.
    idle: Condvar,
    /// Ends the server when the design has ended.
    stop: OnceLock<StopHandle>,
}

impl Clock {
    pub(crate) fn start(machine: Machine, order: Order) -> std::io::Result<Clock> {
        let shared = Arc::new(Shared {
            machine: Mutex::new(machine),
            order,
            wanted: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            work: Condvar::new(),
            idle: Condvar::new(),
            stop: OnceLock::new(),
        });
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("clock".into())
            .spawn(move || its.run())?;
        Ok(Clock {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until the design has done what its reset has begun, as a host does for 100 ms (PCI Express Base 6.0, 6.6.1).
    pub(crate) fn power_up(&self) {
        drop(self.shared.settled(POWER_UP));
    }

    /// Returns what looks at the design while it is served.
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Does something with the machine, between two cycles.
    pub(crate) fn enter<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.shared.admit();
        let result = act(&mut machine);
        let (faulty, active) = (machine.fault().is_some(), machine.is_active());
        drop(machine);
        if active {
            self.shared.work.notify_one();
        }
        if faulty {
            self.shared.stop();
        }
        result
    }
}

impl Monitor {
    /// Has a server end when the design does.
    pub fn stops(&self, stop: StopHandle) {
        let _ = self.0.stop.set(stop); // the first one is the server's
        if self.fault().is_some() {
            self.0.stop(); // it has ended before there was a server
        }
    }

    /// Returns what ended the design.
    pub fn fault(&self) -> Option<Fault> {
        lock(&self.0.machine).fault().cloned()
    }

    /// Returns the clock cycles since the start.
    pub fn cycles(&self) -> u64 {
        lock(&self.0.machine).cycles()
    }

    /// Waits until the design is idle, or has ended; returns the clock cycles since the start.
    pub fn settled(&self) -> u64 {
        let machine = lock(&self.0.machine);
        let idle = self
            .0
            .idle
            .wait_while(machine, |machine| machine.is_active());
        idle.unwrap_or_else(PoisonError::into_inner).cycles()
    }
}

impl Shared {
    /// Waits for the machine.
    fn admit(&self) -> MutexGuard<'_, Machine> {
        match self.order {
            Order::Prompt => {
                self.wanted.store(true, Ordering::Relaxed);
                let machine = lock(&self.machine);
                self.wanted.store(false, Ordering::Relaxed);
                machine
            }
            Order::Replayed => self.settled(LONGEST),
        }
    }

    /// Waits until the design is idle, has ended, or has had so many cycles to itself.
    fn settled(&self, longest: u64) -> MutexGuard<'_, Machine> {
        let goes_on = |machine: &mut Machine| machine.is_active() && machine.alone() < longest;
        let machine = self.idle.wait_while(lock(&self.machine), goes_on);
        machine.unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the clock whenever there is something to do.
    fn run(&self) {
        loop {
            let asleep = |machine: &mut Machine| !machine.is_active() && !self.ends();
            let machine = self.work.wait_while(lock(&self.machine), asleep);
            let mut machine = machine.unwrap_or_else(PoisonError::into_inner);
            if self.ends() {
                return;
            }
            self.turn(&mut machine);
            let faulty = machine.fault().is_some();
            drop(machine);
            self.idle.notify_all();
            if faulty {
                self.stop();
            }
            while self.wanted.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        }
    }

    /// Runs cycles until the design is idle, somebody wants the machine, or it is time to let others look.
    fn turn(&self, machine: &mut Machine) {
        const MOST: u64 = 4096;
        for _ in 0..MOST {
            let given_up = self.wanted.load(Ordering::Relaxed) || !machine.is_active();
            if given_up || machine.cycle().is_err() {
                return;
            }
        }
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        if let Some(stop) = self.stop.get() {
            stop.stop();
        }
    }
}

impl Drop for Clock {
    /// Ends the thread; the waveform is closed with the design.
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // With the lock, or the thread could go to sleep between its look and its wait.
        drop(lock(&self.shared.machine));
        self.shared.work.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic was printed when it happened
        }
    }
}

/// Locks; who panicked with the lock held has left the pins as they were, and the design's state is its own.
fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}
