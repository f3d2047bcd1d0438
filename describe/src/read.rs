//! From the tables of a TOML text to a description.

use std::time::Duration;

use hwpool_devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Full, Interrupt, Meaning, Mistake, Order,
    Passage, Pop, Port, Push, Reset, Room, Set, Test, Value, When, Write,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::access;
use crate::error::{DescribeError, Wrong};
use crate::found::Loader;
use crate::keys::{self, First, Is, SCHEMA, TABLES};
use crate::node::{Entry, Node, Text, find};
use crate::registers::{self, Place};
use crate::rows::Rows;

/// How long a reset may take, where nothing is said.
const WITHIN_MS: u64 = 100;

type Read<T> = Result<T, Wrong>;

/// Reads a description.
pub(crate) fn description(
    text: Text<'_>,
    loader: Loader<'_>,
) -> Result<Description, DescribeError> {
    let root = DeTable::parse(text.text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        text.wrong(
            at,
            "",
            error.message().lines().next().unwrap_or("").to_string(),
        )
    })?;
    let tables = Tables::new(text, root.get_ref())?;
    tables.check_schema()?;
    let place = tables.place()?;
    let registers = tables.named("registers")?;
    let rows = registers::read(text, registers, &place, loader)?;
    let reader = Reader {
        tables,
        rows,
        place,
    };
    Ok(reader.description()?)
}

/// The tables of a text.
#[derive(Debug, Copy, Clone)]
struct Tables<'t> {
    text: Text<'t>,
    table: &'t DeTable<'t>,
    root: Node<'t>,
}

impl<'t> Tables<'t> {
    fn new(text: Text<'t>, table: &'t DeTable<'t>) -> Read<Tables<'t>> {
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let keys = keys::table("").map_or(&[][..], |table| table.keys);
        Ok(Tables {
            text,
            table,
            root: Node::new(text, "", table, 0, keys, &names)?,
        })
    }

    fn check_schema(&self) -> Read<()> {
        let schema = self.root.must("schema")?;
        match schema.text()? {
            SCHEMA => Ok(()),
            other => Err(schema.wrong(format!(
                "`{other}` is no `schema` that this version reads: write {SCHEMA}"
            ))),
        }
    }

    /// Returns a table and where it stands.
    fn named(&self, name: &str) -> Read<(usize, &'t DeTable<'t>)> {
        let (at, value) = find(self.table, name).ok_or_else(|| {
            let doc = keys::table(name).map_or("", |table| table.doc);
            self.text
                .wrong(0, name, format!("`[{name}]` is missing: {doc}"))
        })?;
        match value.get_ref() {
            DeValue::Table(table) => Ok((at, table)),
            _ => {
                let why = format!("`{name}` is no table: write [{name}] on a line of its own");
                Err(self.text.wrong(value.span().start, name, why))
            }
        }
    }

    fn must(&self, name: &'static str) -> Read<Node<'t>> {
        let (at, table) = self.named(name)?;
        let keys = keys::table(name).map_or(&[][..], |table| table.keys);
        Node::new(self.text, name, table, at, keys, &[])
    }

    fn may(&self, name: &'static str) -> Read<Option<Node<'t>>> {
        match find(self.table, name) {
            Some(_) => self.must(name).map(Some),
            None => Ok(None),
        }
    }

    fn place(&self) -> Read<Place> {
        let mut place = Place::read(self.may("at")?, self.may("instances")?)?;
        place.section = self.source()?.to_string();
        Ok(place)
    }

    /// Returns where the registers are documented: what is said of that, or the register file.
    fn source(&self) -> Read<&'t str> {
        if let Some(entry) = self.root.may("source") {
            return entry.text();
        }
        let registers = find(self.table, "registers").map(|(_, value)| value.get_ref());
        let file = registers.and_then(|value| value.as_table());
        let file = file.and_then(|table| find(table, "file"));
        Ok(file
            .and_then(|(_, value)| value.get_ref().as_str())
            .unwrap_or(""))
    }

    /// Returns the byte to blame for a key: its value, its table, or the beginning of the file.
    fn blame(&self, key: &str) -> usize {
        let (table, key) = key.split_once('.').unwrap_or(("", key));
        if table.is_empty() {
            return find(self.table, key).map_or(0, |(at, value)| start(at, value));
        }
        let Some((at, value)) = find(self.table, table) else {
            return 0;
        };
        let entries = value.get_ref().as_table();
        let entry = entries.and_then(|entries| find(entries, key));
        entry.map_or(at, |(at, value)| start(at, value))
    }
}

/// Where a value stands; a table, where its name does.
fn start(name: usize, value: &Spanned<DeValue<'_>>) -> usize {
    match value.get_ref() {
        DeValue::Table(_) => name,
        _ => value.span().start,
    }
}

/// Makes a description of tables, whose registers are known.
struct Reader<'t> {
    tables: Tables<'t>,
    rows: Rows,
    place: Place,
}

impl<'t> Reader<'t> {
    fn description(&self) -> Read<Description> {
        let root = self.tables.root;
        let text = |name: &str| root.may(name).map(|entry| entry.text()).transpose();
        let name = root.must("name")?.text()?;
        let identity = self.identity()?;
        let pop = self.pop()?;
        let mut description = Description {
            name: name.into(),
            title: text("title")?.unwrap_or(name).into(),
            doc: text("doc")?.unwrap_or("").into(),
            source: self.tables.source()?.into(),
            ids: self.ids()?,
            bar: self.place.bar,
            size: self.place.size(&self.rows),
            passage: self.passage(&pop)?,
            sharing: self.place.sharing,
            alive: self.alive(identity)?,
            identity,
            scratch: self.register(root.may("scratch"))?,
            enable: self.enable()?,
            push: self.push()?,
            empty: self.empty(&pop)?,
            full: self.full()?,
            value: self.value(&pop)?,
            pop,
            depth: self.depth()?,
            level: self.bits(root.may("level"))?,
            fill: word(root.may("fill"), &keys::FILL)?.unwrap_or(Fill::Software),
            order: word(root.may("order"), &keys::ORDER)?.unwrap_or(Order::Fifo),
            reset: self.reset()?,
            interrupt: self.interrupt()?,
            never: (root.may("never"))
                .map_or(Ok(Vec::new()), |entry| self.rows.registers(&entry))?,
            registers: self
                .rows
                .rows
                .iter()
                .map(|row| row.register.clone())
                .collect(),
        };
        access::settle(&self.rows.rows, &mut description);
        description
            .check()
            .map_err(|mistake| self.place_of(&mistake))?;
        Ok(description)
    }

    /// Finds the place of a mistake: what its key says, or the register that its sentence names.
    fn place_of(&self, mistake: &Mistake) -> Wrong {
        let words = mistake
            .why
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named = words.filter_map(|word| {
            let mut rows = self.rows.rows.iter();
            rows.find(|row| row.register.name == word)
        });
        let at = match mistake.key {
            "registers" => named.map(|row| row.at).next(),
            _ => None,
        };
        let at = at.unwrap_or_else(|| self.tables.blame(mistake.key));
        self.tables.text.wrong(at, mistake.key, mistake.to_string())
    }

    fn register(&self, entry: Option<Entry<'_>>) -> Read<Option<usize>> {
        entry.map(|entry| self.rows.register(&entry)).transpose()
    }

    fn bits(&self, entry: Option<Entry<'_>>) -> Read<Option<Bits>> {
        entry.map(|entry| self.rows.bits(&entry)).transpose()
    }

    fn ids(&self) -> Read<Vec<(u16, u16)>> {
        let Some(entry) = self.tables.may("pci")?.and_then(|node| node.may("ids")) else {
            return Ok(Vec::new());
        };
        let ids = entry.texts()?.into_iter().map(|(text, at)| {
            id(text).ok_or_else(|| {
                let why = format!(
                    "`{text}` is no pair of ids: write vendor and device in hexadecimal, as in 1234:f1f0"
                );
                entry.wrong_in(at, why)
            })
        });
        ids.collect()
    }

    fn identity(&self) -> Read<Option<(usize, u32)>> {
        let Some(node) = self.tables.may("identity")? else {
            return Ok(None);
        };
        let register = self.rows.register(&node.must("register")?)?;
        Ok(Some((register, node.must("value")?.number()? as u32)))
    }

    fn alive(&self, identity: Option<(usize, u32)>) -> Read<usize> {
        let alive = self.register(self.tables.root.may("alive"))?;
        alive.or(identity.map(|(register, _)| register)).ok_or_else(|| {
            self.tables.text.wrong(
                0,
                "alive",
                "a failed access on PCIe reads all ones, so that \"empty\" and \"gone\" look alike: name in `alive` a register \
                 that never reads all ones, or what identifies the device in [identity]",
            )
        })
    }

    fn enable(&self) -> Read<Vec<Set>> {
        let entry = self.tables.root.may("enable");
        let parts = entry.map_or(Ok(Vec::new()), |entry| entry.parts("enable"))?;
        parts.iter().map(|node| self.set(node)).collect()
    }

    fn set(&self, node: &Node<'_>) -> Read<Set> {
        Ok(Set {
            bits: self.rows.bits(&node.must("bits")?)?,
            to: number(node.may("to"))?.unwrap_or(1),
        })
    }

    fn write(&self, node: &Node<'_>, to: &str) -> Read<Write> {
        Ok(Write {
            register: self.rows.register(&node.must(to)?)?,
            value: number(node.may("value"))?.unwrap_or(1),
        })
    }

    fn then(&self, node: &Node<'t>, path: &'static str) -> Read<Option<Write>> {
        let Some(entry) = node.may("then") else {
            return Ok(None);
        };
        self.write(&entry.part(path)?, "write").map(Some)
    }

    fn test(&self, node: &Node<'_>) -> Read<Test> {
        Ok(Test {
            bits: self.rows.bits(&node.must("flag")?)?,
            is: number(node.may("is"))?.unwrap_or(1),
        })
    }

    fn pop(&self) -> Read<Pop> {
        let node = self.tables.must("pop")?;
        let from = self.rows.port(&node.must("read")?)?;
        let (then, length) = (
            self.then(&node, "pop.then")?,
            self.bits(node.may("length"))?,
        );
        let expect = number(node.may("expect"))?;
        match (then, length, expect) {
            (None, None, None) => Ok(Pop::Read { from }),
            (Some(then), None, None) => Ok(Pop::Acknowledge { from, then }),
            (None, Some(length), Some(expect)) => Ok(Pop::LengthFirst {
                length,
                expect,
                from,
            }),
            (Some(_), ..) => Err(node.wrong_at(
                "then",
                "a value is taken by `pop.then`, or its length is read first by `pop.length` and `pop.expect`: not both",
            )),
            (None, Some(_), None) => node.must("expect").map(|_| Pop::Read { from }),
            (None, None, Some(_)) => node.must("length").map(|_| Pop::Read { from }),
        }
    }

    fn push(&self) -> Read<Push> {
        let node = self.tables.must("push")?;
        Ok(Push {
            to: self.rows.port(&node.must("write")?)?,
            then: self.then(&node, "push.then")?,
        })
    }

    fn passage(&self, pop: &Pop) -> Read<Passage> {
        let at = self.tables.may("at")?;
        let halves = at.and_then(|node| node.may("halves"));
        match (halves, pop.from()) {
            (None, Port::Whole(_)) => Ok(Passage::Whole),
            (Some(entry), Port::Halves { .. }) => Ok(match entry.word(&keys::HALVES)? {
                First::Low => Passage::LowFirst,
                First::High => Passage::HighFirst,
            }),
            (Some(entry), Port::Whole(register)) => {
                let row = &self.rows.rows[register].register;
                Err(entry.wrong(format!(
                    "`at.halves` says how 64 bits pass in two accesses, and {} of {} bits is popped in one",
                    row.name,
                    row.width * 8
                )))
            }
            (None, Port::Halves { .. }) => Err(self.tables.text.wrong(
                self.tables.blame("at.halves"),
                "at.halves",
                "`at.halves` is missing: the value has 64 bits and accesses have 32, so write low-first or high-first",
            )),
        }
    }

    fn value(&self, pop: &Pop) -> Read<Value> {
        let node = self.tables.must("value")?;
        let width = match pop.from() {
            Port::Whole(register) => self.rows.rows[register].register.width * 8,
            Port::Halves { .. } => 64,
        };
        let run = node.may("bits").map(|entry| entry.run()).transpose()?;
        let (high, low) = run.unwrap_or((width - 1, 0));
        let (first, shift) = (node.may("first"), node.may("shift"));
        let is = match node.must("is")?.word(&keys::IS)? {
            Is::Index => {
                absent(shift, "an address has a `shift`, and `value.is` is index")?;
                Meaning::Index {
                    first: number(first)?.unwrap_or(0) as u32,
                }
            }
            Is::Address => {
                absent(first, "an index has a `first`, and `value.is` is address")?;
                Meaning::Address {
                    shift: number(shift)?.unwrap_or(0) as u8,
                }
            }
        };
        Ok(Value { low, high, is })
    }

    fn empty(&self, pop: &Pop) -> Read<Empty> {
        let node = self.tables.must("empty")?;
        let ways = ["value", "flag", "level", "bus-error"];
        let Some((way, entry)) = one(&node, &ways)? else {
            return Err(node.wrong(
                "",
                "`empty` says nothing: write value, flag, level or bus-error, whichever tells that there is no value",
            ));
        };
        if way != "flag" {
            absent(
                node.may("is"),
                "`empty.is` says what `empty.flag` is, which is missing",
            )?;
        }
        Ok(match way {
            "value" => Empty::Value(entry.number()?),
            "level" => Empty::Level,
            "flag" => {
                let test = self.test(&node)?;
                let beside = pop.from().registers().any(|r| r == test.bits.register);
                match beside {
                    true => Empty::Mark(test),
                    false => Empty::Flag(test),
                }
            }
            _ => Empty::BusError,
        })
    }

    fn full(&self) -> Read<Full> {
        let Some(node) = self.tables.may("full")? else {
            return Ok(Full {
                shown: Room::Counted,
                look: false,
                sticky: None,
            });
        };
        let way = one(&node, &["flag", "vacancy", "level"])?;
        if !matches!(way, Some(("flag", _))) {
            absent(
                node.may("is"),
                "`full.is` says what `full.flag` is, which is missing",
            )?;
        }
        let shown = match way {
            None => Room::Counted,
            Some(("flag", _)) => Room::Flag(self.test(&node)?),
            Some(("vacancy", entry)) => Room::Vacancy(self.rows.bits(&entry)?),
            Some(_) => Room::Level,
        };
        Ok(Full {
            shown,
            look: node.may("look").map_or(Ok(false), |entry| entry.bool())?,
            sticky: node
                .may("sticky")
                .map(|entry| self.sticky(&entry))
                .transpose()?,
        })
    }

    fn sticky(&self, entry: &Entry<'_>) -> Read<Test> {
        let bits = self.rows.bits(entry)?;
        match bits.low == bits.high {
            true => Ok(Test { bits, is: 1 }),
            false => Err(entry.wrong(format!(
                "`full.sticky` is one bit, not {}:{}",
                bits.high, bits.low
            ))),
        }
    }

    fn depth(&self) -> Read<Depth> {
        let entry = self.tables.root.must("depth")?;
        match entry.is_number() {
            true => Ok(Depth::Fixed(entry.number()? as u32)),
            false => self.rows.bits(&entry).map(Depth::Register),
        }
    }

    fn reset(&self) -> Read<Reset> {
        let node = self.tables.may("reset")?;
        let may = |name: &str| node.and_then(|node| node.may(name));
        let parts = may("write").map_or(Ok(Vec::new()), |entry| entry.parts("reset.write"))?;
        let writes: Vec<Write> = (parts.iter())
            .map(|node| self.write(node, "to"))
            .collect::<Read<_>>()?;
        let until = may("until")
            .map(|entry| entry.part("reset.until"))
            .transpose()?;
        let flr = may("flr").map_or(Ok(false), |entry| entry.bool())?;
        let nothing_resets = writes.is_empty() && !flr;
        Ok(Reset {
            until: until.map(|node| self.test(&node)).transpose()?,
            within: Duration::from_millis(number(may("within-ms"))?.unwrap_or(WITHIN_MS)),
            count: self.bits(may("count"))?,
            keeps_entries: word(may("keeps"), &keys::KEEPS)?.unwrap_or(nothing_resets),
            flr,
            writes,
        })
    }

    fn interrupt(&self) -> Read<Option<Interrupt>> {
        let Some(node) = self.tables.may("interrupt")? else {
            return Ok(None);
        };
        let enable = node
            .may("enable")
            .map(|entry| entry.part("interrupt.enable"));
        let pending = self.bits(node.may("pending"))?;
        let clear = match pending {
            Some(_) => node.must("clear")?.word(&keys::CLEAR)?,
            None => {
                absent(
                    node.may("clear"),
                    "`interrupt.clear` clears `interrupt.pending`, which is missing",
                )?;
                Clear::Itself
            }
        };
        Ok(Some(Interrupt {
            vector: number(node.may("vector"))?.unwrap_or(0) as u16,
            enable: enable
                .transpose()?
                .map(|node| self.set(&node))
                .transpose()?,
            pending,
            clear,
            raise: self.bits(node.may("raise"))?,
            threshold: self.bits(node.may("threshold"))?,
            when: node.must("when")?.word::<When>(&keys::WHEN)?,
        }))
    }
}

fn number(entry: Option<Entry<'_>>) -> Read<Option<u64>> {
    entry.map(|entry| entry.number()).transpose()
}

fn word<T: Copy>(entry: Option<Entry<'_>>, words: &[keys::Word<T>]) -> Read<Option<T>> {
    entry.map(|entry| entry.word(words)).transpose()
}

/// Refuses a key that has no meaning here.
fn absent(entry: Option<Entry<'_>>, why: &str) -> Read<()> {
    match entry {
        None => Ok(()),
        Some(entry) => Err(entry.wrong(why)),
    }
}

/// Finds which one of several keys says it; `false` says nothing.
fn one<'t>(node: &Node<'t>, ways: &[&'static str]) -> Read<Option<(&'static str, Entry<'t>)>> {
    let mut said: Option<(&'static str, Entry<'t>)> = None;
    for way in ways {
        let Some(entry) = node.may(way) else {
            continue;
        };
        if matches!(*way, "level" | "bus-error") && !entry.bool()? {
            continue;
        }
        if let Some((first, _)) = said {
            let why = format!(
                "`{first}` says it already: one of {} alone",
                ways.join(", ")
            );
            return Err(entry.wrong(format!("`{}`: {why}", entry.path())));
        }
        said = Some((way, entry));
    }
    Ok(said)
}

/// Reads `1234:f1f0`.
fn id(text: &str) -> Option<(u16, u16)> {
    let hex = |text: &str| {
        let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    let (vendor, device) = text.split_once(':')?;
    Some((hex(vendor)?, hex(device)?))
}
