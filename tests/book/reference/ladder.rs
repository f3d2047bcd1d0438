//! The ladder of bring-up: its rungs, and what each failure probably comes from.

use std::fmt::Write as _;

use hwpool::bringup::{rungs, rungs_of};

use super::{causes, cell};

/// The modules that add rungs of their own, and the devices that those climb.
const KINDS: &[(&str, &str)] = &[("bmu", "BMU"), ("fifo", "FIFO"), ("described", "described")];

pub(super) fn page() -> String {
    let mut page = String::from(
        "# The ladder: rungs, failures, causes\n\n\
         `hwpool bringup` climbs these rungs from the lowest up. A rung whose need did not pass is *blocked*: its verdict would say nothing.\n\
         Each kind of device has rungs of its own, some in the place of general ones.\n\n\
         | class | what a rung of it does |\n| --- | --- |\n\
         | `read-only` | writes nothing |\n\
         | `safe-write` | writes to registers made for tests |\n\
         | `disruptive` | resets the device and forgets what it held; the default goes up to here |\n\
         | `opt-in` | makes the device do what it should never do: `--only RUNG` or `--class opt-in` runs it |\n\n\
         ## Rungs\n\n\
         | | rung | class | it proves | on |\n| --- | --- | --- | --- | --- |\n",
    );
    for (number, id, class, title) in rungs() {
        let on: Vec<&str> = KINDS
            .iter()
            .filter(|(module, _)| climbs(module, id))
            .map(|(_, kind)| *kind)
            .collect();
        let _ = writeln!(
            page,
            "| {number} | `{id}` | {class} | {} | {} |",
            cell(title),
            on.join(", ")
        );
    }
    page += "\n## What a failure probably comes from\n\n\
        By the part of the ladder that saw it; `…` stands for the numbers of what was seen. The likeliest cause comes first. A device that\n\
        does not answer any more is *gone*, whatever rung noticed it.\n";
    page += &causes::sections();
    page
}

fn climbs(module: &str, id: &str) -> bool {
    rungs_of(module).iter().any(|(_, known, _, _)| *known == id)
}
