//! The front pages of `cargo doc`: each says what its module is for, and has an example.

use syn::{Expr, Item, Lit, Meta, Visibility};

use crate::tree::{read, root};

/// Crates that people use, by the folders of their sources.
const CRATES: &[&str] = &["src", "devices/src", "describe/src", "sim/src"];

#[test]
fn every_module_begins_with_an_example() {
    let mut without = Vec::new();
    let mut seen = 0;
    for folder in CRATES {
        for path in modules(folder) {
            let page = front_page(&path);
            let has_example = page
                .lines()
                .any(|line| matches!(line.trim(), "```" | "```no_run" | "```rust"));
            seen += 1;
            if page.is_empty() || !has_example {
                without.push(path);
            }
        }
    }
    assert!(seen > 20, "{seen} modules");
    assert!(without.is_empty(), "no example at the top of {without:#?}");
}

/// Returns the files of a crate's root and of its public modules.
fn modules(folder: &str) -> Vec<String> {
    let library = format!("{folder}/lib.rs");
    let source = syn::parse_file(&read(&library)).expect("Rust");
    let public = source.items.iter().filter_map(|item| match item {
        Item::Mod(item) if matches!(item.vis, Visibility::Public(_)) && item.content.is_none() => {
            Some(item.ident.to_string())
        }
        _ => None,
    });
    let file = |name: String| {
        let paths = [
            format!("{folder}/{name}.rs"),
            format!("{folder}/{name}/mod.rs"),
        ];
        paths
            .into_iter()
            .find(|path| root().join(path).exists())
            .expect("a file")
    };
    let mut files: Vec<String> = public.map(file).collect();
    files.push(library);
    files
}

/// Returns what a file says of itself; fences of what is no program lose their mark.
fn front_page(path: &str) -> String {
    let source = syn::parse_file(&read(path)).expect("Rust");
    let lines = source
        .attrs
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(value) if attribute.path().is_ident("doc") => match &value.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    let mut page = String::new();
    let mut is_open = false;
    for line in lines {
        let is_fence = line.trim().starts_with("```");
        // The end of a block looks like the beginning of a program.
        if !(is_fence && is_open) {
            page += &line;
            page.push('\n');
        }
        is_open ^= is_fence;
    }
    page
}
