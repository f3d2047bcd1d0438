//! The command line, run as a program: documents, exit codes, mistakes, closed pipes.

#[path = "rig/documents.rs"]
mod documents;
#[path = "rig/terminal.rs"]
mod terminal;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hwpool::user::{Client, PATIENCE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::Value;

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;

fn hwpool(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("hwpool starts")
}

/// Runs with `--json` and returns the exit code and the one document on stdout, which is as its schema says.
fn json(arguments: &[&str]) -> (i32, Value) {
    let output = hwpool(&[arguments, &["--json"]].concat());
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
    documents::check(&document);
    (output.status.code().expect("an exit code"), document)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.into()).expect("text")
}

/// Runs what must be refused; returns its message.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = hwpool(arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}: nothing on stdout");
    assert!(!message.contains("panicked"), "{message}");
    message
}

#[test]
fn a_reset_is_counted_by_the_device() {
    let (code, document) = json(&["reset", "sim:bmu"]);
    assert_eq!(code, OK);
    let count = |n: usize| document["reset_count"][n].as_u64().expect("a number");
    assert!(count(1) > count(0), "{document}");
    let told = hwpool(&["reset", "sim:bmu"]);
    let (before, after) = (count(0), count(1));
    assert_eq!(after - before, 2, "opened and closed");
    let counted = format!("RESET_COUNT went from {before} to {after}");
    for words in [
        counted.as_str(),
        "when it was opened, and again when it was closed",
    ] {
        assert!(text(&told.stdout).contains(words), "{told:?}");
    }
    let faults = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        &faults,
        "[[fault]]\nkind = \"reset-does-nothing\"\ntimes = 0\n",
    )
    .expect("written");
    let lazy = format!("sim:bmu?faults={}", faults.path().display());
    let message = refused(&["reset", &lazy], REFUSED);
    assert!(message.contains("did nothing"), "{message}");
    let message = refused(&["reset", "sim:bmu", "--slot"], USAGE);
    assert!(message.contains("vfio:"), "{message}");
}

#[test]
fn a_token_is_in_no_message() {
    const TOKEN: &str = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
    let absent = format!("vfio:0000:ff:1f.7?token={TOKEN}");
    for verb in [&["-vv", "info"][..], &["bringup"], &["soak"]] {
        let message = refused(&[verb, &[&absent]].concat(), REFUSED);
        assert!(message.contains("ff:1f.7?token=(hidden)"), "{message}");
        assert!(!message.contains(TOKEN), "{message}");
    }
    for bad in [format!("{absent}0"), format!("{absent}&token=1")] {
        let message = refused(&["info", &bad], USAGE);
        assert!(!message.contains(TOKEN), "{message}");
    }
}

#[test]
fn bringup_fails_on_a_board_that_does_not_reset() {
    let faults = temporary("[[fault]]\nkind = \"reset-does-nothing\"\ntimes = 0\n");
    let (code, report) = json(&[
        "bringup",
        &format!("sim:bmu?seed=0x11&faults={}", faults.display()),
    ]);
    assert_eq!(code, FAILED, "{report:#}");
    assert_eq!(report["about"]["seed"], 17);
    let status = |id: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()["status"].clone()
    };
    assert_eq!(status("regs.identity"), "pass");
    assert_eq!(status("reset.verified"), "fail");
    assert_eq!(status("lists.stale"), "blocked");
    std::fs::remove_file(faults).unwrap();
}

#[test]
fn info_and_lists_are_documents() {
    let (code, info) = json(&["info"]);
    assert_eq!((code, &info["schema"]), (OK, &Value::from("hwpool.info/1")));
    assert_eq!(info["bmu"]["pools"], 64);
    let (code, list) = json(&["regs", "list"]);
    assert_eq!(
        (code, list["registers"][0]["name"].as_str()),
        (OK, Some("MAGIC"))
    );
    let (code, models) = json(&["sim", "list"]);
    assert_eq!(
        (code, models["models"][0]["address"].as_str()),
        (OK, Some("sim:bmu"))
    );
}

#[test]
fn registers_are_read_and_decoded_by_name() {
    let (code, get) = json(&["regs", "get", "sim:bmu", "magic"]);
    assert_eq!(
        (code, get["registers"][0]["value"].as_u64()),
        (OK, Some(0x3155_4d42))
    );
    let (_, get) = json(&["regs", "get", "sim:bmu?pools=5", "CAP_COUNTS"]);
    assert_eq!(get["registers"][0]["fields"]["POOLS"], 5);
    let (code, set) = json(&["regs", "set", "sim:bmu", "POOL_LOW[3]", "0x10"]);
    assert_eq!((code, set["written"].as_bool()), (OK, Some(true)));
    let (code, dump) = json(&["regs", "dump", "sim:bmu"]);
    assert_eq!(code, OK);
    let names = dump["registers"].as_array().unwrap();
    assert!(
        names
            .iter()
            .all(|row| row["name"] != "POOL_ALLOC" && row["name"] != "POOL_FREE")
    );
    assert!(names.len() > 1000);
}

#[test]
fn a_watch_prints_what_changed() {
    // From its third read on, the register reads something else.
    let faults = temporary(
        "[[fault]]\nkind = \"stuck\"\nregister = \"SCRATCH\"\nnth = 3\ntimes = 2\nvalue = 7\n",
    );
    let device = format!("sim:bmu?faults={}", faults.display());
    let watch = ["--watch", "0.001", "--times", "6"];
    let get = hwpool(&[&["regs", "get", &device, "SCRATCH", "--json"], &watch[..]].concat());
    assert_eq!(get.status.code(), Some(OK));
    let lines: Vec<Value> = text(&get.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a document a line"))
        .inspect(documents::check)
        .collect();
    let values: Vec<_> = lines
        .iter()
        .map(|line| line["registers"][0]["value"].as_u64())
        .collect();
    assert_eq!(values, [Some(0), Some(7), Some(0)]);
    assert!(lines[1]["seconds"].as_f64() > lines[0]["seconds"].as_f64());
    let dump = hwpool(&[&["regs", "dump", &device, "--changed"], &watch[..]].concat());
    let dump = text(&dump.stdout);
    let last: Vec<_> = dump.lines().rev().take(4).collect();
    assert!(
        last[3].starts_with("after 0.") && last[1].starts_with("after 0."),
        "{dump}"
    );
    assert!(
        last[2].ends_with("0x0000000000000007") && last[2].starts_with("SCRATCH "),
        "{dump}"
    );
    assert!(last[0].ends_with("0x0000000000000000"), "{dump}");
    let effect = [
        "regs",
        "get",
        "sim:bmu",
        "POOL_ALLOC[0]",
        "--with-effect",
        "--watch",
        "1",
    ];
    assert!(
        refused(&effect, USAGE).contains("--watch"),
        "a watch would drain the list"
    );
}

#[test]
fn pages_and_completions_come_from_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("share/man1");
    let (code, made) = json(&["generate", "man", pages.to_str().expect("text")]);
    assert_eq!(code, OK, "{made:#}");
    let page =
        |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|_| panic!("{name}"));
    assert!(page("hwpool.1").contains("hwpool\\-bringup(1)"));
    // Between .nf and .fi lines stay lines.
    let notes = page("hwpool.1");
    let notes = notes
        .split_once(".SH NOTES\n.nf\nDEVICE: ")
        .expect("notes")
        .1;
    let kept = notes.split_once("\n.fi\n.SH VERSION").expect("an end").0;
    assert!(kept.contains("\nExit codes: "), "{kept}");
    for name in ["hwpool-bind.1", "hwpool-regs-get.1", "hwpool-sim-serve.1"] {
        let page = page(name);
        assert!(
            page.contains(".SH NAME") && page.contains(".SH EXAMPLES\n.nf\n"),
            "{name}: {page}"
        );
    }
    assert!(
        !page("hwpool-doctor.1").contains("root"),
        "what is hidden stays hidden"
    );
    for (shell, says) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef hwpool"),
        ("fish", "complete -c hwpool"),
    ] {
        let script = hwpool(&["generate", "completions", shell]);
        let script = text(&script.stdout);
        assert!(
            script.contains(says) && script.contains("whole-group"),
            "{shell}"
        );
        for hidden in ["die-at", "--root", "-l root"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
    }
    refused(&["generate", "man", "/dev/null/man1"], REFUSED);
}

/// On a terminal of 80 columns and 24 lines, with the options that its template names by hand.
#[test]
fn the_help_is_one_screen() {
    let help = text(&hwpool(&["--help"]).stdout);
    assert!(help.lines().count() <= 24, "{help}");
    assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    for option in ["--json", "-v", "-h", "--help", "-V", "--version"] {
        assert!(help.contains(option), "{option}: {help}");
    }
}

#[test]
fn the_help_names_every_model() {
    let help = text(&hwpool(&["--help"]).stdout);
    for model in hwpool::sim::MODELS {
        assert!(help.contains(&format!("sim:{}", model.name)), "{help}");
    }
}

#[test]
fn a_bench_takes_what_a_small_device_holds() {
    for (depth, cases) in [(1, "register"), (64, "cached register register-cached")] {
        let device = format!("sim:fifo?depth={depth}");
        let (code, bench) = json(&["bench", &device, "--time", "5"]);
        assert_eq!(code, OK, "{bench}");
        let results = bench["results"].as_array().expect("results");
        let names = results
            .iter()
            .map(|row| row["case"].as_str().expect("a name"));
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names, cases.split(' ').collect(), "{bench}");
    }
}

#[test]
fn help_of_a_verb_is_found_both_ways() {
    let help = |words: &[&str]| text(&hwpool(words).stdout);
    assert_eq!(
        help(&["help", "regs", "get"]),
        help(&["regs", "get", "--help"])
    );
    assert_eq!(help(&["help"]), help(&["--help"]));
    let bringup = help(&["bringup", "--help"]);
    for rung in [
        "0 host.ready",
        "15 soak.traffic",
        "11 dma.unmapped     opt-in",
    ] {
        assert!(bringup.contains(rung), "{bringup}");
    }
    assert!(
        help(&["bind", "--help"]).contains("journal"),
        "the long words"
    );
    refused(&["help", "bnid"], USAGE);
}

#[test]
fn a_read_that_takes_a_buffer_is_guarded() {
    assert!(refused(&["regs", "get", "sim:bmu", "POOL_ALLOC[0]"], USAGE).contains("--with-effect"));
    let (code, get) = json(&["regs", "get", "sim:bmu", "POOL_ALLOC[0]", "--with-effect"]);
    assert_eq!((code, get["registers"][0]["value"].as_u64()), (OK, Some(0)));
}

#[test]
fn registers_are_reached_by_place() {
    let value = |arguments: &[&str]| {
        let (code, get) = json(arguments);
        assert_eq!(code, OK, "{get:#}");
        get["registers"][0]["value"].as_u64().expect("a value")
    };
    let get =
        |place: &str, width: &str| value(&["regs", "get", "sim:bmu", place, "--width", width]);
    assert_eq!(get("0:0", "32"), 0x3155_4d42, "MAGIC");
    assert_eq!(get("config:0", "32"), 0xb0f5_1234, "the ids");
    assert_eq!(get("0:0x10", "64"), 0, "SCRATCH");
    let set = ["regs", "set", "sim:bmu", "config:0x4", "6", "--width", "16"];
    assert_eq!(value(&set), 6);
    let by_place = hwpool(&["regs", "set", "sim:bmu", "0:0x10", "0x10", "--width", "64"]);
    assert_eq!(by_place.stdout, b"wrote 0x0000000000000010 to 0:0x10\n");
    let took = value(&[
        "regs",
        "get",
        "sim:bmu",
        "2:0x3000",
        "--width",
        "64",
        "--with-effect",
    ]);
    assert_eq!(took, 0, "POOL_ALLOC of an empty list");
}

#[test]
fn places_that_make_no_sense_are_refused() {
    for (place, width, part) in [
        ("0:0", None, "--width"),
        ("6:0", Some("32"), "BAR from 0 to 5"),
        ("rom:0", Some("32"), "BAR from 0 to 5"),
        ("0:ten", Some("32"), "`ten`"),
        ("0:0", Some("24"), "8, 16, 32 or 64"),
        ("config:0", Some("64"), "16 or 32"),
        ("config:0", Some("16"), "read by 32"),
        ("MAGIC", Some("32"), "width of its own"),
        ("2:0x3000", Some("64"), "--with-effect"),
        ("2:0x3004", Some("32"), "--with-effect"),
    ] {
        let mut arguments = vec!["regs", "get", "sim:bmu", place];
        arguments.extend(width.iter().flat_map(|width| ["--width", width]));
        let message = refused(&arguments, USAGE);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    let wide = [
        "regs",
        "set",
        "sim:bmu",
        "0:0x18",
        "0x100000000",
        "--width",
        "32",
    ];
    assert!(refused(&wide, USAGE).contains("more than 32 bits"));
    for (place, part) in [
        ("0:0x2", "not aligned"),
        ("0:0x10000000", "outside"),
        ("1:0", "no memory BAR 1"),
        ("config:0x1000", "outside"),
        ("config:0x100000000", ""),
    ] {
        let message = refused(&["regs", "get", "sim:bmu", place, "--width", "32"], REFUSED);
        assert!(message.contains(part), "{place}: {message}");
    }
}

#[test]
fn mistakes_are_named() {
    for (arguments, part) in [
        (&["bringup", "bmu"][..], "sim:MODEL"),
        (&["bringup", "sim:nothing"], "nothing"),
        (&["bringup", "sim:bmu?sed=7"], "sed"),
        (&["bringup", "sim:bmu?seed=x"], "seed"),
        (&["bringup", "sim:bmu?faults=no/such/file"], "no/such/file"),
        (&["bringup", "--buffers", "1"], "64"),
        (&["regs", "get", "sim:bmu", "MAGIK"], "MAGIK"),
        (&["regs", "get", "sim:bmu", "POOL_BASE"], "POOL_BASE[0]"),
        (&["regs", "get", "sim:bmu", "POOL_BASE[64]"], "0 to 63"),
        (
            &["regs", "get", "sim:bmu", "MAGIC[1]"],
            "leave the index out",
        ),
        (
            &["regs", "get", "sim:bmu", "POOL_FREE[0]"],
            "only be written",
        ),
        (&["regs", "set", "sim:bmu", "MAGIC", "1"], "only be read"),
        (&["regs", "set", "sim:bmu", "CONTROL", "4"], "no bits 0x4"),
        (&["regs", "set", "sim:bmu", "SCRATCH", "one"], "one"),
        (&["bench", "--only", "nothing"], "portal"),
        (&["frobnicate"], "frobnicate"),
        (
            &["info", "0000:00:03.0"],
            "as a device it is vfio:0000:00:03.0",
        ),
        (
            &["info", "0A:00.0?noiommu=1"],
            "as a device it is vfio:0000:0a:00.0",
        ),
        (
            &["info", "vfio:01:00.0"],
            "its domain is missing: write 0000:01:00.0",
        ),
        (&["info", "vfio:0000:01:20.0"], "in hexadecimal"),
        (
            &["bringup", "--only", "3,4", "--skip", "4"],
            "--skip leaves it out",
        ),
        (&["recover", "--forget"], "DEVICE"),
        (
            &[
                "sim", "serve", "--socket", "s", "--seed", "1", "--option", "seed=2",
            ],
            "seed is given twice",
        ),
        (
            &[
                "sim", "serve", "--socket", "s", "--option", "pools=1", "--option", "pools=2",
            ],
            "pools is given twice",
        ),
        (&["bringup", "--json", "--report", "html"], "--out"),
        (&["bringup", "--json", "--report", "junit"], "--out"),
        (
            &["report", "no.json", "--json", "--report", "text"],
            "--out",
        ),
        (&["info", "vfio:01:00.0"], "not a PCI address"),
        (&["info", "vfio:0000:01:00.0?seed=1"], "no option `seed`"),
        (&["info", "vfio:0000:01:00.0?backend=uio"], "`uio`"),
    ] {
        let message = refused(arguments, USAGE);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    for arguments in [
        &["info", "user:/no/such/socket"][..],
        &["info", "sim:bmu?faults=/no/such/file"],
        &["sim", "serve", "--socket", "s", "--faults", "/no/such/file"],
    ] {
        let output = hwpool(arguments);
        let message = text(&output.stderr);
        assert_eq!(message.matches("os error 2").count(), 1, "{message}");
    }
    let absent = refused(&["info", "vfio:0000:ff:1f.7"], REFUSED);
    assert!(absent.contains("no PCI function 0000:ff:1f.7"), "{absent}");
}

#[test]
fn a_closed_stdout_is_an_end_and_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    command
        .args(["regs", "dump", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("hwpool starts");
    drop(child.stdout.take());
    let mut message = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut message)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), message.as_str()),
        (Some(OK), "")
    );
}

/// Every verb, in a form that ends soon and changes nothing.
const VERBS: &[&[&str]] = &[
    &["devices"],
    &["doctor"],
    &["bind", "0000:ff:1f.7", "--dry-run"],
    &["unbind", "0000:ff:1f.7", "--dry-run"],
    &["recover", "--dry-run"],
    &["hugepages", "status"],
    &["info"],
    &["regs", "dump"],
    &["reset"],
    &["bringup", "sim:fifo"],
    &["report", "/dev/null"],
    &["bench", "--time", "1", "--only", "register"],
    &["soak", "--seconds", "0"],
    &["metrics"],
    &["top", "--once"],
    &["describe", "check", "describe/devices/litex.toml"],
    &["describe", "check", "/dev/null"],
    &["describe", "show", "describe/devices/litex.toml"],
    &["describe", "import", "describe/devices/litex/csr.json"],
    &["describe", "schema"],
    &["sim", "list"],
    &["generate", "completions", "bash"],
    &["generate", "man", "/dev/full"],
];

/// Outputs that can't be written, as a shell makes them. A pipe without a reader: its reader has ended before the verb
/// begins.
const DEAD: [&str; 3] = ["N>&-", "N>/dev/full", "pipe"];

/// Runs a verb with stdout or stderr that can't be written; returns its exit code and what the other one got.
fn run_with_dead(verb: &[&str], stream: u8, dead: &str) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    let redirection = match dead {
        "pipe" => String::new(),
        other => other.replace('N', &stream.to_string()),
    };
    command
        .args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")])
        .arg(env!("CARGO_BIN_EXE_hwpool"))
        .args(verb)
        .arg("-vv");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if dead == "pipe" {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        match stream {
            1 => command.stdout(writer),
            _ => command.stderr(writer),
        };
    }
    let output = command.output().expect("sh starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn every_verb_stands_outputs_that_cant_be_written() {
    let help = text(&hwpool(&["--help"]).stdout);
    let listed = help.lines().filter_map(|line| line.strip_prefix("  "));
    for name in listed.filter_map(|line| line.split(' ').next().filter(|name| !name.is_empty())) {
        let is_verb = !name.starts_with('-');
        let tried = VERBS.iter().any(|verb| verb[0] == name);
        assert!(tried || !is_verb, "{name} is not tried");
    }
    for verb in VERBS {
        for stream in [1, 2] {
            for dead in DEAD {
                let (code, said) = run_with_dead(verb, stream, dead);
                let is_ours = code.is_some_and(|code| (OK..=REFUSED).contains(&code));
                assert!(is_ours, "{verb:?} {stream} {dead}: {code:?} {said}");
                assert!(
                    !said.contains("panicked"),
                    "{verb:?} {stream} {dead}: {said}"
                );
            }
        }
    }
}

#[test]
fn a_server_whose_log_cant_be_written_goes_on() {
    let (reader, gone) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = std::fs::File::options().write(true).open("/dev/full");
    for log in [Stdio::from(gone), Stdio::from(full.expect("Linux has it"))] {
        let name = format!("hwpool-cli-{}-mute.sock", std::process::id());
        let mut server = Served::start_logging(std::env::temp_dir().join(name), &[], log);
        for _ in 0..2 {
            // A client that reads where there is no register is worth a warning when it goes.
            let nowhere = ["regs", "get", &server.address(), "0:0x7f0", "--width", "32"];
            assert_eq!(json(&nowhere).0, OK);
            assert_eq!(json(&["info", &server.address()]).0, OK);
        }
        assert_eq!(server.stop(), Some(OK));
    }
}

#[test]
fn soak_conserves_and_prints_its_seed() {
    let (code, soak) = json(&["soak", "sim:bmu", "--seconds", "1", "--seed", "9"]);
    assert_eq!(
        (code, &soak["schema"]),
        (OK, &Value::from("hwpool.soak/1")),
        "{soak:#}"
    );
    assert_eq!(
        (soak["conserved"].as_bool(), soak["seed"].as_u64()),
        (Some(true), Some(9))
    );
    assert!(soak["pairs"].as_u64().unwrap() > 1000);
}

/// A device that writes into buffers which it holds is found, in each pool, and named.
#[test]
fn soak_names_a_device_that_writes_into_its_buffers() {
    let run = ["soak", "sim:bmu?lies=write-buffers", "--seconds", "1"];
    let (code, soak) = json(&run);
    assert_eq!((code, soak["conserved"].as_bool()), (FAILED, Some(false)));
    for pool in soak["pools"].as_array().unwrap() {
        assert!(pool["written"].as_u64() > Some(0), "{pool:#}");
        // Nobody else has them meanwhile, and none is lost.
        assert_eq!(pool["torn"], 0, "{pool:#}");
        assert_eq!(pool["clean"], true, "{pool:#}");
    }
    let output = hwpool(&run);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        out.contains("the device writes into buffers that it holds"),
        "{output:?}"
    );
}

/// Keeps every core busy, several times over, until it is dropped.
struct Busy {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn new() -> Busy {
        let over = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let spin = |over: Arc<AtomicBool>| {
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..2 * cores).map(|_| spin(Arc::clone(&over))).collect();
        Busy { over, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("it spins");
        }
    }
}

/// A model that waits for a processor is late by no clock that anybody waits on, however short the timeout.
#[test]
fn a_busy_machine_is_no_broken_device() {
    let server = Served::start(&["--option", "timeout-ms=1"]);
    let _busy = Busy::new();
    for address in ["sim:bmu?timeout-ms=1".into(), server.address()] {
        let (code, report) = json(&["bringup", &address, "--soak", "0.2"]);
        assert_eq!(code, OK, "{address}: {report:#}");
    }
}

/// A device that goes in mid-run ends the run for all pools, and says so once, not once a buffer.
#[test]
fn soak_ends_at_the_first_pool_that_fails() {
    let faults =
        temporary("[[fault]]\nkind = \"gone\"\nregister = \"PORTAL_DOORBELL\"\nnth = 200\n");
    let address = format!("sim:bmu?faults={}", faults.display());
    let started = Instant::now();
    let message = refused(&["soak", &address, "--seconds", "3600"], REFUSED);
    assert!(started.elapsed() < Duration::from_secs(1800));
    assert!(message.contains("hwpool: pool "), "{message}");
    // One line for each of the four pools at most, that of the program, and what was said before.
    let lines = message.lines().filter(|line| !line.contains("hugepages"));
    assert!(lines.count() <= 5, "{message}");
    std::fs::remove_file(faults).unwrap();
}

#[test]
fn the_portal_path_reads_no_register_and_rings_rarely() {
    let (code, bench) = json(&["bench", "sim:bmu", "--time", "5", "--only", "portal"]);
    assert_eq!(
        (code, &bench["schema"]),
        (OK, &Value::from("hwpool.bench/1"))
    );
    for line in bench["results"].as_array().unwrap() {
        let number = |name: &str| line[name].as_f64().unwrap();
        let bulk = number("bulk");
        assert_eq!(number("mmio_reads_per_buffer"), 0.0, "{line:#}");
        // A pair is a buffer of one bulk call to take and of one to give.
        assert!(number("doorbells_per_buffer") <= 2.0 / bulk, "{line:#}");
        assert!(number("dma_bytes_per_buffer") <= 18.0, "{line:#}");
        if line["case"] == "portal-cached" {
            assert!(number("doorbells_per_buffer") <= 1.0 / 64.0, "{line:#}");
        }
    }
}

/// A model served by a process of its own.
struct Served {
    process: Child,
    socket: PathBuf,
}

impl Served {
    /// Starts a server and waits until it says that it is ready.
    fn start(arguments: &[&str]) -> Served {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-cli-{}-{n}.sock", std::process::id());
        Served::start_at(std::env::temp_dir().join(name), arguments)
    }

    fn start_at(socket: PathBuf, arguments: &[&str]) -> Served {
        Served::start_logging(socket, arguments, Stdio::null())
    }

    fn start_logging(socket: PathBuf, arguments: &[&str], log: Stdio) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        command
            .args(["sim", "serve", "--socket"])
            .arg(&socket)
            .args(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(log)
            .stdin(Stdio::null());
        let mut process = command.spawn().expect("hwpool starts");
        let mut line = String::new();
        let stdout = process.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert!(
            line.starts_with("serving") || line.starts_with('{'),
            "{line}"
        );
        Served { process, socket }
    }

    fn address(&self) -> String {
        format!("user:{}", self.socket.display())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).expect("it lives");
    }

    /// Stops it as an administrator does; returns its exit code, `None` where it had to be killed after 20 seconds.
    fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let pid = Pid::from_raw(self.process.id() as i32);
        let (ended, end) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            if end.recv_timeout(Duration::from_secs(20)) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let code = self.process.wait().expect("it ends").code();
        drop(ended);
        watch.join().expect("the watch ends");
        code
    }

    /// Sets how many descriptors it may have, as an administrator does while it runs.
    fn limit_descriptors(&self, most: u32) {
        let pid = self.process.id().to_string();
        let limit = format!("--nofile={most}:");
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
        assert!(status.expect("prlimit of util-linux").success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[test]
fn a_server_without_descriptors_waits_for_some_and_does_not_spin() {
    let name = format!("hwpool-cli-{}-full.sock", std::process::id());
    let socket = std::env::temp_dir().join(name);
    let mut server = Served::start_logging(socket, &["--model", "bmu"], Stdio::piped());
    server.limit_descriptors(3);
    let began = Instant::now();
    let waiting = UnixStream::connect(&server.socket).expect("it listens");
    let mut log = BufReader::new(server.process.stderr.take().expect("a pipe"));
    for _ in 0..4 {
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        assert!(line.contains("ulimit -n"), "{line}");
    }
    // Between two tries it pauses for 200 ms.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(600), "4 tries in {took:?}");
    server.limit_descriptors(256);
    drop(waiting);
    assert_eq!(json(&["info", &server.address()]).0, OK);
    assert_eq!(server.stop(), Some(OK));
}

#[test]
fn a_server_stops_whoever_is_connected_and_says_nothing() {
    let mut server = Served::start(&["--model", "bmu"]);
    let path = server.socket.to_str().expect("text").to_owned();
    let client = Client::open(&path, "user:silent", PATIENCE).expect("it is served");
    let waiting = UnixStream::connect(&path).expect("it listens");
    assert_eq!(server.stop(), Some(OK));
    drop((client, waiting));

    let mut server = Served::start(&["--model", "bmu"]);
    let ungreeted = UnixStream::connect(&server.socket).expect("it listens");
    assert_eq!(server.stop(), Some(OK));
    drop(ungreeted);
}

#[test]
fn bringup_passes_all_rungs_over_a_socket_for_one_client_after_the_other() {
    let mut server = Served::start(&[
        "--model",
        "bmu",
        "--seed",
        "3",
        "--option",
        "timeout-ms=5000",
    ]);
    let mode = std::fs::metadata(&server.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for _ in 0..2 {
        let (code, report) = json(&["bringup", &server.address()]);
        assert_eq!(
            (code, &report["failed"]),
            (OK, &Value::from(0)),
            "{report:#}"
        );
        assert_eq!(report["passed"], 15);
        assert_eq!(
            report["about"]["seed"],
            Value::Null,
            "only a model in this process has one"
        );
    }
    let (code, info) = json(&["info", &server.address()]);
    assert_eq!((code, &info["bmu"]["pools"]), (OK, &Value::from(64)));
    assert_eq!(server.stop(), Some(OK));
    assert!(
        !server.socket.exists(),
        "the socket's file goes with the server"
    );
    assert!(refused(&["info", &server.address()], REFUSED).contains("sim serve"));
}

#[test]
fn a_served_model_has_its_options_and_faults() {
    let faults = temporary("[[fault]]\nkind = \"reset-does-nothing\"\ntimes = 0\n");
    let path = faults.to_str().unwrap();
    let server = Served::start(&["--option", "pools=3", "--faults", path, "--json"]);
    let (_, info) = json(&["info", &server.address()]);
    assert_eq!(info["bmu"]["pools"], 3);
    let (code, report) = json(&["bringup", &server.address()]);
    assert_eq!(code, FAILED, "{report:#}");
    std::fs::remove_file(faults).unwrap();
    for (arguments, part) in [
        (&["--model", "bmx"][..], "bmx"),
        (&["--option", "pools"], "KEY=VALUE"),
        (&["--option", "pools=0"], "1 to 64"),
        (&["--faults", "no/such/file"], "no/such/file"),
    ] {
        let line = [&["sim", "serve", "--socket", "unused.sock"], arguments].concat();
        assert!(refused(&line, USAGE).contains(part), "{arguments:?}");
    }
    let address = format!("{}?timeout-ms=x", server.address());
    assert!(refused(&["info", &address], USAGE).contains("timeout-ms"));
}

#[test]
fn a_living_servers_socket_is_left_alone_and_a_dead_ones_is_replaced() {
    let mut server = Served::start(&[]);
    let socket = server.socket.to_str().unwrap().to_string();
    let message = refused(&["sim", "serve", "--socket", &socket], REFUSED);
    assert!(message.contains("listening"), "{message}");
    assert_eq!(json(&["info", &server.address()]).0, OK, "it still serves");
    server.signal(Signal::SIGKILL);
    server.process.wait().unwrap();
    assert!(server.socket.exists());
    assert!(refused(&["info", &server.address()], REFUSED).contains("refused"));
    let mut next = Served::start_at(server.socket.clone(), &[]);
    assert_eq!(json(&["info", &next.address()]).0, OK);
    assert_eq!(next.stop(), Some(OK));
    let file = temporary("precious");
    let path = file.to_str().unwrap();
    assert!(refused(&["sim", "serve", "--socket", path], REFUSED).contains("no socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_server_that_is_killed_under_load_is_an_error_and_no_crash() {
    let mut server = Served::start(&[]);
    let address = format!("{}?timeout-ms=2000", server.address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    command.args(["bringup", &address, "--laps", "1000", "--buffers", "16384"]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    let mut client = command.spawn().expect("hwpool starts");
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    // Once the lists are proven the rings are next: thousands of laps.
    let reached = lines.any(|line| line.unwrap().contains("lists.capacity"));
    assert!(reached);
    server.signal(Signal::SIGKILL);
    server.process.wait().unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = client.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(output.status.code(), Some(FAILED), "{message} {rest:?}");
    assert!(rest.iter().any(|line| line.contains("gone")), "{rest:?}");
    // A fresh server at the same place serves a fresh client.
    let next = Served::start_at(server.socket.clone(), &[]);
    assert_eq!(json(&["info", &next.address()]).0, OK);
}

fn temporary(text: &str) -> std::path::PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("hwpool-file-{}-{n}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path
}

/// The descriptions that are there.
fn descriptions() -> Vec<PathBuf> {
    let folders = ["describe/devices", "tests/data/described"].map(std::fs::read_dir);
    let files = folders
        .into_iter()
        .flat_map(|folder| folder.expect("a folder"));
    let files = files.map(|file| file.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect()
}

#[test]
fn a_good_description_is_checked_and_shown() {
    let file = "describe/devices/litex.toml";
    let (code, check) = json(&["describe", "check", file]);
    assert_eq!(
        (code, &check["schema"]),
        (OK, &Value::from("hwpool.describe/1"))
    );
    assert_eq!(
        (&check["good"], &check["name"]),
        (&Value::from(true), &Value::from("litex"))
    );
    let shown = text(&hwpool(&["describe", "show", file]).stdout);
    for line in [
        "litex: a LiteX design's FIFO",
        "0:00010 32 RO  varies     LEVEL",
        "pop         A read of POP only looks at the next value; a write of 1 to ACK takes it.",
        "empty       There is no value while LEVEL is 0, which is read before each pop.",
        "   3 regs.scratch       every data bit: left out, the device has no scratch register",
    ] {
        assert!(shown.contains(line), "no {line} in {shown}");
    }
}

/// What `show` says of the ladder is what bring-up does.
#[test]
fn what_is_shown_of_the_ladder_is_what_is_climbed() {
    let files = descriptions();
    assert!(files.len() >= 7, "{files:?}");
    for path in files {
        let file = path.to_str().expect("text");
        let (code, show) = json(&["describe", "show", file]);
        assert_eq!(code, OK, "{show:#}");
        let device = format!("sim:{file}");
        let (_, report) = json(&[
            "bringup",
            &device,
            "--soak",
            "0.1",
            "--skip",
            "owner.killed",
        ]);
        let shown = show["rungs"].as_array().expect("rungs");
        let climbed = report["checks"].as_array().expect("checks");
        assert_eq!(shown.len(), climbed.len(), "{file}");
        for (shown, climbed) in shown.iter().zip(climbed) {
            assert_eq!(shown["id"], climbed["id"], "{file}");
            // What depends on more than the description.
            if matches!(shown["id"].as_str(), Some("host.ready" | "owner.killed")) {
                continue;
            }
            let is_left_out = shown["left_out"].is_string();
            assert_eq!(
                is_left_out,
                climbed["status"] == "skip",
                "{file}: {shown:#} {climbed:#}"
            );
        }
    }
}

/// A file that is no description is refused by `check` as by whoever is given it as a device.
#[test]
fn what_is_no_description_is_refused_with_the_same_words_everywhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let folder = directory.path().join("folder.toml");
    std::fs::create_dir(&folder).expect("made");
    for (path, part) in [
        (
            file("empty.toml", b""),
            "empty.toml:1:1: `schema` is missing",
        ),
        (
            file("binary.toml", &[0xff, 0xfe, 0, 1]),
            "it can't be read: ",
        ),
        (file("zeros.toml", &[0; 64]), "zeros.toml:1:"),
        (
            file("huge.toml", &vec![b'#'; (1 << 20) + 1]),
            "more than 1048576 bytes",
        ),
        (
            file("json.toml", b"{ \"csr_bases\": {} }"),
            "json.toml:1:1: it begins with {, and a description is TOML: `hwpool describe import`",
        ),
        (
            file("other.toml", b"schema = \"hwpool.device/9\""),
            "other.toml:1:10: ",
        ),
        (folder.to_str().expect("text").to_owned(), "os error 21"),
        ("no/such/file.toml".to_owned(), "os error 2"),
    ] {
        let check = refused(&["describe", "check", &path], USAGE);
        let show = refused(&["describe", "show", &path], USAGE);
        let opened = refused(&["info", &format!("sim:{path}")], USAGE);
        assert!(check.contains(part), "{check}");
        assert_eq!(check, show);
        let said = check.trim_start_matches("hwpool: ").trim_end();
        assert!(opened.contains(said), "{opened} has no {said}");
        assert_eq!(
            check.matches("os error").count(),
            usize::from(part.starts_with("os"))
        );
        let (code, document) = json(&["describe", "check", &path]);
        assert_eq!((code, &document["good"]), (USAGE, &Value::from(false)));
        let mistake = &document["mistakes"][0];
        let message = mistake["message"].as_str().expect("a message");
        assert!(said.ends_with(message), "{said}: {message}");
        assert_eq!(
            mistake["line"].is_u64(),
            check.contains(".toml:1:"),
            "{mistake}"
        );
    }
}

/// From a register file to a description: each question that is open is one line of `check`, and none is left in the end.
#[test]
fn a_description_is_begun_from_a_register_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mine.toml");
    let mine = path.to_str().expect("text");
    let csr = "describe/devices/litex/csr.json";
    let import = ["describe", "import", csr, "--block", "buffers", "-o", mine];
    let made = hwpool(&import);
    let said = text(&made.stderr);
    assert_eq!(
        (made.status.code(), text(&made.stdout)),
        (Some(OK), format!("wrote {mine}\n"))
    );
    assert!(
        said.contains("8 left open") && said.contains("reset.within-ms"),
        "{said}"
    );
    let again = refused(&import, REFUSED);
    assert!(again.contains("exists"), "{again}");
    let open = refused(&["describe", "check", mine], USAGE);
    assert_eq!(open.lines().count(), 8, "{open}");
    assert!(
        open.lines()
            .all(|line| line.contains("is an open question")),
        "{open}"
    );
    let draft = std::fs::read_to_string(&path).expect("text");
    let answered = [
        ("depth = \"?\"", "depth = 512"),
        ("fill = \"?\"", "fill = \"software\""),
        ("order = \"?\"", "order = \"fifo\""),
        ("bits = \"?\"", "bits = \"9:0\""),
        ("look = \"?\"", "look = false"),
        ("is = \"?\"", "is = \"index\""),
        ("value = \"?\"", "value = 1"),
        ("within-ms = \"?\"", "within-ms = 1"),
    ];
    let answered = answered.iter().fold(draft, |draft, (question, answer)| {
        draft.replacen(question, answer, 1)
    });
    std::fs::write(&path, answered).expect("written");
    assert_eq!(
        json(&["describe", "check", mine]).0,
        OK,
        "its register file is found from where it lies"
    );
    let (code, report) = json(&["bringup", &format!("sim:{mine}"), "--soak", "0.1"]);
    assert_eq!(
        (code, &report["failed"]),
        (OK, &Value::from(0)),
        "{report:#}"
    );
}

#[test]
fn a_first_description_tells_its_format_and_what_is_open() {
    for (file, format, open) in [
        ("describe/devices/litex/csr.json", "csr", 8),
        ("describe/devices/litex/soc.svd", "svd", 7),
        ("describe/devices/rdl/small-fifo.xml", "ip-xact", 6),
    ] {
        let (code, first) = json(&["describe", "import", file, "--format", format]);
        assert_eq!((code, first["format"].as_str()), (OK, Some(format)));
        let questions = first["questions"].as_array().expect("questions");
        assert_eq!(questions.len(), open, "{file}: {questions:#?}");
        let lines = first["description"].as_str().expect("text").lines();
        let lines: Vec<&str> = lines.collect();
        for question in questions {
            let at = question["line"].as_u64().expect("a line") as usize;
            assert!(lines[at - 1].contains("\"?\""), "{question}");
        }
        let printed = hwpool(&["describe", "import", file]);
        assert_eq!(text(&printed.stdout).lines().collect::<Vec<_>>(), lines);
        assert!(
            text(&printed.stderr).contains(&format!("{open} left open")),
            "{printed:?}"
        );
        for other in ["csr", "svd", "ip-xact"]
            .iter()
            .filter(|other| **other != format)
        {
            let message = refused(&["describe", "import", file, "--format", other], USAGE);
            assert!(
                message.contains(&format!("is {format}, and --format says {other}")),
                "{message}"
            );
        }
    }
    let csr = "describe/devices/litex/csr.json";
    for (arguments, part) in [
        (
            &["import", csr, "--block", "bufers"][..],
            "describe/devices/litex/csr.json: the file has no block `bufers`: it has buffers and ctrl (nearest: buffers)",
        ),
        (&["import", "no/such/file"], "os error 2"),
        (&["import", "describe"], "os error 21"),
        (
            &["import", "/dev/null"],
            "/dev/null:1:1: it begins with neither { nor <",
        ),
        (
            &["import", "describe/devices/litex.toml"],
            "it begins with neither { nor <",
        ),
        (&["import", csr, "--format", "rdl"], "csr, svd, ip-xact"),
        (
            &["import", csr, "-o", "no/such/directory/mine.toml"],
            "no/such/directory",
        ),
        (&["import"], "FILE"),
        (&["check"], "FILE.toml"),
        (&["chek", csr], "check"),
        (&[], "describe"),
    ] {
        let message = refused(&[&["describe"], arguments].concat(), USAGE);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn the_schema_is_printed_as_it_is_kept() {
    let kept = std::fs::read("describe/hwpool.device-1.schema.json").expect("it is kept");
    let printed = hwpool(&["describe", "schema"]);
    assert_eq!((printed.status.code(), printed.stdout), (Some(OK), kept));
    let with_json = hwpool(&["describe", "schema", "--json"]);
    let schema: Value = serde_json::from_slice(&with_json.stdout).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
}

/// `hwpool` alone is a usage error that helps.
#[test]
fn the_program_alone_greets() {
    let greeting = refused(&[], USAGE);
    for part in [
        "hwpool bringup sim:bmu",
        "hwpool top",
        "hwpool doctor",
        "Next: ",
        "hwpool --help",
    ] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    assert!(
        refused(&["--json"], USAGE).contains("Usage"),
        "an option is not alone"
    );
}

#[test]
fn a_view_without_a_terminal_is_text() {
    let frames = |arguments: &[&str]| {
        let output = hwpool(&[&["top"], arguments].concat());
        assert_eq!(output.status.code(), Some(OK), "{output:?}");
        text(&output.stdout)
    };
    let once = frames(&["--once"]);
    assert!(once.starts_with("hwpool top  sim:bmu "), "{once}");
    assert!(
        once.contains("\nportal-cached ") && once.contains("  errors       none"),
        "{once}"
    );
    assert!(
        once.lines().all(|line| line.chars().count() <= 80),
        "{once}"
    );
    assert!(!once.contains('\u{1b}'), "{once}");
    assert_eq!(
        frames(&[]).lines().count(),
        once.lines().count(),
        "one frame where nobody can press q"
    );
    let three = frames(&["sim:fifo", "--times", "3", "--interval", "0.2"]);
    let pools: Vec<_> = three
        .lines()
        .filter(|line| line.starts_with("register-"))
        .collect();
    let columns = |line: &str| line.split_whitespace().rev().nth(3).map(str::to_owned);
    let takes: Vec<_> = pools
        .iter()
        .map(|line| columns(line).expect("columns"))
        .collect();
    assert_eq!((takes.len(), takes[0].as_str()), (3, "-"), "{three}");
    assert!(
        takes[1..]
            .iter()
            .all(|rate| rate.starts_with(|c: char| c.is_ascii_digit())),
        "{three}"
    );
    assert!(refused(&["top", "--json"], USAGE).contains("hwpool metrics --json"));
    assert!(refused(&["top", "--interval", "0"], USAGE).contains("0.001"));
    assert!(refused(&["top", "unix:/nowhere.sock"], REFUSED).contains("does a program offer"));
    assert!(refused(&["top", "user:/nowhere.sock"], REFUSED).contains("sim serve"));
}

/// A program on a terminal of its own, that is looked at and pressed keys on.
struct OnTerminal {
    process: Child,
    master: std::fs::File,
    /// Kept, to see what the terminal is like afterwards.
    slave: std::os::fd::OwnedFd,
    seen: String,
}

impl OnTerminal {
    fn start(arguments: &[&str], no_color: &str) -> OnTerminal {
        let (master, own) = terminal::of_columns(80);
        let slave = || own.try_clone().expect("a descriptor");
        let process = Command::new(env!("CARGO_BIN_EXE_hwpool"))
            .args(arguments)
            .env("NO_COLOR", no_color)
            .env("TERM", "xterm-256color")
            .stdin(slave())
            .stdout(slave())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hwpool starts");
        OnTerminal {
            process,
            master,
            slave: own,
            seen: String::new(),
        }
    }

    /// Reads on until a word was seen; between words the program moves the cursor.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.seen.contains(text) {
            assert!(
                Instant::now() < until,
                "no {text} in {} bytes",
                self.seen.len()
            );
            self.read(200);
        }
    }

    fn read(&mut self, milliseconds: u16) -> bool {
        use nix::poll::{PollFd, PollFlags, poll};
        use std::os::fd::AsFd;
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, milliseconds) != Ok(1) {
            return false;
        }
        let mut bytes = [0; 4096];
        let n = self.master.read(&mut bytes).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&bytes[..n]);
        n > 0
    }

    /// Waits for the end; returns exit code, what the terminal got, and what stderr got.
    fn end(mut self) -> (Option<i32>, String, String) {
        let until = Instant::now() + Duration::from_secs(60);
        let status = loop {
            self.read(50);
            if let Some(status) = self.process.try_wait().expect("a status") {
                break status;
            }
            assert!(Instant::now() < until, "it does not end");
        };
        while self.read(0) {}
        let mode = nix::sys::termios::tcgetattr(&self.slave).expect("a terminal");
        use nix::sys::termios::LocalFlags;
        let cooked = LocalFlags::ICANON | LocalFlags::ECHO;
        assert!(
            mode.local_flags.contains(cooked),
            "the terminal is as it was"
        );
        assert!(
            self.seen.contains("\u{1b}[?1049l"),
            "the first screen is back"
        );
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("text");
        (status.code(), self.seen, said)
    }
}

/// Tells whether something colours: SGR 30 to 49 and 90 to 107.
fn is_coloured(seen: &str) -> bool {
    let sequences = seen.split("\u{1b}[").skip(1);
    let sgr = sequences.filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes));
    let codes = sgr.filter(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
    codes.flat_map(|codes| codes.split(';')).any(|code| {
        // 39 and 49 give the usual colours back.
        let number = code.parse::<u32>();
        number.is_ok_and(|n| {
            (30..=38).contains(&n) || (40..=48).contains(&n) || (90..=107).contains(&n)
        })
    })
}

#[test]
fn a_view_is_ended_by_a_key_and_gives_the_terminal_back() {
    for (no_color, key) in [("", &b"q"[..]), ("1", b"\x03"), ("1", b"\x1b")] {
        let mut top = OnTerminal::start(&["top", "--interval", "0.1"], no_color);
        top.wait_for("ends");
        std::io::Write::write_all(&mut top.master, key).expect("pressed");
        let (code, seen, said) = top.end();
        assert_eq!(code, Some(OK), "{said}");
        assert_eq!(
            is_coloured(&seen),
            no_color.is_empty(),
            "NO_COLOR={no_color}"
        );
    }
}

#[test]
fn a_view_is_ended_by_a_signal() {
    let mut top = OnTerminal::start(&["top"], "1");
    top.wait_for("ends");
    kill(Pid::from_raw(top.process.id() as i32), Signal::SIGTERM).expect("sent");
    assert_eq!(top.end().0, Some(OK));
}

/// What was looked at goes: a clear line, the exit code of a device that refused, and the terminal as it was.
#[test]
fn a_view_of_what_goes_ends_with_a_message() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("numbers.sock");
    let numbers = hwpool::metrics::Snapshot::default;
    let exporter = hwpool::metrics::Exporter::listen(&path, numbers).expect("it listens");
    let address = format!("unix:{}", path.display());
    let mut top = OnTerminal::start(&["top", &address, "--interval", "0.1"], "1");
    top.wait_for("offered");
    drop(exporter);
    let (code, _, said) = top.end();
    assert_eq!(code, Some(REFUSED), "{said}");
    assert!(
        said.contains("does a program offer its numbers there"),
        "{said}"
    );
}

/// A server has one client at a time: while that is another, the view says so, and goes on behind it. When the server
/// itself goes, the view ends.
#[test]
fn a_view_of_a_served_model_waits_its_turn_and_ends_with_the_server() {
    let mut server = Served::start(&[]);
    let address = format!("{}?timeout-ms=300", server.address());
    let mut top = OnTerminal::start(&["top", &address, "--interval", "0.1"], "1");
    top.wait_for("READY");
    let path = server.socket.to_str().expect("text");
    let other = Client::open(path, "another", PATIENCE).expect("free between two looks");
    top.wait_for("tried");
    let seen = top.seen.len();
    drop(other);
    // Then its numbers are new again, and the note goes.
    let until = Instant::now() + Duration::from_secs(60);
    while !top.seen[seen..].contains("DEVICE") {
        assert!(Instant::now() < until, "it does not go on");
        top.read(200);
    }
    server.signal(Signal::SIGKILL);
    server.process.wait().expect("dead");
    let (code, _, said) = top.end();
    assert_eq!(code, Some(REFUSED), "{said}");
    // Between two looks, or in the middle of one.
    let is_told = said.contains("is a server running there") || said.contains("is gone");
    assert!(is_told, "{said}");
}
