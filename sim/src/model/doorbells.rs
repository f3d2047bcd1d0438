//! Serving the doorbells that were written as shared memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cell, Model};
use crate::shape::Slot;

impl Model {
    /// Serves doorbells that were written before an access that has come just now, in threaded mode.
    ///
    /// Those that are not served matter only to accesses that may let them be, by another BAR than the doorbells' or by
    /// configuration space: a doorbell that came too early must not count for its next life.
    pub(super) fn catch_up(&mut self, bar: Option<u8>) {
        let own = self.shape.doorbells.map(|bank| bank.bar);
        if bar.is_some() && bar == own {
            self.poll_running();
        } else {
            self.tick();
            self.poll();
        }
    }

    /// Serves the doorbells that were written since the last call, in threaded mode; tells whether there were any.
    pub fn poll(&mut self) -> bool {
        if !self.world.instant {
            return false;
        }
        let mut busy = false;
        for q in 0..self.cells.len() {
            busy |= self.poll_cell(q);
        }
        self.run_due();
        busy
    }

    /// Does what the device has put off and is due, in threaded mode.
    pub(crate) fn run_due(&mut self) {
        if self.logic.next_at().is_some() {
            self.tick();
            while self.logic.next_at().is_some_and(|at| at <= self.world.now) {
                self.logic.run_next(&mut self.world);
            }
        }
    }

    /// Serves the doorbells that the device serves only, which is what most polls need.
    pub(crate) fn poll_running(&mut self) -> bool {
        let mut busy = false;
        let mut left = self.world.running;
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
        if let (Some(bank), Some(first)) = (self.shape.doorbells, self.first_doorbell)
            && !self.world.gone
            && self.claims(bank.bar, bank.offset_of(q as u16), value)
        {
            let index = q as u16;
            let slot = Slot { index, ..first };
            self.strike(slot);
            if !self.world.gone {
                self.logic.write(&mut self.world, slot, value);
            }
        }
        true
    }

    pub(crate) fn cells(&self) -> Arc<[Cell]> {
        Arc::clone(&self.cells)
    }

    /// Returns the hot doorbells that the device serves now, a bit each.
    pub fn running(&self) -> u64 {
        self.world.running
    }

    pub(super) fn rings(&self) -> u64 {
        (self
            .cells
            .iter()
            .map(|cell| cell.rings.load(Ordering::Relaxed)))
        .sum()
    }
}
