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
use crate::questions;
use crate::registers::{self, Place};
use crate::rows::Rows;

/// How long a reset may take, where nothing is said.
const WITHIN_MS: u64 = 100;

type Read<T> = Result<T, Wrong>;

/// Reads a description; of a wrong one it tells what can be told at once, at least one mistake.
pub(crate) fn description(text: Text<'_>, loader: Loader<'_>) -> Result<Description, Mistakes> {
    let begin = text.text.trim_start_matches('\u{feff}').trim_start();
    if let Some(sign) = begin.chars().next().filter(|c| matches!(c, '{' | '<')) {
        let why = format!(
            "it begins with {sign}, and a description is TOML: `hwpool describe import` makes a first one of a register file"
        );
        return Err(text.wrong(text.text.len() - begin.len(), "", why).into());
    }
    let root = text.parse()?;
    let tables = Tables::new(text, root.get_ref())?;
    tables.check_schema()?;
    // An answer that is missing would make mistakes of others.
    Mistakes(questions::open(text, root.get_ref())).none()?;
    let place = tables.place()?;
    let registers = tables.named("registers")?;
    let rows = registers::read(text, registers, &place, loader)?;
    let reader = Reader {
        tables,
        rows,
        place,
    };
    reader.description()
}

/// What is wrong with a description, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(pub(crate) Vec<DescribeError>);

impl<E: Into<DescribeError>> From<E> for Mistakes {
    fn from(error: E) -> Mistakes {
        Mistakes(vec![error.into()])
    }
}

impl Mistakes {
    /// Returns a part of a description, or keeps what is wrong with it.
    fn part<T>(&mut self, part: Read<T>) -> Option<T> {
        part.map_err(|wrong| self.0.push(wrong.into())).ok()
    }

    /// Refuses where there is one.
    fn none(mut self) -> Result<(), Mistakes> {
        self.0.sort_by_key(DescribeError::place);
        // Two parts may read the same table.
        self.0.dedup_by_key(|error| error.to_string());
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }
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
        let known = keys::table(name);
        let keys = known.map_or(&[][..], |table| table.keys);
        let node = Node::new(self.text, name, table, at, keys, &[])?;
        if let Some(known) = known {
            node.check_needs(known.needs)?;
            node.way(&known.ways)?;
        }
        Ok(node)
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

    /// Returns the byte where a key's value stands, and the one where its table does; `None` for what is not there.
    fn seats(&self, key: &str) -> (Option<usize>, Option<usize>) {
        let seat = |table, key| find(table, key).map(|(at, value)| start(at, value));
        let Some((table, key)) = key.split_once('.') else {
            return (seat(self.table, key), None);
        };
        let found = find(self.table, table);
        let entries = found.and_then(|(_, value)| value.get_ref().as_table());
        let entry = entries.and_then(|entries| seat(entries, key));
        (entry, found.map(|(at, _)| at))
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
    fn description(&self) -> Result<Description, Mistakes> {
        let mut mistakes = Mistakes::default();
        let description = self.parts(&mut mistakes);
        mistakes.none()?;
        // None only where there is a mistake.
        let mut description = description.ok_or_else(Mistakes::default)?;
        access::settle(&self.rows.rows, &mut description);
        description
            .check()
            .map_err(|mistake| self.placed(&mistake))?;
        Ok(description)
    }

    /// Reads every part, so that each is told that is wrong.
    fn parts(&self, mistakes: &mut Mistakes) -> Option<Description> {
        let root = self.tables.root;
        let text = |name: &str| root.may(name).map(|entry| entry.text()).transpose();
        let name = mistakes.part(root.must("name").and_then(|entry| entry.text()));
        let title = mistakes.part(text("title"));
        let doc = mistakes.part(text("doc"));
        let identity = mistakes.part(self.identity());
        let alive = mistakes.part(self.alive());
        let scratch = mistakes.part(self.register(root.may("scratch")));
        let never = mistakes.part(self.registers(root.may("never")));
        let depth = mistakes.part(self.depth());
        let level = mistakes.part(self.bits(root.may("level")));
        let fill = mistakes.part(word(root.may("fill"), &keys::FILL));
        let order = mistakes.part(word(root.may("order"), &keys::ORDER));
        let enable = mistakes.part(self.enable());
        let ids = mistakes.part(self.ids());
        let pop = mistakes.part(self.pop());
        let from = pop.as_ref().map(Pop::from);
        let passage = mistakes.part(self.passage(from));
        let push = mistakes.part(self.push());
        let empty = mistakes.part(self.empty(from));
        let full = mistakes.part(self.full());
        let value = mistakes.part(self.value(from));
        let reset = mistakes.part(self.reset());
        let interrupt = mistakes.part(self.interrupt());
        let rows = self.rows.rows.iter();
        Some(Description {
            name: name?.into(),
            title: title?.or(name)?.into(),
            doc: doc?.unwrap_or("").into(),
            source: self.place.section.clone(),
            ids: ids?,
            bar: self.place.bar,
            size: self.place.size(&self.rows),
            passage: passage?,
            sharing: self.place.sharing,
            registers: rows.map(|row| row.register.clone()).collect(),
            identity: identity?,
            alive: alive?,
            scratch: scratch?,
            enable: enable?,
            pop: pop?,
            push: push?,
            empty: empty?,
            full: full?,
            value: value?,
            depth: depth?,
            level: level?,
            fill: fill?.unwrap_or(Fill::Software),
            order: order?.unwrap_or(Order::Fifo),
            reset: reset?,
            interrupt: interrupt?,
            never: never?,
        })
    }

    /// Says where a mistake stands: at what its key says, at its register, or where the key would stand.
    fn placed(&self, mistake: &Mistake) -> Wrong {
        let row = (mistake.register).and_then(|register| self.rows.rows.get(register));
        let (value, table) = match mistake.key {
            "registers" => (None, self.tables.seats("registers").0),
            key => self.tables.seats(key),
        };
        let at = value.or(row.map(|row| row.at)).or(table).unwrap_or(0);
        let key = match (mistake.key, row) {
            ("registers", Some(row)) => format!("registers.{}", row.register.name),
            (key, _) => key.into(),
        };
        self.tables.text.wrong(at, &key, mistake.to_string())
    }

    fn registers(&self, entry: Option<Entry<'_>>) -> Read<Vec<usize>> {
        entry.map_or(Ok(Vec::new()), |entry| self.rows.registers(&entry))
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

    /// Returns the register that is named, or the one that identifies the device.
    fn alive(&self) -> Read<usize> {
        let identity = self.tables.may("identity")?;
        let identity = identity.and_then(|node| node.may("register"));
        let alive = self.tables.root.may("alive").or(identity);
        self.register(alive)?.ok_or_else(|| {
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
        Ok(match (then, length.zip(expect)) {
            (Some(then), _) => Pop::Acknowledge { from, then },
            (None, Some((length, expect))) => Pop::LengthFirst {
                length,
                expect,
                from,
            },
            (None, None) => Pop::Read { from },
        })
    }

    fn push(&self) -> Read<Push> {
        let node = self.tables.must("push")?;
        Ok(Push {
            to: self.rows.port(&node.must("write")?)?,
            then: self.then(&node, "push.then")?,
        })
    }

    /// Reads how values pass that are popped `from` there; `None` where that is not known.
    fn passage(&self, from: Option<Port>) -> Read<Passage> {
        let at = self.tables.may("at")?;
        let halves = at.and_then(|node| node.may("halves"));
        let (halves, from) = match from {
            Some(from) => (halves, from),
            None => return Ok(Passage::Whole),
        };
        match (halves, from) {
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
                self.tables.seats("at.halves").1.unwrap_or(0),
                "at.halves",
                "`at.halves` is missing: the value has 64 bits and accesses have 32, so write low-first or high-first",
            )),
        }
    }

    fn value(&self, from: Option<Port>) -> Read<Value> {
        let node = self.tables.must("value")?;
        let width = match from {
            Some(Port::Whole(register)) => self.rows.rows[register].register.width * 8,
            Some(Port::Halves { .. }) | None => 64,
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

    fn empty(&self, from: Option<Port>) -> Read<Empty> {
        let node = self.tables.must("empty")?;
        Ok(match node.way(keys::ways("empty"))? {
            Some(("value", entry)) => Empty::Value(entry.number()?),
            Some(("level", _)) => Empty::Level,
            Some(("flag", _)) => {
                let test = self.test(&node)?;
                let popped = |from: Port| from.registers().any(|r| r == test.bits.register);
                match from.is_some_and(popped) {
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
        let shown = match node.way(keys::ways("full"))? {
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
        let clear = word(node.may("clear"), &keys::CLEAR)?;
        Ok(Some(Interrupt {
            vector: number(node.may("vector"))?.unwrap_or(0) as u16,
            enable: enable
                .transpose()?
                .map(|node| self.set(&node))
                .transpose()?,
            pending,
            clear: clear.unwrap_or(Clear::Itself),
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

/// Reads `1234:f1f0`.
fn id(text: &str) -> Option<(u16, u16)> {
    let hex = |text: &str| {
        let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    let (vendor, device) = text.split_once(':')?;
    Some((hex(vendor)?, hex(device)?))
}
