//! What is done to one list, made of its description: offsets, masks and values, in place.

use std::time::Duration;

use crate::bus::{Bar, BusError};
use crate::description::Port as From;
use crate::description::{
    Bits, Description, Empty, Meaning, Order, Passage, Pop, Room, Sharing, Test, Write,
};
use crate::reg::{Register, Scope};

/// One register of a list, or of the device.
#[derive(Debug, Copy, Clone)]
pub(super) struct Cell {
    pub(super) row: &'static Register,
    at: u64,
    is_wide: bool,
}

impl Cell {
    /// Finds a register for a list.
    pub(super) fn of(description: &'static Description, register: usize, list: u16) -> Cell {
        let row = description.row(register);
        Cell {
            row,
            at: row.offset_of(index(description, row, list)),
            is_wide: row.width == 8,
        }
    }

    pub(super) fn read(&self, bar: &impl Bar) -> Result<u64, BusError> {
        match self.is_wide {
            true => bar.read64(self.at),
            false => bar.read32(self.at).map(u64::from),
        }
    }

    pub(super) fn write(&self, bar: &impl Bar, value: u64) -> Result<(), BusError> {
        match self.is_wide {
            true => bar.write64(self.at, value),
            false => bar.write32(self.at, value as u32),
        }
    }
}

/// Returns which copy of a register is a list's. Of windows onto one list the driver uses the first.
fn index(description: &Description, row: &Register, list: u16) -> u16 {
    match (description.sharing, row.scope()) {
        (Sharing::Lists(_), Scope::Pool) => list,
        _ => 0,
    }
}

/// A register's bits, compared where they lie.
#[derive(Debug, Copy, Clone)]
pub(super) struct Match {
    mask: u64,
    is: u64,
}

impl Match {
    /// Holds of no value.
    const NEVER: Match = Match { mask: 0, is: 1 };

    fn new(test: &Test) -> Match {
        Match {
            mask: test.bits.mask(),
            is: test.is << test.bits.low,
        }
    }

    #[inline]
    pub(super) fn holds(&self, value: u64) -> bool {
        value & self.mask == self.is
    }
}

/// A value that is looked at, and what shows there.
pub(super) type Look = (Cell, Match);

/// How a value passes: what is accessed, in this order.
#[derive(Debug, Copy, Clone)]
pub(super) enum Port {
    Alone(Alone),
    Word(Word),
    Halves(Halves),
}

/// One access and nothing beside it: no look before a pop or a push, no acknowledgement and no commit.
///
/// Most devices are like that, and the code for them asks for none of it.
#[derive(Debug, Copy, Clone)]
pub(super) struct Alone(Word);

/// One access of 32 or 64 bits.
#[derive(Debug, Copy, Clone)]
pub(super) struct Word {
    pop: u64,
    push: u64,
    is_wide: bool,
}

/// Two accesses of 32 bits.
#[derive(Debug, Copy, Clone)]
pub(super) struct Halves {
    pop: [u64; 2],
    push: [u64; 2],
    is_low_first: bool,
}

/// A read of a value that failed.
pub(super) struct NotRead {
    pub(super) error: BusError,
    /// Nothing can have been taken before.
    pub(super) is_first: bool,
}

/// How a value is read and written.
pub(super) trait Passes: Copy {
    /// Nothing is accessed beside it.
    const IS_ALONE: bool = false;

    fn read(self, bar: &impl Bar) -> Result<u64, NotRead>;

    fn write(self, bar: &impl Bar, value: u64) -> Result<(), BusError>;

    /// Returns what a read gives when nobody answers.
    fn all_ones(self) -> u64;

    /// Tells whether an access of those that made up `value` read all ones.
    fn has_all_ones(self, value: u64) -> bool {
        value == self.all_ones()
    }
}

fn first(error: BusError) -> NotRead {
    NotRead {
        error,
        is_first: true,
    }
}

impl Passes for Word {
    #[inline]
    fn read(self, bar: &impl Bar) -> Result<u64, NotRead> {
        let read = match self.is_wide {
            true => bar.read64(self.pop),
            false => bar.read32(self.pop).map(u64::from),
        };
        read.map_err(first)
    }

    #[inline]
    fn write(self, bar: &impl Bar, value: u64) -> Result<(), BusError> {
        match self.is_wide {
            true => bar.write64(self.push, value),
            false => bar.write32(self.push, value as u32),
        }
    }

    #[inline]
    fn all_ones(self) -> u64 {
        match self.is_wide {
            true => u64::MAX,
            false => u32::MAX.into(),
        }
    }
}

impl Passes for Alone {
    const IS_ALONE: bool = true;

    #[inline]
    fn read(self, bar: &impl Bar) -> Result<u64, NotRead> {
        self.0.read(bar)
    }

    #[inline]
    fn write(self, bar: &impl Bar, value: u64) -> Result<(), BusError> {
        self.0.write(bar, value)
    }

    #[inline]
    fn all_ones(self) -> u64 {
        self.0.all_ones()
    }
}

impl Halves {
    /// Puts halves in the order of accesses, or back.
    fn ordered(self, halves: [u32; 2]) -> [u32; 2] {
        let [low, high] = halves;
        match self.is_low_first {
            true => [low, high],
            false => [high, low],
        }
    }
}

impl Passes for Halves {
    #[inline]
    fn read(self, bar: &impl Bar) -> Result<u64, NotRead> {
        let one = bar.read32(self.pop[0]).map_err(first)?;
        let other = bar.read32(self.pop[1]).map_err(|error| NotRead {
            error,
            is_first: one == u32::MAX,
        })?;
        let [low, high] = self.ordered([one, other]);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    #[inline]
    fn write(self, bar: &impl Bar, value: u64) -> Result<(), BusError> {
        let [one, other] = self.ordered([value as u32, (value >> 32) as u32]);
        bar.write32(self.push[0], one)?;
        bar.write32(self.push[1], other)
    }

    fn all_ones(self) -> u64 {
        u64::MAX
    }

    fn has_all_ones(self, value: u64) -> bool {
        value as u32 == u32::MAX || (value >> 32) as u32 == u32::MAX
    }
}

/// What a value stands for, and where it lies in what is popped and pushed.
#[derive(Debug, Copy, Clone)]
pub(super) struct Code {
    pub(super) low: u8,
    /// The bits of the value, shifted down.
    pub(super) mask: u64,
    pub(super) is: Meaning,
}

/// How it shows that there is room.
#[derive(Debug, Copy, Clone)]
pub(super) enum Space {
    /// There is none where it holds.
    Full(Match),
    /// For so many values.
    Left(Bits),
    /// For so many less than the list holds.
    Level(Bits),
}

/// What is asked for each object.
#[derive(Debug, Copy, Clone)]
pub(super) struct Each {
    /// Something is read before a pop.
    pub(super) looks: bool,
    /// What was popped is no value where it holds.
    pub(super) nothing: Match,
    pub(super) code: Code,
}

/// What is done to one list.
#[derive(Debug, Copy, Clone)]
pub(super) struct Plan {
    pub(super) alive: &'static Register,
    pub(super) port: Port,
    /// The register that is popped, for messages.
    pub(super) popped: &'static str,
    /// Read before a pop: where it holds there is no value.
    pub(super) empty: Option<Look>,
    /// Read before a pop: how long the entry is, and how long it must be.
    pub(super) length: Option<(Cell, Bits, u64)>,
    pub(super) each: Each,
    /// A pop that is answered with an error found no value.
    pub(super) is_error_empty: bool,
    /// Written after a pop.
    pub(super) acknowledge: Option<(Cell, u64)>,
    /// Read before pushes.
    pub(super) room: Option<(Cell, Space)>,
    /// Written after a push.
    pub(super) commit: Option<(Cell, u64)>,
    /// Bits that say that a push was dropped.
    pub(super) dropped: Option<(Cell, Test)>,
    pub(super) is_newest_first: bool,
    /// Values that the list holds.
    pub(super) depth: u32,
    /// How long the device may take to make room.
    pub(super) patience: Duration,
}

impl Plan {
    /// Makes the plan for list `number` of a device whose lists hold `depth` values.
    pub(super) fn new(description: &'static Description, number: u16, depth: u32) -> Plan {
        let cell = |register| Cell::of(description, register, number);
        let look = |test: &Test| (cell(test.bits.register), Match::new(test));
        let write = |write: &Write| (cell(write.register), write.value);
        let level = description.level;
        let empty = match &description.empty {
            Empty::Flag(test) => Some(look(test)),
            Empty::Level => level.map(|bits| look(&Test { bits, is: 0 })),
            Empty::Value(_) | Empty::Mark(_) | Empty::BusError => None,
        };
        let length = match &description.pop {
            Pop::LengthFirst { length, expect, .. } => {
                Some((cell(length.register), *length, *expect))
            }
            Pop::Read { .. } | Pop::Acknowledge { .. } => None,
        };
        let first = description.pop.from().registers().next();
        let acknowledge = match &description.pop {
            Pop::Acknowledge { then, .. } => Some(write(then)),
            Pop::Read { .. } | Pop::LengthFirst { .. } => None,
        };
        let commit = description.push.then.as_ref().map(write);
        let each = Each {
            looks: empty.is_some() || length.is_some(),
            nothing: match &description.empty {
                Empty::Value(value) => Match {
                    mask: u64::MAX,
                    is: *value,
                },
                Empty::Mark(test) => Match::new(test),
                Empty::Flag(_) | Empty::Level | Empty::BusError => Match::NEVER,
            },
            code: Code {
                low: description.value.low,
                mask: description.value.mask() >> description.value.low,
                is: description.value.is,
            },
        };
        let room = match (description.full.look, &description.full.shown) {
            (false, _) | (_, Room::Counted) => None,
            (true, Room::Flag(test)) => {
                Some((cell(test.bits.register), Space::Full(Match::new(test))))
            }
            (true, Room::Vacancy(bits)) => Some((cell(bits.register), Space::Left(*bits))),
            (true, Room::Level) => level.map(|bits| (cell(bits.register), Space::Level(bits))),
        };
        let is_alone = !each.looks && acknowledge.is_none() && commit.is_none() && room.is_none();
        Plan {
            alive: description.row(description.alive),
            port: port(description, number, is_alone),
            popped: &description.row(first.unwrap_or(description.alive)).name,
            each,
            empty,
            length,
            is_error_empty: description.empty == Empty::BusError,
            acknowledge,
            room,
            commit,
            dropped: (description.full.sticky).map(|test| (cell(test.bits.register), test)),
            is_newest_first: description.order == Order::Lifo,
            depth,
            patience: description.reset.within,
        }
    }
}

fn port(description: &'static Description, number: u16, is_alone: bool) -> Port {
    let at = |register| Cell::of(description, register, number).at;
    let is_low_first = description.passage != Passage::HighFirst;
    let halves = |low, high| match is_low_first {
        true => [at(low), at(high)],
        false => [at(high), at(low)],
    };
    match (description.pop.from(), description.push.to) {
        (
            From::Halves { low, high },
            From::Halves {
                low: to_low,
                high: to_high,
            },
        ) => Port::Halves(Halves {
            pop: halves(low, high),
            push: halves(to_low, to_high),
            is_low_first,
        }),
        // A description that passes its check pops and pushes alike.
        (
            From::Whole(pop) | From::Halves { low: pop, .. },
            From::Whole(push) | From::Halves { low: push, .. },
        ) => {
            let word = Word {
                pop: at(pop),
                push: at(push),
                is_wide: description.width() == 64,
            };
            match is_alone {
                true => Port::Alone(Alone(word)),
                false => Port::Word(word),
            }
        }
    }
}
