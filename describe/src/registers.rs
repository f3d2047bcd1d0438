//! The table `[registers]`, with the places that `[at]` and `[instances]` give.

use std::collections::HashMap;

use hwpool_devices::description::Sharing;
use hwpool_devices::reg::{Bank, Field, Scope, find_overlap, mask};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{DescribeError, Wrong};
use crate::found::{Found, Loader, RegisterFile, is_name};
use crate::keys::{ACCESS, ARE, Copies, First, REGISTER, WORDS, table};
use crate::node::{Entry, Node, Text, find, in_order, whole};
use crate::rows::{Rows, Seat};

/// Most registers that a description may have.
const MOST: usize = 4096;
/// What a BAR has at the least, where nothing else is said.
const PAGE: u64 = 4096;

/// Where registers lie, and how they are accessed.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) bar: u8,
    base: u64,
    size: Option<u64>,
    pub(crate) width: u8,
    words: Option<First>,
    pub(crate) sharing: Sharing,
    stride: u64,
    /// What an error of a register names as its specification.
    pub(crate) section: String,
}

impl Place {
    /// Reads `[at]` and `[instances]`.
    pub(crate) fn read(at: Option<Node<'_>>, instances: Option<Node<'_>>) -> Result<Place, Wrong> {
        let may = |name: &str| at.and_then(|node| node.may(name));
        let number = |name: &str| may(name).map(|entry| entry.number()).transpose();
        let (sharing, stride) = match instances {
            None => (Sharing::One, 0),
            Some(node) => copies(&node)?,
        };
        Ok(Place {
            bar: number("bar")?.unwrap_or(0) as u8,
            base: number("base")?.unwrap_or(0),
            size: number("size")?,
            width: may("width").map_or(Ok(32), |entry| entry.one_of())? as u8,
            words: may("words").map(|entry| entry.word(&WORDS)).transpose()?,
            sharing,
            stride,
            section: String::new(),
        })
    }

    /// Returns the bank of registers that are there for each copy, or once for all.
    fn bank(&self, shared: bool) -> Bank {
        let (scope, count, stride) = match self.sharing {
            Sharing::Lists(count) | Sharing::Windows(count) if !shared => {
                (Scope::Pool, count, self.stride)
            }
            _ => (Scope::Device, 1, 0),
        };
        Bank {
            scope,
            bar: self.bar,
            base: self.base,
            count,
            stride,
        }
    }

    /// Returns what the BAR must have at the least.
    pub(crate) fn size(&self, rows: &Rows) -> u64 {
        let ends = rows.rows.iter().map(|row| {
            let row = &row.register;
            row.offset() + u64::from(row.count() - 1) * row.stride() + u64::from(row.width)
        });
        let end = ends.max().unwrap_or(0).next_power_of_two();
        self.size.unwrap_or(end.max(PAGE))
    }
}

fn copies(node: &Node<'_>) -> Result<(Sharing, u64), Wrong> {
    let count = node.must("count")?.number()? as u16;
    let stride = node.must("stride")?.number()?;
    let sharing = match node.must("are")?.word(&ARE)? {
        Copies::Lists => Sharing::Lists(count),
        Copies::Windows => Sharing::Windows(count),
    };
    Ok((sharing, stride))
}

/// What a description says of one register, over what a register file says.
struct Said<'t> {
    name: &'t str,
    /// The byte where its name stands.
    key_at: usize,
    found: Found,
    has_place: bool,
    shared: bool,
}

/// Reads `[registers]`, and the register file that it names.
pub(crate) fn read(
    text: Text<'_>,
    registers: (usize, &DeTable<'_>),
    place: &Place,
    loader: Loader<'_>,
) -> Result<Rows, DescribeError> {
    let (at, entries) = registers;
    let known = table("registers");
    let keys = known.map_or(&[][..], |table| table.keys);
    let node = Node::unchecked(text, "registers", entries, at, keys);
    node.check_needs(known.map_or(&[][..], |table| table.needs))?;
    let mut said = Vec::new();
    for (name, span, value) in in_order(entries) {
        if !keys.iter().any(|key| key.name == name) {
            said.push(Said::read(text, name, span.start, value)?);
        }
    }
    let file = match node.may("file") {
        None => RegisterFile::default(),
        Some(entry) => imported(&entry, node.may("block"), loader)?,
    };
    let file_at = find(entries, "file").map_or(at, |(_, value)| value.span().start);
    let all = merged(text, file, &said, file_at)?;
    Ok(rows(text, all, place)?)
}

fn imported(
    entry: &Entry<'_>,
    block: Option<Entry<'_>>,
    loader: Loader<'_>,
) -> Result<RegisterFile, DescribeError> {
    let name = entry.text()?;
    let block = block
        .map(|block| Ok::<_, Wrong>((block.text()?, block)))
        .transpose()?;
    let text = loader(name)
        .map_err(|error| entry.wrong(format!("`registers.file`: {name} can't be read: {error}")))?;
    let file = crate::import::registers(&text, block.map(|(name, _)| name));
    file.map_err(|refused| match block {
        Some((_, block)) if refused.is_of_block() => {
            block.wrong(refused.into_wrong(name).why).into()
        }
        _ => refused.into_wrong(name).into(),
    })
}

impl<'t> Said<'t> {
    fn read(
        text: Text<'t>,
        name: &'t str,
        key_at: usize,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Result<Said<'t>, Wrong> {
        let path = format!("registers.{name}");
        if !is_name(name) {
            let names = ["file", "block"];
            let why = format!(
                "`{name}` is no key in `registers`, nor a register: those have capitals, digits and `_`{}",
                crate::error::nearest(name, &names)
            );
            return Err(text.wrong(key_at, &path, why));
        }
        let mut said = Said {
            name,
            key_at,
            found: Found {
                name: name.into(),
                ..Found::default()
            },
            has_place: true,
            shared: false,
        };
        match value.get_ref() {
            DeValue::Table(table) => {
                let node = Node::new(text, &path, table, value.span().start, REGISTER, &[])?;
                said.take(&node)?;
            }
            number => {
                let at = whole(number).filter(|at| u32::try_from(*at).is_ok());
                said.found.at = at.ok_or_else(|| {
                    let why = format!(
                        "`{path}` is neither a place nor a table: write {name} = 0x20 or {name} = {{ at = 0x20 }}"
                    );
                    text.wrong(value.span().start, &path, why)
                })?;
            }
        }
        Ok(said)
    }

    fn take(&mut self, node: &Node<'_>) -> Result<(), Wrong> {
        let found = &mut self.found;
        let at = node.may("at");
        self.has_place = at.is_some();
        found.at = at.map_or(Ok(0), |entry| entry.number())?;
        found.access = node
            .may("access")
            .map(|entry| entry.word(&ACCESS))
            .transpose()?;
        found.width =
            (node.may("width").map(|entry| entry.one_of()).transpose()?).map(|width| width as u8);
        found.reset = node.may("reset").map(|entry| entry.number()).transpose()?;
        let run = node.may("bits").map(|entry| entry.run()).transpose()?;
        found.bits = run.map(|(high, low)| mask(low, high));
        if let Some(entry) = node.may("fields") {
            for (name, high, low, at) in entry.fields()? {
                if !is_name(name) {
                    let why = format!(
                        "`{name}` is no name of a field: those have capitals, digits and `_`"
                    );
                    return Err(entry.wrong_in(at, why));
                }
                found.fields.push(Field {
                    name: name.to_string().into(),
                    low,
                    high,
                    doc: "".into(),
                });
            }
        }
        self.shared = node.may("shared").map_or(Ok(false), |entry| entry.bool())?;
        let doc = node.may("doc").map_or(Ok(""), |entry| entry.text())?;
        found.doc = doc.into();
        Ok(())
    }

    /// Puts what is said over what a file says.
    fn over(&self, file: &mut Found) {
        let said = &self.found;
        if self.has_place {
            file.at = said.at;
        }
        file.width = said.width.or(file.width);
        file.access = said.access.or(file.access);
        file.reset = said.reset.or(file.reset);
        if !said.fields.is_empty() {
            file.fields.clone_from(&said.fields);
            file.bits = None;
        }
        file.bits = said.bits.or(file.bits);
        if !said.doc.is_empty() {
            file.doc.clone_from(&said.doc);
        }
    }
}

/// All registers, each with the byte that tells of it and whether it is shared.
struct Merged {
    registers: Vec<(Found, usize, bool)>,
    left_out: Vec<(String, String)>,
    words: Option<First>,
}

fn merged(
    text: Text<'_>,
    file: RegisterFile,
    said: &[Said<'_>],
    file_at: usize,
) -> Result<Merged, Wrong> {
    let found = file.registers.into_iter();
    let mut registers: Vec<_> = found.map(|found| (found, file_at, false)).collect();
    let names = registers.iter().map(|(found, ..)| found.name.clone());
    let places: HashMap<String, usize> = names.zip(0..).collect();
    for said in said {
        match places.get(said.name) {
            Some(&place) => {
                let (found, at, shared) = &mut registers[place];
                said.over(found);
                (*at, *shared) = (said.key_at, said.shared);
            }
            None if said.has_place => {
                registers.push((said.found.clone(), said.key_at, said.shared));
            }
            None => {
                let names: Vec<&str> = registers.iter().map(|(found, ..)| &*found.name).collect();
                let why = format!(
                    "`registers.{0}` has no place: write {0} = {{ at = 0x20 }}{1}",
                    said.name,
                    crate::error::nearest(said.name, &names)
                );
                let path = format!("registers.{}", said.name);
                return Err(text.wrong(said.key_at, &path, why));
            }
        }
    }
    if registers.len() > MOST {
        let why = format!("there are {} registers: {MOST} at most", registers.len());
        return Err(text.wrong(file_at, "registers", why));
    }
    Ok(Merged {
        registers,
        left_out: file.left_out,
        words: file.words,
    })
}

fn rows(text: Text<'_>, merged: Merged, place: &Place) -> Result<Rows, Wrong> {
    let words = place.words.or(merged.words).unwrap_or(First::Low);
    let mut rows = Rows::without(merged.left_out);
    for (found, at, shared) in merged.registers {
        let seat = Seat {
            bank: place.bank(shared),
            at,
        };
        let width = found.width.unwrap_or(place.width);
        fits(text, &found, width, at)?;
        match width > place.width {
            true => rows.add_halves(&found, words, seat, &place.section),
            false => rows.add(found, width, seat, &place.section),
        }
    }
    aligned(text, &rows)?;
    apart(text, &rows)?;
    Ok(rows)
}

/// What is said of a register's bits is within its width.
fn fits(text: Text<'_>, found: &Found, width: u8, at: usize) -> Result<(), Wrong> {
    let highest = found.fields.iter().max_by_key(|field| field.high);
    let all = mask(0, width - 1);
    let name = &found.name;
    let why = if let Some(field) = highest.filter(|field| field.high >= width) {
        format!(
            "field {} of {name} has bit {}, and {name} has {width}",
            field.name, field.high
        )
    } else if found.bits.is_some_and(|bits| bits & !all != 0) {
        format!("`bits` of {name} has more than its {width}")
    } else if let Some(reset) = found.reset.filter(|reset| reset & !all != 0) {
        format!("`reset` of {name} is {reset:#x}, and {name} has {width} bits")
    } else {
        return Ok(());
    };
    Err(text.wrong(at, &format!("registers.{name}"), why))
}

fn aligned(text: Text<'_>, rows: &Rows) -> Result<(), Wrong> {
    for row in &rows.rows {
        let (name, width) = (&row.register.name, u64::from(row.register.width));
        let path = || format!("registers.{name}");
        let (offset, stride) = (row.register.offset(), row.register.stride());
        if offset % width != 0 {
            let why =
                format!("{name} lies at {offset:#x}, which is no multiple of its {width} bytes");
            return Err(text.wrong(row.at, &path(), why));
        }
        if stride % width != 0 {
            let why = format!(
                "`instances.stride` is {stride:#x}, which is no multiple of the {width} bytes of {name}"
            );
            return Err(text.wrong(row.at, &path(), why));
        }
    }
    Ok(())
}

/// No two registers share a byte or a name.
fn apart(text: Text<'_>, rows: &Rows) -> Result<(), Wrong> {
    let table: Vec<_> = rows.rows.iter().map(|row| row.register.clone()).collect();
    let Some((one, other)) = find_overlap(&table) else {
        return Ok(());
    };
    let of_name = rows
        .rows
        .iter()
        .filter(|row| [one, other].contains(&&*row.register.name));
    let at = of_name.map(|row| row.at).max().unwrap_or(0);
    let why = match one == other {
        true if table.iter().filter(|row| row.name == one).count() > 1 => {
            format!("there are two registers {one}")
        }
        true => format!("the copies of {one} overlap: `instances.stride` is too small"),
        false => format!("{one} and {other} share a byte"),
    };
    Err(text.wrong(at, &format!("registers.{other}"), why))
}
