//! Every key that a design's file may have: its name, what may stand there, and what it means.

use hwpool_describe::tables::{Word, named, word};
use hwpool_describe::{Absent, Key, Kind};

use super::{Capability, Outside, Refused, Request, Wide};

/// The schema that this version reads.
pub const SCHEMA: &str = "hwpool.rtl/1";

/// Level of a reset port at which the design is in reset.
pub(super) static ACTIVE: [Word<bool>; 2] = [
    word("low", false, "0 resets"),
    word("high", true, "1 resets"),
];
pub(super) static WIDE: [Word<Wide>; 2] = [
    word("split", Wide::Split, "two accesses, the low half first"),
    word(
        "refuse",
        Wide::Refuse,
        "reads as all ones; a write is dropped",
    ),
];
pub(super) static ERROR: [Word<Refused>; 3] = [
    word(
        "ones",
        Refused::Ones,
        "all ones, as after a PCIe completion with an error",
    ),
    word("data", Refused::Data, "what the design puts on RDATA"),
    word("errno", Refused::Errno, "EIO: the access fails"),
];
pub(super) static OUTSIDE: [Word<Outside>; 2] = [
    word("decerr", Outside::Decode, "DECERR"),
    word("slverr", Outside::Slave, "SLVERR"),
];
pub(super) static REQUEST: [Word<Request>; 3] = [
    word(
        "level",
        Request::Level,
        "a rise is one message; while masked the level is what counts",
    ),
    word("pulse", Request::Pulse, "each cycle at 1 is one message"),
    word(
        "handshake",
        Request::Handshake,
        "each cycle in which it and `acknowledge` are 1 is one message",
    ),
];
pub(super) static CAPABILITIES: [Word<Capability>; 4] = [
    word("express", Capability::Express, "PCI Express endpoint"),
    word(
        "flr",
        Capability::Flr,
        "function level reset, within `express`",
    ),
    word("power", Capability::Power, "power management, D0 and D3hot"),
    word("errors", Capability::Errors, "Advanced Error Reporting"),
];

static ACTIVE_NAMES: [hwpool_describe::Named; 2] = named(&ACTIVE);
static WIDE_NAMES: [hwpool_describe::Named; 2] = named(&WIDE);
static ERROR_NAMES: [hwpool_describe::Named; 3] = named(&ERROR);
static OUTSIDE_NAMES: [hwpool_describe::Named; 2] = named(&OUTSIDE);
static REQUEST_NAMES: [hwpool_describe::Named; 3] = named(&REQUEST);

const fn key(
    name: &'static str,
    kind: Kind,
    absent: Absent,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        kind,
        absent,
        doc,
        example,
    }
}

const fn number(least: u64, most: u64) -> Kind {
    Kind::Number { least, most }
}

const MUST: Absent = Absent::Refused;

const fn means(what: &'static str) -> Absent {
    Absent::Means(what)
}

static RESET: [Key; 3] = [
    key(
        "port",
        Kind::Text,
        MUST,
        "The input that resets the design.",
        r#""rst_n""#,
    ),
    key(
        "active",
        Kind::Word(&ACTIVE_NAMES),
        MUST,
        "At which level it resets.",
        r#""low""#,
    ),
    key(
        "cycles",
        number(2, 1_000_000),
        means("16"),
        "How many cycles a reset lasts.",
        "16",
    ),
];

static PCI: [Key; 10] = [
    key(
        "bar_bits",
        Kind::OneOf(&[32, 64]),
        means("32"),
        "Bits of the addresses in BARs; one of 64 takes the next one, too.",
        "64",
    ),
    key(
        "vendor",
        number(0, 0xfffe),
        means("0x1234"),
        "Vendor ID.",
        "0x1234",
    ),
    key(
        "device",
        number(0, 0xffff),
        means("0x0001"),
        "Device ID.",
        "0x0001",
    ),
    key(
        "subsystem_vendor",
        number(0, 0xffff),
        means("`vendor`"),
        "Subsystem Vendor ID.",
        "0x1234",
    ),
    key(
        "subsystem",
        number(0, 0xffff),
        means("1"),
        "Subsystem ID.",
        "1",
    ),
    key("revision", number(0, 0xff), means("0"), "Revision ID.", "1"),
    key(
        "class",
        number(0, 0xff_ffff),
        means("0xff0000, a device of no class"),
        "Base class, subclass and programming interface.",
        "0x088000",
    ),
    key(
        "vectors",
        number(1, 128),
        means("the highest `vector` and one"),
        "MSI-X vectors.",
        "4",
    ),
    key(
        "msix_bar",
        number(0, 5),
        means("the first that is free"),
        "The BAR that holds the MSI-X table.",
        "2",
    ),
    key(
        "capabilities",
        Kind::Texts,
        means("express and flr"),
        "What the function offers beside MSI-X: express, flr, power, errors.",
        r#"["express", "flr"]"#,
    ),
];

static BAR: [Key; 6] = [
    key("bar", number(0, 5), MUST, "Which BAR it is.", "0"),
    key(
        "port",
        Kind::Text,
        MUST,
        "What the names of the AXI4-Lite slave's ports begin with.",
        r#""s_axil_""#,
    ),
    key(
        "size",
        number(16, 1 << 30),
        MUST,
        "Bytes, a power of two.",
        "4096",
    ),
    key(
        "width",
        Kind::OneOf(&[32, 64]),
        means("as the port"),
        "Bits of data.",
        "32",
    ),
    key(
        "wide",
        Kind::Word(&WIDE_NAMES),
        means("split"),
        "What becomes of an access that is wider than the port.",
        r#""split""#,
    ),
    key(
        "error",
        Kind::Word(&ERROR_NAMES),
        means("ones"),
        "What the host reads where the design answers SLVERR or DECERR.",
        r#""ones""#,
    ),
];

static DMA: [Key; 4] = [
    key(
        "port",
        Kind::Text,
        MUST,
        "What the names of the AXI4 master's ports begin with.",
        r#""m_axi_""#,
    ),
    key(
        "width",
        Kind::OneOf(&[32, 64, 128, 256, 512]),
        means("as the port"),
        "Bits of data.",
        "64",
    ),
    key(
        "outside",
        Kind::Word(&OUTSIDE_NAMES),
        means("decerr"),
        "How an access is answered to what the host has not mapped.",
        r#""slverr""#,
    ),
    key(
        "outstanding",
        number(1, 256),
        means("8"),
        "Reads, and writes, that are taken before the first is answered.",
        "8",
    ),
];

static INTERRUPT: [Key; 5] = [
    key(
        "port",
        Kind::Text,
        MUST,
        "The output that asks for an interrupt.",
        r#""irq""#,
    ),
    key(
        "bit",
        number(0, 1023),
        means("0, of a port of one bit"),
        "Which bit of the port.",
        "0",
    ),
    key(
        "is",
        Kind::Word(&REQUEST_NAMES),
        MUST,
        "What of the line is a request.",
        r#""level""#,
    ),
    key("vector", number(0, 127), MUST, "The MSI-X vector.", "0"),
    key(
        "acknowledge",
        Kind::Text,
        means("nothing is told"),
        "An input that is 1 for one cycle when the message was sent: of one bit, or the bit of the same number.",
        r#""irq_ack""#,
    ),
];

/// What stands in a design's file.
pub static KEYS: [Key; 18] = [
    key(
        "schema",
        Kind::Schema,
        MUST,
        "The version of this format.",
        r#""hwpool.rtl/1""#,
    ),
    key(
        "top",
        Kind::Text,
        MUST,
        "The module that is served.",
        r#""regs""#,
    ),
    key(
        "sources",
        Kind::Texts,
        MUST,
        "Verilog files, relative to this one.",
        r#"["regs.sv"]"#,
    ),
    key(
        "include",
        Kind::Texts,
        means("none"),
        "Folders of included files.",
        r#"["include"]"#,
    ),
    key(
        "defines",
        Kind::Texts,
        means("none"),
        "Macros.",
        r#"["SIM", "DEPTH=8"]"#,
    ),
    key(
        "parameters",
        Kind::Texts,
        means("the design's own"),
        "Parameters of the top.",
        r#"["DEPTH=8"]"#,
    ),
    key(
        "options",
        Kind::Texts,
        means("none"),
        "More for Verilator.",
        r#"["-Wno-WIDTH"]"#,
    ),
    key(
        "clock",
        Kind::Text,
        MUST,
        "The input that clocks the design.",
        r#""clk""#,
    ),
    key(
        "reset",
        Kind::Part(&RESET),
        MUST,
        "The reset at the start, and by an FLR.",
        r#"{ port = "rst_n", active = "low" }"#,
    ),
    key(
        "flr",
        Kind::Part(&RESET),
        means("`reset`"),
        "What an FLR does instead; the ports of AXI go on through it.",
        r#"{ port = "flr", active = "high" }"#,
    ),
    key(
        "ties",
        Kind::Texts,
        means("inputs that nothing drives are 0"),
        "Inputs that stay as they are.",
        r#"["enable=1"]"#,
    ),
    key(
        "busy",
        Kind::Text,
        means("nothing tells"),
        "An output of one bit that keeps the clock running.",
        r#""busy""#,
    ),
    key(
        "idle_after",
        number(0, 1 << 40),
        means("1000"),
        "Quiet cycles after which the clock stops; 0: it never stops.",
        "64",
    ),
    key(
        "limit",
        number(1, 1 << 40),
        means("10000"),
        "Cycles within which a handshake comes, and messages that a line may ask for without being 0 in between.",
        "10000",
    ),
    key(
        "pci",
        Kind::Part(&PCI),
        means("what its keys mean"),
        "The configuration space.",
        "{ vendor = 0x1234 }",
    ),
    key(
        "bars",
        Kind::Parts(&BAR),
        MUST,
        "AXI4-Lite slaves: a table [[bars]] each.",
        r#"[{ bar = 0, port = "s_axil_", size = 4096 }]"#,
    ),
    key(
        "dma",
        Kind::Parts(&DMA),
        means("none"),
        "AXI4 masters: a table [[dma]] each.",
        r#"[{ port = "m_axi_" }]"#,
    ),
    key(
        "interrupts",
        Kind::Parts(&INTERRUPT),
        means("none"),
        "Interrupt request lines: a table [[interrupts]] each.",
        r#"[{ port = "irq", is = "level", vector = 0 }]"#,
    ),
];
