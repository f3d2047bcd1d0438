//! A table of a TOML text, whose values are taken out by key, with the place of each.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Wrong, line_and_column, nearest, or};
use crate::keys::{Key, Kind, RUN, Ways, Word, plain};

/// A text and the name of its file.
#[derive(Debug, Copy, Clone)]
pub struct Text<'t> {
    /// What errors call it.
    pub file: &'t str,
    /// What it holds.
    pub text: &'t str,
}

impl<'t> Text<'t> {
    /// Reads it as TOML.
    ///
    /// # Errors
    ///
    /// It is no TOML.
    pub fn parse(&self) -> Result<Spanned<DeTable<'t>>, Wrong> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.wrong(at, "", error.message().lines().next().unwrap_or(""))
        })
    }

    /// Makes an error of what stands at a byte.
    pub fn wrong(&self, at: usize, key: &str, why: impl Into<String>) -> Wrong {
        Wrong {
            file: self.file.into(),
            place: Some(line_and_column(self.text, at)),
            key: key.into(),
            why: why.into(),
        }
    }
}

/// A table that is there, with the keys that it may hold.
#[derive(Debug, Copy, Clone)]
pub struct Node<'t> {
    pub(crate) text: Text<'t>,
    /// Its name with those above; empty for the root.
    path: &'t str,
    table: &'t DeTable<'t>,
    /// Where it begins.
    at: usize,
    keys: &'static [Key],
}

/// What stands behind a key.
#[derive(Debug, Copy, Clone)]
pub struct Entry<'t> {
    text: Text<'t>,
    table: &'t str,
    key: &'static Key,
    value: &'t Spanned<DeValue<'t>>,
}

/// Returns the entries of a table in the order of the file.
pub(crate) fn in_order<'t>(
    table: &'t DeTable<'t>,
) -> Vec<(&'t str, Range<usize>, &'t Spanned<DeValue<'t>>)> {
    let entries = table.iter();
    let mut entries: Vec<_> = entries
        .map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
        .collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// Returns what stands behind a key, and where the key stands.
pub(crate) fn find<'t>(
    table: &'t DeTable<'t>,
    key: &str,
) -> Option<(usize, &'t Spanned<DeValue<'t>>)> {
    let mut entries = table.iter();
    let found = entries.find(|(name, _)| name.get_ref() == key);
    found.map(|(name, value)| (name.span().start, value))
}

/// Joins a table and a key, as errors name them.
pub(crate) fn dotted(table: &str, key: &str) -> String {
    match (table, key) {
        ("", name) | (name, "") => name.into(),
        _ => format!("{table}.{key}"),
    }
}

impl<'t> Node<'t> {
    /// Makes a table of which nothing is known but its keys.
    pub(crate) fn unchecked(
        text: Text<'t>,
        path: &'t str,
        table: &'t DeTable<'t>,
        at: usize,
        keys: &'static [Key],
    ) -> Node<'t> {
        Node {
            text,
            path,
            table,
            at,
            keys,
        }
    }

    /// Makes a table that holds none but the keys, and the names of `others`; `path` is its name with those above, empty for
    /// the root, and `at` where it begins.
    ///
    /// # Errors
    ///
    /// A key that it may not hold.
    pub fn new(
        text: Text<'t>,
        path: &'t str,
        table: &'t DeTable<'t>,
        at: usize,
        keys: &'static [Key],
        others: &[&str],
    ) -> Result<Node<'t>, Wrong> {
        let node = Node::unchecked(text, path, table, at, keys);
        for (name, span, _) in in_order(table) {
            if node.key(name).is_none() && !others.contains(&name) {
                return Err(node.unknown(name, span.start, others));
            }
        }
        Ok(node)
    }

    fn unknown(&self, name: &str, at: usize, others: &[&str]) -> Wrong {
        let mut names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        names.extend(others.iter().filter(|name| !name.is_empty()));
        let whose = match self.path {
            "" => "here".to_string(),
            path => format!("in `{path}`"),
        };
        let why = format!(
            "`{name}` is no key {whose}: there are {}{}",
            or(&names).replace(" or ", " and "),
            nearest(name, &names)
        );
        self.text.wrong(at, &dotted(self.path, name), why)
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Returns the entry of a key that may be left out.
    pub fn may(&self, name: &str) -> Option<Entry<'t>> {
        let key = self.key(name)?;
        let (_, value) = find(self.table, name)?;
        Some(Entry {
            text: self.text,
            table: self.path,
            key,
            value,
        })
    }

    /// Returns the entry of a key that is needed.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn must(&self, name: &str) -> Result<Entry<'t>, Wrong> {
        self.may(name).ok_or_else(|| {
            let key = self.key(name);
            let doc = key.map_or(("", ""), |key| (key.doc, key.example));
            let why = format!(
                "`{}` is missing: {} Example: {name} = {}",
                dotted(self.path, name),
                doc.0,
                doc.1
            );
            self.wrong(name, why)
        })
    }

    /// Refuses a key without the one that it needs.
    pub(crate) fn check_needs(&self, needs: &[(&str, &str)]) -> Result<(), Wrong> {
        for (name, other) in needs {
            let (Some(entry), None) = (self.may(name), self.may(other)) else {
                continue;
            };
            let needed = self
                .key(other)
                .map_or(("", ""), |key| (key.doc, key.example));
            return Err(entry.wrong(format!(
                "`{}` needs `{}`, which is missing: {} Example: {other} = {}",
                entry.path(),
                dotted(self.path, other),
                needed.0,
                needed.1
            )));
        }
        Ok(())
    }

    /// Finds which one of several keys says it; `false` says nothing.
    pub(crate) fn way(&self, ways: &Ways) -> Result<Option<(&'static str, Entry<'t>)>, Wrong> {
        let mut said: Option<(&'static str, Entry<'t>)> = None;
        for way in ways.keys() {
            let Some(entry) = self.may(way) else {
                continue;
            };
            if matches!(entry.key.kind, Kind::Bool) && !entry.bool()? {
                continue;
            }
            if let Some((first, _)) = said {
                return Err(entry.wrong(format!(
                    "`{}`: `{first}` says it already: one of {} alone",
                    entry.path(),
                    ways.keys().join(", ")
                )));
            }
            said = Some((way, entry));
        }
        match (ways, said) {
            (Ways::One(keys), None) => Err(self.wrong(
                "",
                format!("`{}` says nothing: write one of {}", self.path, or(keys)),
            )),
            (_, said) => Ok(said),
        }
    }

    /// Makes an error of what the table lacks.
    pub fn wrong(&self, name: &str, why: impl Into<String>) -> Wrong {
        self.text.wrong(self.at, &dotted(self.path, name), why)
    }

    /// Makes an error of a key, at its value or, where it is left out, at the table.
    pub fn wrong_at(&self, name: &str, why: impl Into<String>) -> Wrong {
        match self.may(name) {
            Some(entry) => entry.wrong(why),
            None => self.wrong(name, why),
        }
    }
}

impl<'t> Entry<'t> {
    /// Returns its key with its table.
    pub(crate) fn path(&self) -> String {
        dotted(self.table, self.key.name)
    }

    /// Makes an error of what stands there.
    pub fn wrong(&self, why: impl Into<String>) -> Wrong {
        self.text.wrong(self.value.span().start, &self.path(), why)
    }

    /// Makes an error of a part of what stands there.
    pub fn wrong_in(&self, at: usize, why: impl Into<String>) -> Wrong {
        self.text.wrong(at, &self.path(), why)
    }

    /// Makes an error of something else than what may stand there.
    fn other(&self) -> Wrong {
        let there = shown(self.value.get_ref());
        self.wrong(format!(
            "`{}` is {there}: write {}, as in {} = {}",
            self.path(),
            self.key.kind.wanted(),
            self.key.name,
            self.key.example
        ))
    }

    /// Takes a text.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn text(&self) -> Result<&'t str, Wrong> {
        let text = self.value.get_ref().as_str();
        text.ok_or_else(|| self.other())
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn bool(&self) -> Result<bool, Wrong> {
        let bool = self.value.get_ref().as_bool();
        bool.ok_or_else(|| self.other())
    }

    /// Takes a whole number of the range of its key.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn number(&self) -> Result<u64, Wrong> {
        let (least, most) = match self.key.kind {
            Kind::Number { least, most } | Kind::NumberOrBits { least, most } => (least, most),
            _ => (0, u64::MAX),
        };
        let number = whole(self.value.get_ref()).filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.other())
    }

    /// Tells whether a number stands there.
    pub(crate) fn is_number(&self) -> bool {
        self.value.get_ref().is_integer()
    }

    /// Takes one of the numbers that may stand there.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn one_of(&self) -> Result<u64, Wrong> {
        let Kind::OneOf(numbers) = self.key.kind else {
            return self.number();
        };
        let number = whole(self.value.get_ref()).filter(|number| numbers.contains(number));
        number.ok_or_else(|| self.other())
    }

    /// Takes one of the words that may stand there.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn word<T: Copy>(&self, words: &[Word<T>]) -> Result<T, Wrong> {
        let names: Vec<&str> = words.iter().map(|word| word.name).collect();
        let there = (self.value.get_ref().as_str()).ok_or_else(|| self.other())?;
        let word = words.iter().find(|word| word.name == there);
        word.map(|word| word.is).ok_or_else(|| {
            self.wrong(format!(
                "`{there}` is no `{}`: write {}{}",
                self.path(),
                or(&names),
                nearest(there, &names)
            ))
        })
    }

    /// Takes a run of bits: high and low, both inclusive.
    pub(crate) fn run(&self) -> Result<(u8, u8), Wrong> {
        run_of(self.value.get_ref()).ok_or_else(|| self.other())
    }

    /// Takes a table in braces. `path` is its name with those above.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn part(&self, path: &'t str) -> Result<Node<'t>, Wrong> {
        let Kind::Part(keys) = self.key.kind else {
            return Err(self.other());
        };
        self.node(self.value, path, keys)
    }

    /// Takes a list of tables in braces.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn parts(&self, path: &'t str) -> Result<Vec<Node<'t>>, Wrong> {
        let Kind::Parts(keys) = self.key.kind else {
            return Err(self.other());
        };
        let items = self.items()?.iter();
        items.map(|item| self.node(item, path, keys)).collect()
    }

    fn node(
        &self,
        value: &'t Spanned<DeValue<'t>>,
        path: &'t str,
        keys: &'static [Key],
    ) -> Result<Node<'t>, Wrong> {
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.other())?;
        Node::new(self.text, path, table, value.span().start, keys, &[])
    }

    /// Takes a list of texts, with the place of each.
    ///
    /// # Errors
    ///
    /// Something else stands there.
    pub fn texts(&self) -> Result<Vec<(&'t str, usize)>, Wrong> {
        let items = self.items()?.iter();
        let texts = items.map(|item| {
            let text = item.get_ref().as_str();
            let text = text.ok_or_else(|| self.other())?;
            Ok((text, item.span().start))
        });
        texts.collect()
    }

    fn items(&self) -> Result<&'t [Spanned<DeValue<'t>>], Wrong> {
        let items = self.value.get_ref().as_array();
        items.map(|items| &items[..]).ok_or_else(|| self.other())
    }

    /// Takes named runs of bits in the order of the file: name, high, low, and the place of the name.
    pub(crate) fn fields(&self) -> Result<Vec<(&'t str, u8, u8, usize)>, Wrong> {
        let table = self.value.get_ref().as_table();
        let table = table.ok_or_else(|| self.other())?;
        let fields = in_order(table).into_iter().map(|(name, span, value)| {
            let (high, low) = run_of(value.get_ref()).ok_or_else(|| {
                let there = shown(value.get_ref());
                let why = format!("the bits of `{name}` are {there}: write {RUN}");
                self.text.wrong(value.span().start, &self.path(), why)
            })?;
            Ok((name, high, low, span.start))
        });
        fields.collect()
    }
}

/// Returns the whole number that a value is.
pub(crate) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Reads `"23:0"` or a bit's number: high and low.
fn run_of(value: &DeValue<'_>) -> Option<(u8, u8)> {
    if let Some(text) = value.as_str() {
        return parse_run(text);
    }
    let bit = whole(value).and_then(|bit| u8::try_from(bit).ok())?;
    (bit < 64).then_some((bit, bit))
}

/// Reads `23:0` or `31`: high and low, below 64, low not above high.
pub(crate) fn parse_run(text: &str) -> Option<(u8, u8)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    let (high, low) = match text.split_once(':') {
        Some((high, low)) => (number(high)?, number(low)?),
        None => (number(text)?, number(text)?),
    };
    (low <= high && high < 64).then_some((high, low))
}

/// Says what a value is, for a sentence.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("the text \"{text}\""),
        DeValue::String(_) => "a long text".into(),
        DeValue::Integer(number) => match whole(value) {
            Some(number) => plain(number),
            None => number.to_string(),
        },
        DeValue::Float(number) => format!("{number}, which is not whole"),
        DeValue::Boolean(bool) => bool.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
