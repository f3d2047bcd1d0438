//! What a check says, and whether that speaks against binding the function.

use crate::host::usage::{Reason, Use};

/// What a check found.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// hwpool can drive the function, but something is not as it should be.
    Warn,
    /// hwpool can't drive the function as things are.
    Block,
    /// There is nothing to check, or the files that would tell are not to be read.
    Unknown,
}

impl Verdict {
    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Block => "block",
            Verdict::Unknown => "unknown",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name of the check, for programs; it stays.
    pub id: &'static str,
    /// What it found.
    pub verdict: Verdict,
    /// What was read.
    pub evidence: Vec<String>,
    /// Why it is not well, probably.
    pub cause: Option<String>,
    /// What to do about it, step by step.
    pub remedy: Vec<String>,
    /// Whether `bind` refuses because of it.
    pub stand: Stand,
}

/// Whether `bind` refuses because of what a check found. Whatever warns or blocks takes a stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// Nothing was found.
    Nothing,
    /// It refuses, by this name.
    Against(Reason),
    /// It refuses for each of these uses.
    Uses(Vec<Use>),
    /// It does not, and why.
    Not(&'static str),
}

impl Row {
    pub(super) fn new(id: &'static str, verdict: Verdict) -> Row {
        Row {
            id,
            verdict,
            evidence: Vec::new(),
            cause: None,
            remedy: Vec::new(),
            stand: Stand::Nothing,
        }
    }

    pub(super) fn ok(id: &'static str) -> Row {
        Row::new(id, Verdict::Ok)
    }

    pub(super) fn warn(id: &'static str, stand: Stand) -> Row {
        Row::ok(id).but(Verdict::Warn, stand)
    }

    pub(super) fn block(id: &'static str, stand: Stand) -> Row {
        Row::ok(id).but(Verdict::Block, stand)
    }

    pub(super) fn unknown(id: &'static str) -> Row {
        Row::new(id, Verdict::Unknown)
    }

    /// Makes a finding of it.
    pub(super) fn but(self, verdict: Verdict, stand: Stand) -> Row {
        Row {
            verdict,
            stand,
            ..self
        }
    }

    /// Returns what speaks against binding the function.
    pub fn objections(&self) -> Vec<Use> {
        match &self.stand {
            Stand::Nothing | Stand::Not(_) => Vec::new(),
            Stand::Uses(uses) => uses.clone(),
            Stand::Against(reason) => {
                let cause = self.cause.as_deref().unwrap_or("see `hwpool doctor`");
                let evidence = self.evidence.join(", ");
                vec![Use::new(*reason, format!("{evidence}: {cause}"))]
            }
        }
    }

    pub(super) fn evidence(mut self, text: impl Into<String>) -> Row {
        self.evidence.push(text.into());
        self
    }

    pub(super) fn cause(mut self, text: impl Into<String>) -> Row {
        self.cause = Some(text.into());
        self
    }

    pub(super) fn remedy(mut self, text: impl Into<String>) -> Row {
        self.remedy.push(text.into());
        self
    }
}
