//! Two threads: one works on the main thread, its partner on another processor, and both begin at the same moment.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::measure::{Run, Slice, disturbances, pin};

/// Where the two wait for each other.
#[derive(Default)]
struct Meeting {
    ready: AtomicBool,
    begin: AtomicBool,
    done: AtomicBool,
    disturbed: AtomicBool,
}

/// Makes slices in which `here` runs on this thread, and what `there` makes on one of its own.
pub(crate) fn pair<T: FnMut(u64) + 'static>(
    mut here: impl FnMut(u64) + 'static,
    there: impl FnOnce() -> T + Send + 'static,
) -> Run {
    let meeting = Arc::new(Meeting::default());
    let theirs = Arc::clone(&meeting);
    let (orders, received) = mpsc::channel();
    thread::spawn(move || {
        let _waits_for_us = AbortOnPanic;
        pin(1);
        let mut there = there();
        for rounds in received {
            theirs.serve(&mut there, rounds);
        }
    });
    Box::new(move |rounds| {
        orders.send(rounds).expect("the partner lives");
        meeting.run(&mut here, rounds)
    })
}

/// Ends the process if the partner panics: this thread would wait for it for ever.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

impl Meeting {
    fn run(&self, here: &mut impl FnMut(u64), rounds: u64) -> Slice {
        wait_for(&self.ready);
        let before = disturbances();
        let started = Instant::now();
        self.begin.store(true, Ordering::Release);
        here(rounds);
        wait_for(&self.done);
        let amount = started.elapsed().as_nanos() as f64;
        let disturbed = disturbances() != before || self.disturbed.load(Ordering::Relaxed);
        Slice { amount, disturbed }
    }

    fn serve(&self, there: &mut impl FnMut(u64), rounds: u64) {
        let before = disturbances();
        self.ready.store(true, Ordering::Release);
        wait_for(&self.begin);
        there(rounds);
        let disturbed = disturbances() != before;
        self.disturbed.store(disturbed, Ordering::Relaxed);
        self.done.store(true, Ordering::Release);
    }
}

/// Waits for a flag and lowers it.
fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        spin_loop();
    }
    flag.store(false, Ordering::Relaxed);
}

const BERTHS: usize = 64;

/// A lane of berths, each full or empty, from one thread to another; the twin of `lane` in rte.c.
pub(crate) struct Lane<T>([Berth<T>; BERTHS]);

/// The flag is behind the load, in the line of a batch's length: whoever takes writes to one line, as in rte.c.
#[repr(C, align(64))]
struct Berth<T> {
    load: UnsafeCell<T>,
    full: AtomicU32,
}

// SAFETY: a berth's load is written while it is empty by the one who puts, and read while it is full by the one who
// takes; the flag's release and acquire order the two.
unsafe impl<T: Send> Sync for Lane<T> {}

impl<T> Lane<T> {
    /// Makes a lane of empty berths; `empty` makes what a load lies in.
    pub(crate) fn new(mut empty: impl FnMut() -> T) -> Lane<T> {
        Lane(std::array::from_fn(|_| Berth {
            full: AtomicU32::new(0),
            load: UnsafeCell::new(empty()),
        }))
    }

    /// Lets `fill` put the `round`th load.
    ///
    /// # Safety
    /// One thread puts.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, round: u64, fill: impl FnOnce(&mut T)) {
        let berth = &self.0[round as usize % BERTHS];
        while berth.full.load(Ordering::Acquire) != 0 {
            spin_loop();
        }
        // SAFETY: it is empty, and the caller alone fills it.
        fill(unsafe { &mut *berth.load.get() });
        berth.full.store(1, Ordering::Release);
    }

    /// Lets `empty` take the `round`th load.
    ///
    /// # Safety
    /// One thread takes.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, round: u64, empty: impl FnOnce(&mut T)) {
        let berth = &self.0[round as usize % BERTHS];
        while berth.full.load(Ordering::Acquire) == 0 {
            spin_loop();
        }
        // SAFETY: it is full, and the caller alone empties it.
        empty(unsafe { &mut *berth.load.get() });
        berth.full.store(0, Ordering::Release);
    }
}

/// A word on a cache line that two threads pass to each other.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Rally(AtomicU32);

impl Rally {
    /// Passes the line on, and waits until it is back.
    pub(crate) fn serve(&self) {
        self.0.store(1, Ordering::Release);
        while self.0.load(Ordering::Acquire) != 0 {}
    }

    /// Waits for the line and passes it back.
    pub(crate) fn answer(&self) {
        while self.0.load(Ordering::Acquire) == 0 {}
        self.0.store(0, Ordering::Release);
    }
}
