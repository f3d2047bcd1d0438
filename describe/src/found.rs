//! Registers as files name them, before a description makes rows of them.

use std::collections::HashSet;
use std::io;

use hwpool_devices::reg::{Access, Field};

use crate::keys::First;

/// Finds the text of a register file by the name that a description gives it.
pub type Loader<'l> = &'l dyn Fn(&str) -> io::Result<String>;

/// A register, as a file tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name, in capitals.
    pub(crate) name: String,
    /// Bytes from the beginning of the file's block, or of its region.
    pub(crate) at: u64,
    /// Its bits, 32 or 64; `None` where the file says nothing.
    pub(crate) width: Option<u8>,
    /// What reads and writes do; `None` where the file says nothing.
    pub(crate) access: Option<Access>,
    /// What it reads after a reset.
    pub(crate) reset: Option<u64>,
    /// Bits that exist; `None`: those of its fields, or all.
    pub(crate) bits: Option<u64>,
    /// Its fields, from low to high.
    pub(crate) fields: Vec<Field>,
    /// One line for people.
    pub(crate) doc: String,
}

/// What a register file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RegisterFile {
    /// Its registers, in the order of the file.
    pub(crate) registers: Vec<Found>,
    /// Registers that can't be accessed by 32 or 64 bits, each with the reason.
    pub(crate) left_out: Vec<(String, String)>,
    /// Its blocks: what `block` may name.
    pub(crate) blocks: Vec<String>,
    /// Where bits 31 to 0 of 64 lie, where the file says so.
    pub(crate) words: Option<First>,
}

/// Tells whether a name can be one of a register or a field.
pub(crate) fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    starts && name.len() <= 64 && name.chars().all(plain)
}

/// Sorts fields, and leaves out those of a name that is there.
pub(crate) fn settled(mut fields: Vec<Field>) -> Vec<Field> {
    fields.sort_by_key(|field| field.low);
    let mut names = HashSet::new();
    fields.retain(|field| names.insert(field.name.clone()));
    fields
}
