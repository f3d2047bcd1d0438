//! `csr.json` of LiteX: names, places, sizes in words, and whether the host may write. It tells no fields and no effects.

use std::collections::HashMap;

use hwpool_devices::reg::Access;
use serde_json::{Map, Value};

use super::blocks::{Block, Blocks, MOST};
use super::refused::Refused;
use crate::error::line_and_column;
use crate::found::Found;
use crate::keys::First;

/// Bytes from one word to the next, where nothing is said.
const WORD: u64 = 4;
/// Most words of a register that becomes more than two.
const MOST_WORDS: u64 = 64;

/// Reads the text.
pub(crate) fn read(text: &str) -> Result<Blocks, Refused> {
    let json: Value = serde_json::from_str(text).map_err(|error| {
        // serde_json ends its messages with a place of its own.
        let message = error.to_string();
        let why = message.split(" at line ").next().unwrap_or("").to_string();
        // Its column counts bytes.
        let line = text.split('\n').nth(error.line().saturating_sub(1));
        let line = line.unwrap_or("");
        let byte = error.column().saturating_sub(1).min(line.len());
        Refused::new(Some((error.line(), line_and_column(line, byte).1)), why)
    })?;
    File { text, json: &json }.blocks()
}

#[derive(Copy, Clone)]
struct File<'t> {
    text: &'t str,
    json: &'t Value,
}

impl<'t> File<'t> {
    /// Makes an error of a name in the file, where it stands first.
    fn wrong(&self, name: &str, why: String) -> Refused {
        let at = self.text.find(&format!("\"{name}\""));
        Refused::new(at.map(|at| line_and_column(self.text, at)), why)
    }

    fn object(&self, name: &str) -> Result<&'t Map<String, Value>, Refused> {
        let object = self.json.get(name).and_then(Value::as_object);
        object.ok_or_else(|| {
            let why = format!(
                "there is no object `{name}`: csr.json of LiteX has csr_bases and csr_registers"
            );
            self.wrong(name, why)
        })
    }

    fn blocks(&self) -> Result<Blocks, Refused> {
        if let Some(width) = self.constant("csr_data_width").filter(|width| *width != 32) {
            let why = format!(
                "CSRs have words of {width} bits here: make the design with csr_data_width=32, so that an access is a word"
            );
            return Err(self.wrong("config_csr_data_width", why));
        }
        let step = (self.constant("csr_alignment")).map_or(WORD, |alignment| alignment / 8);
        if step < WORD || !step.is_multiple_of(WORD) {
            let why = format!("CSRs lie every {step} bytes here: words of 4 are read");
            return Err(self.wrong("config_csr_alignment", why));
        }
        let region = self.region()?;
        let mut bases: Vec<_> = self.object("csr_bases")?.iter().collect();
        // A design's order is that of its places; the map's is that of names, or another.
        bases.sort_by_key(|(_, base)| base.as_u64());
        let mut blocks: Vec<Block> = (bases.into_iter())
            .map(|(name, _)| Block {
                names: vec![name.clone()],
                base: 0,
                ..Block::default()
            })
            .collect();
        let names = blocks.iter().map(|block| block.names[0].clone());
        let places: HashMap<String, usize> = names.zip(0..).collect();
        let registers = self.object("csr_registers")?;
        if registers.len() > MOST {
            return Err(self.wrong(
                "csr_registers",
                format!("it has more than {MOST} registers"),
            ));
        }
        for (name, register) in registers {
            let block = block_of(name, &places);
            let (place, own) = block.ok_or_else(|| {
                self.wrong(name, format!("`{name}` belongs to no block of csr_bases"))
            })?;
            self.add(&mut blocks[place], (name, own), register, region, step)?;
        }
        for block in &mut blocks {
            block.registers.sort_by_key(|register| register.at);
        }
        blocks.retain(|block| !block.registers.is_empty() || !block.left_out.is_empty());
        Ok(Blocks {
            blocks,
            words: Some(First::High),
            keeps_base: true,
        })
    }

    /// Returns a number of the configuration.
    fn constant(&self, name: &str) -> Option<u64> {
        let constants = self.json.get("constants")?;
        constants.get(format!("config_{name}"))?.as_u64()
    }

    /// Returns where the region of all CSRs begins on the design's bus.
    fn region(&self) -> Result<u64, Refused> {
        if let Some(base) = self
            .json
            .pointer("/memories/csr/base")
            .and_then(Value::as_u64)
        {
            return Ok(base);
        }
        let bases = self.object("csr_bases")?.values();
        Ok(bases.filter_map(Value::as_u64).min().unwrap_or(0))
    }

    fn add(
        &self,
        block: &mut Block,
        (name, own): (&str, &str),
        register: &Value,
        region: u64,
        step: u64,
    ) -> Result<(), Refused> {
        let number = |key: &str| {
            let number = register.get(key).and_then(Value::as_u64);
            number.ok_or_else(|| self.wrong(name, format!("`{name}` has no number `{key}`")))
        };
        let (address, words) = (number("addr")?, number("size")?);
        let at = address.checked_sub(region).ok_or_else(|| {
            let why = format!("`{name}` lies at {address:#x}, before its region at {region:#x}");
            self.wrong(name, why)
        })?;
        let kind = register.get("type").unwrap_or(&Value::Null);
        let access = match kind.as_str() {
            Some("ro") => Access::ReadOnly,
            Some("rw") => Access::ReadWrite,
            _ => {
                let why = format!("the type of `{name}` is {kind}, neither ro nor rw");
                return Err(self.wrong(name, why));
            }
        };
        match words {
            1 => block.registers.push(found(own.into(), at, words, access)),
            2 if step == WORD => block.registers.push(found(own.into(), at, words, access)),
            2..=MOST_WORDS => (0..words).for_each(|word| {
                let at = at.saturating_add(step.saturating_mul(words - 1 - word));
                block
                    .registers
                    .push(found(format!("{own}_{word}"), at, 1, access));
            }),
            _ => (block.left_out).push((own.into(), format!("it has {words} words"))),
        }
        Ok(())
    }
}

/// Finds the block with the longest name with which a register's begins; returns its place, and the rest of the name.
fn block_of<'n>(name: &'n str, places: &HashMap<String, usize>) -> Option<(usize, &'n str)> {
    let mut ends = name.rmatch_indices('_');
    ends.find_map(|(end, _)| Some((*places.get(&name[..end])?, &name[end + 1..])))
}

fn found(name: String, at: u64, words: u64, access: Access) -> Found {
    Found {
        name,
        at,
        width: Some(if words == 2 { 64 } else { 32 }),
        access: Some(access),
        ..Found::default()
    }
}
