//! The files of descriptions: those that are shipped, and those of tests alone.

use std::path::{Path, PathBuf};

const FOLDERS: [&str; 2] = ["describe/devices", "tests/data/described"];

/// Returns every description's file.
pub(crate) fn files() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = FOLDERS.map(|folder| std::fs::read_dir(here.join(folder)).expect("a folder"));
    let entries = folders.into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_one = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    let files: Vec<PathBuf> = paths.filter(is_one).collect();
    assert!(files.len() >= 8, "{files:?}");
    files
}
