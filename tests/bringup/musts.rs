//! Each "must" of a specification and each row of its tables, and what becomes of a device that breaks it.
//!
//! `MUSTS.md` beside each SPEC.md is the data of this test. Whatever SPEC.md demands has an entry there, in its own words: a
//! sentence with "must", or a row of a table that is no list of registers; which sections demand more, [`KINDS`] says. An
//! entry names the rung that looks, the device that breaks it, and words of what the rung says and of the cause that it
//! gives; or why no host can see it. Each such device is climbed here, and that rung is the first to fail. Two rungs stand
//! there with `or` between them where it hangs on the model's time which of them sees it first: each climb ends at one of them.

use std::ops::ControlFlow;

use hwpool::bringup::{self, Status};
use hwpool::device::AnyTransport;
use hwpool::sim::{Fault, FaultKind, MODELS, SimConfig};

/// A kind of device, and what its specification demands.
#[derive(Debug)]
struct Kind {
    /// The name of its model.
    name: &'static str,
    spec: &'static str,
    musts: &'static str,
    /// Options of the model that is climbed, beside what it breaks.
    options: &'static str,
    /// Sections whose every sentence demands something, without "must".
    all: &'static [&'static str],
    /// Sections whose registers are demands too.
    registers: &'static [&'static str],
    /// Sections whose tables say again what stands elsewhere.
    retold: &'static [&'static str],
    /// What is demanded, at least: fewer would mean that the specification was not read.
    least: usize,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "bmu",
        spec: include_str!("../../devices/src/bmu/SPEC.md"),
        musts: include_str!("../../devices/src/bmu/MUSTS.md"),
        options: "timeout-ms=5",
        all: &[],
        registers: &["4.2"],
        retold: &["11"],
        least: 71,
    },
    Kind {
        name: "fifo",
        spec: include_str!("../../devices/src/fifo/SPEC.md"),
        musts: include_str!("../../devices/src/fifo/MUSTS.md"),
        options: "depth=64",
        all: &["1", "2", "4", "5", "6"],
        registers: &["3"],
        retold: &[],
        least: 40,
    },
];

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

/// What a specification says: every sentence, and every row of every table that demands.
#[derive(Default)]
struct Said {
    sentences: Vec<Item>,
    rows: Vec<Item>,
}

fn read(kind: &Kind) -> Said {
    // What comes before the first section is of section 0.
    let (mut said, mut section) = (Said::default(), String::from("0"));
    let (mut paragraph, mut table, mut is_code) = (String::new(), Vec::new(), false);
    for line in kind.spec.lines().chain([""]) {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let is_row = line.starts_with('|') && !is_code;
        if !is_row && !table.is_empty() {
            take_table(kind, &mut said, &section, &std::mem::take(&mut table));
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
            paragraph += without_number(line);
            paragraph.push(' ');
        }
        if let Some(number) = heading(line).filter(|_| !is_code) {
            section = number.to_string();
        }
    }
    said
}

/// Returns a line of a numbered list without its number.
fn without_number(line: &str) -> &str {
    let is_number = |word: &&str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit());
    let numbered = line.split_once(". ").filter(|(word, _)| is_number(word));
    numbered.map_or(line, |(_, text)| text)
}

fn take_table(kind: &Kind, said: &mut Said, section: &str, table: &[&str]) {
    let is_of_registers = table[0].starts_with("| offset");
    let is_known = is_of_registers && !kind.registers.contains(&section);
    if is_known || kind.retold.contains(&section) {
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
    /// The rung that fails first or the rungs of which one does, the device, and words of its message and of a cause.
    Seen([String; 4]),
    /// Why no host can see it.
    Unseen(String),
}

/// The entries of a page: what is said, and how it is kept to.
fn entries(kind: &Kind) -> Vec<(Item, Vec<Kept>)> {
    let (mut entries, mut section): (Vec<(Item, Vec<Kept>)>, String) = Default::default();
    for line in kind.musts.lines() {
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
    for kind in KINDS {
        let said = read(kind);
        let is_demand = |item: &&Item| demands(&item.text) || kind.all.contains(&&*item.section);
        let musts = said.sentences.iter().filter(is_demand);
        let needed: Vec<&Item> = musts.chain(&said.rows).collect();
        assert!(
            needed.len() >= kind.least,
            "{}: {}",
            kind.name,
            needed.len()
        );
        let entries = entries(kind);
        let has = |item: &Item| entries.iter().any(|(known, _)| known == item);
        let missing = needed.iter().filter(|item| !has(item));
        let lines = missing.map(|item| format!("{}: > {}\n", item.section, item.text));
        let lines: String = lines.collect();
        assert!(
            lines.is_empty(),
            "no entry in MUSTS.md of {} for\n{lines}",
            kind.name
        );
        let wrong: Vec<String> = entries
            .iter()
            .flat_map(|entry| mistakes(&said, &entries, entry))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", kind.name);
    }
}

/// What is wrong with an entry, whatever becomes of its devices.
fn mistakes(
    said: &Said,
    entries: &[(Item, Vec<Kept>)],
    (item, kept): &(Item, Vec<Kept>),
) -> Vec<String> {
    let mut wrong = Vec::new();
    if !said.sentences.contains(item) && !said.rows.contains(item) {
        wrong.push(format!("SPEC does not say {item:?}"));
    }
    if kept.is_empty() {
        wrong.push(format!("nothing is said of {item:?}"));
    }
    if entries.iter().filter(|(other, _)| other == item).count() > 1 {
        wrong.push(format!("twice: {item:?}"));
    }
    let is_idle = |kept: &Kept| matches!(kept, Kept::Unseen(why) if why.len() < 20);
    if kept.iter().any(is_idle) {
        wrong.push(format!("why is that not seen: {item:?}"));
    }
    wrong
}

/// A model without a page would be one of which nobody knows who sees its rules kept.
#[test]
fn every_model_has_a_page() {
    let models: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(models, kinds);
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
fn climb(kind: &Kind, [rung, broken, says, cause]: &[String; 4], seed: u64) -> Option<String> {
    let (own, fault) = device(broken);
    let address = format!("sim:{}?seed={seed}&{}&{own}", kind.name, kind.options);
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
    let is_right =
        rung.split(" or ").any(|id| failed.id == id) && message.contains(&**says) && is_blamed;
    (!is_right).then(|| format!("{} says `{message}`, from {:?}", failed.id, failed.causes))
}

/// Climbs every device of a page; returns what differs.
fn climb_all(kind: &Kind) -> Vec<String> {
    let mut wrong = Vec::new();
    for (item, kept) in entries(kind) {
        for kept in kept {
            let Kept::Seen(row) = kept else { continue };
            // What hangs on the model's time is tried at several.
            let hangs_on_time = row[0].contains(" or ");
            for seed in if hangs_on_time { 1..=4 } else { 2..=2 } {
                let Some(differs) = climb(kind, &row, seed) else {
                    continue;
                };
                let Item { section, text } = &item;
                wrong.push(format!(
                    "{} {section} {text}: {row:?}: {differs}",
                    kind.name
                ));
            }
        }
    }
    wrong
}

#[test]
fn whoever_breaks_it_is_found_by_its_rung() {
    let wrong: Vec<String> = KINDS.iter().flat_map(climb_all).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A lie that no page tells would be one that nobody looks for.
#[test]
fn every_lie_is_told() {
    let told = |kind: &Kind| -> Vec<String> {
        let kept = entries(kind).into_iter().flat_map(|(_, kept)| kept);
        let lie = |kept| match kept {
            Kept::Seen([_, device, ..]) => {
                let own = device
                    .split_once(" fault ")
                    .map_or(&*device, |(own, _)| own);
                let told = own
                    .split('&')
                    .find_map(|option| option.strip_prefix("lies="));
                told.map(Into::into)
            }
            Kept::Unseen(_) => None,
        };
        kept.filter_map(lie).collect()
    };
    let told: Vec<Vec<String>> = KINDS.iter().map(told).collect();
    let is_told = |all: &[String], name: &str| all.iter().any(|told| told == name);
    let any: Vec<String> = told.concat();
    let of_any = SimConfig::LIES.iter().map(|(name, _)| (*name, &any));
    let of_one = MODELS.iter().zip(&told);
    let of_one =
        of_one.flat_map(|(model, told)| model.lies.iter().map(move |(name, _)| (*name, told)));
    let untold = of_any
        .chain(of_one)
        .filter(|(name, told)| !is_told(told, name));
    let untold: Vec<&str> = untold.map(|(name, _)| name).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
