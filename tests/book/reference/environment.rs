//! Environment variables: the table, and that it has all of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::cell;
use crate::tree::{files, read};

/// Name, who reads it, and what it says.
#[rustfmt::skip] // a table: one variable, one line
const VARIABLES: &[(&str, &str, &str)] = &[
    ("CARGO_TARGET_DIR", "scripts", "where cargo builds"),
    ("HWPOOL_BACKEND", "the DPDK driver", "`ring`, `stack` or addresses of devices, with blanks between; `sim:bmu` where it is not set"),
    ("HWPOOL_CHECKED", "the DPDK driver", "1: double frees in the software backends are found at once"),
    ("HWPOOL_STATS", "the DPDK driver", "1: a line of counters at exit"),
    ("HWPOOL_COMPARE", "`scripts/bringup.sh`", "JSON of another run, shown beside this one"),
    ("HWPOOL_DEVICE", "`scripts/bringup.sh`; tests of a device", "the address of the device"),
    ("HWPOOL_HUGEPAGES", "`scripts/bringup.sh`", "hugepages to reserve"),
    ("HWPOOL_OWNER", "`scripts/bringup.sh`", "the user who shall own the device nodes"),
    ("HWPOOL_PLAN", "`scripts/bringup.sh`", "the file of the board's plan"),
    ("HWPOOL_REPORTS", "`scripts/bringup.sh`", "where reports are written"),
    ("HWPOOL_STATE", "`scripts/bringup.sh`", "where it keeps what it has to give back"),
    ("LAB_JOBS", "`scripts/lab`", "how many guests at a time; 2"),
    ("LAB_SERVER", "`scripts/lab`", "another program whose `sim serve` shows the models"),
    ("LAB_TIMEOUT", "`scripts/lab`", "the limit of a run, in seconds; 300"),
    ("VERILATOR", "`hwpool-rtl`", "the program to build designs with"),
    ("XDG_CACHE_HOME", "`hwpool-rtl`, scripts", "where built designs, guests and tools are kept, below `hwpool/`"),
    ("HWPOOL_BLESS", "tests", "1: write anew what is held: reference pages, the description's schema, what machines print"),
    ("HWPOOL_EDU", "tests", "the address of QEMU's `edu` device"),
    ("HWPOOL_LITEX", "tests", "the folder of a LiteX build"),
    ("HWPOOL_MUTANTS", "tests of `hwpool-rtl`", "`all`: every fault of a design climbs the ladder, not a few"),
    ("HWPOOL_NO_SKIP", "tests", "1: what is missing on the machine fails a test instead of skipping it"),
    ("HWPOOL_SEED", "tests", "replays a random run"),
    ("HWPOOL_STEPS", "tests", "length of a run in lockstep"),
];

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Environment variables\n\n\
         The program `hwpool` and the library read none: what they are told stands in arguments and addresses.\n\n\
         | variable | read by | says |\n| --- | --- | --- |\n",
    );
    for (name, who, says) in VARIABLES {
        let _ = writeln!(page, "| `{name}` | {who} | {} |", cell(says));
    }
    page
}

/// A variable that is in no row is one that nobody finds; a row that nothing reads is of the past.
#[test]
fn reference_has_every_variable() {
    let mut found = BTreeSet::new();
    for folder in [
        "src",
        "sim",
        "devices",
        "describe",
        "dpdk",
        "tests",
        "benches",
        "examples",
        "scripts",
        "rtl/bridge",
    ] {
        for path in files(folder) {
            let is_source = [".rs", ".c", ".h", ".sh"]
                .iter()
                .any(|ending| path.ends_with(ending))
                || path.starts_with("scripts/");
            if is_source && !path.starts_with("tests/book/reference/") {
                found.extend(variables(&read(&path)));
            }
        }
    }
    // Sources of a package have no scripts.
    if found.contains("LAB_TIMEOUT") {
        let rows: BTreeSet<String> = VARIABLES
            .iter()
            .map(|row| row.0.to_owned())
            .filter(|name| is_ours(name))
            .collect();
        assert_eq!(found, rows);
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("HWPOOL_") || name.starts_with("LAB_")
}

/// Returns the variables of ours that a source reads: in Rust and C between quotes, in a shell behind `${`.
fn variables(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    for part in text.split("${").skip(1) {
        found.insert(part.chars().take_while(|c| is_part(*c)).collect::<String>());
    }
    found.extend(
        text.split('"')
            .filter(|part| part.chars().all(is_part))
            .map(String::from),
    );
    found.retain(|name| is_ours(name));
    found
}
