//! Errors tell their cause once: a text holds its cause, or leaves it to the chain of sources, and not both.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Field, Fields, Item, Meta};

/// Where the sources of the crates are.
const FOLDERS: [&str; 6] = [
    "src",
    "devices/src",
    "describe/src",
    "sim/src",
    "dpdk/src",
    "c/src",
];

#[test]
fn no_error_tells_its_cause_twice() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in FOLDERS {
        rust_files(&here.join(folder), &mut files);
    }
    let mut seen = 0;
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a file that can be read");
        let parsed = syn::parse_file(&text).expect("a file of Rust");
        for (name, attributes, fields) in texts(&parsed.items) {
            seen += 1;
            if tells_twice(attributes, fields) {
                wrong.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(seen > 100, "the check sees {seen} errors only");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_told_twice_is_seen() {
    let twice = |text: &str| {
        let parsed = syn::parse_file(text).expect("Rust");
        let all = texts(&parsed.items);
        all.iter()
            .any(|(_, attributes, fields)| tells_twice(attributes, fields))
    };
    assert!(twice(r#"enum E { #[error("no: {0}")] A(#[from] Io) }"#));
    assert!(twice(
        r#"enum E { #[error("{call}: {source}")] A { call: u8, source: Io } }"#
    ));
    assert!(twice(
        r#"#[error("no: {cause:?}")] struct E { #[source] cause: Io }"#
    ));
    assert!(!twice(r#"enum E { #[error("no: {0}")] A(Io) }"#));
    assert!(!twice(r#"enum E { #[error("no")] A(#[from] Io) }"#));
    assert!(!twice(
        r#"enum E { #[error("{call}")] A { call: u8, source: Io } }"#
    ));
    assert!(!twice(r#"enum E { #[error(transparent)] A(#[from] Io) }"#));
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whatever may have a text of its own: structs, and the variants of enums.
fn texts(items: &[Item]) -> Vec<(String, &[Attribute], &Fields)> {
    let mut all: Vec<(String, &[Attribute], &Fields)> = Vec::new();
    for item in items {
        match item {
            Item::Struct(item) => all.push((item.ident.to_string(), &item.attrs, &item.fields)),
            Item::Enum(item) => all.extend(item.variants.iter().map(|variant| {
                let name = format!("{}::{}", item.ident, variant.ident);
                (name, &*variant.attrs, &variant.fields)
            })),
            _ => (),
        }
    }
    all.retain(|(_, attributes, _)| text(attributes).is_some());
    all
}

/// Returns the text that `#[error(...)]` gives.
fn text(attributes: &[Attribute]) -> Option<String> {
    let error = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("error"))?;
    match &error.meta {
        Meta::List(list) => Some(list.tokens.to_string()),
        _ => None,
    }
}

fn tells_twice(attributes: &[Attribute], fields: &Fields) -> bool {
    let text = text(attributes).unwrap_or_default();
    let names = |name: String| {
        let [plain, formatted] = [format!("{{{name}}}"), format!("{{{name}:")];
        text.contains(&plain) || text.contains(&formatted)
    };
    let mut fields = fields.iter().enumerate();
    fields.any(|(n, field)| is_source(field) && names(name(n, field)))
}

fn name(n: usize, field: &Field) -> String {
    field
        .ident
        .as_ref()
        .map_or(n.to_string(), |ident| ident.to_string())
}

/// Tells whether thiserror makes the field the error's source.
fn is_source(field: &Field) -> bool {
    let is_marked = |attribute: &Attribute| {
        attribute.path().is_ident("from") || attribute.path().is_ident("source")
    };
    field.attrs.iter().any(is_marked) || field.ident.as_ref().is_some_and(|ident| ident == "source")
}
