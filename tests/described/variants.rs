//! Descriptions that differ in one part each, and the family's suite over all of them.

use std::sync::Arc;

use hwpool::devices::description::{
    Depth, Description, Empty, Fill, Meaning, Order, Passage, Reset, Room, Sharing,
};
use hwpool::devices::family::{Choice, Described};
use hwpool::devices::reg::Access;
use hwpool::sim::{InProcess, SimConfig};

use crate::build::*;
use crate::suite;

/// A description by what is special of it.
pub(crate) type Variant = (&'static str, Description);

fn with(change: impl FnOnce(&mut Description)) -> Description {
    let mut description = plain();
    change(&mut description);
    description
}

/// Gives each list a register that resets it alone.
pub(crate) fn own_resets(mut description: Description) -> Description {
    description.registers[RESET].bank = description.registers[PUSH].bank;
    description
}

/// Nothing resets the device.
fn never_reset(description: &mut Description) {
    description.reset = Reset {
        writes: Vec::new(),
        until: None,
        count: None,
        keeps_entries: true,
        flr: false,
        ..description.reset.clone()
    };
}

/// Values of 64 bits in one access.
fn wide(description: &mut Description) {
    for (register, at) in [(POP, 0x100), (PUSH, 0x108)] {
        let row = &mut description.registers[register];
        (row.width, row.within, row.bits) = (8, at, u64::MAX);
    }
    description.empty = Empty::Value(0);
    description.value.high = 63;
    description.value.is = Meaning::Address { shift: 0 };
}

/// Bits of registers that the model fills in, as far as the description names them.
fn counted(description: &mut Description) {
    description.depth = Depth::Register(bits(DEPTH, 0, 15));
}

/// Returns the descriptions.
pub(crate) fn variants() -> Vec<Variant> {
    let lists = |description| copied(description, Sharing::Lists(3));
    vec![
        ("plain", plain()),
        (
            "empty by a value",
            with(|d| d.empty = Empty::Value(0xffff_ffff)),
        ),
        (
            "empty by another value",
            with(|d| d.empty = Empty::Value(0xfeed_dead)),
        ),
        (
            "empty by a flag",
            with(|d| d.empty = Empty::Flag(flag(STATUS, 1, 1))),
        ),
        ("empty by the level", with(|d| d.empty = Empty::Level)),
        ("empty by a bus error", with(|d| d.empty = Empty::BusError)),
        ("looks for a flag", with(|d| d.full.look = true)),
        (
            "looks for vacancy",
            with(|d| {
                d.full.shown = Room::Vacancy(bits(ERROR, 8, 15));
                (d.full.look, d.full.sticky) = (true, None);
                d.registers[ERROR].access = Access::ReadOnly;
            }),
        ),
        (
            "looks at the level",
            with(|d| {
                d.full.shown = Room::Level;
                (d.full.look, d.full.sticky) = (true, None);
            }),
        ),
        (
            "numbers from 1",
            with(|d| {
                d.value.is = Meaning::Index { first: 1 };
                d.empty = Empty::Value(0);
            }),
        ),
        (
            "numbers higher up",
            with(|d| {
                (d.value.low, d.value.high) = (4, 27);
                d.depth = Depth::Fixed(16);
            }),
        ),
        ("newest first", with(|d| d.order = Order::Lifo)),
        ("any order", with(|d| d.order = Order::Any)),
        ("filled by the reset", with(|d| d.fill = Fill::Reset)),
        (
            "filled by the reset, without a count",
            with(|d| {
                (d.fill, d.level) = (Fill::Reset, None);
            }),
        ),
        ("no count", with(|d| d.level = None)),
        ("no identity", with(|d| d.identity = None)),
        ("no interrupt", with(|d| d.interrupt = None)),
        ("no scratch register", with(|d| d.scratch = None)),
        ("no count of resets", with(|d| d.reset.count = None)),
        ("no reset by the function", with(|d| d.reset.flr = false)),
        (
            "reset by the function alone",
            with(|d| d.reset.writes.clear()),
        ),
        (
            "a reset that keeps entries",
            with(|d| d.reset.keeps_entries = true),
        ),
        ("no reset", with(never_reset)),
        (
            "no reset and no count",
            with(|d| {
                never_reset(d);
                d.level = None;
            }),
        ),
        ("depth by a register", with(counted)),
        ("64 bits", with(wide)),
        ("low half first", halves(plain(), Passage::LowFirst)),
        ("high half first", halves(plain(), Passage::HighFirst)),
        ("acknowledged", acknowledged(plain())),
        (
            "acknowledged halves",
            acknowledged(halves(plain(), Passage::HighFirst)),
        ),
        ("length first", measured(with(|d| d.empty = Empty::Level))),
        ("length alone", measured(plain())),
        ("lists", lists(plain())),
        ("lists with resets of their own", own_resets(lists(plain()))),
        ("filled lists", lists(with(|d| d.fill = Fill::Reset))),
        (
            "filled lists with resets of their own",
            own_resets(lists(with(|d| d.fill = Fill::Reset))),
        ),
        (
            "windows",
            copied(halves(plain(), Passage::LowFirst), Sharing::Windows(2)),
        ),
    ]
}

/// Opens the model of a description.
pub(crate) fn model(description: &Description) -> InProcess {
    model_with(description, &[])
}

pub(crate) fn model_with(description: &Description, keys: &[(&str, &str)]) -> InProcess {
    let mut config = SimConfig::described(description.clone()).expect("a description");
    for (key, value) in keys {
        config.set(key, value).expect("an option");
    }
    InProcess::open("plain", "sim:plain.toml", config).expect("a model")
}

/// Keeps a description and has it chosen.
pub(crate) fn chosen(description: &Description) -> Choice {
    Choice::Described(Described::keep(description.clone()).expect("a description"))
}

fn conforms(what: &str, description: &Description, keys: &[(&str, &str)]) {
    suite::family::choose(chosen(description));
    for (name, case) in suite::family::cases() {
        eprintln!("{what}: {name}");
        let model = Arc::new(model_with(description, keys));
        case(model.clone());
        assert_eq!(
            model.violations(),
            [],
            "{what}: {name}: the driver broke a rule"
        );
    }
}

#[test]
fn every_variant_passes_the_suite() {
    for (what, description) in variants() {
        for seed in ["0", "1", "2"] {
            conforms(what, &description, &[("seed", seed)]);
        }
        conforms(what, &description, &[("mode", "threaded")]);
    }
}
