//! What a rung saw.

use std::borrow::Cow;
use std::fmt;

use crate::report::{Item, Seen, Series};

/// What a rung saw, in the order in which it saw it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// Names and what was seen by them.
    pub items: Vec<Seen>,
    /// What is worth a plot.
    pub series: Vec<Series>,
}

impl Evidence {
    /// Notes a number of something.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<u64>) {
        self.note(name, Item::Count(value.into()));
    }

    /// Notes a register's value or an address.
    pub fn hex(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<u64>) {
        self.note(name, Item::Hex(value.into()));
    }

    /// Notes anything else.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) {
        self.note(name, Item::Text(value.to_string()));
    }

    /// Returns what was seen by a name.
    pub fn get(&self, name: &str) -> Option<&Item> {
        let found = self.items.iter().find(|seen| seen.name == name);
        found.map(|seen| &seen.item)
    }

    fn note(&mut self, name: impl Into<Cow<'static, str>>, item: Item) {
        let name = name.into();
        self.items.push(Seen { name, item });
    }
}
