//! IP-XACT of 2009, 2014 and 2022: address blocks with registers, register files, arrays, fields and side effects.

use hwpool_devices::reg::{Field, mask};
use roxmltree::Node;

use super::blocks::{Block, Blocks, MOST, capitals};
use super::refused::Refused;
use super::xml::{Effects, child, children, line, number, text, wrong};
use crate::found::Found;

/// Most register files in register files.
const DEEPEST: u32 = 16;

/// Reads the registers of all memory maps.
pub(crate) fn read(component: Node<'_, '_>) -> Result<Blocks, Refused> {
    let maps = child(component, "memoryMaps")
        .ok_or_else(|| wrong(component, "there are no <memoryMaps>"))?;
    let mut blocks = Blocks {
        keeps_base: true,
        ..Blocks::default()
    };
    let mut room = MOST;
    for map in children(maps, "memoryMap") {
        let unit = number(map, "addressUnitBits")?.unwrap_or(8);
        if unit == 0 || unit % 8 != 0 || unit > 64 {
            return Err(wrong(
                map,
                format!("its addresses count units of {unit} bits"),
            ));
        }
        for node in children(map, "addressBlock") {
            let mut reader = Reader {
                unit: unit / 8,
                block: Block {
                    names: vec![name_of(node)?.to_string(), name_of(map)?.to_string()],
                    base: number(node, "baseAddress")?
                        .unwrap_or(0)
                        .saturating_mul(unit / 8),
                    ..Block::default()
                },
                room,
            };
            reader.registers(node, "", 0, DEEPEST)?;
            room = reader.room;
            blocks.blocks.push(reader.block);
        }
    }
    Ok(blocks)
}

fn name_of<'a>(node: Node<'a, '_>) -> Result<&'a str, Refused> {
    text(node, "name").ok_or_else(|| wrong(node, "it has no <name>"))
}

/// Reads the registers of one address block.
struct Reader {
    /// Bytes of what addresses count.
    unit: u64,
    block: Block,
    /// How many registers may still come.
    room: usize,
}

impl Reader {
    fn registers(
        &mut self,
        node: Node<'_, '_>,
        prefix: &str,
        base: u64,
        deeper: u32,
    ) -> Result<(), Refused> {
        if deeper == 0 {
            return Err(wrong(node, "register files lie in register files too deep"));
        }
        for node in node.children().filter(Node::is_element) {
            match node.tag_name().name() {
                "register" => self.register(node, prefix, base)?,
                "registerFile" => {
                    for (name, at) in self.copies(node)? {
                        self.count(node)?;
                        let prefix = format!("{prefix}{name}_");
                        self.registers(node, &prefix, base.saturating_add(at), deeper - 1)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts what a file says, so that arrays of arrays end.
    fn count(&mut self, node: Node<'_, '_>) -> Result<(), Refused> {
        let room = self.room.checked_sub(1);
        self.room =
            room.ok_or_else(|| wrong(node, format!("there are more than {MOST} registers")))?;
        Ok(())
    }

    fn register(&mut self, node: Node<'_, '_>, prefix: &str, base: u64) -> Result<(), Refused> {
        let found = found(node)?;
        for (name, at) in self.copies(node)? {
            let name = format!("{prefix}{name}");
            self.count(node)?;
            match &found {
                Ok(found) => self.block.registers.push(Found {
                    name,
                    at: base.saturating_add(at),
                    ..found.clone()
                }),
                Err(why) => self.block.left_out.push((name, why.clone())),
            }
        }
        Ok(())
    }

    /// Returns the names and places of a node: one, or those of its array of any number of dimensions.
    fn copies(&self, node: Node<'_, '_>) -> Result<Vec<(String, u64)>, Refused> {
        let name = name_of(node)?;
        let at = (number(node, "addressOffset")?.unwrap_or(0)).saturating_mul(self.unit);
        let array = child(node, "array").unwrap_or(node); // since 2022 in an element of its own
        let mut count: u64 = 1;
        let mut is_array = false;
        for dim in children(array, "dim") {
            let text = dim.text().unwrap_or("").trim();
            let dim = super::xml::parse_number(text).ok_or_else(|| {
                wrong(dim, format!("<dim> is `{text}`, which is no whole number"))
            })?;
            count = count.saturating_mul(dim);
            is_array = true;
        }
        if count > self.room as u64 {
            return Err(wrong(node, format!("there are more than {MOST} registers")));
        }
        let stride = match number(array, "stride")? {
            Some(stride) => stride.saturating_mul(self.unit),
            None => self.stride(node)?,
        };
        let name_of = |index: u64| match is_array {
            true => format!("{name}{index}"),
            false => name.to_string(),
        };
        let copies = (0..count).map(|index| {
            (
                name_of(index),
                at.saturating_add(stride.saturating_mul(index)),
            )
        });
        Ok(copies.collect())
    }

    /// Returns the bytes from one copy to the next, which lie without gaps.
    fn stride(&self, node: Node<'_, '_>) -> Result<u64, Refused> {
        match number(node, "range")? {
            Some(range) => Ok(range.saturating_mul(self.unit)),
            None => Ok(number(node, "size")?.unwrap_or(32) / 8),
        }
    }
}

/// Reads what a register says; or why nobody can access it.
fn found(node: Node<'_, '_>) -> Result<Result<Found, String>, Refused> {
    let size = number(node, "size")?.unwrap_or(32);
    if !matches!(size, 32 | 64) {
        return Ok(Err(format!("it has {size} bits: accesses have 32 or 64")));
    }
    let (mut fields, mut effects, mut resets) = (Vec::new(), Vec::new(), Vec::new());
    for node in children(node, "field") {
        let low = number(node, "bitOffset")?.unwrap_or(0);
        let width = number(node, "bitWidth")?.unwrap_or(1);
        let high = low.checked_add(width).and_then(|end| end.checked_sub(1));
        let high = high.filter(|high| low <= *high && *high < size);
        let high =
            high.ok_or_else(|| wrong(node, "the field has bits that its register has not"))?;
        let field = Field {
            name: capitals(name_of(node)?).into(),
            low: low as u8,
            high: high as u8,
            doc: line(text(node, "description")).into(),
        };
        let all = mask(0, field.high - field.low);
        resets.push(reset(node, all)?.map(|value| field.set(0, value)));
        fields.push(field);
        effects.push(policy(node, "fieldAccessPolicies", "fieldAccessPolicy"));
    }
    let of_fields: Option<u64> = resets
        .iter()
        .copied()
        .reduce(|a, b| Some(a? | b?))
        .flatten();
    // A field that is the whole register only repeats its name.
    let is_whole = |field: &Field| field.low == 0 && u64::from(field.high) == size - 1;
    let whole = fields.len() == 1 && fields.iter().all(is_whole);
    let all = mask(0, size as u8 - 1);
    Ok(Ok(Found {
        width: Some(size as u8),
        access: Some(policy(node, "accessPolicies", "accessPolicy").access(&effects)),
        reset: reset(node, all)?.or(of_fields).map(|value| value & all),
        fields: if whole { Vec::new() } else { fields },
        doc: line(text(node, "description")),
        ..Found::default()
    }))
}

/// Reads what a node says of reads and writes: itself, or since 2022 in its first access policy.
fn policy(node: Node<'_, '_>, policies: &'static str, policy: &'static str) -> Effects {
    let inner = child(node, policies).and_then(|policies| child(policies, policy));
    Effects::read(inner.unwrap_or(node), "modifiedWriteValue")
}

/// Reads a reset value of which `all` bits are known: `reset/value` until 2009, `resets/reset/value` since.
fn reset(node: Node<'_, '_>, all: u64) -> Result<Option<u64>, Refused> {
    let reset = child(child(node, "resets").unwrap_or(node), "reset");
    let Some(reset) = reset else {
        return Ok(None);
    };
    let known = number(reset, "mask")?.is_none_or(|mask| mask & all == all);
    Ok(number(reset, "value")?.filter(|_| known))
}
