//! CMSIS-SVD: peripherals with registers, clusters, arrays, fields and side effects.

use std::collections::{BTreeSet, HashMap};

use hwpool_devices::reg::{Field, mask};
use roxmltree::{Node, NodeId};

use super::blocks::{Block, Blocks, MOST, Room};
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
    let mut room = Room::ALL;
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
            filling.room.take(node, 0)?;
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

/// Most nodes of which each is derived from the next, or lies in the next.
const LONGEST: usize = 16;

/// How near a node is to one that is derived from it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
enum Near {
    /// In the same node.
    Beside(Option<NodeId>),
    /// In the same peripheral.
    Within(Option<NodeId>),
    Anywhere,
}

impl Near {
    /// Returns all, the nearest first.
    fn all(node: Node<'_, '_>) -> [Near; 3] {
        let id = |node: Node<'_, '_>| node.id();
        [
            Near::Beside(node.parent().map(id)),
            Near::Within(peripheral(node).map(id)),
            Near::Anywhere,
        ]
    }
}

/// A file, in which nodes are found by their kinds and paths: the first two of each, of which one may be asking.
struct File<'a, 'i> {
    named: HashMap<(Near, &'static str, String), Vec<Node<'a, 'i>>>,
}

impl<'a, 'i> File<'a, 'i> {
    fn new(device: Node<'a, 'i>) -> File<'a, 'i> {
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        for node in device.descendants() {
            for path in paths(node) {
                for near in Near::all(node) {
                    let known = named.entry((near, kind(node), path.clone())).or_default();
                    if known.len() < 2 {
                        known.push(node);
                    }
                }
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
            if chain.len() == LONGEST {
                return Err(wrong(
                    node,
                    format!("it is derived over more than {LONGEST} others"),
                ));
            }
            chain.push(from);
            last = from;
        }
        Ok(Chain(chain))
    }

    /// Finds what a path names, nearest to a node: beside it, in its peripheral, or anywhere.
    fn find(&self, node: Node<'a, 'i>, path: &str) -> Option<Node<'a, 'i>> {
        Near::all(node).into_iter().find_map(|near| {
            let known = self.named.get(&(near, kind(node), path.to_string()))?;
            known.iter().copied().find(|other| *other != node)
        })
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
                filling.room.take(node, 0)?;
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

/// Returns the kind of a node, of those that may be derived from another; else nothing.
fn kind(node: Node<'_, '_>) -> &'static str {
    let name = node.tag_name().name();
    let kind = DERIVED.iter().find(|kind| **kind == name);
    kind.copied().unwrap_or("")
}

/// Returns what a node is called: its name, and the same behind the names of what it lies in.
fn paths(node: Node<'_, '_>) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    if kind(node).is_empty() {
        return paths;
    }
    // Others have no names, and so many nodes in them that looking for one takes long.
    let above = node.ancestors().filter(|node| !kind(*node).is_empty());
    for name in above.take(LONGEST).map_while(|node| name_of(node).ok()) {
        paths.push(match paths.last() {
            Some(path) => format!("{name}.{path}"),
            None => name.into(),
        });
    }
    paths
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
    filling.room.has(node, number(node, "dim")?.unwrap_or(1))?;
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
