//! What may be wrong, and where.

use std::fmt;
use std::io;

/// Why there is no description.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// A file could not be read.
    #[error("{file}: it can't be read")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// What a file says can't be.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

impl DescribeError {
    /// Returns line and column, where there is a place.
    pub fn place(&self) -> Option<(usize, usize)> {
        match self {
            DescribeError::Unreadable { .. } => None,
            DescribeError::Wrong(wrong) => wrong.place,
        }
    }
}

/// Something that can't be, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Wrong {
    /// The file.
    pub file: String,
    /// Line and column, counted from 1; the column counts characters. `None` where the format tells no place.
    pub place: Option<(usize, usize)>,
    /// The key with its table, `pop.read`; a register with its table, `registers.PUSH`; empty where it is none.
    pub key: String,
    /// What is wrong, as a sentence without its full stop: what is there, what may be there, which name is nearest.
    pub why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.why),
            None => write!(f, "{}: {}", self.file, self.why),
        }
    }
}

/// Returns line and column of a byte of a text, both counted from 1.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// Joins names as a sentence does: `fifo, lifo or any`.
pub fn or<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        None => "nothing".into(),
        Some((last, [])) => (*last).into(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// Longest text that is held against names: comparing takes the product of both lengths.
const LONGEST: usize = 64;

/// Returns ` (nearest: NAME)` where one of the names is near the wrong one.
pub fn nearest<S: AsRef<str>>(wrong: &str, names: &[S]) -> String {
    if wrong.len() > LONGEST {
        return String::new();
    }
    let wrong = wrong.to_lowercase();
    let near = names.iter().map(|name| {
        let name = name.as_ref();
        (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name)
    });
    let best = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match best {
        Some((near, name)) if near > 0.7 => format!(" (nearest: {name})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column("ab\ncd", 0), (1, 1));
        assert_eq!(line_and_column("ab\ncd", 4), (2, 2));
        assert_eq!(line_and_column("äöü = 1", 6), (1, 4));
        assert_eq!(line_and_column("ä", 1), (1, 1));
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }

    #[test]
    fn names_are_joined_and_found() {
        assert_eq!(or(&["fifo", "lifo", "any"]), "fifo, lifo or any");
        assert_eq!(or(&["one"]), "one");
        assert_eq!(nearest("fifo-first", &["lifo", "fifo"]), " (nearest: fifo)");
        assert_eq!(nearest("zzz", &["fifo"]), "");
        assert_eq!(nearest("zzz", &[] as &[&str]), "");
    }
}
