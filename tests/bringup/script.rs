//! `scripts/bringup.sh`, with a stand-in for the program that notes what it is asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A bench without a board: a stand-in for `hwpool`, which says how each verb ends, and a place for what it notes.
struct Bench(TempDir);

/// How a run of the script ended.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
    /// What the stand-in was asked for, a line each.
    asked: Vec<String>,
}

impl Bench {
    /// `endings` are arms of a `case` by the stand-in's arguments, such as `recover*) exit 3 ;;`.
    fn new(endings: &str) -> Bench {
        let bench = Bench(TempDir::new().expect("a directory"));
        bench.ends(endings);
        bench
    }

    fn ends(&self, endings: &str) {
        self.file("endings", &format!("case \"$*\" in {endings}\nesac\n"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Run {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let _ = fs::remove_file(self.path("asked"));
        let output = Command::new(project.join("scripts/bringup.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HWPOOL", project.join("tests/data/hwpool-stand-in"))
            .env("HWPOOL_REPORTS", "reports")
            .env("HWPOOL_STATE", "state")
            .envs(settings.iter().copied())
            .current_dir(&self.0)
            .output()
            .expect("a shell");
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default();
        Run {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            asked: asked.lines().map(str::to_string).collect(),
        }
    }
}

const BOARD: (&str, &str) = ("HWPOOL_DEVICE", "vfio:0000:01:00.0?backend=group");
const PLAN: (&str, &str) = ("HWPOOL_PLAN", "board.toml");

#[test]
fn the_device_is_the_named_one_else_that_of_the_plan() {
    let bench = Bench::new("");
    bench.file(
        "board.toml",
        "device = 'vfio:0000:02:00.0' # slot 3\n[limits.\"lists.stale\"]\ndevice = \"other\"\n",
    );
    let run = bench.run(&["check"], &[PLAN]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let climbed = &run.asked[0];
    assert!(
        climbed.starts_with("bringup --plan board.toml --out reports/"),
        "the plan's device is left to the plan: {climbed}"
    );
    let run = bench.run(&["config"], &[PLAN]);
    assert_eq!(run.asked, ["bind 0000:02:00.0 --journal state"]);
    let run = bench.run(&["config"], &[PLAN, BOARD]);
    assert_eq!(run.asked, ["bind 0000:01:00.0 --journal state"]);
    let run = bench.run(&["check"], &[PLAN, BOARD]);
    assert!(run.asked[0].starts_with("bringup vfio:0000:01:00.0?backend=group --plan board.toml"));
    let run = bench.run(&["status"], &[]);
    assert_eq!(run.asked, ["hugepages status", "info sim:bmu"]);
    let run = bench.run(&["check"], &[("HWPOOL_PLAN", "absent.toml")]);
    assert_eq!((run.code, run.asked.len()), (Some(2), 0), "{}", run.err);
}

#[test]
fn the_verdict_is_the_exit_status_and_reports_are_told() {
    let bench = Bench::new("'bringup vfio'*|'report '*) exit 1 ;;");
    let run = bench.run(&["check", "--", "--soak", "1"], &[BOARD]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let verbs: Vec<&str> = run
        .asked
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(verbs, ["bringup", "bringup", "report", "report", "report"]);
    assert!(run.asked[0].ends_with("--soak 1") && run.asked[1].starts_with("bringup sim:bmu"));
    assert!(run.out.starts_with("reports: reports/"), "{}", run.out);
    assert!(bench.path("reports/latest").is_dir());
    // A model that fails on a busy machine says nothing about the board.
    bench.ends("'bringup sim'*) exit 1 ;;");
    let run = bench.run(&["check"], &[BOARD]);
    assert_eq!((run.code, run.asked.len()), (Some(0), 5), "{}", run.err);
    for (endings, code) in [
        ("'bringup sim'*) exit 3 ;;", 3),
        ("'bringup vfio'*) exit 3 ;;", 3),
        ("'bringup vfio'*) exit 2 ;;", 2),
        ("'report '*) exit 1 ;;", 3),
    ] {
        let run = Bench::new(endings).run(&["check"], &[BOARD]);
        assert_eq!(
            (run.code, run.out.as_str()),
            (Some(code), ""),
            "{endings}: {}",
            run.err
        );
    }
    bench.file("file", "");
    let run = bench.run(&["check"], &[("HWPOOL_REPORTS", "file/reports")]);
    assert_eq!((run.code, run.asked.len()), (Some(3), 0), "{}", run.err);
}

#[test]
fn reset_gives_back_what_it_can() {
    let bench = Bench::new("");
    let pages = ("HWPOOL_HUGEPAGES", "4");
    bench.run(&["config"], &[BOARD, pages]);
    assert!(bench.path("state/bench.hugepages").exists());
    let run = bench.run(&["config"], &[BOARD, pages]);
    assert_eq!(
        run.asked,
        ["bind 0000:01:00.0 --journal state"],
        "pages are reserved once"
    );
    // The driver can't be put back.
    bench.ends("recover*) exit 3 ;;");
    let run = bench.run(&["reset"], &[BOARD]);
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert_eq!(
        run.asked,
        [
            "recover 0000:01:00.0 --journal state",
            "hugepages release 4"
        ]
    );
    assert!(!bench.path("state/bench.hugepages").exists());
}

#[test]
fn a_dry_run_asks_for_nothing_that_changes() {
    let bench = Bench::new("");
    for verb in ["config", "check", "reset"] {
        let run = bench.run(&[verb, "--dry-run"], &[BOARD, ("HWPOOL_HUGEPAGES", "4")]);
        assert_eq!(
            (run.code, run.asked.len(), run.out.as_str()),
            (Some(0), 0, ""),
            "{verb}"
        );
        assert!(run.err.starts_with("+ "), "{verb}: {}", run.err);
    }
    assert!(!bench.path("state").exists() && !bench.path("reports").exists());
}

#[test]
fn mistakes_are_usage_errors() {
    let bench = Bench::new("");
    for arguments in [
        &[][..],
        &["chekc"],
        &["config", "reset"],
        &["config", "--bench"],
        &["config", "--bench", "absent"],
        &["reset", "--", "--soak", "1"],
    ] {
        let run = bench.run(arguments, &[]);
        assert_eq!((run.code, run.asked.len()), (Some(2), 0), "{arguments:?}");
        assert!(run.err.contains("--help"), "{arguments:?}: {}", run.err);
    }
    let run = bench.run(&["config"], &[("HWPOOL_HUGEPAGES", "many")]);
    assert_eq!(run.code, Some(2), "{}", run.err);
}
