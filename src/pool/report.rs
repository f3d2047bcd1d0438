//! [`CloseReport`]: what a pool had and had not when it closed.

use std::fmt;
use std::sync::Arc;

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
