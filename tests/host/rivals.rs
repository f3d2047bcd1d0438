//! Two hwpools at a time: what one is in the middle of is no interruption for the other.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hwpool::host::bind::Journals;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::cli::hwpool;
use super::machine::{BMU, Machine, nic};

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(machine: &Machine, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        command.args(arguments).args(["--root", machine.root()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn();
        Running(child.expect("hwpool starts"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().try_into().expect("a process"));
        kill(pid, signal).expect("it runs");
    }
}

/// Puts a pipe in the place of a file of the kernel's: who writes to it waits for the test.
fn pipe(machine: &Machine, path: &str) -> PathBuf {
    let path = machine.path(path);
    std::fs::remove_file(&path).expect("a file");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    path
}

const VERBS: [&[&str]; 6] = [
    &["bind", BMU],
    &["unbind", BMU],
    &["recover", BMU],
    &["recover"],
    &["bind", BMU, "--dry-run"],
    &["recover", "--dry-run"],
];

/// Expects that each verb names the process at work, and tells nobody to undo what that does.
fn all_are_told_of(machine: &Machine, pid: u32) {
    for verb in VERBS {
        let run = hwpool(machine, &[verb, &["--wait", "0"]].concat());
        assert_eq!(
            (run.code, run.out.as_str()),
            (3, ""),
            "{verb:?}: {}",
            run.err
        );
        let told = format!("another hwpool (process {pid}) is at work");
        assert!(run.err.contains(&told), "{verb:?}: {}", run.err);
        let is_misled = run.err.contains("interrupted") || run.err.contains("hwpool recover");
        assert!(!is_misled, "{verb:?}: {}", run.err);
    }
}

#[test]
fn a_binding_under_way_is_no_interruption() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let unbind = pipe(&machine, "/sys/bus/pci/drivers/e1000e/unbind");
    let probe = pipe(&machine, "/sys/bus/pci/drivers_probe");
    let mut first = Running::start(&machine, &["bind", BMU]);
    let mut written = String::new();
    let mut reader = File::open(unbind).expect("the first one unbinds");
    reader.read_to_string(&mut written).expect("an address");
    assert_eq!(written, BMU);
    // In the middle, however long the others take.
    first.signal(Signal::SIGSTOP);
    all_are_told_of(&machine, first.0.id());

    let mut patient = Running::start(&machine, &["recover", BMU, "--wait", "600"]);
    let mut line = String::new();
    let err = patient.0.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(err);
    lines.read_line(&mut line).expect("a line");
    assert!(line.contains("tries for 600 s"), "{line}");
    // Open both ways, so that nobody waits for anybody.
    let _probe = File::options().read(true).write(true).open(probe);
    first.signal(Signal::SIGCONT);
    // Nothing reacts here, so that the first one puts back what it did.
    assert_eq!(first.0.wait().expect("it ends").code(), Some(3));
    let mut said = String::new();
    let mut out = patient.0.stdout.take().expect("a pipe");
    out.read_to_string(&mut said).expect("text");
    assert_eq!(patient.0.wait().expect("it ends").code(), Some(0));
    assert!(said.contains("has no journal of it"), "{said}");
}

#[test]
fn what_was_interrupted_is_nobodys_to_recover_while_another_works() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let killed = hwpool(&machine, &["bind", BMU, "--die-at", "2"]);
    assert_eq!(killed.signal, Some(9), "{}", killed.err);
    let before = machine.contents();
    let lock = Journals::at(&machine.path("/run/hwpool")).lock();
    let lock = lock.expect("is free");
    all_are_told_of(&machine, std::process::id());
    assert_eq!(machine.contents(), before);
    drop(lock);
    assert_eq!(hwpool(&machine, &["recover"]).code, 0);
}

/// Who finds nothing to do, or is refused, makes no directory.
#[test]
fn a_look_leaves_nothing_behind() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    for (verb, code) in [
        (&["unbind", BMU][..], 0),
        (&["recover"], 0),
        (&["bind", BMU, "--dry-run"], 0),
        (&["bind", "0000:09:00.0"], 3),
    ] {
        let run = hwpool(&machine, verb);
        assert_eq!(run.code, code, "{verb:?}: {}", run.err);
        assert!(!machine.path("/run/hwpool").exists(), "{verb:?}");
    }
}
