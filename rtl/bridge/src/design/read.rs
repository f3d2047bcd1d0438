//! From the text of a file to a [`Design`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hwpool_describe::Wrong;
use hwpool_describe::tables::{Entry, Node, Text, Word, nearest, or};

use super::keys::{ACTIVE, CAPABILITIES, ERROR, KEYS, OUTSIDE, REQUEST, SCHEMA, WIDE};
use super::{
    BarPort, Capability, Design, DmaPort, Interrupt, Named, Outside, Pci, Refused, Request, Reset,
    Sources, Wide,
};

/// Why a design's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DesignError {
    /// The file, or one of those that it names, can't be read.
    #[error("{file}: it can't be read")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// What the file says can't be.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

type Read<T> = Result<T, Wrong>;

/// Reads a design's file; the sources that it names lie relative to it.
///
/// # Errors
///
/// What can't be read, or what is wrong, with line and column.
pub fn read(path: &Path) -> Result<Design, DesignError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| DesignError::Unreadable {
        file: file.clone(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(parse(&text, &file, folder)?)
}

/// Reads a design from a text; `file` is what errors call it, and sources lie relative to `folder`.
///
/// # Errors
///
/// What is wrong, with line and column.
pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Design, Wrong> {
    let text = Text { file, text };
    let table = text.parse()?;
    let root = Node::new(text, "", table.get_ref(), 0, &KEYS, &[])?;
    check_schema(root)?;
    let interrupts = parts(root, "interrupts", interrupt)?;
    let bars = bars(root)?;
    Ok(Design {
        file: file.into(),
        sources: sources(root, folder)?,
        clock: named(root.must("clock")?)?,
        reset: reset(root.must("reset")?.part("reset")?)?,
        flr: root
            .may("flr")
            .map(|flr| reset(flr.part("flr")?))
            .transpose()?,
        ties: ties(root)?,
        busy: root.may("busy").map(named).transpose()?,
        idle_after: number(root, "idle_after", 1000)?,
        limit: number(root, "limit", 10_000)?,
        pci: pci(root, &bars, &interrupts)?,
        dma: parts(root, "dma", dma)?,
        bars,
        interrupts,
    })
}

fn check_schema(root: Node<'_>) -> Read<()> {
    let schema = root.must("schema")?;
    match schema.text()? {
        SCHEMA => Ok(()),
        other => Err(schema.wrong(format!(
            "`{other}` is no `schema` that this version reads: write {SCHEMA}"
        ))),
    }
}

fn sources(root: Node<'_>, folder: &Path) -> Read<Sources> {
    let entry = root.must("sources")?;
    let files = entry.texts()?;
    if files.is_empty() {
        return Err(entry.wrong("`sources` is empty: name a file at least"));
    }
    for (name, at) in &files {
        if !folder.join(name).is_file() {
            return Err(entry.wrong_in(*at, format!("there is no file `{name}` beside this one")));
        }
    }
    Ok(Sources {
        top: root.must("top")?.text()?.into(),
        files: files.iter().map(|(name, _)| folder.join(name)).collect(),
        include: folders(root, folder)?,
        defines: words(root, "defines", Assigned::Perhaps)?,
        parameters: words(root, "parameters", Assigned::Always)?,
        options: words(root, "options", Assigned::Never)?,
    })
}

fn folders(root: Node<'_>, folder: &Path) -> Read<Vec<PathBuf>> {
    let Some(entry) = root.may("include") else {
        return Ok(Vec::new());
    };
    let folders = entry.texts()?.into_iter().map(|(name, at)| {
        let path = folder.join(name);
        match path.is_dir() {
            true => Ok(path),
            false => {
                Err(entry.wrong_in(at, format!("there is no folder `{name}` beside this file")))
            }
        }
    });
    folders.collect()
}

/// Whether a text is `NAME=VALUE`.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Assigned {
    Always,
    Perhaps,
    Never,
}

fn words(root: Node<'_>, key: &'static str, assigned: Assigned) -> Read<Vec<String>> {
    let Some(entry) = root.may(key) else {
        return Ok(Vec::new());
    };
    let words = entry.texts()?.into_iter().map(|(word, at)| {
        let name = word.split_once('=').map(|(name, _)| name);
        let fits = match assigned {
            Assigned::Never => word.starts_with('-') || word.starts_with('+'),
            Assigned::Always => name.is_some_and(is_identifier),
            Assigned::Perhaps => is_identifier(name.unwrap_or(word)),
        };
        let example = match assigned {
            Assigned::Never => "an option such as -Wno-WIDTH",
            _ => "NAME=VALUE",
        };
        match fits {
            true => Ok(word.to_string()),
            false => Err(entry.wrong_in(
                at,
                format!("`{word}` can't stand in `{key}`: write {example}"),
            )),
        }
    });
    words.collect()
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

fn named(entry: Entry<'_>) -> Read<Named> {
    Ok(Named {
        name: entry.text()?.into(),
        place: place(entry),
    })
}

/// Returns where a value stands, as an error there would say.
fn place(entry: Entry<'_>) -> (usize, usize) {
    entry.wrong("").place.unwrap_or((1, 1))
}

fn number(node: Node<'_>, key: &str, absent: u64) -> Read<u64> {
    node.may(key).map_or(Ok(absent), |entry| entry.number())
}

fn one_of<T: Copy>(node: Node<'_>, key: &str, words: &[Word<T>], absent: T) -> Read<T> {
    node.may(key).map_or(Ok(absent), |entry| entry.word(words))
}

fn parts<T>(root: Node<'_>, key: &'static str, read: impl Fn(Node<'_>) -> Read<T>) -> Read<Vec<T>> {
    match root.may(key) {
        Some(entry) => entry.parts(key)?.into_iter().map(read).collect(),
        None => Ok(Vec::new()),
    }
}

fn reset(node: Node<'_>) -> Read<Reset> {
    Ok(Reset {
        port: named(node.must("port")?)?,
        active: node.must("active")?.word(&ACTIVE)?,
        cycles: number(node, "cycles", 16)?,
    })
}

fn ties(root: Node<'_>) -> Read<Vec<(Named, u64)>> {
    let Some(entry) = root.may("ties") else {
        return Ok(Vec::new());
    };
    let ties = entry.texts()?.into_iter().map(|(text, at)| {
        let tie = text.split_once('=');
        let tie = tie.and_then(|(name, value)| Some((name.trim(), value_of(value.trim())?)));
        let (name, value) = tie.ok_or_else(|| {
            entry.wrong_in(
                at,
                format!("`{text}` is no tie: write PORT=VALUE, as in enable=1"),
            )
        })?;
        let place = entry.wrong_in(at, "").place.unwrap_or((1, 1));
        let name = name.to_string();
        Ok((Named { name, place }, value))
    });
    ties.collect()
}

fn value_of(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn bars(root: Node<'_>) -> Read<Vec<BarPort>> {
    let entry = root.must("bars")?;
    let mut bars: Vec<BarPort> = Vec::new();
    for node in entry.parts("bars")? {
        let one = bar(node)?;
        if bars.iter().any(|other| other.bar == one.bar) {
            return Err(node.wrong_at("bar", format!("BAR {} is there twice", one.bar)));
        }
        bars.push(one);
    }
    if bars.is_empty() {
        return Err(entry.wrong("`bars` is empty: a function without registers can't be driven"));
    }
    bars.sort_by_key(|bar| bar.bar);
    Ok(bars)
}

fn bar(node: Node<'_>) -> Read<BarPort> {
    let size = node.must("size")?;
    let bytes = size.number()?;
    if !bytes.is_power_of_two() {
        let next = bytes.next_power_of_two();
        return Err(size.wrong(format!(
            "`bars.size` is {bytes}, no power of two: write {next}"
        )));
    }
    Ok(BarPort {
        bar: node.must("bar")?.number()? as u8,
        port: named(node.must("port")?)?,
        size: bytes,
        width: width(node)?,
        wide: one_of(node, "wide", &WIDE, Wide::Split)?,
        error: one_of(node, "error", &ERROR, Refused::Ones)?,
    })
}

fn width(node: Node<'_>) -> Read<Option<(u64, (usize, usize))>> {
    let width = node.may("width");
    width
        .map(|entry| Ok((entry.one_of()?, place(entry))))
        .transpose()
}

fn dma(node: Node<'_>) -> Read<DmaPort> {
    Ok(DmaPort {
        port: named(node.must("port")?)?,
        width: width(node)?,
        outside: one_of(node, "outside", &OUTSIDE, Outside::Decode)?,
        outstanding: number(node, "outstanding", 8)? as usize,
    })
}

fn interrupt(node: Node<'_>) -> Read<Interrupt> {
    let is = node.must("is")?.word(&REQUEST)?;
    if is == Request::Handshake {
        node.must("acknowledge")?;
    }
    Ok(Interrupt {
        port: named(node.must("port")?)?,
        bit: node
            .may("bit")
            .map(|bit| bit.number())
            .transpose()?
            .map(|bit| bit as u32),
        is,
        vector: node.must("vector")?.number()? as u16,
        acknowledge: node.may("acknowledge").map(named).transpose()?,
    })
}

fn pci(root: Node<'_>, bars: &[BarPort], interrupts: &[Interrupt]) -> Read<Pci> {
    let node = root.may("pci").map(|entry| entry.part("pci")).transpose()?;
    let value = |key, absent| node.map_or(Ok(absent), |node| number(node, key, absent));
    let vendor = value("vendor", 0x1234)? as u16;
    let wide_bars = value("bar_bits", 32)? == 64;
    let bars = Places {
        root,
        bars,
        wide: wide_bars,
    };
    bars.check()?;
    let least = interrupts
        .iter()
        .map(|line| line.vector + 1)
        .max()
        .unwrap_or(0);
    let vectors = value("vectors", least.into())? as u16;
    if let Some(node) = node.filter(|_| vectors < least) {
        let why = format!(
            "an interrupt has vector {}: write {least} at least",
            least - 1
        );
        return Err(node.wrong_at("vectors", why));
    }
    Ok(Pci {
        vendor,
        device: value("device", 1)? as u16,
        subsystem_vendor: value("subsystem_vendor", vendor.into())? as u16,
        subsystem: value("subsystem", 1)? as u16,
        revision: value("revision", 0)? as u8,
        wide_bars,
        class: value("class", 0xff_0000)? as u32,
        vectors,
        msix_bar: bars.of_msix(node, vectors)?,
        capabilities: node.map_or(Ok(DEFAULT_CAPABILITIES.to_vec()), capabilities)?,
    })
}

/// Which BARs are taken.
#[derive(Debug, Copy, Clone)]
struct Places<'t, 'b> {
    root: Node<'t>,
    bars: &'b [BarPort],
    wide: bool,
}

impl Places<'_, '_> {
    /// Checks that no BAR lies on the upper half of another.
    fn check(self) -> Read<()> {
        let begins = |number: u8| self.bars.iter().any(|bar| bar.bar == number);
        let mut bars = self.bars.iter().filter(|_| self.wide);
        let on_another = bars.find(|bar| bar.bar == 5 || begins(bar.bar + 1));
        match on_another {
            None => Ok(()),
            Some(bar) => {
                let why = format!(
                    "BAR {} has 64 bits, and needs BAR {} for its upper half",
                    bar.bar,
                    bar.bar + 1
                );
                Err(self.root.wrong_at("bars", why))
            }
        }
    }

    fn is_taken(self, number: u8) -> bool {
        self.bars
            .iter()
            .any(|bar| bar.bar == number || self.wide && bar.bar + 1 == number)
    }

    fn is_free(self, number: u8) -> bool {
        !self.is_taken(number) && !(self.wide && (number == 5 || self.is_taken(number + 1)))
    }

    /// Returns the BAR of the MSI-X table.
    fn of_msix(self, pci: Option<Node<'_>>, vectors: u16) -> Read<u8> {
        if vectors == 0 {
            return Ok(0);
        }
        let Some(entry) = pci.and_then(|pci| pci.may("msix_bar")) else {
            let mut free = (0..6).filter(|bar| self.is_free(*bar));
            let none = || {
                self.root
                    .wrong_at("bars", "no BAR is left for the MSI-X table")
            };
            return free.next().ok_or_else(none);
        };
        let bar = entry.number()? as u8;
        match self.is_free(bar) {
            true => Ok(bar),
            false => Err(entry.wrong(format!(
                "BAR {bar} is not free: the MSI-X table needs one of its own"
            ))),
        }
    }
}

const DEFAULT_CAPABILITIES: [Capability; 2] = [Capability::Express, Capability::Flr];

fn capabilities(node: Node<'_>) -> Read<Vec<Capability>> {
    let Some(entry) = node.may("capabilities") else {
        return Ok(DEFAULT_CAPABILITIES.to_vec());
    };
    let names: Vec<&str> = CAPABILITIES.iter().map(|word| word.name).collect();
    let words = entry.texts()?.into_iter().map(|(text, at)| {
        let word = CAPABILITIES.iter().find(|word| word.name == text);
        word.map(|word| word.is).ok_or_else(|| {
            let near = nearest(text, &names);
            entry.wrong_in(
                at,
                format!("`{text}` is no capability: write {}{near}", or(&names)),
            )
        })
    });
    let all: Vec<Capability> = words.collect::<Read<_>>()?;
    if all.contains(&Capability::Flr) && !all.contains(&Capability::Express) {
        return Err(entry.wrong("`flr` is a part of `express`: write both"));
    }
    Ok(all)
}
