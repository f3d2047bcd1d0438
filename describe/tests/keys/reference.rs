//! The reference page, made of the table of keys and held in the tree.

use std::fmt::Write as _;

use hwpool_describe::{Absent, Key, Kind, REGISTER, SCHEMA, TABLES, Table, Ways};

use crate::held;

#[test]
fn the_reference_is_that_of_the_keys() {
    held("REFERENCE.md", &reference());
}

fn reference() -> String {
    let mut page = format!(
        "# Descriptions of devices: every key\n\n\
         Made of the table of keys in `src/keys.rs`, as `hwpool.device-1.schema.json` is; the test `keys` holds both. A description\n\
         is a file of TOML whose `schema` is `{SCHEMA}`. [TUTORIAL.md](TUTORIAL.md) makes one in ten minutes.\n\n\
         Registers are named as `[registers]` or its file names them: `\"PUSH\"`. Bits are a register (all that it has), a field\n\
         `\"STATUS.EMPTY\"`, one bit `\"STATUS.0\"` or a run `\"STATUS.23:0\"`. Numbers are decimal, or `0x20`, `0o40`, `0b100000`. A key whose value is\n\
         `\"?\"` is an open question, as `hwpool describe import` leaves them: `hwpool describe check` names each.\n"
    );
    for table in TABLES {
        page += &section(table);
        if table.name == "registers" {
            page += "\nOf each register, in braces behind its name:\n\n";
            page += &rows(REGISTER, "");
        }
    }
    page
}

fn section(table: &Table) -> String {
    let title = match table.name {
        "" => "Above all tables".into(),
        name => format!("`[{name}]`"),
    };
    let need = match (table.name, table.must) {
        ("", _) => "",
        (_, true) => " It is needed.",
        (_, false) => " It may be left out.",
    };
    let mut text = format!("\n## {title}\n\n{}{need}\n\n", table.doc);
    text += &rows(table.keys, "");
    for (key, other) in table.needs {
        let _ = writeln!(text, "\n`{key}` needs `{other}`.");
    }
    let ways = || table.ways.keys().join("`, `");
    match table.ways {
        Ways::None => {}
        Ways::AtMostOne(_) => {
            let _ = writeln!(text, "\nAt most one of `{}`.", ways());
        }
        Ways::One(_) => {
            let _ = writeln!(text, "\nOne of `{}`, and no other.", ways());
        }
    }
    text
}

/// The rows of a table, those of tables in braces behind the key that they belong to.
fn rows(keys: &[Key], above: &str) -> String {
    let mut text = match above {
        "" => "| key | what may stand there | left out | what it says | example |\n| --- | --- | --- | --- | --- |\n".to_string(),
        _ => String::new(),
    };
    for key in keys {
        let name = format!("{above}{}", key.name);
        let absent = match key.absent {
            Absent::Refused => "it is needed",
            Absent::Means(what) => what,
        };
        let (doc, example) = (key.doc, key.example);
        let _ = writeln!(
            text,
            "| `{name}` | {} | {absent} | {doc}{} | `{example}` |",
            key.kind.wanted(),
            words(&key.kind)
        );
        if let Kind::Part(keys) | Kind::Parts(keys) = key.kind {
            text += &rows(keys, &format!("{name}."));
        }
    }
    text
}

fn words(kind: &Kind) -> String {
    let Kind::Word(words) = kind else {
        return String::new();
    };
    let words = words
        .iter()
        .map(|word| format!(" `{}`: {}.", word.name, word.doc));
    words.collect()
}
