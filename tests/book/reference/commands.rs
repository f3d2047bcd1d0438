//! What `--help` says of every command, and the documents that `--json` prints.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::tree::{files, read};

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Commands: options and documents\n\n\
         What `hwpool VERB --help` prints. [Commands](../commands.md) is the short form, with the exit codes.\n",
    );
    for verb in verbs(&[]) {
        page += &section(&[&verb], "##");
        for action in verbs(&[&verb]) {
            page += &section(&[&verb, &action], "###");
        }
    }
    page += "\n## Documents\n\n\
        With `--json` a command prints one document to stdout; logs go to stderr. Its key `schema` says what it is, and the number behind the slash\n\
        changes when a key goes or means something else.\n\n| schema | in |\n| --- | --- |\n";
    for (schema, file) in schemas() {
        page += &format!("| `{schema}` | `{file}` |\n");
    }
    page
}

fn section(words: &[&str], level: &str) -> String {
    let text = help(words);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!(
        "\n{level} hwpool {}\n\n```text\n{}\n```\n",
        words.join(" "),
        lines.join("\n").trim()
    )
}

fn help(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    // Without a terminal, whose width would count.
    let output = command
        .args(words)
        .arg("--help")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    let output = output.expect("hwpool runs");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the commands that a help lists, none of one that has none.
fn verbs(words: &[&str]) -> Vec<String> {
    let text = help(words);
    let listed = text.lines().skip_while(|line| {
        !line.starts_with("Commands:") && !line.starts_with("Usage: hwpool [OPTIONS] <COMMAND>")
    });
    let names = listed.skip(1).map_while(|line| {
        let name = line.strip_prefix("  ")?.split_whitespace().next()?;
        (!name.starts_with('-')).then(|| name.to_owned())
    });
    names.filter(|name| name != "help").collect()
}

/// Returns the schemas that the sources name, with the file of each.
fn schemas() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in files("src") {
        let text = read(&path);
        // What comes after is tests.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for part in text.split("\"hwpool.").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            let is_schema = name
                .split_once('/')
                .is_some_and(|(_, number)| number.chars().all(|digit| digit.is_ascii_digit()));
            if is_schema {
                found
                    .entry(format!("hwpool.{name}"))
                    .or_insert_with(|| path.clone());
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}
