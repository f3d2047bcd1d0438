//! The descriptions that are shipped.

use std::fs;
use std::path::{Path, PathBuf};

use hwpool_describe::{parse, read};
use hwpool_devices::description::{Description, Empty, Meaning, Order, Pop, Port, Room, Sharing};
use hwpool_devices::fifo::regs;
use hwpool_devices::reg::Access;

/// Most lines of a description, without comments and what a register file could have said.
const MOST_LINES: usize = 25;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("devices")
}

fn device(name: &str) -> Description {
    let path = directory().join(format!("{name}.toml"));
    read(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn place(d: &Description, name: &str) -> usize {
    let mut rows = d.registers.iter();
    let found = rows.position(|row| row.name == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", d.name))
}

fn names() -> Vec<String> {
    let files = fs::read_dir(directory()).expect("it can be listed");
    let files = files.map(|file| file.expect("an entry").path());
    let toml = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut names: Vec<String> = toml
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
    names.sort();
    names
}

#[test]
fn each_loads_and_is_short_and_names_its_source() {
    let names = names();
    assert_eq!(
        names,
        [
            "axi-mailbox",
            "axis-fifo",
            "litex",
            "pulp-mailbox",
            "small-fifo"
        ]
    );
    for name in names {
        let d = device(&name);
        assert_eq!(d.name, name, "the file is called as the device");
        assert_eq!(d.check(), Ok(()), "{name}");
        assert!(!d.source.is_empty(), "{name} names no source");
        let text = fs::read_to_string(directory().join(format!("{name}.toml"))).expect("text");
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let count = lines.count();
        assert!(count <= MOST_LINES, "{name} has {count} lines");
    }
}

/// What is in the register file is what the driver in code says, row by row.
#[test]
fn the_small_fifo_has_the_registers_of_its_specification() {
    let d = device("small-fifo");
    assert_eq!(d.registers.len(), regs::TABLE.len());
    for (ours, theirs) in d.registers.iter().zip(regs::TABLE) {
        let name = &theirs.name;
        assert_eq!(ours.name, *name);
        assert_eq!(ours.offset(), theirs.offset(), "{name}");
        assert_eq!(ours.access, theirs.access, "{name}");
        assert_eq!(ours.bits, theirs.bits, "{name}");
        // The specification gives PUSH and RESET, which read 0, the value 0.
        if theirs.access != Access::WriteOnly {
            let varies = ["RESET_COUNT"].contains(&&**name);
            assert!(ours.reset == theirs.reset || varies, "{name}");
        }
        for field in theirs.fields.iter() {
            let own = ours.fields.iter().find(|own| own.name == field.name);
            let own = own.unwrap_or_else(|| panic!("{name} has no field {}", field.name));
            assert_eq!((own.low, own.high), (field.low, field.high), "{name}");
        }
    }
}

#[test]
fn the_small_fifo_marks_what_it_pops() {
    let d = device("small-fifo");
    let Empty::Mark(test) = d.empty else {
        panic!("{:?}", d.empty)
    };
    assert_eq!((test.bits.low, test.is), (31, 0));
    assert_eq!((d.value.low, d.value.high), (0, 23));
    assert_eq!(d.ids, [(0x1234, 0xf1f0)]);
}

#[test]
fn the_stream_fifo_reads_the_length_first() {
    let d = device("axis-fifo");
    let at = |name| place(&d, name);
    let Pop::LengthFirst {
        length,
        expect,
        from,
    } = &d.pop
    else {
        panic!("{:?}", d.pop)
    };
    assert_eq!((length.register, *expect), (at("RLR"), 4));
    assert_eq!(*from, Port::Whole(at("RDFD")));
    assert_eq!(d.never, [at("RLR")]);
    assert_eq!(d.registers[at("RDFD")].offset(), 0x20);
    assert_eq!(d.push.then.expect("a commit").register, at("TLR"));
    assert_eq!((d.empty, d.order), (Empty::Level, Order::Fifo));
}

#[test]
fn the_mailboxes_have_two_ports_in_one_bar() {
    for (name, pop, push, status) in [
        ("axi-mailbox", 0x1008, 0, 0x1010),
        ("pulp-mailbox", 0x1004, 0, 0x1008),
    ] {
        let d = device(name);
        assert_eq!((d.size, d.sharing), (0x2000, Sharing::One), "{name}");
        let Port::Whole(register) = d.pop.from() else {
            panic!("{name}")
        };
        let row = &d.registers[register];
        assert_eq!((row.offset(), row.access), (pop, Access::ReadEffect));
        let Port::Whole(register) = d.push.to else {
            panic!("{name}")
        };
        let row = &d.registers[register];
        assert_eq!((row.offset(), row.access), (push, Access::WriteOnly));
        assert_eq!(d.registers[d.alive].offset(), status, "{name}");
        let Empty::Flag(test) = d.empty else {
            panic!("{name}: {:?}", d.empty)
        };
        assert_eq!(test.bits.register, d.alive, "{name}");
        assert!(d.full.look, "{name}: an error on the bus is harm");
    }
}

#[test]
fn the_litex_fifo_comes_from_its_register_file() {
    let d = device("litex");
    let at = |name| place(&d, name);
    let row = |name| &d.registers[at(name)];
    let Pop::Acknowledge { from, then } = &d.pop else {
        panic!("{:?}", d.pop)
    };
    assert_eq!((*from, then.register), (Port::Whole(at("POP")), at("ACK")));
    assert_eq!(row("POP").access, Access::ReadOnly, "it only shows");
    assert_eq!((row("PUSH").offset(), row("LEVEL").offset()), (0, 0x10));
    assert_eq!(row("LEVEL").bits, 0x3ff);
    // Of 64 bits, the higher word at the lower address.
    assert_eq!(row("PUSHES_HIGH").offset(), 0x14);
    assert_eq!(row("PUSHES_LOW").offset(), 0x18);
    assert_eq!((d.empty, d.full.shown), (Empty::Level, Room::Level));
    assert_eq!(d.value.is, Meaning::Index { first: 0 });
    assert!(d.registers.iter().all(|row| row.name != "SCRATCH"));
}

/// A description that is moved without its register file says so, and where.
#[test]
fn a_missing_register_file_is_named() {
    let text = fs::read_to_string(directory().join("litex.toml")).expect("text");
    let error = parse(&text, "here.toml", &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    });
    let error = error.unwrap_err().to_string();
    let line = text
        .lines()
        .position(|line| line.starts_with("file"))
        .expect("it")
        + 1;
    assert_eq!(
        error,
        format!(
            "here.toml:{line}:8: `registers.file`: litex/csr.json can't be read: entity not found"
        )
    );
}
