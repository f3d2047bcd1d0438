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

use hwpool_describe::{DescribeError, Format, check_text, draft, parse, read};
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

/// A register file that is shipped, with the block of the list.
fn shipped() -> Vec<(&'static str, String, Option<&'static str>, Format)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let read = |name: &str| std::fs::read_to_string(here.join(name)).expect("it can be read");
    vec![
        (
            "csr.json",
            read("litex/csr.json"),
            Some("buffers"),
            Format::CsrJson,
        ),
        ("soc.svd", read("litex/soc.svd"), None, Format::Svd),
        (
            "small-fifo.xml",
            read("rdl/small-fifo.xml"),
            None,
            Format::IpXact,
        ),
        ("mine.svd", SVD.into(), None, Format::Svd),
    ]
}

/// Returns the keys that a description leaves open, each once a question.
fn open(text: &str, registers: &str) -> Vec<String> {
    let loader = |_: &str| Ok::<_, io::Error>(registers.to_owned());
    let errors = check_text(text, "first.toml", &loader)
        .err()
        .unwrap_or_default();
    let key = |error: &DescribeError| match error {
        DescribeError::Wrong(wrong) => {
            assert!(wrong.why.contains("is an open question: "), "{wrong}");
            assert!(wrong.place.is_some(), "{wrong}");
            wrong.key.clone()
        }
        other => panic!("{other}"),
    };
    errors.iter().map(key).collect()
}

/// What nothing tells is a question, and each question is one mistake: no answer is pretended.
#[test]
fn a_first_description_is_made_of_each_kind_of_file() {
    for (name, text, block, format) in shipped() {
        let first = draft(&text, name, block).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(first.format, format, "{name}");
        for line in [
            "schema = \"hwpool.device/1\"",
            &format!("file = \"{name}\""),
        ] {
            assert!(first.text.contains(line), "{name}: no {line} in {first:?}");
        }
        let open = open(&first.text, &text);
        assert_eq!(
            first.text.matches("\"?\"").count(),
            open.len() + 1,
            "{open:?}"
        );
        for never_told in ["fill", "order", "value.is"] {
            assert!(open.iter().any(|key| key == never_told), "{name}: {open:?}");
        }
        // A guess is no question, and says why it is one.
        for guess in &first.guesses {
            let key = guess.rsplit('.').next().expect("a key");
            let line = (first.text.lines()).find(|line| line.starts_with(&format!("{key} = ")));
            assert!(line.is_some_and(|line| line.contains(" # ")), "{guess}");
        }
        let tells_effects = !first.text.contains("csr.json tells no bits");
        assert_eq!(tells_effects, name != "csr.json", "{first:?}");
        let marked = draft(&format!("\u{feff}{text}"), name, block);
        assert_eq!(marked.ok().as_ref(), Some(&first), "{name}");
    }
    let inverted = SVD.replace("EMPTY", "RX_EMPTY");
    let first = draft(&inverted, "mine.svd", None).unwrap_or_else(|error| panic!("{error}"));
    let flag = "flag = \"STATUS.RX_EMPTY\"";
    assert!(
        first.text.contains(flag) && first.text.contains("\nis = 1 "),
        "{first:?}"
    );
}

/// What csr.json can't tell, and what it can.
#[test]
fn the_questions_of_a_litex_design_are_these() {
    let (name, text, block, _) = shipped().remove(0);
    let first = draft(&text, name, block).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        open(&first.text, &text),
        [
            "depth",
            "fill",
            "order",
            "registers.LEVEL.bits",
            "full.look",
            "value.is",
            "reset.write.value",
            "reset.within-ms"
        ]
    );
    assert_eq!(
        first.guesses,
        [
            "alive",
            "level",
            "pop.read",
            "pop.then",
            "push.write",
            "empty.level",
            "full.level",
            "reset.write"
        ]
    );
    // With the answers it is a description.
    let mut answered = first.text;
    for (question, answer) in [
        ("depth = \"?\"", "depth = 512"),
        ("fill = \"?\"", "fill = \"software\""),
        ("order = \"?\"", "order = \"fifo\""),
        ("bits = \"?\"", "bits = \"9:0\""),
        ("look = \"?\"", "look = false"),
        ("is = \"?\"", "is = \"index\""),
        ("value = \"?\"", "value = 1"),
        ("within-ms = \"?\"", "within-ms = 1"),
    ] {
        assert!(answered.contains(question), "{question}");
        answered = answered.replacen(question, answer, 1);
    }
    let loader = |_: &str| Ok::<_, io::Error>(text.clone());
    let made = parse(&answered, "mine.toml", &loader).unwrap_or_else(|error| panic!("{error}"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let ours = read(&here.join("litex.toml")).unwrap_or_else(|error| panic!("{error}"));
    let mut same = made.clone();
    (same.name, same.title, same.doc) = (ours.name.clone(), ours.title.clone(), ours.doc.clone());
    same.source.clone_from(&ours.source);
    for (row, own) in same.registers.iter_mut().zip(&ours.registers) {
        row.section.clone_from(&own.section);
    }
    assert_eq!(same, ours);
}

/// A name is what it is in TOML, whatever is in it.
#[test]
fn a_strange_name_is_no_mistake() {
    let (_, text, block, _) = shipped().remove(0);
    for name in ["a \"b\".json", "a\\b.json", "a\nb.json", "ä\u{7f}.json"] {
        let first = draft(&text, name, block).unwrap_or_else(|error| panic!("{error}"));
        assert!(!open(&first.text, &text).is_empty(), "{name:?}");
    }
}
