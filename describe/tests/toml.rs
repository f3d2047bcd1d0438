//! A description that says everything, and what becomes of each key.

use std::io;
use std::time::Duration;

use hwpool_describe::{DescribeError, parse};
use hwpool_devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Meaning, Order, Passage, Pop, Port, Room, Set,
    Sharing, Test, When, Write,
};
use hwpool_devices::reg::{Access, Scope};

const EVERYTHING: &str = include_str!("everything.toml");

fn no_file(_: &str) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn read(text: &str) -> Description {
    parse(text, "test.toml", &no_file).unwrap_or_else(|error| panic!("{error}"))
}

fn place(d: &Description, name: &str) -> usize {
    let mut rows = d.registers.iter();
    rows.position(|row| row.name == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn bits(d: &Description, name: &str, high: u8, low: u8) -> Bits {
    Bits {
        register: place(d, name),
        low,
        high,
    }
}

#[test]
fn every_key_arrives() {
    let d = read(EVERYTHING);
    let at = |name: &str| place(&d, name);
    let bit = |name: &str, bit: u8| bits(&d, name, bit, bit);
    assert_eq!(
        (&*d.name, &*d.title, &*d.doc, &*d.source),
        (
            "all-keys",
            "the device with everything",
            "for tests",
            "nowhere"
        )
    );
    assert_eq!(d.ids, [(0x1234, 0xf1f0), (0x10ee, 7)]);
    assert_eq!((d.bar, d.size), (2, 0x4000));
    assert_eq!(d.passage, Passage::HighFirst);
    assert_eq!(d.sharing, Sharing::Lists(4));
    assert_eq!(d.identity, Some((at("ID"), 0x1234)));
    assert_eq!(d.alive, at("STATUS"));
    assert_eq!(d.scratch, Some(at("SCRATCH")));
    assert_eq!(d.never, [at("ECC")]);
    assert_eq!(d.depth, Depth::Register(bits(&d, "CAPS", 24, 0)));
    assert_eq!(d.level, Some(bits(&d, "STATUS", 15, 0)));
    assert_eq!((d.fill, d.order), (Fill::Software, Order::Any));
    let set = |bits, to| Set { bits, to };
    assert_eq!(
        d.enable,
        [set(bit("CONTROL", 0), 1), set(bits(&d, "CONTROL", 2, 1), 2)]
    );
    let halves = |name: &str| Port::Halves {
        low: at(&format!("{name}_LOW")),
        high: at(&format!("{name}_HIGH")),
    };
    assert_eq!(
        d.pop,
        Pop::LengthFirst {
            length: bits(&d, "LENGTH", 7, 0),
            expect: 8,
            from: halves("POP")
        }
    );
    assert_eq!(d.push.to, halves("PUSH"));
    let write = |name: &str, value| Write {
        register: at(name),
        value,
    };
    assert_eq!(d.push.then, Some(write("COMMIT", 8)));
    let test = |bits, is| Test { bits, is };
    assert_eq!(d.empty, Empty::Flag(test(bit("STATUS", 16), 1)));
    assert_eq!(d.full.shown, Room::Flag(test(bit("STATUS", 17), 1)));
    assert!(d.full.look);
    assert_eq!(d.full.sticky, Some(test(bit("ERROR", 4), 1)));
    assert_eq!((d.value.high, d.value.low), (47, 6));
    assert_eq!(d.value.is, Meaning::Address { shift: 6 });
    assert_eq!(d.reset.writes, [write("RESET", 0xa5)]);
    assert_eq!(d.reset.until, Some(test(bit("STATUS", 18), 1)));
    assert_eq!(d.reset.within, Duration::from_millis(20));
    assert_eq!(d.reset.count, Some(bits(&d, "COUNT", 30, 0)));
    assert_eq!((d.reset.keeps_entries, d.reset.flr), (false, true));
    let irq = d.interrupt.as_ref().expect("an interrupt");
    assert_eq!((irq.vector, irq.when), (3, When::Above));
    assert_eq!(irq.threshold, Some(bits(&d, "THRESHOLD", 9, 0)));
    assert_eq!(irq.enable, Some(set(bit("CONTROL", 3), 1)));
    assert_eq!(irq.pending, Some(bit("EVENT", 0)));
    assert_eq!(irq.clear, Clear::WriteOne);
    assert_eq!(irq.raise, Some(bit("EVENT_SET", 0)));
}

#[test]
fn registers_lie_where_they_are_said_to() {
    let d = read(EVERYTHING);
    let row = |name: &str| &d.registers[place(&d, name)];
    let pop = row("POP_HIGH");
    assert_eq!((pop.bank.scope, pop.count()), (Scope::Pool, 4));
    assert_eq!(
        (pop.bar(), pop.offset(), pop.offset_of(3)),
        (2, 0x108, 0x408),
        "big: the high half lies at the lower address"
    );
    assert_eq!(row("POP_LOW").offset(), 0x10c);
    assert_eq!((pop.width, pop.reset), (4, Some(0x1122_3344)));
    assert_eq!(row("POP_LOW").reset, Some(0x5566_7788));
    let id = row("ID");
    assert_eq!((id.bank.scope, id.count()), (Scope::Device, 1));
    assert_eq!((id.reset, id.bits), (Some(0x1234), 0xffff_ffff));
    assert_eq!(row("COUNT").bits, 0x7fff_ffff);
    assert_eq!(row("STATUS").bits, 0x7_ffff, "those of its fields");
    let status: Vec<_> = row("STATUS").fields.iter().map(|f| &*f.name).collect();
    assert_eq!(status, ["LEVEL", "EMPTY", "FULL", "READY"]);
    assert_eq!(row("ECC").doc, "errors");
    assert_eq!(row("PUSH_HIGH").doc, "gives: bits 63:32");
    assert_eq!(row("PUSH_HIGH").section, "nowhere");
}

#[test]
fn access_comes_from_use() {
    let d = read(EVERYTHING);
    let access = |name: &str| d.registers[place(&d, name)].access.mnemonic();
    let expected = [
        ("POP_LOW", "RE"),
        ("POP_HIGH", "RE"),
        ("PUSH_LOW", "WO"),
        ("COMMIT", "WO"),
        ("RESET", "WO"),
        ("CONTROL", "RW"),
        ("SCRATCH", "RW"),
        ("THRESHOLD", "RW"),
        ("EVENT", "W1C"),
        ("ERROR", "W1C"),
        ("EVENT_SET", "W1S"),
        ("STATUS", "RO"),
        ("ID", "RO"),
        ("LENGTH", "RO"),
        ("ECC", "W1C"),
    ];
    for (name, mnemonic) in expected {
        assert_eq!(access(name), mnemonic, "{name}");
    }
}

/// The shortest there is.
const SHORT: &str = r#"
schema = "hwpool.device/1"
name = "short"
depth = 16
alive = "STATUS"
registers = { FIFO = 0x0, ACK = 0x4, STATUS = { at = 0x8, bits = "7:0" } }
pop = { read = "FIFO" }
push = { write = "FIFO" }
empty = { value = 0 }
value = { is = "address" }
"#;

#[test]
fn what_is_left_out_has_a_meaning() {
    let d = read(SHORT);
    assert_eq!((&*d.title, &*d.doc, &*d.source), ("short", "", ""));
    assert_eq!((d.bar, d.size, d.ids.len()), (0, 4096, 0));
    assert_eq!((d.passage, d.sharing), (Passage::Whole, Sharing::One));
    assert_eq!((d.fill, d.order), (Fill::Software, Order::Fifo));
    assert_eq!((d.value.low, d.value.high), (0, 31));
    assert_eq!(d.value.is, Meaning::Address { shift: 0 });
    assert_eq!((d.full.shown, d.full.look), (Room::Counted, false));
    assert!(d.reset.keeps_entries, "nothing resets it");
    assert_eq!(d.reset.within, Duration::from_millis(100));
    assert_eq!((d.interrupt, d.level, d.identity), (None, None, None));
}

#[test]
fn one_register_may_be_popped_and_pushed() {
    let access = |text: &str| read(text).registers[0].access;
    assert_eq!(access(SHORT), Access::BothEffects);
    for stated in ["ro", "re", "rw", "rwe"] {
        let text = format!(r#"FIFO = {{ at = 0x0, access = "{stated}" }}"#);
        let text = SHORT.replace("FIFO = 0x0", &text);
        assert_eq!(access(&text), Access::BothEffects, "{stated}");
    }
}

#[test]
fn a_read_that_only_looks_has_no_effect() {
    let pop = r#"pop = { read = "FIFO", then = { write = "ACK", value = 1 } }"#;
    let text = SHORT.replace(r#"pop = { read = "FIFO" }"#, pop);
    let text = text.replace(r#"write = "FIFO""#, r#"write = "ACK""#);
    let d = read(&text);
    assert_eq!(d.registers[0].access, Access::ReadOnly);
    assert_eq!(d.registers[1].access, Access::WriteOnly);
}

#[test]
fn a_device_of_64_bits_needs_no_halves() {
    let text = SHORT.replace("pop =", "at = { width = 64 }\npop =");
    let text = text.replace("ACK = 0x4", "ACK = 0x10");
    let d = read(&text);
    assert_eq!(d.registers[0].width, 8);
    assert_eq!((d.pop.from(), d.width()), (Port::Whole(0), 64));
}

#[test]
fn a_mark_is_in_what_is_popped() {
    let fifo = r#"FIFO = { at = 0, fields = { VALID = 31, NUMBER = "23:0" } }"#;
    let text = SHORT.replace("FIFO = 0x0", fifo);
    let text = text.replace("value = 0", r#"flag = "FIFO.VALID", is = 0"#);
    let text = text.replace(r#"is = "address""#, r#"is = "index", bits = "23:0""#);
    let d = read(&text);
    assert_eq!(
        d.empty,
        Empty::Mark(Test {
            bits: bits(&d, "FIFO", 31, 31),
            is: 0
        })
    );
}

#[test]
fn the_bar_holds_all_registers() {
    let text = SHORT.replace("ACK = 0x4", "ACK = 0x1ffc");
    assert_eq!(read(&text).size, 0x2000);
    let text = text.replace("ACK = 0x1ffc", "ACK = 0x2000");
    assert_eq!(read(&text).size, 0x4000);
}

#[test]
fn without_something_that_never_reads_all_ones_it_is_refused() {
    let text = SHORT.replace(r#"alive = "STATUS""#, "");
    let error = parse(&text, "a.toml", &no_file).unwrap_err().to_string();
    assert_eq!(
        error,
        "a.toml:1:1: a failed access on PCIe reads all ones, so that \"empty\" and \"gone\" look alike: name in `alive` a \
         register that never reads all ones, or what identifies the device in [identity]"
    );
    let text = SHORT.replace(r#", bits = "7:0""#, "");
    let Err(DescribeError::Wrong(wrong)) = parse(&text, "a.toml", &no_file) else {
        panic!("it may read all ones")
    };
    assert_eq!((wrong.key.as_str(), wrong.place), ("alive", Some((5, 9))));
}

/// Who makes a description by hand has no line to look at: the mistake has the register.
#[test]
fn a_mistake_names_the_register_that_it_is_about() {
    let good = read(EVERYTHING);
    let at = |name: &str| Some(place(&good, name));
    let mistake = |change: fn(&mut Description)| {
        let mut wrong = good.clone();
        change(&mut wrong);
        let mistake = wrong.check().expect_err("it is wrong");
        (mistake.key, mistake.register)
    };
    assert_eq!(
        mistake(|d| {
            let at = place(d, "THRESHOLD");
            d.registers[at].width = 2;
        }),
        ("at.width", at("THRESHOLD"))
    );
    assert_eq!(
        mistake(|d| {
            let at = place(d, "THRESHOLD");
            d.registers[at].within = 0x20;
        }),
        ("registers", at("THRESHOLD"))
    );
    assert_eq!(
        mistake(|d| {
            let at = place(d, "ECC");
            d.registers[at].within = 0x10_0000;
        }),
        ("at.size", at("ECC"))
    );
    assert_eq!(
        mistake(|d| d.scratch = Some(place(d, "COMMIT"))),
        ("scratch", at("COMMIT"))
    );
    assert_eq!(mistake(|d| d.name = "No".into()), ("name", None));
}
