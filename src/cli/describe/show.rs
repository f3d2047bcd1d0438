//! `hwpool describe show`: the registers of a description, its meaning, and what bring-up checks by it.

use std::path::Path;

use hwpool::bringup;
use hwpool::describe;
use hwpool::devices::description::Description;
use hwpool::devices::family::Described;
use hwpool::devices::reg::Register;
use serde_json::{Value, json};

use super::document::SCHEMA;
use super::meaning;
use crate::cli::arguments::text;
use crate::cli::exit::Usage;
use crate::cli::output::Output;
use crate::cli::regs::{DOC_COLUMN, row_json, row_text};

/// Where a sentence begins, behind what it is about.
const SENTENCE_COLUMN: usize = 12;
/// Where it stands what a rung proves.
const TITLE_COLUMN: usize = 24;

pub(super) fn run(file: &Path, output: Output) -> anyhow::Result<()> {
    let description = describe::read(file).map_err(Usage::of)?;
    let described = Described::keep(description).map_err(Usage::of)?;
    let description = described.description;
    output.print(
        || json(file, description, described.about.module),
        || {
            let sections = [
                head(description),
                output.fold(&registers(description), DOC_COLUMN),
                output.fold(&sentences(description), SENTENCE_COLUMN),
                output.fold(&rungs(description, described.about.module), TITLE_COLUMN),
            ];
            sections.join("\n")
        },
    )
}

fn head(description: &Description) -> String {
    let Description {
        name,
        title,
        doc,
        source,
        ..
    } = description;
    let mut text = format!("{name}: {title}\n");
    let of = |what: &str, said: &str| match said.is_empty() {
        true => String::new(),
        false => format!("{what}{said}\n"),
    };
    text += &of("", doc);
    text += &of("source: ", source);
    text
}

fn registers(description: &Description) -> String {
    let mut rows: Vec<&Register> = description.registers.iter().collect();
    rows.sort_by_key(|row| row.offset());
    let line = |row: &Register| format!("{}\n{}", row_text(row).trim_end(), fields(row));
    let lines = rows.into_iter().map(line);
    let lines: String = lines.collect();
    format!(
        "registers: BAR, offset, bits, access, value after a reset; at least {:#x} bytes\n{lines}",
        description.size
    )
}

fn fields(row: &Register) -> String {
    let lines = row.fields.iter().map(|field| {
        let bits = match field.low == field.high {
            true => field.low.to_string(),
            false => format!("{}:{}", field.high, field.low),
        };
        let line = format!("  {bits:>5} {:<18} {}", field.name, field.doc);
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn sentences(description: &Description) -> String {
    let lines = meaning::sentences(description);
    let lines = lines
        .iter()
        .map(|(about, said)| format!("{about:<11} {said}\n"));
    format!("what it says\n{}", lines.collect::<String>())
}

fn rungs(description: &Description, module: &str) -> String {
    let lines = bringup::rungs_of(module)
        .into_iter()
        .map(|(number, id, _, title)| {
            let told = match meaning::checked(description, id) {
                Ok(None) => title.to_string(),
                Ok(Some(said)) => format!("{title}: {said}"),
                Err(why) => format!("{title}: left out, {why}"),
            };
            format!("{number:>4} {id:<18} {told}\n")
        });
    format!(
        "what bring-up checks, from the lowest rung up\n{}",
        lines.collect::<String>()
    )
}

fn json(file: &Path, description: &Description, module: &str) -> Value {
    let ids = description.ids.iter();
    let ids: Vec<String> = ids
        .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"))
        .collect();
    let sentence = |(about, said): (&'static str, String)| json!({ "about": about, "says": said });
    let rung = |(number, id, class, title): (u8, &str, bringup::Class, &str)| {
        let checked = meaning::checked(description, id);
        json!({ "rung": number, "id": id, "class": class.word(), "title": title,
                "checks": checked.clone().ok().flatten(), "left_out": checked.err() })
    };
    json!({
        "schema": SCHEMA, "file": text(file), "name": description.name, "title": description.title,
        "doc": description.doc, "source": description.source, "ids": ids, "bar": description.bar,
        "bytes": description.size,
        "registers": description.registers.iter().map(row_json).collect::<Vec<_>>(),
        "meaning": meaning::sentences(description).into_iter().map(sentence).collect::<Vec<_>>(),
        "rungs": bringup::rungs_of(module).into_iter().map(rung).collect::<Vec<_>>(),
    })
}
