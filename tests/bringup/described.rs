//! Described devices: each that is shipped climbs the ladder on its model, and a wrong description fails on the right
//! device with its key named.

use std::ops::ControlFlow;
use std::sync::Arc;

use hwpool::bringup::{self, Check, Options, Progress, Report, Status};
use hwpool::describe;
use hwpool::devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Interrupt, Meaning, Order, Passage, Pop, Port,
    Room, Sharing, Test, When,
};
use hwpool::devices::family::{Choice, Described};
use hwpool::devices::reg::{Access, Register, Scope};
use hwpool::sim::{InProcess, SimConfig};

use super::brief;
use super::descriptions::files;

fn read(name: &str) -> Description {
    let path = files()
        .into_iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name));
    let path = path.unwrap_or_else(|| panic!("no description {name}"));
    describe::read(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn keep(description: Description) -> &'static Described {
    Described::keep(description).unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Configures the model of a description, from the description.
fn model(device: &Described) -> SimConfig {
    let mut config = SimConfig::described(device.description.clone()).expect("a model");
    if let Depth::Register(_) = device.description.depth {
        config.set("depth", "256").expect("a depth");
    }
    config
}

/// Climbs the model of one description with the driver of another.
fn climb(device: &'static Described, driver: &'static Described) -> Report {
    let mut config = model(device);
    // The device that it describes has a model of its own, written from its specification.
    if device.about.name == "small-fifo" {
        config = SimConfig::new("fifo").expect("a model");
        config.set("depth", "256").expect("a depth");
    }
    climb_model(config, driver)
}

fn climb_model(config: SimConfig, driver: &'static Described) -> Report {
    let name = config.name().to_owned();
    let model = InProcess::open(&name, &format!("sim:{name}"), config).expect("opens");
    let options = Options {
        driver: Choice::Described(driver),
        ..brief()
    };
    bringup::run(Arc::new(model), &options, None, |_: Progress<'_>| {
        ControlFlow::Continue(())
    })
}

#[test]
fn every_description_passes_on_its_model() {
    for path in files() {
        let device = keep(describe::read(&path).unwrap_or_else(|error| panic!("{error}")));
        let report = climb(device, device);
        assert_eq!(bad(&report), "", "{}", path.display());
    }
}

/// Returns what did not pass, with its causes; empty where all did.
fn bad(report: &Report) -> String {
    let bad = |check: &&Check| !matches!(check.status, Status::Pass | Status::Skip);
    let text = |check: &Check| format!("{}: {:?} {:?}\n", check.id, check.message, check.causes);
    report.checks.iter().filter(bad).map(text).collect()
}

/// Makes the lists of a device two, which share what identifies it, what counts resets and what keeps what is written.
fn two_lists(description: &mut Description) {
    description.sharing = Sharing::Lists(2);
    let shared = ["IDENTITY", "VERSION", "SCRATCH", "RESET_COUNT"];
    for row in &mut description.registers {
        if !shared.contains(&&*row.name) {
            row.bank.scope = Scope::Pool;
            (row.bank.count, row.bank.stride) = (2, 0x100);
        }
    }
}

/// Leaves nothing that resets the device.
fn never_reset(description: &mut Description) {
    let reset = &mut description.reset;
    reset.writes.clear();
    (reset.until, reset.flr, reset.keeps_entries) = (None, false, true);
}

fn scratch(description: &mut Description) -> &mut Register {
    let place = description.scratch.expect("a scratch register");
    &mut description.registers[place]
}

/// Makes another device of one.
type Edit = fn(&mut Description);

#[rustfmt::skip] // a table: one kind of device, one line
const RIGHT: &[(&str, Edit)] = &[
    ("nothing is known of the scratch register after a reset", |d| scratch(d).reset = None),
    ("the scratch register is reset to something", |d| scratch(d).reset = Some(0x1234_5678)),
    ("only the function's reset", |d| d.reset.writes.clear()),
    ("only the device's reset", |d| d.reset.flr = false),
    ("nothing resets it", never_reset),
    ("nothing resets it, and nothing counts that", |d| { never_reset(d); d.reset.count = None }),
    ("nothing resets it, and the scratch register began as something", |d| { never_reset(d); scratch(d).reset = Some(0x1234_5678) }),
    ("lists with a reset each", two_lists),
    ("lists with a reset each, and no count", |d| { two_lists(d); d.reset.count = None }),
    ("lists with a reset each, and none of the function", |d| { two_lists(d); d.reset.flr = false; d.reset.count = None }),
];

#[test]
fn no_device_that_is_as_described_is_accused() {
    let mut accused = String::new();
    for (what, how) in RIGHT {
        let mut description = read("small-fifo");
        how(&mut description);
        let device = keep(description);
        let bad = bad(&climb_model(model(device), device));
        if !bad.is_empty() {
            accused += &format!("{what}: {bad}\n");
        }
    }
    assert_eq!(accused, "");
}

/// A way to describe a device wrongly, and the key that says it.
struct Wrong {
    file: &'static str,
    key: &'static str,
    how: Edit,
}

const fn wrong(file: &'static str, key: &'static str, how: Edit) -> Wrong {
    Wrong { file, key, how }
}

/// Returns the place of a register by name.
fn at(description: &Description, name: &str) -> usize {
    let mut rows = description.registers.iter();
    let found = rows.position(|row| row.name == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", description.name))
}

/// Changes what may be done with the registers of a port.
fn access(description: &mut Description, port: Port, access: Access) {
    for register in port.registers() {
        description.registers[register].access = access;
    }
}

/// Adds to a depth that is a number.
fn deeper(description: &mut Description, by: i32) {
    let Depth::Fixed(depth) = &mut description.depth else {
        panic!("{} has a register for it", description.name);
    };
    *depth = depth.checked_add_signed(by).expect("a depth");
}

/// Names the bit beside the one of a flag.
fn beside(test: &mut Test) {
    test.bits.low ^= 1;
    test.bits.high ^= 1;
}

/// Returns the test that a bit of a register is so.
fn bit(description: &Description, register: &str, bit: u8, is: u64) -> Test {
    let register = at(description, register);
    let bits = Bits {
        register,
        low: bit,
        high: bit,
    };
    Test { bits, is }
}

fn empty_flag(description: &mut Description) -> &mut Test {
    match &mut description.empty {
        Empty::Flag(test) | Empty::Mark(test) => test,
        other => panic!("{other:?} has no flag"),
    }
}

fn full_flag(description: &mut Description) -> &mut Test {
    match &mut description.full.shown {
        Room::Flag(test) => test,
        other => panic!("{other:?} has no flag"),
    }
}

fn exchange(description: &mut Description) {
    let (pop, push) = (description.pop.from(), description.push.to);
    access(description, pop, Access::WriteOnly);
    access(description, push, Access::ReadEffect);
    description.pop = Pop::Read { from: push };
    description.push.to = pop;
}

fn other_words(port: Port) -> Port {
    match port {
        Port::Halves { low, high } => Port::Halves {
            low: high,
            high: low,
        },
        Port::Whole(_) => panic!("one register has no words"),
    }
}

fn irq(description: &mut Description) -> &mut Interrupt {
    description.interrupt.as_mut().expect("an interrupt")
}

#[rustfmt::skip] // a table: one mistake, one line
const WRONG: &[Wrong] = &[
    wrong("small-fifo", "identity.value", |d| d.identity = d.identity.map(|(at, value)| (at, value + 1))),
    wrong("small-fifo", "at.base", |d| d.registers.iter_mut().for_each(|row| row.within += 0x40)),
    wrong("small-fifo", "at.bar", |d| { d.bar = 2; d.registers.iter_mut().for_each(|row| row.bank.bar = 2) }),
    wrong("small-fifo", "at.size", |d| d.size = 0x10_0000),
    wrong("small-fifo", "empty.is", |d| empty_flag(d).is ^= 1),
    wrong("small-fifo", "empty.value", |d| d.empty = Empty::Value(0xffff_fffe)),
    wrong("small-fifo", "value.bits", |d| { d.value.low += 1; d.value.high += 1 }),
    wrong("small-fifo", "value.first", |d| d.value.is = Meaning::Index { first: 1 }),
    wrong("pulp-mailbox", "pop.read", exchange),
    wrong("pulp-mailbox", "push.write", exchange),
    wrong("small-fifo", "level", |d| { let other = at(d, "THRESHOLD"); d.level.as_mut().unwrap().register = other }),
    wrong("small-fifo", "level", |d| { let other = at(d, "DEPTH"); d.level.as_mut().unwrap().register = other }),
    wrong("small-fifo", "depth", |d| d.depth = Depth::Fixed(257)),
    wrong("small-fifo", "depth", |d| d.depth = Depth::Fixed(255)),
    wrong("small-fifo", "full.flag", |d| beside(full_flag(d))),
    wrong("small-fifo", "full.is", |d| full_flag(d).is ^= 1),
    wrong("small-fifo", "full.sticky", |d| beside(d.full.sticky.as_mut().unwrap())),
    wrong("small-fifo", "reset.until", |d| d.reset.until.as_mut().unwrap().is ^= 1),
    wrong("small-fifo", "reset.until", |d| d.reset.until = None),
    wrong("small-fifo", "reset.until", |d| *d.reset.until.as_mut().unwrap() = bit(d, "STATUS", 1, 1)),
    wrong("axis-fifo", "reset.until", |d| d.reset.until = None),
    wrong("axis-fifo", "reset.until", |d| *d.reset.until.as_mut().unwrap() = bit(d, "TDFV", 0, 0)),
    wrong("small-fifo", "reset.write", |d| d.reset.writes[0].value ^= 1),
    wrong("small-fifo", "reset.count", |d| { let other = at(d, "THRESHOLD"); d.reset.count.as_mut().unwrap().register = other }),
    wrong("small-fifo", "enable", |d| d.enable.clear()),
    wrong("small-fifo", "order", |d| d.order = Order::Lifo),
    wrong("small-fifo", "scratch", |d| d.scratch = Some(at(d, "EVENT"))),
    wrong("small-fifo", "fill", |d| d.fill = Fill::Reset),
    wrong("small-fifo", "interrupt.pending", |d| { let other = at(d, "ERROR"); irq(d).pending.as_mut().unwrap().register = other }),
    wrong("small-fifo", "interrupt.enable", |d| { let other = at(d, "SCRATCH"); irq(d).enable.as_mut().unwrap().bits.register = other }),
    wrong("small-fifo", "interrupt.when", |d| irq(d).when = When::Above),
    wrong("small-fifo", "interrupt.clear", |d| irq(d).clear = Clear::WriteZero),
    wrong("small-fifo", "interrupt.vector", |d| irq(d).vector = 3),
    wrong("pulp-mailbox", "empty.flag", |d| beside(empty_flag(d))),
    wrong("pulp-mailbox", "empty.is", |d| empty_flag(d).is ^= 1),
    wrong("pulp-mailbox", "empty.value", |d| d.empty = Empty::Value(0)),
    wrong("pulp-mailbox", "depth", |d| deeper(d, 1)),
    wrong("pulp-mailbox", "depth", |d| deeper(d, -1)),
    wrong("pulp-mailbox", "depth", |d| deeper(d, 16)),
    wrong("axis-fifo", "push.then", |d| d.push.then = None),
    wrong("axis-fifo", "push.then", |d| d.push.then.as_mut().unwrap().value *= 2),
    wrong("axis-fifo", "pop.expect", |d| if let Pop::LengthFirst { expect, .. } = &mut d.pop { *expect *= 2 } else { panic!() }),
    wrong("litex", "pop.then", |d| { let from = d.pop.from(); access(d, from, Access::ReadEffect); d.pop = Pop::Read { from } }),
    wrong("litex", "reset.keeps", |d| d.reset.writes[0].register = at(d, "PUSH")),
    wrong("halves", "at.halves", |d| d.passage = Passage::LowFirst),
    wrong("halves", "at.words", |d| { d.push.to = other_words(d.push.to); d.pop = Pop::Read { from: other_words(d.pop.from()) } }),
    wrong("halves", "value.bits", |d| { d.value.low = 8; d.value.high = 59 }),
    wrong("preloaded", "fill", |d| d.fill = Fill::Software),
    wrong("preloaded", "value.first", |d| d.value.is = Meaning::Index { first: 1 }),
    wrong("preloaded", "value.bits", |d| { d.value.low = 1; d.value.high = 16 }),
    wrong("preloaded", "depth", |d| deeper(d, -1)),
    wrong("preloaded", "depth", |d| deeper(d, 1)),
];

#[test]
fn a_wrong_description_fails_on_the_right_device_with_its_key_named() {
    let mut missed = String::new();
    for Wrong { file, key, how } in WRONG {
        let right = keep(read(file));
        let mut description = read(file);
        how(&mut description);
        let named = match Described::keep(description) {
            // Refused before there is a device.
            Err(mistake) => mistake.to_string(),
            Ok(driver) => first_failure(&climb(right, driver)),
        };
        if !named.contains(&format!("`{key}`")) {
            missed += &format!("{file}: {key}: {named}\n");
        }
    }
    assert_eq!(missed, "");
}

/// Returns the first failure, with its causes.
fn first_failure(report: &Report) -> String {
    let failed = (report.checks.iter()).find(|check| check.status == Status::Fail);
    failed.map_or("nothing failed".into(), |check| {
        format!("{}: {:?} {:?}", check.id, check.message, check.causes)
    })
}

/// A rule that a device breaks: which description is its own, and which rung finds that, with words of what it says and of a
/// cause.
type Broken = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip] // a table: one lie, one line
const LIES: &[Broken] = &[
    ("other-order", "small-fifo", "lists.capacity", "left the list at place 0", "`order` is another"),
    ("holds-half", "small-fifo", "lists.capacity", "the list says that it is full with 128 of 256 values", "`depth` is too large"),
    ("holds-half", "axis-fifo", "lists.capacity", "the count is 254 after 255 pushes", "`depth` is too large"),
    ("pop-keeps", "small-fifo", "lists.single", "the count is 1 after the only value was popped", "not advanced by a pop"),
    ("level-more", "small-fifo", "lists.single", "the count is 2 after one push", "not kept with the list"),
    ("never-empty", "small-fifo", "lists.stale", "which the description takes for a value", "`empty.flag`"),
    ("never-empty", "pulp-mailbox", "regs.access", "STATUS_1 reads 0x0 after a reset instead of 0x1", "`empty.flag`"),
    ("never-empty", "axis-fifo", "regs.access", "RDFO reads 0x1 after a reset instead of 0x0", "`level`"),
    ("never-full", "small-fifo", "lists.capacity", "does not say that it is full", "a constant in this bitstream"),
    ("takes-more", "small-fifo", "lists.capacity", "took more than 256 values", "`depth` is too small"),
    ("sticky-stays", "small-fifo", "lists.capacity", "stays set after a one was written", "cleared otherwise"),
    ("until-early", "axis-fifo", "lists.single", "right after a reset", "`reset.until`"),
    ("until-early", "small-fifo", "regs.access", "RESET_COUNT reads 0 before and after", "`reset.until`"),
    ("reset-keeps-entries", "axis-fifo", "lists.stale", "RDFO reads 0x4 after a reset instead of 0x0", "`reset`"),
    ("reset-keeps-registers", "small-fifo", "regs.access", "after reset instead of 0x0", "does not reach"),
    ("reset-counts-5", "small-fifo", "reset.verified", "over one reset", "goes on at each clock"),
    ("flr-does-nothing", "small-fifo", "reset.verified", "the function level reset did nothing", "`reset.flr`"),
    ("ignores-irq-enable", "small-fifo", "lists.exhaustion", "while `interrupt.enable` was off", "not looked at"),
    ("threshold-late", "small-fifo", "lists.exhaustion", "the interrupt came 0 times instead of once", "`interrupt.threshold`"),
    ("pending-stays", "small-fifo", "lists.exhaustion", "the pending bits stay set", "`interrupt.clear`"),
];

#[test]
fn whoever_breaks_what_is_described_is_found_by_its_rung() {
    let mut wrong = String::new();
    for (lie, file, rung, says, cause) in LIES {
        let device = keep(read(file));
        let mut config = model(device);
        config.set("lies", lie).expect("a lie");
        let report = climb_model(config, device);
        let failed = (report.checks.iter()).find(|check| check.status == Status::Fail);
        let is_right = failed.is_some_and(|check| {
            let message = check.message.as_deref().unwrap_or_default();
            let is_blamed = check.causes.iter().any(|known| known.contains(cause));
            check.id == *rung && message.contains(says) && is_blamed
        });
        if !is_right {
            wrong += &format!("{lie} of {file}: {}\n", first_failure(&report));
        }
    }
    assert_eq!(wrong, "");
}

/// A lie that is not in the table would be one that nobody looks for.
#[test]
fn every_lie_of_a_described_device_is_told() {
    let known = model(keep(read("small-fifo"))).lies();
    assert!(known.len() >= 16, "{known:?}");
    let is_told = |name: &str| LIES.iter().any(|(lie, ..)| *lie == name);
    let untold = known.iter().filter(|(name, _)| !is_told(name));
    assert_eq!(untold.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}
