//! What a bring-up leaves behind for others to read.
//!
//! ```
//! use hwpool::report::{Check, Report, Status, text};
//!
//! let check = Check { id: "pci.function".into(), status: Status::Pass, ..Check::default() };
//! let report = Report::new("vfio:0000:01:00.0", vec![check]);
//! assert!(report.is_good() && text(&report).contains("1 passed"));
//! ```
//!
//! [`Report`] is the report of one run as data: what `--json` prints, and what every other form is made from.
//!
//! | file | form |
//! | --- | --- |
//! | `document.rs` | JSON |
//! | `text.rs` | lines for people |
//! | `junit.rs` | XML as build servers read it |
//! | `html.rs`, `plot.rs`, `style.css` | one page that needs nothing else, with plots |
//!
//! XML and pages need the feature `report`, the others `bringup`.

mod document;
#[cfg(feature = "report")]
mod html;
#[cfg(feature = "report")]
mod junit;
#[cfg(feature = "report")]
mod plot;
mod text;

pub use document::{About, Check, Delta, Item, Plot, Report, SCHEMA, Seen, Series, Status};
#[cfg(feature = "report")]
pub use html::html;
#[cfg(feature = "report")]
pub use junit::junit;
pub use text::{INDENT, Tone, lines, text};

/// Leaves out what XML and HTML have no way to write: control characters but tab and line ends.
#[cfg(feature = "report")]
fn writable(mut text: String) -> String {
    let is_writable = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    text.retain(is_writable);
    text
}
