//! The roster: who has had objects of a pool, by name, and which workers there are.

use std::sync::Arc;

use crate::pool::cache::Core;
use crate::pool::checked::HolderId;

/// The holder of everything that was taken without a worker.
pub(super) const DIRECT: HolderId = 0;

/// Most names that a pool tells apart.
pub(super) const MAX_NAMES: usize = HolderId::MAX as usize;

/// Names and workers of a pool.
pub(super) struct Roster {
    holders: Vec<Holder>,
    cores: Vec<Arc<Core>>,
}

/// A name, with what its former workers did.
pub(super) struct Holder {
    pub(super) name: Arc<str>,
    pub(super) former: Tally,
}

/// What workers did, in objects (the first four) and calls.
#[derive(Debug, Copy, Clone, Default)]
pub(super) struct Tally {
    /// Taken by users.
    pub(super) taken: u64,
    /// Obtained from the backend.
    pub(super) acquired: u64,
    /// Let go to the backend.
    pub(super) released: u64,
    /// In caches.
    pub(super) cached: u64,
    pub(super) refills: u64,
    pub(super) flushes: u64,
    pub(super) shortages: u64,
    pub(super) enqueues: u64,
    pub(super) dequeues: u64,
}

impl Tally {
    /// Counts the objects that users gave: what was let go or is cached, less what the backend put in, plus what left.
    pub(super) fn given(&self) -> u64 {
        // Each number is read at its own moment while its thread goes on, so the sum may be off by a few: never below 0.
        (self.taken + self.released + self.cached).saturating_sub(self.acquired)
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.taken += other.taken;
        self.acquired += other.acquired;
        self.released += other.released;
        self.cached += other.cached;
        self.refills += other.refills;
        self.flushes += other.flushes;
        self.shortages += other.shortages;
        self.enqueues += other.enqueues;
        self.dequeues += other.dequeues;
    }
}

impl Roster {
    pub(super) fn new() -> Roster {
        let direct = Holder {
            name: "(no worker)".into(),
            former: Tally::default(),
        };
        Roster {
            holders: vec![direct],
            cores: Vec::new(),
        }
    }

    /// Returns the number of a name, or `None` where there are too many.
    pub(super) fn number(&mut self, name: &str) -> Option<HolderId> {
        let known = self
            .holders
            .iter()
            .skip(1)
            .position(|holder| &*holder.name == name);
        if let Some(at) = known {
            return Some((at + 1) as HolderId);
        }
        let next = self.holders.len();
        if next > MAX_NAMES {
            return None;
        }
        self.holders.push(Holder {
            name: name.into(),
            former: Tally::default(),
        });
        Some(next as HolderId)
    }

    pub(super) fn name(&self, holder: HolderId) -> Arc<str> {
        Arc::clone(&self.holders[usize::from(holder)].name)
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.holders
            .iter()
            .map(|holder| Arc::clone(&holder.name))
            .collect()
    }

    pub(super) fn attach(&mut self, core: Arc<Core>) {
        self.cores.push(core);
    }

    /// Removes a worker and keeps what it did under its name.
    pub(super) fn detach(&mut self, core: &Core) {
        self.cores.retain(|other| !std::ptr::eq(&**other, core));
        self.holders[usize::from(core.holder())]
            .former
            .add(&core.tally());
    }

    /// Switches the quick ways of all workers.
    pub(super) fn set_quick(&self, on: bool) {
        self.cores.iter().for_each(|core| core.set_quick(on));
    }

    /// Returns every name with what its workers did, and how many it has now.
    pub(super) fn tallies(&self) -> Vec<(Arc<str>, Tally, usize)> {
        let mut all: Vec<_> = self
            .holders
            .iter()
            .map(|holder| (Arc::clone(&holder.name), holder.former, 0))
            .collect();
        for core in &self.cores {
            let (_, tally, workers) = &mut all[usize::from(core.holder())];
            tally.add(&core.tally());
            *workers += 1;
        }
        all
    }
}
