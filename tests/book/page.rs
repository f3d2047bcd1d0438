//! A page: its fenced blocks, and what each is.

/// A page of Markdown.
pub(crate) struct Page<'p> {
    pub(crate) blocks: Vec<Block<'p>>,
}

/// A fenced block: what it is, and its lines.
pub(crate) struct Block<'p> {
    pub(crate) is: Is<'p>,
    pub(crate) lines: Vec<&'p str>,
}

/// What is done with a block.
#[derive(Debug, Copy, Clone)]
pub(crate) enum Is<'p> {
    /// Its commands are run.
    Run,
    /// Its program goes on in the background.
    Background,
    /// Its commands are those of a machine that is kept.
    Machine(&'p str),
    /// Nobody can run it, for a reason.
    Needs(&'p str),
    /// It is a file of this name.
    File(&'p str),
    /// The documentation tests run it.
    Rust,
    /// It is to be looked at.
    Text,
}

/// A command, and the lines that it is said to print.
#[derive(Debug)]
pub(crate) struct Step<'p> {
    pub(crate) command: &'p str,
    pub(crate) prints: Vec<&'p str>,
}

/// Why a block is not run, and what each of its commands has in it, one of these.
const NEEDS: &[(&str, &[&str])] = &[
    ("board", &["0000:01:00.0"]),
    (
        "build",
        &[
            "cargo build",
            "cargo install",
            "export PATH",
            "export HWPOOL",
            "mkdir",
        ],
    ),
    ("dpdk", &["dpdk"]),
    ("debian", &["scripts/deb", "apt-get ", "systemctl "]),
    ("guest", &["qemu-system", "guest", "scripts/lab"]),
    ("python", &["pip ", "pytest "]),
    ("root", &["bind", "recover", "hugepages"]),
    ("rtl", &["hwpool-rtl", "rtl/"]),
    ("time", &["scripts/", "cargo bench", "--seconds"]),
];

/// Fails where a block of what nobody runs has what somebody could.
pub(crate) fn must_need(reason: &str, steps: &[Step<'_>]) {
    let row = NEEDS.iter().find(|(known, _)| *known == reason);
    let (_, words) = row.unwrap_or_else(|| panic!("nobody knows the reason `{reason}`"));
    for step in steps {
        let does = words.iter().any(|word| step.command.contains(word));
        assert!(does, "`{}` does not need: {reason}", step.command);
    }
}

impl<'p> Page<'p> {
    pub(crate) fn parse(text: &'p str) -> Page<'p> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(fence), None) => {
                    let (is, lines) = (Is::parse(fence), Vec::new());
                    open = Some(Block { is, lines });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "a block has no end");
        Page { blocks }
    }
}

impl<'p> Is<'p> {
    /// Reads what stands behind a fence.
    fn parse(fence: &'p str) -> Is<'p> {
        let (language, rest) = fence.split_once(' ').unwrap_or((fence, ""));
        match (language, rest.split_once('-').unwrap_or((rest, ""))) {
            ("console", ("", "")) => Is::Run,
            ("console", ("background", "")) => Is::Background,
            ("console", ("machine", name)) => Is::Machine(name),
            ("console", ("needs", reason)) => Is::Needs(reason),
            ("rust", _) => Is::Rust,
            // Those in Python are run by its own tests, where there is one.
            ("toml" | "text" | "python", ("", "")) => Is::Text,
            ("toml", _) => Is::File(rest),
            _ => panic!("nobody knows what to do with a block `{fence}`"),
        }
    }
}

impl<'p> Block<'p> {
    /// Returns the commands of the block.
    pub(crate) fn steps(&self) -> Vec<Step<'p>> {
        let mut steps: Vec<Step<'p>> = Vec::new();
        for line in &self.lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command,
                    prints: Vec::new(),
                }),
                (None, Some(step)) => step.prints.push(line),
                (None, None) => panic!("{line} is printed by no command"),
            }
        }
        steps
    }
}

/// What nobody runs is what nobody can.
#[test]
fn reasons_are_judged() {
    let step = |command| Step {
        command,
        prints: Vec::new(),
    };
    must_need("board", &[step("hwpool doctor 0000:01:00.0")]);
    for (reason, command) in [("board", "hwpool bringup sim:bmu"), ("mood", "true")] {
        let judged = std::panic::catch_unwind(|| must_need(reason, &[step(command)]));
        assert!(judged.is_err(), "{reason}: {command}");
    }
}
