//! A design's file: where the sources are, and which port is which part of a PCI function.

mod keys;
mod read;

use std::fmt;
use std::path::PathBuf;

pub use keys::{KEYS, SCHEMA};
pub use read::{DesignError, parse, read};

/// What a file says of a design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Design {
    /// The file, as errors call it.
    pub file: String,
    /// How it is made from its sources.
    pub sources: Sources,
    /// The input that clocks it.
    pub clock: Named,
    /// The reset.
    pub reset: Reset,
    /// What an FLR does instead.
    pub flr: Option<Reset>,
    /// Inputs that stay as they are, with their values.
    pub ties: Vec<(Named, u64)>,
    /// An output that keeps the clock running.
    pub busy: Option<Named>,
    /// Quiet cycles after which the clock stops; 0: never.
    pub idle_after: u64,
    /// Cycles within which a handshake comes.
    pub limit: u64,
    /// The configuration space.
    pub pci: Pci,
    /// AXI4-Lite slaves, in rising order of their BARs.
    pub bars: Vec<BarPort>,
    /// AXI4 masters.
    pub dma: Vec<DmaPort>,
    /// Interrupt request lines.
    pub interrupts: Vec<Interrupt>,
}

/// How a design is made: all that a build depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The top module.
    pub top: String,
    /// Verilog files.
    pub files: Vec<PathBuf>,
    /// Folders of included files.
    pub include: Vec<PathBuf>,
    /// Macros, `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// Parameters of the top, `NAME=VALUE`.
    pub parameters: Vec<String>,
    /// More for Verilator.
    pub options: Vec<String>,
}

/// A name, or the start of names, of the design's, and where the file says it: line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Line and column.
    pub place: (usize, usize),
}

/// The reset input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// The port.
    pub port: Named,
    /// Its level in reset.
    pub active: bool,
    /// How many cycles a reset lasts.
    pub cycles: u64,
}

/// The configuration space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pci {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Subsystem Vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
    /// Revision ID.
    pub revision: u8,
    /// BARs have addresses of 64 bits, and take two places each.
    pub wide_bars: bool,
    /// Class, 24 bits.
    pub class: u32,
    /// MSI-X vectors; 0: no MSI-X.
    pub vectors: u16,
    /// The BAR of the MSI-X table; there is one where there are vectors.
    pub msix_bar: u8,
    /// What the function offers beside MSI-X.
    pub capabilities: Vec<Capability>,
}

/// A capability of the PCI function.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Capability {
    /// PCI Express.
    Express,
    /// Function level reset.
    Flr,
    /// Power management.
    Power,
    /// Advanced Error Reporting.
    Errors,
}

/// An AXI4-Lite slave behind a BAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarPort {
    /// The BAR.
    pub bar: u8,
    /// What the names of its ports begin with.
    pub port: Named,
    /// Bytes of the BAR.
    pub size: u64,
    /// Bits of data, where the file says so.
    pub width: Option<Number>,
    /// What becomes of an access that is wider.
    pub wide: Wide,
    /// What the host reads after an error.
    pub error: Refused,
}

/// A number, and where the file says it.
pub type Number = (u64, (usize, usize));

/// What becomes of an access that is wider than its port.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Wide {
    /// Two, the low half first.
    Split,
    /// All ones are read, and nothing is written.
    Refuse,
}

/// What the host reads where the design answers with an error.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Refused {
    /// All ones.
    Ones,
    /// What is on RDATA.
    Data,
    /// EIO.
    Errno,
}

/// An AXI4 master that reaches host memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmaPort {
    /// What the names of its ports begin with.
    pub port: Named,
    /// Bits of data, where the file says so.
    pub width: Option<Number>,
    /// How an access outside of what is mapped is answered.
    pub outside: Outside,
    /// Reads, and writes, that are taken before the first is answered.
    pub outstanding: usize,
}

/// The error for an access outside of what is mapped.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Outside {
    /// DECERR.
    Decode,
    /// SLVERR.
    Slave,
}

/// An interrupt request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt {
    /// The output.
    pub port: Named,
    /// Which bit of it, where the file says so.
    pub bit: Option<u32>,
    /// What of it is a request.
    pub is: Request,
    /// The MSI-X vector.
    pub vector: u16,
    /// The input that is told when the message was sent.
    pub acknowledge: Option<Named>,
}

/// What of a line is a request.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Request {
    /// A rise; while masked the level.
    Level,
    /// Each cycle at 1.
    Pulse,
    /// Each cycle in which it and its acknowledgement are 1.
    Handshake,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Request::Level => "level",
            Request::Pulse => "pulse",
            Request::Handshake => "handshake",
        })
    }
}
