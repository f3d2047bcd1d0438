//! Every key that a description may have: its name, what may stand there, and what it means.
//!
//! This table is the one source: the reader looks up ranges and words here.

use hwpool_devices::description::{Clear, Fill, Order, When};
use hwpool_devices::reg::Access;

use crate::error::or;

/// The schema that this version reads.
pub const SCHEMA: &str = "hwpool.device/1";

/// Most that an offset, a stride or the size of a BAR may be.
const SPAN: u64 = u32::MAX as u64;
/// Most values that a list may hold.
const MOST: u64 = 1 << 24;

/// A table of a description.
#[derive(Debug)]
pub struct Table {
    /// Its name; empty for what stands above all tables.
    pub name: &'static str,
    /// Whether a description needs it.
    pub must: bool,
    /// What it is about, in a sentence or two.
    pub doc: &'static str,
    /// What it may hold.
    pub keys: &'static [Key],
    /// Keys that say the same in several ways.
    pub ways: Ways,
    /// Pairs of keys: where the first stands, the second is needed.
    pub needs: &'static [(&'static str, &'static str)],
}

/// Keys that say the same in several ways. One that is `false` says nothing.
#[derive(Debug)]
pub enum Ways {
    /// There are none.
    None,
    /// At most one of them may stand there.
    AtMostOne(&'static [&'static str]),
    /// One of them is needed, and no other may stand there.
    One(&'static [&'static str]),
}

impl Ways {
    /// Returns the keys.
    pub fn keys(&self) -> &'static [&'static str] {
        match self {
            Ways::None => &[],
            Ways::AtMostOne(keys) | Ways::One(keys) => keys,
        }
    }
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What it is where it is left out.
    pub absent: Absent,
    /// What it means.
    pub doc: &'static str,
    /// An example of its value, as it is written.
    pub example: &'static str,
}

/// What a key is where it is left out.
#[derive(Debug)]
pub enum Absent {
    /// It may not be left out.
    Refused,
    /// This, in words.
    Means(&'static str),
}

/// What may stand behind a key.
#[derive(Debug)]
pub enum Kind {
    /// The name of the schema.
    Schema,
    /// Text.
    Text,
    /// A name: 1 to 32 small letters, digits and dashes, a letter first.
    Name,
    /// A list of texts.
    Texts,
    /// A whole number within a range.
    Number {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// `true` or `false`.
    Bool,
    /// One of a few words.
    Word(&'static [Named]),
    /// One of a few numbers.
    OneOf(&'static [u64]),
    /// A register: `PUSH`.
    Register,
    /// Registers.
    Registers,
    /// Bits of a register: `LEVEL`, `STATUS.EMPTY`, `STATUS.0` or `STATUS.23:0`.
    Bits,
    /// A whole number within a range, or bits of a register.
    NumberOrBits {
        /// The least number.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A run of bits: `"23:0"`, or the number of a single one.
    Run,
    /// Vendor and device ids: `["1234:f1f0"]`.
    Ids,
    /// Named runs of bits.
    Fields,
    /// A table in braces.
    Part(&'static [Key]),
    /// A list of tables in braces.
    Parts(&'static [Key]),
}

/// How a run of bits is written.
pub(crate) const RUN: &str = "bits as \"23:0\", or one as 31";

impl Kind {
    /// Says in words what may stand there: `true or false`.
    pub fn wanted(&self) -> String {
        let names = |words: &[Named]| {
            let names: Vec<&str> = words.iter().map(|word| word.name).collect();
            or(&names)
        };
        match self {
            Kind::Schema => SCHEMA.into(),
            Kind::Text => "text in quotes".into(),
            Kind::Texts => "a list of texts in quotes".into(),
            Kind::Name => "a name of small letters, digits and dashes in quotes".into(),
            Kind::Number { least, most } => {
                format!("a whole number, {} to {}", plain(*least), plain(*most))
            }
            Kind::Bool => "true or false".into(),
            Kind::Word(words) => names(words),
            Kind::OneOf(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                or(&numbers)
            }
            Kind::Register => "the name of a register in quotes".into(),
            Kind::Registers => "a list of the names of registers".into(),
            Kind::Bits => "a register, or bits of one, in quotes".into(),
            Kind::NumberOrBits { least, most } => format!(
                "a whole number, {} to {}, or bits of a register in quotes",
                plain(*least),
                plain(*most)
            ),
            Kind::Run => RUN.into(),
            Kind::Ids => "a list of ids in quotes".into(),
            Kind::Fields => "names with their bits in braces".into(),
            Kind::Part(_) => "a table in braces".into(),
            Kind::Parts(_) => "a list of tables in braces".into(),
        }
    }
}

/// Writes a number as people do: those above 9999 in hexadecimal.
pub(crate) fn plain(number: u64) -> String {
    match number {
        0..=9_999 | 60_000 | 0x100_0000 => number.to_string(),
        _ => format!("{number:#x}"),
    }
}

/// A word that may stand behind a key.
#[derive(Debug, Copy, Clone)]
pub struct Named {
    /// The word.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
}

/// A word, and what it is for who reads the file.
#[derive(Debug)]
pub struct Word<T> {
    /// The word.
    pub name: &'static str,
    /// What it is.
    pub is: T,
    doc: &'static str,
}

/// Makes a word; `doc` is what it says.
pub const fn word<T>(name: &'static str, is: T, doc: &'static str) -> Word<T> {
    Word { name, is, doc }
}

/// Returns words without what they are, for [`Kind::Word`].
pub const fn named<T, const N: usize>(words: &[Word<T>; N]) -> [Named; N] {
    let mut named = [Named { name: "", doc: "" }; N];
    let mut at = 0;
    while at < N {
        named[at] = Named {
            name: words[at].name,
            doc: words[at].doc,
        };
        at += 1;
    }
    named
}

/// Which half of two comes first, in time or in place.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum First {
    Low,
    High,
}

/// What the copies of the registers are.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Copies {
    Lists,
    Windows,
}

/// What a value stands for.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Is {
    Index,
    Address,
}

pub(crate) static FILL: [Word<Fill>; 2] = [
    word("software", Fill::Software, "the host: it is empty"),
    word(
        "reset",
        Fill::Reset,
        "the device: each number is in it, once",
    ),
];

pub(crate) static ORDER: [Word<Order>; 3] = [
    word("fifo", Order::Fifo, "the oldest leaves first"),
    word("lifo", Order::Lifo, "the newest leaves first"),
    word("any", Order::Any, "nothing is promised"),
];

pub(crate) static HALVES: [Word<First>; 2] = [
    word("low-first", First::Low, "bits 31 to 0, then bits 63 to 32"),
    word(
        "high-first",
        First::High,
        "bits 63 to 32, then bits 31 to 0",
    ),
];

pub(crate) static WORDS: [Word<First>; 2] = [
    word("little", First::Low, "bits 31 to 0"),
    word("big", First::High, "bits 63 to 32"),
];

pub(crate) static ARE: [Word<Copies>; 2] = [
    word("lists", Copies::Lists, "each is a list of its own"),
    word(
        "windows",
        Copies::Windows,
        "each is a way to one and the same list",
    ),
];

pub(crate) static IS: [Word<Is>; 2] = [
    word("index", Is::Index, "the number of an object"),
    word("address", Is::Address, "the address of an object"),
];

pub(crate) static KEEPS: [Word<bool>; 2] = [
    word("nothing", false, "the list is as `fill` says"),
    word(
        "entries",
        true,
        "the values outlive it: the driver pops what is left",
    ),
];

pub(crate) static CLEAR: [Word<Clear>; 4] = [
    word("write-one", Clear::WriteOne, "a write of ones"),
    word("write-zero", Clear::WriteZero, "a write of zeros"),
    word("read", Clear::Read, "a read"),
    word(
        "itself",
        Clear::Itself,
        "the end of what had raised the interrupt",
    ),
];

pub(crate) static WHEN: [Word<When>; 4] = [
    word("below", When::Below, "the level fell below `threshold`"),
    word("above", When::Above, "the level rose above `threshold`"),
    word("filled", When::Filled, "the list had no value and has one"),
    word(
        "emptied",
        When::Emptied,
        "the list had a value and has none",
    ),
];

pub(crate) static ACCESS: [Word<Access>; 7] = [
    word(
        "ro",
        Access::ReadOnly,
        "reads have no effect, writes do nothing",
    ),
    word(
        "rw",
        Access::ReadWrite,
        "reads have no effect, writes replace bits",
    ),
    word(
        "w1c",
        Access::WriteOneToClear,
        "a 1 that is written clears a bit",
    ),
    word(
        "w1s",
        Access::WriteOneToSet,
        "a 1 that is written sets a bit",
    ),
    word("wo", Access::WriteOnly, "reads give nothing, a write acts"),
    word(
        "re",
        Access::ReadEffect,
        "a read takes something, writes do nothing",
    ),
    word(
        "rwe",
        Access::BothEffects,
        "a read takes something, a write gives something",
    ),
];

const TO: Key = Key {
    name: "bits",
    kind: Kind::Bits,
    absent: Absent::Refused,
    doc: "What is set. The other bits of the register stay.",
    example: r#""CONTROL.ENABLE""#,
};

const SET: &[Key] = &[
    TO,
    Key {
        name: "to",
        kind: Kind::Number {
            least: 0,
            most: u64::MAX,
        },
        absent: Absent::Means("1"),
        doc: "What the bits become.",
        example: "1",
    },
];

const TEST: &[Key] = &[
    Key {
        name: "flag",
        kind: Kind::Bits,
        absent: Absent::Refused,
        doc: "What is looked at.",
        example: r#""STATUS.READY""#,
    },
    Key {
        name: "is",
        kind: Kind::Number {
            least: 0,
            most: u64::MAX,
        },
        absent: Absent::Means("1"),
        doc: "What the bits are then.",
        example: "1",
    },
];

const THEN: &[Key] = &[
    Key {
        name: "write",
        kind: Kind::Register,
        absent: Absent::Refused,
        doc: "The register that is written.",
        example: r#""ACK""#,
    },
    Key {
        name: "value",
        kind: Kind::Number {
            least: 0,
            most: u64::MAX,
        },
        absent: Absent::Means("1"),
        doc: "What is written.",
        example: "1",
    },
];

const WRITES: &[Key] = &[
    Key {
        name: "to",
        kind: Kind::Register,
        absent: Absent::Refused,
        doc: "The register that is written.",
        example: r#""RESET""#,
    },
    Key {
        name: "value",
        kind: Kind::Number {
            least: 0,
            most: u64::MAX,
        },
        absent: Absent::Means("1"),
        doc: "What is written.",
        example: "0x54455352",
    },
];

/// What may be said of a register, in braces behind its name.
pub const REGISTER: &[Key] = &[
    Key {
        name: "at",
        kind: Kind::Number {
            least: 0,
            most: SPAN,
        },
        absent: Absent::Means("the place that `file` gives it; without a file it is needed"),
        doc: "Bytes from `at.base` to the register.",
        example: "0x20",
    },
    Key {
        name: "access",
        kind: Kind::Word(const { &named(&ACCESS) }),
        absent: Absent::Means(
            "what `file` says of it, else what the description uses it for, else `ro`",
        ),
        doc: "What reads and writes of it do. A register that is popped takes by a read, whatever stands here.",
        example: r#""re""#,
    },
    Key {
        name: "width",
        kind: Kind::OneOf(&[32, 64]),
        absent: Absent::Means("what `file` says of it, else `at.width`"),
        doc: "Its bits. One of 64 behind accesses of 32 becomes two, NAME_LOW and NAME_HIGH; `at.words` says which lies lower.",
        example: "64",
    },
    Key {
        name: "reset",
        kind: Kind::Number {
            least: 0,
            most: u64::MAX,
        },
        absent: Absent::Means("what `file` says of it, else it is not known and not checked"),
        doc: "What it reads after a reset.",
        example: "0",
    },
    Key {
        name: "bits",
        kind: Kind::Run,
        absent: Absent::Means("the bits of its fields, else all"),
        doc: "The bits that exist. The others read 0 and are written 0.",
        example: r#""24:0""#,
    },
    Key {
        name: "fields",
        kind: Kind::Fields,
        absent: Absent::Means("what `file` says of it, else it has none"),
        doc: "Runs of bits by their names, in capitals.",
        example: r#"{ VALID = 31, NUMBER = "23:0" }"#,
    },
    Key {
        name: "shared",
        kind: Kind::Bool,
        absent: Absent::Means("`false`"),
        doc: "With `[instances]`: there is one for all copies.",
        example: "true",
    },
    Key {
        name: "doc",
        kind: Kind::Text,
        absent: Absent::Means("what `file` says of it, else nothing"),
        doc: "One line for people.",
        example: r#""A read takes the oldest number""#,
    },
];

/// Every table, in the order of the reference.
pub static TABLES: &[Table] = &[
    Table {
        name: "",
        must: true,
        doc: "What stands above all tables: what the device is, and how its list works.",
        keys: &[
            Key {
                name: "schema",
                kind: Kind::Schema,
                absent: Absent::Refused,
                doc: "The version of this format.",
                example: r#""hwpool.device/1""#,
            },
            Key {
                name: "name",
                kind: Kind::Name,
                absent: Absent::Refused,
                doc: "Its name in options and reports: 1 to 32 small letters, digits and dashes, a letter first.",
                example: r#""small-fifo""#,
            },
            Key {
                name: "title",
                kind: Kind::Text,
                absent: Absent::Means("`name`"),
                doc: "Its name in sentences.",
                example: r#""the small FIFO""#,
            },
            Key {
                name: "doc",
                kind: Kind::Text,
                absent: Absent::Means("nothing"),
                doc: "One line for people.",
                example: r#""A queue of buffer numbers""#,
            },
            Key {
                name: "source",
                kind: Kind::Text,
                absent: Absent::Means("`[registers] file`, else nothing"),
                doc: "Where its registers are documented.",
                example: r#""PG080 v4.3, table 2-4""#,
            },
            Key {
                name: "alive",
                kind: Kind::Register,
                absent: Absent::Means("`identity.register`"),
                doc: "A register whose read has no effect, and which never reads all ones while the device is there: a failed \
                      access on PCIe reads all ones, and so may an empty list. It needs bits that do not exist.",
                example: r#""STATUS""#,
            },
            Key {
                name: "scratch",
                kind: Kind::Register,
                absent: Absent::Means("there is none"),
                doc: "A register that keeps what is written and has no effect.",
                example: r#""SCRATCH""#,
            },
            Key {
                name: "never",
                kind: Kind::Registers,
                absent: Absent::Means("there are none"),
                doc: "Registers that are touched for what the description uses them for alone: no dump reads them, no check \
                      writes them.",
                example: r#"["ECC"]"#,
            },
            Key {
                name: "depth",
                kind: Kind::NumberOrBits {
                    least: 1,
                    most: MOST,
                },
                absent: Absent::Refused,
                doc: "How many values a list holds, or where the device says so.",
                example: r#"512"#,
            },
            Key {
                name: "level",
                kind: Kind::Bits,
                absent: Absent::Means("the device does not tell"),
                doc: "Where the device counts the values in a list.",
                example: r#""STATUS.LEVEL""#,
            },
            Key {
                name: "fill",
                kind: Kind::Word(const { &named(&FILL) }),
                absent: Absent::Means("`software`"),
                doc: "Who puts values into a list after a reset.",
                example: r#""software""#,
            },
            Key {
                name: "order",
                kind: Kind::Word(const { &named(&ORDER) }),
                absent: Absent::Means("`fifo`"),
                doc: "In which order values leave a list.",
                example: r#""fifo""#,
            },
            Key {
                name: "enable",
                kind: Kind::Parts(SET),
                absent: Absent::Means("nothing is needed"),
                doc: "What lets the list work, in order, after each reset.",
                example: r#"[{ bits = "CONTROL.ENABLE", to = 1 }]"#,
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "pci",
        must: false,
        doc: "How boards with it can be told from others.",
        keys: &[Key {
            name: "ids",
            kind: Kind::Ids,
            absent: Absent::Means("each board has its own"),
            doc: "Vendor and device ids, in hexadecimal.",
            example: r#"["1234:f1f0"]"#,
        }],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "at",
        must: false,
        doc: "Where the registers lie, and how they are accessed.",
        keys: &[
            Key {
                name: "bar",
                kind: Kind::Number { least: 0, most: 5 },
                absent: Absent::Means("0"),
                doc: "The BAR.",
                example: "0",
            },
            Key {
                name: "base",
                kind: Kind::Number {
                    least: 0,
                    most: SPAN,
                },
                absent: Absent::Means("0"),
                doc: "Where in the BAR the offsets of the registers are counted from.",
                example: "0x1000",
            },
            Key {
                name: "size",
                kind: Kind::Number {
                    least: 4,
                    most: SPAN,
                },
                absent: Absent::Means("4096, or the next power of two that holds all registers"),
                doc: "Bytes that the BAR must have at the least.",
                example: "0x1000",
            },
            Key {
                name: "width",
                kind: Kind::OneOf(&[32, 64]),
                absent: Absent::Means("32"),
                doc: "The widest access that the device takes, in bits, and the width of registers of which nothing else is said.",
                example: "32",
            },
            Key {
                name: "halves",
                kind: Kind::Word(const { &named(&HALVES) }),
                absent: Absent::Means(
                    "a value is one access; needed where values of 64 bits pass accesses of 32",
                ),
                doc: "Which half passes first. The first half of a pop takes the value, the last half of a push gives it.",
                example: r#""low-first""#,
            },
            Key {
                name: "words",
                kind: Kind::Word(const { &named(&WORDS) }),
                absent: Absent::Means("what `file` says, else `little`"),
                doc: "Which half of 64 bits lies at the lower address.",
                example: r#""little""#,
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "instances",
        must: false,
        doc: "Several copies of the registers, one behind the other. Registers with `shared = true` have one copy.",
        keys: &[
            Key {
                name: "count",
                kind: Kind::Number { least: 2, most: 64 },
                absent: Absent::Refused,
                doc: "How many there are.",
                example: "4",
            },
            Key {
                name: "stride",
                kind: Kind::Number {
                    least: 4,
                    most: SPAN,
                },
                absent: Absent::Refused,
                doc: "Bytes from one to the next.",
                example: "0x100",
            },
            Key {
                name: "are",
                kind: Kind::Word(const { &named(&ARE) }),
                absent: Absent::Refused,
                doc: "What they are.",
                example: r#""lists""#,
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "registers",
        must: true,
        doc: "The registers, each by its name in capitals with its place, `PUSH = 0x24`, or with more in braces. With `file` they \
              come from a register file, and what stands here goes over what it says.",
        keys: &[
            Key {
                name: "file",
                kind: Kind::Text,
                absent: Absent::Means("all registers stand here"),
                doc: "A register file: csr.json of LiteX, CMSIS-SVD or IP-XACT; its place is relative to the description.",
                example: r#""csr.json""#,
            },
            Key {
                name: "block",
                kind: Kind::Text,
                absent: Absent::Means(
                    "all blocks of the file, their names before those of the registers where there are several",
                ),
                doc: "The block of the file: a CSR bank, a peripheral, a memory map or an address block.",
                example: r#""mailbox""#,
            },
        ],
        ways: Ways::None,
        needs: &[("block", "file")],
    },
    Table {
        name: "identity",
        must: false,
        doc: "What identifies the device. Without it, `alive` is needed.",
        keys: &[
            Key {
                name: "register",
                kind: Kind::Register,
                absent: Absent::Refused,
                doc: "A register of 32 bits whose value never changes.",
                example: r#""ID""#,
            },
            Key {
                name: "value",
                kind: Kind::Number {
                    least: 1,
                    most: u32::MAX as u64 - 1,
                },
                absent: Absent::Refused,
                doc: "What it reads. Not 0 and not all ones, which a register reads that is not there.",
                example: "0x4f464946",
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "pop",
        must: true,
        doc: "How a value is taken: a read takes it; or a read looks and a write takes it (`then`); or its length is read first \
              (`length`).",
        keys: &[
            Key {
                name: "read",
                kind: Kind::Register,
                absent: Absent::Refused,
                doc: "The register of the value.",
                example: r#""POP""#,
            },
            Key {
                name: "then",
                kind: Kind::Part(THEN),
                absent: Absent::Means("the read takes the value"),
                doc: "What takes the value, when the read only looks.",
                example: r#"{ write = "ACK", value = 1 }"#,
            },
            Key {
                name: "length",
                kind: Kind::Bits,
                absent: Absent::Means("no length is read"),
                doc: "Tells how long the oldest entry is, and is read first. `expect` is needed then.",
                example: r#""RLR.BYTES""#,
            },
            Key {
                name: "expect",
                kind: Kind::Number {
                    least: 1,
                    most: u64::MAX,
                },
                absent: Absent::Means("no length is read"),
                doc: "What the length must be, in the device's unit.",
                example: "4",
            },
        ],
        ways: Ways::AtMostOne(&["then", "length"]),
        needs: &[("length", "expect"), ("expect", "length")],
    },
    Table {
        name: "push",
        must: true,
        doc: "How a value is given: a write gives it, or a second write does (`then`).",
        keys: &[
            Key {
                name: "write",
                kind: Kind::Register,
                absent: Absent::Refused,
                doc: "The register of the value.",
                example: r#""PUSH""#,
            },
            Key {
                name: "then",
                kind: Kind::Part(THEN),
                absent: Absent::Means("the value alone is enough"),
                doc: "What must be written then.",
                example: r#"{ write = "TLR", value = 4 }"#,
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "empty",
        must: true,
        doc: "How the device says that it has no value. One of `value`, `flag`, `level` and `bus-error`.",
        keys: &[
            Key {
                name: "value",
                kind: Kind::Number {
                    least: 0,
                    most: u64::MAX,
                },
                absent: Absent::Means("another key says it"),
                doc: "A pop reads this, with all bits of the register.",
                example: "0",
            },
            Key {
                name: "flag",
                kind: Kind::Bits,
                absent: Absent::Means("another key says it"),
                doc: "Bits that are `is` then. In the popped register they are judged by what was popped, beside the value; in \
                      another they are read before each pop.",
                example: r#""STATUS.EMPTY""#,
            },
            Key {
                name: "is",
                kind: Kind::Number {
                    least: 0,
                    most: u64::MAX,
                },
                absent: Absent::Means("1"),
                doc: "With `flag`: what the bits are where there is no value.",
                example: "0",
            },
            Key {
                name: "level",
                kind: Kind::Bool,
                absent: Absent::Means("`false`"),
                doc: "`level` is 0 then; it is read before each pop.",
                example: "true",
            },
            Key {
                name: "bus-error",
                kind: Kind::Bool,
                absent: Absent::Means("`false`"),
                doc: "The pop is answered with a bus error, which may reach the host as all ones.",
                example: "true",
            },
        ],
        ways: Ways::One(&["value", "flag", "level", "bus-error"]),
        needs: &[("is", "flag")],
    },
    Table {
        name: "full",
        must: false,
        doc: "How the device says that it takes no more. At most one of `flag`, `vacancy` and `level`; without one the driver \
              counts.",
        keys: &[
            Key {
                name: "flag",
                kind: Kind::Bits,
                absent: Absent::Means("no flag says it"),
                doc: "Bits that are `is` then.",
                example: r#""STATUS.FULL""#,
            },
            Key {
                name: "is",
                kind: Kind::Number {
                    least: 0,
                    most: u64::MAX,
                },
                absent: Absent::Means("1"),
                doc: "With `flag`: what the bits are where nothing fits.",
                example: "0",
            },
            Key {
                name: "vacancy",
                kind: Kind::Bits,
                absent: Absent::Means("no count says it"),
                doc: "Counts the values for which there is room.",
                example: r#""TDFV""#,
            },
            Key {
                name: "level",
                kind: Kind::Bool,
                absent: Absent::Means("`false`"),
                doc: "`level` is `depth` then.",
                example: "true",
            },
            Key {
                name: "look",
                kind: Kind::Bool,
                absent: Absent::Means("`false`"),
                doc: "A push into a full list does harm: the driver looks before it pushes.",
                example: "true",
            },
            Key {
                name: "sticky",
                kind: Kind::Bits,
                absent: Absent::Means("a push into a full list is dropped silently"),
                doc: "A bit that stays set after a push was dropped, and that a write of 1 clears.",
                example: r#""ERROR.OVERFLOW""#,
            },
        ],
        ways: Ways::AtMostOne(&["flag", "vacancy", "level"]),
        needs: &[("is", "flag")],
    },
    Table {
        name: "value",
        must: true,
        doc: "What a value is.",
        keys: &[
            Key {
                name: "is",
                kind: Kind::Word(const { &named(&IS) }),
                absent: Absent::Refused,
                doc: "What it stands for. With `index` no address passes through the device.",
                example: r#""index""#,
            },
            Key {
                name: "bits",
                kind: Kind::Run,
                absent: Absent::Means("all that is popped"),
                doc: "Where it stands in what is popped and pushed.",
                example: r#""23:0""#,
            },
            Key {
                name: "first",
                kind: Kind::Number {
                    least: 0,
                    most: u32::MAX as u64,
                },
                absent: Absent::Means("0"),
                doc: "With `index`: the value of object 0; 1 where the device uses 0 for \"none\".",
                example: "1",
            },
            Key {
                name: "shift",
                kind: Kind::Number { least: 0, most: 12 },
                absent: Absent::Means("0"),
                doc: "With `address`: how many low bits of the address are left out.",
                example: "6",
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "reset",
        must: false,
        doc: "What resets the device. Where nothing does, a list is emptied by pops.",
        keys: &[
            Key {
                name: "write",
                kind: Kind::Parts(WRITES),
                absent: Absent::Means("no write resets it"),
                doc: "What is written, in order; a register of each list for each list.",
                example: r#"[{ to = "RESET", value = 0x54455352 }]"#,
            },
            Key {
                name: "until",
                kind: Kind::Part(TEST),
                absent: Absent::Means("it is over at once"),
                doc: "What tells that it is over.",
                example: r#"{ flag = "STATUS.READY", is = 1 }"#,
            },
            Key {
                name: "within-ms",
                kind: Kind::Number {
                    least: 1,
                    most: 60_000,
                },
                absent: Absent::Means("100"),
                doc: "How long it may take, in milliseconds.",
                example: "10",
            },
            Key {
                name: "count",
                kind: Kind::Bits,
                absent: Absent::Means("nothing counts them"),
                doc: "Counts resets of any kind.",
                example: r#""RESET_COUNT""#,
            },
            Key {
                name: "keeps",
                kind: Kind::Word(const { &named(&KEEPS) }),
                absent: Absent::Means("`nothing`; `entries` where nothing resets the device"),
                doc: "What of a list outlives it.",
                example: r#""nothing""#,
            },
            Key {
                name: "flr",
                kind: Kind::Bool,
                absent: Absent::Means("`false`"),
                doc: "A function level reset does the same to the logic.",
                example: "true",
            },
        ],
        ways: Ways::None,
        needs: &[],
    },
    Table {
        name: "interrupt",
        must: false,
        doc: "The interrupt of the list.",
        keys: &[
            Key {
                name: "vector",
                kind: Kind::Number { least: 0, most: 31 },
                absent: Absent::Means("0"),
                doc: "Its MSI-X vector.",
                example: "0",
            },
            Key {
                name: "when",
                kind: Kind::Word(const { &named(&WHEN) }),
                absent: Absent::Refused,
                doc: "When it is sent.",
                example: r#""below""#,
            },
            Key {
                name: "threshold",
                kind: Kind::Bits,
                absent: Absent::Means("there is none; needed with `below` and `above`"),
                doc: "The level that it waits for.",
                example: r#""THRESHOLD""#,
            },
            Key {
                name: "enable",
                kind: Kind::Part(SET),
                absent: Absent::Means("it is always sent"),
                doc: "What lets it be sent.",
                example: r#"{ bits = "CONTROL.IRQ_ENABLE", to = 1 }"#,
            },
            Key {
                name: "pending",
                kind: Kind::Bits,
                absent: Absent::Means("nothing tells why it was sent"),
                doc: "The bits that say why it was sent. `clear` is needed then.",
                example: r#""EVENT.LOW""#,
            },
            Key {
                name: "clear",
                kind: Kind::Word(const { &named(&CLEAR) }),
                absent: Absent::Means("there is nothing to clear"),
                doc: "What clears the pending bits.",
                example: r#""write-one""#,
            },
            Key {
                name: "raise",
                kind: Kind::Bits,
                absent: Absent::Means("software can't raise it"),
                doc: "Bits that raise it when they are written 1, as if it had happened.",
                example: r#""EVENT_SET.LOW""#,
            },
        ],
        ways: Ways::None,
        needs: &[("pending", "clear"), ("clear", "pending")],
    },
];

/// Returns the table of a name.
pub(crate) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// Returns the ways of the table of a name.
pub(crate) fn ways(name: &str) -> &'static Ways {
    table(name).map_or(&Ways::None, |table| &table.ways)
}
