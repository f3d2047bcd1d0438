//! The rules of AXI that a design is held to, and how a breach is told.

use std::fmt;

/// A rule, as the AMBA AXI specification (IHI 0022) has it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub enum Rule {
    /// VALID stays until READY.
    ValidStays,
    /// What goes with VALID stays as it is until READY.
    PayloadStays,
    /// A slave answers after it has taken the request.
    AnswerAfterRequest,
    /// No VALID while in reset.
    QuietInReset,
    /// RESP is one that AXI4-Lite has: no EXOKAY.
    LiteResponse,
    /// A burst does not cross an address that is a multiple of 4 KiB.
    FourKib,
    /// A beat is no wider than the data bus.
    BeatWidth,
    /// BURST is FIXED, INCR or WRAP, and the length one that it may have.
    BurstKind,
    /// A wrapping burst begins at a multiple of a beat.
    WrapAligned,
    /// WLAST is there with the last beat of a burst and with no other.
    LastBeat,
    /// Strobes lie within the bytes of the beat.
    StrobesInBeat,
    /// A handshake comes within the limit of the design's file.
    InTime,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 12] = [
        Rule::ValidStays,
        Rule::PayloadStays,
        Rule::AnswerAfterRequest,
        Rule::QuietInReset,
        Rule::LiteResponse,
        Rule::FourKib,
        Rule::BeatWidth,
        Rule::BurstKind,
        Rule::WrapAligned,
        Rule::LastBeat,
        Rule::StrobesInBeat,
        Rule::InTime,
    ];

    /// Returns the section of IHI 0022H that says so; the last is ours.
    pub const fn section(self) -> &'static str {
        match self {
            Rule::ValidStays | Rule::PayloadStays => "A3.2.1",
            Rule::AnswerAfterRequest => "A3.3.1",
            Rule::QuietInReset => "A3.1.2",
            Rule::LiteResponse => "B1.1.1",
            Rule::FourKib | Rule::BurstKind | Rule::BeatWidth | Rule::WrapAligned => "A3.4.1",
            Rule::LastBeat => "A3.2.2",
            Rule::StrobesInBeat => "A3.4.3",
            Rule::InTime => "`limit`",
        }
    }
}

/// A rule that a design has broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// The port, as the design's file names it.
    pub port: String,
    /// The signal of the port.
    pub signal: String,
    /// The clock cycle, counted from the start.
    pub cycle: u64,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            rule,
            port,
            signal,
            cycle,
            seen,
        } = self;
        write!(
            f,
            "the design breaks AXI at cycle {cycle}: port {port}, signal {signal}: {seen} ({})",
            rule.section()
        )
    }
}

/// What a port's checks tell of, before anyone says where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) rule: Rule,
    pub(crate) signal: String,
    pub(crate) seen: String,
}

impl Breach {
    pub(crate) fn new(rule: Rule, signal: &str, seen: impl Into<String>) -> Breach {
        Breach {
            rule,
            signal: signal.into(),
            seen: seen.into(),
        }
    }

    /// Says where and when it was.
    pub(crate) fn at(self, port: &str, cycle: u64) -> Violation {
        Violation {
            rule: self.rule,
            port: port.into(),
            signal: self.signal,
            cycle,
            seen: self.seen,
        }
    }
}
