//! CMSIS-SVD: peripherals with registers, clusters, arrays, fields and side effects.

use std::collections::{BTreeMap, BTreeSet};

use hwpool_devices::reg::{Field, mask};
use roxmltree::Node;

use super::blocks::{Block, Blocks, MOST};
use super::body::{Body, Copy, DEEPEST, Filling, Told, field, unfit};
use super::effects::{Direction, Effects};
use super::numbers::scaled;
use super::refused::Refused;
use super::xml::{child, children, name_of, number_in, text, wrong};

/// Reads the registers of all peripherals.
pub(crate) fn read(device: Node<'_, '_>) -> Result<Blocks, Refused> {
    let peripherals =
        child(device, "peripherals").ok_or_else(|| wrong(device, "there are no <peripherals>"))?;
    let file = File::new(device);
    let defaults = Defaults::default().of(&Chain(vec![device]))?;
    let mut blocks = Blocks::default();
    let mut room = MOST;
    for node in children(peripherals, "peripheral") {
        let chain = file.chain(node)?;
        let base = chain.number("baseAddress")?.unwrap_or(0);
        let mut filling = Filling {
            block: Block::default(),
            room,
        };
        for (name, base) in copies(node, base, &filling)? {
            filling.block = Block {
                names: vec![name],
                base,
                ..Block::default()
            };
            let around = Around {
                prefix: String::new(),
                base: 0,
                defaults: defaults.of(&chain)?,
            };
            let inner: Vec<_> = chain.all("registers").collect();
            filling.count(node)?;
            file.registers(node, &inner, &around, &mut filling, DEEPEST)?;
            let block = std::mem::take(&mut filling.block);
            if !block.registers.is_empty() || !block.left_out.is_empty() {
                blocks.blocks.push(block);
            }
        }
        room = filling.room;
    }
    Ok(blocks)
}

/// A node, and behind it those that it is derived from: what the first says holds.
struct Chain<'a, 'i>(Vec<Node<'a, 'i>>);

impl<'a, 'i> Chain<'a, 'i> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
        self.0.iter().filter_map(move |node| child(*node, name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Refused> {
        let node = self.all(name).next();
        node.map(value).transpose()
    }

    fn text(&self, name: &'static str) -> Option<&'a str> {
        self.all(name).next()?.text().map(str::trim)
    }

    fn effects(&self) -> Result<Effects, Refused> {
        let said = self.0.iter();
        said.map(|node| Effects::read(*node, "modifiedWriteValues"))
            .try_fold(Effects::default(), |above, said| Ok(above.or(said?)))
    }
}

fn value(node: Node<'_, '_>) -> Result<u64, Refused> {
    let none = || "it is no whole number".to_string();
    number_in(node, |text| scaled(text, 2).ok_or_else(none))
}

fn number(node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, Refused> {
    child(node, name).map(value).transpose()
}

/// What nodes inherit from those around them.
#[derive(Debug, Copy, Clone)]
struct Defaults {
    size: u64,
    access: Option<Direction>,
    reset: Option<u64>,
    known: Option<u64>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            size: 32,
            access: None,
            reset: None,
            known: None,
        }
    }
}

impl Defaults {
    fn of(self, chain: &Chain<'_, '_>) -> Result<Defaults, Refused> {
        Ok(Defaults {
            size: chain.number("size")?.unwrap_or(self.size),
            access: chain.effects()?.access.or(self.access),
            reset: chain.number("resetValue")?.or(self.reset),
            known: chain.number("resetMask")?.or(self.known),
        })
    }
}

/// Where the registers of a node lie, and what stands before their names.
#[derive(Clone)]
struct Around {
    prefix: String,
    base: u64,
    defaults: Defaults,
}

/// What may be derived from another of its kind.
const DERIVED: [&str; 4] = ["peripheral", "cluster", "register", "field"];

/// A file, in which nodes are found by their names.
struct File<'a, 'i> {
    named: BTreeMap<(&'static str, &'a str), Vec<Node<'a, 'i>>>,
}

impl<'a, 'i> File<'a, 'i> {
    fn new(device: Node<'a, 'i>) -> File<'a, 'i> {
        let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for node in device.descendants() {
            let kind = DERIVED.iter().find(|kind| node.tag_name().name() == **kind);
            if let (Some(kind), Some(name)) = (kind, text(node, "name")) {
                named.entry((*kind, name)).or_default().push(node);
            }
        }
        File { named }
    }

    /// Returns a node with those that it is derived from.
    fn chain(&self, node: Node<'a, 'i>) -> Result<Chain<'a, 'i>, Refused> {
        let mut chain = vec![node];
        let mut last = node;
        while let Some(path) = last.attribute("derivedFrom") {
            let from = self.find(last, path).ok_or_else(|| {
                wrong(
                    last,
                    format!("it is derived from `{path}`, which is not there"),
                )
            })?;
            if chain.contains(&from) {
                return Err(wrong(node, "it is derived from itself"));
            }
            chain.push(from);
            last = from;
        }
        Ok(Chain(chain))
    }

    /// Finds what a path names, nearest to a node: beside it, in its peripheral, or anywhere.
    fn find(&self, node: Node<'a, 'i>, path: &str) -> Option<Node<'a, 'i>> {
        let kind = DERIVED
            .iter()
            .find(|kind| node.tag_name().name() == **kind)?;
        let parts: Vec<&str> = path.split('.').collect();
        let all = self.named.get(&(*kind, *parts.last()?))?;
        let fits = |other: &&Node<'a, 'i>| **other != node && ends_with(**other, &parts);
        let distance = |other: &&Node<'a, 'i>| match other {
            other if other.parent() == node.parent() => 0,
            other if peripheral(**other) == peripheral(node) => 1,
            _ => 2,
        };
        all.iter().filter(fits).min_by_key(distance).copied()
    }

    /// Returns the nodes of a kind in nodes of which each is derived from the next; a name counts once.
    fn members(
        &self,
        nodes: &[Node<'a, 'i>],
        kinds: &[&str],
    ) -> Result<Vec<Node<'a, 'i>>, Refused> {
        let mut seen = BTreeSet::new();
        let mut members = Vec::new();
        for node in nodes {
            let mut own = Vec::new();
            for node in node.children().filter(Node::is_element) {
                if kinds.contains(&node.tag_name().name()) && !seen.contains(name_of(node)?) {
                    own.push(node);
                }
            }
            // Two of one name in one list are left to those who read them.
            for node in &own {
                seen.insert(name_of(*node)?);
            }
            members.extend(own);
        }
        Ok(members)
    }

    /// Reads the registers and clusters in nodes of which each is derived from the next.
    fn registers(
        &self,
        above: Node<'a, 'i>,
        nodes: &[Node<'a, 'i>],
        around: &Around,
        filling: &mut Filling,
        deeper: u32,
    ) -> Result<(), Refused> {
        let deeper = deeper.checked_sub(1);
        let deeper = deeper.ok_or_else(|| wrong(above, "clusters lie in clusters too deep"))?;
        for node in self.members(nodes, &["register", "cluster"])? {
            let chain = self.chain(node)?;
            let at = chain.number("addressOffset")?.unwrap_or(0);
            let copies = copies(node, at, filling)?;
            if node.tag_name().name() == "register" {
                let told = self.register(&chain, around.defaults)?;
                filling.add(node, &around.prefix, around.base, copies, &told)?;
                continue;
            }
            for (name, at) in copies {
                filling.count(node)?;
                let inner = Around {
                    prefix: format!("{}{name}_", around.prefix),
                    base: around.base.saturating_add(at),
                    defaults: around.defaults.of(&chain)?,
                };
                self.registers(node, &chain.0, &inner, filling, deeper)?;
            }
        }
        Ok(())
    }

    /// Reads what a register says; or why nobody can access it.
    fn register(&self, chain: &Chain<'a, 'i>, defaults: Defaults) -> Result<Told, Refused> {
        let defaults = defaults.of(chain)?;
        let size = defaults.size;
        if let Some(why) = unfit(size) {
            return Ok(Err(why));
        }
        let inner: Vec<_> = chain.all("fields").collect();
        let mut fields = Vec::new();
        for node in self.members(&inner, &["field"])? {
            self.fields(node, size, &mut fields)?;
        }
        // A reset value of which bits are not known is none.
        let all = mask(0, size as u8 - 1);
        let is_known = defaults.known.is_none_or(|known| known & all == all);
        let body = Body {
            size,
            effects: Effects {
                access: defaults.access,
                ..chain.effects()?
            },
            fields,
            reset: defaults.reset.filter(|_| is_known),
            description: chain.text("description"),
        };
        Ok(body.told())
    }

    /// Reads a field, or an array of them, of a register of `size` bits.
    fn fields(
        &self,
        node: Node<'a, 'i>,
        size: u64,
        fields: &mut Vec<(Field, Effects)>,
    ) -> Result<(), Refused> {
        let chain = self.chain(node)?;
        let (high, low) = run(node, &chain)?;
        let effects = chain.effects()?;
        for (name, low_of) in copies_of(node, low, size)? {
            let bits = (high.saturating_add(low_of - low), low_of);
            let field = field(node, &name, bits, size, chain.text("description"))?;
            fields.push((field, effects));
        }
        Ok(())
    }
}

/// Tells whether a node's name, behind those of what it lies in, ends so.
fn ends_with(node: Node<'_, '_>, parts: &[&str]) -> bool {
    let mut named = node.ancestors().filter_map(|node| text(node, "name"));
    let mut parts = parts.iter().rev();
    parts.all(|part| named.next() == Some(part))
}

fn peripheral<'a, 'i>(node: Node<'a, 'i>) -> Option<Node<'a, 'i>> {
    let mut above = node.ancestors();
    above.find(|node| node.tag_name().name() == "peripheral")
}

/// Reads where a field lies, in any of the three ways.
fn run(node: Node<'_, '_>, chain: &Chain<'_, '_>) -> Result<(u64, u64), Refused> {
    let range = chain.text("bitRange").and_then(|range| {
        let range = range.strip_prefix('[')?.strip_suffix(']')?;
        let (high, low) = range.split_once(':')?;
        Some((scaled(high.trim(), 2)?, scaled(low.trim(), 2)?))
    });
    let offset = chain.number("bitOffset")?;
    let run = match (range, offset, chain.number("lsb")?) {
        (Some(range), ..) => Some(range),
        (None, Some(low), _) => {
            let width = chain.number("bitWidth")?.unwrap_or(1);
            let end = low.checked_add(width);
            end.and_then(|end| end.checked_sub(1))
                .map(|high| (high, low))
        }
        (None, None, Some(low)) => chain.number("msb")?.map(|high| (high, low)),
        (None, None, None) => None,
    };
    run.ok_or_else(|| wrong(node, "the field says nowhere which bits it has"))
}

/// Returns the names and places of a node that holds registers: one, or those of its array.
fn copies(node: Node<'_, '_>, at: u64, filling: &Filling) -> Result<Vec<Copy>, Refused> {
    filling.has_room(node, number(node, "dim")?.unwrap_or(1))?;
    copies_of(node, at, MOST as u64)
}

/// Returns the names and places of a node, `most` at most: one, or those of its array.
fn copies_of(node: Node<'_, '_>, at: u64, most: u64) -> Result<Vec<Copy>, Refused> {
    let name = name_of(node)?;
    let Some(dim) = number(node, "dim")? else {
        return Ok(vec![(name.into(), at)]);
    };
    if dim > most {
        let why = format!("its array has {dim} elements: {most} at most");
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
