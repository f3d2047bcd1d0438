//! What all formats have in common: blocks of registers, of which one or all are taken.

use std::collections::{BTreeMap, HashSet};

use roxmltree::Node;

use super::refused::Refused;
use super::xml::wrong;
use crate::error::{nearest, or};
use crate::found::{Found, RegisterFile, is_name};
use crate::keys::First;

/// Most registers of a file, and most fields of all, arrays expanded.
pub(crate) const MOST: usize = 1 << 16;
const MOST_FIELDS: usize = 1 << 19;
/// Most names that an error lists.
const LISTED: usize = 12;

/// What may still come of a file, arrays expanded.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Room {
    registers: usize,
    fields: usize,
}

impl Room {
    /// As much as a file may have.
    pub(crate) const ALL: Room = Room {
        registers: MOST,
        fields: MOST_FIELDS,
    };

    /// Refuses a node of which there are more copies than may still come.
    pub(crate) fn has(self, node: Node<'_, '_>, copies: u64) -> Result<(), Refused> {
        let fits = copies <= self.registers as u64;
        fits.then_some(())
            .ok_or_else(|| wrong(node, format!("there are more than {MOST} registers")))
    }

    /// Counts a register with so many fields, or what holds registers, so that arrays of arrays end.
    pub(crate) fn take(&mut self, node: Node<'_, '_>, fields: usize) -> Result<(), Refused> {
        self.has(node, 1)?;
        self.registers -= 1;
        let fields = self.fields.checked_sub(fields);
        self.fields = fields
            .ok_or_else(|| wrong(node, format!("there are more than {MOST_FIELDS} fields")))?;
        Ok(())
    }
}

/// The blocks of a file.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) blocks: Vec<Block>,
    /// Where bits 31 to 0 of 64 lie.
    pub(crate) words: Option<First>,
    /// Whether the place of a block counts where it is the only one that is taken.
    pub(crate) keeps_base: bool,
}

/// Registers that a file keeps together.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Its names: the first stands before those of its registers where there are several blocks.
    pub(crate) names: Vec<String>,
    /// Where it lies.
    pub(crate) base: u64,
    /// Its registers, from its base.
    pub(crate) registers: Vec<Found>,
    /// Registers that nobody can access, each with the reason.
    pub(crate) left_out: Vec<(String, String)>,
}

impl Blocks {
    /// Takes the registers of one block, or of all.
    pub(crate) fn select(self, block: Option<&str>) -> Result<RegisterFile, Refused> {
        let mut seen = HashSet::new();
        let names = self.blocks.iter().flat_map(|block| &block.names);
        let names: Vec<String> = names.filter(|name| seen.insert(*name)).cloned().collect();
        let has = |taken: &Block| block.is_none_or(|name| taken.names.iter().any(|n| n == name));
        let taken: Vec<Block> = self.blocks.into_iter().filter(has).collect();
        if taken.is_empty() {
            return Err(no_block(block.unwrap_or(""), &names));
        }
        let lowest = taken.iter().map(|block| block.base).min().unwrap_or(0);
        let base = if self.keeps_base { 0 } else { lowest };
        let several = taken.len() > 1;
        let mut file = RegisterFile {
            blocks: names,
            words: self.words,
            ..RegisterFile::default()
        };
        for block in taken {
            block.put(&mut file, base, several);
        }
        Ok(cleaned(file))
    }
}

impl Block {
    /// Puts the registers into a file, counted from `base`, the block's name before theirs where there are several.
    fn put(self, file: &mut RegisterFile, base: u64, several: bool) {
        let prefix = match self.names.first() {
            Some(name) if several => format!("{name}_"),
            _ => String::new(),
        };
        let named = |name: &str| capitals(&format!("{prefix}{name}"));
        file.registers
            .extend(self.registers.into_iter().map(|found| Found {
                name: named(&found.name),
                at: found.at.saturating_add(self.base).saturating_sub(base),
                ..found
            }));
        let left_out = self.left_out.into_iter();
        file.left_out
            .extend(left_out.map(|(name, why)| (named(&name), why)));
    }
}

fn no_block(block: &str, names: &[String]) -> Refused {
    let why = match names.len() {
        0 => "the file has no registers".to_string(),
        1..=LISTED => format!(
            "the file has no block `{block}`: it has {}{}",
            or(names).replace(" or ", " and "),
            nearest(block, names)
        ),
        count => format!(
            "the file has no block `{block}` among {count}{}",
            nearest(block, names)
        ),
    };
    Refused {
        key: "registers.block",
        ..Refused::new(None, why)
    }
}

/// Writes a name as those of registers are: capitals, digits and `_`.
pub(crate) fn capitals(name: &str) -> String {
    let plain = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    });
    let name: String = plain.collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

/// Leaves out what nobody can access: a description need not name it.
fn cleaned(mut file: RegisterFile) -> RegisterFile {
    let mut ends: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    let mut names = HashSet::new();
    let mut kept = Vec::new();
    for found in std::mem::take(&mut file.registers) {
        let bytes = u64::from(found.width.unwrap_or(32)) / 8;
        let end = found.at.saturating_add(bytes);
        let before = ends.range(..end).next_back();
        let why = if !is_name(&found.name) {
            Some("its name is empty or too long".to_string())
        } else if !names.insert(found.name.clone()) {
            Some("another register has its name".to_string())
        } else if end > u64::from(u32::MAX) || !found.at.is_multiple_of(4) {
            Some(format!("it lies at {:#x}", found.at))
        } else {
            let shared = before.filter(|(_, (other, _))| *other > found.at);
            shared.map(|(_, (_, other))| format!("it shares bytes with {other}"))
        };
        match why {
            Some(why) => file.left_out.push((found.name, why)),
            None => {
                ends.insert(found.at, (end, found.name.clone()));
                kept.push(found);
            }
        }
    }
    file.registers = kept;
    file
}
