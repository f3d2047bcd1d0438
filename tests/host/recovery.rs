//! `recover` as a program, where journals or functions are not as `bind` has left them.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::cli::hwpool;
use super::machine::{BMU, Machine, nic};

/// A machine on which a binding of the board was cut off before its first change.
fn interrupted() -> Machine {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let killed = hwpool(&machine, &["bind", BMU, "--die-at", "1"]);
    assert_eq!(killed.signal, Some(9), "{}", killed.err);
    machine
}

#[test]
fn a_directory_that_cant_be_read_is_not_an_empty_one() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    machine.file("/run/hwpool", "no directory");
    for verb in [&["recover"][..], &["bind", BMU], &["unbind", BMU]] {
        let run = hwpool(&machine, verb);
        assert_eq!((run.code, run.out.as_str()), (3, ""), "{verb:?}");
        assert!(run.err.contains("Not a directory"), "{}", run.err);
    }
}

/// Only root can become somebody else, and not everywhere may that user start what was built here.
#[test]
fn who_may_not_read_the_journals_is_not_told_that_there_are_none() {
    let machine = interrupted();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    command
        .args(["recover", "--root", machine.root()])
        .uid(65534);
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        eprintln!("SKIP: this user can't run hwpool as another");
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(3), &b""[..]),
        "{err}"
    );
    assert!(
        err.contains("/run/hwpool: the journals can't be read: only root may"),
        "{err}"
    );
}
