//! Where the commands of a page are run, with the build that this test belongs to.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::compare::{are_lines, is_line};
use crate::page::Step;
use crate::tree::root;

/// Stands before what a command printed, and behind it with its exit code.
const MARK: &str = "--8<--";

/// The time that all commands of a block have together, in seconds.
const PATIENCE: &str = "300";

/// The examples that pages run.
const EXAMPLES: &[&str] = &["forward", "hw_mempool", "my_mempool"];

/// What cargo built is run without cargo, which would build it for itself.
const CARGO: &str = r#"
cargo() {
    program=hwpool
    while [ "$1" != -- ]; do
        case $1 in --example) program=$EXAMPLES/$2 ;; esac
        shift
        [ $# -gt 0 ] || { "$program"; return; }
    done
    shift
    "$program" "$@"
}
exec 2>&1
is=0
"#;

/// Returns the folder of examples beside this test, as `cargo test` builds them; they are built where only this test was
/// asked for.
fn examples() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("it runs");
        let profile = test.ancestors().nth(2).expect("a directory of builds");
        let folder = profile.join("examples");
        if EXAMPLES.iter().any(|name| !folder.join(name).exists()) {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--locked"]);
            for name in EXAMPLES {
                cargo.args(["--example", name]);
            }
            cargo.current_dir(root());
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().expect("cargo runs").success());
        }
        folder
    })
}

/// A directory, and what runs in it.
pub(crate) struct Place {
    directory: tempfile::TempDir,
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
    pub(crate) fn new() -> Place {
        Place {
            directory: tempfile::tempdir().expect("a directory"),
            background: Vec::new(),
        }
    }

    /// Writes a file of the page.
    pub(crate) fn write(&self, name: &str, lines: &[&str]) {
        let path = self.directory.path().join(name);
        fs::write(path, lines.join("\n") + "\n").expect("it can be written");
    }

    /// Returns a command in the place.
    fn command(&self, program: &str) -> Command {
        let hwpool = Path::new(env!("CARGO_BIN_EXE_hwpool"));
        let programs = hwpool.parent().expect("a directory").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("HWPOOL", root())
            .env("EXAMPLES", examples())
            .stdin(Stdio::null());
        command
    }

    /// Runs commands in one shell; returns what each printed, and its exit code.
    fn run(&self, steps: &[Step<'_>]) -> Vec<(String, i32)> {
        let mut script = String::from(CARGO);
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
    pub(crate) fn start(&mut self, step: &Step<'_>) {
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

    /// Runs the commands of a block, and compares.
    pub(crate) fn hold(&self, steps: &[Step<'_>]) {
        let results = self.run(steps);
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
}
