//! XML: nodes by their local names.

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

/// Longest name: those of arrays are there for each element.
const LONGEST: usize = 256;

/// Returns the name that a node must have.
pub(crate) fn name_of<'a>(node: Node<'a, '_>) -> Result<&'a str, Refused> {
    let name = text(node, "name").ok_or_else(|| wrong(node, "it has no <name>"))?;
    let why = || format!("its <name> has more than {LONGEST} bytes");
    (name.len() <= LONGEST)
        .then_some(name)
        .ok_or_else(|| wrong(node, why()))
}

/// Returns the number that stands in a node, as `read` reads it, or says why not.
pub(crate) fn number_in(
    node: Node<'_, '_>,
    read: impl FnOnce(&str) -> Result<u64, String>,
) -> Result<u64, Refused> {
    let text = node.text().unwrap_or("").trim();
    let name = node.tag_name().name();
    read(text).map_err(|why| wrong(node, format!("<{name}> is `{text}`: {why}")))
}

/// Returns the first line of a text, as one for people.
pub(crate) fn line(text: Option<&str>) -> String {
    let words = text.unwrap_or("").split_whitespace();
    let line = words.collect::<Vec<_>>().join(" ");
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    line[..end].chars().take(160).collect()
}
