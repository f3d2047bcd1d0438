//! What the plan of a board may say.

use std::fmt::Write as _;

use syn::{Expr, Item, Lit};

use super::cell;
use crate::tree::read;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Plans of boards\n\n\
         A plan is a file of TOML that says the same as options of `hwpool bringup`, and what the board has to reach. It lies in the board's\n\
         repository; `hwpool bringup --plan board.toml` holds the board to it. Options on the command line come first. Every key may be left out; one that is\n\
         not known is an error with its line.\n\n| key | says |\n| --- | --- |\n",
    );
    let (plan, options) = (
        fields("src/bringup/plan.rs", "Plan"),
        fields("src/bringup/options.rs", "Options"),
    );
    assert!(plan.len() > 8, "{plan:?}");
    for (name, doc) in plan {
        // `See [`Options::laps`].`
        let other = doc
            .strip_prefix("See [`Options::")
            .and_then(|rest| rest.strip_suffix("`]."));
        let doc = match other {
            Some(other) => {
                &options
                    .iter()
                    .find(|(name, _)| name == other)
                    .expect("an option")
                    .1
            }
            None => &doc,
        };
        let _ = writeln!(
            page,
            "| `{}` | {} |",
            name.replace('_', "-"),
            cell(&doc.replace("[`", "`").replace("`]", "`"))
        );
    }
    page += "\nA limit is held against the evidence that a rung prints, by its name; `seconds` is what the rung took. `min` and `max` are numbers, `is` is a number\n\
        or a text. The model's plan, `examples/board.toml`:\n\n```toml\n";
    page + read("examples/board.toml").trim_end() + "\n```\n"
}

/// Returns the public fields of a structure, with what is said of each.
fn fields(path: &str, of: &str) -> Vec<(String, String)> {
    let source = syn::parse_file(&read(path)).expect("Rust");
    let found = source.items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == of => Some(item),
        _ => None,
    });
    let item = found.unwrap_or_else(|| panic!("{path} has no {of}"));
    let fields = item.fields.iter().filter_map(|field| {
        let docs: Vec<String> = field.attrs.iter().filter_map(doc).collect();
        Some((field.ident.as_ref()?.to_string(), docs.join(" ")))
    });
    fields.collect()
}

fn doc(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta.require_name_value().ok()?.value {
        Expr::Lit(literal) if attribute.path().is_ident("doc") => match &literal.lit {
            Lit::Str(text) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    }
}
