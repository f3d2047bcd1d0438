//! What a device will do by itself, in order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Tasks with their times, in picoseconds; equal times keep the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: BinaryHeap<Reverse<Entry<T>>>,
    planned: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    number: u64,
    task: T,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Agenda<T> {
        Agenda {
            entries: BinaryHeap::new(),
            planned: 0,
        }
    }

    pub(crate) fn plan(&mut self, at: u64, task: T) {
        self.planned += 1;
        let number = self.planned;
        self.entries.push(Reverse(Entry { at, number, task }));
    }

    /// Returns when the next task is due.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.entries.peek().map(|entry| entry.0.at)
    }

    /// Takes the next task.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.entries.pop().map(|entry| entry.0.task)
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_by_time_and_equal_times_in_their_order() {
        let mut agenda = Agenda::new();
        for (at, task) in [(5, "c"), (3, "a"), (5, "d"), (3, "b")] {
            agenda.plan(at, task);
        }
        assert_eq!(agenda.next_at(), Some(3));
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert_eq!(agenda.next_at(), None);
    }
}
