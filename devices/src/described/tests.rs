//! Exactly which accesses a give and a take make, for each variant of a description, and what each answer means.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::list::check_none;
use super::moves::by;
use super::plan::Plan;
use crate::bus::{Bar, BusError, DmaError, DmaLimits, DmaSource, Doorbell, Iova, Irq, Transport};
use crate::description::{
    Bits, Depth, Description, Empty, Fill, Full, Meaning, Order, Passage, Pop, Port, Push, Reset,
    Room, Sharing, Test, Value, Write,
};
use crate::family::plain::Plain;
use crate::family::{Breach, Geometry, ListConfig, PathError, SetupError};
use crate::reg::{Access, Bank, Register, Scope};

/// The registers, each 8 bytes after the one before, by their places.
const NAMES: [(&str, Access); 9] = [
    ("ID", Access::ReadOnly),
    ("STATUS", Access::ReadOnly),
    ("LEVEL", Access::ReadOnly),
    ("POP", Access::ReadEffect),
    ("PUSH", Access::WriteOnly),
    ("POP_HIGH", Access::ReadEffect),
    ("PUSH_HIGH", Access::WriteOnly),
    ("ACT", Access::WriteOnly),
    ("LENGTH", Access::ReadOnly),
];
const ID: usize = 0;
const STATUS: usize = 1;
const LEVEL: usize = 2;
const POP: usize = 3;
const PUSH: usize = 4;
const POP_HIGH: usize = 5;
const PUSH_HIGH: usize = 6;
const ACT: usize = 7;
const LENGTH: usize = 8;
/// Bytes from one copy of the registers to the next.
const COPY: u64 = 0x100;
/// What a read answers when nobody does.
const ONES: u64 = u32::MAX as u64;
/// Where objects lie, and how many there are.
const BASE: u64 = 0x12_0000_0000;
const OBJECTS: u32 = 8;

/// What reads answer, `None` for a bus error, and what was accessed.
type Told = (VecDeque<Option<u64>>, Vec<String>);

/// A device that answers reads as it is told, and notes each access.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Told>>);

impl Script {
    /// `None` is a bus error.
    fn new(answers: &[Option<u64>]) -> Script {
        Script(Arc::new(Mutex::new((
            answers.iter().copied().collect(),
            Vec::new(),
        ))))
    }

    fn note(&self, what: &str, offset: u64, value: &str) {
        let name = NAMES[(offset % COPY / 8) as usize].0;
        let copy = match offset / COPY {
            0 => String::new(),
            copy => format!("[{copy}]"),
        };
        let line = format!("{what} {name}{copy}{value}");
        self.0.lock().unwrap().1.push(line);
    }

    fn read(&self, what: &str, offset: u64) -> Result<u64, BusError> {
        self.note(what, offset, "");
        let answer = self.0.lock().unwrap().0.pop_front();
        answer
            .expect("a read that nobody expects")
            .ok_or(BusError::Failed {
                offset,
                width: 4,
                cause: "an error".into(),
            })
    }

    /// Returns the accesses, and fails where an answer was not asked for.
    fn accesses(&self) -> String {
        let (answers, accesses) = &*self.0.lock().unwrap();
        assert!(
            answers.is_empty(),
            "not read: {answers:?} after {accesses:?}"
        );
        accesses.join(", ")
    }
}

impl Bar for Script {
    type Doorbell = Script;
    fn size(&self) -> u64 {
        0x1000
    }
    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.read("r", offset).map(|value| value as u32)
    }
    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.read("r64", offset)
    }
    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.note("w", offset, &format!(" {value:#x}"));
        Ok(())
    }
    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.note("w64", offset, &format!(" {value:#x}"));
        Ok(())
    }
    fn doorbell(&self, _offset: u64) -> Result<Script, BusError> {
        Ok(self.clone())
    }
}

impl Doorbell for Script {
    fn ring(&self, _value: u64) -> Result<(), BusError> {
        unreachable!("no list has a doorbell")
    }
}

impl Irq for Script {
    fn wait(&self, _timeout: Duration) -> Result<u64, BusError> {
        unreachable!("no list waits for an interrupt")
    }
}

impl Transport for Script {
    type Bar = Script;
    type Irq = Script;
    fn name(&self) -> &str {
        "script"
    }
    fn bar(&self, _index: u8) -> Result<Script, BusError> {
        Ok(self.clone())
    }
    fn config_read32(&self, _offset: u16) -> Result<u32, BusError> {
        Ok(0)
    }
    fn config_write32(&self, _offset: u16, _value: u32) -> Result<(), BusError> {
        Ok(())
    }
    fn config_write16(&self, _offset: u16, _value: u16) -> Result<(), BusError> {
        Ok(())
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(0)
    }
    fn irq(&self, _vector: u16) -> Result<Script, BusError> {
        Ok(self.clone())
    }
    fn reset(&self) -> Result<(), BusError> {
        Ok(())
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        unreachable!("no list has memory")
    }
    fn dma_map(&self, _iova: Iova, _source: DmaSource<'_>) -> Result<(), DmaError> {
        unreachable!("no list has memory")
    }
    fn dma_unmap(&self, _iova: Iova, _len: u64) -> Result<(), DmaError> {
        unreachable!("no list has memory")
    }
    /// Time goes on with each access.
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.lock().unwrap().1.len() as u64)
    }
    fn relax(&self) {}
}

fn bits(register: usize, low: u8, high: u8) -> Bits {
    Bits {
        register,
        low,
        high,
    }
}

fn flag(register: usize, bit: u8) -> Test {
    Test {
        bits: bits(register, bit, bit),
        is: 1,
    }
}

fn register((place, (name, access)): (usize, &(&'static str, Access))) -> Register {
    Register {
        name: Cow::Borrowed(name),
        bank: Bank {
            scope: Scope::Device,
            bar: 0,
            base: 0,
            count: 1,
            stride: 0,
        },
        within: 8 * place as u64,
        own_count: 1,
        own_stride: 0,
        width: 4,
        access: *access,
        reset: None,
        bits: ONES,
        fields: Cow::Borrowed(&[]),
        section: Cow::Borrowed(""),
        doc: Cow::Borrowed(""),
    }
}

/// A queue of numbers: one access a value, and 0x80000000 for none.
fn plain() -> Description {
    Description {
        name: "scripted".into(),
        title: String::new(),
        doc: String::new(),
        source: String::new(),
        ids: Vec::new(),
        bar: 0,
        size: 0x1000,
        passage: Passage::Whole,
        sharing: Sharing::One,
        registers: NAMES.iter().enumerate().map(register).collect(),
        identity: Some((ID, 7)),
        alive: ID,
        scratch: None,
        enable: Vec::new(),
        pop: Pop::Read {
            from: Port::Whole(POP),
        },
        push: Push {
            to: Port::Whole(PUSH),
            then: None,
        },
        empty: Empty::Value(0x8000_0000),
        full: Full {
            shown: Room::Counted,
            look: false,
            sticky: None,
        },
        value: Value {
            low: 0,
            high: 23,
            is: Meaning::Index { first: 0 },
        },
        depth: Depth::Fixed(OBJECTS),
        level: Some(bits(LEVEL, 0, 15)),
        fill: Fill::Software,
        order: Order::Fifo,
        reset: Reset {
            writes: Vec::new(),
            until: None,
            within: Duration::from_millis(10),
            count: None,
            keeps_entries: true,
            flr: false,
        },
        interrupt: None,
        never: Vec::new(),
    }
}

fn with(change: impl FnOnce(&mut Description)) -> Description {
    let mut description = plain();
    change(&mut description);
    description
}

fn halves(passage: Passage) -> Description {
    with(|d| {
        d.passage = passage;
        let (low, high) = (POP, POP_HIGH);
        let from = Port::Halves { low, high };
        d.pop = Pop::Read { from };
        let (low, high) = (PUSH, PUSH_HIGH);
        d.push.to = Port::Halves { low, high };
        d.empty = Empty::Value(0);
        d.value.high = 63;
        d.value.is = Meaning::Address { shift: 0 };
    })
}

fn wide() -> Description {
    with(|d| {
        for register in [POP, PUSH] {
            let row = &mut d.registers[register];
            (row.width, row.bits) = (8, u64::MAX);
        }
        d.empty = Empty::Value(0);
        (d.value.low, d.value.high) = (4, 47);
        d.value.is = Meaning::Address { shift: 6 };
    })
}

fn acknowledged() -> Description {
    with(|d| {
        let from = Port::Whole(POP);
        d.registers[POP].access = Access::ReadOnly;
        let then = Write {
            register: ACT,
            value: 1,
        };
        d.pop = Pop::Acknowledge { from, then };
    })
}

fn committed() -> Description {
    with(|d| {
        d.push.then = Some(Write {
            register: ACT,
            value: 2,
        });
    })
}

fn measured() -> Description {
    with(|d| {
        d.pop = Pop::LengthFirst {
            length: bits(LENGTH, 0, 15),
            expect: 4,
            from: Port::Whole(POP),
        };
        d.empty = Empty::Level;
    })
}

fn looking(shown: Room) -> Description {
    with(|d| (d.full.shown, d.full.look) = (shown, true))
}

/// One list of a description on a scripted device.
struct Bench {
    script: Script,
    plan: Plan,
    list: Plain,
}

impl Bench {
    fn new(description: Description, answers: &[Option<u64>]) -> Bench {
        Bench::of(description, 0, answers)
    }

    fn of(description: Description, number: u16, answers: &[Option<u64>]) -> Bench {
        assert_eq!(description.check(), Ok(()));
        let geometry = Geometry::new(Iova(BASE), 2048, OBJECTS).unwrap();
        Bench {
            script: Script::new(answers),
            plan: Plan::new(Box::leak(Box::new(description)), number, OBJECTS),
            list: Plain::new("the list".into(), geometry),
        }
    }

    /// Has the device hold these already.
    fn holding(mut self, objects: &[u32]) -> Bench {
        let quiet = Script::new(&[]);
        let plan = Plan::new(Box::leak(Box::new(plain())), 0, OBJECTS);
        by!((&quiet, &quiet, &plan), by => self.list.give(by, objects)).unwrap();
        self
    }

    fn give(&mut self, objects: &[u32]) -> Result<(), PathError> {
        by!((&self.script, &self.script, &self.plan), by => self.list.give(by, objects))
    }

    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        by!((&self.script, &self.script, &self.plan), by => self.list.take(by, objects))
    }

    fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        by!((&self.script, &self.script, &self.plan), by => self.list.drain(by))
    }
}

/// Gives objects 3 and 5 and returns the accesses.
fn given(description: Description, answers: &[u64]) -> String {
    let answers: Vec<_> = answers.iter().map(|answer| Some(*answer)).collect();
    let mut bench = Bench::new(description, &answers);
    bench.give(&[3, 5]).unwrap();
    bench.script.accesses()
}

/// Takes one object of 3 and 5, and returns which and the accesses.
fn taken(description: Description, answers: &[Option<u64>]) -> (Option<u32>, String) {
    let mut bench = Bench::new(description, answers).holding(&[3, 5]);
    let mut out = [0];
    let all = bench.take(&mut out).unwrap();
    (all.then_some(out[0]), bench.script.accesses())
}

#[test]
fn a_give_makes_these_accesses_and_no_others() {
    let low = |index: u64| BASE + 2048 * index;
    #[rustfmt::skip]
    let rows = [
        (plain(), &[][..], "w PUSH 0x3, w PUSH 0x5".into()),
        (with(|d| d.value.is = Meaning::Index { first: 1 }), &[], "w PUSH 0x4, w PUSH 0x6".into()),
        (with(|d| (d.value.low, d.value.high) = (4, 27)), &[], "w PUSH 0x30, w PUSH 0x50".into()),
        (committed(), &[], "w PUSH 0x3, w ACT 0x2, w PUSH 0x5, w ACT 0x2".into()),
        (acknowledged(), &[], "w PUSH 0x3, w PUSH 0x5".into()),
        (wide(), &[], format!("w64 PUSH {:#x}, w64 PUSH {:#x}", low(3) >> 6 << 4, low(5) >> 6 << 4)),
        (halves(Passage::LowFirst), &[], "w PUSH 0x1800, w PUSH_HIGH 0x12, w PUSH 0x2800, w PUSH_HIGH 0x12".into()),
        (halves(Passage::HighFirst), &[], "w PUSH_HIGH 0x12, w PUSH 0x1800, w PUSH_HIGH 0x12, w PUSH 0x2800".into()),
        // A flag is good for one value, a count for as many.
        (looking(Room::Flag(flag(STATUS, 2))), &[0, 4, 0], "r STATUS, w PUSH 0x3, r STATUS, r STATUS, w PUSH 0x5".into()),
        (looking(Room::Vacancy(bits(STATUS, 8, 15))), &[0x200], "r STATUS, w PUSH 0x3, w PUSH 0x5".into()),
        (looking(Room::Vacancy(bits(STATUS, 8, 15))), &[0, 0x100, 0x100], "r STATUS, r STATUS, w PUSH 0x3, r STATUS, w PUSH 0x5".into()),
        (looking(Room::Level), &[6], "r LEVEL, w PUSH 0x3, w PUSH 0x5".into()),
        (looking(Room::Level), &[7, 8, 7], "r LEVEL, w PUSH 0x3, r LEVEL, r LEVEL, w PUSH 0x5".into()),
    ];
    for (number, (description, answers, accesses)) in rows.into_iter().enumerate() {
        assert_eq!(given(description, answers), accesses, "row {number}");
    }
}

#[test]
fn a_take_makes_these_accesses_and_no_others() {
    let address = BASE + 2048 * 3;
    let by_flag = || with(|d| d.empty = Empty::Flag(flag(STATUS, 1)));
    let by_error = || with(|d| d.empty = Empty::BusError);
    let by_ones = || with(|d| d.empty = Empty::Value(ONES));
    let by_mark = || {
        with(|d| {
            d.empty = Empty::Mark(Test {
                is: 0,
                ..flag(POP, 31)
            });
        })
    };
    let some = Some;
    #[rustfmt::skip]
    let rows = [
        (plain(), vec![some(3)], Some(3), "r POP"),
        (plain(), vec![some(0x8000_0000)], None, "r POP"),
        (by_mark(), vec![some(0x8000_0003)], Some(3), "r POP"),
        (by_mark(), vec![some(3)], None, "r POP"),
        (by_flag(), vec![some(0), some(3)], Some(3), "r STATUS, r POP"),
        (by_flag(), vec![some(2)], None, "r STATUS"),
        (with(|d| d.empty = Empty::Level), vec![some(0x1_0000)], None, "r LEVEL"),
        (with(|d| d.empty = Empty::Level), vec![some(1), some(3)], Some(3), "r LEVEL, r POP"),
        (measured(), vec![some(1), some(4), some(3)], Some(3), "r LEVEL, r LENGTH, r POP"),
        (measured(), vec![some(1), some(0)], None, "r LEVEL, r LENGTH"),
        (acknowledged(), vec![some(3)], Some(3), "r POP, w ACT 0x1"),
        (acknowledged(), vec![some(0x8000_0000)], None, "r POP"),
        (committed(), vec![some(3)], Some(3), "r POP"),
        // All ones and errors may be a device that is gone: the witness tells.
        (by_ones(), vec![some(ONES), some(7)], None, "r POP, r ID"),
        (by_error(), vec![some(ONES), some(7)], None, "r POP, r ID"),
        (by_error(), vec![None, some(7)], None, "r POP, r ID"),
        (by_error(), vec![some(3)], Some(3), "r POP"),
        (wide(), vec![some(address >> 6 << 4)], Some(3), "r64 POP"),
        (wide(), vec![some(0)], None, "r64 POP"),
        (halves(Passage::LowFirst), vec![some(address & ONES), some(0x12)], Some(3), "r POP, r POP_HIGH"),
        (halves(Passage::HighFirst), vec![some(0x12), some(address & ONES)], Some(3), "r POP_HIGH, r POP"),
        (halves(Passage::LowFirst), vec![some(0), some(0)], None, "r POP, r POP_HIGH"),
    ];
    for (number, (description, answers, object, accesses)) in rows.into_iter().enumerate() {
        let found = taken(description, &answers);
        assert_eq!(found, (object, accesses.into()), "row {number}");
    }
}

#[test]
fn a_lie_poisons_the_list_and_the_output_stays() {
    let gone = |register| Breach::Gone {
        register,
        witness: "ID",
    };
    let no_number = |number| Breach::NoSuchNumber {
        number,
        objects: OBJECTS,
    };
    let length = Breach::Length {
        register: "LENGTH",
        found: 8,
        expected: 4,
    };
    let ones = Some(ONES);
    let by_error = || with(|d| d.empty = Empty::BusError);
    let from_1 = with(|d| d.value.is = Meaning::Index { first: 1 });
    #[rustfmt::skip]
    let rows = [
        (plain(), vec![ones, ones], gone("POP")),
        (by_error(), vec![ones, ones], gone("POP")),
        (by_error(), vec![None, ones], gone("POP")),
        (with(|d| d.empty = Empty::Value(ONES)), vec![ones, ones], gone("POP")),
        (with(|d| d.empty = Empty::Level), vec![ones, ones], gone("LEVEL")),
        (measured(), vec![Some(1), ones, ones], gone("LENGTH")),
        (halves(Passage::LowFirst), vec![Some(5), ones, ones], gone("POP")),
        (plain(), vec![ones, Some(7)], no_number(0xff_ffff)),
        (plain(), vec![Some(8)], no_number(8)),
        (from_1, vec![Some(0)], no_number(0)),
        (plain(), vec![Some(4)], Breach::Duplicate { address: 4, index: 4 }),
        (measured(), vec![Some(1), Some(8)], length),
        (wide(), vec![Some(0x10)], Breach::OutOfRange { address: 0x40, base: BASE, end: BASE + 8 * 2048 }),
    ];
    for (number, (description, answers, breach)) in rows.into_iter().enumerate() {
        let mut bench = Bench::new(description, &answers).holding(&[3, 5]);
        let mut out = [99];
        let refused = bench.take(&mut out);
        let list = "the list".into();
        assert_eq!(
            refused,
            Err(PathError::Poisoned { list, breach }),
            "row {number}"
        );
        assert_eq!(out, [99], "row {number}");
        assert_eq!(
            bench.give(&[0]),
            refused.map(|_| ()),
            "row {number}: for good"
        );
        bench.script.accesses();
    }
}

#[test]
fn what_a_short_take_gives_back_leaves_in_the_same_order() {
    let nothing = Some(0x8000_0000);
    for (order, back) in [
        (Order::Fifo, "w PUSH 0x3, w PUSH 0x5"),
        (Order::Lifo, "w PUSH 0x5, w PUSH 0x3"),
    ] {
        let description = with(|d| d.order = order);
        let mut bench = Bench::new(description, &[Some(3), Some(5), nothing]).holding(&[3, 5]);
        let mut out = [99; 3];
        assert_eq!(bench.take(&mut out), Ok(false));
        assert_eq!((out, bench.list.ledger().held()), ([99; 3], 2));
        assert_eq!(
            bench.script.accesses(),
            format!("r POP, r POP, r POP, {back}")
        );
    }
}

#[test]
fn a_drain_that_comes_up_short_says_whether_the_device_dropped_something() {
    let nothing = Some(0x8000_0000);
    let sticky = || {
        with(|d| {
            d.full.sticky = Some(flag(STATUS, 3));
            d.registers[STATUS].access = Access::WriteOneToClear;
        })
    };
    let dropped = Breach::Dropped {
        held: 1,
        register: "STATUS",
    };
    let rows = [
        (sticky(), vec![Some(3), nothing, Some(8)], dropped),
        (
            sticky(),
            vec![Some(3), nothing, Some(0)],
            Breach::Lost { held: 1 },
        ),
        (plain(), vec![Some(3), nothing], Breach::Lost { held: 1 }),
    ];
    for (description, answers, breach) in rows {
        let mut bench = Bench::new(description, &answers).holding(&[3, 5]);
        let list = "the list".into();
        assert_eq!(bench.drain(), Err(PathError::Poisoned { list, breach }));
        bench.script.accesses();
    }
}

#[test]
fn a_wait_for_room_ends() {
    let full = vec![Some(4); 11];
    let mut bench = Bench::new(looking(Room::Flag(flag(STATUS, 2))), &full);
    let refused = bench.give(&[3]);
    assert!(
        matches!(
            &refused,
            Err(PathError::Poisoned {
                breach: Breach::TimedOut(_),
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn each_list_has_registers_of_its_own() {
    let mut description = with(|d| d.empty = Empty::Level);
    (description.sharing, description.size) = (Sharing::Lists(3), 0x1000);
    for row in &mut description.registers[LEVEL..] {
        row.bank = Bank {
            scope: Scope::Pool,
            count: 3,
            stride: COPY,
            ..row.bank
        };
    }
    let mut bench = Bench::of(description, 2, &[Some(ONES), Some(7), Some(3)]);
    bench.give(&[3]).unwrap();
    assert_eq!(bench.take(&mut [0]), Ok(true));
    assert_eq!(
        bench.script.accesses(),
        "w PUSH[2] 0x3, r LEVEL[2], r ID, r POP[2]"
    );
}

#[test]
fn a_give_has_one_deadline_however_often_it_waits() {
    let (full, room) = (Some(4), Some(0));
    let answers = [[full; 6].as_slice(), &[room], &[full; 3]].concat();
    let mut bench = Bench::new(looking(Room::Flag(flag(STATUS, 2))), &answers);
    let refused = bench.give(&[3, 5]);
    let Err(PathError::Poisoned { breach, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(breach, Breach::TimedOut(_)), "{breach:?}");
    bench.script.accesses();
}

#[test]
fn no_object_is_what_stands_for_none() {
    let none = |description: &Description, objects| {
        let config = ListConfig {
            base: Iova(BASE),
            stride: 2048,
            objects,
            capacity: objects,
        };
        let geometry = Geometry::new(config.base, config.stride, objects).unwrap();
        check_none(description, &config, &geometry)
    };
    let numbers = with(|d| d.empty = Empty::Value(7));
    assert_eq!(none(&numbers, 7), Ok(()));
    assert!(matches!(
        none(&numbers, 8),
        Err(SetupError::Invalid { value: 8, .. })
    ));
    let addresses = |index: u64| {
        let mut description = halves(Passage::LowFirst);
        description.empty = Empty::Value(BASE + 2048 * index);
        description
    };
    assert_eq!(none(&addresses(8), 8), Ok(()));
    assert!(matches!(
        none(&addresses(3), 8),
        Err(SetupError::Invalid { value: BASE, .. })
    ));
    let anything = with(|d| d.empty = Empty::Flag(flag(STATUS, 1)));
    assert_eq!(none(&anything, OBJECTS), Ok(()));
}

#[test]
fn a_list_of_no_length_is_refused_by_its_key() {
    let mistake = with(|d| d.depth = Depth::Fixed(0)).check();
    assert_eq!(mistake.map_err(|mistake| mistake.key), Err("depth"));
}

#[test]
fn what_is_written_has_no_bits_that_its_register_has_not() {
    let key = |description: Description| description.check().map_err(|mistake| mistake.key);
    let sticky = |register| {
        with(|d| {
            d.full.sticky = Some(flag(register, 0));
            d.registers[ACT].bits = 0xff;
        })
    };
    // Ones are written to clear it.
    assert_eq!(key(sticky(STATUS)), Err("full.sticky"));
    let reset = |value| {
        with(|d| {
            d.registers[ACT].bits = 0xff;
            let register = ACT;
            d.reset.writes = vec![Write { register, value }];
        })
    };
    assert_eq!(key(reset(0xff)), Ok(()));
    assert_eq!(key(reset(0x100)), Err("reset.write"));
}

#[test]
fn a_reset_of_one_list_leaves_what_all_share() {
    let mut description = with(|d| {
        d.sharing = Sharing::Lists(2);
        let (register, value) = (ACT, 1);
        d.reset.writes = vec![Write { register, value }];
        d.reset.flr = true;
    });
    let is_reset = |d: &Description, row, by_function| d.is_reset(d.row(row), by_function);
    description.registers[ID].bank.scope = Scope::Device;
    description.registers[ACT].bank.scope = Scope::Pool;
    description.registers[LEVEL].bank.scope = Scope::Pool;
    assert!(is_reset(&description, LEVEL, false) && !is_reset(&description, ID, false));
    assert!(is_reset(&description, ID, true), "a reset of the function");
    description.registers[ACT].bank.scope = Scope::Device;
    assert!(is_reset(&description, ID, false), "a reset of all lists");
    description.reset.writes.clear();
    assert!(!is_reset(&description, ID, false), "none");
}
