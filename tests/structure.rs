//! Which way the arrows go: the files of one folder do not use each other in circles.
//!
//! Each crate is read from its root, module by module, without its tests. A path, in a `use` or anywhere else, is an arrow
//! from the file that it stands in to the one that defines what it names, through whatever re-exports it. In each folder
//! its files and sub-folders are the nodes, and its `mod.rs` is one, too; what a `mod.rs` re-exports is no arrow of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// The crates, by the files that they begin with.
const ROOTS: [&str; 9] = [
    "src/lib.rs",
    "src/main.rs",
    "devices/src/lib.rs",
    "describe/src/lib.rs",
    "sim/src/lib.rs",
    "dpdk/src/lib.rs",
    "c/src/lib.rs",
    "rtl/bridge/src/lib.rs",
    "rtl/bridge/src/main.rs",
];

/// What is below, with all of this crate that it may use.
const BELOW: [(&str, &[&str]); 4] = [
    ("order", &[]),
    ("machine", &[]),
    ("dma", &["fork", "machine", "order"]),
    ("vfio", &["address", "machine", "order"]),
];

/// Where the nodes of a folder lead.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Segments of a path below the crate: modules, and the item at the end.
type Name = Vec<String>;

#[test]
fn no_folder_has_a_circle() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = ROOTS.iter().flat_map(|root| {
        let circles = Crate::read(&here.join(root)).circles().into_iter();
        circles.map(move |(folder, files)| (format!("{root}: {folder}"), files))
    });
    let circles: Vec<_> = found.collect();
    assert!(
        circles.is_empty(),
        "files that use each other: {circles:#?}"
    );
}

/// So that each can be used without the program.
#[test]
fn what_is_below_knows_nothing_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(ROOTS[0]);
    let folders = Crate::read(&root).folders();
    let arrows = &folders[&Name::new()];
    for (name, may) in BELOW {
        let uses = arrows.get(name).into_iter().flatten();
        let wrong: Vec<_> = uses.filter(|to| !may.contains(&to.as_str())).collect();
        assert!(wrong.is_empty(), "{name} uses {wrong:?}");
    }
    assert!(arrows["vfio"].contains("machine"), "the check sees nothing");
}

/// The modules of a crate, by their paths.
#[derive(Default)]
struct Crate(BTreeMap<Name, Module>);

/// What one file tells.
#[derive(Default)]
struct Module {
    /// Names that a `use` brings in, with what they stand for.
    brought: BTreeMap<String, Name>,
    /// What the file names.
    named: BTreeSet<Name>,
}

impl Crate {
    fn read(root: &Path) -> Crate {
        let mut modules = Crate::default();
        let directory = root.parent().expect("a directory");
        modules.add(Vec::new(), root, directory);
        modules
    }

    /// Reads a file and those of its modules, which lie in `directory`.
    fn add(&mut self, name: Name, file: &Path, directory: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        for item in &parsed.items {
            if let Item::Mod(ItemMod {
                attrs,
                ident,
                content: None,
                ..
            }) = item
                && !is_test(attrs)
            {
                let (child, file) = (joined(&name, &ident.to_string()), ident.to_string());
                let below = directory.join(&file);
                let own = directory.join(format!("{file}.rs"));
                let file = if own.exists() {
                    own
                } else {
                    below.join("mod.rs")
                };
                self.add(child, &file, &below);
            }
        }
        let mut reader = Reader {
            at: name.clone(),
            module: Module::default(),
        };
        reader.visit_file(&parsed);
        self.0.insert(name, reader.module);
    }

    /// Returns the module that defines what a path names, or nothing where it leads out of the crate.
    fn home(&self, path: &[String], steps: usize) -> Option<Name> {
        // As far as there are modules.
        let depth = (0..=path.len())
            .rev()
            .find(|n| self.0.contains_key(&path[..*n]))?;
        let (module, rest) = path.split_at(depth);
        match rest
            .first()
            .and_then(|name| self.0[module].brought.get(name))
        {
            Some(target) if steps > 0 => self.home(&[target, &rest[1..]].concat(), steps - 1),
            _ => Some(module.to_vec()),
        }
    }

    /// Returns the nodes of each folder, and where each leads.
    fn folders(&self) -> BTreeMap<Name, Arrows> {
        let mut folders: BTreeMap<Name, Arrows> = BTreeMap::new();
        for (from, module) in &self.0 {
            for to in module.named.iter().filter_map(|path| self.home(path, 8)) {
                let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let node = |name: &Name| name.get(same).cloned().unwrap_or("mod".into());
                if *from != to {
                    let folder = folders.entry(from[..same].to_vec()).or_default();
                    folder.entry(node(from)).or_default().insert(node(&to));
                }
            }
        }
        folders
    }

    /// Returns the folders that have circles, with the files of each circle.
    fn circles(&self) -> Vec<(String, String)> {
        let folders = self.folders().into_iter();
        let circles = folders.flat_map(|(folder, arrows)| {
            let rings = rings(&arrows).into_iter();
            rings.map(move |files| (folder.join("/"), files))
        });
        circles.collect()
    }
}

/// Finds the sets of nodes that lead to each other, as `a, b, c`.
fn rings(arrows: &Arrows) -> BTreeSet<String> {
    let ring = |node: &String| {
        let others = reached(arrows, node).into_iter();
        let ring = others.filter(|other| reached(arrows, other).contains(node));
        ring.cloned().collect::<Vec<_>>().join(", ")
    };
    let rings = arrows.keys().map(ring);
    rings.filter(|ring| !ring.is_empty()).collect()
}

/// Returns the nodes that some arrows lead to from one.
fn reached<'a>(arrows: &'a Arrows, from: &'a String) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(node) = next.pop() {
        let new = arrows.get(node).into_iter().flatten();
        next.extend(new.filter(|node| seen.insert(*node)));
    }
    seen
}

/// Collects what a file names.
struct Reader {
    /// The module that is being read, inline ones included.
    at: Name,
    module: Module,
}

impl Reader {
    /// Notes a path, if it is one of this crate's. `None` is one of another crate, a local name or a primitive.
    fn resolve(&self, path: &[String]) -> Option<Name> {
        let ups = path
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let rest = &path[ups..];
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.at[..], &path[1..]].concat()),
            "super" => Some([&self.at[..self.at.len().checked_sub(ups)?], rest].concat()),
            // A module of this one, or something that a `use` brought in: another crate's finds no module.
            _ => Some([&self.at[..], path].concat()),
        }
    }

    fn note(&mut self, path: &[String]) {
        self.module.named.extend(self.resolve(path));
    }

    /// Goes through the paths of a `use`.
    fn tree(&mut self, tree: &UseTree, before: &[String], is_facade: bool) {
        match tree {
            UseTree::Path(path) => {
                let before = joined(before, &path.ident.to_string());
                self.tree(&path.tree, &before, is_facade);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, is_facade);
                }
            }
            UseTree::Glob(_) => self.note(before),
            UseTree::Name(name) => self.bring(before, &name.ident.to_string(), None, is_facade),
            UseTree::Rename(name) => {
                let (ident, rename) = (name.ident.to_string(), name.rename.to_string());
                self.bring(before, &ident, Some(rename), is_facade);
            }
        }
    }

    fn bring(&mut self, before: &[String], name: &str, rename: Option<String>, is_facade: bool) {
        let path = match name {
            "self" => before.to_vec(),
            name => joined(before, name),
        };
        let Some(target) = self.resolve(&path) else {
            return;
        };
        let name = rename.or(path.last().cloned()).unwrap_or_default();
        if !is_facade {
            self.module.named.insert(target.clone());
        }
        // What leads to itself is a name of another crate.
        if target != joined(&self.at, &name) {
            self.module.brought.insert(name, target);
        }
    }

    /// Reads the paths within a macro's tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Name = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.note_long(&path);
                    path = vec![ident.to_string()];
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            colons = 0;
        }
        self.note_long(&path);
    }

    fn note_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.note(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    /// A module in the same file counts as the file: what it brings in is its own, what it names is the file's.
    fn visit_item_mod(&mut self, inline: &'ast ItemMod) {
        let brought = self.module.brought.clone();
        self.at.push(inline.ident.to_string());
        visit::visit_item_mod(self, inline);
        self.at.pop();
        self.module.brought = brought;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_facade = !matches!(item.vis, Visibility::Inherited);
        self.tree(&item.tree, &[], is_facade);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.note_long(&names.collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.tokens(called.tokens.clone());
    }
}

fn joined(before: &[String], last: &str) -> Name {
    [before, &[last.to_string()]].concat()
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}

/// Tells whether something is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = attribute
            .meta
            .require_list()
            .map(|list| list.tokens.to_string());
        attribute.path().is_ident("cfg") && tokens.is_ok_and(|tokens| tokens == "test")
    })
}

/// Writes a crate into a directory, gone at the end, and returns its circles.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let circles = Crate::read(&directory.path().join("lib.rs")).circles();
    circles.into_iter().map(|(_, files)| files).collect()
}

#[test]
fn circles_are_seen_through_whatever_hides_them() {
    let lib = ("lib.rs", "mod a; mod b; pub use b::B;");
    let uses_a = ("b.rs", "pub struct B(crate::a::A);");
    let by_use = ("a.rs", "use super::B; pub struct A;");
    assert_eq!(circles_of(&[lib, uses_a, by_use]), ["a, b"]);
    let by_path = ("a.rs", "pub struct A; fn f(_: &super::b::B) {}");
    assert_eq!(circles_of(&[lib, uses_a, by_path]), ["a, b"]);
    let in_a_macro = (
        "a.rs",
        "pub struct A; fn f() { println!(\"{}\", crate::B::new()); }",
    );
    assert_eq!(circles_of(&[lib, uses_a, in_a_macro]), ["a, b"]);
    let inline = ("a.rs", "pub struct A; mod raw { use super::super::b::B; }");
    assert_eq!(circles_of(&[lib, uses_a, inline]), ["a, b"]);
    let parent = ("a.rs", "pub struct A(super::Here);");
    let owner = ("lib.rs", "mod a; mod b; use a::A; struct Here;");
    assert_eq!(circles_of(&[owner, ("b.rs", ""), parent]), ["a, mod"]);
}

#[test]
fn what_is_no_circle_is_none() {
    let lib = ("lib.rs", "mod a; mod b; pub use b::B;");
    let uses_a = ("b.rs", "pub struct B(crate::a::A);");
    for text in [
        "pub struct A;",
        "pub struct A; #[cfg(test)] mod tests { use super::super::b::B; }",
        "pub struct A; mod raw { use super::A; }",
        "//! [`B`](super::B)\npub struct A;",
        "use std::b::B; pub struct A;",
    ] {
        assert_eq!(
            circles_of(&[lib, uses_a, ("a.rs", text)]),
            [""; 0],
            "{text}"
        );
    }
}
