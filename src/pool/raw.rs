//! [`Raw`]: a pool for callers in other languages, who have indices and no ownership.

use crate::pool::direct::slot;
use crate::pool::error::{PoolError, RawError};
use crate::pool::inner::Inner;
use crate::pool::ledger::Ledger;

/// A pool by indices. What slots forbid at compile time is found at run time here: an index out of range, a double free.
/// Objects go straight to and from the backend.
pub struct Raw<'pool> {
    inner: &'pool Inner,
    /// What is out through this interface.
    out: &'pool Ledger,
}

impl<'pool> Raw<'pool> {
    pub(super) fn new(inner: &'pool Inner) -> Raw<'pool> {
        Raw {
            inner,
            out: inner.raw.get_or_init(|| Ledger::new(inner.objects)),
        }
    }

    /// Fills `objects` with indices of objects that are now the caller's; false where there are not as many.
    ///
    /// # Errors
    /// Where the pool is closed or poisoned, or the backend refuses. `objects` is untouched then, and on false.
    pub fn dequeue(&self, objects: &mut [u32]) -> Result<bool, PoolError> {
        let mut words = vec![0; objects.len()];
        if !self.inner.take_direct(&mut words)? {
            return Ok(false);
        }
        for (object, &word) in objects.iter_mut().zip(&words) {
            // SAFETY: the word is a slot that is ours; the index stands for it from here on.
            *object = unsafe { slot(word) }.index();
            let fresh = self.out.claim(*object);
            debug_assert!(fresh, "object {object} was out already");
        }
        Ok(true)
    }

    /// Takes objects back, all or none.
    ///
    /// # Errors
    /// Where an index is out of range, or is not out: freed before, or twice in `objects`. Nothing changed then.
    pub fn enqueue(&self, objects: &[u32]) -> Result<(), RawError> {
        self.release_all(objects)?;
        let tag = self.inner.tag.word();
        let words: Vec<u32> = objects.iter().map(|&index| index | tag).collect();
        self.inner.give_direct(&words).map_err(|fault| {
            if fault.kept {
                self.claim_again(objects);
            }
            RawError::Give(fault.fault)
        })
    }

    /// Counts the free objects, as [`Pool::count`](crate::pool::Pool::count).
    pub fn count(&self) -> u32 {
        crate::pool::stats::Stats::of(self.inner).free
    }

    fn release_all(&self, objects: &[u32]) -> Result<(), RawError> {
        for (at, &index) in objects.iter().enumerate() {
            let fault = if index >= self.inner.objects {
                RawError::Foreign {
                    index,
                    objects: self.inner.objects,
                }
            } else if !self.out.release(index) {
                RawError::NotOut { index }
            } else {
                continue;
            };
            self.claim_again(&objects[..at]);
            return Err(fault);
        }
        Ok(())
    }

    fn claim_again(&self, objects: &[u32]) {
        objects.iter().for_each(|&index| _ = self.out.claim(index));
    }
}
