//! CMSIS-SVD: peripherals with registers, clusters, arrays, fields and side effects.

use hwpool_devices::reg::{Field, mask};
use roxmltree::Node;

use super::blocks::{Block, Blocks, MOST, capitals};
use super::refused::Refused;
use super::xml::{Direction, Effects, child, children, line, number, parse_number, text, wrong};
use crate::found::Found;

/// Most steps of what is derived from what.
const DEEPEST: u32 = 16;

/// Reads the registers of all peripherals.
pub(crate) fn read(device: Node<'_, '_>) -> Result<Blocks, Refused> {
    let peripherals =
        child(device, "peripherals").ok_or_else(|| wrong(device, "there are no <peripherals>"))?;
    let peripherals: Vec<Node<'_, '_>> = children(peripherals, "peripheral").collect();
    let defaults = Defaults::default().of(device)?;
    let mut blocks = Blocks::default();
    let mut room = MOST;
    for node in &peripherals {
        let mut reader = Reader {
            peripherals: &peripherals,
            block: Block {
                names: vec![name_of(*node)?.to_string()],
                base: number(*node, "baseAddress")?.unwrap_or(0),
                ..Block::default()
            },
            room,
        };
        reader.peripheral(*node, defaults, DEEPEST)?;
        room = reader.room;
        if !reader.block.registers.is_empty() {
            blocks.blocks.push(reader.block);
        }
    }
    Ok(blocks)
}

fn name_of<'a>(node: Node<'a, '_>) -> Result<&'a str, Refused> {
    text(node, "name").ok_or_else(|| wrong(node, "it has no <name>"))
}

/// What nodes inherit from those around them.
#[derive(Debug, Copy, Clone)]
struct Defaults {
    size: u64,
    access: Option<Direction>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            size: 32,
            access: None,
        }
    }
}

impl Defaults {
    fn of(self, node: Node<'_, '_>) -> Result<Defaults, Refused> {
        Ok(Defaults {
            size: number(node, "size")?.unwrap_or(self.size),
            access: Effects::read(node, "").access.or(self.access),
        })
    }
}

/// Reads the registers of one peripheral.
struct Reader<'r, 'a, 'i> {
    peripherals: &'r [Node<'a, 'i>],
    block: Block,
    /// How many registers may still come.
    room: usize,
}

/// Where the registers of a node lie, and what stands before their names.
#[derive(Clone)]
struct Around {
    prefix: String,
    base: u64,
    defaults: Defaults,
}

impl Reader<'_, '_, '_> {
    fn peripheral(
        &mut self,
        node: Node<'_, '_>,
        defaults: Defaults,
        deeper: u32,
    ) -> Result<(), Refused> {
        let defaults = defaults.of(node)?;
        if let Some(registers) = child(node, "registers") {
            let around = Around {
                prefix: String::new(),
                base: 0,
                defaults,
            };
            self.registers(registers, &around, deeper)?;
        }
        let Some(from) = node.attribute("derivedFrom") else {
            return Ok(());
        };
        let mut peripherals = self.peripherals.iter();
        let from = peripherals.find(|other| text(**other, "name") == Some(from));
        let from =
            from.ok_or_else(|| wrong(node, "it is derived from a peripheral that is not there"))?;
        if deeper == 0 {
            return Err(wrong(node, "it is derived from itself"));
        }
        // Its own registers came first; those of the same names are left out.
        let own = self.block.registers.len();
        self.peripheral(*from, defaults, deeper - 1)?;
        let derived = self.block.registers.split_off(own);
        for found in derived {
            if self
                .block
                .registers
                .iter()
                .all(|own| own.name != found.name)
            {
                self.block.registers.push(found);
            }
        }
        Ok(())
    }

    fn registers(
        &mut self,
        node: Node<'_, '_>,
        around: &Around,
        deeper: u32,
    ) -> Result<(), Refused> {
        if deeper == 0 {
            return Err(wrong(node, "clusters lie in clusters too deep"));
        }
        for node in node.children().filter(Node::is_element) {
            match node.tag_name().name() {
                "register" => self.register(node, around)?,
                "cluster" => {
                    for (name, at) in copies(node, self.room)? {
                        self.count(node)?;
                        let inner = Around {
                            prefix: format!("{}{name}_", around.prefix),
                            base: around.base.saturating_add(at),
                            defaults: around.defaults.of(node)?,
                        };
                        self.registers(node, &inner, deeper - 1)?;
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

    fn register(&mut self, node: Node<'_, '_>, around: &Around) -> Result<(), Refused> {
        let base = derived_from(node)?;
        let found = found(node, base, around.defaults)?;
        for (name, at) in copies(node, self.room)? {
            let name = format!("{}{name}", around.prefix);
            self.count(node)?;
            match &found {
                Ok(found) => self.block.registers.push(Found {
                    name,
                    at: around.base.saturating_add(at),
                    ..found.clone()
                }),
                Err(why) => self.block.left_out.push((name, why.clone())),
            }
        }
        Ok(())
    }
}

/// Returns the register beside this one that it is derived from.
fn derived_from<'a, 'i>(node: Node<'a, 'i>) -> Result<Option<Node<'a, 'i>>, Refused> {
    let Some(path) = node.attribute("derivedFrom") else {
        return Ok(None);
    };
    let name = path.rsplit('.').next().unwrap_or(path);
    let all = node.document().descendants();
    let mut registers = all.filter(|other| {
        other.tag_name().name() == "register"
            && *other != node
            && text(*other, "name") == Some(name)
            && (!path.contains('.') || in_peripheral(*other, path))
            && (path.contains('.') || other.parent() == node.parent())
    });
    let base = registers.next();
    base.ok_or_else(|| {
        wrong(
            node,
            format!("it is derived from `{path}`, which is not there"),
        )
    })
    .map(Some)
}

fn in_peripheral(node: Node<'_, '_>, path: &str) -> bool {
    let first = path.split('.').next();
    let mut above = node.ancestors();
    above.any(|node| node.tag_name().name() == "peripheral" && text(node, "name") == first)
}

/// Reads what a register says, over what the one says that it is derived from; or why nobody can access it.
fn found(
    node: Node<'_, '_>,
    base: Option<Node<'_, '_>>,
    defaults: Defaults,
) -> Result<Result<Found, String>, Refused> {
    let own = |name: &'static str| -> Result<Option<u64>, Refused> {
        match (number(node, name)?, base) {
            (None, Some(base)) => number(base, name),
            (own, _) => Ok(own),
        }
    };
    let size = own("size")?.unwrap_or(defaults.size);
    if !matches!(size, 32 | 64) {
        return Ok(Err(format!("it has {size} bits: accesses have 32 or 64")));
    }
    let of = |node| Effects::read(node, "modifiedWriteValues");
    let mut effects = of(node);
    if let Some(base) = base.map(of) {
        effects.access = effects.access.or(base.access);
        effects.write = effects.write.or(base.write);
        effects.read_acts |= base.read_acts;
    }
    effects.access = effects.access.or(defaults.access);
    let in_fields = child(node, "fields").or_else(|| base.and_then(|base| child(base, "fields")));
    let (fields, of_fields) = in_fields.map_or(Ok((Vec::new(), Vec::new())), fields)?;
    // A field that is the whole register only repeats its name.
    let whole = |field: &Field| field.low == 0 && u64::from(field.high) == size - 1;
    let fields = match fields.as_slice() {
        [field] if whole(field) => Vec::new(),
        _ => fields,
    };
    // A reset value of which bits are not known is none.
    let all = mask(0, size as u8 - 1);
    let known = own("resetMask")?.is_none_or(|mask| mask & all == all);
    let description = text(node, "description");
    Ok(Ok(Found {
        width: Some(size as u8),
        access: Some(effects.access(&of_fields)),
        reset: (own("resetValue")?.filter(|_| known)).map(|value| value & all),
        fields,
        doc: line(description.or_else(|| base.and_then(|base| text(base, "description")))),
        ..Found::default()
    }))
}

fn fields(node: Node<'_, '_>) -> Result<(Vec<Field>, Vec<Effects>), Refused> {
    let (mut fields, mut effects) = (Vec::new(), Vec::new());
    for node in children(node, "field") {
        let (high, low) = run(node)?;
        for (name, at) in copies(node, 64)? {
            let (low, high) = (low.saturating_add(at), high.saturating_add(at));
            if high > 63 {
                return Err(wrong(node, format!("the field lies at bits {high}:{low}")));
            }
            fields.push(Field {
                name: capitals(&name).into(),
                low: low as u8,
                high: high as u8,
                doc: line(text(node, "description")).into(),
            });
            effects.push(Effects::read(node, "modifiedWriteValues"));
        }
    }
    Ok((fields, effects))
}

/// Reads where a field lies, in any of the three ways.
fn run(node: Node<'_, '_>) -> Result<(u64, u64), Refused> {
    let range = text(node, "bitRange").and_then(|range| {
        let range = range.strip_prefix('[')?.strip_suffix(']')?;
        let (high, low) = range.split_once(':')?;
        Some((parse_number(high)?, parse_number(low)?))
    });
    let run = match (range, number(node, "bitOffset")?, number(node, "lsb")?) {
        (Some(range), ..) => Some(range),
        (None, Some(low), _) => {
            let width = number(node, "bitWidth")?.unwrap_or(1);
            low.checked_add(width)
                .and_then(|end| end.checked_sub(1))
                .map(|high| (high, low))
        }
        (None, None, Some(low)) => number(node, "msb")?.map(|high| (high, low)),
        (None, None, None) => None,
    };
    let run = run.filter(|(high, low)| low <= high && *high < 64);
    run.ok_or_else(|| wrong(node, "the field says nowhere which bits it has"))
}

/// Returns the names and places of a node: one, or those of its array.
fn copies(node: Node<'_, '_>, room: usize) -> Result<Vec<(String, u64)>, Refused> {
    let name = name_of(node)?;
    let at = number(node, "addressOffset")?.unwrap_or(0);
    let Some(dim) = number(node, "dim")? else {
        return Ok(vec![(name.into(), at)]);
    };
    if dim > room as u64 {
        let why = format!("its array has {dim} elements: there is room for {room}");
        return Err(wrong(node, why));
    }
    let increment = number(node, "dimIncrement")?.unwrap_or(0);
    let indices = indices(text(node, "dimIndex"), dim);
    let place = |index: usize| at.saturating_add(increment.saturating_mul(index as u64));
    let copies = indices.into_iter().enumerate().map(|(place_of, index)| {
        let name = match name.contains("%s") {
            true => name.replace("[%s]", &index).replace("%s", &index),
            false => format!("{name}{index}"),
        };
        (name, place(place_of))
    });
    Ok(copies.collect())
}

/// Reads `0-3`, `A-D` and `LEFT,RIGHT`; where that does not count as many, the copies are numbered.
fn indices(text: Option<&str>, dim: u64) -> Vec<String> {
    let numbered = || (0..dim).map(|index| index.to_string()).collect();
    let text = text.unwrap_or("");
    let listed: Vec<String> = match text.split_once('-') {
        Some((first, last)) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if last.checked_sub(first) == dim.checked_sub(1) => {
                (first..=last).map(|index| index.to_string()).collect()
            }
            _ => letters(first, last),
        },
        None => text
            .split(',')
            .map(|index| index.trim().to_string())
            .collect(),
    };
    match listed.len() as u64 == dim && dim > 0 {
        true => listed,
        false => numbered(),
    }
}

fn letters(first: &str, last: &str) -> Vec<String> {
    match (first.as_bytes(), last.as_bytes()) {
        ([first], [last]) => (*first..=*last)
            .map(|letter| char::from(letter).to_string())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_numbered_as_they_say() {
        assert_eq!(indices(None, 2), ["0", "1"]);
        assert_eq!(indices(Some("3-5"), 3), ["3", "4", "5"]);
        assert_eq!(indices(Some("A-C"), 3), ["A", "B", "C"]);
        assert_eq!(indices(Some("LEFT, RIGHT"), 2), ["LEFT", "RIGHT"]);
        assert_eq!(indices(Some("A-C"), 2), ["0", "1"], "they are not as many");
        assert_eq!(indices(Some("0-18446744073709551615"), 2), ["0", "1"]);
    }
}
