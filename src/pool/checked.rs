//! Checked mode: a word an object that says who has it.
//!
//! Each time checking is switched on a new epoch starts. Entries of another epoch count as unknown, so switching needs
//! no walk over the table and can happen while threads use the pool.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::pool::slot::index_of;

/// Number of a holder's name in its pool's [roster](super::roster).
pub(super) type HolderId = u16;

/// Where an object is, as far as checked mode saw.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Not seen since checking was switched on.
    Unknown,
    /// In the backend.
    Free,
    /// In a worker's cache.
    Cached(HolderId),
    /// On loan, taken by this holder.
    Out(HolderId),
}

/// An entry: epoch in the upper 14 bits, kind in the next 2, holder in the lower 16.
const EPOCH_MASK: u32 = (1 << 14) - 1;
const EPOCH_SHIFT: u32 = 18;
const KIND_SHIFT: u32 = 16;
/// Entries of objects that are in, from that of a free one: free and cached are next to each other.
const IN_ENTRIES: u32 = 2 << KIND_SHIFT;

/// The record of all objects.
pub(super) struct Table(Box<[AtomicU32]>);

impl Table {
    pub(super) fn new(objects: u32) -> Table {
        Table((0..objects).map(|_| AtomicU32::new(0)).collect())
    }

    /// Notes where objects are, given as slots or as indices. Relaxed: the objects themselves travel between threads in an
    /// ordered way, and their entries with them.
    pub(super) fn set(&self, epoch: u32, words: &[u32], place: Place) {
        let entry = encode(epoch, place);
        for &word in words {
            self.0[index_of(word) as usize].store(entry, Ordering::Relaxed);
        }
    }

    /// As [`set`](Self::set), of all objects.
    pub(super) fn set_all(&self, epoch: u32, place: Place) {
        let entry = encode(epoch, place);
        self.0
            .iter()
            .for_each(|each| each.store(entry, Ordering::Relaxed));
    }

    /// Tells whether all are out, as far as is known. Without a branch an object: nearly always they are.
    pub(super) fn are_out(&self, epoch: u32, words: &[u32]) -> bool {
        let first = encode(epoch, Place::Free);
        let is_in = |entry: u32| entry.wrapping_sub(first) < IN_ENTRIES;
        let entry = |&word: &u32| self.0[index_of(word) as usize].load(Ordering::Relaxed);
        !words
            .iter()
            .fold(false, |any, word| any | is_in(entry(word)))
    }

    pub(super) fn at(&self, epoch: u32, index: u32) -> Place {
        decode(epoch, self.0[index as usize].load(Ordering::Relaxed))
    }

    /// Forgets everything; needed where epochs start to repeat.
    pub(super) fn clear(&self) {
        self.0
            .iter()
            .for_each(|entry| entry.store(0, Ordering::Relaxed));
    }
}

/// Tells whether the epoch after this one has the mark of one long ago.
pub(super) fn epochs_repeat(epoch: u32) -> bool {
    epoch & EPOCH_MASK == 1
}

fn encode(epoch: u32, place: Place) -> u32 {
    let (kind, holder) = match place {
        Place::Unknown => return 0,
        Place::Free => (1, 0),
        Place::Cached(holder) => (2, holder),
        Place::Out(holder) => (3, holder),
    };
    (epoch & EPOCH_MASK) << EPOCH_SHIFT | kind << KIND_SHIFT | u32::from(holder)
}

fn decode(epoch: u32, entry: u32) -> Place {
    if entry >> EPOCH_SHIFT != epoch & EPOCH_MASK {
        return Place::Unknown;
    }
    match entry >> KIND_SHIFT & 3 {
        1 => Place::Free,
        2 => Place::Cached(entry as HolderId),
        3 => Place::Out(entry as HolderId),
        _ => Place::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_places_within_an_epoch_only() {
        let table = Table::new(2);
        for place in [
            Place::Free,
            Place::Cached(7),
            Place::Out(u16::MAX),
            Place::Unknown,
        ] {
            table.set(3, &[1], place);
            assert_eq!(table.at(3, 1), place);
            assert_eq!(table.at(5, 1), Place::Unknown);
            assert_eq!(table.at(3, 0), Place::Unknown);
        }
    }

    #[test]
    fn one_that_is_in_among_many_is_seen() {
        let table = Table::new(10);
        let all: Vec<u32> = (0..10).map(|index| 7 << 24 | index).collect();
        let places = [
            (Place::Free, false),
            (Place::Cached(0), false),
            (Place::Cached(u16::MAX), false),
            (Place::Out(0), true),
            (Place::Out(u16::MAX), true),
            (Place::Unknown, true),
        ];
        for epoch in [1, 3, EPOCH_MASK] {
            for (place, is_out) in places {
                for at in 0..10 {
                    table.set(epoch, &all, Place::Out(5));
                    table.set(epoch, &all[at..=at], place);
                    assert_eq!(table.are_out(epoch, &all), is_out, "{place:?} {epoch}");
                    assert!(table.are_out(epoch.wrapping_add(2), &all));
                }
            }
        }
    }
}
