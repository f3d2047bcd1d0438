//! A first description of a register file: what its names and side effects suggest, and what it could not tell.

use std::fmt;

use hwpool_devices::reg::{Access, Field};

use crate::error::Wrong;
use crate::found::{Found, RegisterFile};
use crate::import::{self, Format};
use crate::node::dotted;
use crate::questions::OPEN;

/// Names by which a register is taken for the one of a key, the surest first. A name counts as a whole, or between `_`.
mod names {
    pub(super) const POP: &[&str] = &[
        "POP", "ALLOC", "DEQ", "DEQUEUE", "GET", "TAKE", "RDFD", "RDDATA", "MBOXR", "RDATA", "RX",
        "READ",
    ];
    pub(super) const PUSH: &[&str] = &[
        "PUSH", "FREE", "ENQ", "ENQUEUE", "PUT", "GIVE", "TDFD", "WRDATA", "MBOXW", "WDATA", "TX",
        "WRITE",
    ];
    pub(super) const ACKNOWLEDGE: &[&str] = &["ACK", "NEXT", "ACKNOWLEDGE"];
    pub(super) const LENGTH: &[&str] = &["RLR", "LENGTH", "LEN"];
    pub(super) const LEVEL: &[&str] = &[
        "LEVEL",
        "OCCUPANCY",
        "RDFO",
        "USAGE",
        "USED",
        "FILL",
        "AVAILABLE",
    ];
    pub(super) const VACANCY: &[&str] = &["VACANCY", "TDFV", "SPACE", "ROOM"];
    pub(super) const DEPTH: &[&str] = &["DEPTH", "CAPACITY", "SIZE"];
    pub(super) const IDENTITY: &[&str] = &["IDENTITY", "ID", "MAGIC", "IDENT"];
    pub(super) const ALIVE: &[&str] = &["STATUS", "STATE", "VERSION"];
    pub(super) const SCRATCH: &[&str] = &["SCRATCH"];
    pub(super) const RESET: &[&str] = &["RESET", "FLUSH", "SRR", "RST"];
    pub(super) const EMPTY: &[&str] = &["EMPTY", "EMPTYN", "VALID", "VLD"];
    pub(super) const FULL: &[&str] = &["FULL"];
    pub(super) const ENABLE: &[&str] = &["ENABLE", "EN"];
    pub(super) const READY: &[&str] = &["READY", "DONE"];
}

/// A first description of a register file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The description, with comments. What the register file could not tell is `"?"` there, which [`check`](crate::check)
    /// names as an open question.
    pub text: String,
    /// What the register file was taken for.
    pub format: Format,
    /// Its blocks: what `block` may name.
    pub blocks: Vec<String>,
    /// The keys whose values are guesses, by names and side effects; each has a comment.
    pub guesses: Vec<String>,
}

/// Writes a first description of a register file; `file` is what the description calls it.
///
/// # Errors
///
/// What is wrong with the register file, or that it has no such block.
pub fn draft(text: &str, file: &str, block: Option<&str>) -> Result<Draft, Wrong> {
    let parsed = import::parse(text, block).map_err(|refused| refused.into_wrong(file))?;
    let (format, found) = parsed;
    let writer = Writer {
        file: &found,
        effects: format != Format::CsrJson,
        lines: Vec::new(),
        table: "",
        guesses: Vec::new(),
    };
    let (text, guesses) = writer.write(file, block);
    Ok(Draft {
        text,
        format,
        blocks: found.blocks,
        guesses,
    })
}

/// A bit or a register that may be what a key asks for.
struct Hit<'f> {
    register: &'f Found,
    field: Option<&'f Field>,
}

impl Hit<'_> {
    /// Returns how a description names it.
    fn name(&self) -> String {
        match self.field {
            Some(field) => format!("{}.{}", self.register.name, field.name),
            None => self.register.name.clone(),
        }
    }
}

/// The lines as they come.
struct Writer<'f> {
    file: &'f RegisterFile,
    /// The format can say what reads and writes do.
    effects: bool,
    lines: Vec<String>,
    /// The table that is written.
    table: &'static str,
    guesses: Vec<String>,
}

impl<'f> Writer<'f> {
    fn write(mut self, file: &str, block: Option<&str>) -> (String, Vec<String>) {
        self.head(file, block);
        self.alive();
        self.root();
        self.registers(file, block);
        self.pop();
        self.push();
        self.empty();
        self.full();
        self.value();
        self.reset();
        self.interrupt();
        (self.lines.join("\n") + "\n", self.guesses)
    }

    /// Adds a line, whatever names of files and blocks are in it.
    fn line(&mut self, line: impl AsRef<str>) {
        self.lines
            .push(line.as_ref().replace(char::is_control, " "));
    }

    /// Begins a table.
    fn begin(&mut self, table: &'static str) {
        self.table = table;
        self.line("");
        self.line(format!("[{table}]"));
    }

    /// Writes a key with its value, and why it is thought to be so.
    fn guess(&mut self, key: &str, value: impl fmt::Display, why: &str) {
        self.line(format!("{key} = {value} # {why}"));
        self.guesses.push(dotted(self.table, key));
    }

    /// Writes a key with a question for its value.
    fn ask(&mut self, key: &str, question: &str) {
        self.line(format!("{key} = \"{OPEN}\" # {question}"));
    }

    /// Writes a key that may be left out, as a comment that says when it is needed.
    fn offer(&mut self, when: &str, example: &str) {
        self.line(format!("# {when} {example}"));
    }

    /// Finds the register that has the surest of the names.
    fn register(&self, names: &[&str], fits: impl Fn(&Found) -> bool) -> Option<&'f Found> {
        let registers = &self.file.registers;
        let by = |name: &&str| {
            registers
                .iter()
                .find(|found| is_called(&found.name, name) && fits(found))
        };
        names.iter().find_map(by)
    }

    /// Finds the field that has the surest of the names, in a register that may be read at any time.
    fn field(&self, names: &[&str], fits: impl Fn(&Found) -> bool) -> Option<Hit<'f>> {
        let registers = self.file.registers.iter().filter(|found| fits(found));
        let fields: Vec<Hit<'f>> = registers
            .flat_map(|register| {
                register.fields.iter().map(move |field| Hit {
                    register,
                    field: Some(field),
                })
            })
            .collect();
        let by = |name: &&str| {
            let is = |hit: &Hit<'f>| hit.field.is_some_and(|field| is_called(&field.name, name));
            fields.iter().position(is)
        };
        let place = names.iter().find_map(by)?;
        fields.into_iter().nth(place)
    }

    /// Finds the register of a name, or else the field.
    fn bits(&self, names: &[&str]) -> Option<Hit<'f>> {
        let whole = self.register(names, is_readable);
        let whole = whole.map(|register| Hit {
            register,
            field: None,
        });
        whole.or_else(|| self.field(names, is_readable))
    }

    fn head(&mut self, file: &str, block: Option<&str>) {
        let name = name_of(block.unwrap_or(file));
        self.line(format!(
            "# A first description, made of {}. What is guessed says so. Each \"{OPEN}\" is a question that the",
            file.escape_debug()
        ));
        self.line("# register file leaves open, and yours to answer: `hwpool describe check` names them all.");
        if block.is_none() && self.file.blocks.len() > 1 {
            self.line(format!(
                "# The file has the blocks {}: `block` takes one.",
                self.file.blocks.join(", ")
            ));
        }
        self.line(format!("schema = \"{}\"", crate::SCHEMA));
        self.line(format!("name = \"{name}\""));
        self.line(format!("source = {}", quoted(file)));
        self.line("");
    }

    /// Finds what may tell "gone" from "empty", by its name, where it has no value to be known by.
    fn bounded(&self) -> Option<&'f Found> {
        let fits = |found: &Found| is_readable(found) && found.width != Some(64);
        let bounded = |found: &Found| fits(found) && !found.fields.is_empty();
        let status = self.register(names::ALIVE, bounded);
        status.or_else(|| self.register(names::LEVEL, fits))
    }

    /// Finds what may identify the device: by its name, with a reset value.
    fn identity(&self) -> Option<(&'f Found, u64)> {
        let known = |found: &Found| {
            let value = found
                .reset
                .filter(|value| *value != 0 && *value < u64::from(u32::MAX));
            value.filter(|_| is_readable(found) && found.width != Some(64))
        };
        let found = self.register(names::IDENTITY, |found| known(found).is_some())?;
        Some((found, known(found)?))
    }

    fn alive(&mut self) {
        match (self.identity(), self.bounded()) {
            (Some((found, value)), _) => self.guess(
                "identity",
                format_args!("{{ register = \"{}\", value = {value:#x} }}", found.name),
                "guessed by its name and reset value",
            ),
            (None, Some(found)) => self.guess(
                "alive",
                format_args!("\"{}\"", found.name),
                match found.fields.is_empty() {
                    true => "guessed: with bits that don't exist it never reads all ones; see below",
                    false => "guessed: it has bits that are never set, so that it never reads all ones",
                },
            ),
            (None, None) => self.ask(
                "alive",
                "Which register never reads all ones while the device is there? A failed access on PCIe reads all ones.",
            ),
        }
    }

    fn root(&mut self) {
        match self.bits(names::DEPTH) {
            Some(hit) => self.guess_bits("depth", &hit),
            None => self.ask("depth", "How many values does the list hold?"),
        }
        match self.bits(names::LEVEL) {
            Some(hit) => self.guess_bits("level", &hit),
            None => self.offer(
                "Where a register counts the values in the list:",
                "level = \"LEVEL\"",
            ),
        }
        let is_plain = |found: &Found| found.access == Some(Access::ReadWrite);
        if let Some(found) = self.register(names::SCRATCH, is_plain) {
            self.guess(
                "scratch",
                format_args!("\"{}\"", found.name),
                "guessed by its name",
            );
        }
        if let Some(hit) = self.field(names::ENABLE, is_plain) {
            self.guess(
                "enable",
                format_args!("[{{ bits = \"{}\", to = 1 }}]", hit.name()),
                "guessed by its name",
            );
        }
        self.ask(
            "fill",
            "Who puts the values in after a reset: software, or the reset itself (reset)?",
        );
        self.ask(
            "order",
            "In which order do they leave: the oldest first (fifo), the newest first (lifo), or any?",
        );
    }

    fn guess_bits(&mut self, key: &str, hit: &Hit<'_>) {
        self.guess(
            key,
            format_args!("\"{}\"", hit.name()),
            "guessed by its name",
        );
    }

    fn registers(&mut self, file: &str, block: Option<&str>) {
        self.begin("registers");
        self.line(format!("file = {}", quoted(file)));
        if let Some(block) = block {
            self.line(format!("block = {}", quoted(block)));
        }
        if !self.effects {
            self.line("# csr.json tells no bits: say them where they are needed, as in STATUS = { fields = { EMPTY = 0 } }.");
        }
        if let (None, Some(found)) = (self.identity(), self.bounded())
            && found.fields.is_empty()
        {
            self.line(format!(
                "{} = {{ bits = \"{OPEN}\" }} # Which bits has it, as in \"9:0\"? It needs some that don't exist, for `alive`.",
                found.name
            ));
        }
        for (name, why) in &self.file.left_out {
            self.lines.push(format!("# {name} is left out: {why}."));
        }
        self.lines.extend(rivals(self.file));
        let takes: Vec<&str> = (self.file.registers.iter())
            .filter(|found| takes(found))
            .map(|found| found.name.as_str())
            .collect();
        if !takes.is_empty() {
            self.lines.push(format!(
                "# By their read actions, reads of these take something: {}.",
                takes.join(", ")
            ));
        }
    }

    /// Finds the register that is popped: by its effect, or by its name.
    fn popped(&self) -> Option<(&'f Found, &'static str)> {
        let sure = self.register(names::POP, takes);
        let by_name = || self.register(names::POP, |found| found.access != Some(Access::WriteOnly));
        sure.map(|found| (found, "by its read action and its name"))
            .or_else(|| by_name().map(|found| (found, "guessed by its name")))
    }

    fn pop(&mut self) {
        self.begin("pop");
        let Some((found, why)) = self.popped() else {
            self.ask("read", "Which register is a value read from?");
            return;
        };
        self.guess("read", format_args!("\"{}\"", found.name), why);
        if takes(found) {
            return;
        }
        let acknowledge = self.register(names::ACKNOWLEDGE, is_writable);
        let length = self.register(names::LENGTH, is_readable);
        match (acknowledge, length) {
            (Some(found), _) => self.guess(
                "then",
                format_args!("{{ write = \"{}\", value = 1 }}", found.name),
                "guessed by its name: does the read take the value, or this write?",
            ),
            (None, Some(found)) => {
                self.guess(
                    "length",
                    format_args!("\"{}\"", found.name),
                    "guessed by its name: is it read before the value?",
                );
                self.ask("expect", "What is the length of one value, in its unit?");
            }
            (None, None) => self.ask(
                "then",
                "Does the read take the value? Delete this line. If a write does: { write = \"ACK\", value = 1 }",
            ),
        }
    }

    fn push(&mut self) {
        self.begin("push");
        match self.register(names::PUSH, is_writable) {
            Some(found) => self.guess(
                "write",
                format_args!("\"{}\"", found.name),
                "guessed by its name",
            ),
            None => self.ask("write", "Which register is a value written to?"),
        }
        self.offer(
            "If a second write gives it:",
            "then = { write = \"COMMIT\", value = 1 }",
        );
    }

    /// Finds the flag that says that there is no value, which may be popped beside the value.
    fn empty_flag(&self) -> Option<Hit<'f>> {
        let popped = self.popped().map(|(found, _)| &found.name);
        self.field(names::EMPTY, |found| {
            is_readable(found) || popped == Some(&found.name)
        })
    }

    fn empty(&mut self) {
        self.begin("empty");
        match (self.empty_flag(), self.bits(names::LEVEL)) {
            (Some(hit), _) => {
                let field = hit.field.map_or("", |field| &field.name);
                let is_inverted = is_one_of(field, &["N", "NOT"]);
                let is = u8::from(is_called(field, "EMPTY") && !is_inverted);
                self.guess_bits("flag", &hit);
                self.guess("is", is, "what it is where there is no value");
            }
            (None, Some(_)) => self.guess("level", true, "guessed: a level of 0 says it"),
            (None, None) => self.ask(
                "value",
                "What says that there is no value: a value that a pop reads (value), a flag, the level, or a bus error (bus-error)?",
            ),
        }
    }

    fn full(&mut self) {
        self.begin("full");
        let flag = self.field(names::FULL, is_readable);
        let vacancy = self.bits(names::VACANCY);
        let is_shown = match (flag, vacancy, self.bits(names::LEVEL)) {
            (Some(hit), ..) => {
                self.guess_bits("flag", &hit);
                true
            }
            (None, Some(hit), _) => {
                self.guess_bits("vacancy", &hit);
                true
            }
            (None, None, Some(_)) => {
                self.guess("level", true, "guessed: a level of `depth` says it");
                true
            }
            (None, None, None) => {
                self.line("# What says that no more fits: flag, vacancy or level? Without one the driver counts.");
                false
            }
        };
        if is_shown {
            self.ask(
                "look",
                "Does a push into a full list do harm (true), or is it dropped (false)?",
            );
        }
        self.offer(
            "If a bit tells that a push was dropped:",
            "sticky = \"ERROR.OVERFLOW\"",
        );
    }

    fn value(&mut self) {
        self.begin("value");
        self.ask(
            "is",
            "Is a value the number of an object (index), or its address (address)?",
        );
        let fields = self.popped().map_or(&[][..], |(found, _)| &found.fields);
        // What may say "empty" is beside the value.
        let is_beside = |field: &&Field| is_one_of(&field.name, names::EMPTY);
        let mut others = fields.iter().filter(|field| !is_beside(field));
        match (others.next(), others.next()) {
            (Some(field), None) => self.guess(
                "bits",
                format_args!("\"{}:{}\"", field.high, field.low),
                &format!("guessed: the field {}", field.name),
            ),
            (Some(_), Some(_)) => self.ask("bits", "Which bits of what is popped are it?"),
            (None, _) => self.offer("If it is not all that is popped:", "bits = \"23:0\""),
        }
        self.offer("If the number 0 stands for no object:", "first = 1");
        self.offer("If low bits of an address are left out:", "shift = 6");
    }

    fn reset(&mut self) {
        self.begin("reset");
        let Some(found) = self.register(names::RESET, is_writable) else {
            self.ask(
                "write",
                "What resets the list, as in [{ to = \"RESET\", value = 1 }]? Delete this line where nothing does.",
            );
            return;
        };
        self.guess(
            "write",
            format_args!("[{{ to = \"{}\", value = \"{OPEN}\" }}]", found.name),
            "guessed by its name; which value resets the list?",
        );
        match self.field(names::READY, is_readable) {
            Some(hit) => self.guess(
                "until",
                format_args!("{{ flag = \"{}\", is = 1 }}", hit.name()),
                "guessed by its name",
            ),
            None => self.offer(
                "If something tells that it is over:",
                "until = { flag = \"STATUS.READY\", is = 1 }",
            ),
        }
        self.ask("within-ms", "How long may it take, in milliseconds?");
    }

    fn interrupt(&mut self) {
        self.line("");
        self.line("# Has it an interrupt? Then a table [interrupt] says when it is sent, and what enables and clears it.");
    }
}

/// Writes a text as TOML does.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Tells whether a name is called so, as a whole or between `_`.
fn is_called(name: &str, word: &str) -> bool {
    name == word || name.split('_').any(|part| part == word)
}

fn is_one_of(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| is_called(name, word))
}

/// Says of which registers more than one may be what a key asks for, by their names.
fn rivals(file: &RegisterFile) -> Vec<String> {
    type Fits = fn(&Found) -> bool;
    let asked: [(&str, &[&str], Fits); 4] = [
        ("what is popped", names::POP, |found| {
            found.access != Some(Access::WriteOnly)
        }),
        ("what is pushed", names::PUSH, is_writable),
        ("the level", names::LEVEL, is_readable),
        ("what resets the list", names::RESET, is_writable),
    ];
    let rivals = asked.iter().filter_map(|(asked, names, fits)| {
        let called = |found: &&Found| is_one_of(&found.name, names) && fits(found);
        let found: Vec<&str> = (file.registers.iter().filter(called))
            .map(|found| found.name.as_str())
            .collect();
        let text = format!(
            "# By their names, these may mean {asked}: {}.",
            found.join(", ")
        );
        (found.len() > 1).then_some(text)
    });
    rivals.collect()
}

fn is_readable(found: &Found) -> bool {
    found.access.is_none_or(Access::is_pure_read)
}

fn is_writable(found: &Found) -> bool {
    found.access.is_none_or(Access::is_writable)
}

fn takes(found: &Found) -> bool {
    found.access.is_some_and(Access::reads_take)
}

/// Makes a name of a device of a block's or a file's.
fn name_of(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or(text);
    let stem = last.split('.').next().unwrap_or(last).to_ascii_lowercase();
    let plain = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let name: String = plain
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(32)
        .collect();
    match name.is_empty() {
        true => "mine".into(),
        false => name,
    }
}
