//! `hwpool bringup` and `hwpool report`, run as a program.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hwpool::bringup::TRAFFIC_RUNS;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::terminal;

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// A directory to run in, removed at the end.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(TempDir::new().expect("a directory"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        let command = command.args(arguments).current_dir(&self.0);
        command
            .stdin(Stdio::null())
            .output()
            .expect("hwpool starts")
    }

    /// Runs what must end with `code`; returns stdout and stderr.
    fn ends(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.into()).expect("text");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {out}{err}"
        );
        assert!(!err.contains("panicked"), "{err}");
        (out, err)
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("written");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("the file")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the directory");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    }
}

const QUICK: [&str; 3] = ["bringup", "sim:bmu", "--soak=0.05"];

#[test]
fn all_rungs_pass_on_the_model() {
    let place = Place::new();
    let (out, _) = place.ends(OK, &[&QUICK[..], &["--class", "opt-in", "--json"]].concat());
    let report: Value = serde_json::from_str(&out).expect("one document");
    let checks = report["checks"].as_array().expect("checks");
    let rungs: Vec<_> = checks
        .iter()
        .map(|check| check["rung"].as_u64().expect("a number"))
        .collect();
    assert_eq!(rungs, (0..16).collect::<Vec<_>>());
    for check in checks {
        assert_eq!(check["status"], "pass", "{check:#}");
        assert!(
            !check["evidence"].as_array().expect("evidence").is_empty(),
            "{check:#}"
        );
    }
    assert_eq!(report["passed"], 16);
    assert_eq!(report["about"]["hwpool"], env!("CARGO_PKG_VERSION"));
}

/// Runs with stdout on a terminal of so many columns; returns what it printed there.
fn on_a_terminal(columns: u16, arguments: &[&str], environment: (&str, &str)) -> String {
    let (mut master, slave) = terminal::of_columns(columns);
    let mut child = Command::new(env!("CARGO_BIN_EXE_hwpool"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env(environment.0, environment.1)
        .stdin(Stdio::null())
        .stdout(slave)
        .stderr(Stdio::null())
        .spawn()
        .expect("hwpool starts");
    let mut printed = Vec::new();
    // Ends with EIO when nobody has the terminal any more.
    let _ = master.read_to_end(&mut printed);
    assert!(child.wait().expect("an end").success());
    String::from_utf8(printed).expect("text").replace('\r', "")
}

#[test]
fn lines_fit_a_narrow_terminal_and_have_colours_unless_unwanted() {
    let read_only = ["bringup", "--class", "read-only"];
    let plain = on_a_terminal(40, &read_only, ("NO_COLOR", "1"));
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(plain.contains("pci.function"), "{plain}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 40, "{line}");
    }
    let coloured = on_a_terminal(40, &read_only, ("NO_COLOR", ""));
    assert!(coloured.contains("\u{1b}[32mpass"), "{coloured}");
    let wide = on_a_terminal(400, &read_only, ("NO_COLOR", "1"));
    assert!(wide.lines().count() < plain.lines().count(), "{wide}");
}

#[test]
fn lists_and_tables_fit_a_narrow_terminal_and_lose_nothing() {
    let verbs: [&[&str]; 5] = [
        &["info"],
        &["regs", "list"],
        &["regs", "get", "sim:bmu", "STATUS"],
        &["sim", "list"],
        &["bench", "--only", "register", "--time", "1"],
    ];
    for verb in verbs {
        let narrow = on_a_terminal(60, verb, ("NO_COLOR", "1"));
        // A remedy, such as a command, is copied as a whole.
        let lines = narrow.lines().filter(|line| !line.contains("do:   "));
        let widest = lines
            .max_by_key(|line| line.chars().count())
            .expect("lines");
        assert!(widest.chars().count() <= 60, "{verb:?}: {widest}");
        if verb[0] != "bench" {
            let words = |text: &str| {
                text.split_whitespace()
                    .map(str::to_string)
                    .collect::<Vec<_>>()
            };
            let wide = on_a_terminal(400, verb, ("NO_COLOR", "1"));
            assert_eq!(words(&narrow), words(&wide), "{verb:?}");
        }
    }
}

/// Starts a program that logs, and returns its log's lines.
fn logging(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hwpool"))
        .arg("-v")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hwpool starts");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("it runs");
}

#[test]
fn ctrl_c_ends_the_traffic_with_a_report() {
    let hour = ["bringup", "--only", "soak.traffic", "--soak", "3600"];
    let (child, mut log) = logging(&hour);
    let begun = log.find(|line| matches!(line, Ok(line) if line.contains(TRAFFIC_RUNS)));
    assert!(begun.is_some());
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().expect("an end");
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(out.contains("15 blocked soak.traffic"), "{out}");
    assert!(out.contains("ended before its time"), "{out}");
    assert!(out.contains("pairs per second"), "what was seen: {out}");
    assert!(
        out.ends_with("7 passed, 0 failed, 8 skipped, 1 blocked\n"),
        "{out}"
    );
    assert_eq!(output.status.code(), Some(FAILED));
}

/// A doorbell that never arrives costs the device's timeout, which is longer than the climb may take.
#[test]
fn a_climb_that_takes_too_long_fails_and_blames_nothing() {
    let place = Place::new();
    place.file(
        "faults.toml",
        "[[fault]]\nkind = \"delayed-doorbell\"\ntimes = 0\n",
    );
    let device = "sim:bmu?timeout-ms=65535&faults=faults.toml";
    let climb = |form| ["bringup", device, "--within", "1", "--report", form];
    let (out, _) = place.ends(FAILED, &climb("json"));
    let report: Value = serde_json::from_str(&out).expect("one document");
    let checks = report["checks"].as_array().expect("checks");
    let of_status = |status| checks.iter().filter(move |check| check["status"] == status);
    assert_eq!(of_status("fail").count(), 0, "{report:#}");
    let blocked: Vec<_> = of_status("blocked").collect();
    assert_eq!(report["failed"], 0);
    assert_eq!(report["blocked"], blocked.len());
    for check in &blocked {
        let says = check["message"].as_str().unwrap_or_default();
        assert!(says.contains("--within 1"), "{check:#}");
        assert_eq!(check["causes"], Value::Array(Vec::new()), "{check:#}");
    }
    let ended = blocked[0]["message"].as_str().unwrap_or_default();
    assert!(ended.contains("under way was:"), "{ended}");
    assert_eq!(checks.last(), blocked.last().copied(), "what is left, too");
    let (out, _) = place.ends(FAILED, &climb("text"));
    assert!(out.contains("blocked"), "{out}");
}

/// The process that is to be killed on rung 14 has one that it dies with.
#[test]
fn a_child_dies_with_its_parent() {
    let place = Place::new();
    let (_, err) = place.ends(USAGE, &["bringup", "--child-of", "1"]);
    assert!(err.contains("the parent is not 1"), "{err}");
    // As long as it takes to fail.
    let soak = ["bringup", "--only=15", "--soak=60", "--child-of"];
    // The shell is the parent; what it runs has its stderr.
    let script = format!(
        "{} -v {} $$ & wait",
        env!("CARGO_BIN_EXE_hwpool"),
        soak.join(" ")
    );
    let mut parent = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut log = BufReader::new(parent.stderr.take().expect("a pipe")).lines();
    let begun = log.find(|line| matches!(line, Ok(line) if line.contains(TRAFFIC_RUNS)));
    assert!(begun.is_some());
    signal(&parent, Signal::SIGKILL);
    parent.wait().expect("an end");
    let killed = Instant::now();
    // The pipe is closed once the child is gone, too.
    assert_eq!(log.filter(Result::is_err).count(), 0);
    assert!(
        killed.elapsed() < Duration::from_secs(30),
        "it went on to its end"
    );
}

#[test]
fn an_owner_is_killed_and_the_served_model_is_in_order() {
    let place = Place::new();
    let (out, _) = place.ends(OK, &["bringup", "sim:bmu", "--only", "owner.killed"]);
    assert!(out.contains("killed by SIGKILL"), "{out}");
    assert!(out.contains("lists.capacity, portal.unique"), "{out}");
    // What a device lacks has not passed again.
    let without = ["bringup", "sim:bmu?portals=0", "--only", "owner.killed"];
    let (out, _) = place.ends(OK, &without);
    assert!(out.contains("passed again lists.stale"), "{out}");
    assert!(!out.contains("lists.capacity, portal.unique"), "{out}");
    // A model that never forgets what a dead owner left is told by the rung, on the same faults.
    place.file(
        "faults.toml",
        "[[fault]]\nkind = \"wrong-count\"\nregister = \"POOL_AVAILABLE\"\ntimes = 0\n",
    );
    let (out, _) = place.ends(
        FAILED,
        &[
            "bringup",
            "sim:bmu?faults=faults.toml",
            "--only",
            "owner.killed",
        ],
    );
    assert!(out.contains("cause:"), "{out}");
}

#[test]
fn rungs_are_chosen() {
    let place = Place::new();
    let (out, _) = place.ends(OK, &["bringup", "--class", "read-only"]);
    assert!(out.contains("3 passed, 0 failed, 13 skipped"), "{out}");
    let (out, _) = place.ends(OK, &["bringup", "--only", "3"]);
    assert!(
        out.contains("3 pass    regs.scratch") && out.contains("skip    reset.verified"),
        "{out}"
    );
    let both = [
        "bringup",
        "--only",
        "reset.verified",
        "--class",
        "safe-write",
    ];
    let (out, _) = place.ends(OK, &both);
    assert!(
        out.contains("it is disruptive; --class disruptive runs it"),
        "{out}"
    );
    assert!(out.contains("pass    regs.scratch"), "{out}");
    let (out, _) = place.ends(FAILED, &["bringup", "--only", "lists.stale", "--skip", "5"]);
    assert!(out.contains("needs reset.verified"), "{out}");
    let (_, err) = place.ends(USAGE, &["bringup", "--only", "portal.uniq"]);
    assert!(
        err.contains("`portal.uniq`") && err.contains("9 portal.unique"),
        "{err}"
    );
    let (_, err) = place.ends(USAGE, &["bringup", "--class", "gentle"]);
    assert!(err.contains("safe-write"), "{err}");
}

#[test]
fn reports_are_written_whole_beside_the_lines() {
    let place = Place::new();
    for (arguments, name, begins) in [
        (&["--out", "run.json"][..], "run.json", "{"),
        (
            &["--report", "html", "--out", "run.html"],
            "run.html",
            "<!DOCTYPE html>",
        ),
        (&["--out", "run.xml"], "run.xml", "<?xml"),
        (&["--report", "text", "--out", "run"], "run", " 0 pass"),
    ] {
        place.file(name, "old");
        let (out, _) = place.ends(OK, &[&QUICK[..], arguments].concat());
        assert!(
            out.contains("portal.unique") && out.contains(" 0 failed"),
            "{out}"
        );
        assert!(place.text(name).starts_with(begins), "{name}");
    }
    assert_eq!(
        place.names(),
        ["run", "run.html", "run.json", "run.xml"],
        "and nothing else"
    );
    let (out, _) = place.ends(OK, &[&QUICK[..], &["--report", "junit"]].concat());
    assert!(out.starts_with("<?xml"), "the report alone: {out}");
}

#[test]
fn a_run_is_shown_beside_another() {
    let place = Place::new();
    place.ends(OK, &[&QUICK[..], &["--out", "model.json"]].concat());
    place.file(
        "faults.toml",
        "[[fault]]\nkind = \"lost-interrupt\"\ntimes = 0\n",
    );
    let board = [
        "bringup",
        "sim:bmu?faults=faults.toml",
        "--soak=0.05",
        "--out",
        "board.html",
        "--compare",
        "model.json",
    ];
    let (out, _) = place.ends(FAILED, &board);
    assert!(
        out.contains("12 fail    irq.vectors") && out.contains("cause: the message was lost"),
        "{out}"
    );
    let page = place.text("board.html");
    assert!(page.contains("beside: "), "{page}");
    place.ends(
        OK,
        &[
            "report",
            "model.json",
            "--out",
            "again.html",
            "--compare",
            "model.json",
        ],
    );
    let (out, _) = place.ends(OK, &["report", "model.json"]);
    assert!(
        out.contains("16 pass") || out.contains("15 passed"),
        "{out}"
    );
}

#[test]
fn mistakes_are_told_before_anything_is_run() {
    let place = Place::new();
    place.file("bad.toml", "device = \"sim:bmu\"\nclas = \"opt-in\"\n");
    place.file("bad.json", "{}");
    place.file("old.json", "{\"schema\":\"hwpool.bringup/0\",\"device\":\"x\",\"checks\":[],\"passed\":0,\"failed\":0,\"skipped\":0}");
    for (arguments, says) in [
        (
            &["bringup", "--plan", "bad.toml"][..],
            "bad.toml: TOML parse error at line 2",
        ),
        (
            &["bringup", "--plan", "absent.toml"],
            "absent.toml: No such file",
        ),
        (
            &["bringup", "--out", "report.pdf"],
            "text, json, junit or html",
        ),
        (
            &["bringup", "--out", "absent/run.json"],
            "no directory absent",
        ),
        (&["bringup", "--compare", "bad.json"], "--report html"),
        (
            &["bringup", "--report", "html", "--compare", "bad.json"],
            "not the JSON of a bring-up",
        ),
        (&["report", "old.json"], "its schema is hwpool.bringup/0"),
        (&["report", "absent.json"], "absent.json: No such file"),
        (&["bringup", "--soak", "nan"], "0.01 to 86400"),
        (&["bringup", "simbmu"], "simbmu"),
    ] {
        let (out, err) = place.ends(USAGE, arguments);
        assert!(err.contains(says), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
    assert_eq!(place.names(), ["bad.json", "bad.toml", "old.json"]);
}

#[test]
fn a_plan_is_a_bring_up_and_options_come_first() {
    let place = Place::new();
    place.file(
        "board.toml",
        "device = \"sim:bmu?pools=4\"\nonly = [\"lists.stale\"]\n[limits.\"lists.stale\"]\nlists = { is = 4 }\n",
    );
    let (out, _) = place.ends(OK, &["bringup", "--plan", "board.toml", "--json"]);
    let report: Value = serde_json::from_str(&out).expect("one document");
    assert_eq!(
        (&report["device"], &report["about"]["plan"]),
        (&"sim:bmu?pools=4".into(), &"board".into())
    );
    let (out, _) = place.ends(
        FAILED,
        &["bringup", "sim:bmu?pools=5", "--plan", "board.toml"],
    );
    assert!(out.contains("lists is 5, and 4"), "{out}");
    place.ends(
        OK,
        &[
            "bringup",
            "sim:bmu?pools=5",
            "--plan",
            "board.toml",
            "--only",
            "1",
        ],
    );
}

#[cfg(feature = "describe")]
#[test]
fn a_device_that_a_file_describes_survives_the_death_of_its_owner() {
    let place = Place::new();
    let described = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/describe/devices/small-fifo.toml"
    );
    fs::copy(described, place.0.path().join("mine.toml")).expect("copied");
    let registers = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/describe/devices/rdl/small-fifo.xml"
    );
    fs::create_dir(place.0.path().join("rdl")).expect("made");
    fs::copy(registers, place.0.path().join("rdl/small-fifo.xml")).expect("copied");
    for address in ["sim:mine.toml", "sim:fifo?driver=mine.toml"] {
        let (out, _) = place.ends(OK, &["bringup", address, "--soak=0.1"]);
        assert!(out.contains("killed by SIGKILL"), "{out}");
    }
}
