//! One list of values, in the order that its device keeps.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use hwpool_devices::description::Order;

use crate::rng::Rng;

/// The values in a list.
#[derive(Debug)]
pub(super) struct Queue {
    order: Order,
    values: VecDeque<u64>,
    held: Held,
    /// Which value leaves next, where chance says so; it stays until it leaves.
    next: Option<usize>,
}

/// How often each value is in the list: more than once is the host's mistake.
#[derive(Debug)]
enum Held {
    /// Of numbers from the first on.
    Numbers { first: u64, counts: Vec<u16> },
    /// Of addresses.
    Addresses(HashMap<u64, u16>),
}

impl Queue {
    /// Makes an empty list; `numbers` are those of its objects, `None` where they are known by their addresses.
    pub(super) fn new(order: Order, numbers: Option<Range<u64>>) -> Queue {
        let held = match numbers {
            Some(range) => Held::Numbers {
                first: range.start,
                counts: vec![0; (range.end - range.start) as usize],
            },
            None => Held::Addresses(HashMap::new()),
        };
        Queue {
            order,
            values: VecDeque::new(),
            held,
            next: None,
        }
    }

    pub(super) fn level(&self) -> u64 {
        self.values.len() as u64
    }

    /// Returns the value that leaves next.
    pub(super) fn next(&mut self, rng: &mut Rng) -> Option<u64> {
        let at = self.place_of_next(rng)?;
        self.values.get(at).copied()
    }

    /// Takes the value that leaves next.
    pub(super) fn take(&mut self, rng: &mut Rng) -> Option<u64> {
        let at = self.place_of_next(rng)?;
        let value = self.values.remove(at)?;
        self.next = None;
        if let Some(count) = self.held.count(value) {
            *count = count.saturating_sub(1);
        }
        Some(value)
    }

    fn place_of_next(&mut self, rng: &mut Rng) -> Option<usize> {
        let last = self.values.len().checked_sub(1)?;
        Some(match self.order {
            Order::Fifo => 0,
            Order::Lifo => last,
            Order::Any => *self
                .next
                .get_or_insert_with(|| rng.up_to(last as u64) as usize),
        })
    }

    /// Puts a value in; tells whether it was in the list already.
    pub(super) fn give(&mut self, value: u64) -> bool {
        self.values.push_back(value);
        let Some(count) = self.held.count(value) else {
            return false;
        };
        *count = count.saturating_add(1);
        *count > 1
    }
}

impl Held {
    fn count(&mut self, value: u64) -> Option<&mut u16> {
        match self {
            Held::Numbers { first, counts } => {
                counts.get_mut(usize::try_from(value.checked_sub(*first)?).ok()?)
            }
            Held::Addresses(counts) => Some(counts.entry(value).or_default()),
        }
    }
}
