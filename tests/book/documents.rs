//! Documents of `--json`: each kind has a schema, and a row in the table of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tree;

/// Kinds of documents that are no output of a verb: what one writes for itself, and what people write.
const NO_OUTPUT: [&str; 2] = ["hwpool.journal/1", "hwpool.device/1"];

#[test]
fn each_kind_of_document_has_a_schema_and_a_row() {
    let sources = tree::files("src");
    let kinds = sources.iter().flat_map(|file| kinds_in(&tree::read(file)));
    let kinds: BTreeSet<String> = kinds
        .filter(|kind| !NO_OUTPUT.contains(&kind.as_str()))
        .collect();
    let table = tree::read("docs/src/commands.md");
    let mut described = BTreeSet::new();
    for file in tree::files("docs/src/schemas") {
        let schema: Value = serde_json::from_str(&tree::read(&file)).expect("JSON");
        let kind = schema["properties"]["schema"]["const"].as_str();
        let kind = kind.expect("the kind of document");
        let link = file.trim_start_matches("docs/src/");
        assert!(table.contains(&format!("[`{kind}`]({link})")), "{link}");
        described.insert(kind.to_owned());
    }
    assert_eq!(kinds, described);
}

/// Returns each `hwpool.NAME/1` that stands in quotes.
fn kinds_in(source: &str) -> Vec<String> {
    let is_kind = |word: &&str| {
        let middle = word
            .strip_prefix("hwpool.")
            .and_then(|rest| rest.strip_suffix("/1"));
        middle.is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase()))
    };
    source
        .split('"')
        .filter(is_kind)
        .map(str::to_owned)
        .collect()
}
