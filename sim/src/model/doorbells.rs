//! Doorbells as shared memory: the host stores without a lock, the model looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hwpool_devices::bmu::regs;

use super::Model;
use crate::bmu::find;

/// The page of one portal's doorbell as shared memory: written without a lock, looked at by the model.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cell {
    pub(crate) value: AtomicU64,
    /// Writes so far.
    pub(crate) rings: AtomicU64,
}

impl Cell {
    /// Writes the doorbell.
    #[inline]
    pub(crate) fn ring(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        // SeqCst: publishes the value, and orders it before the look at whether the model sleeps.
        self.rings.fetch_add(1, Ordering::SeqCst);
    }
}

impl Model {
    /// Serves doorbells that were written before an access that has come just now, in threaded mode.
    ///
    /// Those of portals that don't run matter only to accesses that may let them run: a doorbell that came too early
    /// must not count for the portal's next life.
    pub(super) fn catch_up(&mut self, bar: u8) {
        if bar == regs::OPERATION_BAR {
            self.poll_running();
        } else {
            self.tick();
            self.poll();
        }
    }

    /// Serves the doorbells that were written since the last call, in threaded mode; tells whether there were any.
    pub fn poll(&mut self) -> bool {
        if !self.w.instant {
            return false;
        }
        let mut busy = false;
        for q in 0..self.cells.len() {
            busy |= self.poll_cell(q);
        }
        if !self.w.agenda.is_empty() {
            self.tick();
            while self.w.agenda.peek().is_some_and(|e| e.0.0 <= self.w.now) {
                if let Some(entry) = self.w.agenda.pop() {
                    self.run_task(entry.0.2);
                }
            }
        }
        busy
    }

    /// Serves the doorbells of running portals only, which is what most polls need.
    pub(crate) fn poll_running(&mut self) -> bool {
        let mut busy = false;
        let mut left = self.bmu.running;
        while left != 0 {
            busy |= self.poll_cell(left.trailing_zeros() as usize);
            left &= left - 1;
        }
        busy
    }

    pub(super) fn poll_cell(&mut self, q: usize) -> bool {
        let rings = self.cells[q].rings.load(Ordering::Acquire);
        if rings == self.taken[q] {
            return false;
        }
        self.taken[q] = rings;
        let value = self.cells[q].value.load(Ordering::Acquire);
        let offset = regs::banks::PORTAL_PAGE.offset_of(q as u16);
        if let Some(slot) = find(regs::OPERATION_BAR, offset).filter(|_| !self.w.gone)
            && self.claims(regs::OPERATION_BAR, offset, value)
        {
            self.strike(slot);
            if !self.w.gone {
                self.take_doorbell(slot, value);
            }
        }
        true
    }

    pub(crate) fn cells(&self) -> Arc<[Cell]> {
        Arc::clone(&self.cells)
    }

    /// Returns the portals that run, a bit each.
    pub fn running(&self) -> u64 {
        self.bmu.running
    }

    pub(super) fn rings(&self) -> u64 {
        (self
            .cells
            .iter()
            .map(|cell| cell.rings.load(Ordering::Relaxed)))
        .sum()
    }
}
