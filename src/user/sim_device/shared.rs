//! What the server's thread and the model's have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

use hwpool_sim::{Model, Violation};
use vfio_bindings::bindings::vfio;

use super::doorbells::Doorbells;
use crate::user::server::Lines;
use crate::user::sync::lock;

/// Violations that are kept for who asks.
const MAX_VIOLATIONS: usize = 1024;

/// Steps of virtual time that go together, in stepped mode.
pub(super) const STEPS: u32 = 64;

/// A model, and who looks at it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) model: Mutex<Model>,
    /// The size of each BAR that there is.
    pub(super) sizes: Vec<Option<u64>>,
    pub(super) vectors: u16,
    pub(super) doorbells: Doorbells,
    pub(super) lines: Arc<Lines>,
    /// The server's thread wants the lock: the model's lets it in.
    pub(super) wanted: AtomicBool,
    /// Doorbells that the device serves, as the model's thread should watch them.
    pub(super) running: AtomicU64,
    pub(super) stepped: bool,
    pub(super) stop: AtomicBool,
    pub(super) poller: OnceLock<Thread>,
    pub(super) violations: Mutex<Vec<Violation>>,
}

impl Shared {
    /// Does something with the model for a client, in the server's thread: doorbells that it rang before come first, interrupts after.
    ///
    /// Accesses to the doorbells' own BAR need those only that the device serves; the others matter to accesses that may
    /// let them be served, unless these are posted.
    pub(super) fn with<R>(&self, needed: Watched, act: impl FnOnce(&mut Model) -> R) -> R {
        self.wanted.store(true, Ordering::Relaxed);
        let mut model = lock(&self.model);
        self.wanted.store(false, Ordering::Relaxed);
        let before = model.running();
        let watched = match needed {
            Watched::Running => before,
            Watched::All => u64::MAX,
        };
        self.doorbells
            .take(watched, |q, value| self.ring(&mut model, q, value));
        let result = act(&mut model);
        if self.stepped && matches!(needed, Watched::All) {
            // What a client waits with: its time goes by such accesses, and the model's must, too.
            (0..STEPS).for_each(|_| model.relax());
        }
        self.settle(&mut model, before);
        if self.stepped {
            self.wake_poller();
        }
        result
    }

    /// Looks at the model, which serves its client meanwhile as soon as it is let.
    #[cfg(feature = "metrics")]
    pub(super) fn beside<R>(&self, look: impl FnOnce(&mut Model) -> R) -> R {
        self.wanted.store(true, Ordering::Relaxed);
        let mut model = lock(&self.model);
        self.wanted.store(false, Ordering::Relaxed);
        look(&mut model)
    }

    /// Passes on what came of it: doorbells that begin or end a life start from 0, interrupts go out.
    pub(super) fn settle(&self, model: &mut Model, before: u64) {
        let running = model.running();
        if running != before {
            self.doorbells.clear(before & !running);
            self.doorbells.renew(running & !before);
            self.running.store(running, Ordering::SeqCst);
            self.wake_poller();
        }
        if let Some(fired) = model.take_interrupts() {
            for (vector, count) in (0..).zip(fired) {
                for _ in 0..count {
                    self.lines.fire(vfio::VFIO_PCI_MSIX_IRQ_INDEX, vector);
                }
            }
        }
    }

    /// Passes on a doorbell that was seen.
    pub(super) fn ring(&self, model: &mut Model, doorbell: usize, value: u64) {
        if let Some(bank) = self.doorbells.bank() {
            // In range and aligned, so it can't fail.
            let _ = model.bar_write(bank.bar, bank.offset_of(doorbell as u16), 8, value);
        }
    }

    /// Tells which doorbells an access to a BAR needs to have been looked at.
    pub(super) fn needed(&self, bar: u8) -> Watched {
        match self.doorbells.bank() {
            Some(bank) if bank.bar == bar => Watched::Running,
            _ => Watched::All,
        }
    }

    fn wake_poller(&self) {
        if let Some(poller) = self.poller.get() {
            poller.unpark();
        }
    }

    pub(super) fn collect_violations(&self) -> Vec<Violation> {
        let found = lock(&self.model).take_violations();
        let mut kept = lock(&self.violations);
        let room = MAX_VIOLATIONS.saturating_sub(kept.len());
        kept.extend(found.iter().take(room).cloned());
        found
    }
}

/// Which doorbells an access needs to have been looked at: those that the device serves, or all.
#[derive(Debug, Copy, Clone)]
pub(super) enum Watched {
    Running,
    All,
}
