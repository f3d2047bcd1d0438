//! The tutorial of descriptions, run as it stands: each command of its page, with what the page says that it prints.
//!
//! A fenced block is a file (` ```toml NAME`), commands (` ```console`), a program that goes on in the background
//! (` ```console background`), or one of what no test can run: `setup`, which is this build, and `hardware`. A line `...`
//! stands for any lines, and `...` in a line for any text.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PAGE: &str = "describe/TUTORIAL.md";

/// Stands before what a command printed, and behind it with its exit code.
const MARK: &str = "--8<--";

/// The time that all commands of a block have together, in seconds.
const PATIENCE: &str = "300";

/// A fenced block: what stands behind its fence, and its lines.
struct Block<'p> {
    is: &'p str,
    lines: Vec<&'p str>,
}

/// A command, and the lines that it is said to print.
#[derive(Debug)]
struct Step<'p> {
    command: &'p str,
    prints: Vec<&'p str>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(is), None) => {
                open = Some(Block {
                    is,
                    lines: Vec::new(),
                })
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

fn steps<'p>(block: &Block<'p>) -> Vec<Step<'p>> {
    let mut steps: Vec<Step<'p>> = Vec::new();
    for line in &block.lines {
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

/// Tells whether a line is as the page has it.
fn is_line(said: &str, line: &str) -> bool {
    let mut parts = said.trim_end().split("...");
    let line = line.trim_end();
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

/// Tells whether lines are as the page has them, where a line `...` is any number of them.
fn are_lines(said: &[&str], lines: &[&str]) -> bool {
    match (said, lines) {
        ([], lines) => lines.is_empty(),
        (["...", said @ ..], lines) => {
            (0..=lines.len()).any(|skip| are_lines(said, &lines[skip..]))
        }
        ([_, ..], []) => false,
        ([first, said @ ..], [line, lines @ ..]) => is_line(first, line) && are_lines(said, lines),
    }
}

/// The example that is beside this test, as `cargo test` builds it; it is built where only this test was asked for.
fn forward() -> PathBuf {
    let test = std::env::current_exe().expect("it runs");
    let profile = test.ancestors().nth(2).expect("a directory of builds");
    let example = profile.join("examples/forward");
    if !example.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--example", "forward"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success());
    }
    example
}

/// Where the page's commands are run.
struct Place {
    directory: tempfile::TempDir,
    forward: PathBuf,
    /// Ends when the page does.
    background: Vec<Child>,
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.background {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Place {
    fn new() -> Place {
        Place {
            directory: tempfile::tempdir().expect("a directory"),
            forward: forward(),
            background: Vec::new(),
        }
    }

    /// Returns a command in the place, for which the build is the one that this test belongs to.
    fn command(&self, program: &str) -> Command {
        let hwpool = Path::new(env!("CARGO_BIN_EXE_hwpool"));
        let programs = hwpool.parent().expect("a directory").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("HWPOOL", env!("CARGO_MANIFEST_DIR"))
            .env("FORWARD", &self.forward)
            .stdin(Stdio::null());
        command
    }

    /// Runs commands in one shell; returns what each printed, and its exit code.
    fn run(&self, steps: &[Step<'_>]) -> Vec<(String, i32)> {
        // What cargo built is run without cargo, which would build it for itself.
        let mut script = String::from(
            "cargo() { while [ \"$1\" != -- ]; do shift; done; shift; \"$FORWARD\" \"$@\"; }\nexec 2>&1\nis=0\n",
        );
        for step in steps {
            // So that `echo $?` is that of the command before.
            let _ = writeln!(
                script,
                "(exit $is); {}\nis=$?; echo; echo \"{MARK}$is\"",
                step.command
            );
        }
        let mut shell = self.command("timeout");
        shell.args(["--kill-after=5", PATIENCE, "sh", "-c", &script]);
        let output = shell.output().expect("timeout of coreutils");
        let printed = String::from_utf8(output.stdout).expect("text");
        let mut results = Vec::new();
        let mut said = String::new();
        for line in printed.lines() {
            match line.strip_prefix(MARK) {
                Some(code) => {
                    // The line that parts the mark from what was printed.
                    let text = std::mem::take(&mut said);
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    results.push((text.to_owned(), code.parse().expect("a code")));
                }
                None => said += &format!("{line}\n"),
            }
        }
        assert_eq!(
            results.len(),
            steps.len(),
            "the shell ended early: {printed}"
        );
        results
    }

    /// Starts a program and waits for what the page says that it prints first.
    fn start(&mut self, step: &Step<'_>) {
        // No other process stands between, so that the one that is killed is this.
        let mut shell = self.command("sh");
        shell.args(["-c", &format!("exec {}", step.command)]);
        shell.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().expect("a shell");
        let stdout = child.stdout.take().expect("a pipe");
        self.background.push(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert!(is_line(step.prints[0], &line), "{}: {line}", step.command);
    }
}

#[test]
fn every_command_of_the_page_does_what_it_says() {
    let mut place = Place::new();
    let (mut commands, mut files) = (0, 0);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(page).expect("the page");
    for block in blocks(&page) {
        match block.is.split_once(' ').unwrap_or((block.is, "")) {
            ("console", "") => {
                commands += block.lines.len();
                hold(&place, &steps(&block));
            }
            ("console", "background") => steps(&block).iter().for_each(|step| place.start(step)),
            ("toml", name) if !name.is_empty() => {
                let text = block.lines.join("\n") + "\n";
                fs::write(place.directory.path().join(name), text).expect("it can be written");
                files += 1;
            }
            // What nobody runs is what nobody can: the build, and what is said to need a board.
            ("console", "setup") => assert!(block.lines[0].contains("cargo build")),
            ("console", "hardware") => {
                let needs = |line: &&&str| line.contains("0000:01:00.0");
                assert_eq!(block.lines.iter().filter(needs).count(), block.lines.len());
            }
            _ => panic!("nobody knows what to do with a block `{}`", block.is),
        }
    }
    assert!(
        commands > 40 && files == 1,
        "{commands} lines, {files} files"
    );
}

/// Runs the commands of a block, and compares.
fn hold(place: &Place, steps: &[Step<'_>]) {
    let results = place.run(steps);
    for (at, (step, (printed, code))) in steps.iter().zip(results).enumerate() {
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            are_lines(&step.prints, &lines),
            "`{}` is said to print\n{}\nand prints\n{printed}",
            step.command,
            step.prints.join("\n")
        );
        let is_shown = steps
            .get(at + 1)
            .is_some_and(|next| next.command == "echo $?");
        assert!(
            code == 0 || is_shown,
            "`{}` ends with {code}: {printed}",
            step.command
        );
    }
}

/// What compares must be able to fail.
#[test]
fn lines_are_compared() {
    assert!(is_line("a ... c", "a b c") && is_line("a ...", "a b c") && is_line("a", "a  "));
    assert!(!is_line("a ... c", "a b c d") && !is_line("a", "a b") && !is_line("b", "a b"));
    assert!(are_lines(&["...", "b", "..."], &["a", "b", "c"]) && are_lines(&["a", "..."], &["a"]));
    assert!(!are_lines(&["a"], &["a", "b"]) && !are_lines(&["...", "d"], &["a", "b"]));
    assert!(!are_lines(&["a", "b"], &["a"]));
}
