//! What failures come from, read out of the sources of the ladder: `#[error]` of each symptom, and what its `blame` says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use syn::visit::{self, Visit};
use syn::{Expr, ImplItem, Item, Lit, Pat, Variant};

use super::cell;
use crate::tree::{files, read};

/// What one file says.
#[derive(Default)]
struct Symptoms {
    /// The first paragraph of what the file says of itself.
    about: String,
    /// The text of each variant of an error, or of an error that is a structure.
    texts: BTreeMap<String, String>,
    /// Variants, and what they come from.
    causes: Vec<(Vec<String>, Vec<String>)>,
}

pub(super) fn sections() -> String {
    let paths = files("src/bringup");
    let sources: Vec<syn::File> = paths
        .iter()
        .map(|path| syn::parse_file(&read(path)).expect("Rust"))
        .collect();
    let named = named(&sources);
    let mut text = String::new();
    for (path, source) in paths.iter().zip(&sources) {
        let symptoms = Symptoms::read(source, &named);
        if symptoms.causes.is_empty() {
            continue;
        }
        let file = path
            .trim_start_matches("src/bringup/")
            .trim_end_matches(".rs");
        let _ = writeln!(
            text,
            "\n### {file}\n\n{}\n\n| what was seen | probably |\n| --- | --- |",
            symptoms.about
        );
        for (variants, causes) in &symptoms.causes {
            let seen: Vec<&str> = variants
                .iter()
                .filter_map(|name| symptoms.texts.get(name))
                .map(String::as_str)
                .collect();
            let _ = writeln!(text, "| {} | {} |", seen.join("<br>"), causes.join("<br>"));
        }
    }
    assert!(text.matches("\n### ").count() > 12, "{text}");
    text
}

/// Returns lists of causes that have names, by the name.
fn named(sources: &[syn::File]) -> BTreeMap<String, Vec<String>> {
    let items = sources.iter().flat_map(|source| &source.items);
    let constants = items.filter_map(|item| match item {
        Item::Const(constant) => Some((
            constant.ident.to_string(),
            literals(&constant.expr, &BTreeMap::new()),
        )),
        _ => None,
    });
    constants.filter(|(_, causes)| !causes.is_empty()).collect()
}

impl Symptoms {
    fn read(source: &syn::File, named: &BTreeMap<String, Vec<String>>) -> Symptoms {
        let mut symptoms = Symptoms {
            about: about(source),
            ..Symptoms::default()
        };
        for item in &source.items {
            match item {
                Item::Enum(item) => item
                    .variants
                    .iter()
                    .for_each(|variant| symptoms.add(variant)),
                Item::Struct(item) => {
                    let text = item.attrs.iter().find_map(error);
                    symptoms
                        .texts
                        .extend(text.map(|text| (item.ident.to_string(), text)));
                }
                Item::Impl(item) => {
                    for part in &item.items {
                        match part {
                            ImplItem::Fn(function) if function.sig.ident == "blame" => {
                                let of = type_name(&item.self_ty);
                                symptoms.blame(&of, function, named);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        // What has no text here has it in another crate, or none.
        let texts = &symptoms.texts;
        symptoms
            .causes
            .retain(|(variants, _)| variants.iter().any(|name| texts.contains_key(name)));
        symptoms
    }

    fn add(&mut self, variant: &Variant) {
        let text = variant.attrs.iter().find_map(error);
        self.texts
            .extend(text.map(|text| (variant.ident.to_string(), text)));
    }

    /// Notes what each arm of a function `blame` says; of one without arms it is said of the whole type.
    fn blame(
        &mut self,
        of: &str,
        function: &syn::ImplItemFn,
        named: &BTreeMap<String, Vec<String>>,
    ) {
        let mut arms = Arms {
            named,
            found: Vec::new(),
        };
        arms.visit_block(&function.block);
        if arms.found.is_empty() {
            let mut strings = Strings {
                named,
                found: Vec::new(),
            };
            strings.visit_block(&function.block);
            arms.found.push((vec![of.to_owned()], strings.found));
        }
        self.causes.extend(
            arms.found
                .into_iter()
                .filter(|(_, causes)| !causes.is_empty()),
        );
    }
}

/// The arms of matches over symptoms.
struct Arms<'a> {
    named: &'a BTreeMap<String, Vec<String>>,
    found: Vec<(Vec<String>, Vec<String>)>,
}

impl<'ast> Visit<'ast> for Arms<'_> {
    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let mut variants = Variants(Vec::new());
        variants.visit_pat(&arm.pat);
        self.found
            .push((variants.0, literals(&arm.body, self.named)));
    }
}

/// The last segments of the paths in a pattern.
struct Variants(Vec<String>);

impl<'ast> Visit<'ast> for Variants {
    fn visit_pat(&mut self, pattern: &'ast Pat) {
        let path = match pattern {
            Pat::Path(pattern) => Some(&pattern.path),
            Pat::Struct(pattern) => Some(&pattern.path),
            Pat::TupleStruct(pattern) => Some(&pattern.path),
            _ => None,
        };
        let last = path.and_then(|path| path.segments.last());
        self.0.extend(last.map(|segment| segment.ident.to_string()));
        visit::visit_pat(self, pattern);
    }
}

/// The texts in an expression, and those of the lists that it names.
struct Strings<'a> {
    named: &'a BTreeMap<String, Vec<String>>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Strings<'_> {
    fn visit_lit(&mut self, literal: &'ast Lit) {
        if let Lit::Str(text) = literal {
            self.found.push(cell(&text.value()));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let last = path
            .segments
            .last()
            .map(|segment| segment.ident.to_string());
        let list = last.and_then(|name| self.named.get(&name));
        self.found.extend(list.into_iter().flatten().cloned());
        visit::visit_path(self, path);
    }
}

fn literals(expression: &Expr, named: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut strings = Strings {
        named,
        found: Vec::new(),
    };
    strings.visit_expr(expression);
    strings.found
}

fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => path
            .path
            .segments
            .last()
            .map_or(String::new(), |segment| segment.ident.to_string()),
        _ => String::new(),
    }
}

/// Returns what a file says of itself, up to the first empty line.
fn about(source: &syn::File) -> String {
    let lines = source.attrs.iter().filter_map(doc);
    cell(
        &lines
            .take_while(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// Returns a line of documentation.
fn doc(attribute: &syn::Attribute) -> Option<String> {
    let named = attribute
        .path()
        .is_ident("doc")
        .then(|| attribute.meta.require_name_value())?;
    match &named.ok()?.value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the text of `#[error("...")]`, with `…` where a number stands.
fn error(attribute: &syn::Attribute) -> Option<String> {
    let list = attribute
        .path()
        .is_ident("error")
        .then(|| attribute.meta.require_list())?
        .ok()?;
    let first = list.tokens.clone().into_iter().next()?;
    let text = syn::parse_str::<syn::LitStr>(&first.to_string())
        .ok()?
        .value();
    let mut shown = String::new();
    let mut is_inside = false;
    for character in text.chars() {
        match character {
            '{' => is_inside = true,
            '}' => {
                is_inside = false;
                shown.push('…');
            }
            _ if is_inside => {}
            _ => shown.push(character),
        }
    }
    // A text of nothing but another error says nothing here.
    (!shown.trim_matches('…').is_empty()).then(|| cell(&shown))
}
