//! `hwpool describe check`: every mistake of a description, with its place.

use std::path::Path;

use hwpool::describe::{self, DescribeError};
use hwpool::devices::description::{Depth, Description};
use serde_json::{Value, json};

use super::document::{SCHEMA, chain, mistake};
use crate::cli::arguments::text;
use crate::cli::exit::{Usage, say};
use crate::cli::output::Output;

/// Prints what a good description is of, or what is wrong with one.
pub(super) fn run(file: &Path, output: Output) -> anyhow::Result<()> {
    match describe::check(file) {
        Ok(description) => good(file, &description, output),
        Err(errors) => wrong(file, &errors, output),
    }
}

fn good(file: &Path, description: &Description, output: Output) -> anyhow::Result<()> {
    let Description { name, title, .. } = description;
    let registers = description.registers.len();
    let values = match description.depth {
        Depth::Fixed(depth) => format!("{depth} values"),
        Depth::Register(bits) => format!("as many values as {} says", {
            &description.row(bits.register).name
        }),
    };
    output.print(
        || {
            json!({ "schema": SCHEMA, "file": text(file), "good": true, "name": name, "title": title,
                    "registers": registers, "mistakes": [] })
        },
        || {
            format!(
                "{}: {title}, {registers} registers, a list of {values}: no mistakes\n",
                file.display()
            )
        },
    )
}

/// Tells each mistake: to a program as a document, to people on stderr, where those of any verb go.
fn wrong(file: &Path, errors: &[DescribeError], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        let mistakes: Vec<Value> = errors.iter().map(mistake).collect();
        let document =
            json!({ "schema": SCHEMA, "file": text(file), "good": false, "mistakes": mistakes });
        output.print(|| document, String::new)?;
    }
    let (last, others) = errors
        .split_last()
        .map_or((None, &[][..]), |(last, others)| (Some(last), others));
    for error in others {
        say(&chain(error));
    }
    Err(Usage(last.map_or(String::new(), chain)).into())
}
