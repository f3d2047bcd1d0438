//! The reference pages of the book, made of what the code says.
//!
//! `HWPOOL_BLESS=1 cargo test --test book reference` writes them anew: look at the difference before you keep it.

mod causes;
mod commands;
mod environment;
mod ladder;
mod models;
mod plans;
mod registers;

use std::fs;

use crate::tree::{files, root};

/// The name of a page in `docs/src/reference`, and what makes it.
type Row = (&'static str, fn() -> String);

/// The pages.
pub(crate) const PAGES: &[Row] = &[
    ("commands.md", commands::page),
    ("environment.md", environment::page),
    ("ladder.md", ladder::page),
    ("models.md", models::page),
    ("plans.md", plans::page),
    ("registers.md", registers::page),
];

/// Stands at the top of each, for whoever opens the file.
const MADE: &str = "<!-- Made by tests/book/reference: HWPOOL_BLESS=1 cargo test --test book reference writes it anew. -->\n";

#[test]
fn reference_pages_say_what_the_code_says() {
    for (name, page) in PAGES {
        let path = root().join("docs/src/reference").join(name);
        let text = format!("{MADE}{}", page());
        if std::env::var_os("HWPOOL_BLESS").is_some() {
            fs::write(&path, &text).expect("it can be written");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let differs = kept
            .lines()
            .zip(text.lines())
            .find(|(kept, made)| kept != made);
        assert!(
            kept == text,
            "{name} is not what the code says, first in {differs:#?}: HWPOOL_BLESS=1 writes it anew"
        );
    }
}

#[test]
fn reference_has_no_other_pages() {
    for path in files("docs/src/reference") {
        let is_made = PAGES
            .iter()
            .any(|(name, _)| path.ends_with(&format!("/{name}")));
        assert!(is_made, "nobody makes {path}");
    }
}

/// Returns a text as a cell of a table has it.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('<', "&lt;")
}
