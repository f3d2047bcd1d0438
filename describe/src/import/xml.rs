//! XML: nodes by their local names, and what CMSIS-SVD and IP-XACT say alike.

use hwpool_devices::reg::Access;
use roxmltree::{Document, Node};

use super::refused::Refused;

/// Reads the text.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, Refused> {
    Document::parse(text).map_err(|error| {
        let at = error.pos();
        let message = error.to_string();
        // Most of its messages end with the same place.
        let why = message
            .strip_suffix(&format!(" at {at}"))
            .unwrap_or(&message);
        Refused::new(Some((at.row as usize, at.col as usize)), why)
    })
}

/// Makes an error of a node.
pub(crate) fn wrong(node: Node<'_, '_>, why: impl Into<String>) -> Refused {
    let at = node.document().text_pos_at(node.range().start);
    Refused::new(Some((at.row as usize, at.col as usize)), why)
}

/// Returns the elements of a name in a node.
pub(crate) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// Returns the first element of a name in a node.
pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// Returns the text of the first element of a name in a node.
pub(crate) fn text<'a>(node: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

/// Returns the number in the first element of a name in a node.
pub(crate) fn number(node: Node<'_, '_>, name: &'static str) -> Result<Option<u64>, Refused> {
    let Some(child) = child(node, name) else {
        return Ok(None);
    };
    let text = child.text().unwrap_or("").trim();
    let number = parse_number(text);
    let why = || format!("<{name}> is `{text}`, which is no whole number");
    number.ok_or_else(|| wrong(child, why())).map(Some)
}

/// Reads `16`, `0x10`, `#1010`, `'h10`, `32'h10`, `0b10` and `4K`.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let text: String = text.chars().filter(|c| *c != '_').collect();
    if let Some((_, rest)) = text.split_once('\'') {
        let rest = rest.trim_start_matches(['s', 'S']);
        let radix = match rest.chars().next()?.to_ascii_lowercase() {
            'h' => 16,
            'd' => 10,
            'o' => 8,
            'b' => 2,
            _ => return None,
        };
        return digits(&rest[1..], radix);
    }
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("#", 2), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return digits(rest, radix);
        }
    }
    for (suffix, shift) in [("k", 10), ("m", 20), ("g", 30)] {
        if let Some(rest) = lower.strip_suffix(suffix) {
            return digits(rest, 10)?.checked_mul(1 << shift);
        }
    }
    digits(&lower, 10)
}

/// Without the sign that the standard library takes.
fn digits(text: &str, radix: u32) -> Option<u64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    plain
        .then(|| u64::from_str_radix(text, radix).ok())
        .flatten()
}

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
}

/// What a one that is written does to a bit.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Modified {
    Clears,
    Sets,
    /// Something else.
    Other,
}

impl Effects {
    /// Reads what a node says by these names.
    pub(crate) fn read(node: Node<'_, '_>, modified: &'static str) -> Effects {
        let access = text(node, "access").and_then(|access| match access {
            "read-only" => Some(Direction::Read),
            "write-only" | "writeOnce" => Some(Direction::Write),
            "read-write" | "read-writeOnce" => Some(Direction::Both),
            _ => None, // no-access
        });
        let write = text(node, modified).map(|modified| match modified {
            "oneToClear" => Modified::Clears,
            "oneToSet" => Modified::Sets,
            _ => Modified::Other,
        });
        Effects {
            access,
            read_acts: child(node, "readAction").is_some(),
            write,
        }
    }

    /// Returns the access of a register of which this is said, and of whose fields that.
    pub(crate) fn access(self, fields: &[Effects]) -> Access {
        let inherited = fields.iter().map(|field| Effects {
            access: field.access.or(self.access),
            read_acts: field.read_acts || self.read_acts,
            write: field.write.or(self.write),
        });
        let all: Vec<Effects> = match fields {
            [] => vec![self],
            _ => inherited.collect(),
        };
        let ways = |way| {
            all.iter()
                .any(|of| of.access.unwrap_or(Direction::Both) == way)
        };
        let reads = ways(Direction::Read) || ways(Direction::Both);
        let writes = ways(Direction::Write) || ways(Direction::Both);
        let takes = reads && all.iter().any(|of| of.read_acts);
        match (takes, reads, writes) {
            (true, _, true) => Access::BothEffects,
            (true, _, false) => Access::ReadEffect,
            (false, true, false) => Access::ReadOnly,
            (false, false, _) => Access::WriteOnly,
            (false, true, true) => written(&all),
        }
    }
}

/// Returns what a write of a readable register does: what all its writable fields agree on.
fn written(all: &[Effects]) -> Access {
    let written = all.iter().filter(|of| of.access != Some(Direction::Read));
    let how: Vec<Option<Modified>> = written.map(|of| of.write).collect();
    let agreed = |modified| how.iter().all(|how| *how == Some(modified));
    match how.len() {
        0 => Access::ReadOnly,
        _ if agreed(Modified::Clears) => Access::WriteOneToClear,
        _ if agreed(Modified::Sets) => Access::WriteOneToSet,
        _ => Access::ReadWrite,
    }
}

/// Returns the first line of a text, as one for people.
pub(crate) fn line(text: Option<&str>) -> String {
    let words = text.unwrap_or("").split_whitespace();
    let line = words.collect::<Vec<_>>().join(" ");
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    line[..end].chars().take(160).collect()
}
