//! What CMSIS-SVD and IP-XACT have alike below their own words: registers with fields, in blocks, with arrays.

use hwpool_devices::reg::{Field, mask};
use roxmltree::Node;

use super::blocks::{Block, Room, capitals};
use super::effects::Effects;
use super::refused::Refused;
use super::xml::{line, wrong};
use crate::found::Found;

/// Most registers, clusters or files of registers in one another.
pub(crate) const DEEPEST: u32 = 16;

/// A name and a place: of a node, or of one of its array.
pub(crate) type Copy = (String, u64);

/// What a register says, or why nobody can access it.
pub(crate) type Told = Result<Found, String>;

/// What a register says.
pub(crate) struct Body<'a> {
    /// Its bits: 32 or 64.
    pub(crate) size: u64,
    pub(crate) effects: Effects,
    pub(crate) fields: Vec<(Field, Effects)>,
    pub(crate) reset: Option<u64>,
    pub(crate) description: Option<&'a str>,
}

impl Body<'_> {
    pub(crate) fn told(self) -> Told {
        let (fields, effects): (Vec<Field>, Vec<Effects>) = self.fields.into_iter().unzip();
        let access = self.effects.access(&effects)?;
        let all = mask(0, self.size as u8 - 1);
        // A field that is the whole register only repeats its name.
        let repeats = matches!(fields.as_slice(), [field] if field.mask() == all);
        Ok(Found {
            width: Some(self.size as u8),
            access: Some(access),
            reset: self.reset.map(|value| value & all),
            fields: if repeats { Vec::new() } else { fields },
            doc: line(self.description),
            ..Found::default()
        })
    }
}

/// Tells why a register of so many bits can't be accessed, if it can't.
pub(crate) fn unfit(size: u64) -> Option<String> {
    let fits = matches!(size, 32 | 64);
    (!fits).then(|| format!("it has {size} bits: accesses have 32 or 64"))
}

/// Makes a field, which lies in its register of `size` bits.
pub(crate) fn field(
    node: Node<'_, '_>,
    name: &str,
    (high, low): (u64, u64),
    size: u64,
    description: Option<&str>,
) -> Result<Field, Refused> {
    if low > high || high >= size {
        let why = format!("the field lies at bits {high}:{low}, and its register has {size}");
        return Err(wrong(node, why));
    }
    Ok(Field {
        name: capitals(name).into(),
        low: low as u8,
        high: high as u8,
        doc: line(description).into(),
    })
}

/// The registers of one block as they come, and how many of a file's may still come.
pub(crate) struct Filling {
    pub(crate) block: Block,
    pub(crate) room: Room,
}

impl Filling {
    /// Adds the copies of a register.
    pub(crate) fn add(
        &mut self,
        node: Node<'_, '_>,
        prefix: &str,
        base: u64,
        copies: Vec<Copy>,
        told: &Told,
    ) -> Result<(), Refused> {
        let fields = told.as_ref().map_or(0, |found| found.fields.len());
        for (name, at) in copies {
            self.room.take(node, fields)?;
            let name = format!("{prefix}{name}");
            match told {
                Ok(found) => self.block.registers.push(Found {
                    name,
                    at: base.saturating_add(at),
                    ..found.clone()
                }),
                Err(why) => self.leave_out(name, why.clone()),
            }
        }
        Ok(())
    }

    /// Keeps why nobody can access something.
    pub(crate) fn leave_out(&mut self, name: String, why: String) {
        self.block.left_out.push((name, why));
    }
}
