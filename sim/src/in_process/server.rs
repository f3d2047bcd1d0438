//! The thread of threaded mode.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::shared::{Shared, lock};

/// Starts the thread that serves doorbells.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let served = Arc::clone(shared);
    let server = thread::Builder::new()
        .name("hwpool-sim".into())
        .spawn(move || served.serve())?;
    // Set once, here.
    let _ = shared.server.set(server.thread().clone());
    Ok(server)
}

/// Looks at the doorbells with the lock held once, unless something else is wanted.
const LOOKS: u32 = 256;
/// Idle bursts, with the core given up after each, before the model's thread sleeps.
const YIELDS: u32 = 32;
/// Longest sleep of the model's thread.
const NAP: Duration = Duration::from_millis(1);

impl Shared {
    /// The model's thread: serves doorbells until the last handle is gone.
    fn serve(&self) {
        let mut idle = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if self.wanted.load(Ordering::Relaxed) > 0 {
                thread::yield_now();
            } else if self.burst() {
                idle = 0;
            } else {
                idle = self.back_off(idle + 1);
            }
        }
    }

    /// A turn of the model: serves the doorbells that the device serves and what is due, and the others if there were none.
    /// Tells whether there were any.
    fn burst(&self) -> bool {
        let mut model = lock(&self.model);
        let mut busy = false;
        for _ in 0..LOOKS {
            match model.poll_running() {
                true => busy = true,
                false => std::hint::spin_loop(),
            }
            if self.wanted.load(Ordering::Relaxed) > 0 || model.has_interrupts() {
                break;
            }
        }
        match busy {
            true => model.run_due(),
            false => busy = model.poll(),
        }
        self.publish(&mut model);
        self.clock.turn();
        busy
    }

    /// Called by who waits: lets the model's thread have the core, or has the model's turn itself where the thread had
    /// none for long, as on a busy machine.
    pub(super) fn see_to_a_turn(&self) {
        if !self.clock.is_due() {
            return thread::yield_now();
        }
        self.with(|model| {
            model.poll();
            self.clock.turn();
        });
    }

    /// Lets others have the core, who may be those that are to ring; later sleeps until a doorbell wakes it or the nap
    /// is over.
    fn back_off(&self, idle: u32) -> u32 {
        if idle < YIELDS {
            thread::yield_now();
            return idle;
        }
        self.asleep.0.store(true, Ordering::SeqCst);
        // Before the last look: who rings looks at `asleep` after that, and one of the two sees the other.
        fence(Ordering::SeqCst);
        if !self.burst() {
            thread::park_timeout(NAP);
        }
        self.asleep.0.store(false, Ordering::Relaxed);
        YIELDS - 1 // what woke it not being a doorbell, it sleeps again soon
    }
}
