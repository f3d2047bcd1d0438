//! Properties of any described list, whatever the host does: each value leaves once for each time that it came, in its
//! order, and the registers tell how many there are. Lists are plain vectors here.

use hwpool_devices::description::{
    Description, Empty, Fill, Meaning, Order, Passage, Pop, Port, Sharing, Value,
};
use hwpool_sim::{Fault, FaultKind};
use proptest::prelude::*;

use crate::build::*;

/// What a description says, as far as it changes how a host pops and pushes.
#[derive(Debug, Clone)]
struct Shape {
    passage: Passage,
    pop: Way,
    commits: bool,
    empty: Told,
    is_address: bool,
    order: Order,
    fills: bool,
    keeps: bool,
    sharing: Sharing,
}

#[derive(Debug, Copy, Clone, PartialEq)]
enum Way {
    Read,
    Acknowledge,
    LengthFirst,
}

#[derive(Debug, Copy, Clone)]
enum Told {
    Value,
    Mark,
    Flag,
    Level,
}

fn shape() -> impl Strategy<Value = Shape> {
    let passage = prop_oneof![
        Just(Passage::Whole),
        Just(Passage::LowFirst),
        Just(Passage::HighFirst)
    ];
    let pop = prop_oneof![
        Just(Way::Read),
        Just(Way::Acknowledge),
        Just(Way::LengthFirst)
    ];
    let empty = prop_oneof![
        Just(Told::Value),
        Just(Told::Mark),
        Just(Told::Flag),
        Just(Told::Level)
    ];
    let order = prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Any)];
    let sharing = prop_oneof![
        Just(Sharing::One),
        Just(Sharing::Lists(2)),
        Just(Sharing::Windows(2))
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (passage, pop, empty, order, sharing, flags).prop_map(
        |(passage, pop, empty, order, sharing, (commits, is_address, fills, keeps))| {
            let fills = fills && !is_address;
            Shape {
                passage,
                pop,
                commits,
                empty,
                is_address,
                order,
                fills,
                keeps: keeps && !fills,
                sharing,
            }
        },
    )
}

impl Shape {
    fn description(&self) -> Description {
        let mut description = plain();
        if self.passage != Passage::Whole {
            description = halves(description, self.passage);
        }
        let (acknowledges, from) = (self.pop == Way::Acknowledge, description.pop.from());
        let push = description.push.clone();
        if acknowledges || self.commits {
            let registers = description.registers.clone();
            description = acknowledged(description);
            if !acknowledges {
                (description.pop, description.registers) = (Pop::Read { from }, registers);
            }
            if !self.commits {
                description.push = push;
            }
        }
        if self.pop == Way::LengthFirst {
            description = measured(description);
        }
        description.empty = match self.empty {
            Told::Mark if self.passage == Passage::Whole => Empty::Mark(flag(POP, 31, 0)),
            Told::Value | Told::Mark if self.passage == Passage::Whole => Empty::Value(0xffff_ffff),
            Told::Value | Told::Mark => Empty::Value(u64::MAX),
            Told::Flag => Empty::Flag(flag(STATUS, 1, 1)),
            Told::Level => Empty::Level,
        };
        let is = match self.is_address {
            true => Meaning::Address { shift: 6 },
            false => Meaning::Index { first: 1 },
        };
        let high = if self.passage == Passage::Whole {
            23
        } else {
            41
        };
        description.value = Value { low: 0, high, is };
        description.order = self.order;
        description.fill = if self.fills {
            Fill::Reset
        } else {
            Fill::Software
        };
        description.reset.keeps_entries = self.keeps;
        copied(description, self.sharing)
    }

    /// Returns a value that a host may give; each number has one.
    fn value(&self, number: u64) -> u64 {
        match (self.is_address, self.passage) {
            (false, _) => 1 + number,
            (true, Passage::Whole) => 0x10_0000 + number,
            (true, _) => (number + 1) << 33 | number,
        }
    }

    fn copies(&self) -> u16 {
        match self.sharing {
            Sharing::One => 1,
            Sharing::Lists(count) | Sharing::Windows(count) => count,
        }
    }

    /// Returns the lists as a reset leaves empty ones.
    fn fresh(&self) -> Vec<Vec<u64>> {
        let numbers = if self.fills { 0..MANY } else { 0..0 };
        let list: Vec<u64> = numbers.map(|n| self.value(n)).collect();
        match self.sharing {
            Sharing::Lists(count) => vec![list; count.into()],
            Sharing::One | Sharing::Windows(_) => vec![list],
        }
    }
}

/// A host that keeps the rules.
struct Host {
    bench: Bench,
    description: Description,
}

impl Host {
    fn give(&self, copy: u16, value: u64) {
        let set = |register, value| self.bench.set_at(register, copy, value);
        match self.description.push.to {
            Port::Whole(register) => set(register, value),
            Port::Halves { low, high } => {
                let (low, high) = ((low, value & 0xffff_ffff), (high, value >> 32));
                let (first, last) = match self.description.passage {
                    Passage::HighFirst => (high, low),
                    _ => (low, high),
                };
                set(first.0, first.1);
                set(last.0, last.1);
            }
        }
        if let Some(then) = &self.description.push.then {
            set(then.register, then.value);
        }
    }

    fn take(&self, copy: u16) -> Option<u64> {
        let get = |register| self.bench.get_at(register, copy);
        let has_none = match self.description.empty {
            Empty::Flag(test) => test.holds(get(test.bits.register)),
            Empty::Level => get(LEVEL) == 0,
            _ => false,
        };
        if has_none {
            return None;
        }
        if let Pop::LengthFirst { length, expect, .. } = self.description.pop
            && length.of(get(length.register)) != expect
        {
            return None;
        }
        let word = match self.description.pop.from() {
            Port::Whole(register) => get(register),
            Port::Halves { low, high } if self.description.passage == Passage::HighFirst => {
                let high = get(high);
                high << 32 | get(low)
            }
            Port::Halves { low, high } => {
                let low = get(low);
                get(high) << 32 | low
            }
        };
        let is_empty = match self.description.empty {
            Empty::Value(empty) => word == empty,
            Empty::Mark(test) => test.holds(word),
            _ => false,
        };
        if is_empty {
            return None;
        }
        if let Pop::Acknowledge { then, .. } = &self.description.pop {
            self.bench.set_at(then.register, copy, then.value);
        }
        Some(word & hwpool_devices::reg::mask(0, self.description.value.high))
    }
}

/// What a host that keeps the rules does.
#[derive(Debug, Clone)]
enum Act {
    /// Gives one of the values that are not in the list.
    Give(u16, usize),
    Take(u16),
    Reset,
    /// Turns the lists off, pops, and turns them on again.
    Pause(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (any::<u16>(), any::<usize>()).prop_map(|(copy, number)| Act::Give(copy, number)),
        10 => any::<u16>().prop_map(Act::Take),
        1 => Just(Act::Reset),
        1 => any::<u16>().prop_map(Act::Pause),
    ]
}

/// Takes from a plain list what a device may give, and tells whether it may.
fn leaves(order: Order, list: &mut Vec<u64>, got: u64) -> bool {
    let at = match order {
        Order::Fifo => Some(0),
        Order::Lifo => list.len().checked_sub(1),
        Order::Any => list.iter().position(|value| *value == got),
    };
    at.is_some_and(|at| at < list.len() && list.remove(at) == got)
}

proptest! {
    #[test]
    fn a_host_that_keeps_the_rules_gets_what_it_gave(
        shape in shape(), acts in proptest::collection::vec(act(), 1..100), seed in any::<u64>(),
    ) {
        let description = shape.description();
        let bench = Bench::with(description.clone(), &[("seed", &seed.to_string())]);
        let host = Host { bench, description };
        let mut lists = shape.fresh();
        for act in acts {
            let of = |copy: u16, count: usize| usize::from(copy) % count;
            match act {
                Act::Give(copy, number) => {
                    let list = of(copy % shape.copies(), lists.len());
                    let values = (0..MANY).map(|n| shape.value(n));
                    let free: Vec<u64> = values.filter(|value| !lists[list].contains(value)).collect();
                    if let Some(value) = free.get(number % free.len().max(1)) {
                        host.give(copy % shape.copies(), *value);
                        lists[list].push(*value);
                    } else {
                        host.give(copy % shape.copies(), shape.value(0)); // full: dropped, and told
                        prop_assert_eq!(host.bench.get_at(ERROR, copy % shape.copies()), 1);
                        host.bench.set_at(ERROR, copy % shape.copies(), 1);
                    }
                }
                Act::Take(copy) => {
                    let list = of(copy % shape.copies(), lists.len());
                    match host.take(copy % shape.copies()) {
                        Some(value) => prop_assert!(leaves(shape.order, &mut lists[list], value), "{value:#x}"),
                        None => prop_assert!(lists[list].is_empty()),
                    }
                }
                Act::Reset => {
                    host.bench.set(RESET, KEY);
                    host.bench.until("READY", || host.bench.get(STATUS) & READY != 0);
                    host.bench.set(CONTROL, 1);
                    if !shape.keeps {
                        lists = shape.fresh();
                    }
                }
                Act::Pause(copy) => {
                    host.bench.set(CONTROL, 0);
                    if matches!(host.description.empty, Empty::Value(_) | Empty::Mark(_)) && shape.pop == Way::Read {
                        prop_assert_eq!(host.take(copy % shape.copies()), None);
                    }
                    host.bench.set(CONTROL, 1);
                }
            }
            for copy in 0..shape.copies() {
                let level = lists[usize::from(copy) % lists.len()].len() as u64;
                let full = host.bench.get_at(STATUS, copy) & IS_FULL != 0;
                prop_assert_eq!((host.bench.get_at(LEVEL, copy), full), (level, level == MANY));
            }
        }
        prop_assert_eq!(host.bench.violations(), []);
    }

    /// Nothing that a host does, and no fault, makes a list hold more than it can or ends the model.
    #[test]
    fn a_host_that_keeps_no_rule_is_survived(
        shape in shape(),
        accesses in proptest::collection::vec((any::<bool>(), 0usize..19, any::<u16>(), 0u64..6), 1..200),
        faults in proptest::collection::vec((any::<prop::sample::Index>(), 1u64..9), 0..4),
        seed in any::<u64>(),
    ) {
        let description = shape.description();
        let counts: Vec<u16> = description.registers.iter().map(|row| row.count()).collect();
        let bench = Bench::with(description, &[("seed", &seed.to_string())]);
        for (kind, nth) in faults {
            let (_, kind) = *kind.get(FaultKind::ALL);
            let general = [FaultKind::Gone, FaultKind::ReadFails, FaultKind::ReadAllOnes, FaultKind::Stuck];
            if !general.contains(&kind) && kind != FaultKind::WrongCount && kind != FaultKind::WrongEmpty {
                let _ = bench.sim.inject(Fault::new(kind).from(nth)); // one that it can't have is refused
            }
        }
        for (is_write, register, copy, value) in accesses {
            let index = copy % counts[register];
            match is_write {
                true => bench.set_at(register, index, if register == RESET { KEY } else { value }),
                false => { bench.get_at(register, index); }
            }
        }
        bench.until("READY", || bench.get(STATUS) & READY != 0);
        for copy in 0..shape.copies() {
            let (level, status) = (bench.get_at(LEVEL, copy), bench.get_at(STATUS, copy));
            prop_assert!(level <= MANY);
            prop_assert_eq!(status & IS_FULL != 0, level == MANY);
        }
    }
}
