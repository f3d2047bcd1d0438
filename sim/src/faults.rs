//! Faults as data: what goes wrong, where, and at which occurrence.
//!
//! Here is the vocabulary of faults, which all models share. Some any device behind a PCI function can have; the others
//! are offered by a model, which says what each does to it ([`ModelInfo::faults`](crate::ModelInfo)).
//!
//! A fault file is TOML:
//!
//! ```toml
//! [[fault]]
//! kind = "read-all-ones"   # see FaultKind
//! register = "STATUS"      # where it applies; everywhere if left out
//! index = 0                # which of an array; any if left out
//! nth = 3                  # from the n-th matching occurrence on (1)
//! times = 1                # how often; 0: for ever (1, but 0 for `stuck` and `gone`)
//! value = 0                # what it means depends on the kind (0)
//! ```

use hwpool_devices::reg::Register;
#[cfg(feature = "fault-files")]
use serde::Deserialize;
#[cfg(feature = "fault-files")]
use toml::Spanned;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// What goes wrong.
        #[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FaultKind {
            /// Every kind, by the name that fault files use.
            pub const ALL: &[(&str, FaultKind)] = &[$(($text, FaultKind::$name)),+];
        }
    };
}

kinds! {
    /// A register read fails with `BusError::Failed`.
    ReadFails = "read-fails";
    /// A register read returns all ones.
    ReadAllOnes = "read-all-ones";
    /// A register reads as `value` whatever was written. Needs `register`.
    Stuck = "stuck";
    /// A read of a 64-bit register returns the low half twice, as a bridge does that splits it and does not count up.
    LowHalfTwice = "low-half-twice";
    /// Registers of addresses keep only the low `value` bits (default 40).
    NarrowAddress = "narrow-address";
    /// A doorbell arrives `value` nanoseconds late, or never if 0.
    DelayedDoorbell = "delayed-doorbell";
    /// An interrupt's message is lost. `index` is the vector.
    LostInterrupt = "lost-interrupt";
    /// A register access is followed by an interrupt nobody raised, of vector `value`.
    SpuriousInterrupt = "spurious-interrupt";
    /// A buffer is handed out that is out already.
    DuplicateBuffer = "duplicate-buffer";
    /// A buffer is handed out that does not exist: `value`, or the first one past the last if 0.
    OutOfRangeBuffer = "out-of-range-buffer";
    /// An address between two buffers is handed out.
    MisalignedBuffer = "misaligned-buffer";
    /// A ring entry is written as that of the lap before.
    StaleEntry = "stale-entry";
    /// A ring entry is counted but never written.
    LostEntry = "lost-entry";
    /// `value` (default 1) is added to a count.
    WrongCount = "wrong-count";
    /// A list says once that it is empty while it is not, or the reverse.
    WrongEmpty = "wrong-empty";
    /// The halves of a value of 64 bits are exchanged.
    SwappedHalves = "swapped-halves";
    /// A reset leaves what was in a list.
    ResetKeepsEntries = "reset-keeps-entries";
    /// An interrupt that is pending is not cleared.
    StuckInterrupt = "stuck-interrupt";
    /// A DMA access is refused.
    DmaFault = "dma-fault";
    /// A reset, of either kind, does nothing.
    ResetDoesNothing = "reset-does-nothing";
    /// The function answers no more: register reads return all ones, writes vanish, DMA and interrupts stop.
    Gone = "gone";
}

impl FaultKind {
    /// Returns the name that fault files use.
    pub fn name(self) -> &'static str {
        let found = FaultKind::ALL.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

/// A kind of fault that one model and its like can have.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// What goes wrong.
    pub kind: FaultKind,
    /// What it does to this device: at which registers it strikes, and what `index` and `value` mean.
    pub doc: &'static str,
}

impl Offer {
    pub(crate) const fn new(kind: FaultKind, doc: &'static str) -> Offer {
        Offer { kind, doc }
    }
}

/// What can go wrong with one device, and where.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Possible<'a> {
    pub(crate) table: &'a [Register],
    /// Beside what any device can have.
    pub(crate) offers: &'a [Offer],
}

/// What any device behind a PCI function can have.
const GENERAL: [FaultKind; 8] = [
    FaultKind::ReadFails,
    FaultKind::ReadAllOnes,
    FaultKind::Stuck,
    FaultKind::LowHalfTwice,
    FaultKind::LostInterrupt,
    FaultKind::SpuriousInterrupt,
    FaultKind::ResetDoesNothing,
    FaultKind::Gone,
];

impl FaultKind {
    /// Tells whether any device can have it, and not only those whose model offers it.
    pub fn is_general(self) -> bool {
        GENERAL.contains(&self)
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The register that it concerns; any if `None`.
    pub register: Option<String>,
    /// The register's, pool's, portal's or vector's number; any if `None`.
    pub index: Option<u16>,
    /// The first matching occurrence that goes wrong, from 1.
    pub nth: u64,
    /// How many go wrong, 0: all from then on.
    pub times: u64,
    /// What it means depends on the kind.
    pub value: u64,
}

/// Why a fault was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The file is not TOML, or has unknown keys.
    #[error("{0}")]
    Syntax(String),
    /// There is no such kind.
    #[error("line {line}: no kind of fault `{kind}`: known are {known}")]
    UnknownKind {
        /// Line of the file, from 1.
        line: usize,
        /// What was asked for.
        kind: String,
        /// What this device can have.
        known: String,
    },
    /// A kind of fault that this device can't have.
    #[error("line {line}: this device can't have the fault `{kind}`: it can have {known}")]
    NotOffered {
        /// Line of the file, from 1; 0 where there is no file.
        line: usize,
        /// What was asked for.
        kind: &'static str,
        /// What it can have.
        known: String,
    },
    /// There is no such register.
    #[error("line {line}: no register `{register}` (see `hwpool regs list`)")]
    UnknownRegister {
        /// Line of the file, from 1; 0 where there is no file.
        line: usize,
        /// What was asked for.
        register: String,
    },
    /// A fault that can't happen as written.
    #[error("line {line}: {reason}")]
    Invalid {
        /// Line of the file, from 1; 0 where there is no file.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Tells whether a device can have a kind of fault.
fn has(possible: Possible<'_>, kind: FaultKind) -> bool {
    kind.is_general() || possible.offers.iter().any(|offer| offer.kind == kind)
}

fn known(possible: Possible<'_>) -> String {
    let all = FaultKind::ALL.iter();
    let own: Vec<&str> = (all.filter(|(_, kind)| has(possible, *kind)))
        .map(|(name, _)| *name)
        .collect();
    own.join(", ")
}

#[cfg(feature = "fault-files")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Entry>,
}

#[cfg(feature = "fault-files")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: Spanned<String>,
    register: Option<Spanned<String>>,
    index: Option<u16>,
    nth: Option<u64>,
    times: Option<u64>,
    value: Option<u64>,
}

impl Fault {
    /// Makes a fault of `kind` with every default: anywhere, at the first occurrence.
    pub fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            register: None,
            index: None,
            nth: 1,
            times: match kind {
                FaultKind::Stuck | FaultKind::Gone | FaultKind::NarrowAddress => 0,
                _ => 1,
            },
            value: match kind {
                FaultKind::WrongCount => 1,
                FaultKind::NarrowAddress => 40,
                _ => 0,
            },
        }
    }

    /// Limits the fault to one register, or to all of an array.
    #[must_use]
    pub fn on(mut self, register: &str) -> Fault {
        self.register = Some(register.into());
        self
    }

    /// Limits the fault to one of an array of registers, pools, portals or vectors.
    #[must_use]
    pub fn at(mut self, index: u16) -> Fault {
        self.index = Some(index);
        self
    }

    /// Sets the first occurrence that goes wrong, from 1.
    #[must_use]
    pub fn from(mut self, nth: u64) -> Fault {
        self.nth = nth;
        self
    }

    /// Sets how many occurrences go wrong, 0: all.
    #[must_use]
    pub fn times(mut self, times: u64) -> Fault {
        self.times = times;
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn with(mut self, value: u64) -> Fault {
        self.value = value;
        self
    }

    /// Reads the text of a fault file for a device.
    #[cfg(feature = "fault-files")]
    pub(crate) fn parse_file(text: &str, possible: Possible<'_>) -> Result<Vec<Fault>, FaultError> {
        let file: File = toml::from_str(text)
            .map_err(|e| FaultError::Syntax(e.to_string().trim_end().into()))?;
        let entries = file.fault.into_iter();
        entries.map(|entry| entry.check(text, possible)).collect()
    }

    /// Checks that the fault can happen to a device; `line` goes into the error.
    pub(crate) fn check(&self, possible: Possible<'_>, line: usize) -> Result<(), FaultError> {
        if !has(possible, self.kind) {
            return Err(FaultError::NotOffered {
                line,
                kind: self.kind.name(),
                known: known(possible),
            });
        }
        let invalid = |reason: String| Err(FaultError::Invalid { line, reason });
        let row = match &self.register {
            None if self.kind == FaultKind::Stuck => {
                return invalid("`stuck` needs a `register`".into());
            }
            None => None,
            Some(name) => match possible.table.iter().find(|row| row.name == **name) {
                Some(row) => Some(row),
                None => {
                    return Err(FaultError::UnknownRegister {
                        line,
                        register: name.clone(),
                    });
                }
            },
        };
        let count = row.map_or(u16::MAX, |row| row.count());
        if self.nth == 0 {
            return invalid("`nth` counts from 1".into());
        }
        if self.index.is_some_and(|i| i >= count) {
            let name = self.register.as_deref().unwrap_or_default();
            return invalid(format!("`{name}` has {count} registers, counted from 0"));
        }
        Ok(())
    }
}

#[cfg(feature = "fault-files")]
impl Entry {
    fn check(self, text: &str, possible: Possible<'_>) -> Result<Fault, FaultError> {
        let line = |at: usize| 1 + text[..at].matches('\n').count();
        let name = self.kind.get_ref();
        let Some((_, kind)) = FaultKind::ALL.iter().find(|(n, _)| n == name) else {
            return Err(FaultError::UnknownKind {
                line: line(self.kind.span().start),
                kind: name.clone(),
                known: known(possible),
            });
        };
        let base = Fault::new(*kind);
        let at = self
            .register
            .as_ref()
            .map_or(self.kind.span().start, |r| r.span().start);
        let fault = Fault {
            kind: *kind,
            register: self.register.map(Spanned::into_inner),
            index: self.index,
            nth: self.nth.unwrap_or(base.nth),
            times: self.times.unwrap_or(base.times),
            value: self.value.unwrap_or(base.value),
        };
        fault.check(possible, line(at))?;
        Ok(fault)
    }
}

/// The faults of one model, with how often each occurrence was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<(Fault, u64)>,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Faults {
        Faults {
            active: faults.into_iter().map(|f| (f, 0)).collect(),
        }
    }

    pub(crate) fn push(&mut self, fault: Fault) {
        self.active.push((fault, 0));
    }

    /// Tells that something happened which a fault of `kind` could spoil, and returns its value if one does.
    #[inline]
    pub(crate) fn hit(&mut self, kind: FaultKind, register: &str, index: u16) -> Option<u64> {
        if self.active.is_empty() {
            return None;
        }
        self.search(kind, register, index)
    }

    /// Tells whether there is a fault of `kind` at all.
    #[inline]
    pub(crate) fn any(&self, kind: FaultKind) -> bool {
        !self.active.is_empty() && self.active.iter().any(|(f, _)| f.kind == kind)
    }

    #[cold]
    fn search(&mut self, kind: FaultKind, register: &str, index: u16) -> Option<u64> {
        let mut fired = None;
        for (fault, met) in &mut self.active {
            let matches = fault.kind == kind
                && fault.register.as_ref().is_none_or(|r| r == register)
                && fault.index.is_none_or(|i| i == index);
            if !matches {
                continue;
            }
            *met += 1;
            let spent = fault.times != 0 && *met >= fault.nth.saturating_add(fault.times);
            if *met >= fault.nth && !spent && fired.is_none() {
                fired = Some(fault.value);
            }
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "fault-files")]
    use crate::SimConfig;

    #[cfg(feature = "fault-files")]
    fn parse(text: &str) -> Result<Vec<Fault>, FaultError> {
        SimConfig::default().parse_faults(text)
    }

    #[cfg(feature = "fault-files")]
    #[test]
    fn a_file_is_read_with_its_defaults() {
        let faults = parse(
            "[[fault]]\nkind = \"read-all-ones\"\nregister = \"POOL_STATUS\"\nindex = 2\nnth = 3\n\
             [[fault]]\nkind = \"gone\"\n",
        );
        let expected = vec![
            Fault::new(FaultKind::ReadAllOnes)
                .on("POOL_STATUS")
                .at(2)
                .from(3),
            Fault::new(FaultKind::Gone).times(0),
        ];
        assert_eq!(faults, Ok(expected));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[cfg(feature = "fault-files")]
    #[test]
    fn mistakes_name_their_line() {
        let text = |body: &str| {
            let file = format!("# a comment\n[[fault]]\n{body}\n");
            parse(&file).unwrap_err().to_string()
        };
        let kind = text("kind = \"lost\"");
        assert!(
            kind.contains("line 3") && kind.contains("lost-interrupt"),
            "{kind}"
        );
        let register = text("kind = \"gone\"\nregister = \"POOL\"");
        assert!(
            register.contains("line 4") && register.contains("`POOL`"),
            "{register}"
        );
        let key = text("kind = \"gone\"\nnht = 1");
        assert!(key.contains("line 4") && key.contains("nht"), "{key}");
        let index = text("kind = \"gone\"\nregister = \"POOL_BASE\"\nindex = 64");
        assert!(index.contains("64 registers"), "{index}");
        assert!(text("kind = \"stuck\"").contains("needs a `register`"));
        assert!(text("kind = \"gone\"\nnth = 0").contains("from 1"));
    }

    #[cfg(feature = "fault-files")]
    #[test]
    fn a_fault_that_a_device_can_not_have_is_refused_with_those_that_it_can() {
        let config = SimConfig::new("fifo").unwrap();
        let error = config.parse_faults("[[fault]]\nkind = \"stale-entry\"");
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("line 2") && text.contains("`stale-entry`"),
            "{text}"
        );
        let (_, known) = text.split_once("it can have").unwrap();
        assert!(known.contains("gone") && known.contains("wrong-count"));
        assert!(!known.contains("stale-entry"), "{known}");
        let pool = config.parse_faults("[[fault]]\nkind = \"gone\"\nregister = \"POOL_ALLOC\"");
        assert!(matches!(pool, Err(FaultError::UnknownRegister { .. })));
    }

    #[test]
    fn nth_and_times_count_matching_occurrences_only() {
        let fault = Fault::new(FaultKind::ReadFails)
            .on("MAGIC")
            .from(2)
            .times(2);
        let mut faults = Faults::new(vec![fault]);
        assert_eq!(faults.hit(FaultKind::ReadFails, "SCRATCH", 0), None);
        assert_eq!(faults.hit(FaultKind::ReadAllOnes, "MAGIC", 0), None);
        let fired: Vec<bool> = (0..4)
            .map(|_| faults.hit(FaultKind::ReadFails, "MAGIC", 0).is_some())
            .collect();
        assert_eq!(fired, [false, true, true, false]);
    }
}
