//! A description and a register file, both anything: no panic, no hang, no memory without end. What is read can be opened
//! on its own model, or is refused; what is drafted of a register file is a description that lacks no more than answers.
//!
//! The first byte says what both texts begin as: those of the input itself, with a 0 between them, or those of a
//! description that is shipped, which the rest of the input edits word by word.
#![no_main]

mod shipped;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hwpool::describe::{self, DescribeError, Kind, TABLES};
use hwpool::devices::bus::Iova;
use hwpool::devices::described::{Device, List};
use hwpool::devices::description::{Depth, Description};
use hwpool::devices::family::{Described, FreeList, ListConfig, OpenReset};
use hwpool::sim::{InProcess, SimConfig};
use libfuzzer_sys::fuzz_target;

/// Most values of a list that is opened: more take long, and tell no more.
const MOST_VALUES: u32 = 4096;
/// Most registers of all descriptions that are opened, which are kept for the life of the process.
const MOST_KEPT: usize = 200_000;
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Numbers at which something ends.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "31",
    "32",
    "63",
    "64",
    "65",
    "4096",
    "65536",
    "16777216",
    "0xfffffffc",
    "0xffffffff",
    "0x100000000",
    "0x7fffffffffffffff",
    "0xffffffffffffffff",
    "-1",
    "\"31:0\"",
    "\"63:0\"",
];

/// Cuts a text into words, spaces and signs.
fn words(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

/// Returns a line of a key, or a table's head, as the reference has them.
fn line(which: usize) -> String {
    let heads = TABLES.iter().map(|table| format!("\n[{}]\n", table.name));
    let keys = TABLES.iter().flat_map(|table| table.keys);
    let keys = keys.map(|key| format!("\n{} = {}\n", key.name, key.example));
    let all: Vec<String> = heads.chain(keys).collect();
    all[which % all.len()].clone()
}

/// Returns one of the words that may stand behind a key.
fn choice(which: usize) -> String {
    let kinds = TABLES.iter().flat_map(|table| table.keys);
    let named = kinds.filter_map(|key| match key.kind {
        Kind::Word(named) => Some(named),
        _ => None,
    });
    let all: Vec<&str> = named.flatten().map(|word| word.name).collect();
    all[which % all.len()].into()
}

/// Edits a text: four bytes say what happens to which of its words.
fn edited(text: &str, edits: &[u8]) -> String {
    let mut words: Vec<String> = words(text).into_iter().map(Into::into).collect();
    for &[what, high, low, more] in edits.as_chunks().0 {
        let count = words.len().max(1);
        let at = usize::from(u16::from_be_bytes([high, low])) % count;
        let end = (at + usize::from(more)).min(words.len());
        let more = usize::from(more);
        match what % 8 {
            _ if words.is_empty() => words.push(line(more)),
            0 => words[at] = words[(at + more) % count].clone(),
            1 => words.swap(at, (at + more) % count),
            2 => words[at] = NUMBERS[more % NUMBERS.len()].into(),
            3 => _ = words.drain(at..end),
            4 if count < 1 << 14 => {
                let again = words[at..end].to_vec();
                _ = words.splice(at..at, again);
            }
            5 => words.insert(at, line(more)),
            6 => words[at] = choice(more),
            _ => words[at].push(char::from(more as u8)),
        }
    }
    words.concat()
}

/// The text of a description, that of a register file, and whether that is another than those which are shipped.
type Texts = (String, String, bool);

fn texts(input: &[u8]) -> Option<Texts> {
    let (first, rest) = input.split_first()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = usize::from(*first);
    let Some((description, registers)) = shipped::SHIPPED.get(first / 2 % 8) else {
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let description = text(parts.next()?);
        return Some((description, text(parts.next().unwrap_or(&[])), true));
    };
    let (description, registers) = (description.to_string(), registers.to_string());
    match first % 2 {
        0 => Some((edited(&description, rest), registers, false)),
        _ => Some((description, edited(&registers, rest), true)),
    }
}

/// Opens a description's own model, and passes objects through it.
fn open(description: Description) {
    let config = SimConfig::described(description.clone()).expect("it was checked");
    let depth = match description.depth {
        Depth::Fixed(depth) => depth.saturating_mul(description.lists().into()),
        Depth::Register(_) => 1024,
    };
    let rows = description.registers.len();
    if depth > MOST_VALUES || KEPT.fetch_add(rows, Ordering::Relaxed) > MOST_KEPT {
        return;
    }
    let model = InProcess::open(config.name().to_owned().as_str(), "fuzz", config);
    let model = Arc::new(model.expect("a model"));
    let described = Described::keep(description).expect("it was checked");
    let Ok(device) = Device::open(described, model, OpenReset::Best) else {
        return;
    };
    let device = Arc::new(device);
    let objects = 8.min(device.identity().limits.objects as u32);
    let config = ListConfig {
        base: Iova(1 << 20),
        stride: 1 << 12,
        objects,
        capacity: objects,
    };
    let Ok(mut list) = List::open(&device, &config) else {
        return;
    };
    assert_eq!(list.ledger().held(), 0, "nothing was given");
    let all: Vec<u32> = (0..objects).collect();
    if list.give(&all).is_ok()
        && let Ok(mut drained) = list.drain()
    {
        drained.sort_unstable();
        assert_eq!(drained, all);
    }
}

/// Drafts a description of a register file: what is wrong with it is a key, never its form.
fn draft(registers: &str, loader: describe::Loader<'_>) {
    for block in [None, Some("buffers")] {
        // Names of files and of blocks are quoted in it.
        let Ok(draft) = describe::draft(registers, "a \"file\"\n\u{1b}", block) else {
            continue;
        };
        match describe::parse(&draft.text, "draft.toml", loader) {
            Err(DescribeError::Wrong(wrong)) => {
                assert!(!wrong.key.is_empty(), "{wrong}\n{}", draft.text);
            }
            other => _ = other.expect("the register file can be read"),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((text, registers, is_new)) = texts(input) else {
        return;
    };
    let loader = |_: &str| Ok::<_, io::Error>(registers.clone());
    if let Ok(description) = describe::parse(&text, "fuzz.toml", &loader) {
        open(description);
    }
    if is_new {
        draft(&registers, &loader);
    }
});
