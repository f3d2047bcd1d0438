//! Entries through the rings: waiting for room and for entries, and what is made of them.

use super::state::Portal;
use crate::bmu::pool::Pool;
use crate::bmu::regs::PortalState;
use crate::bmu::rings::Status;
use crate::bus::{DmaBuffer, Transport};
use crate::family::{Breach, PathError};
use crate::wait::Deadline;

impl<T: Transport, D: DmaBuffer> Portal<T, D> {
    /// Stores `objects`, at most half a ring, as soon as there is room.
    pub(super) fn store(&mut self, pool: &mut Pool<T>, objects: &[u32]) -> Result<(), PathError> {
        if (self.rings.room() as usize) < objects.len() {
            self.await_room(pool, objects.len() as u32)?;
        }
        let geometry = *pool.geometry();
        self.entries.clear();
        self.entries
            .extend(objects.iter().map(|&index| geometry.address(index)));
        self.rings.store(&self.entries);
        Ok(())
    }

    #[cold]
    fn await_room(&mut self, pool: &mut Pool<T>, wanted: u32) -> Result<(), PathError> {
        let mut deadline = self.deadline("room in the release ring");
        loop {
            let status = self.plausible_status(pool)?;
            self.rings.set_release_head(status.release_head);
            if self.rings.room() >= wanted {
                return Ok(());
            }
            self.ring(pool)?;
            self.relax(pool, &mut deadline)?;
        }
    }

    /// Takes `n` entries (at most the credits) into the scratch; `false` where the device has run out of them.
    #[inline]
    pub(super) fn await_entries(&mut self, pool: &mut Pool<T>, n: u32) -> Result<bool, PathError> {
        if self.rings.is_ready(n - 1) {
            let before = self.scratch.len();
            self.take(pool, n)?;
            if self.scratch.len() - before == n as usize {
                return Ok(true);
            }
            self.untake(pool, before);
        }
        self.await_entries_slowly(pool, n)
    }

    /// Lets the device catch up. Looks at the entries only when there is news of them: a look takes the lines away that
    /// the device is writing.
    #[cold]
    fn await_entries_slowly(&mut self, pool: &mut Pool<T>, n: u32) -> Result<bool, PathError> {
        self.ring(pool)?;
        let mut deadline = self.deadline("entries in the acquire ring");
        let mut seen = None;
        loop {
            // The status first, the entries after it: what it counts is visible then (SPEC 7).
            let status = self.plausible_status(pool)?;
            if seen.replace(status) != Some(status) || self.rings.is_ready(n - 1) {
                if self.take_exactly(pool, n, &status)? {
                    return Ok(true);
                }
                if self.ran_out(&status, n) {
                    return Ok(false);
                }
            }
            self.relax(pool, &mut deadline)?;
        }
    }

    /// Takes `n` entries into the scratch, or none, where they are not there yet; all that `status` counts must be.
    fn take_exactly(
        &mut self,
        pool: &mut Pool<T>,
        n: u32,
        status: &Status,
    ) -> Result<bool, PathError> {
        let before = self.scratch.len();
        self.take(pool, n)?;
        if self.scratch.len() - before == n as usize {
            return Ok(true);
        }
        let entry = self.rings.acquire_head();
        self.untake(pool, before);
        if (status.acquire_tail.wrapping_sub(entry) as i32) > 0 {
            return Err(pool.breach(missing(entry, status)));
        }
        Ok(false)
    }

    /// Tells whether the device, knowing all that the host gave and took, has fewer than `n` entries (SPEC 6.5).
    fn ran_out(&self, status: &Status, n: u32) -> bool {
        let knows_all = status.acquire_head == self.rings.acquire_head()
            && status.release_head == self.rings.release_tail();
        let written = status.acquire_tail.wrapping_sub(self.rings.acquire_head());
        status.empty && knows_all && written < n
    }

    /// Takes up to `n` ready entries off the ring into the scratch, through the ledger.
    #[inline]
    pub(super) fn take(&mut self, pool: &mut Pool<T>, n: u32) -> Result<(), PathError> {
        self.entries.resize(n as usize, 0);
        let ready = self.rings.peek(&mut self.entries);
        let before = self.scratch.len();
        self.scratch.resize(before + ready, 0);
        let taken =
            (pool.ledger_mut()).take_all(&self.entries[..ready], &mut self.scratch[before..]);
        if let Err(lie) = taken {
            self.scratch.truncate(before);
            return Err(pool.breach(lie));
        }
        self.rings.advance(ready as u32);
        Ok(())
    }

    /// Puts the entries that were taken into the scratch from `from` on back onto the ring.
    fn untake(&mut self, pool: &mut Pool<T>, from: usize) {
        let n = (self.scratch.len() - from) as u32;
        pool.ledger_mut().put_back(&self.scratch[from..]);
        self.scratch.truncate(from);
        self.rings.advance(n.wrapping_neg());
    }

    /// Gives what a call took before it ran short back to the device.
    pub(super) fn roll_back(&mut self, pool: &mut Pool<T>) -> Result<(), PathError> {
        if self.scratch.is_empty() {
            return Ok(());
        }
        let taken = std::mem::take(&mut self.scratch);
        let result = self.enqueue(pool, &taken);
        self.scratch = taken;
        result
    }

    /// Reads the status line and checks each count against what the host did.
    pub(super) fn plausible_status(&self, pool: &mut Pool<T>) -> Result<Status, PathError> {
        let status = self.rings.status();
        if status.halted {
            let breach = self.halted();
            return Err(pool.breach(breach));
        }
        let (low, high) = self.rings.possible_release_heads();
        if status.release_head.wrapping_sub(low) > high.wrapping_sub(low) {
            let found = status.release_head.into();
            let breach = Breach::BadCount {
                what: "release_head",
                found,
                low: low.into(),
                high: high.into(),
            };
            return Err(pool.breach(breach));
        }
        // The device writes at most its credits ahead of the head that it was told last, and may not have said so
        // yet when the host has taken more: then the tail lies behind the head. A head that moves by less than the
        // hysteresis is told by no line. The next one is due at the head after that, which may be as far as the ring is
        // filled, and while that line is on its way the host takes the ring's next filling (SPEC 6.5).
        let ahead = status.acquire_tail.wrapping_sub(self.rings.acquire_head()) as i32;
        let entries = self.rings.layout().acquire_entries() as i32;
        let behind = 2 * entries + self.hysteresis as i32 - 1;
        if ahead > entries || ahead < -behind {
            return Err(pool.breach(self.bad_tail(status)));
        }
        if status.available > pool.geometry().objects().into() {
            let (found, high) = (status.available, pool.geometry().objects().into());
            return Err(pool.breach(Breach::BadCount {
                what: "available",
                found,
                low: 0,
                high,
            }));
        }
        Ok(status)
    }

    pub(super) fn bad_tail(&self, status: Status) -> Breach {
        let head = self.rings.acquire_head();
        let high = head.wrapping_add(self.rings.layout().acquire_entries());
        Breach::BadCount {
            what: "acquire_tail",
            found: status.acquire_tail.into(),
            low: head.into(),
            high: high.into(),
        }
    }

    #[inline]
    pub(super) fn ring(&mut self, pool: &mut Pool<T>) -> Result<(), PathError> {
        self.rings.ring().map_err(|error| pool.breach(error.into()))
    }

    fn deadline(&self, what: &'static str) -> Deadline {
        Deadline::new(
            &**self.bmu.transport(),
            what,
            self.bmu.capabilities().timeout,
        )
    }

    /// Lets a moment pass. When the deadline is over, asks the device why: a portal that could not write its status
    /// line says so in its registers only, and a device that is gone says nothing.
    pub(super) fn relax(
        &self,
        pool: &mut Pool<T>,
        deadline: &mut Deadline,
    ) -> Result<(), PathError> {
        let Err(late) = deadline.relax(&**self.bmu.transport()) else {
            return Ok(());
        };
        let breach = match self.state() {
            Err(error) => error.into(),
            Ok(PortalState::Halted) => self.halted(),
            Ok(_) => late.into(),
        };
        Err(pool.breach(breach))
    }
}

/// The device counts `entry` and it is not there, although what a status line counts is visible before it (SPEC 7).
#[cold]
pub(super) fn missing(entry: u32, status: &Status) -> Breach {
    Breach::MissingEntry {
        entry,
        tail: status.acquire_tail,
    }
}
