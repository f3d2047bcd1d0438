//! The report of one bring-up as data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Name and version of the document's layout, in its field `schema`.
pub const SCHEMA: &str = "hwpool.bringup/1";

/// The report of one bring-up. Fields that a reader does not know are to be ignored; those that an older writer did
/// not know have defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The device's address.
    pub device: String,
    /// How the run came about.
    #[serde(default)]
    pub about: About,
    /// The rungs, from the lowest up.
    pub checks: Vec<Check>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many did not apply to the device or were not chosen.
    pub skipped: usize,
    /// How many could not be run.
    #[serde(default)]
    pub blocked: usize,
}

impl Document {
    /// Counts the verdicts of the checks anew: what a file says of them may be anything.
    pub fn count(&mut self) {
        let with = |status: &str| {
            let checks = self.checks.iter();
            checks.filter(|check| check.status == status).count()
        };
        (self.passed, self.failed) = (with("pass"), with("fail"));
        (self.skipped, self.blocked) = (with("skip"), with("blocked"));
    }

    /// Tells whether the board is proved, as far as rungs were chosen: something passed, and all the rest was skipped.
    pub fn is_good(&self) -> bool {
        self.passed > 0 && self.passed + self.skipped == self.checks.len()
    }

    /// Returns the verdict in words.
    pub fn verdict(&self) -> &'static str {
        let is_whole = self.checks.iter().all(|check| !check.left_out);
        match (self.is_good(), is_whole) {
            (true, true) => "proved",
            (true, false) => "proved as far as chosen",
            (false, _) => "not proved",
        }
    }

    /// Returns the counts in words.
    pub fn counts(&self) -> String {
        let (passed, failed, skipped) = (self.passed, self.failed, self.skipped);
        let blocked = match self.blocked {
            0 => String::new(),
            blocked => format!(", {blocked} blocked"),
        };
        format!("{passed} passed, {failed} failed, {skipped} skipped{blocked}")
    }
}

/// How a run came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Version of hwpool.
    pub hwpool: String,
    /// Release of the kernel it ran on.
    pub kernel: String,
    /// When it began, in RFC 3339 and UTC.
    pub started: String,
    /// What the random choices of a model came from; a board has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Name of the plan it followed.
    pub plan: Option<String>,
}

/// The verdict on one rung.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// Stable name, such as `portal.unique`.
    pub id: String,
    /// Number on the ladder.
    pub rung: u8,
    /// What the rung does to a device: `read-only`, `safe-write`, `disruptive` or `opt-in`.
    pub class: String,
    /// What it proves, in a few words.
    pub title: String,
    /// `pass`, `fail`, `skip` or `blocked`.
    pub status: String,
    /// It was skipped because it was not chosen, not because the device does not have what it checks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// What it took, in real time.
    pub seconds: f64,
    /// Why it did not pass.
    pub message: Option<String>,
    /// Probable causes of a failure, the likeliest first.
    pub causes: Vec<String>,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// Registers that changed over the rung.
    pub registers: Vec<Delta>,
    /// Status words of PCIe errors (AER) that changed over the rung.
    pub aer: Vec<Delta>,
    /// What is worth a plot.
    pub series: Vec<Series>,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is.
    pub name: String,
    /// A number or a text.
    pub value: serde_json::Value,
    /// The number is a register's value or an address, and read best in base 16.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hex: bool,
}

impl fmt::Display for Evidence {
    /// Writes the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.value.as_u64()) {
            (serde_json::Value::String(text), _) => f.write_str(text),
            (_, Some(number)) if self.hex => write!(f, "{number:#x}"),
            (value, _) => write!(f, "{value}"),
        }
    }
}

/// A value that changed over a rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Name of the register or counter.
    pub name: String,
    /// Its value before.
    pub before: u64,
    /// Its value after.
    pub after: u64,
}

impl fmt::Display for Delta {
    /// Writes the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} → {:#x}", self.before, self.after)
    }
}

/// Measured points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What was measured.
    pub name: String,
    /// How to draw it.
    pub kind: Plot,
    /// Quantity and unit of the first of each pair.
    pub x: String,
    /// Quantity and unit of the second of each pair.
    pub y: String,
    /// The points, in ascending order of the first of each pair.
    pub points: Vec<(f64, f64)>,
}

/// How a [`Series`] is drawn.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plot {
    /// A line through the points.
    Line,
    /// Bars: from each point's `x` to the next one's.
    Histogram,
}
