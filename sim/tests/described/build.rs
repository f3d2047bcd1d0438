//! Descriptions made by hand, and a client of plain register accesses.

use std::borrow::Cow;
use std::time::Duration;

use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Full, Interrupt, Meaning, Order, Passage, Pop,
    Port, Push, Reset, Room, Set, Sharing, Test, Value, When, Write,
};
use hwpool_devices::reg::{Access, Bank, Register, Scope, mask};
use hwpool_sim::{InProcess, SimBar, SimConfig, ViolationKind};

/// The registers of [`plain`], by their places; each lies at 4 times its place.
pub(crate) const ID: usize = 0;
pub(crate) const SCRATCH: usize = 1;
pub(crate) const CONTROL: usize = 2;
pub(crate) const STATUS: usize = 3;
pub(crate) const LEVEL: usize = 4;
pub(crate) const POP: usize = 5;
pub(crate) const PUSH: usize = 6;
pub(crate) const RESET: usize = 7;
pub(crate) const RESETS: usize = 8;
pub(crate) const THRESHOLD: usize = 9;
pub(crate) const EVENT: usize = 10;
pub(crate) const EVENT_SET: usize = 11;
pub(crate) const ERROR: usize = 12;
pub(crate) const DEPTH: usize = 13;
pub(crate) const POP_HIGH: usize = 14;
pub(crate) const PUSH_HIGH: usize = 15;
pub(crate) const TAKE: usize = 16;
pub(crate) const GIVE: usize = 17;
pub(crate) const LENGTH: usize = 18;
const NAMES: [(&str, Access, u64); 19] = [
    ("ID", Access::ReadOnly, 0x4f46_4946),
    ("SCRATCH", Access::ReadWrite, 0x55),
    ("CONTROL", Access::ReadWrite, 0),
    ("STATUS", Access::ReadOnly, 0),
    ("LEVEL", Access::ReadOnly, 0),
    ("POP", Access::ReadEffect, 0),
    ("PUSH", Access::WriteOnly, 0),
    ("RESET", Access::WriteOnly, 0),
    ("RESETS", Access::ReadOnly, 0),
    ("THRESHOLD", Access::ReadWrite, 0),
    ("EVENT", Access::WriteOneToClear, 0),
    ("EVENT_SET", Access::WriteOneToSet, 0),
    ("ERROR", Access::WriteOneToClear, 0),
    ("DEPTH", Access::ReadOnly, 0),
    ("POP_HIGH", Access::ReadEffect, 0),
    ("PUSH_HIGH", Access::WriteOnly, 0),
    ("TAKE", Access::WriteOnly, 0),
    ("GIVE", Access::WriteOnly, 0),
    ("LENGTH", Access::ReadOnly, 0),
];
/// STATUS.
pub(crate) const READY: u64 = 1;
pub(crate) const IS_EMPTY: u64 = 2;
pub(crate) const IS_FULL: u64 = 4;
/// What RESET is written with.
pub(crate) const KEY: u64 = 0x5445_5352;
/// Values that a list of [`plain`] holds.
pub(crate) const MANY: u64 = 8;
/// What a pop of [`plain`] reads with a value.
pub(crate) const VALID: u64 = 1 << 31;

pub(crate) fn bits(register: usize, low: u8, high: u8) -> Bits {
    Bits {
        register,
        low,
        high,
    }
}

pub(crate) fn flag(register: usize, bit: u8, is: u64) -> Test {
    let bits = bits(register, bit, bit);
    Test { bits, is }
}

fn register((place, (name, access, reset)): (usize, &(&'static str, Access, u64))) -> Register {
    Register {
        name: Cow::Borrowed(name),
        bank: Bank {
            scope: Scope::Device,
            bar: 0,
            base: 0,
            count: 1,
            stride: 0,
        },
        within: 4 * place as u64,
        own_count: 1,
        own_stride: 0,
        width: 4,
        access: *access,
        reset: Some(*reset),
        bits: mask(0, 31),
        fields: Cow::Borrowed(&[]),
        section: Cow::Borrowed(""),
        doc: Cow::Borrowed(""),
    }
}

/// A queue of 8 numbers with most of what a description can say.
pub(crate) fn plain() -> Description {
    let mut registers: Vec<Register> = NAMES.iter().enumerate().map(register).collect();
    registers[STATUS].bits = 7;
    Description {
        name: "plain".into(),
        title: "plain queue".into(),
        doc: String::new(),
        source: String::new(),
        ids: Vec::new(),
        bar: 0,
        size: 0x400,
        passage: Passage::Whole,
        sharing: Sharing::One,
        registers,
        identity: Some((ID, 0x4f46_4946)),
        alive: STATUS,
        scratch: Some(SCRATCH),
        enable: vec![Set {
            bits: bits(CONTROL, 0, 0),
            to: 1,
        }],
        pop: Pop::Read {
            from: Port::Whole(POP),
        },
        push: Push {
            to: Port::Whole(PUSH),
            then: None,
        },
        empty: Empty::Mark(flag(POP, 31, 0)),
        full: Full {
            shown: Room::Flag(flag(STATUS, 2, 1)),
            look: false,
            sticky: Some(flag(ERROR, 0, 1)),
        },
        value: Value {
            low: 0,
            high: 23,
            is: Meaning::Index { first: 0 },
        },
        depth: Depth::Fixed(MANY as u32),
        level: Some(bits(LEVEL, 0, 24)),
        fill: Fill::Software,
        order: Order::Fifo,
        reset: Reset {
            writes: vec![Write {
                register: RESET,
                value: KEY,
            }],
            until: Some(flag(STATUS, 0, 1)),
            within: Duration::from_millis(10),
            count: Some(bits(RESETS, 0, 30)),
            keeps_entries: false,
            flr: true,
        },
        interrupt: Some(Interrupt {
            vector: 0,
            enable: Some(Set {
                bits: bits(CONTROL, 1, 1),
                to: 1,
            }),
            pending: Some(bits(EVENT, 0, 0)),
            clear: Clear::WriteOne,
            raise: Some(bits(EVENT_SET, 0, 0)),
            threshold: Some(bits(THRESHOLD, 0, 24)),
            when: When::Below,
        }),
        never: Vec::new(),
    }
}

/// One model with its registers.
pub(crate) struct Bench {
    pub(crate) sim: InProcess,
    bar: SimBar,
    registers: Vec<Register>,
}

impl Bench {
    /// Opens the model of a description, with bus mastering on, which messages need, and enables its list.
    pub(crate) fn new(description: Description) -> Bench {
        Bench::with(description, &[])
    }

    pub(crate) fn with(description: Description, keys: &[(&str, &str)]) -> Bench {
        let bench = Bench::closed(description, keys);
        bench.set(CONTROL, 1);
        bench
    }

    /// Opens the model and does not enable its list.
    pub(crate) fn closed(description: Description, keys: &[(&str, &str)]) -> Bench {
        let registers = description.registers.clone();
        let (name, bar) = (description.name.clone(), description.bar);
        let mut config = SimConfig::described(description).unwrap();
        for (key, value) in keys {
            config.set(key, value).unwrap();
        }
        let sim = InProcess::open(&name, "sim:plain.toml", config).unwrap();
        sim.config_write16(4, 6).unwrap();
        let bar = sim.bar(bar).unwrap();
        Bench {
            sim,
            bar,
            registers,
        }
    }

    pub(crate) fn get(&self, register: usize) -> u64 {
        self.get_at(register, 0)
    }

    pub(crate) fn get_at(&self, register: usize, index: u16) -> u64 {
        let row = &self.registers[register];
        row.read_raw(&self.bar, index).unwrap()
    }

    pub(crate) fn set(&self, register: usize, value: u64) {
        self.set_at(register, 0, value);
    }

    pub(crate) fn set_at(&self, register: usize, index: u16, value: u64) {
        let row = &self.registers[register];
        row.poke(&self.bar, index, value).unwrap();
    }

    pub(crate) fn push(&self, values: &[u64]) {
        for value in values {
            self.set(PUSH, *value);
        }
    }

    /// Pops until nothing comes, where a pop says that by VALID.
    pub(crate) fn drain(&self) -> Vec<u64> {
        let pop = || Some(self.get(POP)).filter(|word| word & VALID != 0);
        std::iter::from_fn(pop).map(|word| word & !VALID).collect()
    }

    /// Waits in the model's time.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = self.sim.now() + Duration::from_millis(500);
        while !is_so() {
            assert!(self.sim.now() < deadline, "{what} did not happen");
            self.sim.relax();
        }
    }

    /// Returns what broke a rule since the last call; reads wait for what was written before.
    pub(crate) fn violations(&self) -> Vec<(ViolationKind, String)> {
        self.bar.read32(4 * ID as u64).unwrap();
        let found = self.sim.violations().into_iter();
        found.map(|v| (v.kind, v.place)).collect()
    }

    pub(crate) fn no_violations(&self) {
        assert_eq!(self.violations(), []);
    }
}

/// Gives the device `sharing.count` copies of all registers but those of the device.
pub(crate) fn copied(mut description: Description, sharing: Sharing) -> Description {
    let (Sharing::Lists(count) | Sharing::Windows(count)) = sharing else {
        return description;
    };
    description.sharing = sharing;
    description.size = 0x100 * (u64::from(count) + 1);
    for (place, row) in description.registers.iter_mut().enumerate() {
        if ![ID, SCRATCH, CONTROL, RESET].contains(&place) {
            row.bank = Bank {
                scope: Scope::Pool,
                base: 0x100,
                count,
                stride: 0x100,
                ..row.bank
            };
        }
    }
    description
}

/// Values of 64 bits in two halves: addresses of 48 bits, of which 6 are left out.
pub(crate) fn halves(mut description: Description, passage: Passage) -> Description {
    description.passage = passage;
    description.pop = Pop::Read {
        from: Port::Halves {
            low: POP,
            high: POP_HIGH,
        },
    };
    description.push.to = Port::Halves {
        low: PUSH,
        high: PUSH_HIGH,
    };
    description.empty = Empty::Value(0);
    description.value = Value {
        low: 0,
        high: 41,
        is: Meaning::Address { shift: 6 },
    };
    description
}

/// A read looks and a write takes; a write gives and another one commits.
pub(crate) fn acknowledged(mut description: Description) -> Description {
    let from = description.pop.from();
    for register in from.registers() {
        description.registers[register].access = Access::ReadOnly;
    }
    description.pop = Pop::Acknowledge {
        from,
        then: Write {
            register: TAKE,
            value: 1,
        },
    };
    description.push.then = Some(Write {
        register: GIVE,
        value: 4,
    });
    description
}

/// A register tells that the next value has 4 bytes, and is read first.
pub(crate) fn measured(mut description: Description) -> Description {
    description.pop = Pop::LengthFirst {
        length: bits(LENGTH, 0, 15),
        expect: 4,
        from: description.pop.from(),
    };
    description
}
