//! The table of keys: what is made of it, and that nothing else is read.
//!
//! `schema.rs` and `reference.rs` make the pages that are kept in the tree; `HWPOOL_BLESS=1 cargo test -p hwpool-describe
//! --test keys` writes both anew: look at the difference before you keep it. `generator.rs` makes a wrong text for each way
//! in which a key can be wrong, and `wrong.rs` says what the reader must say of it, as of those that are written by hand.

mod generator;
mod reference;
mod schema;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn is_blessed() -> bool {
    std::env::var_os("HWPOOL_BLESS").is_some()
}

/// Compares a file with what it should be, or writes it.
fn held(name: &str, text: &str) {
    let path = here(name);
    if is_blessed() {
        fs::write(&path, text).expect("it can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{name} is not what the table of keys says: HWPOOL_BLESS=1 writes it anew"
    );
}
