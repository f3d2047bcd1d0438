//! Closing: taking everything out of the backend, and the report of what is missing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::pool::backend::Backend;
use crate::pool::checked::Place;
use crate::pool::error::CloseError;
use crate::pool::inner::Inner;
use crate::pool::slot::index_of;
use crate::pool::stats::Stats;

/// What a pool had and had not when it closed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CloseReport {
    /// Name of the pool.
    pub pool: String,
    /// Objects that the pool has.
    pub objects: u32,
    /// Objects that were in at the end.
    pub returned: u32,
    /// Objects that were not, by index: with users, in the caches of other threads' workers, or lost by the backend.
    pub out: Vec<OutObject>,
    /// Everybody who took or gave, in the order in which they first came.
    pub holders: Vec<HolderBalance>,
    /// Indices that the backend returned though it could not have them: twice, out of range, or on loan.
    pub invented: Vec<u32>,
    /// What the pool did.
    pub stats: Stats,
}

/// An object that was not in when its pool closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutObject {
    /// Its index.
    pub index: u32,
    /// Who took it, where checked mode saw that.
    pub holder: Option<Arc<str>>,
}

/// What the workers of one name took and gave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HolderBalance {
    /// The name.
    pub name: Arc<str>,
    /// Workers of this name that still lived when the pool closed.
    pub workers: usize,
    /// Objects that they took.
    pub taken: u64,
    /// Objects that they gave, whoever took them.
    pub given: u64,
    /// Objects in the caches of those that still lived.
    pub cached: u64,
}

impl HolderBalance {
    /// Returns how many more objects were taken than given. Positive: leaked, or handed to another holder.
    pub fn balance(&self) -> i64 {
        self.taken as i64 - self.given as i64
    }
}

impl CloseReport {
    /// Tells whether every object was in, exactly once.
    pub fn is_clean(&self) -> bool {
        self.out.is_empty() && self.invented.is_empty()
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pool {}: {} of {} objects returned",
            self.pool, self.returned, self.objects
        )?;
        list(f, "out", &self.out, |object, f| match &object.holder {
            Some(holder) => write!(f, "{} ({holder})", object.index),
            None => write!(f, "{}", object.index),
        })?;
        list(f, "invented by the backend", &self.invented, |index, f| {
            write!(f, "{index}")
        })?;
        if self.is_clean() {
            return Ok(());
        }
        let uneven: Vec<_> = self
            .holders
            .iter()
            .filter(|holder| holder.balance() != 0 || holder.cached != 0)
            .collect();
        list(f, "balances", &uneven, |holder, f| {
            write!(f, "{} {:+}", holder.name, holder.balance())?;
            if holder.cached > 0 {
                write!(f, " and {} in caches", holder.cached)
            } else {
                Ok(())
            }
        })
    }
}

/// Writes the first few of a list and how many there are besides.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    mut write_one: impl FnMut(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    const SHOWN: usize = 16;
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "; {title}: ")?;
    for (at, item) in items.iter().take(SHOWN).enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        write_one(item, f)?;
    }
    match items.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

impl Inner {
    /// Closes the pool, and counts what is in.
    pub(super) fn close(&self) -> Result<CloseReport, CloseError> {
        self.shut()?;
        let drained = self.store.drain();
        let parked = std::mem::take(&mut self.stray().parked);
        let mut found = Found::new(self.objects);
        parked.iter().for_each(|&index| found.add(index, true));
        for &word in drained.iter().flatten() {
            let index = if self.store.is_ours() {
                index_of(word)
            } else {
                word
            };
            found.add(index, self.may_be_inside(index));
        }
        // Those found come no more, late or otherwise; the caller's own hold remains.
        let last = self.lifeline.release(found.count as usize);
        debug_assert!(!last, "the closing thread has no hold");
        let report = self.report(found);
        match drained {
            Ok(_) => Ok(report),
            Err(cause) => Err(CloseError::Drain {
                pool: self.name.clone(),
                report: Box::new(report),
                cause: cause.into(),
            }),
        }
    }

    /// Ends the pool's open life, once.
    fn shut(&self) -> Result<(), CloseError> {
        let roster = self.roster();
        if self.is_closed() {
            return Err(CloseError::AlreadyClosed {
                pool: self.name.clone(),
            });
        }
        // Before anybody can see the pool closed and let go of one: a hold for every object.
        self.lifeline.hold(self.objects as usize);
        self.closed.store(true, Ordering::Release);
        // After: who is sent off the quick way by this sees the pool closed.
        roster.set_quick(false);
        Ok(())
    }

    /// Tells whether a drained index can be true.
    fn may_be_inside(&self, index: u32) -> bool {
        index < self.objects
            && self
                .ledger
                .as_ref()
                .is_none_or(|ledger| !ledger.is_claimed(index))
    }

    fn report(&self, found: Found) -> CloseReport {
        let tallies = self.roster().tallies();
        let direct = (
            self.direct.taken.load(Ordering::Relaxed),
            self.direct.given.load(Ordering::Relaxed),
        );
        let holders = tallies
            .iter()
            .enumerate()
            .map(|(at, (name, tally, workers))| {
                let (taken, given) = if at == 0 {
                    direct
                } else {
                    (tally.taken, tally.given())
                };
                HolderBalance {
                    name: Arc::clone(name),
                    workers: *workers,
                    taken,
                    given,
                    cached: tally.cached,
                }
            });
        let holders: Vec<_> = holders
            .filter(|holder| holder.taken + holder.given > 0 || holder.workers > 0)
            .collect();
        let missing = (0..self.objects).filter(|&index| !found.is_in(index));
        let out = missing
            .map(|index| OutObject {
                index,
                holder: self.holder_of(index),
            })
            .collect();
        let stats = Stats {
            free: found.count,
            ..Stats::of(self)
        };
        CloseReport {
            pool: self.name.clone(),
            objects: self.objects,
            returned: found.count,
            out,
            holders,
            invented: found.invented,
            stats,
        }
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
