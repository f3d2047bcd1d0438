//! The first description that is made of a register file: what it says for itself, and that answers make it one.

use std::io;
use std::path::Path;

use hwpool_describe::{draft, parse, read};
use hwpool_devices::description::{Description, Empty, Pop, Port, Room};
use hwpool_devices::reg::Access;

/// A block of a component whose names are as good as its side effects, and one that is no list's.
const IPXACT: &str = r#"<ipxact:component xmlns:ipxact="http://www.accellera.org/XMLSchema/IPXACT/1685-2022">
<ipxact:memoryMaps><ipxact:memoryMap><ipxact:name>REGS</ipxact:name>
<ipxact:addressBlock><ipxact:name>POOL</ipxact:name><ipxact:baseAddress>'h100</ipxact:baseAddress><ipxact:range>256</ipxact:range><ipxact:width>32</ipxact:width>
<ipxact:register><ipxact:name>ID</ipxact:name><ipxact:addressOffset>0</ipxact:addressOffset><ipxact:size>32</ipxact:size><ipxact:field><ipxact:name>VALUE</ipxact:name><ipxact:bitOffset>0</ipxact:bitOffset><ipxact:bitWidth>32</ipxact:bitWidth><ipxact:resets><ipxact:reset><ipxact:value>32'h504f4f4c</ipxact:value></ipxact:reset></ipxact:resets><ipxact:fieldAccessPolicies><ipxact:fieldAccessPolicy><ipxact:access>read-only</ipxact:access></ipxact:fieldAccessPolicy></ipxact:fieldAccessPolicies></ipxact:field></ipxact:register>
<ipxact:register><ipxact:name>RX_DATA</ipxact:name><ipxact:addressOffset>4</ipxact:addressOffset><ipxact:size>32</ipxact:size><ipxact:accessPolicies><ipxact:accessPolicy><ipxact:access>read-only</ipxact:access></ipxact:accessPolicy></ipxact:accessPolicies></ipxact:register>
<ipxact:register><ipxact:name>ALLOC</ipxact:name><ipxact:addressOffset>8</ipxact:addressOffset><ipxact:size>32</ipxact:size><ipxact:field><ipxact:name>WORD</ipxact:name><ipxact:bitOffset>0</ipxact:bitOffset><ipxact:bitWidth>32</ipxact:bitWidth><ipxact:fieldAccessPolicies><ipxact:fieldAccessPolicy><ipxact:access>read-only</ipxact:access><ipxact:readAction>modify</ipxact:readAction></ipxact:fieldAccessPolicy></ipxact:fieldAccessPolicies></ipxact:field></ipxact:register>
<ipxact:register><ipxact:name>FREE</ipxact:name><ipxact:addressOffset>12</ipxact:addressOffset><ipxact:size>32</ipxact:size><ipxact:accessPolicies><ipxact:accessPolicy><ipxact:access>write-only</ipxact:access></ipxact:accessPolicy></ipxact:accessPolicies></ipxact:register>
<ipxact:register><ipxact:name>STAMP</ipxact:name><ipxact:addressOffset>16</ipxact:addressOffset><ipxact:size>16</ipxact:size></ipxact:register>
</ipxact:addressBlock>
<ipxact:addressBlock><ipxact:name>DMA</ipxact:name><ipxact:baseAddress>'h400</ipxact:baseAddress><ipxact:range>256</ipxact:range><ipxact:width>32</ipxact:width>
<ipxact:register><ipxact:name>RESET</ipxact:name><ipxact:addressOffset>0</ipxact:addressOffset><ipxact:size>32</ipxact:size></ipxact:register>
</ipxact:addressBlock>
</ipxact:memoryMap></ipxact:memoryMaps></ipxact:component>"#;

/// Returns the first description of a file, which is the same each time.
fn first(text: &str, file: &str, block: Option<&str>) -> String {
    let make = || draft(text, file, block).unwrap_or_else(|error| panic!("{error}"));
    let made = make();
    assert_eq!(made, make());
    made.text
}

/// Puts answers into a first description: `table.key`, and what stands behind it.
fn answered(first: &str, answers: &[(&str, &str)]) -> String {
    let mut open: Vec<&(&str, &str)> = answers.iter().collect();
    let mut table = "";
    let mut lines = Vec::new();
    for line in first.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            table = name;
        }
        let said = line.trim_start_matches(['#', ' ']);
        let is_of = |(path, _): &&(&str, &str)| {
            let key = match table {
                "" => Some(*path),
                _ => path
                    .strip_prefix(table)
                    .and_then(|path| path.strip_prefix('.')),
            };
            key.is_some_and(|key| said.starts_with(&format!("{key} = ")))
        };
        match open.iter().position(is_of) {
            None => lines.push(line.to_string()),
            Some(place) => {
                let (path, answer) = open.remove(place);
                let key = path.rsplit('.').next().unwrap_or(path);
                lines.push(format!("{key} = {answer}"));
            }
        }
    }
    assert!(open.is_empty(), "nothing asks for {open:?}:\n{first}");
    lines.join("\n")
}

fn described(text: &str, registers: &str) -> Description {
    let loader = |_: &str| Ok::<_, io::Error>(registers.to_owned());
    parse(text, "first.toml", &loader).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Each key that is no plain fact has its reason behind it, or is a comment.
fn says_why(first: &str) {
    let facts = ["schema", "name", "source", "file", "block"];
    for line in first.lines().filter(|line| !line.starts_with(['#', '['])) {
        let key = line.split(" = ").next().unwrap_or("");
        let is_plain = line.is_empty() || facts.contains(&key);
        assert!(is_plain || line.contains(" # "), "{line} has no reason");
    }
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("devices")
        .join(name);
    std::fs::read_to_string(path).expect("it can be read")
}

#[test]
fn answers_make_a_description_of_a_litex_design() {
    let csr = shipped("litex/csr.json");
    let first = first(&csr, "litex/csr.json", Some("buffers"));
    says_why(&first);
    for told in [
        "csr.json tells no bits",
        "does the read take the value, or this write?",
    ] {
        assert!(first.contains(told), "{told}:\n{first}");
    }
    let answers = [
        ("depth", "512"),
        ("fill", "\"software\""),
        ("order", "\"fifo\""),
        ("registers.LEVEL", "{ bits = \"9:0\" }"),
        ("full.look", "false"),
        ("value.is", "\"index\""),
        ("reset.write", "[{ to = \"FLUSH\", value = 1 }]"),
        ("reset.within-ms", "1"),
    ];
    let mut made = described(&answered(&first, &answers), &csr);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices/litex.toml");
    let own = read(&path).unwrap_or_else(|error| panic!("{error}"));
    // What names it for people is not in a register file.
    (made.name, made.title, made.doc) = (own.name.clone(), own.title.clone(), own.doc.clone());
    made.source.clone_from(&own.source);
    for row in &mut made.registers {
        row.section = own.registers[0].section.clone();
    }
    assert_eq!(made, own);
}

#[test]
fn answers_make_a_description_of_an_svd_file() {
    let first = first(crate::SVD, "mine.svd", None);
    says_why(&first);
    for told in [
        "reads of these take something: POP",
        // Two are called so, and neither is taken in silence.
        "may mean what is pushed: PUSH, PUSH_TOO",
    ] {
        assert!(first.contains(told), "{told}:\n{first}");
    }
    let answers = [
        ("depth", "16"),
        ("fill", "\"software\""),
        ("order", "\"fifo\""),
        ("value.is", "\"index\""),
        ("full.look", "false"),
        (
            "reset.write",
            "[{ to = \"ERROR\", value = 1 }]\nwithin-ms = 1",
        ),
    ];
    let made = described(&answered(&first, &answers), crate::SVD);
    let at = |name: &str| made.registers.iter().position(|row| row.name == name);
    let Pop::Read { from, .. } = made.pop else {
        panic!("{:?}", made.pop)
    };
    assert_eq!(Some(from), at("POP").map(Port::Whole));
    assert_eq!(Some(made.push.to), at("PUSH").map(Port::Whole));
    assert_eq!(Some(made.alive), at("STATUS"));
    assert!(matches!(made.empty, Empty::Flag(test) if Some(test.bits.register) == at("STATUS")));
    assert_eq!(made.full.shown, Room::Level);
}

#[test]
fn answers_make_a_description_of_an_ip_xact_file() {
    let whole = first(IPXACT, "pool.xml", None);
    assert!(
        whole.contains("The file has the blocks POOL, REGS, DMA"),
        "{whole}"
    );
    let first = first(IPXACT, "pool.xml", Some("POOL"));
    says_why(&first);
    for told in [
        // Its read action is surer than the other's name.
        "read = \"ALLOC\" # by its read action and its name",
        "may mean what is popped: RX_DATA, ALLOC",
        "STAMP is left out: it has 16 bits: accesses have 32 or 64",
        "identity = { register = \"ID\", value = 0x504f4f4c } # guessed",
    ] {
        assert!(first.contains(told), "{told}:\n{first}");
    }
    // The other block's reset is no answer to what resets this one.
    assert!(!first.contains("to = \"DMA"), "{first}");
    let answers = [
        ("depth", "64"),
        ("fill", "\"reset\""),
        ("order", "\"lifo\""),
        ("empty.value", "0"),
        ("value.is", "\"index\"\nfirst = 1"),
        (
            "reset.write",
            "[{ to = \"FREE\", value = 0xffffffff }]\nwithin-ms = 1",
        ),
    ];
    let made = described(&answered(&first, &answers), IPXACT);
    let of = |name: &str| {
        let row = made.registers.iter().find(|row| row.name == name);
        row.map(|row| (row.offset(), row.access))
    };
    assert_eq!(of("ALLOC"), Some((0x108, Access::ReadEffect)));
    assert_eq!(of("FREE"), Some((0x10c, Access::WriteOnly)));
    assert_eq!(of("STAMP"), None);
    assert_eq!(made.identity.map(|(_, value)| value), Some(0x504f_4f4c));
}
