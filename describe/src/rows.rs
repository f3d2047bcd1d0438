//! The rows of a description's table, and registers, bits and ports found in them by name.

use std::borrow::Cow;

use hwpool_devices::description::{Bits, Port};
use hwpool_devices::reg::{Access, Bank, Field, Register, mask};

use crate::error::{Wrong, nearest, or};
use crate::found::{Found, settled};
use crate::keys::First;
use crate::node::{Entry, parse_run};

/// Most names that an error lists.
const LISTED: usize = 12;

/// A row, with what the reader knows of it beside.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) register: Register,
    /// What a file says that its reads and writes do.
    pub(crate) stated: Option<Access>,
    /// The byte of the description that tells of it.
    pub(crate) at: usize,
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// Registers of 64 bits that became two: name, low half, high half.
    halves: Vec<(String, usize, usize)>,
    /// Registers that the register file has and nobody can access, each with the reason.
    left_out: Vec<(String, String)>,
}

/// Where a register lies.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Seat {
    pub(crate) bank: Bank,
    /// The byte of the description that tells of it.
    pub(crate) at: usize,
}

impl Rows {
    /// Makes a table of no rows, and of registers that it will not have.
    pub(crate) fn without(left_out: Vec<(String, String)>) -> Rows {
        Rows {
            left_out,
            ..Rows::default()
        }
    }

    /// Adds a register of the width of its accesses.
    pub(crate) fn add(&mut self, found: Found, width: u8, seat: Seat, section: &str) {
        let all = mask(0, width - 1);
        let fields = settled(found.fields);
        let of_fields = fields.iter().fold(0, |bits, field| bits | field.mask());
        let bits = match of_fields {
            0 => all,
            bits => bits,
        };
        self.rows.push(Row {
            register: Register {
                name: found.name.into(),
                bank: seat.bank,
                within: found.at,
                own_count: 1,
                own_stride: 0,
                width: width / 8,
                access: Access::ReadOnly,
                reset: found.reset,
                bits: found.bits.unwrap_or(bits) & all,
                fields: fields.into(),
                section: Cow::Owned(section.into()),
                doc: found.doc.into(),
            },
            stated: found.access,
            at: seat.at,
        });
    }

    /// Adds a register of 64 bits behind accesses of 32, as two.
    pub(crate) fn add_halves(&mut self, found: &Found, words: First, seat: Seat, section: &str) {
        let (low, high) = match words {
            First::Low => (found.at, found.at + 4),
            First::High => (found.at + 4, found.at),
        };
        let place = self.rows.len();
        self.halves.push((found.name.clone(), place, place + 1));
        self.add(half(found, "LOW", low, 0), 32, seat, section);
        self.add(half(found, "HIGH", high, 32), 32, seat, section);
    }

    fn names(&self) -> Vec<&str> {
        let rows = self.rows.iter().map(|row| &*row.register.name);
        rows.collect()
    }

    /// Finds a register of one access.
    pub(crate) fn register(&self, entry: &Entry<'_>) -> Result<usize, Wrong> {
        let name = entry.text()?;
        self.by_name(name)
            .map_err(|why| entry.wrong(format!("`{}`: {why}", entry.path())))
    }

    /// Finds registers of one access; two for one that became halves.
    pub(crate) fn registers(&self, entry: &Entry<'_>) -> Result<Vec<usize>, Wrong> {
        let mut registers = Vec::new();
        for (name, at) in entry.texts()? {
            match self.halves(name) {
                Some((low, high)) => registers.extend([low, high]),
                None => registers.push(
                    self.by_name(name)
                        .map_err(|why| entry.wrong_in(at, format!("`{}`: {why}", entry.path())))?,
                ),
            }
        }
        Ok(registers)
    }

    /// Finds what a value passes: a register, or its halves.
    pub(crate) fn port(&self, entry: &Entry<'_>) -> Result<Port, Wrong> {
        match self.halves(entry.text()?) {
            Some((low, high)) => Ok(Port::Halves { low, high }),
            None => self.register(entry).map(Port::Whole),
        }
    }

    fn halves(&self, name: &str) -> Option<(usize, usize)> {
        let mut halves = self.halves.iter();
        let found = halves.find(|(whole, ..)| whole == name)?;
        Some((found.1, found.2))
    }

    /// Finds bits of a register: all that it has, a field, or a run.
    pub(crate) fn bits(&self, entry: &Entry<'_>) -> Result<Bits, Wrong> {
        let text = entry.text()?;
        let (name, part) = match text.split_once('.') {
            Some((name, part)) => (name, Some(part)),
            None => (text, None),
        };
        let wrong = |why: String| entry.wrong(format!("`{}`: {why}", entry.path()));
        let register = self.by_name(name).map_err(wrong)?;
        let row = &self.rows[register].register;
        let (high, low) = match part {
            None => whole(row),
            Some(part) => part_of(row, part).map_err(wrong)?,
        };
        Ok(Bits {
            register,
            low,
            high,
        })
    }

    fn by_name(&self, name: &str) -> Result<usize, String> {
        let mut rows = self.rows.iter();
        rows.position(|row| row.register.name == name)
            .ok_or_else(|| self.no_register(name))
    }

    fn no_register(&self, name: &str) -> String {
        if self.halves(name).is_some() {
            return format!(
                "{name} has 64 bits and passes in halves: name {name}_LOW or {name}_HIGH"
            );
        }
        if let Some((_, why)) = self.left_out.iter().find(|(left, _)| left == name) {
            return format!("{name} can't be accessed: {why}");
        }
        let names = self.names();
        let near = nearest(name, &names);
        match names.len() {
            0..=LISTED => format!(
                "no register `{name}`: there are {}{near}",
                or(&names).replace(" or ", " and ")
            ),
            count => format!("no register `{name}` among {count}{near}"),
        }
    }
}

/// Returns the run from the lowest to the highest bit that a register has.
fn whole(row: &Register) -> (u8, u8) {
    match row.bits {
        0 => (row.width * 8 - 1, 0),
        bits => (63 - bits.leading_zeros() as u8, bits.trailing_zeros() as u8),
    }
}

fn part_of(row: &Register, part: &str) -> Result<(u8, u8), String> {
    if let Some(field) = row.fields.iter().find(|field| field.name == part) {
        return Ok((field.high, field.low));
    }
    let last = row.width * 8 - 1;
    match parse_run(part) {
        Some((high, low)) if high <= last => Ok((high, low)),
        Some((high, low)) => Err(format!("{} has bits {last}:0, not {high}:{low}", row.name)),
        None => Err(no_field(row, part)),
    }
}

fn no_field(row: &Register, part: &str) -> String {
    let names: Vec<&str> = row.fields.iter().map(|field| &*field.name).collect();
    let name = &row.name;
    match names.len() {
        0 => {
            format!("{name} has no field `{part}`, and no other: write its bits, as in {name}.7:0")
        }
        _ => format!(
            "{name} has no field `{part}`: write {}, or bits as in {name}.7:0{}",
            or(&names),
            nearest(part, &names)
        ),
    }
}

/// Cuts 32 bits out of a register of 64.
fn half(found: &Found, suffix: &str, at: u64, low: u8) -> Found {
    let cut = |bits: u64| (bits >> low) & u64::from(u32::MAX);
    // Where fields tell which bits there are, a half without one has none.
    let of_fields = found
        .fields
        .iter()
        .fold(0, |bits, field| bits | field.mask());
    let bits = found.bits.or((of_fields != 0).then_some(of_fields));
    let (high, doc) = (low + 31, &found.doc);
    let fields = found
        .fields
        .iter()
        .filter(|field| field.low <= high && field.high >= low);
    let fields = fields.map(|field| Field {
        low: field.low.max(low) - low,
        high: field.high.min(high) - low,
        ..field.clone()
    });
    Found {
        name: format!("{}_{suffix}", found.name),
        at,
        width: Some(32),
        access: found.access,
        reset: found.reset.map(cut),
        bits: bits.map(cut),
        fields: fields.collect(),
        doc: match doc.as_str() {
            "" => format!("Bits {high}:{low} of {}", found.name),
            doc => format!("{doc}: bits {high}:{low}"),
        },
    }
}
