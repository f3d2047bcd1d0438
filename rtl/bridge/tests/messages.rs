//! What the program says of a design that it can't serve, and how it ends.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{can_build, path};
use hwpool::bringup::{self, Options};
use hwpool::devices::bus::{Bar, DmaSource, Iova, Transport};
use hwpool::user::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const TOML: &str = r#"schema = "hwpool.rtl/1"
top = "regs"
sources = ["regs.sv"]
clock = "clk"
reset = { port = "rst_n", active = "low" }

[[bars]]
bar = 0
port = "s_axil_"
size = 4096
"#;

/// What of the file is replaced by what, and parts of the message.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "top = ",
        "tops = ",
        &["t.toml:2:1: `tops` is no key here", "(nearest: top)"],
    ),
    (
        "rtl/1",
        "rtl/9",
        &["t.toml:1:10: `hwpool.rtl/9` is no `schema`", "hwpool.rtl/1"],
    ),
    (
        "\"regs.sv\"",
        "\"rags.sv\"",
        &["t.toml:3:12: there is no file `rags.sv`"],
    ),
    ("[\"regs.sv\"]", "[]", &["t.toml:3:11: `sources` is empty"]),
    (
        "clock = \"clk\"\n",
        "",
        &["`clock` is missing", "clock = \"clk\""],
    ),
    (
        "\"low\"",
        "\"lowe\"",
        &["t.toml:5:36: `lowe` is no `reset.active`: write low or high (nearest: low)"],
    ),
    (
        "size = 4096",
        "size = 4095",
        &["t.toml:10:8: `bars.size` is 4095, no power of two: write 4096"],
    ),
    (
        "bar = 0",
        "bar = 7",
        &["t.toml:8:7: `bars.bar` is 7: write a whole number, 0 to 5"],
    ),
    (
        "clock =",
        "parameters = [\"3\"]\nclock =",
        &["t.toml:4:15: `3` can't stand in `parameters`: write NAME=VALUE"],
    ),
    (
        "clock =",
        "options = [\"x\"]\nclock =",
        &["t.toml:4:12: `x` can't stand in `options`"],
    ),
    (
        "clock =",
        "include = [\"no\"]\nclock =",
        &["t.toml:4:12: there is no folder `no`"],
    ),
    (
        "clock =",
        "ties = [\"x\"]\nclock =",
        &["t.toml:4:9: `x` is no tie: write PORT=VALUE"],
    ),
    (
        "clock =",
        "pci = { capabilities = [\"flr\"] }\nclock =",
        &["`flr` is a part of `express`"],
    ),
    (
        "clock =",
        "pci = { capabilities = [\"expres\"] }\nclock =",
        &["`expres` is no capability", "(nearest: express)"],
    ),
    (
        "clock =",
        "pci = { vectors = 1, msix_bar = 0 }\nclock =",
        &["BAR 0 is not free"],
    ),
    (
        "size = 4096",
        "size = 4096\n[[bars]]\nbar = 0\nport = \"t_\"\nsize = 4096",
        &["BAR 0 is there twice"],
    ),
    ("clock = \"clk\"", "clock = ", &["t.toml:4:"]),
];

/// The same of what needs the design: its ports, and Verilator.
const DESIGNS: &[(&str, &str, &[&str])] = &[
    (
        "\"clk\"",
        "\"clk_i\"",
        &[
            "t.toml:4:9: the design has no input `clk_i`",
            "(nearest: clk)",
            "there are clk, rst_n,",
        ],
    ),
    (
        "\"clk\"",
        "\"s_axil_bvalid\"",
        &["is an output of the design: an input is needed"],
    ),
    (
        "\"rst_n\"",
        "\"s_axil_wdata\"",
        &["has 32 bits: it needs 1"],
    ),
    (
        "\"s_axil_\"",
        "\"s_axi_\"",
        &[
            "t.toml:9:8: an AXI4-Lite slave needs the input `s_axi_wdata`",
            "(nearest: s_axil_wdata)",
        ],
    ),
    (
        "size = 4096",
        "size = 8192",
        &["the port `s_axil_awaddr` has 12 bits, which reach 4096 bytes: BAR 0 has 8192"],
    ),
    (
        "size = 4096",
        "size = 4096\nwidth = 64",
        &["t.toml:11:9: `width` is 64, and the port `s_axil_wdata` has 32 bits"],
    ),
    (
        "size = 4096",
        "size = 4096\n[[dma]]\nport = \"m_axi_\"",
        &["an AXI4 master needs the output `m_axi_arvalid`"],
    ),
    (
        "size = 4096",
        "size = 4096\n[[interrupts]]\nport = \"s_axil_rdata\"\nis = \"level\"\nvector = 0",
        &["has 32 bits: say which by `bit`"],
    ),
    (
        "size = 4096",
        "size = 4096\n[[interrupts]]\nport = \"irq\"\nis = \"level\"\nvector = 0",
        &["the design has no output `irq`"],
    ),
    (
        "\"regs\"",
        "\"rags\"",
        &[
            "the sources have no module of the name in `top`",
            "%Error",
            "rags",
        ],
    ),
    (
        "clock =",
        "parameters = [\"DEPTH=3\"]\nclock =",
        &["the top has none of these `parameters`", "%Error", "DEPTH"],
    ),
    (
        "regs.sv",
        "broken.sv",
        &[
            "a source is no valid Verilog",
            "%Error: ",
            "broken.sv:",
            "syntax error",
        ],
    ),
    (
        "regs.sv",
        "lacks.sv",
        &["a module is used that no source has", "%Error", "nowhere"],
    ),
    (
        "regs.sv",
        "unknown.sv",
        &[
            "a name is used that the sources don't define",
            "%Error",
            "nothing",
        ],
    ),
    (
        "regs.sv",
        "includes.sv",
        &["an included file is not there", "%Error", "gone.svh"],
    ),
];

struct Said {
    code: i32,
    stderr: String,
}

/// Runs the program; `change` sees its command line before.
fn program(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool-rtl"));
    command.args(arguments);
    change(&mut command);
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Makes a folder with the register block and what is wrong with it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let regs = fs::read_to_string(path("examples/regs.sv")).unwrap();
    let with = |more: &str| regs.replace("endmodule", &format!("{more}\nendmodule"));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("regs.sv", &regs);
    write("broken.sv", &with("assign = 3;"));
    write("lacks.sv", &with("nowhere u (.clk);"));
    write("unknown.sv", &with("wire x = nothing;"));
    write("includes.sv", &with("`include \"gone.svh\""));
    folder
}

fn check_all(table: &[(&str, &str, &[&str])]) {
    let folder = folder();
    for (from, to, parts) in table {
        assert!(TOML.contains(from), "{from}");
        fs::write(folder.path().join("t.toml"), TOML.replace(from, to)).unwrap();
        let said = program(&["check", "t.toml"], |command| {
            command.current_dir(folder.path());
        });
        assert_eq!(said.code, 1, "{to}: {}", said.stderr);
        for part in *parts {
            assert!(
                said.stderr.contains(part),
                "{to}: no `{part}` in:\n{}",
                said.stderr
            );
        }
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_place() {
    check_all(FILES);
}

#[test]
fn what_is_wrong_in_a_design_is_named_once_with_verilators_lines_below() {
    if can_build() {
        check_all(DESIGNS);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = program(&["check", "nowhere.toml"], |_| ());
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("nowhere.toml: it can't be read: "),
        "{}",
        said.stderr
    );
}

#[test]
fn without_verilator_or_compiler_it_says_what_to_install() {
    let regs = path("examples/regs.toml");
    let regs = regs.to_str().unwrap();
    let said = program(&["check", regs], |command| {
        command.env("PATH", "/nowhere").env_remove("VERILATOR");
    });
    assert_eq!(said.code, 1);
    for part in [
        "Verilator is missing",
        "Debian's package `verilator`",
        "$VERILATOR",
    ] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    let said = program(&["check", regs], |command| {
        command.env("VERILATOR", "/nowhere/verilator");
    });
    assert!(
        said.stderr
            .contains("$VERILATOR is /nowhere/verilator, which does not run"),
        "{}",
        said.stderr
    );
    if !can_build() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let said = program(&["check", regs], |command| {
        command
            .env("CXX", "/nowhere/g++")
            .env("XDG_CACHE_HOME", cache.path());
    });
    assert!(
        said.stderr
            .contains("the C++ compiler `/nowhere/g++` does not start: install g++"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_loop_is_warned_of_also_from_the_cache() {
    if !can_build() {
        return;
    }
    let design = path("tests/designs/loop.toml");
    for _ in 0..2 {
        let said = program(&["check", design.to_str().unwrap()], |_| ());
        assert_eq!(said.code, 0, "{}", said.stderr);
        for part in [
            "warning: there is a combinational loop",
            "%Warning-UNOPTFLAT",
            "swings",
        ] {
            assert!(said.stderr.contains(part), "{}", said.stderr);
        }
    }
}

/// Starts a server, and waits until it serves.
fn server(folder: &Path, design: &str, more: &[&str]) -> (Child, String) {
    let socket = folder.join("socket").display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hwpool-rtl"))
        .arg("serve")
        .arg(path(design))
        .args(["--socket", &socket])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_serves(&mut child);
    (child, socket)
}

/// One that does not serve is ended, or what waits for its output would wait for ever.
fn wait_until_it_serves(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    if !line.starts_with("serving ") {
        child.kill().unwrap();
        panic!("{line:?}");
    }
}

/// Returns the processor time, in nanoseconds, of each thread that Verilator made: all but the first and those with a name.
fn workers(child: &Child) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let tasks = tasks.map(|task| task.unwrap().path());
    let others = tasks.filter(|task| !task.ends_with(child.id().to_string()));
    let read = |task: &Path, name: &str| fs::read_to_string(task.join(name)).unwrap();
    let nameless = others.filter(|task| read(task, "comm").trim() == "hwpool-rtl");
    let time = |task: std::path::PathBuf| {
        let stat = read(&task, "schedstat");
        stat.split(' ').next().unwrap().parse().unwrap()
    };
    nameless.map(time).collect()
}

/// A worker waits asleep for its first piece of work and spins for the next, so its time tells whether it ever had one.
#[test]
fn threads_of_a_design_are_as_many_as_were_asked_for_and_have_work() {
    if !can_build() {
        return;
    }
    for threads in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let design = "tests/designs/traffic.toml";
        let (child, socket) = server(folder.path(), design, &["--threads", threads]);
        let client = Client::open(&socket, "rtl", Duration::from_secs(20)).unwrap();
        let bar = client.bar(0).unwrap();
        for _ in 0..100 {
            bar.read64(0x100).unwrap();
        }
        let workers = workers(&child);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
        let busy = workers.iter().filter(|time| **time > 1_000_000).count();
        let expected = threads.parse::<usize>().unwrap() - 1;
        assert_eq!((workers.len(), busy), (expected, expected), "{workers:?}");
    }
}

#[test]
fn ctrl_c_ends_the_server_with_its_waveform_closed() {
    if !can_build() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("t.fst");
    let (child, socket) = server(
        folder.path(),
        "examples/regs.toml",
        &["--trace", trace.to_str().unwrap(), "--seed", "3"],
    );
    let client = Client::open(&socket, "rtl", Duration::from_secs(20)).unwrap();
    client.bar(0).unwrap().write32(8, 0xfeed).unwrap();
    assert_eq!(client.bar(0).unwrap().read32(8).unwrap(), 0xfeed);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!Path::new(&socket).exists());
    // A file of FST begins with a block of the header, whose time of the end is set when it is closed.
    let bytes = fs::read(&trace).unwrap();
    let end = u64::from_be_bytes(bytes[17..25].try_into().unwrap());
    assert_eq!(
        (bytes[0], end > 40),
        (0, true),
        "not closed: it ends at {end}"
    );
}

#[test]
fn a_broken_rule_ends_the_server_with_status_1() {
    if !can_build() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (child, socket) = server(folder.path(), "tests/designs/bad.toml", &[]);
    let client = Client::open(&socket, "rtl", Duration::from_secs(20)).unwrap();
    let _ = client.bar(0).unwrap().write32(0, 18);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in [
        "error: the design breaks AXI at cycle",
        "port m_axi_",
        "m_axi_araddr",
        "4 KiB",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn what_the_design_reads_lies_beside_its_file_and_the_socket_does_not() {
    if !can_build() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hwpool-rtl"))
        .current_dir(folder.path())
        .arg("serve")
        .arg(path("tests/designs/rom.toml"))
        .args(["--socket", "socket", "--trace", "t.fst"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until_it_serves(&mut child);
    let socket = folder.path().join("socket").display().to_string();
    let client = Client::open(&socket, "rtl", Duration::from_secs(20)).unwrap();
    let bar = client.bar(0).unwrap();
    assert_eq!(
        (bar.read32(0).unwrap(), bar.read32(4).unwrap()),
        (0x1ace, 0x2bed)
    );
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(folder.path().join("t.fst").is_file());
}

/// The ladder passes: nothing of the host's is touched. Where the design reached, the server tells.
#[test]
fn dma_that_is_not_mapped_is_told_with_what_is_near_it() {
    if !can_build() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (child, socket) = server(folder.path(), "tests/designs/rogue.toml", &["--seed", "1"]);
    let client = Client::open(&socket, "rtl", Duration::from_secs(20)).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x1000).unwrap();
    let source = DmaSource {
        file: file.as_fd(),
        offset: 0,
        len: 0x1000,
    };
    client.dma_map(Iova(0xdeac_f000), source).unwrap();
    let options = Options {
        soak: Duration::from_millis(50),
        ..Options::default()
    };
    let report = bringup::run(Arc::new(client), &options, None, |_| {
        ControlFlow::Continue(())
    });
    assert!(report.is_good(), "{report:#?}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for part in [
        "the design's DMA ",
        " of 8 bytes at 0xdead",
        "is answered with an error, and touches nothing: ",
        "DMA accesses of the design's were answered with an error",
    ] {
        assert!(stderr.contains(part), "no {part}: {stderr}");
    }
    let mut bytes = [0; 0x1000];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [0; 0x1000]);
}
