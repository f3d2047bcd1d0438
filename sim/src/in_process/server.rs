//! The thread of threaded mode.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::SimError;
use super::shared::{Shared, lock};

/// Starts the thread that serves doorbells.
pub(super) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, SimError> {
    let served = Arc::clone(shared);
    let server = thread::Builder::new()
        .name("hwpool-sim".into())
        .spawn(move || served.serve())
        .map_err(SimError::Thread)?;
    // Set once, here.
    let _ = shared.server.set(server.thread().clone());
    Ok(server)
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
