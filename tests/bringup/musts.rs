//! Each "must" of a specification and each row of its tables, and what becomes of a device that breaks it.
//!
//! `devices/src/bmu/MUSTS.md` is the data of this test. Whatever SPEC.md demands has an entry there, in its own words: a
//! sentence with "must", or a row of a table that is no list of registers (but that of capabilities). An entry names the rung that looks, the
//! device that breaks it, and words of what the rung says and of the cause that it gives; or why no host can see it. Each
//! such device is climbed here, and that rung is the first to fail.

use std::ops::ControlFlow;

use hwpool::bringup::{self, Status};
use hwpool::device::AnyTransport;
use hwpool::sim::{Fault, FaultKind, Lie};

const SPEC: &str = include_str!("../../devices/src/bmu/SPEC.md");
const MUSTS: &str = include_str!("../../devices/src/bmu/MUSTS.md");

/// Something that a specification says, with the number of its section.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    section: String,
    text: String,
}

/// Reads the number of a section from a line that is its heading.
fn heading(line: &str) -> Option<&str> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let number = title.split_whitespace().next()?;
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    is_number.then(|| number.trim_end_matches('.'))
}

/// Cuts running text into sentences.
fn sentences(paragraph: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let last = found.last_mut().expect("there is one");
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
        if word.ends_with('.') {
            found.push(String::new());
        }
    }
    found.retain(|sentence| !sentence.is_empty());
    found
}

fn demands(sentence: &str) -> bool {
    let words = |c: char| !c.is_ascii_alphabetic();
    sentence
        .split(words)
        .any(|word| word.eq_ignore_ascii_case("must"))
}

/// What a specification says: every sentence, and every row of every table.
#[derive(Default)]
struct Said {
    sentences: Vec<Item>,
    /// Rows of tables that are no list of registers.
    rows: Vec<Item>,
}

fn read(spec: &str) -> Said {
    // What comes before the first section is of section 0.
    let (mut said, mut section) = (Said::default(), String::from("0"));
    let (mut paragraph, mut table, mut is_code) = (String::new(), Vec::new(), false);
    for line in spec.lines().chain([""]) {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let is_row = line.starts_with('|') && !is_code;
        if !is_row && !table.is_empty() {
            take_table(&mut said, &section, &std::mem::take(&mut table));
        }
        let is_text = !is_code && !is_row && !line.is_empty() && heading(line).is_none();
        if !is_text && !paragraph.is_empty() {
            let text = std::mem::take(&mut paragraph);
            let item = |text| Item {
                section: section.clone(),
                text,
            };
            said.sentences
                .extend(sentences(&text).into_iter().map(item));
        }
        if is_row {
            table.push(line);
        } else if is_text {
            paragraph += line;
            paragraph.push(' ');
        }
        if let Some(number) = heading(line).filter(|_| !is_code) {
            section = number.to_string();
        }
    }
    said
}

fn take_table(said: &mut Said, section: &str, table: &[&str]) {
    let is_of_registers = table[0].starts_with("| offset") && section != "4.2";
    if is_of_registers {
        return;
    }
    for line in &table[2..] {
        let cells = line.trim_matches('|').split(" | ").map(str::trim);
        let cells = cells.filter(|cell| !cell.is_empty());
        let text = cells.collect::<Vec<_>>().join(" · ");
        let section = section.to_string();
        said.rows.push(Item { section, text });
    }
}

/// How an item is kept to.
#[derive(Debug)]
enum Kept {
    /// The rung that fails first, the device, and words of its message and of a cause.
    Seen([String; 4]),
    /// Why no host can see it.
    Unseen(String),
}

/// The entries of the page: what is said, and how it is kept to.
fn entries() -> Vec<(Item, Vec<Kept>)> {
    let (mut entries, mut section): (Vec<(Item, Vec<Kept>)>, String) = Default::default();
    for line in MUSTS.lines() {
        if let Some(number) = heading(line) {
            section = number.to_string();
        } else if let Some(text) = line.strip_prefix("> ") {
            let item = Item {
                section: section.clone(),
                text: text.into(),
            };
            entries.push((item, Vec::new()));
        } else if let Some(kept) = line.strip_prefix("- ") {
            let (_, all) = entries
                .last_mut()
                .expect("an entry begins with what is said");
            all.push(kept_by(kept));
        }
    }
    entries
}

fn kept_by(line: &str) -> Kept {
    if let Some(why) = line.strip_prefix("no rung: ") {
        return Kept::Unseen(why.into());
    }
    let parts: Vec<String> = line.split(" | ").map(|part| part.trim().into()).collect();
    let parts = parts.try_into();
    Kept::Seen(parts.unwrap_or_else(|_| panic!("rung | device | message | cause: {line}")))
}

#[test]
fn every_must_and_every_row_has_an_entry() {
    let said = read(SPEC);
    let musts = said.sentences.iter().filter(|item| demands(&item.text));
    let needed: Vec<&Item> = musts.chain(&said.rows).collect();
    assert!(needed.len() > 70, "{}", needed.len());
    let entries = entries();
    let has = |item: &Item| entries.iter().any(|(known, _)| known == item);
    let missing: Vec<_> = needed.iter().filter(|item| !has(item)).collect();
    let lines = missing
        .iter()
        .map(|item| format!("{}: > {}\n", item.section, item.text));
    let lines: String = lines.collect();
    assert!(missing.is_empty(), "no entry in MUSTS.md for\n{lines}");
    let mut wrong = Vec::new();
    for (item, kept) in &entries {
        let is_said = said.sentences.contains(item) || said.rows.contains(item);
        if !is_said {
            wrong.push(format!("SPEC does not say {item:?}"));
        }
        if kept.is_empty() {
            wrong.push(format!("nothing is said of {item:?}"));
        }
        if entries.iter().filter(|(other, _)| other == item).count() > 1 {
            wrong.push(format!("twice: {item:?}"));
        }
        for unseen in kept {
            if matches!(unseen, Kept::Unseen(why) if why.len() < 20) {
                wrong.push(format!("why is that not seen: {item:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Reads a device of the page: options of the model, `lies=` among them, or `fault KIND [REGISTER] [= VALUE]`, or both.
fn device(text: &str) -> (String, Option<Fault>) {
    let Some((own, fault)) = text.split_once("fault ") else {
        return (text.into(), None);
    };
    let words: Vec<&str> = fault.split_whitespace().collect();
    let kind = FaultKind::ALL.iter().find(|(name, _)| *name == words[0]);
    let (_, kind) = kind.unwrap_or_else(|| panic!("a kind of fault: {text}"));
    let mut fault = Fault::new(*kind).times(0);
    let mut rest = &words[1..];
    if let [register, ..] = rest
        && *register != "="
    {
        fault = fault.on(register);
        rest = &rest[1..];
    }
    if let ["=", value] = rest {
        let value = match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => value.parse(),
        };
        fault = fault.with(value.expect("a number"));
    }
    (own.trim_end().into(), Some(fault))
}

/// Climbs a device that breaks something; returns how that differs from what the page says.
fn climb([rung, broken, says, cause]: &[String; 4]) -> Option<String> {
    let (own, fault) = device(broken);
    let address = format!("sim:bmu?seed=2&timeout-ms=5&{own}");
    let AnyTransport::Sim(model) =
        AnyTransport::open(address.trim_end_matches('&')).expect("it opens")
    else {
        panic!("sim: opens a model");
    };
    if let Some(fault) = fault {
        model.inject(fault).expect("it can happen");
    }
    let options = crate::brief();
    let report = bringup::run(model, &options, None, |_| ControlFlow::Continue(()));
    let Some(failed) = report
        .checks
        .iter()
        .find(|check| check.status == Status::Fail)
    else {
        return Some("nothing fails".into());
    };
    let message = failed.message.as_deref().unwrap_or_default();
    let is_blamed = failed.causes.iter().any(|known| known.contains(&**cause));
    let is_right = failed.id == rung.as_str() && message.contains(&**says) && is_blamed;
    (!is_right).then(|| format!("{} says `{message}`, from {:?}", failed.id, failed.causes))
}

#[test]
fn whoever_breaks_it_is_found_by_its_rung() {
    let entries = entries();
    let seen = |(item, kept): &(Item, Vec<Kept>)| -> Vec<String> {
        let broken = kept.iter().filter_map(|kept| match kept {
            Kept::Seen(row) => climb(row).map(|wrong| (row, wrong)),
            Kept::Unseen(_) => None,
        });
        let told = |(row, wrong)| format!("{} {}: {row:?}: {wrong}", item.section, item.text);
        broken.map(told).collect()
    };
    let wrong: Vec<String> = entries.iter().flat_map(seen).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A lie that no entry tells would be one that nobody looks for.
#[test]
fn every_lie_is_told() {
    let entries = entries();
    let rows = entries.iter().flat_map(|(_, kept)| kept);
    let devices: Vec<&str> = rows
        .filter_map(|kept| match kept {
            Kept::Seen([_, device, ..]) => device.strip_prefix("lies="),
            Kept::Unseen(_) => None,
        })
        .collect();
    let untold = Lie::ALL.iter().filter(|(name, _)| !devices.contains(name));
    let untold: Vec<&str> = untold.map(|(name, _)| *name).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
