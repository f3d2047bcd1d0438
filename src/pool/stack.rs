//! `stack`: a last-in, first-out store of indices under a lock. The object given last, whose memory is still in the
//! processor's cache, is the first to be taken again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pool::backend::{Backend, BackendError, StoreError};
use crate::pool::in_place::See;

/// Indices in a vector that never grows beyond what it was made for. Holds its lock for one copy.
pub(super) struct Stack {
    state: Mutex<State>,
    capacity: usize,
}

struct State {
    objects: Vec<u32>,
    closed: bool,
}

impl Stack {
    /// Makes an empty stack that holds at most `capacity` objects.
    pub(super) fn new(capacity: u32) -> Stack {
        let capacity = capacity as usize;
        let state = State {
            objects: Vec::with_capacity(capacity),
            closed: false,
        };
        Stack {
            state: Mutex::new(state),
            capacity,
        }
    }

    /// Locks; a thread that panicked meanwhile left the state whole: objects that were shown to it are still inside.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.lock();
        if state.closed {
            Err(StoreError::Closed)
        } else {
            Ok(state)
        }
    }

    /// Takes `objects` in, all or none.
    #[inline]
    pub(super) fn put(&self, objects: &[u32]) -> Result<(), StoreError> {
        let mut state = self.open()?;
        if objects.len() > self.capacity - state.objects.len() {
            return Err(StoreError::Short);
        }
        state.objects.extend_from_slice(objects);
        Ok(())
    }

    /// Fills `objects`, or leaves them as they are.
    #[inline]
    pub(super) fn take(&self, objects: &mut [u32]) -> Result<(), StoreError> {
        self.take_with(objects.len(), |last: &[u32]| objects.copy_from_slice(last))
    }

    /// Takes `n` objects, all or none, and shows them where they lie, under the lock.
    #[inline(always)]
    pub(super) fn take_with(&self, n: usize, see: impl See) -> Result<(), StoreError> {
        let mut state = self.open()?;
        let Some(rest) = state.objects.len().checked_sub(n) else {
            return Err(StoreError::Short);
        };
        see.see(&state.objects[rest..]);
        state.objects.truncate(rest);
        Ok(())
    }
}

impl Backend for Stack {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        Ok(self.put(objects)?)
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        Ok(self.take(objects)?)
    }

    fn count(&self) -> u32 {
        self.lock().objects.len() as u32
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let mut state = self.lock();
        state.closed = true;
        Ok(std::mem::take(&mut state.objects))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_last_ones_first() {
        let stack = Stack::new(4);
        stack.enqueue(&[1, 2, 3]).unwrap();
        let mut out = [0; 2];
        stack.dequeue(&mut out).unwrap();
        assert_eq!(out, [2, 3]);
        assert_eq!(stack.count(), 1);
    }

    #[test]
    fn is_all_or_nothing_both_ways() {
        let stack = Stack::new(4);
        stack.enqueue(&[1, 2, 3]).unwrap();
        assert!(matches!(stack.enqueue(&[4, 5]), Err(BackendError::Short)));
        let mut out = [99; 4];
        assert!(matches!(stack.dequeue(&mut out), Err(BackendError::Short)));
        assert_eq!(out, [99; 4]);
        assert_eq!(stack.count(), 3);
    }

    #[test]
    fn gives_everything_at_drain_and_nothing_after() {
        let stack = Stack::new(4);
        stack.enqueue(&[1, 2]).unwrap();
        assert_eq!(stack.drain().unwrap(), [1, 2]);
        assert!(matches!(stack.enqueue(&[1]), Err(BackendError::Closed)));
        assert!(matches!(stack.dequeue(&mut [0]), Err(BackendError::Closed)));
    }
}
