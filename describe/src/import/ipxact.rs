//! IP-XACT of 2009, 2014 and 2022: address blocks with registers, register files, arrays, fields and side effects.
//!
//! What a node does not say of its accesses, it inherits from what it lies in. Other views of the same bytes are not read:
//! memory remaps, alternate registers, and what holds in some modes only.

use hwpool_devices::reg::{Field, mask};
use roxmltree::Node;

use super::blocks::{Block, Blocks, Room};
use super::body::{Body, Copy, DEEPEST, Filling, Told, field, unfit};
use super::effects::{Direction, Effects};
use super::numbers::{Parameters, evaluate};
use super::refused::Refused;
use super::xml::{child, children, name_of, number_in, text, wrong};

/// Reads the registers of all memory maps.
pub(crate) fn read(component: Node<'_, '_>) -> Result<Blocks, Refused> {
    let maps = child(component, "memoryMaps")
        .ok_or_else(|| wrong(component, "there are no <memoryMaps>"))?;
    let file = File::new(component);
    let mut blocks = Blocks {
        keeps_base: true,
        ..Blocks::default()
    };
    let mut room = Room::ALL;
    for map in file.present(maps)? {
        let unit = file.number(map, "addressUnitBits")?.unwrap_or(8);
        if unit == 0 || !unit.is_multiple_of(8) || unit > 64 {
            let why = format!("its addresses count units of {unit} bits");
            return Err(wrong(map, why));
        }
        let mut reader = Reader {
            file: &file,
            unit: unit / 8,
            blocks: Vec::new(),
            filling: Filling {
                block: Block::default(),
                room,
            },
        };
        let around = Around {
            names: vec![name_of(map)?.to_string()],
            ..Around::default()
        };
        reader.blocks(map, &around, DEEPEST)?;
        room = reader.filling.room;
        blocks.blocks.append(&mut reader.blocks);
    }
    Ok(blocks)
}

/// What a file says once, for all its nodes.
struct File<'a> {
    /// The texts of parameters, by their ids.
    parameters: Parameters<'a>,
    /// Numbers that begin with a 0 may be octal: until 2009 they are what `Long.decode` of Java reads.
    has_octal: bool,
}

impl<'a> File<'a> {
    fn new(component: Node<'a, '_>) -> File<'a> {
        let all = component.descendants();
        let parameters = all.filter(|node| node.tag_name().name() == "parameter");
        let with_id = parameters.filter_map(|node| {
            let id = node.attribute("parameterId")?;
            Some((id, text(node, "value")?))
        });
        let namespace = component.tag_name().namespace().unwrap_or("");
        File {
            parameters: with_id.collect(),
            has_octal: namespace.contains("/SPIRIT/"),
        }
    }

    fn value(&self, node: Node<'_, '_>) -> Result<u64, Refused> {
        number_in(node, |text| match self.has_octal && may_be_octal(text) {
            true => Err("is it octal? Write it without the 0 before it".into()),
            false => evaluate(text, &self.parameters),
        })
    }

    fn number(&self, node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, Refused> {
        child(node, name).map(|child| self.value(child)).transpose()
    }

    /// Returns the elements in a node that its parameters do not leave out.
    fn present<'n, 'i>(&self, node: Node<'n, 'i>) -> Result<Vec<Node<'n, 'i>>, Refused> {
        if let Some(why) = elsewhere(node) {
            return Err(wrong(node, why));
        }
        let mut present = Vec::new();
        for child in node.children().filter(Node::is_element) {
            if self.number(child, "isPresent")? != Some(0) {
                present.push(child);
            }
        }
        Ok(present)
    }
}

/// Tells whether a number is another one with the radix 8.
fn may_be_octal(text: &str) -> bool {
    let is_decimal = text.starts_with('0') && text.chars().all(|c| c.is_ascii_digit());
    is_decimal && u64::from_str_radix(text, 8).ok() != text.parse().ok()
}

/// What a node of a memory map inherits.
#[derive(Debug, Clone, Default)]
struct Around {
    /// The name of the map, behind those of its banks.
    names: Vec<String>,
    /// Where it begins: the map, the bank, or the register file in its block.
    base: u64,
    access: Option<Direction>,
    /// The blocks in it follow one another.
    is_bank: bool,
    /// What stands before the names of registers.
    prefix: String,
}

/// Reads one memory map.
struct Reader<'f> {
    file: &'f File<'f>,
    /// Bytes of what addresses count.
    unit: u64,
    blocks: Vec<Block>,
    filling: Filling,
}

impl Reader<'_> {
    fn bytes(&self, node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, Refused> {
        let units = self.file.number(node, name)?;
        Ok(units.map(|units| units.saturating_mul(self.unit)))
    }

    /// Reads the blocks of a map or of a bank, and returns where they end.
    fn blocks(&mut self, node: Node<'_, '_>, around: &Around, deeper: u32) -> Result<u64, Refused> {
        let deeper = deeper.checked_sub(1);
        let deeper = deeper.ok_or_else(|| wrong(node, "banks lie in banks too deep"))?;
        let mut end = around.base;
        for node in self.file.present(node)? {
            let base = match around.is_bank {
                true => end,
                false => self.bytes(node, "baseAddress")?.unwrap_or(0),
            };
            let mut inner = Around {
                base,
                ..around.clone()
            };
            match node.tag_name().name() {
                "addressBlock" => end = self.block(node, inner)?,
                "bank" => {
                    if node
                        .attributes()
                        .any(|a| a.name() == "bankAlignment" && a.value() != "serial")
                    {
                        let why = "its blocks lie side by side, so that each has some bits of a word: only serial banks are read";
                        return Err(wrong(node, why));
                    }
                    inner.names.insert(0, name_of(node)?.to_string());
                    inner.access = direction(node)?.or(around.access);
                    inner.is_bank = true;
                    end = self.blocks(node, &inner, deeper)?;
                }
                "subspaceMap" if around.is_bank => {
                    let why = "it lies in a bank, and its length is told nowhere: what follows it has no place";
                    return Err(wrong(node, why));
                }
                _ => {}
            }
        }
        Ok(end)
    }

    /// Reads a block, since 2022 perhaps an array of them, and returns where it ends.
    fn block(&mut self, node: Node<'_, '_>, mut around: Around) -> Result<u64, Refused> {
        let range = self.bytes(node, "range")?.unwrap_or(0);
        around.access = direction(node)?.or(around.access);
        let start = around.base;
        let mut end = start.saturating_add(range);
        for (name, base) in self.copies(node, start, range)? {
            self.filling.room.take(node, 0)?;
            self.filling.block = Block {
                names: [&[name], around.names.as_slice()].concat(),
                base,
                ..Block::default()
            };
            around.base = 0;
            self.registers(node, &around, DEEPEST)?;
            self.blocks.push(std::mem::take(&mut self.filling.block));
            end = base.saturating_add(range);
        }
        Ok(end)
    }

    fn registers(
        &mut self,
        node: Node<'_, '_>,
        around: &Around,
        deeper: u32,
    ) -> Result<(), Refused> {
        let deeper = deeper.checked_sub(1);
        let deeper =
            deeper.ok_or_else(|| wrong(node, "register files lie in register files too deep"))?;
        for node in self.file.present(node)? {
            match node.tag_name().name() {
                "register" => self.register(node, around)?,
                "registerFile" => {
                    let at = self.bytes(node, "addressOffset")?.unwrap_or(0);
                    let range = self.bytes(node, "range")?.unwrap_or(0);
                    for (name, at) in self.copies(node, at, range)? {
                        self.filling.room.take(node, 0)?;
                        let inner = Around {
                            prefix: format!("{}{name}_", around.prefix),
                            base: around.base.saturating_add(at),
                            access: direction(node)?.or(around.access),
                            ..around.clone()
                        };
                        self.registers(node, &inner, deeper)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn register(&mut self, node: Node<'_, '_>, around: &Around) -> Result<(), Refused> {
        let size = self.file.number(node, "size")?.unwrap_or(32);
        let told = self.told(node, size, around)?;
        let at = self.bytes(node, "addressOffset")?.unwrap_or(0);
        let copies = self.copies(node, at, size / 8)?;
        let name = name_of(node)?;
        let alternates = child(node, "alternateRegisters");
        (self.filling).add(node, &around.prefix, around.base, copies, &told)?;
        for other in alternates
            .iter()
            .flat_map(|all| children(*all, "alternateRegister"))
        {
            self.filling.room.take(other, 0)?;
            let other = format!("{}{}", around.prefix, name_of(other)?);
            let why = format!("it is another view of {name}");
            self.filling.leave_out(other, why);
        }
        Ok(())
    }

    /// Reads what a register of `size` bits says; or why nobody can access it.
    fn told(&self, node: Node<'_, '_>, size: u64, around: &Around) -> Result<Told, Refused> {
        if let Some(why) = elsewhere(node).or_else(|| unfit(size)) {
            return Ok(Err(why));
        }
        let (mut fields, mut resets) = (Vec::new(), Vec::new());
        for node in self.file.present(node)? {
            if node.tag_name().name() == "field" {
                if let Some(why) = elsewhere(node) {
                    return Ok(Err(why));
                }
                self.fields(node, size, &mut fields, &mut resets)?;
            }
        }
        let of_fields = resets.into_iter().reduce(|a, b| Some(a? | b?)).flatten();
        let above = Effects {
            access: around.access,
            ..Effects::default()
        };
        let body = Body {
            size,
            effects: effects(node)?.or(above),
            fields,
            reset: self.reset(node, mask(0, size as u8 - 1))?.or(of_fields),
            description: text(node, "description"),
        };
        Ok(body.told())
    }

    /// Reads a field, or an array of them, of a register of `size` bits.
    fn fields(
        &self,
        node: Node<'_, '_>,
        size: u64,
        fields: &mut Vec<(Field, Effects)>,
        resets: &mut Vec<Option<u64>>,
    ) -> Result<(), Refused> {
        let low = self.file.number(node, "bitOffset")?.unwrap_or(0);
        let width = self.file.number(node, "bitWidth")?.unwrap_or(1);
        let inner = width.checked_sub(1);
        let inner = inner.ok_or_else(|| wrong(node, "the field has no bits"))?;
        let effects = effects(node)?;
        for (name, low) in self.copies(node, low, width)? {
            let bits = (low.saturating_add(inner), low);
            let field = field(node, &name, bits, size, text(node, "description"))?;
            let reset = self.reset(node, field.mask() >> field.low)?;
            resets.push(reset.map(|value| field.set(0, value)));
            fields.push((field, effects));
        }
        Ok(())
    }

    /// Reads the value after a hard reset, of which `all` bits are known: `reset/value` until 2009, `resets/reset/value`
    /// since.
    fn reset(&self, node: Node<'_, '_>, all: u64) -> Result<Option<u64>, Refused> {
        let of_type = |node: &Node<'_, '_>| {
            let other =
                |a: roxmltree::Attribute<'_, '_>| a.name() == "resetTypeRef" && a.value() != "HARD";
            !node.attributes().any(other)
        };
        let mut resets = children(child(node, "resets").unwrap_or(node), "reset");
        let Some(reset) = resets.find(of_type) else {
            return Ok(None);
        };
        let known = self.file.number(reset, "mask")?;
        let is_known = known.is_none_or(|mask| mask & all == all);
        Ok(self.file.number(reset, "value")?.filter(|_| is_known))
    }

    /// Returns the names and places of a node: one, or those of its array of any number of dimensions. They lie without
    /// gaps where nothing else is said.
    fn copies(&self, node: Node<'_, '_>, at: u64, length: u64) -> Result<Vec<Copy>, Refused> {
        let name = name_of(node)?;
        let array = child(node, "array").unwrap_or(node); // since 2022 in an element of its own
        let dims: Vec<_> = children(array, "dim").collect();
        if dims.is_empty() {
            return Ok(vec![(name.to_string(), at)]);
        }
        let mut count: u64 = 1;
        for dim in dims {
            count = count.saturating_mul(self.file.value(dim)?);
        }
        self.filling.room.has(node, count)?;
        // Fields count in bits.
        let stride = match self.file.number(array, "bitStride")? {
            Some(stride) => Some(stride),
            None => self.bytes(array, "stride")?,
        };
        let stride = stride.unwrap_or(length);
        let place = |index: u64| at.saturating_add(stride.saturating_mul(index));
        let copies = (0..count).map(|index| (format!("{name}{index}"), place(index)));
        Ok(copies.collect())
    }
}

/// Tells why a node says nothing of itself: since 2022 it may only name what another file says.
fn elsewhere(node: Node<'_, '_>) -> Option<String> {
    let name = |node: Node<'_, '_>| node.tag_name().name().to_string();
    let mut names = node.children().filter(Node::is_element).map(name);
    let found = names.find(|name| name.ends_with("DefinitionRef") || name == "aliasOf")?;
    Some(format!("what it is stands elsewhere: it has a <{found}>"))
}

/// Reads which way data goes through what a node holds.
fn direction(node: Node<'_, '_>) -> Result<Option<Direction>, Refused> {
    Ok(effects(node)?.access)
}

/// Reads what a node says of reads and writes: itself, or since 2022 in the policy that holds in every mode.
fn effects(node: Node<'_, '_>) -> Result<Effects, Refused> {
    let own = Effects::read(node, "modifiedWriteValue")?;
    let policies = node.children().find(|child| {
        matches!(
            child.tag_name().name(),
            "accessPolicies" | "fieldAccessPolicies"
        )
    });
    let Some(policies) = policies else {
        return Ok(own);
    };
    let policies: Vec<_> = policies.children().filter(Node::is_element).collect();
    let for_all = |policy: &&Node<'_, '_>| child(**policy, "modeRef").is_none();
    let policy = policies.iter().find(for_all);
    let policy = match (policy, policies.as_slice()) {
        (Some(policy), _) | (None, [policy]) => policy,
        (None, []) => return Ok(own),
        (None, _) => {
            let why = "what an access does depends on a mode of the device";
            return Ok(untold(why));
        }
    };
    match elsewhere(*policy) {
        None => Effects::read(*policy, "modifiedWriteValue"),
        Some(_) => Ok(untold(
            "what an access does stands elsewhere: it has a <fieldAccessPolicyDefinitionRef>",
        )),
    }
}

fn untold(why: &'static str) -> Effects {
    Effects {
        access: Some(Direction::Untold(why)),
        ..Effects::default()
    }
}
