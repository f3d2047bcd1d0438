//! What a bring-up leaves behind for others to read.
//!
//! [`Document`] is the report of one run as data: what `--json` prints, and what every other form is made from.

mod document;

pub use document::{About, Check, Delta, Document, Evidence, Plot, SCHEMA, Series};
