//! Descriptions for the fuzz targets: those that are shipped, and some that the input makes.

use std::collections::HashMap;
use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use hwpool::describe;
use hwpool::devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Full, Interrupt, Meaning, Order, Passage, Pop,
    Port, Push, Reset, Room, Set, Sharing, Test, Value, When, Write,
};
use hwpool::devices::family::Described;
use hwpool::devices::reg::{Access, Bank, Register, Scope};

use crate::shipped::SHIPPED;

static READ: LazyLock<Vec<&'static Described>> = LazyLock::new(|| {
    let read = |(text, registers): &(&str, &'static str)| {
        let loader = |_: &str| Ok::<_, io::Error>(String::from(*registers));
        let description = describe::parse(text, "shipped", &loader);
        Described::keep(description.expect("it is right")).expect("it is right")
    };
    SHIPPED.iter().map(read).collect()
});

/// What was kept: it stays for the life of the process.
static KEPT: LazyLock<Mutex<HashMap<[u8; CHOICES], Option<&'static Described>>>> =
    LazyLock::new(Mutex::default);
/// Most that are kept, so that the memory of a long run is bounded.
const MOST_KEPT: usize = 20_000;

/// Bytes that choose a description.
pub const CHOICES: usize = 27;

/// Returns the description that `choices` choose; `None` where they make none.
pub fn described(choices: &[u8; CHOICES]) -> Option<&'static Described> {
    if let Some(shipped) = READ.get(usize::from(choices[0] % 16)) {
        return Some(shipped);
    }
    // Another byte may choose the same.
    let mut same = *choices;
    let made = make(&mut same);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(&same) {
        return *known;
    }
    if kept.len() == MOST_KEPT {
        return None;
    }
    let described = Described::keep(made).ok();
    kept.insert(same, described);
    described
}

/// Takes one choice after the other, and leaves in each byte what was chosen.
struct Choices<'c> {
    bytes: &'c mut [u8; CHOICES],
    at: usize,
}

impl Choices<'_> {
    fn one<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        let byte = &mut self.bytes[self.at];
        self.at += 1;
        *byte %= N as u8;
        of[usize::from(*byte)]
    }

    fn maybe<T>(&mut self, it: T) -> Option<T> {
        self.one([false, true]).then_some(it)
    }
}

/// The registers, each 8 bytes after the one before, by their places.
const NAMES: [&str; 18] = [
    "ID",
    "STATUS",
    "LEVEL",
    "VACANCY",
    "POP",
    "PUSH",
    "POP_HIGH",
    "PUSH_HIGH",
    "ACK",
    "COMMIT",
    "LENGTH",
    "RESET",
    "COUNT",
    "CONTROL",
    "DEPTH",
    "SCRATCH",
    "EVENT",
    "THRESHOLD",
];

fn place(name: &str) -> usize {
    let mut names = NAMES.iter();
    names.position(|known| *known == name).expect("a register")
}

fn bits(name: &str, low: u8, high: u8) -> Bits {
    Bits {
        register: place(name),
        low,
        high,
    }
}

fn test(name: &str, bit: u8, is: u64) -> Test {
    Test {
        bits: bits(name, bit, bit),
        is,
    }
}

fn set(name: &str, bit: u8) -> Set {
    Set {
        bits: bits(name, bit, bit),
        to: 1,
    }
}

fn write(name: &str) -> Write {
    Write {
        register: place(name),
        value: 1,
    }
}

fn row(name: &'static str, at: u64, copies: u16) -> Register {
    let (access, width) = match name {
        "POP" | "POP_HIGH" => (Access::ReadEffect, 4),
        "PUSH" | "PUSH_HIGH" | "ACK" | "COMMIT" | "RESET" => (Access::WriteOnly, 4),
        "CONTROL" | "SCRATCH" | "THRESHOLD" => (Access::ReadWrite, 4),
        "EVENT" => (Access::WriteOneToClear, 4),
        _ => (Access::ReadOnly, 4),
    };
    let is_shared = copies == 1 || matches!(name, "ID" | "COUNT" | "SCRATCH");
    let (scope, count, stride) = match is_shared {
        true => (Scope::Device, 1, 0),
        false => (Scope::Pool, copies, 0x100),
    };
    Register {
        name: name.into(),
        bank: Bank {
            scope,
            bar: 0,
            base: if is_shared { 0x800 } else { 0 },
            count,
            stride,
        },
        within: at,
        own_count: 1,
        own_stride: 0,
        width,
        access,
        reset: matches!(name, "CONTROL" | "SCRATCH" | "THRESHOLD").then_some(0),
        bits: match name {
            "POP" | "PUSH" | "POP_HIGH" | "PUSH_HIGH" => 0xffff_ffff,
            _ => 0x00ff_ffff,
        },
        fields: Vec::new().into(),
        section: "".into(),
        doc: "".into(),
    }
}

fn registers(copies: u16) -> Vec<Register> {
    let rows = NAMES.iter().zip(0..);
    rows.map(|(name, n)| row(name, 8 * n, copies)).collect()
}

/// Makes a description, which may have mistakes.
fn make(choices: &mut [u8; CHOICES]) -> Description {
    // The first one said that it is made.
    choices[0] = u8::MAX;
    let mut c = Choices {
        bytes: choices,
        at: 1,
    };
    let sharing = c.one([Sharing::One, Sharing::Lists(2), Sharing::Windows(2)]);
    let copies = match sharing {
        Sharing::One => 1,
        Sharing::Lists(count) | Sharing::Windows(count) => count,
    };
    let mut registers = registers(copies);
    let (passage, width) = c.one([
        (Passage::Whole, 32),
        (Passage::Whole, 64),
        (Passage::LowFirst, 64),
        (Passage::HighFirst, 64),
    ]);
    let port = |low, high| match passage {
        Passage::Whole => Port::Whole(place(low)),
        _ => Port::Halves {
            low: place(low),
            high: place(high),
        },
    };
    if (passage, width) == (Passage::Whole, 64) {
        for name in ["POP", "PUSH"] {
            registers[place(name)].width = 8;
            registers[place(name)].bits = u64::MAX;
        }
    }
    let from = port("POP", "POP_HIGH");
    let pop = match c.one([0, 1, 2]) {
        0 => Pop::Read { from },
        1 => Pop::Acknowledge {
            from,
            then: write("ACK"),
        },
        _ => Pop::LengthFirst {
            length: bits("LENGTH", 0, 7),
            expect: 4,
            from,
        },
    };
    if let Pop::Acknowledge { .. } = pop {
        for register in from.registers() {
            registers[register].access = Access::ReadOnly;
        }
    }
    let mark = test("POP", 31, c.one([0, 1]));
    let empty = c.one([
        Empty::Value(0),
        Empty::Value(u64::MAX >> (64 - width)),
        Empty::Mark(mark),
        Empty::Flag(test("STATUS", 0, 1)),
        Empty::Level,
        Empty::BusError,
    ]);
    let is = c.one([
        Meaning::Index { first: 0 },
        Meaning::Index { first: 1 },
        Meaning::Address { shift: 0 },
        Meaning::Address { shift: 6 },
    ]);
    let low = c.one([0, 1, 12]);
    let (low, high) = match (is, empty) {
        (Meaning::Index { .. }, _) => (low, low + 15),
        // Bit 31 of 32 is the mark then.
        (Meaning::Address { .. }, Empty::Mark(_)) => (0, 30),
        (Meaning::Address { .. }, _) => (0, (width as u8 - 1).min(47)),
    };
    let depth = c.one([1, 2, 8, 60]);
    let irq = Interrupt {
        vector: 0,
        enable: c.maybe(set("CONTROL", 1)),
        pending: Some(bits("EVENT", 0, 0)),
        clear: c.one([
            Clear::WriteOne,
            Clear::WriteZero,
            Clear::Read,
            Clear::Itself,
        ]),
        raise: None,
        threshold: None,
        when: c.one([When::Filled, When::Emptied]),
    };
    registers[place("EVENT")].access = match irq.clear {
        Clear::WriteOne => Access::WriteOneToClear,
        Clear::WriteZero => Access::ReadWrite,
        Clear::Read => Access::ReadEffect,
        Clear::Itself => Access::ReadOnly,
    };
    let (writes, keeps_entries, flr) = c
        .one(
            [
                (vec![], true, false),
                (vec![], false, true),
                (vec!["RESET"], false, false),
                (vec!["RESET"], false, true),
                (vec!["RESET"], true, false),
                (vec!["ACK", "RESET"], false, true),
            ]
            .each_ref(),
        )
        .clone();
    let description = Description {
        name: "made".into(),
        title: "made".into(),
        doc: String::new(),
        source: String::new(),
        ids: Vec::new(),
        bar: 0,
        size: 0x1000,
        passage,
        sharing,
        identity: c.maybe((place("ID"), 0x1234)),
        alive: place("ID"),
        scratch: c.maybe(place("SCRATCH")),
        enable: c.maybe(set("CONTROL", 0)).into_iter().collect(),
        push: Push {
            to: port("PUSH", "PUSH_HIGH"),
            then: c.maybe(write("COMMIT")),
        },
        empty,
        full: Full {
            shown: c.one([
                Room::Counted,
                Room::Flag(test("STATUS", 1, 1)),
                Room::Vacancy(bits("VACANCY", 0, 15)),
                Room::Level,
            ]),
            look: c.one([false, true]),
            sticky: c.maybe(test("EVENT", 8, 1)),
        },
        value: Value { low, high, is },
        depth: c.one([Depth::Fixed(depth), Depth::Register(bits("DEPTH", 0, 7))]),
        level: c.maybe(bits("LEVEL", 0, 15)),
        fill: c.one([Fill::Software, Fill::Reset]),
        order: c.one([Order::Fifo, Order::Lifo, Order::Any]),
        reset: Reset {
            writes: writes.iter().map(|name| write(name)).collect(),
            until: c.maybe(test("STATUS", 2, 1)),
            within: Duration::from_millis(2),
            count: c.maybe(bits("COUNT", 0, 15)),
            keeps_entries,
            flr,
        },
        interrupt: c.maybe(irq),
        never: Vec::new(),
        pop,
        registers,
    };
    assert_eq!(c.at, CHOICES, "each byte is one choice");
    description
}
