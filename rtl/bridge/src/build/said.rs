//! What Verilator said, as one message of ours with its own lines below.

/// What Verilator's lines come down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// One sentence.
    pub what: String,
    /// Its own lines.
    pub lines: String,
}

/// Kinds of failures that have a sentence of their own: what Verilator writes, and the sentence.
const KNOWN: [(&str, &str); 7] = [
    ("syntax error", "a source is no valid Verilog"),
    (
        "was not found in design",
        "the sources have no module of the name in `top`",
    ),
    (
        "Parameters from the command line were not found",
        "the top has none of these `parameters`",
    ),
    (
        "Cannot find file containing module",
        "a module is used that no source has: add its file to `sources`",
    ),
    (
        "Cannot find include file",
        "an included file is not there: add its folder to `include`",
    ),
    (
        "Unsupported",
        "the sources use something that this Verilator does not support",
    ),
    (
        "Can't find definition",
        "a name is used that the sources don't define",
    ),
];

/// Makes one message of what it said when it failed.
pub(super) fn failure(stderr: &str) -> Said {
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("%Error"))
        .collect();
    let known = KNOWN
        .iter()
        .find(|(part, _)| errors.iter().any(|line| line.contains(part)));
    let what = known.map_or("Verilator refuses the design", |(_, sentence)| sentence);
    Said {
        what: what.into(),
        lines: shortened(stderr),
    }
}

/// Finds warnings of combinational loops.
pub(super) fn loops(stderr: &str) -> Option<Said> {
    let mut lines = String::new();
    let mut inside = false;
    for line in stderr.lines() {
        inside = line.starts_with("%Warning-UNOPTFLAT") || inside && line.starts_with(' ');
        if inside {
            lines += line;
            lines.push('\n');
        }
    }
    (!lines.is_empty()).then(|| Said {
        what: "there is a combinational loop, or what looks like one: it costs speed, and may never settle".into(),
        lines: shortened(&lines),
    })
}

/// Takes the first lines: what follows the first errors is mostly their echo.
fn shortened(text: &str) -> String {
    const MOST: usize = 30;
    let mut lines: Vec<&str> = text.lines().take(MOST).collect();
    if text.lines().count() > MOST {
        lines.push("...");
    }
    lines.join("\n")
}
