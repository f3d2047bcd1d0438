//! The doorbell pages: memory that the client stores to and the model looks at.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hwpool_devices::reg::Bank;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::user::memory::{HotWord, SharedMemory};

/// The hot doorbells of a device, each in the first word of a page of its own; there may be none.
///
/// [`Doorbells::take`], [`Doorbells::clear`] and [`Doorbells::renew`] are called with the model's lock held, [`Doorbells::have_rung`] without.
#[derive(Debug)]
pub(super) struct Doorbells {
    /// Where they lie among the device's BARs, and their pages; `None` where the device has none.
    pages: Option<(Bank, File)>,
    words: Vec<HotWord>,
    /// The values that were taken last.
    taken: Vec<AtomicU64>,
}

impl Doorbells {
    /// Makes the pages. The file is as large as the BAR, so that offsets are the same in both, and sealed: a client that
    /// shortened it would kill this process.
    pub(super) fn new(bank: Option<Bank>, bar_size: u64) -> io::Result<Doorbells> {
        let mut doorbells = Doorbells {
            pages: None,
            words: Vec::new(),
            taken: Vec::new(),
        };
        let Some(bank) = bank else {
            return Ok(doorbells);
        };
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"hwpool-doorbells", flags)?);
        file.set_len(bar_size)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let memory = Arc::new(SharedMemory::map(file.as_fd(), 0, bar_size)?);
        let word = |q| HotWord::new(Arc::clone(&memory), bank.offset_of(q));
        doorbells.words = (0..bank.count).filter_map(word).collect();
        doorbells.taken = doorbells.words.iter().map(|_| AtomicU64::new(0)).collect();
        doorbells.pages = Some((bank, file));
        Ok(doorbells)
    }

    /// Returns where they lie.
    pub(super) fn bank(&self) -> Option<Bank> {
        self.pages.as_ref().map(|(bank, _)| *bank)
    }

    /// Returns where they lie and the file to hand to clients.
    pub(super) fn pages(&self) -> Option<(Bank, BorrowedFd<'_>)> {
        self.pages
            .as_ref()
            .map(|(bank, file)| (*bank, file.as_fd()))
    }

    /// Tells whether any in `mask` was written since it was taken.
    #[inline]
    pub(super) fn have_rung(&self, mask: u64) -> bool {
        self.each(mask)
            .any(|q| self.words[q].load() != self.taken[q].load(Ordering::Relaxed))
    }

    /// Hands out the doorbells in `mask` that were written since they were taken; tells whether there were any.
    #[inline]
    pub(super) fn take(&self, mask: u64, mut ring: impl FnMut(usize, u64)) -> bool {
        let mut any = false;
        for q in self.each(mask) {
            let value = self.words[q].load();
            if value != self.taken[q].load(Ordering::Relaxed) {
                self.taken[q].store(value, Ordering::Relaxed);
                ring(q, value);
                any = true;
            }
        }
        any
    }

    /// Puts the doorbells in `mask` to 0, at the end of a doorbell's life.
    pub(super) fn clear(&self, mask: u64) {
        for q in self.each(mask) {
            self.words[q].store(0);
            self.taken[q].store(0, Ordering::Relaxed);
        }
    }

    /// Lets the doorbells in `mask` begin a life: what was taken before counts as 0 now, and what was written
    /// since, even at this moment, counts.
    pub(super) fn renew(&self, mask: u64) {
        for q in self.each(mask) {
            self.words[q].clear_if(self.taken[q].swap(0, Ordering::Relaxed));
        }
    }

    /// Goes through the bits of `mask` that have a doorbell.
    fn each(&self, mask: u64) -> impl Iterator<Item = usize> {
        let existing = match self.words.len() {
            64.. => u64::MAX,
            n => (1 << n) - 1,
        };
        let mut left = mask & existing;
        std::iter::from_fn(move || {
            let q = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(q)
        })
    }
}

#[cfg(test)]
mod tests {
    use hwpool_devices::reg::Scope;

    use super::*;

    const SIZE: u64 = 0x8_0000;

    fn bank(count: u16) -> Bank {
        Bank {
            scope: Scope::Portal,
            bar: 2,
            base: 0x4_0000,
            count,
            stride: 0x1000,
        }
    }

    fn made(count: u16) -> (Doorbells, SharedMemory) {
        let doorbells = Doorbells::new(Some(bank(count)), SIZE).unwrap();
        let (_, file) = doorbells.pages().unwrap();
        let client = SharedMemory::map(file, 0, SIZE).unwrap();
        (doorbells, client)
    }

    #[test]
    fn a_doorbell_is_taken_once_and_cleared_for_a_new_life() {
        let (doorbells, client) = made(3);
        let place = bank(3).offset_of(2);
        client.store64(place, 7).unwrap();
        assert!(doorbells.have_rung(u64::MAX) && !doorbells.have_rung(0b011));
        let mut taken = Vec::new();
        assert!(doorbells.take(u64::MAX, |q, value| taken.push((q, value))));
        assert!(!doorbells.take(u64::MAX, |_, _| unreachable!()));
        assert_eq!(taken, [(2, 7)]);
        doorbells.clear(0b100);
        assert_eq!(client.load64(place), Some(0));
        assert!(!doorbells.have_rung(u64::MAX));
    }

    #[test]
    fn a_new_life_keeps_what_was_written_since_the_last_look() {
        let (doorbells, client) = made(2);
        let place = |q| bank(2).offset_of(q);
        client.store64(place(0), 5).unwrap();
        client.store64(place(1), 6).unwrap();
        doorbells.take(0b01, |_, _| ());
        doorbells.renew(0b11);
        assert_eq!(client.load64(place(0)), Some(0), "taken before");
        let mut taken = Vec::new();
        doorbells.take(0b11, |q, value| taken.push((q, value)));
        assert_eq!(taken, [(1, 6)]);
        client.store64(place(0), 5).unwrap();
        assert!(doorbells.have_rung(0b01), "the same value, in a new life");
    }

    #[test]
    fn clients_can_not_shorten_the_pages() {
        let (doorbells, _client) = made(64);
        let (_, file) = doorbells.pages.as_ref().unwrap();
        assert!(file.set_len(0).is_err());
        assert_eq!(doorbells.each(u64::MAX).count(), 64);
    }

    #[test]
    fn a_device_may_have_none() {
        let doorbells = Doorbells::new(None, 0).unwrap();
        assert!(doorbells.pages().is_none() && !doorbells.have_rung(u64::MAX));
        assert!(!doorbells.take(u64::MAX, |_, _| unreachable!()));
        doorbells.clear(u64::MAX);
        doorbells.renew(u64::MAX);
    }
}
