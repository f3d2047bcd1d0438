//! Register files of other formats: what a description takes of them, and the first description that is made of one.

#[path = "import/csr.rs"]
mod csr;
#[path = "import/first.rs"]
mod first;
#[path = "import/grid.rs"]
mod grid;
#[path = "import/ipxact.rs"]
mod ipxact;
#[path = "import/svd.rs"]
mod svd;

use std::io;
use std::path::Path;

use hwpool_describe::{draft, parse};
use hwpool_devices::description::Description;
use hwpool_devices::reg::{Access, Register};

/// A list whose registers are in another file.
const LIST: &str = r#"
schema = "hwpool.device/1"
name = "mine"
depth = 16
alive = "STATUS"
pop = { read = "POP" }
push = { write = "PUSH" }
empty = { flag = "STATUS.EMPTY" }
value = { is = "index" }
reset = { write = [{ to = "ERROR", value = 1 }], within-ms = 1 }

[registers]
file = "registers"
"#;

/// CMSIS-SVD with what registers inherit, an array, a register like another, and a reset value of which half is known.
const SVD: &str = r#"<device><name>D</name><width>32</width><size>32</size><peripherals><peripheral>
<name>FIFO</name><baseAddress>0x0</baseAddress><registers>
<register><name>POP</name><addressOffset>0x0</addressOffset><access>read-only</access><readAction>modify</readAction></register>
<register><name>PUSH</name><addressOffset>0x4</addressOffset><access>write-only</access></register>
<register><name>STATUS</name><addressOffset>0x8</addressOffset><access>read-only</access><resetValue>0x1</resetValue>
<fields><field><name>EMPTY</name><bitRange>[0:0]</bitRange></field><field><name>LEVEL</name><lsb>8</lsb><msb>12</msb></field></fields></register>
<register><name>ERROR</name><addressOffset>0xc</addressOffset><access>read-write</access>
<modifiedWriteValues>oneToClear</modifiedWriteValues><resetValue>0x0</resetValue><resetMask>0xffff</resetMask></register>
<register><dim>2</dim><dimIncrement>4</dimIncrement><name>SCRATCH%s</name><addressOffset>0x10</addressOffset><access>read-write</access></register>
<register derivedFrom="PUSH"><name>PUSH_TOO</name><addressOffset>0x18</addressOffset></register>
</registers></peripheral></peripherals></device>"#;

fn described(registers: &str) -> Description {
    let loader = |_: &str| Ok::<_, io::Error>(registers.to_owned());
    parse(LIST, "mine.toml", &loader).unwrap_or_else(|error| panic!("{error}"))
}

fn row<'d>(description: &'d Description, name: &str) -> &'d Register {
    let found = description.registers.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", description.registers))
}

#[test]
fn an_svd_file_tells_bits_and_effects() {
    let description = described(SVD);
    let of = |name| {
        (
            row(&description, name).offset(),
            row(&description, name).access,
        )
    };
    assert_eq!(of("POP"), (0x0, Access::ReadEffect));
    assert_eq!(of("PUSH"), (0x4, Access::WriteOnly));
    assert_eq!(of("ERROR"), (0xc, Access::WriteOneToClear));
    assert_eq!(of("SCRATCH1"), (0x14, Access::ReadWrite));
    assert_eq!(of("PUSH_TOO"), (0x18, Access::WriteOnly));
    let status = row(&description, "STATUS");
    assert_eq!((status.bits, status.reset), (0x1f01, Some(1)));
    assert_eq!(
        row(&description, "ERROR").reset,
        None,
        "half of it is known"
    );
    let marked = format!("\u{feff}{SVD}");
    assert_eq!(described(&marked), description);
}

#[test]
fn a_half_without_a_field_has_no_bits() {
    let text = LIST.replace("file = \"registers\"", "POP = { at = 0x20, width = 64 }\nPUSH = { at = 0x28, width = 64 }\nERROR = { at = 0xc, access = \"w1c\" }\nSTATUS = { at = 0x8, fields = { EMPTY = 0 } }\nWIDE = { at = 0x10, width = 64, fields = { N = \"9:0\" } }\n[at]\nwidth = 32\nhalves = \"low-first\"");
    let none = |_: &str| Err(io::ErrorKind::NotFound.into());
    let description = parse(&text, "mine.toml", &none).unwrap_or_else(|error| panic!("{error}"));
    let bits = |name| row(&description, name).bits;
    assert_eq!((bits("WIDE_LOW"), bits("WIDE_HIGH")), (0x3ff, 0));
}

#[test]
fn a_first_description_is_made_of_each_kind_of_file() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let read = |name: &str| std::fs::read_to_string(here.join(name)).expect("it can be read");
    let (csr, xml) = (read("litex/csr.json"), read("rdl/small-fifo.xml"));
    for (name, text, block) in [
        ("csr.json", csr.as_str(), Some("buffers")),
        ("small-fifo.xml", &xml, None),
        ("mine.svd", SVD, None),
    ] {
        let first = draft(text, name, block).unwrap_or_else(|error| panic!("{error}"));
        for line in [
            "schema = \"hwpool.device/1\"",
            &format!("file = \"{name}\""),
        ] {
            assert!(first.contains(line), "{name}: no {line} in {first}");
        }
        // What nothing tells is a question, and the reader names the first that is open.
        assert!(first.contains('?'), "{first}");
        let loader = |_: &str| Ok::<_, io::Error>(text.to_owned());
        if let Err(error) = parse(&first, "first.toml", &loader) {
            assert!(error.to_string().starts_with("first.toml:"), "{error}");
        }
        let tells_effects = !first.contains("csr.json tells no bits");
        assert_eq!(tells_effects, name != "csr.json", "{first}");
        let marked = draft(&format!("\u{feff}{text}"), name, block);
        assert_eq!(marked.ok().as_ref(), Some(&first), "{name}");
    }
    let inverted = SVD.replace("EMPTY", "RX_EMPTY");
    let first = draft(&inverted, "mine.svd", None).unwrap_or_else(|error| panic!("{error}"));
    let flag = "flag = \"STATUS.RX_EMPTY\"";
    assert!(
        first.contains(flag) && first.contains("\nis = 1 "),
        "{first}"
    );
}
