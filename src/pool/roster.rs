//! The roster: who has had objects of a pool, by name, and which workers there are.

use std::sync::Arc;

use crate::pool::cache::{Cache, Tally};
use crate::pool::checked::HolderId;

/// The holder of everything that was taken without a worker.
pub(super) const DIRECT: HolderId = 0;

/// Most names that a pool tells apart.
pub(super) const MAX_NAMES: usize = HolderId::MAX as usize;

/// Names and workers of a pool.
pub(super) struct Roster {
    holders: Vec<Holder>,
    caches: Vec<Arc<Cache>>,
}

/// A name, with what its former workers did.
pub(super) struct Holder {
    pub(super) name: Arc<str>,
    pub(super) former: Tally,
}

impl Roster {
    pub(super) fn new() -> Roster {
        let direct = Holder {
            name: "(no worker)".into(),
            former: Tally::default(),
        };
        Roster {
            holders: vec![direct],
            caches: Vec::new(),
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

    pub(super) fn attach(&mut self, cache: Arc<Cache>) {
        self.caches.push(cache);
    }

    /// Removes a worker and keeps what it did under its name.
    pub(super) fn detach(&mut self, cache: &Cache) {
        self.caches.retain(|other| !std::ptr::eq(&**other, cache));
        self.holders[usize::from(cache.holder)]
            .former
            .add(&cache.tally());
    }

    /// Switches the quick ways of all workers.
    pub(super) fn set_quick(&self, on: bool) {
        self.caches.iter().for_each(|cache| cache.set_quick(on));
    }

    /// Returns every name with what its workers did, and how many it has now.
    pub(super) fn tallies(&self) -> Vec<(Arc<str>, Tally, usize)> {
        let mut all: Vec<_> = self
            .holders
            .iter()
            .map(|holder| (Arc::clone(&holder.name), holder.former, 0))
            .collect();
        for cache in &self.caches {
            let (_, tally, workers) = &mut all[usize::from(cache.holder)];
            tally.add(&cache.tally());
            *workers += 1;
        }
        all
    }
}
