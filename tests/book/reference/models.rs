//! What a model takes: options, faults, lies.

use std::fmt::Write as _;

use hwpool::sim::{FaultKind, MODELS, SimConfig};

use super::cell;
use crate::tree::read;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Models: options, faults, lies\n\n\
         A model is a whole PCI function in this process: `sim:bmu`, `sim:fifo`, or `sim:FILE.toml` for a device that a file describes. It is\n\
         stricter than hardware: what a host must not do is recorded, what can go wrong can be injected, and in stepped mode one seed\n\
         replays a run.\n\n\
         ## Options\n\n\
         `sim:bmu?seed=7&mode=threaded`; `hwpool sim serve` takes them by `--option KEY=VALUE`.\n",
    );
    page += &table("Of every model", SimConfig::KEYS);
    for model in MODELS {
        page += &table(
            &format!("Of `sim:{}`: {}", model.name, model.doc),
            model.keys,
        );
    }
    page += "\n## Faults\n\n\
        A fault strikes once, or as often as `times` says. `faults=FILE` names a file of them:\n\n\
        ```toml\n[[fault]]\nkind = \"stuck\"\nregister = \"POOL_AVAILABLE\"\nnth = 3\n```\n\n\
        | kind | what goes wrong | has it |\n| --- | --- | --- |\n";
    for (name, kind) in FaultKind::ALL {
        let _ = writeln!(page, "| `{name}` | {} | {} |", cell(&doc(name)), who(*kind));
    }
    page += "\n## Lies\n\n\
        A lie is how a device is made: a rule of its specification that it breaks from power-up on. `sim:bmu?lies=reset-keeps-list+no-flr` tells two.\n\
        `MUSTS.md` beside each specification says which rung of the ladder finds which.\n";
    page += &table("Of any function", SimConfig::LIES);
    for model in MODELS {
        page += &table(&format!("Of `sim:{}`", model.name), model.lies);
    }
    page
}

fn table(title: &str, rows: &[(&str, &str)]) -> String {
    let mut text = format!("\n### {title}\n\n| name | what it does |\n| --- | --- |\n");
    for (name, doc) in rows {
        let _ = writeln!(text, "| `{name}` | {} |", cell(doc));
    }
    text
}

/// Tells which models can have a fault.
fn who(kind: FaultKind) -> String {
    if kind.is_general() {
        return "any model".into();
    }
    let offers = MODELS
        .iter()
        .filter(|model| model.faults.iter().any(|offer| offer.kind == kind));
    let names: Vec<String> = offers
        .map(|model| format!("`sim:{}`", model.name))
        .collect();
    match names.is_empty() {
        true => "models of descriptions".into(),
        false => names.join(", "),
    }
}

/// Returns what the source says of a kind of fault, above its name.
fn doc(name: &str) -> String {
    let source = read("sim/src/faults.rs");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines
        .iter()
        .position(|line| line.ends_with(&format!("= \"{name}\";")));
    let at = at.unwrap_or_else(|| panic!("faults.rs has no {name}"));
    let above = lines[..at]
        .iter()
        .rev()
        .map_while(|line| line.strip_prefix("///"));
    let mut above: Vec<&str> = above.map(str::trim).collect();
    above.reverse();
    assert!(!above.is_empty(), "nothing is said of {name}");
    above.join(" ")
}
