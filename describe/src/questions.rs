//! Open questions: keys with a `"?"` for their value, which a first description has where its register file tells nothing.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{DescribeError, Wrong};
use crate::keys::{Absent, Key, Kind, REGISTER, TABLES};
use crate::node::{Text, dotted, find, in_order};

/// What stands for an answer that nobody gave yet.
pub(crate) const OPEN: &str = "?";

/// Returns the questions that a text leaves open, each with what may be written instead.
pub(crate) fn open(text: Text<'_>, root: &DeTable<'_>) -> Vec<DescribeError> {
    let mut questions = Questions {
        text,
        open: Vec::new(),
    };
    for table in TABLES {
        let found = match table.name {
            "" => Some(root),
            name => find(root, name).and_then(|(_, value)| value.get_ref().as_table()),
        };
        let Some(found) = found else {
            continue;
        };
        questions.table(table.name, found, table.keys);
        if table.name == "registers" {
            for (name, _, value) in in_order(found) {
                questions.part(&dotted(table.name, name), value, REGISTER);
            }
        }
    }
    questions.open
}

struct Questions<'t> {
    text: Text<'t>,
    open: Vec<DescribeError>,
}

impl Questions<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>, keys: &'static [Key]) {
        for key in keys {
            if let Some((_, value)) = find(table, key.name) {
                self.value(&dotted(path, key.name), value, key);
            }
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, key: &Key) {
        if value.get_ref().as_str() == Some(OPEN) {
            self.open
                .push(question(self.text, path, value.span().start, key).into());
        }
        match key.kind {
            Kind::Part(keys) => self.part(path, value, keys),
            Kind::Parts(keys) => {
                let parts = value.get_ref().as_array().into_iter();
                parts
                    .flat_map(|parts| parts.iter())
                    .for_each(|part| self.part(path, part, keys));
            }
            _ => {}
        }
    }

    fn part(&mut self, path: &str, value: &Spanned<DeValue<'_>>, keys: &'static [Key]) {
        if let Some(table) = value.get_ref().as_table() {
            self.table(path, table, keys);
        }
    }
}

fn question(text: Text<'_>, path: &str, at: usize, key: &Key) -> Wrong {
    let absent = match key.absent {
        Absent::Refused => String::new(),
        Absent::Means(what) => format!("; left out it is: {what}"),
    };
    let doc = key.doc.trim_end_matches('.');
    let (name, wanted, example) = (key.name, key.kind.wanted(), key.example);
    let why = format!(
        "`{path}` is an open question: {doc}. Write {wanted}, as in {name} = {example}{absent}"
    );
    text.wrong(at, path, why)
}
