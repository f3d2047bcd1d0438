//! One table of registers, written in each format and read back: what a description takes of each is the same.

use std::fmt::Write as _;
use std::io;

use hwpool_describe::parse;
use hwpool_devices::description::Description;
use hwpool_devices::reg::Register;

/// A description whose own registers lie behind those of the table.
const LIST: &str = r#"
schema = "hwpool.device/1"
name = "mine"
source = "the table"
depth = 16
alive = "OWN_STATUS"
pop = { read = "OWN_POP" }
push = { write = "OWN_PUSH" }
empty = { value = 0 }
value = { is = "index", first = 1 }

[registers]
"#;
const OWN: &str =
    "OWN_POP = 0x8000\nOWN_PUSH = 0x8004\nOWN_STATUS = { at = 0x8008, bits = \"3:0\" }\n";

/// Registers of one kind, and the formats that can say so.
struct Feature {
    name: &'static str,
    /// csr.json can say it.
    in_csr: bool,
    /// Where accesses are said: at each field, at each register, or at the block.
    access_at: At,
    /// Bytes of a unit of addresses, where the format has such.
    unit: u64,
    rows: &'static [Row],
}

#[derive(Copy, Clone, PartialEq)]
enum At {
    Field,
    Register,
    Block,
}

/// A register, or an array of them.
struct Row {
    /// What it lies in, the outermost first: name, place, copies, bytes of one.
    groups: &'static [(&'static str, u64, u64, u64)],
    name: &'static str,
    at: u64,
    copies: u64,
    width: u64,
    access: &'static str,
    reset: Option<u64>,
    /// Name, highest and lowest bit, copies.
    fields: &'static [(&'static str, u64, u64, u64)],
}

const ROW: Row = Row {
    groups: &[],
    name: "PLAIN",
    at: 0,
    copies: 1,
    width: 32,
    access: "rw",
    reset: None,
    fields: &[],
};

const FEATURE: Feature = Feature {
    name: "plain",
    in_csr: false,
    access_at: At::Register,
    unit: 1,
    rows: &[ROW],
};

const fn row(name: &'static str, at: u64, access: &'static str) -> Row {
    Row {
        name,
        at,
        access,
        ..ROW
    }
}

/// All that writes and reads may do.
const ACCESSES: &[Row] = &[
    row("READ", 0x0, "ro"),
    row("BOTH", 0x4, "rw"),
    row("WRITTEN", 0x8, "wo"),
    row("CLEARS", 0xc, "w1c"),
    row("SETS", 0x10, "w1s"),
    row("TAKES", 0x14, "re"),
    row("TAKES_AND_GIVES", 0x18, "rwe"),
];

const FEATURES: &[Feature] = &[
    Feature {
        name: "ro and rw",
        in_csr: true,
        rows: &[row("READ", 0x0, "ro"), row("BOTH", 0x4, "rw")],
        ..FEATURE
    },
    Feature {
        name: "accesses at registers",
        rows: ACCESSES,
        ..FEATURE
    },
    Feature {
        name: "accesses at fields",
        access_at: At::Field,
        rows: ACCESSES,
        ..FEATURE
    },
    Feature {
        name: "accesses at the block",
        access_at: At::Block,
        rows: &[
            Row {
                fields: &[("LOW", 7, 0, 1)],
                ..row("ONE", 0x0, "ro")
            },
            row("OTHER", 0x4, "ro"),
            Row {
                groups: &[("INNER", 0x20, 1, 8)],
                ..row("DEEP", 0x0, "ro")
            },
        ],
        ..FEATURE
    },
    Feature {
        name: "64 bits",
        in_csr: true,
        rows: &[
            Row {
                width: 64,
                ..row("LONG", 0x10, "ro")
            },
            row("SHORT", 0x18, "rw"),
        ],
        ..FEATURE
    },
    Feature {
        name: "resets",
        rows: &[
            Row {
                reset: Some(0xdead_beef),
                ..row("KNOWN", 0x0, "ro")
            },
            row("UNKNOWN", 0x4, "ro"),
            Row {
                reset: Some(0x0001_0042),
                fields: &[("LOW", 7, 0, 1), ("FLAG", 16, 16, 1)],
                ..row("OF_FIELDS", 0x8, "rw")
            },
            Row {
                width: 64,
                reset: Some(0x0123_4567_89ab_cdef),
                ..row("LONG", 0x10, "ro")
            },
        ],
        ..FEATURE
    },
    Feature {
        name: "fields",
        rows: &[
            Row {
                fields: &[("ONE", 0, 0, 1), ("RUN", 11, 4, 1), ("TOP", 31, 31, 1)],
                ..row("THREE", 0x0, "ro")
            },
            Row {
                fields: &[("LANE", 3, 0, 4)],
                ..row("LANES", 0x4, "rw")
            },
            Row {
                width: 64,
                fields: &[("LOW", 9, 0, 1), ("MIDDLE", 40, 20, 1)],
                ..row("LONG", 0x8, "ro")
            },
        ],
        ..FEATURE
    },
    Feature {
        name: "arrays",
        in_csr: true,
        rows: &[
            Row {
                copies: 4,
                ..row("SLOT", 0x40, "rw")
            },
            row("AFTER", 0x50, "ro"),
        ],
        ..FEATURE
    },
    Feature {
        name: "groups",
        rows: &[
            Row {
                groups: &[("PORT", 0x100, 3, 0x40)],
                ..row("HEAD", 0x4, "ro")
            },
            Row {
                groups: &[("OUTER", 0x400, 2, 0x100), ("INNER", 0x20, 2, 0x10)],
                copies: 2,
                ..row("SLOT", 0x8, "rw")
            },
        ],
        ..FEATURE
    },
    Feature {
        name: "units of 32 bits",
        unit: 4,
        rows: &[
            Row {
                copies: 3,
                ..row("SLOT", 0x10, "rw")
            },
            Row {
                groups: &[("PORT", 0x100, 2, 0x40)],
                ..row("HEAD", 0x4, "ro")
            },
        ],
        ..FEATURE
    },
];

/// Writes a feature, if the format has words for it.
type Writer = fn(&Feature) -> Option<String>;

/// The formats.
const FORMATS: &[(&str, Writer)] = &[
    ("csr.json", csr),
    ("CMSIS-SVD", svd),
    ("IP-XACT of 2009", |feature| ipxact(2009, feature)),
    ("IP-XACT of 2014", |feature| ipxact(2014, feature)),
    ("IP-XACT of 2022", |feature| ipxact(2022, feature)),
];

#[test]
fn each_format_tells_of_each_feature_what_the_table_says() {
    let mut read = 0;
    for feature in FEATURES {
        let expected = described(&toml(feature), "");
        for (format, write) in FORMATS {
            let Some(text) = write(feature) else {
                continue;
            };
            let found = described("file = \"registers\"\n", &text);
            let name = feature.name;
            assert_eq!(
                found.registers, expected.registers,
                "{format}: {name}:\n{text}"
            );
            assert_eq!(found, expected, "{format}: {name}");
            read += 1;
        }
    }
    // csr.json tells three of them: names, places and lengths.
    assert_eq!(read, FEATURES.len() * (FORMATS.len() - 1) + 3);
}

/// A file says whatever it says: it is read or refused, and nothing panics or takes long.
#[test]
fn a_file_that_is_broken_anywhere_is_no_panic() {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("SEED={seed} does the same again");
    let mut state = seed | 1;
    let mut random = |below: usize| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    const WORDS: [&str; 12] = [
        "0",
        "1",
        "63",
        "64",
        "65536",
        "4294967295",
        "18446744073709551615",
        "-1",
        "'h",
        "2 ** 63",
        "",
        "no-access",
    ];
    let files = FEATURES.iter().flat_map(|feature| {
        let written = FORMATS.iter().filter_map(|(_, write)| write(feature));
        written.collect::<Vec<_>>()
    });
    for file in files {
        // Between words, as both formats separate them.
        let cuts: Vec<usize> = file
            .char_indices()
            .filter(|(_, c)| "<>\",:{} ".contains(*c))
            .map(|(at, _)| at)
            .collect();
        for _ in 0..20 {
            let place = random(cuts.len() - 1);
            let (start, end) = (cuts[place] + 1, cuts[place + 1]);
            let word = match random(2) {
                0 => WORDS[random(WORDS.len())],
                _ => {
                    let other = random(cuts.len() - 1);
                    &file[cuts[other] + 1..cuts[other + 1]]
                }
            };
            let broken = [&file[..start], word, &file[end..]].concat();
            let _ = taken(&broken, None);
        }
    }
}

fn described(registers: &str, file: &str) -> Description {
    // csr.json says itself that the higher word lies lower.
    let words = match file.starts_with('{') {
        true => "[at]\nwords = \"little\"\n",
        false => "",
    };
    let text = format!("{LIST}{registers}{OWN}{words}");
    parsed(&text, file).unwrap_or_else(|error| panic!("{error}\n{file}"))
}

fn parsed(text: &str, file: &str) -> Result<Description, String> {
    let loader = |_: &str| Ok::<_, io::Error>(file.to_owned());
    parse(text, "mine.toml", &loader).map_err(|error| error.to_string())
}

/// Returns the registers that a description takes of a file, or of one of its blocks; or why it takes none.
pub(crate) fn taken(file: &str, block: Option<&str>) -> Result<Vec<Register>, String> {
    let block = block.map_or(String::new(), |block| format!("block = \"{block}\"\n"));
    let text = format!("{LIST}file = \"registers\"\n{block}{OWN}");
    let mut registers = parsed(&text, file)?.registers;
    registers.retain(|register| !register.name.starts_with("OWN_"));
    Ok(registers)
}

/// Says of registers where they lie and what they do, a line each.
pub(crate) fn lines(file: &str, block: Option<&str>) -> Vec<String> {
    let registers = taken(file, block).unwrap_or_else(|error| panic!("{error}\n{file}"));
    let line = |row: &Register| {
        let reset = row
            .reset
            .map_or(String::new(), |reset| format!(" = {reset:#x}"));
        let (at, access) = (row.offset(), row.access.mnemonic());
        format!("{} {at:#x} {access}{reset}", row.name)
    };
    registers.iter().map(line).collect()
}

/// Returns why a file is refused, from its place on.
pub(crate) fn refused(file: &str) -> String {
    let error = taken(file, None).expect_err("it can't be read");
    let place = error.strip_prefix("registers:");
    place
        .unwrap_or_else(|| panic!("no place: {error}"))
        .to_owned()
}

/// Returns why a description can't name a register that the file tells of.
pub(crate) fn left_out(file: &str, name: &str) -> String {
    let list = LIST.replace("alive = \"OWN_STATUS\"", &format!("alive = \"{name}\""));
    let error = parsed(&format!("{list}file = \"registers\"\n{OWN}"), file);
    let error = error.expect_err("it is not there");
    let why = error.split_once(&format!("{name} can't be accessed: "));
    why.unwrap_or_else(|| panic!("{error}")).1.to_owned()
}

/// Returns the names and places of a row's copies, in all copies of what it lies in.
fn copies(row: &Row) -> Vec<(String, u64)> {
    let length = row.width / 8;
    let all = row.groups.iter().copied();
    let all = all.chain([(row.name, row.at, row.copies, length)]);
    let mut copies = vec![(String::new(), 0)];
    for (name, at, count, length) in all {
        let below = copies.into_iter().flat_map(|(above, base)| {
            (0..count).map(move |index| {
                let number = if count > 1 {
                    index.to_string()
                } else {
                    String::new()
                };
                let between = if above.is_empty() { "" } else { "_" };
                (
                    format!("{above}{between}{name}{number}"),
                    base + at + index * length,
                )
            })
        });
        copies = below.collect();
    }
    copies
}

/// Returns the fields of a row, arrays expanded: name, highest and lowest bit.
fn fields(row: &Row) -> Vec<(String, u64, u64)> {
    let all = row.fields.iter().flat_map(|(name, high, low, count)| {
        (0..*count).map(move |index| {
            let number = if *count > 1 {
                index.to_string()
            } else {
                String::new()
            };
            let shift = index * (high - low + 1);
            (format!("{name}{number}"), high + shift, low + shift)
        })
    });
    all.collect()
}

fn toml(feature: &Feature) -> String {
    let mut text = String::new();
    for row in feature.rows {
        for (name, at) in copies(row) {
            let _ = write!(
                text,
                "{name} = {{ at = {at:#x}, width = {}, access = \"{}\"",
                row.width, row.access
            );
            if let Some(reset) = row.reset {
                let _ = write!(text, ", reset = {reset:#x}");
            }
            let fields: Vec<String> = fields(row)
                .into_iter()
                .map(|(name, high, low)| format!("{name} = \"{high}:{low}\""))
                .collect();
            if !fields.is_empty() {
                let _ = write!(text, ", fields = {{ {} }}", fields.join(", "));
            }
            text.push_str(" }\n");
        }
    }
    text
}

/// Writes csr.json of a design whose CSRs begin at 0xf000_0000.
fn csr(feature: &Feature) -> Option<String> {
    let registers = feature.rows.iter().flat_map(|row| {
        copies(row).into_iter().map(move |(name, at)| {
            let name = name.to_lowercase();
            let (at, words) = (0xf000_0000 + at, row.width / 32);
            format!(
                r#""list_{name}": {{ "addr": {at}, "size": {words}, "type": "{}" }}"#,
                row.access
            )
        })
    });
    let registers: Vec<String> = registers.collect();
    feature.in_csr.then(|| {
        format!(
            r#"{{ "csr_bases": {{ "list": 4026531840, "rom": 4026532864 }}, "csr_registers": {{ {} }},
"constants": {{ "config_csr_data_width": 32, "config_csr_alignment": 32, "config_cpu_none": null }},
"memories": {{ "rom": {{ "base": 0, "size": 4096, "type": "cached" }}, "csr": {{ "base": 4026531840, "size": 65536, "type": "io" }} }} }}"#,
            registers.join(",\n")
        )
    })
}

/// Which way data goes, what a read does, and what a write does.
fn effects(access: &str) -> (&'static str, &'static str, &'static str) {
    match access {
        "ro" => ("read-only", "", ""),
        "wo" => ("write-only", "", ""),
        "w1c" => ("read-write", "", "oneToClear"),
        "w1s" => ("read-write", "", "oneToSet"),
        "re" => ("read-only", "modify", ""),
        "rwe" => ("read-write", "clear", "modify"),
        _ => ("read-write", "", ""),
    }
}

fn element(name: &str, inner: &str) -> String {
    match inner {
        "" => String::new(),
        _ => format!("<{name}>{inner}</{name}>"),
    }
}

/// Puts a row's text into elements for what it lies in.
fn grouped(
    row: &Row,
    text: String,
    group: impl Fn(&(&str, u64, u64, u64), &str) -> String,
) -> String {
    let groups = row.groups.iter().rev();
    groups.fold(text, |text, around| group(around, &text))
}

fn svd(feature: &Feature) -> Option<String> {
    // Its numbers, in all their spellings.
    let number = |number: u64| match number % 3 {
        0 => format!("{number:#x}"),
        1 => number.to_string(),
        _ => format!("#{number:b}"),
    };
    let array = |copies: u64, length: u64| match copies {
        1 => (String::new(), ""),
        _ => {
            let dim = element("dim", &number(copies));
            let increment = element("dimIncrement", &number(length));
            (format!("{dim}{increment}"), "%s")
        }
    };
    let mut registers = String::new();
    for row in feature.rows {
        let (access, read, write) = effects(row.access);
        let said = element("access", access);
        let effects = element("readAction", read) + &element("modifiedWriteValues", write);
        let (at_register, at_field) = match feature.access_at {
            At::Field => (String::new(), said + &effects),
            At::Register => (said + &effects, String::new()),
            At::Block => (effects, String::new()),
        };
        let mut fields = String::new();
        let whole = [("WHOLE", row.width - 1, 0, 1)];
        let all = if row.fields.is_empty() {
            &whole
        } else {
            row.fields
        };
        for (index, (name, high, low, count)) in all.iter().enumerate() {
            let width = high - low + 1;
            let run = match index % 3 {
                0 => format!("<bitRange>[{high}:{low}]</bitRange>"),
                1 => format!("<lsb>{low}</lsb><msb>{high}</msb>"),
                _ => format!("<bitOffset>{low}</bitOffset><bitWidth>{width}</bitWidth>"),
            };
            let (array, index) = array(*count, width);
            let values = "<enumeratedValues><enumeratedValue><name>ON</name><value>1</value></enumeratedValue></enumeratedValues>";
            let _ = write!(
                fields,
                "<field>{array}<name>{name}{index}</name>{run}{at_field}{values}</field>"
            );
        }
        let (dims, index) = array(row.copies, row.width / 8);
        let register = format!(
            "<register>{dims}<name>{}{index}</name><addressOffset>{}</addressOffset>{}{}{at_register}<fields>{fields}</fields></register>\n",
            row.name,
            number(row.at),
            element("size", &number(row.width)),
            row.reset
                .map_or(String::new(), |reset| element("resetValue", &number(reset))),
        );
        registers += &grouped(row, register, |(name, at, copies, length), inner| {
            let (array, index) = array(*copies, *length);
            format!(
                "<cluster>{array}<name>{name}{index}</name><addressOffset>{}</addressOffset>{inner}</cluster>",
                number(*at)
            )
        });
    }
    let above = match feature.access_at {
        At::Block => effects(feature.rows[0].access).0,
        _ => "",
    };
    Some(format!(
        "<device><name>D</name><size>32</size><peripherals><peripheral><name>LIST</name><baseAddress>0x40000000</baseAddress>{}<registers>\n{registers}</registers></peripheral></peripherals></device>",
        element("access", above)
    ))
}

/// Writes IP-XACT of a year, with what its schema has for each thing.
fn ipxact(year: u32, feature: &Feature) -> Option<String> {
    let number = |number: u64| match (year, number % 4) {
        (2009, 0) => format!("{number:#x}"),
        (2009, 1) => format!("#{number:X}"),
        (2009, _) => number.to_string(),
        (_, 0) => format!("'h{number:x}"),
        (_, 1) => format!("64'h{number:x}"),
        (_, 2) => format!("uuid_zero + ({number} * 2) / 2"),
        _ => number.to_string(),
    };
    let units = |bytes: u64| number(bytes / feature.unit);
    // The stride of an array is its length, which only 2022 can say otherwise.
    let array = |copies: u64, stride: &str, length: String| match (copies, year) {
        (1, _) => String::new(),
        (_, 2022) => element(
            "array",
            &(element("dim", &number(copies)) + &element(stride, &length)),
        ),
        _ => element("dim", &number(copies)),
    };
    let access = |access: &str, policies: &str, policy: &str, effects: &str| {
        let said = element("access", access) + effects;
        match year {
            2022 => element(policies, &element(policy, &said)),
            _ => said,
        }
    };
    let of_register = |said: &str| access(said, "accessPolicies", "accessPolicy", "");
    let mut registers = String::new();
    for row in feature.rows {
        let (said, read, write) = effects(row.access);
        let effects = element("modifiedWriteValue", write) + &element("readAction", read);
        let (at_register, at_field) = match feature.access_at {
            At::Field => ("", said),
            At::Register => (said, ""),
            At::Block => ("", ""),
        };
        let at_field = access(
            at_field,
            "fieldAccessPolicies",
            "fieldAccessPolicy",
            &effects,
        );
        let mut fields = String::new();
        let whole = [("WHOLE", row.width - 1, 0, 1)];
        let all = if row.fields.is_empty() {
            &whole
        } else {
            row.fields
        };
        for (name, high, low, count) in all {
            let width = high - low + 1;
            let reset = row.reset.filter(|_| year > 2009);
            let reset = reset.map_or(String::new(), |reset| {
                let value = number((reset >> low) & (u64::MAX >> (64 - width)));
                format!("<resets><reset><value>{value}</value></reset></resets>")
            });
            let copies = match (*count, year) {
                (1, _) | (_, 2022) => vec![(
                    array(*count, "bitStride", number(width)),
                    String::new(),
                    *low,
                )],
                // Before, an array of fields is written out.
                _ => (0..*count)
                    .map(|i| (String::new(), i.to_string(), low + i * width))
                    .collect(),
            };
            for (array, index, low) in copies {
                let (low, width) = (number(low), number(width));
                let _ = write!(
                    fields,
                    "<field><name>{name}{index}</name>{array}<bitOffset>{low}</bitOffset>{reset}<bitWidth>{width}</bitWidth>{at_field}</field>"
                );
            }
        }
        let reset = row.reset.filter(|_| year == 2009);
        let reset = reset.map_or(String::new(), |reset| {
            let (value, mask) = (number(reset), number(u64::MAX >> (64 - row.width)));
            format!("<reset><value>{value}</value><mask>{mask}</mask></reset>")
        });
        let length = row.width / 8;
        let register = format!(
            "<register><name>{}</name>{}<addressOffset>{}</addressOffset><size>{}</size>{}{reset}{fields}</register>\n",
            row.name,
            array(row.copies, "stride", units(length)),
            units(row.at),
            number(row.width),
            of_register(at_register),
        );
        registers += &grouped(row, register, |(name, at, copies, length), inner| {
            format!(
                "<registerFile><name>{name}</name>{}<addressOffset>{}</addressOffset><range>{}</range>{inner}</registerFile>",
                array(*copies, "stride", units(*length)),
                units(*at),
                units(*length)
            )
        });
    }
    let above = match feature.access_at {
        At::Block => of_register(effects(feature.rows[0].access).0),
        _ => String::new(),
    };
    let unit = match feature.unit {
        1 => String::new(),
        unit => element("addressUnitBits", &number(unit * 8)),
    };
    let text = format!(
        "<component><name>D</name><memoryMaps><memoryMap><name>MAP</name><addressBlock><name>LIST</name><baseAddress>{}</baseAddress><range>{}</range><width>32</width>{above}\n{registers}</addressBlock>{unit}</memoryMap></memoryMaps>
<parameters><parameter parameterId=\"uuid_zero\" type=\"int\"><name>ZERO</name><value>'h10 - 16</value></parameter></parameters></component>",
        number(0),
        units(0x4000),
    );
    let (prefix, namespace) = match year {
        2009 => (
            "spirit",
            "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009",
        ),
        2014 => (
            "ipxact",
            "http://www.accellera.org/XMLSchema/IPXACT/1685-2014",
        ),
        _ => (
            "ipxact",
            "http://www.accellera.org/XMLSchema/IPXACT/1685-2022",
        ),
    };
    let text = text
        .replace("</", "\u{1}")
        .replace('<', &format!("<{prefix}:"));
    let text = text.replace('\u{1}', &format!("</{prefix}:"));
    Some(text.replacen(
        "component",
        &format!("component xmlns:{prefix}=\"{namespace}\""),
        1,
    ))
}
