//! What a rung saw, and why it did not pass.

use std::borrow::Cow;
use std::fmt;

use crate::report::Series;

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A number of something.
    Count(u64),
    /// A register's value or an address.
    Hex(u64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Count(n) => write!(f, "{n}"),
            Item::Hex(n) => write!(f, "{n:#x}"),
            Item::Text(text) => f.write_str(text),
        }
    }
}

/// What a rung saw, in the order in which it saw it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// Names and what was seen by them.
    pub items: Vec<(Cow<'static, str>, Item)>,
    /// What is worth a plot.
    pub series: Vec<Series>,
}

impl Evidence {
    /// Notes a number of something.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<u64>) {
        self.items.push((name.into(), Item::Count(value.into())));
    }

    /// Notes a register's value or an address.
    pub fn hex(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<u64>) {
        self.items.push((name.into(), Item::Hex(value.into())));
    }

    /// Notes anything else.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) {
        let value = Item::Text(value.to_string());
        self.items.push((name.into(), value));
    }

    /// Returns what was seen by a name.
    pub fn get(&self, name: &str) -> Option<&Item> {
        let found = self.items.iter().find(|(seen, _)| seen == name);
        found.map(|(_, item)| item)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, item)) in self.items.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {item}")?;
        }
        Ok(())
    }
}

/// Why a rung did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The device is not as specified, or does not answer.
    Fail(String),
    /// The device does not have what the rung checks.
    Skip(String),
    /// Somebody ended the climb in the middle of the rung; nothing was wrong until then.
    Ended(String),
}

impl<E: std::error::Error> From<E> for Failure {
    /// Keeps the whole chain of causes.
    fn from(error: E) -> Failure {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Failure::Fail(text)
    }
}

/// Fails the rung with a message unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err($crate::bringup::Failure::Fail(format!($($message)+)));
        }
    };
}
pub(super) use ensure;
