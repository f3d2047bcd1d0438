//! Closing: taking everything out of the backend, and counting what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::checked::Place;
use crate::pool::error::CloseError;
use crate::pool::report::{CloseReport, HolderBalance, OutObject};
use crate::pool::roster::DIRECT;
use crate::pool::shared::Shared;
use crate::pool::stats::Stats;

impl Shared {
    /// Closes the pool, and counts what is in.
    pub(super) fn close(&self) -> Result<CloseReport, CloseError> {
        self.shut()?;
        let drained = self.guard.drain();
        let parked = std::mem::take(&mut *self.parked());
        self.tell_counts();
        let mut found = Found::new(self.guard.objects);
        parked.iter().for_each(|&index| found.add(index, true));
        for &index in drained.iter().flatten() {
            found.add(index, self.guard.may_be_inside(index));
        }
        // Those found come no more, late or otherwise; the caller's own hold remains.
        let last = self.lifeline.release(found.count as usize);
        debug_assert!(!last, "the closing thread has no hold");
        let report = self.report(found);
        match drained {
            Ok(_) => Ok(report),
            Err(cause) => Err(CloseError::Drain {
                pool: self.guard.pool.clone(),
                report: Box::new(report),
                cause: cause.into(),
            }),
        }
    }

    /// Says how often there was what was logged the first time only.
    fn tell_counts(&self) {
        let pool = &self.guard.pool;
        if let Some(drops) = self.kept.take() {
            tracing::warn!(pool, drops, "objects were parked when they were dropped");
        }
        if let Some(drops) = self.strays.take() {
            tracing::error!(pool, drops, "buffers were dropped that were not out");
        }
    }

    /// Ends the pool's open life, once.
    fn shut(&self) -> Result<(), CloseError> {
        let roster = self.roster();
        if self.guard.is_closed() {
            return Err(CloseError::AlreadyClosed {
                pool: self.guard.pool.clone(),
            });
        }
        // Before anybody can see the pool closed and let go of one: a hold for every object.
        self.lifeline.hold(self.guard.objects as usize);
        self.guard.close();
        // After: who is sent off the quick way by this sees the pool closed.
        roster.set_quick(false);
        Ok(())
    }

    fn report(&self, found: Found) -> CloseReport {
        let objects = self.guard.objects;
        let missing = (0..objects).filter(|&index| !found.is_in(index));
        let out = missing
            .map(|index| OutObject {
                index,
                holder: self.holder_of(index),
            })
            .collect();
        let stats = Stats {
            free: found.count,
            ..self.stats()
        };
        CloseReport {
            pool: self.guard.pool.clone(),
            objects,
            returned: found.count,
            out,
            holders: self.balances(),
            invented: found.invented,
            stats,
        }
    }

    /// Says what everybody took and gave who did, or still could.
    fn balances(&self) -> Vec<HolderBalance> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let direct = (read(&self.direct.taken), read(&self.direct.given));
        let tallies = self.roster().tallies();
        let holders = tallies.into_iter().enumerate();
        let balances = holders.map(|(at, (name, tally, workers))| {
            let (taken, given) = match at == usize::from(DIRECT) {
                true => direct,
                false => (tally.taken, tally.given()),
            };
            HolderBalance {
                name,
                workers,
                taken,
                given,
                cached: tally.cached,
            }
        });
        balances
            .filter(|holder| holder.taken + holder.given > 0 || holder.workers > 0)
            .collect()
    }

    fn holder_of(&self, index: u32) -> Option<Arc<str>> {
        let (epoch, table) = self.checking()?;
        match table.at(epoch, index) {
            Place::Out(holder) | Place::Cached(holder) => Some(self.roster().name(holder)),
            Place::Unknown | Place::Free => None,
        }
    }
}

/// The objects that a closing pool has found.
struct Found {
    is_in: Vec<bool>,
    count: u32,
    invented: Vec<u32>,
}

impl Found {
    fn new(objects: u32) -> Found {
        Found {
            is_in: vec![false; objects as usize],
            count: 0,
            invented: Vec::new(),
        }
    }

    fn is_in(&self, index: u32) -> bool {
        self.is_in[index as usize]
    }

    fn add(&mut self, index: u32, plausible: bool) {
        match self.is_in.get_mut(index as usize) {
            Some(seen @ false) if plausible => {
                *seen = true;
                self.count += 1;
            }
            _ => self.invented.push(index),
        }
    }
}
