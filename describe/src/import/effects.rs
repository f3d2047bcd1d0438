//! What reads and writes do, as CMSIS-SVD and IP-XACT say it alike.

use hwpool_devices::reg::Access;
use roxmltree::Node;

use super::refused::Refused;
use super::xml::{child, text, wrong};

/// What a register or one of its fields says of reads and writes.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Effects {
    pub(crate) access: Option<Direction>,
    /// A read has an effect.
    pub(crate) read_acts: bool,
    pub(crate) write: Option<Modified>,
}

/// Which way data goes.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
    Both,
    Nowhere,
    /// Nobody can tell, for this reason.
    Untold(&'static str),
}

/// What a one that is written does to a bit.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Modified {
    Clears,
    Sets,
    /// Something else.
    Other,
}

impl Direction {
    /// Reads what a node says; `None` where it says nothing.
    pub(crate) fn read(node: Node<'_, '_>) -> Result<Option<Direction>, Refused> {
        let Some(access) = child(node, "access") else {
            return Ok(None);
        };
        match access.text().unwrap_or("").trim() {
            "read-only" => Ok(Some(Direction::Read)),
            "write-only" | "writeOnce" => Ok(Some(Direction::Write)),
            "read-write" | "read-writeOnce" => Ok(Some(Direction::Both)),
            "no-access" => Ok(Some(Direction::Nowhere)),
            other => {
                let why = format!(
                    "<access> is `{other}`: it may be read-only, write-only, read-write, writeOnce, read-writeOnce or no-access"
                );
                Err(wrong(access, why))
            }
        }
    }

    fn reads(self) -> bool {
        matches!(self, Direction::Read | Direction::Both)
    }

    fn writes(self) -> bool {
        matches!(self, Direction::Write | Direction::Both)
    }
}

impl Effects {
    /// Reads what a node says; `modified` is what the format calls that which a write does.
    pub(crate) fn read(node: Node<'_, '_>, modified: &'static str) -> Result<Effects, Refused> {
        let write = text(node, modified).map(|modified| match modified {
            "oneToClear" => Modified::Clears,
            "oneToSet" => Modified::Sets,
            _ => Modified::Other,
        });
        Ok(Effects {
            access: Direction::read(node)?,
            read_acts: child(node, "readAction").is_some(),
            write,
        })
    }

    /// Returns what is said here, and where nothing is, what is said above.
    pub(crate) fn or(self, above: Effects) -> Effects {
        Effects {
            access: self.access.or(above.access),
            read_acts: self.read_acts || above.read_acts,
            write: self.write.or(above.write),
        }
    }

    /// Returns the access of a register of which this is said, and of whose fields that; or why nobody can tell.
    pub(crate) fn access(self, fields: &[Effects]) -> Result<Access, &'static str> {
        let all: Vec<Effects> = match fields {
            [] => vec![self],
            _ => fields.iter().map(|field| field.or(self)).collect(),
        };
        let way = |of: &Effects| of.access.unwrap_or(Direction::Both);
        let untold = all.iter().find_map(|of| match way(of) {
            Direction::Untold(why) => Some(why),
            _ => None,
        });
        if let Some(why) = untold {
            return Err(why);
        }
        let reads = all.iter().any(|of| way(of).reads());
        let writes = all.iter().any(|of| way(of).writes());
        let takes = all.iter().any(|of| of.read_acts && way(of).reads());
        Ok(match (takes, reads, writes) {
            (_, false, false) => return Err("it has no access"),
            (true, _, true) => Access::BothEffects,
            (true, _, false) => Access::ReadEffect,
            (false, true, false) => Access::ReadOnly,
            (false, false, true) => Access::WriteOnly,
            (false, true, true) => {
                let written = all.iter().filter(|of| way(of).writes());
                written_by(written.map(|of| of.write))
            }
        })
    }
}

/// Returns what a write of a readable register does: what all its writable fields agree on.
fn written_by(fields: impl Iterator<Item = Option<Modified>>) -> Access {
    let how: Vec<Option<Modified>> = fields.collect();
    let agreed = |modified| how.iter().all(|how| *how == Some(modified));
    if agreed(Modified::Clears) {
        Access::WriteOneToClear
    } else if agreed(Modified::Sets) {
        Access::WriteOneToSet
    } else {
        Access::ReadWrite
    }
}
