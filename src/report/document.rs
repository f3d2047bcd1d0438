//! The report of one bring-up as data.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Name and version of the document's layout, in its field `schema`.
pub const SCHEMA: &str = "hwpool.bringup/1";

/// The report of one bring-up. Fields that a reader does not know are to be ignored; those that an older writer did
/// not know have defaults.
///
/// Its JSON has the counts of verdicts besides. They are counted when it is written and not believed when it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Report {
    /// [`SCHEMA`], unless it was read from a file that says otherwise.
    pub schema: String,
    /// The device's address.
    pub device: String,
    /// How the run came about.
    #[serde(default)]
    pub about: About,
    /// The rungs, from the lowest up.
    pub checks: Vec<Check>,
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Report", 8)?;
        map.serialize_field("schema", &self.schema)?;
        map.serialize_field("device", &self.device)?;
        map.serialize_field("about", &self.about)?;
        map.serialize_field("checks", &self.checks)?;
        map.serialize_field("passed", &self.count(Status::Pass))?;
        map.serialize_field("failed", &self.count(Status::Fail))?;
        map.serialize_field("skipped", &self.count(Status::Skip))?;
        map.serialize_field("blocked", &self.count(Status::Blocked))?;
        map.end()
    }
}

impl Report {
    /// Makes the report of a run that just ended.
    pub fn new(device: &str, checks: Vec<Check>) -> Report {
        Report {
            schema: SCHEMA.into(),
            device: device.into(),
            about: About::default(),
            checks,
        }
    }

    /// Returns how many rungs ended with `status`.
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }

    /// Tells whether the board is proved, as far as rungs were chosen: something passed, and all the rest was skipped.
    pub fn is_good(&self) -> bool {
        let (passed, skipped) = (self.count(Status::Pass), self.count(Status::Skip));
        passed > 0 && passed + skipped == self.checks.len()
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
        let [passed, failed, skipped] =
            [Status::Pass, Status::Fail, Status::Skip].map(|status| self.count(status));
        let blocked = match self.count(Status::Blocked) {
            0 => String::new(),
            blocked => format!(", {blocked} blocked"),
        };
        format!("{passed} passed, {failed} failed, {skipped} skipped{blocked}")
    }
}

/// How a rung ended.
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The device does what the specification says.
    Pass,
    /// It does not.
    Fail,
    /// The device does not have what the rung checks, or the rung was not chosen.
    Skip,
    /// A rung that this one needs did not pass, or the climb was ended before.
    Blocked,
    /// A file says something else: a later program wrote it, or none. It proves nothing.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Returns the word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Skip => "skip",
            Status::Blocked => "blocked",
            Status::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
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
    pub id: Cow<'static, str>,
    /// Number on the ladder.
    pub rung: u8,
    /// What the rung does to a device: `read-only`, `safe-write`, `disruptive` or `opt-in`.
    pub class: Cow<'static, str>,
    /// What it proves, in a few words.
    pub title: Cow<'static, str>,
    /// How it ended.
    pub status: Status,
    /// It was skipped because it was not chosen, not because the device does not have what it checks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// What it took, in real time.
    pub seconds: f64,
    /// Why it did not pass.
    pub message: Option<String>,
    /// Probable causes of a failure, the likeliest first; none where nothing is known.
    pub causes: Vec<Cow<'static, str>>,
    /// What was seen, in the order in which it was.
    pub evidence: Vec<Seen>,
    /// Registers that changed over the rung.
    pub registers: Vec<Delta>,
    /// Status words of PCIe errors (AER) that changed over the rung.
    pub aer: Vec<Delta>,
    /// What is worth a plot.
    pub series: Vec<Series>,
}

impl Check {
    /// Returns what was seen by a name.
    pub fn seen(&self, name: &str) -> Option<&Item> {
        let found = self.evidence.iter().find(|seen| seen.name == name);
        found.map(|seen| &seen.item)
    }

    /// Returns what a failure probably comes from, in words; where nothing is known it says so.
    pub(super) fn told_causes(&self) -> Vec<&str> {
        match (self.status, self.causes.as_slice()) {
            (Status::Fail, []) => vec!["unknown: nothing that hwpool knows of has this symptom"],
            (_, causes) => causes.iter().map(|cause| &**cause).collect(),
        }
    }
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What it is.
    pub name: Cow<'static, str>,
    /// A number or a text.
    #[serde(flatten)]
    pub item: Item,
}

/// What was seen of something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Item {
    /// A number of something.
    Count(u64),
    /// A register's value or an address, read best in base 16.
    Hex(u64),
    /// A number that no rung of this program notes, such as a fraction.
    Number(f64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Count(n) => write!(f, "{n}"),
            Item::Hex(n) => write!(f, "{n:#x}"),
            Item::Number(n) => write!(f, "{n}"),
            Item::Text(text) => f.write_str(text),
        }
    }
}

/// An [`Item`] as JSON has it.
#[derive(Serialize, Deserialize)]
struct Written {
    value: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hex: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl From<Written> for Item {
    fn from(Written { value, hex }: Written) -> Item {
        match value {
            Value::Whole(n) if hex => Item::Hex(n),
            Value::Whole(n) => Item::Count(n),
            Value::Number(n) => Item::Number(n),
            Value::Text(text) => Item::Text(text),
        }
    }
}

impl From<Item> for Written {
    fn from(item: Item) -> Written {
        let hex = matches!(item, Item::Hex(_));
        let value = match item {
            Item::Count(n) | Item::Hex(n) => Value::Whole(n),
            Item::Number(n) => Value::Number(n),
            Item::Text(text) => Value::Text(text),
        };
        Written { value, hex }
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
