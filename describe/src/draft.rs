//! A first description of a register file: what its names and side effects suggest, and what it could not tell.

use hwpool_devices::reg::{Access, Field};

use crate::error::Wrong;
use crate::found::{Found, RegisterFile};
use crate::import;

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

/// Writes a first description of a register file; `file` is what the description calls it.
///
/// What is a guess has a comment that says so, and what the file could not tell is a comment with a question: each of those
/// is answered by hand, and [`parse`](crate::parse) names the next one that is open.
///
/// # Errors
///
/// What is wrong with the register file, or that it has no such block.
pub fn draft(text: &str, file: &str, block: Option<&str>) -> Result<String, Wrong> {
    let found = import::parse(text, block).map_err(|refused| refused.into_wrong(file))?;
    let draft = Draft {
        file: &found,
        effects: !text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with('{'),
        lines: Vec::new(),
    };
    Ok(draft.write(file, block))
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
struct Draft<'f> {
    file: &'f RegisterFile,
    /// The format can say what reads and writes do.
    effects: bool,
    lines: Vec<String>,
}

impl<'f> Draft<'f> {
    fn write(mut self, file: &str, block: Option<&str>) -> String {
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
        self.lines.join("\n") + "\n"
    }

    fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Writes a key with its value, and why it is thought to be so.
    fn guess(&mut self, line: impl std::fmt::Display, why: &str) {
        self.line(format!("{line} # {why}"));
    }

    /// Writes a question, and an answer as an example behind it.
    fn ask(&mut self, example: &str, question: &str) {
        self.line(format!("# {question}"));
        self.line(format!("# {example}"));
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
            "# A first description, made of {file}. What is guessed says so, and each question is"
        ));
        self.line(
            "# yours to answer: hwpool names the next one that is open when it reads the file.",
        );
        if block.is_none() && self.file.blocks.len() > 1 {
            self.line(format!(
                "# The file has the blocks {}: `block` takes one.",
                self.file.blocks.join(", ")
            ));
        }
        self.line(format!("schema = \"{}\"", crate::SCHEMA));
        self.line(format!("name = \"{name}\""));
        self.line(format!("source = {file:?}"));
        self.line(String::new());
    }

    /// Writes what tells "gone" from "empty".
    fn alive(&mut self) {
        let fits = |found: &Found| is_readable(found) && found.width != Some(64);
        let known = |found: &Found| {
            found
                .reset
                .is_some_and(|value| value != 0 && value < u64::from(u32::MAX))
        };
        let identity = self.register(names::IDENTITY, |found| fits(found) && known(found));
        if let Some(found) = identity {
            let (name, value) = (&found.name, found.reset.unwrap_or(0));
            self.guess(
                format!("identity = {{ register = \"{name}\", value = {value:#x} }}"),
                "guessed by its name and reset value",
            );
            return;
        }
        let bounded = |found: &Found| fits(found) && !found.fields.is_empty();
        match self.register(names::ALIVE, bounded).or_else(|| self.register(names::LEVEL, fits)) {
            Some(found) if found.fields.is_empty() => {
                self.guess(
                    format!("alive = \"{}\"", found.name),
                    "guessed; say below which bits it has, so that it never reads all ones",
                );
            }
            Some(found) => self.guess(
                format!("alive = \"{}\"", found.name),
                "guessed: it has bits that are never set, so that it never reads all ones",
            ),
            None => self.ask(
                "alive = \"STATUS\"",
                "Which register never reads all ones while the device is there? A failed access on PCIe reads all ones.",
            ),
        }
    }

    fn root(&mut self) {
        match self.bits(names::DEPTH) {
            Some(hit) => self.guess(format!("depth = \"{}\"", hit.name()), "guessed by its name"),
            None => self.ask("depth = 512", "How many values does the list hold?"),
        }
        match self.bits(names::LEVEL) {
            Some(hit) => self.guess(format!("level = \"{}\"", hit.name()), "guessed by its name"),
            None => self.ask(
                "level = \"LEVEL\"",
                "Does a register count the values in the list?",
            ),
        }
        if let Some(found) = self.register(names::SCRATCH, |found| {
            found.access == Some(Access::ReadWrite)
        }) {
            self.guess(
                format!("scratch = \"{}\"", found.name),
                "guessed by its name",
            );
        }
        if let Some(hit) = self.field(names::ENABLE, |found| {
            found.access == Some(Access::ReadWrite)
        }) {
            self.guess(
                format!("enable = [{{ bits = \"{}\", to = 1 }}]", hit.name()),
                "guessed by its name",
            );
        }
        self.ask(
            "fill = \"software\"",
            "Who puts the values in after a reset: software (as here), or the reset itself?",
        );
        self.ask(
            "order = \"fifo\"",
            "In which order do they leave: fifo (as here), lifo or any?",
        );
        self.line(String::new());
    }

    fn registers(&mut self, file: &str, block: Option<&str>) {
        self.line("[registers]");
        self.line(format!("file = {file:?}"));
        if let Some(block) = block {
            self.line(format!("block = {block:?}"));
        }
        if !self.effects {
            self.line("# csr.json tells no bits: say them where they are needed, as in STATUS = { fields = { EMPTY = 0 } }.");
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
        self.line(String::new());
    }

    /// Finds the register that is popped: by its effect, or by its name.
    fn popped(&self) -> Option<(&'f Found, &'static str)> {
        let sure = self.register(names::POP, takes);
        let by_name = || self.register(names::POP, |found| found.access != Some(Access::WriteOnly));
        sure.map(|found| (found, "by its read action and its name"))
            .or_else(|| by_name().map(|found| (found, "guessed by its name")))
    }

    fn pop(&mut self) {
        self.line("[pop]");
        let Some((found, why)) = self.popped() else {
            self.ask("read = \"POP\"", "Which register is a value read from?");
            self.line(String::new());
            return;
        };
        self.guess(format!("read = \"{}\"", found.name), why);
        let acknowledge = self.register(names::ACKNOWLEDGE, is_writable);
        let length = self.register(names::LENGTH, is_readable);
        match (acknowledge, length) {
            _ if takes(found) => {}
            (Some(found), _) => self.guess(
                format!("then = {{ write = \"{}\", value = 1 }}", found.name),
                "guessed by its name: does the read take the value, or this write?",
            ),
            (None, Some(found)) => {
                self.guess(format!("length = \"{}\"", found.name), "guessed by its name: is it read before the value?");
                self.ask("expect = 4", "What is the length of one value, in its unit?");
            }
            (None, None) if !self.effects => {
                self.line("# Does the read take the value? csr.json can't tell. If a write does: then = { write = \"ACK\", value = 1 }");
            }
            (None, None) => self.line("# Does the read take the value? The file names no read action. If a write does: then = { write = \"ACK\", value = 1 }"),
        }
        self.line(String::new());
    }

    fn push(&mut self) {
        self.line("[push]");
        match self.register(names::PUSH, is_writable) {
            Some(found) => self.guess(format!("write = \"{}\"", found.name), "guessed by its name"),
            None => self.ask("write = \"PUSH\"", "Which register is a value written to?"),
        }
        self.line("# If a second write gives it: then = { write = \"COMMIT\", value = 1 }");
        self.line(String::new());
    }

    fn empty(&mut self) {
        self.line("[empty]");
        let popped = self.popped().map(|(found, _)| found);
        let in_popped = |found: &Found| popped.is_some_and(|popped| popped.name == found.name);
        let hit = self.field(names::EMPTY, |found| is_readable(found) || in_popped(found));
        match hit.or_else(|| self.bits(names::LEVEL)) {
            Some(Hit { register, field: Some(field) }) if is_one_of(&field.name, names::EMPTY) => {
                let is_inverted = is_one_of(&field.name, &["N", "NOT"]);
                let is = u8::from(is_called(&field.name, "EMPTY") && !is_inverted);
                self.guess(format!("flag = \"{}.{}\"", register.name, field.name), "guessed by its name");
                self.guess(format!("is = {is}"), "what it is where there is no value");
            }
            Some(_) => self.guess("level = true", "guessed: a level of 0 says it"),
            None => self.ask(
                "value = 0",
                "What says that there is no value: a value that a pop reads, a flag, the level, or a bus error?",
            ),
        }
        self.line(String::new());
    }

    fn full(&mut self) {
        self.line("[full]");
        let level = self.bits(names::LEVEL).is_some();
        match (self.field(names::FULL, is_readable), self.bits(names::VACANCY)) {
            (Some(hit), _) => self.guess(format!("flag = \"{}\"", hit.name()), "guessed by its name"),
            (None, Some(hit)) => self.guess(format!("vacancy = \"{}\"", hit.name()), "guessed by its name"),
            (None, None) if level => self.guess("level = true", "guessed: a level of `depth` says it"),
            (None, None) => self.line("# What says that no more fits: flag, vacancy or level? Without one the driver counts."),
        }
        self.line("# Does a push into a full list do harm? look = true. Does a bit tell that one was dropped? sticky = \"ERROR.OVERFLOW\"");
        self.line(String::new());
    }

    fn value(&mut self) {
        self.line("[value]");
        self.ask(
            "is = \"index\"",
            "Is a value the number of an object (index), or its address (address)?",
        );
        self.line("# Which bits are it, as in bits = \"23:0\"? Is 0 a value? With first = 1 it is not. Shifted addresses: shift = 6");
        self.line(String::new());
    }

    fn reset(&mut self) {
        self.line("[reset]");
        match self.register(names::RESET, is_writable) {
            Some(found) => self.guess(
                format!("write = [{{ to = \"{}\", value = 1 }}]", found.name),
                "guessed by its name: is 1 what resets it?",
            ),
            None => self.ask(
                "write = [{ to = \"RESET\", value = 1 }]",
                "What empties the list? Without a reset, pops do.",
            ),
        }
        if let Some(hit) = self.field(names::READY, is_readable) {
            self.guess(
                format!("until = {{ flag = \"{}\", is = 1 }}", hit.name()),
                "guessed by its name",
            );
        }
        self.line("# How long may it take? within-ms = 10");
    }

    fn interrupt(&mut self) {
        self.line(String::new());
        self.line("# Has it an interrupt? Then a table [interrupt] says when it is sent, and what enables and clears it.");
    }
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
