//! `recover` as a program, where journals or functions are not as `bind` has left them.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use super::cli::hwpool;
use super::machine::{BMU, Machine, Spec, nic};

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

const OTHER: &str = "0000:02:00.0";
const OVERRIDE: &str = "/sys/bus/pci/devices/0000:01:00.0/driver_override";

/// Another board in the place of the first, whose binding was cut off; on a driver of its own.
fn swapped() -> Machine {
    let machine = interrupted();
    let other = Spec {
        ids: (0x10ee, 0x9038),
        ..nic(BMU, "e1000e", 7)
    };
    machine.add(&other);
    machine.file(OVERRIDE, "vfio-pci\n");
    machine
}

#[test]
fn another_board_at_the_address_is_left_alone() {
    let machine = swapped();
    let before = machine.contents();
    for verb in [
        &["recover"][..],
        &["recover", BMU],
        &["unbind", BMU],
        &["bind", BMU],
    ] {
        let run = hwpool(&machine, verb);
        assert_eq!(run.code, 3, "{verb:?}: {}{}", run.out, run.err);
        let told = "0000:01:00.0 was 8086:10fb, and another device is there now, 10ee:9038, which is left alone";
        assert!(run.err.contains(told), "{verb:?}: {}", run.err);
        assert!(
            run.err.contains("`hwpool recover 0000:01:00.0 --forget`"),
            "{}",
            run.err
        );
        assert_eq!(machine.contents(), before, "{verb:?}");
    }
    let dry = hwpool(&machine, &["recover", BMU, "--dry-run"]);
    assert_eq!(
        (dry.code, dry.out.contains("its journal stays")),
        (1, true),
        "{}",
        dry.out
    );
    assert!(machine.path("/run/hwpool/0000:01:00.0.journal").exists());
    let forgot = hwpool(&machine, &["recover", BMU, "--forget"]);
    assert_eq!(
        (forgot.code, forgot.out.contains("its journal goes")),
        (0, true),
        "{}",
        forgot.err
    );
    assert!(!machine.path("/run/hwpool/0000:01:00.0.journal").exists());
    assert_eq!(machine.contents(), before);
}

#[test]
fn a_board_that_is_gone_keeps_no_other_from_recovery() {
    let machine = interrupted();
    machine.add(&Spec {
        bdf: OTHER,
        ..nic(BMU, "igb", 8)
    });
    let named = format!("/sys/bus/pci/devices/{OTHER}/driver_override");
    // Died at the second change: the driver is named, and the function not yet unbound.
    assert_eq!(
        hwpool(&machine, &["bind", OTHER, "--die-at", "2"]).signal,
        Some(9)
    );
    assert_eq!(machine.text(&named), "vfio-pci\n");
    std::fs::remove_file(machine.path("/sys/bus/pci/devices/0000:01:00.0")).unwrap();
    let run = hwpool(&machine, &["recover"]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(
        run.err.contains("0000:01:00.0 was 8086:10fb, and is gone"),
        "{}",
        run.err
    );
    assert!(
        run.out
            .contains("# recover 0000:02:00.0: done and verified"),
        "{}",
        run.out
    );
    assert_eq!(machine.text(&named), "\n");
    assert_eq!(
        hwpool(&machine, &["recover"]).code,
        3,
        "it stays until it is told to go"
    );
    assert_eq!(hwpool(&machine, &["recover", BMU, "--forget"]).code, 0);
    assert_eq!(hwpool(&machine, &["recover"]).code, 0);
    let usage = hwpool(&machine, &["recover", "--forget"]);
    assert_eq!(
        (usage.code, usage.err.contains("DEVICE")),
        (2, true),
        "{}",
        usage.err
    );
}

#[test]
fn what_keeps_one_from_recovery_keeps_no_other() {
    let machine = interrupted();
    machine.add(&Spec {
        bdf: OTHER,
        ..nic(BMU, "igb", 8)
    });
    assert_eq!(
        hwpool(&machine, &["bind", OTHER, "--die-at", "2"]).signal,
        Some(9)
    );
    // The first board has lost its driver, and that driver has left the kernel.
    std::fs::remove_file(machine.path("/sys/bus/pci/devices/0000:01:00.0/driver")).unwrap();
    std::fs::remove_dir_all(machine.path("/sys/bus/pci/drivers/e1000e")).unwrap();
    let run = hwpool(&machine, &["recover"]);
    assert_eq!(
        (run.code, run.err.contains("no driver e1000e")),
        (3, true),
        "{}",
        run.err
    );
    assert!(
        run.out
            .contains("# recover 0000:02:00.0: done and verified"),
        "{}",
        run.out
    );
    let alone = hwpool(&machine, &["recover", BMU]);
    assert_eq!((alone.code, alone.out.as_str()), (3, ""));
}

/// Of a group that was bound as one, what is there is given back, and the journal keeps the rest.
#[test]
fn of_a_group_what_is_there_is_given_back() {
    let machine = interrupted();
    machine.add(&Spec {
        bdf: "0000:01:00.1",
        ..nic(BMU, "igb", 7)
    });
    let path = "/run/hwpool/0000:01:00.0.journal";
    std::fs::remove_file(machine.path(path)).unwrap();
    let whole = ["bind", BMU, "--whole-group", "--die-at", "2"];
    assert_eq!(hwpool(&machine, &whole).signal, Some(9));
    std::fs::remove_file(machine.path("/sys/bus/pci/devices/0000:01:00.1")).unwrap();
    let run = hwpool(&machine, &["recover"]);
    assert_eq!(
        (
            run.code,
            run.err.contains("0000:01:00.1 was 8086:10fb, and is gone")
        ),
        (3, true),
        "{}",
        run.err
    );
    assert_eq!(machine.text(OVERRIDE), "\n", "the other one is as it was");
    assert!(machine.path(path).exists());
    assert_eq!(hwpool(&machine, &["recover", BMU, "--forget"]).code, 0);
    assert!(!machine.path(path).exists());
}

/// A shell in whose program files can't grow beyond a few hundred bytes: as on a full disk, a file of this size takes
/// no more, and the small ones of the machine can be written.
fn with_full_disk(machine: &Machine, arguments: &[&str]) -> (Option<i32>, String) {
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_hwpool")]);
    command.args(arguments).args(["--root", machine.root()]);
    let output = command.stdin(Stdio::null()).output().expect("a shell");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), err)
}

#[test]
fn a_full_disk_keeps_nothing_from_recovery() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let before = machine.contents();
    assert_eq!(
        hwpool(&machine, &["bind", BMU, "--die-at", "2"]).signal,
        Some(9)
    );
    let journal = "/run/hwpool/0000:01:00.0.journal";
    let text = machine.text(journal);
    machine.file(journal, text + &"\n".repeat(4096));
    let (code, err) = with_full_disk(&machine, &["recover"]);
    assert_eq!(
        (code, err.contains("File too large")),
        (Some(0), true),
        "{err}"
    );
    assert_eq!(machine.contents(), before);
    assert!(!machine.path(journal).exists());
}

/// Runs a verb where a directory is mounted read-only, in a mount namespace of its own; `None` where this user can't
/// mount.
fn where_read_only(machine: &Machine, directory: &str, verb: &[&str]) -> Option<Output> {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" || exit 77; shift; exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_hwpool")]);
    command.arg(machine.path(directory)).args(verb);
    let output = command.args(["--root", machine.root()]);
    let output = output.stdin(Stdio::null()).output().ok()?;
    (!matches!(output.status.code(), Some(1 | 77))).then_some(output)
}

/// As in a container.
#[test]
fn a_sys_that_is_only_read_is_recognised_before_anything_is_written() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let journal = machine.path("/run/hwpool/0000:01:00.0.journal");
    for interrupted in [false, true] {
        let mut verb = vec!["bind", BMU];
        if interrupted {
            assert_eq!(
                hwpool(&machine, &["bind", BMU, "--die-at", "2"]).signal,
                Some(9)
            );
            verb[0] = "recover";
        }
        let before = (machine.contents(), std::fs::read(&journal).ok());
        let Some(output) = where_read_only(&machine, "/sys", &verb) else {
            eprintln!("SKIP: this user can't mount");
            return;
        };
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(
            err.contains("mounted read-only, as in a container: nothing was changed"),
            "{err}"
        );
        assert!(!err.contains("changed back"), "{err}");
        let after = (machine.contents(), std::fs::read(&journal).ok());
        assert_eq!(after, before);
    }
}

/// Where a journal can't be removed, all is put back all the same. Needs a mount namespace of its own.
#[test]
fn a_file_system_that_is_only_read_keeps_nothing_from_recovery() {
    let machine = Machine::new();
    machine.add(&nic(BMU, "e1000e", 7));
    let before = machine.contents();
    assert_eq!(
        hwpool(&machine, &["bind", BMU, "--die-at", "2"]).signal,
        Some(9)
    );
    let Some(output) = where_read_only(&machine, "/run/hwpool", &["recover"]) else {
        eprintln!("SKIP: this user can't mount");
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.contains("is put back, but") && err.contains("can't be removed"),
        "{err}"
    );
    assert_eq!(machine.contents(), before);
    assert!(machine.path("/run/hwpool/0000:01:00.0.journal").exists());
}
