//! Free lists of your own devices, described by a file.
//!
//! ```
//! let error = hwpool_describe::parse("schema = 1", "mine.toml", &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap_err();
//! assert!(error.to_string().starts_with("mine.toml:1:10: `schema`"), "{error}");
//! ```
//!
//! A *description* is a TOML file of about twenty lines that says of a device what no register file says: which read
//! takes a value, which value means "empty", what a value is, what resets the list. [`read`] makes a
//! [`Description`] of it, from which hwpool has a driver and a model.
//!
//! Each choice is one of a few words, and each error names file, line and column, what is there, what may be there, and
//! the nearest name. [`TABLES`] has each key with its range, its default and an example.

#![forbid(unsafe_code)]

mod access;
#[cfg(feature = "import")]
mod draft;
mod error;
mod found;
mod import;
mod keys;
mod node;
mod questions;
mod read;
mod registers;
mod rows;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use hwpool_devices::description::Description;

#[cfg(feature = "import")]
pub use draft::{Draft, draft};
pub use error::{DescribeError, Wrong};
pub use found::Loader;
#[cfg(feature = "import")]
pub use import::Format;
pub use keys::{Absent, Key, Kind, Named, REGISTER, SCHEMA, TABLES, Table, Ways};

use node::Text;

/// The JSON schema of descriptions, for editors: draft 7, with `x-taplo` for what words say.
pub const JSON_SCHEMA: &str = include_str!("../hwpool.device-1.schema.json");

/// Other files of TOML, read as descriptions are: keys that are listed and no others, and errors that name place and
/// nearest name.
///
/// ```
/// use hwpool_describe::{Absent, Key, Kind, tables::{Node, Text}};
///
/// const KEYS: &[Key] = &[Key {
///     name: "depth",
///     kind: Kind::Number { least: 1, most: 8 },
///     absent: Absent::Refused,
///     doc: "How many.",
///     example: "4",
/// }];
/// let text = Text { file: "mine.toml", text: "depth = 9" };
/// let table = text.parse()?;
/// let error = Node::new(text, "", table.get_ref(), 0, KEYS, &[])?.must("depth")?.number().unwrap_err();
/// assert_eq!(error.to_string(), "mine.toml:1:9: `depth` is 9: write a whole number, 1 to 8, as in depth = 4");
/// # Ok::<(), hwpool_describe::Wrong>(())
/// ```
pub mod tables {
    pub use crate::error::{nearest, or};
    pub use crate::keys::{Word, named, word};
    pub use crate::node::{Entry, Node, Text};
}

/// Most bytes of a description.
const LONGEST: u64 = 1 << 20;
/// Most bytes of a register file.
const LONGEST_REGISTERS: u64 = 1 << 26;

/// Reads a description from a file; the register file that it names lies relative to it.
///
/// # Errors
///
/// What can't be read, or what is wrong, with line and column.
pub fn read(path: &Path) -> Result<Description, DescribeError> {
    check(path).map_err(first)
}

/// Reads a description from a file as [`read`] does; of a wrong one it tells all mistakes that can be told at once.
///
/// # Errors
///
/// What can't be read, or what is wrong, in the order of the file: at least one.
pub fn check(path: &Path) -> Result<Description, Vec<DescribeError>> {
    let text = load(path, LONGEST).map_err(|error| vec![error])?;
    let directory = path.parent().unwrap_or(Path::new(""));
    check_text(&text, &path.display().to_string(), &|file| {
        text_of(&directory.join(file), LONGEST_REGISTERS)
    })
}

/// Reads a register file, for [`draft`].
///
/// # Errors
///
/// Why it can't be read: it is none, no text, or longer than 64 MiB.
pub fn register_file(path: &Path) -> Result<String, DescribeError> {
    load(path, LONGEST_REGISTERS)
}

/// Reads a description from a text; `file` is what errors call it, and `loader` finds the register file that it names.
///
/// ```
/// let text = r#"
///     schema = "hwpool.device/1"
///     name = "mine"
///     depth = 512
///     alive = "STATUS"
///     [registers]
///     POP = 0x0
///     PUSH = 0x4
///     STATUS = { at = 0x8, fields = { LEVEL = "9:0" } }
///     [pop]
///     read = "POP"
///     [push]
///     write = "PUSH"
///     [empty]
///     value = 0
///     [value]
///     is = "index"
///     first = 1
/// "#;
/// let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
/// let description = hwpool_describe::parse(text, "mine.toml", &none)?;
/// assert_eq!(description.registers.len(), 3);
///
/// let wrong = text.replace("first = 1", "frist = 1");
/// let error = hwpool_describe::parse(&wrong, "mine.toml", &none).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "mine.toml:18:5: `frist` is no key in `value`: there are is, bits, first and shift (nearest: first)"
/// );
/// # Ok::<(), hwpool_describe::DescribeError>(())
/// ```
///
/// # Errors
///
/// What is wrong, with line and column.
pub fn parse(text: &str, file: &str, loader: Loader<'_>) -> Result<Description, DescribeError> {
    check_text(text, file, loader).map_err(first)
}

/// Reads a description from a text as [`parse`] does; of a wrong one it tells all mistakes that can be told at once.
///
/// An answer that is missing hides other mistakes: where questions are open, keys with `"?"`, those alone are told.
///
/// # Errors
///
/// What is wrong, in the order of the file: at least one.
pub fn check_text(
    text: &str,
    file: &str,
    loader: Loader<'_>,
) -> Result<Description, Vec<DescribeError>> {
    read::description(Text { file, text }, loader).map_err(|mistakes| mistakes.0)
}

/// Returns the first of at least one.
fn first(errors: Vec<DescribeError>) -> DescribeError {
    let mut errors = errors.into_iter();
    errors.next().expect("what is refused has a mistake")
}

/// Reads a file that is not too long, or says why it can't be read.
fn load(path: &Path, most: u64) -> Result<String, DescribeError> {
    text_of(path, most).map_err(|source| DescribeError::Unreadable {
        file: path.display().to_string(),
        source,
    })
}

/// Reads a text that is not too long.
fn text_of(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    match length as u64 > most {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes"),
        )),
        false => Ok(text),
    }
}

/// The README's program is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
