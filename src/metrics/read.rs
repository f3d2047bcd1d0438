//! Reads OpenMetrics text back into a snapshot, from whoever wrote it.

use super::families::{self, Family, Head, PREFIX, own};
use super::snapshot::{ChannelState, DeviceState, ListState, PoolState, Snapshot, Traffic};

/// Why a text is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A line is no sample.
    #[error("line {line} is no sample of OpenMetrics text: {text}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// How it begins.
        text: String,
    },
    /// The text ends without the line that ends it.
    #[error("the text ends without the line `# EOF`: {lines} lines came")]
    NoEnd {
        /// How many lines came.
        lines: usize,
    },
}

impl Snapshot {
    /// Reads a snapshot from OpenMetrics text. Families that are none of ours are passed over, so that a program can offer
    /// its own beside them; what is said twice counts as it was said last.
    ///
    /// # Errors
    ///
    /// A line that is no sample, and a text without an end.
    pub fn from_openmetrics(text: &str) -> Result<Snapshot, TextError> {
        let mut snapshot = Snapshot::default();
        for (number, line) in text.lines().enumerate() {
            if line == "# EOF" {
                return Ok(snapshot);
            }
            if line.starts_with('#') {
                continue;
            }
            let sample = Sample::parse(line).ok_or_else(|| TextError::Line {
                line: number + 1,
                text: line.chars().take(60).collect(),
            })?;
            if let Some(sample) = sample {
                snapshot.add(&sample);
            }
        }
        Err(TextError::NoEnd {
            lines: text.lines().count(),
        })
    }

    fn add(&mut self, sample: &Sample<'_>) {
        if sample.has("pool") {
            return self.pool(sample).add(sample);
        }
        if sample.has("device") {
            self.device(sample).add(sample);
        }
    }

    fn pool(&mut self, sample: &Sample<'_>) -> &mut PoolState {
        let name = sample.label("pool");
        let new = || PoolState {
            name: name.into(),
            backend: sample.label("backend").into(),
            ..PoolState::default()
        };
        found(&mut self.pools, |pool| pool.name == name, new)
    }

    fn device(&mut self, sample: &Sample<'_>) -> &mut DeviceState {
        let name = sample.label("device");
        let new = || DeviceState {
            name: name.into(),
            ..DeviceState::default()
        };
        found(&mut self.devices, |device| device.name == name, new)
    }
}

/// Finds one of several, or adds it.
fn found<S>(all: &mut Vec<S>, is_it: impl FnMut(&S) -> bool, new: impl FnOnce() -> S) -> &mut S {
    let at = all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    &mut all[at]
}

/// Takes a number over if one of the families has it.
fn take<S>(table: &[Family<S>], of: &mut S, sample: &Sample<'_>) {
    if let Some(family) = table.iter().find(|family| sample.is(&family.head)) {
        (family.set)(of, sample.value);
    }
}

impl PoolState {
    fn add(&mut self, sample: &Sample<'_>) {
        take(families::POOL, self, sample);
        match sample.state(&own::POOL_STATE) {
            Some("closed") => self.is_closed = sample.is_set(),
            Some("poisoned") => self.is_poisoned = sample.is_set(),
            _ => {}
        }
    }
}

impl DeviceState {
    fn add(&mut self, sample: &Sample<'_>) {
        if sample.is(&own::DEVICE) {
            self.kind = sample.label("kind").into();
        } else if sample.is(&own::FAULT) {
            self.fault = Some(sample.label("fault").into());
        } else if let Some(state) = sample.state(&own::DEVICE_STATE) {
            put(&mut self.states, state, sample.is_set());
        } else if let Some(kind) = sample.state(&own::ERROR_FLAG) {
            put(&mut self.error_flags, kind, sample.is_set());
        } else if sample.is(&own::ERRORS) {
            put(&mut self.error_counts, sample.label("kind"), sample.value);
        } else if sample.has("channel") {
            self.channel(sample);
        } else if sample.has("list") {
            take(families::LIST, self.list(sample.number("list")), sample);
        } else if sample.is(&own::INTERRUPTS) {
            self.interrupts(sample);
        } else if families::TRAFFIC
            .iter()
            .any(|family| sample.is(&family.head))
        {
            let traffic = self.traffic.get_or_insert_with(Traffic::default);
            take(families::TRAFFIC, traffic, sample);
        } else {
            take(families::DEVICE, self, sample);
        }
    }

    fn list(&mut self, index: u64) -> &mut ListState {
        let new = || ListState {
            index,
            ..ListState::default()
        };
        found(&mut self.lists, |list| list.index == index, new)
    }

    fn channel(&mut self, sample: &Sample<'_>) {
        let name = sample.label("channel");
        let new = || ChannelState {
            name: name.into(),
            list: sample.number("list"),
            ..ChannelState::default()
        };
        let channel = found(&mut self.channels, |channel| channel.name == name, new);
        take(families::CHANNEL, channel, sample);
        if let Some(state) = sample
            .state(&own::CHANNEL_STATE)
            .filter(|_| sample.is_set())
        {
            channel.state = state.into();
        }
    }

    /// Takes over what a vector sent; MSI-X has 2048 at most.
    fn interrupts(&mut self, sample: &Sample<'_>) {
        let vector = sample.number("vector") as usize;
        if vector < 2048 {
            let interrupts = &mut self.traffic.get_or_insert_with(Traffic::default).interrupts;
            interrupts.resize(interrupts.len().max(vector + 1), 0);
            interrupts[vector] = sample.value;
        }
    }
}

fn put<V>(pairs: &mut Vec<(String, V)>, name: &str, value: V) {
    match pairs.iter_mut().find(|(known, _)| known == name) {
        Some((_, place)) => *place = value,
        None => pairs.push((name.into(), value)),
    }
}

/// One sample of ours.
struct Sample<'t> {
    /// Its name without [`PREFIX`].
    name: &'t str,
    labels: Vec<(&'t str, String)>,
    value: u64,
}

impl<'t> Sample<'t> {
    /// Reads a line. `Some(None)` is a sample that is none of ours; `None` is no sample.
    fn parse(line: &'t str) -> Option<Option<Sample<'t>>> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if name.is_empty() || !name.chars().all(is_part) {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        // Behind the value may stand a time and an exemplar.
        let value = rest.strip_prefix(' ')?.split(' ').next()?;
        let number: f64 = value.parse().ok()?;
        let value = value.parse().unwrap_or(number as u64); // whole as a rule; what is not is cut off
        let name = name.strip_prefix(PREFIX);
        Some(name.map(|name| Sample {
            name,
            labels,
            value,
        }))
    }

    fn is(&self, head: &Head) -> bool {
        self.name.strip_suffix(head.kind.suffix()) == Some(head.name)
    }

    fn find(&self, label: &str) -> Option<&str> {
        let label = self.labels.iter().find(|(name, _)| *name == label);
        label.map(|(_, value)| value.as_str())
    }

    fn has(&self, label: &str) -> bool {
        self.find(label).is_some()
    }

    fn label(&self, label: &str) -> &str {
        self.find(label).unwrap_or("")
    }

    fn number(&self, label: &str) -> u64 {
        self.label(label).parse().unwrap_or(0)
    }

    fn is_set(&self) -> bool {
        self.value != 0
    }

    /// Returns which state of a set this tells of, if it is of that set.
    fn state(&self, head: &Head) -> Option<&str> {
        let is_it = |label: &&str| label.strip_prefix(PREFIX) == Some(head.name);
        let labels = self.labels.iter().filter(|(name, _)| is_it(name));
        labels
            .map(|(_, state)| state.as_str())
            .next()
            .filter(|_| self.is(head))
    }
}

/// Reads labels up to the bracket that closes them; returns what follows.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        labels.push((name, value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
}

/// Reads a value up to its closing quote; returns what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
