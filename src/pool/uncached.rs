//! Taking and giving without a worker: straight to the backend, from any thread.

use std::sync::atomic::Ordering;

use crate::pool::batch::Slots;
use crate::pool::buffer::Buffer;
use crate::pool::checked::Place;
use crate::pool::copy::all_tagged;
use crate::pool::error::{GiveError, GiveFault, PoolError};
use crate::pool::guard::{Fault, Given, Taken};
use crate::pool::handle::Pool;
use crate::pool::roster::DIRECT;
use crate::pool::shared::Shared;
use crate::pool::slot::{Slot, index_of, slot, tag_of, words_of};

/// Taking and giving without a cache.
impl Pool {
    /// Takes an object; `None` where there is none.
    ///
    /// # Errors
    /// Where the pool is closed or poisoned, or the backend refuses.
    pub fn take(&self) -> Result<Option<Buffer>, PoolError> {
        // SAFETY: the slot is of this pool.
        Ok(self
            .take_slot()?
            .map(|slot| unsafe { Buffer::new(self.shared_ptr(), slot) }))
    }

    /// Takes an object as its slot; `None` where there is none.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_slot(&self) -> Result<Option<Slot>, PoolError> {
        let mut word = [0];
        let got = self.shared().take_direct(&mut word)?;
        // SAFETY: on true, the word is a slot that is nobody else's.
        Ok(got.then(|| unsafe { slot(word[0]) }))
    }

    /// Appends `n` objects to `slots`; false where there are not as many, and `slots` is as it was.
    ///
    /// # Errors
    /// As [`take`](Self::take); `slots` is as it was.
    ///
    /// # Panics
    /// If `slots` is a [`Batch`](crate::pool::Batch) without room for `n`.
    pub fn take_into<S: Slots>(&self, slots: &mut S, n: usize) -> Result<bool, PoolError> {
        append(slots, n, self.shared().guard.objects, |words| {
            self.shared().take_direct(words)
        })
    }

    /// Gives a buffer back. Dropping it does the same, but can't say what went wrong.
    ///
    /// # Errors
    /// Where the buffer is another pool's, or the backend does not take it. The buffer comes back with the error.
    pub fn give(&self, buffer: Buffer) -> Result<(), GiveError<Buffer>> {
        give_buffer(buffer, |slot| self.give_slot(slot))
    }

    /// Gives an object back as its slot.
    ///
    /// # Errors
    /// As [`give`](Self::give). The slot comes back with the error.
    pub fn give_slot(&self, slot: Slot) -> Result<(), GiveError<Slot>> {
        match self.shared().give_direct(&[slot.word()]) {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.with(slot)),
        }
    }

    /// Gives the last `n` of `slots` back, all or none.
    ///
    /// # Errors
    /// Where one of them is another pool's, or the backend does not take them. They stay in `slots`, unless the backend failed in between: then they are
    /// gone, and the pool is poisoned.
    ///
    /// # Panics
    /// If there are fewer than `n`.
    pub fn give_from<S: Slots>(&self, slots: &mut S, n: usize) -> Result<(), GiveFault> {
        give_tail(slots, n, |words| self.shared().give_direct(words))
    }

    /// Gives all of `slots` back, as [`give_from`](Self::give_from).
    ///
    /// # Errors
    /// As [`give_from`](Self::give_from).
    pub fn give_all<S: Slots>(&self, slots: &mut S) -> Result<(), GiveFault> {
        let n = slots.slots().len();
        self.give_from(slots, n)
    }

    /// Turns a slot into a buffer, which returns by itself.
    ///
    /// # Errors
    /// Where the slot is another pool's.
    pub fn buffer(&self, slot: Slot) -> Result<Buffer, GiveError<Slot>> {
        match self.shared().check_tags(&[slot.word()]) {
            // SAFETY: the slot is of this pool.
            Ok(()) => Ok(unsafe { Buffer::new(self.shared_ptr(), slot) }),
            Err(fault) => Err(fault.with(slot)),
        }
    }

    /// Returns the bytes of an object on loan; see [`Buffer`] on who writes to them.
    ///
    /// # Panics
    /// If the slot is another pool's.
    #[inline]
    pub fn bytes<'slot>(&self, slot: &'slot Slot) -> &'slot [u8] {
        self.shared().bytes(slot)
    }

    /// Returns the bytes of an object on loan for writing.
    ///
    /// # Panics
    /// If the slot is another pool's.
    #[inline]
    pub fn bytes_mut<'slot>(&self, slot: &'slot mut Slot) -> &'slot mut [u8] {
        self.shared().bytes_mut(slot)
    }
}

impl Shared {
    /// Fills `words` with slots past all caches; false where there are not as many. On false and on errors, what `words`
    /// has is void.
    pub(super) fn take_direct(&self, words: &mut [u32]) -> Taken {
        self.direct.dequeues.fetch_add(1, Ordering::Relaxed);
        if !self.dequeue(words)? {
            self.direct.shortages.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        }
        self.direct
            .taken
            .fetch_add(words.len() as u64, Ordering::Relaxed);
        self.note(words, Place::Out(DIRECT));
        Ok(true)
    }

    /// Gives slots past all caches, all or none.
    pub(super) fn give_direct(&self, words: &[u32]) -> Given {
        self.check_tags(words)?;
        self.check_out(words)?;
        self.note(words, Place::Free);
        let given = self.enqueue(words);
        match &given {
            Err(fault) if fault.kept => self.note(words, Place::Out(DIRECT)),
            _ => self.count_given(words.len()),
        }
        given
    }

    pub(super) fn count_given(&self, n: usize) {
        self.direct.given.fetch_add(n as u64, Ordering::Relaxed);
        self.direct.enqueues.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails if one of the slots is another pool's.
    #[inline]
    pub(super) fn check_tags(&self, words: &[u32]) -> Given {
        if all_tagged(words, self.tag.word()) {
            Ok(())
        } else {
            Err(self.foreign(words).into())
        }
    }

    #[cold]
    fn foreign(&self, words: &[u32]) -> GiveFault {
        let ours = self.tag.number();
        let foreign = words.iter().copied().find(|&word| tag_of(word) != ours);
        let foreign = foreign.unwrap_or_default();
        GiveFault::Foreign {
            index: index_of(foreign),
            theirs: tag_of(foreign),
            ours,
        }
    }

    #[inline]
    pub(super) fn bytes<'slot>(&self, slot: &'slot Slot) -> &'slot [u8] {
        let at = self.address_of(slot);
        // SAFETY: the slot is of this pool; the object is out while its slot exists, so it is the slot's alone, and the
        // memory stays as long as it is out. In a child of `fork`, which has no right to it, there are 0 bytes.
        unsafe { std::slice::from_raw_parts(at, self.guard.size()) }
    }

    #[inline]
    pub(super) fn bytes_mut<'slot>(&self, slot: &'slot mut Slot) -> &'slot mut [u8] {
        let at = self.address_of(slot);
        // SAFETY: as for `bytes`, and the slot is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(at, self.guard.size()) }
    }

    #[inline]
    fn address_of(&self, slot: &Slot) -> *mut u8 {
        assert!(
            slot.tag() == self.tag.number(),
            "{slot:?} is not of pool {}",
            self.guard.pool
        );
        self.address(slot.index()).as_ptr()
    }
}

impl Fault {
    /// Adds what was to be given, if it is still the caller's.
    pub(super) fn with(self, returned: Slot) -> GiveError<Slot> {
        GiveError {
            fault: self.fault,
            returned: self.kept.then_some(returned),
        }
    }
}

/// Gives a buffer as the slot that it is; a slot that comes back becomes the buffer again, of its own pool.
pub(super) fn give_buffer(
    buffer: Buffer,
    give: impl FnOnce(Slot) -> Result<(), GiveError<Slot>>,
) -> Result<(), GiveError<Buffer>> {
    let shared = buffer.shared_ptr();
    give(buffer.into_slot()).map_err(|error| GiveError {
        fault: error.fault,
        // SAFETY: the slot was taken out of a buffer of this very pool.
        returned: error
            .returned
            .map(|slot| unsafe { Buffer::new(shared, slot) }),
    })
}

/// Appends `n` slots that `take` writes, or nothing.
#[inline(always)]
pub(super) fn append<S: Slots>(
    slots: &mut S,
    n: usize,
    objects: u32,
    take: impl FnOnce(&mut [u32]) -> Taken,
) -> Result<bool, PoolError> {
    if n > objects as usize {
        return Ok(false);
    }
    let got = take(slots.spare(n))?;
    if got {
        let len = slots.slots().len();
        // SAFETY: `take` filled the words after the last slot with slots.
        unsafe { slots.set_len(len + n) };
    }
    Ok(got)
}

/// Takes the last `n` off `slots` once `give` has them.
#[inline(always)]
pub(super) fn give_tail<S: Slots>(
    slots: &mut S,
    n: usize,
    give: impl FnOnce(&[u32]) -> Given,
) -> Result<(), GiveFault> {
    let all = slots.slots();
    let rest = all.len().checked_sub(n);
    let rest = rest.expect("more slots to give than there are");
    let given = give(words_of(&all[rest..]));
    if !matches!(&given, Err(fault) if fault.kept) {
        // SAFETY: fewer than before; what is forgotten was given.
        unsafe { slots.set_len(rest) };
    }
    given.map_err(|fault| fault.fault)
}
