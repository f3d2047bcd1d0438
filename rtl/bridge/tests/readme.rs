//! The table of keys in README.md is that of the reader.

use std::fmt::Write as _;

use hwpool_describe::{Absent, Key, Kind};
use hwpool_rtl::design::KEYS;

fn rows(path: &str, keys: &[Key], out: &mut String) {
    for key in keys {
        let name = match path {
            "" => key.name.to_string(),
            path => format!("{path}.{}", key.name),
        };
        let absent = match &key.absent {
            Absent::Refused => "needed",
            Absent::Means(what) => what,
        };
        let words = match &key.kind {
            Kind::Word(words) => words
                .iter()
                .map(|word| format!(" `{}`: {}.", word.name, word.doc))
                .collect(),
            Kind::Number { least, most } if *most < 1 << 20 => format!(" {least} to {most}."),
            _ => String::new(),
        };
        writeln!(
            out,
            "| `{name}` | {}{words} | `{}` | {absent} |",
            key.doc, key.example
        )
        .unwrap();
        if let Kind::Part(keys) | Kind::Parts(keys) = key.kind {
            rows(&name, keys, out);
        }
    }
}

#[test]
fn the_readme_has_every_key() {
    let mut table = String::new();
    rows("", &KEYS, &mut table);
    let readme = include_str!("../README.md");
    if !readme.contains(&table) {
        panic!("README.md should have these rows:\n{table}");
    }
}
