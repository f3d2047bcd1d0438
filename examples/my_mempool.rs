//! A backend of one's own, registered by name, used through the ordinary pool; no unsafe code.
//!
//! The pool checks everything that it hands out, so that a mistake in here can't give one buffer to two owners.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hwpool::pool::{Backend, BackendError, register};

#[path = "common/exercise.rs"]
mod exercise;

/// A first-in, first-out ring behind a lock: buffers rest as long as possible before they are used again.
struct FifoRing {
    /// `None` once it was drained.
    free: Mutex<Option<VecDeque<u32>>>,
}

impl FifoRing {
    fn with_capacity(objects: u32) -> FifoRing {
        FifoRing {
            free: Mutex::new(Some(VecDeque::with_capacity(objects as usize))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<u32>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for FifoRing {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        let mut free = self.lock();
        free.as_mut().ok_or(BackendError::Closed)?.extend(objects);
        Ok(())
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        let mut free = self.lock();
        let free = free.as_mut().ok_or(BackendError::Closed)?;
        if free.len() < objects.len() {
            return Err(BackendError::Short);
        }
        let oldest = free.drain(..objects.len());
        oldest
            .zip(objects)
            .for_each(|(index, object)| *object = index);
        Ok(())
    }

    fn count(&self) -> u32 {
        self.lock().as_ref().map_or(0, |free| free.len() as u32)
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        self.lock()
            .take()
            .map(Vec::from)
            .ok_or(BackendError::Closed)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    register("my-fifo", |request| {
        Ok(Box::new(FifoRing::with_capacity(request.objects)))
    })?;
    exercise::run("my-fifo")
}
