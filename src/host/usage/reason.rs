//! Names of what speaks against taking a function.

use std::fmt;
use std::str::FromStr;

/// A reason not to take a function from its driver. Each can be overridden by its name, for itself alone.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// A route goes through its network interface.
    Route,
    /// Its network interface is up and has a carrier.
    Carrier,
    /// Its network interface is not here, and may be in another network namespace.
    Namespace,
    /// Something on its disk is mounted.
    Mount,
    /// Something is built on its disk (LVM, RAID, encryption), or on its network interface (bond, bridge).
    Holder,
    /// The kernel swaps to its disk.
    Swap,
    /// A process has one of its files open or mapped: a device node, a BAR, configuration space, or its memory.
    Open,
    /// Its virtual functions are on, and go with it.
    Vfs,
    /// Other functions hang behind it, though it is no bridge.
    Behind,
    /// The kernel's console or the machine's display is on it.
    Console,
    /// The firmware wants memory of its own mapped for it, so that VFIO can't have it.
    Reserved,
    /// It does not answer, or answers as another device than the kernel knows.
    Answers,
    /// It has no BAR, or one without an address.
    Bars,
    /// Its power is off, or the kernel could not switch it on.
    Power,
    /// It may send longer requests than the port above it takes.
    Requests,
    /// It can't be opened without a token: a physical function, or its virtual ones, are on VFIO, too.
    Token,
    /// Another function of its IOMMU group has a driver of its own.
    Group,
    /// It is behind no IOMMU: whoever drives it reaches all memory.
    NoIommu,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 18] = [
        Reason::Route,
        Reason::Carrier,
        Reason::Namespace,
        Reason::Mount,
        Reason::Holder,
        Reason::Swap,
        Reason::Open,
        Reason::Vfs,
        Reason::Behind,
        Reason::Console,
        Reason::Reserved,
        Reason::Answers,
        Reason::Bars,
        Reason::Power,
        Reason::Requests,
        Reason::Token,
        Reason::Group,
        Reason::NoIommu,
    ];

    /// Tells whether it is so whatever driver has the function: it speaks against giving the function to VFIO, and not
    /// against giving it back.
    pub(crate) fn is_lasting(self) -> bool {
        self == Reason::Console || self.is_of_driving()
    }

    /// Tells whether it hinders VFIO's users alone: it speaks against giving them the function, whoever has it now.
    pub(crate) fn is_of_driving(self) -> bool {
        matches!(
            self,
            Reason::Reserved
                | Reason::Answers
                | Reason::Bars
                | Reason::Power
                | Reason::Requests
                | Reason::Token
        )
    }

    /// Tells whether it is about the group that the function is in.
    pub(crate) fn is_of_group(self) -> bool {
        matches!(self, Reason::Group | Reason::NoIommu)
    }

    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Route => "route",
            Reason::Carrier => "carrier",
            Reason::Namespace => "namespace",
            Reason::Mount => "mount",
            Reason::Holder => "holder",
            Reason::Swap => "swap",
            Reason::Open => "open",
            Reason::Vfs => "vfs",
            Reason::Behind => "behind",
            Reason::Console => "console",
            Reason::Reserved => "reserved",
            Reason::Answers => "answers",
            Reason::Bars => "bars",
            Reason::Power => "power",
            Reason::Requests => "requests",
            Reason::Token => "token",
            Reason::Group => "group",
            Reason::NoIommu => "no-iommu",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Reason, String> {
        let found = Reason::ALL.into_iter().find(|reason| reason.word() == text);
        found.ok_or_else(|| {
            let known = Reason::ALL.map(Reason::word).join(", ");
            format!("`{text}` is no reason: known are {known}")
        })
    }
}

/// One use of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Use {
    /// Of what kind.
    pub reason: Reason,
    /// By whom, in words.
    pub what: String,
}

impl Use {
    pub(crate) fn new(reason: Reason, what: impl Into<String>) -> Use {
        let what = what.into();
        Use { reason, what }
    }
}
