//! The model's thread: looks at the doorbell pages, which nobody announces.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::shared::{STEPS, Shared};
use crate::user::sync::lock;

/// Empty looks before the thread gives up its core, and before it sleeps.
const SPINS: u32 = 4_000;
const YIELDS: u32 = SPINS + 200;
/// How long it sleeps while portals run. A store wakes nobody, so this is how late a doorbell after a pause is seen.
const NAP: Duration = Duration::from_micros(50);
/// How long it sleeps while none runs: a message that lets one run wakes it.
const SLEEP: Duration = Duration::from_millis(10);
/// Passes between looks at what is rare: doorbells of disabled portals, delayed ones.
const RARE: u32 = 256;
/// How long a doorbell of a portal that does not run waits for a message that lets it run, sent before the store.
const GRACE: Duration = Duration::from_millis(5);
/// Passes with the lock held.
const BURST: u32 = 16;

pub(super) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let polled = Arc::clone(shared);
    let thread = thread::Builder::new()
        .name("hwpool-sim".into())
        .spawn(move || polled.poll())?;
    // Set once, here.
    let _ = shared.poller.set(thread.thread().clone());
    Ok(thread)
}

impl Shared {
    fn poll(&self) {
        match self.stepped {
            true => self.step(),
            false => self.spin(),
        }
    }

    /// Lets virtual time pass, some steps at a time; each message wakes it.
    fn step(&self) {
        let mut strays = Strays::default();
        while !self.stop.load(Ordering::Relaxed) {
            self.look_at_all(STEPS, &mut strays);
            thread::park_timeout(NAP);
        }
    }

    /// Looks at the doorbells of running portals as fast as it can, and less and less while nothing happens.
    fn spin(&self) {
        let mut idle = 0;
        let mut strays = Strays::default();
        while !self.stop.load(Ordering::Relaxed) {
            if self.wanted.load(Ordering::Relaxed) {
                thread::yield_now();
                continue;
            }
            let running = self.running.load(Ordering::Relaxed);
            if self.doorbells.have_rung(running) {
                self.burst();
                idle = 0;
                continue;
            }
            idle += 1;
            if idle % RARE == 0 || idle >= YIELDS {
                self.look_at_all(1, &mut strays);
            }
            idle = back_off(idle, running);
        }
    }

    /// Serves running portals for as long as they ring.
    fn burst(&self) {
        let mut model = lock(&self.model);
        let before = model.running();
        for _ in 0..BURST {
            let running = model.running();
            let rung = self
                .doorbells
                .take(running, |q, value| self.ring(&mut model, q, value));
            if !rung || self.wanted.load(Ordering::Relaxed) {
                break;
            }
        }
        self.settle(&mut model, before);
    }

    /// Looks at every doorbell, and lets time pass for the model.
    fn look_at_all(&self, steps: u32, strays: &mut Strays) {
        let mut model = lock(&self.model);
        let before = model.running();
        let watched = match strays.are_due(self.doorbells.have_rung(!before)) {
            true => u64::MAX,
            false => before,
        };
        self.doorbells
            .take(watched, |q, value| self.ring(&mut model, q, value));
        for _ in 0..steps {
            model.relax();
        }
        self.settle(&mut model, before);
    }
}

/// Since when there are doorbells of portals that don't run.
#[derive(Debug, Default)]
struct Strays(Option<Instant>);

impl Strays {
    /// Takes note of whether there are any; tells whether nothing is on its way any more that could let them count.
    fn are_due(&mut self, any: bool) -> bool {
        self.0 = self.0.filter(|_| any).or_else(|| any.then(Instant::now));
        self.0.is_some_and(|since| since.elapsed() >= GRACE)
    }
}

/// Spins, then yields, then sleeps.
fn back_off(idle: u32, running: u64) -> u32 {
    match idle {
        0..SPINS => std::hint::spin_loop(),
        SPINS..YIELDS => thread::yield_now(),
        _ if running == 0 => thread::park_timeout(SLEEP),
        _ => thread::park_timeout(NAP),
    }
    idle.min(YIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_doorbell_waits_for_what_may_be_on_its_way() {
        let mut strays = Strays::default();
        assert!(!strays.are_due(false) && !strays.are_due(true));
        assert!(strays.0.is_some(), "seen now");
        let long_ago = Instant::now().checked_sub(GRACE);
        strays.0 = long_ago;
        assert!(strays.are_due(true));
        assert!(!strays.are_due(false), "it was taken, or counts now");
        assert_eq!(strays.0, None, "the next one has its own time");
    }
}
