//! The verbs as a program: exit codes, documents, and death by a real SIGKILL.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use serde_json::Value;

use super::machine::{BMU, Machine, Spec, bmu, nic};

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a verb on a machine.
pub(crate) fn hwpool(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    let output = command
        .args(arguments)
        .args(["--root", machine.root()])
        .stdin(Stdio::null())
        .output()
        .expect("hwpool starts");
    Run {
        code: output.status.code().unwrap_or(-1),
        signal: output.status.signal(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn json(machine: &Machine, arguments: &[&str]) -> (i32, Value) {
    let run = hwpool(machine, &[arguments, &["--json"]].concat());
    let document = serde_json::from_str(&run.out);
    let document =
        document.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}{}", run.out, run.err));
    crate::documents::check(&document);
    (run.code, document)
}

fn idle_nic() -> Machine {
    let machine = Machine::new();
    let spec = nic(BMU, "e1000e", 7);
    machine.add(&spec);
    machine.interface(&spec, "eth1", false);
    machine
}

#[test]
fn documents_have_schemas() {
    let machine = idle_nic();
    let verbs: [(&[&str], &str); 5] = [
        (&["devices"], "hwpool.devices/1"),
        (&["doctor"], "hwpool.doctor/1"),
        (&["bind", BMU, "--dry-run"], "hwpool.bind/1"),
        (&["recover"], "hwpool.bind/1"),
        (&["hugepages", "status"], "hwpool.hugepages/1"),
    ];
    for (arguments, schema) in verbs {
        let (code, document) = json(&machine, arguments);
        assert_eq!(
            (code, document["schema"].as_str()),
            (0, Some(schema)),
            "{document:#}"
        );
    }
}

#[test]
fn bridges_are_listed_on_demand() {
    let machine = idle_nic();
    let count = |arguments: &[&str]| {
        json(&machine, arguments).1["functions"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(
        (count(&["devices"]), count(&["devices", "--all"])),
        (Some(1), Some(2))
    );
}

#[test]
fn what_blocks_is_exit_code_1_and_what_is_absent_3() {
    let machine = Machine::new();
    machine.add(&bmu());
    machine.node("/dev/vfio/7", 0o666);
    assert_eq!(hwpool(&machine, &["doctor", BMU]).code, 0);
    machine.node("/dev/vfio/7", 0o600);
    assert_eq!(hwpool(&machine, &["doctor", BMU]).code, 1);
    let absent = hwpool(&machine, &["doctor", "0000:09:00.0"]);
    assert_eq!(
        (
            absent.code,
            absent.err.contains("no PCI function 0000:09:00.0")
        ),
        (3, true)
    );
    let address = hwpool(&machine, &["doctor", "01:00.0"]);
    assert_eq!(
        (address.code, address.err.contains("not a PCI address")),
        (2, true),
        "{}",
        address.err
    );
}

#[test]
fn memory_that_shall_be_pinned_is_compared_with_the_limit() {
    let machine = Machine::new();
    machine.limits("8388608", "1024");
    let verdict = |pin: &str| {
        let document = json(&machine, &["doctor", "--pin", pin]).1;
        let rows = document["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["id"] == "memlock").unwrap()
    };
    assert_eq!(verdict("8M")["verdict"], "ok");
    let row = verdict("9M");
    assert_eq!(row["verdict"], "block");
    assert_eq!(row["evidence"][0], "limit 8 MiB, 9 MiB to be pinned");
    assert_eq!(
        row["remedy"][0],
        "LimitMEMLOCK=9216K in the systemd unit, or `memlock 9216` in /etc/security/limits.conf"
    );
    let usage = hwpool(&machine, &["doctor", "--pin", "9X"]);
    assert_eq!(usage.code, 2, "{}", usage.err);
}

#[test]
fn a_dry_run_prints_each_write_and_makes_none() {
    let machine = idle_nic();
    let before = machine.contents();
    let run = hwpool(&machine, &["bind", BMU, "--dry-run", "--owner", "alice"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let alice = machine.alice();
    let expected = format!(
        "echo vfio-pci > /sys/bus/pci/devices/{BMU}/driver_override\n\
         echo {BMU} > /sys/bus/pci/drivers/e1000e/unbind\n\
         echo {BMU} > /sys/bus/pci/drivers_probe\n\
         # verify that {BMU} is on vfio-pci\n\
         chown {alice} /dev/vfio/7  # and the node of {BMU} below /dev/vfio/devices, if any\n"
    );
    assert!(run.out.starts_with(&expected), "{}", run.out);
    let rule = "SUBSYSTEM==\"vfio\", KERNEL==\"[0-9]*\", TEST==\"/sys/kernel/iommu_groups/%k/devices/0000:01:00.0\", \
                ATTR{[pci/0000:01:00.0]vendor}==\"0x8086\", ATTR{[pci/0000:01:00.0]device}==\"0x10fb\", OWNER=\"alice\"\n";
    assert!(run.out.contains(rule), "{}", run.out);
    assert_eq!(machine.contents(), before);
    assert!(!machine.path("/run/hwpool").exists());
}

#[test]
fn a_function_in_use_is_refused_and_each_reason_named() {
    let machine = Machine::new();
    let spec = nic(BMU, "e1000e", 7);
    machine.add(&spec);
    machine.interface(&spec, "eth1", true);
    let before = machine.contents();
    let run = hwpool(&machine, &["bind", BMU]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(
        run.err
            .contains("eth1 is up and has a carrier (--override carrier)"),
        "{}",
        run.err
    );
    assert_eq!(hwpool(&machine, &["bind", BMU, "--dry-run"]).code, 1);
    assert_eq!(
        hwpool(
            &machine,
            &["bind", BMU, "--dry-run", "--override", "carrier"]
        )
        .code,
        0
    );
    let wrong = hwpool(&machine, &["bind", BMU, "--override", "everything"]);
    assert_eq!(
        (wrong.code, wrong.err.contains("known are route, carrier")),
        (2, true),
        "{}",
        wrong.err
    );
    assert_eq!(machine.contents(), before);
}

#[test]
fn mistakes_in_arguments_are_usage() {
    let machine = idle_nic();
    for arguments in [
        &["bind"][..],
        &["bind", "sim:bmu"],
        &["bind", BMU, "--owner", "nobody-here"],
        &["bind", BMU, "--driver", "pci-stub", "--owner", "alice"],
        &["bind", "01:00.0"],
        &["bind", "vfio:0000:01:00.0?seed=7"],
        &["bind", "0000:01:00.0?noiommu=1"],
        &["doctor", "vfio:0000:01:00.0?noiommu=maybe"],
        &["recover", "--forget"],
        &["hugepages", "reserve", "0"],
        &["hugepages", "reserve", "4", "--size", "2T"],
    ] {
        let run = hwpool(&machine, arguments);
        assert_eq!(
            (run.code, run.out.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            run.err
        );
    }
}

/// Hexadecimal digits are of either case, and a domain may have more than four.
#[test]
fn addresses_are_understood_as_people_write_them() {
    let machine = Machine::new();
    machine.add(&Spec {
        bdf: "10000:0a:00.0",
        ..nic(BMU, "e1000e", 7)
    });
    for address in [
        "10000:0A:00.0",
        "vfio:10000:0a:00.0",
        "vfio:10000:0A:00.0?noiommu=1",
    ] {
        let run = hwpool(&machine, &["bind", address, "--dry-run"]);
        assert_eq!(run.code, 0, "{address}: {}", run.err);
        assert!(
            run.out.contains("/10000:0a:00.0/driver_override"),
            "{}",
            run.out
        );
    }
}

#[test]
fn what_is_well_is_left_out_where_that_is_asked_for() {
    let machine = Machine::new();
    machine.limits("65536", "1024");
    let document = json(&machine, &["doctor", "--quiet"]).1;
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!((rows.len(), rows[0]["id"].as_str()), (1, Some("memlock")));
    assert!(
        document["ok"].as_u64() > Some(5),
        "they are counted all the same"
    );
}

/// Nothing reacts to writes here, so that binding fails at its verification and is put back.
#[test]
fn a_binding_that_does_not_work_is_put_back() {
    let machine = idle_nic();
    let before = machine.contents();
    let run = hwpool(&machine, &["bind", BMU]);
    assert_eq!(run.code, 3);
    assert!(
        run.err.contains("what had been changed was changed back"),
        "{}",
        run.err
    );
    assert!(
        run.err.contains("should be on vfio-pci and is on e1000e"),
        "{}",
        run.err
    );
    assert_eq!(machine.contents(), before);
}

/// What blocks is a FIFO, which nobody else opens.
#[test]
fn what_the_kernel_keeps_is_spoken_of_and_sigterm_is_heard() {
    let config = format!("/sys/bus/pci/devices/{BMU}/config");
    let unbind = "/sys/bus/pci/drivers/e1000e/unbind";
    let writing: &[&str] = &["drivers/e1000e/unbind for 2s", "66s", "gives up after 30s"];
    let reading: &[&str] = &["reading the configuration space of", "for 2s", "66s"];
    for (verb, fifo, words) in [("bind", unbind, writing), ("doctor", &config, reading)] {
        let machine = idle_nic();
        let fifo = machine.path(fifo);
        let _ = std::fs::remove_file(&fifo);
        mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let (line, signal) = first_line_and_end(&machine, &[verb, BMU]);
        for word in words.iter().chain([&BMU, &"SIGKILL"]) {
            assert!(line.contains(word), "no {word} in {line}");
        }
        assert_eq!(signal, Some(Signal::SIGTERM as i32), "{verb}");
    }
}

/// Runs a verb until it says something on stderr and ends it by SIGTERM; it must say nothing else.
fn first_line_and_end(machine: &Machine, arguments: &[&str]) -> (String, Option<i32>) {
    let mut running = Command::new(env!("CARGO_BIN_EXE_hwpool"))
        .args(arguments)
        .args(["--root", machine.root()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hwpool starts");
    let lines = BufReader::new(running.stderr.take().expect("a pipe")).lines();
    let (tell, told) = channel();
    let reader = std::thread::spawn(move || {
        let mut lines = lines.map_while(Result::ok);
        lines.try_for_each(|line| tell.send(line))
    });
    let line = told.recv_timeout(Duration::from_secs(60));
    kill(Pid::from_raw(running.id() as i32), Signal::SIGTERM).expect("not yet waited for");
    let signal = running.wait().expect("it ends").signal();
    reader.join().expect("a reader").expect("a listener");
    assert_eq!(told.try_recv().ok(), None, "one line");
    (line.expect("a line"), signal)
}

#[test]
fn after_a_real_sigkill_at_each_change_recover_leads_back() {
    for at in 1..=3 {
        let machine = idle_nic();
        let before = machine.contents();
        let killed = hwpool(&machine, &["bind", BMU, "--die-at", &at.to_string()]);
        assert_eq!(killed.signal, Some(9), "change {at}: {}", killed.err);
        assert!(machine.path(&format!("/run/hwpool/{BMU}.journal")).exists());
        let refused = hwpool(&machine, &["bind", BMU]);
        assert_eq!(
            (refused.code, refused.err.contains("hwpool recover")),
            (3, true),
            "{}",
            refused.err
        );
        let (code, document) = json(&machine, &["recover"]);
        assert_eq!(
            (code, document["done"].as_bool()),
            (0, Some(true)),
            "{document:#}"
        );
        assert_eq!(machine.contents(), before, "change {at}");
        let again = hwpool(&machine, &["recover", BMU]);
        assert_eq!(
            (again.code, again.out.contains("no journal")),
            (0, true),
            "{}",
            again.out
        );
    }
}

#[test]
fn recovery_of_all_leaves_finished_bindings_alone() {
    let machine = idle_nic();
    let before = format!(
        "{{\"schema\":\"hwpool.journal/1\",\"device\":\"{BMU}\",\"before\":[{{\"function\":\"{BMU}\",\
         \"ids\":[32902,4347],\"driver\":\"e1000e\",\"driver_override\":null,\"vfs\":0,\"owners\":[]}}]}}\n"
    );
    let path = format!("/run/hwpool/{BMU}.journal");
    machine.file(&path, format!("{before}{{\"done\":true}}\n"));
    assert_eq!(hwpool(&machine, &["recover"]).code, 0);
    assert!(machine.path(&path).exists());
    machine.file(&path, before);
    assert_eq!(hwpool(&machine, &["recover"]).code, 0);
    assert!(!machine.path(&path).exists());
}

#[test]
fn hugepages_are_counted_by_node() {
    let machine = Machine::new();
    let status = hwpool(&machine, &["hugepages", "status"]);
    assert_eq!(
        status.out,
        "node 0     2 MiB    64 pages, 64 free, 0 surplus\nnode 1     2 MiB    0 pages, 0 free, 0 surplus\n"
    );
    let dry = hwpool(
        &machine,
        &["hugepages", "reserve", "8", "--node", "1", "--dry-run"],
    );
    assert!(dry.out.starts_with(
        "echo 8 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages\n"
    ));
    let (code, document) = json(&machine, &["hugepages", "reserve", "8", "--node", "1"]);
    assert_eq!((code, document["pools"][0]["total"].as_u64()), (0, Some(8)));
    let none = hwpool(&machine, &["hugepages", "release", "9", "--node", "1"]);
    assert_eq!(none.code, 3, "{}", none.err);
    let released = hwpool(&machine, &["hugepages", "release", "8"]);
    let at = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
    assert_eq!(
        released.out,
        format!("echo 56 > {at}\nnode 0, 2 MiB: 64 pages before, 56 now, 64 free\n")
    );
}

#[test]
fn a_function_without_a_driver_is_bound_by_three_lines() {
    let machine = Machine::new();
    machine.add(&Spec {
        driver: None,
        ..bmu()
    });
    let (_, document) = json(&machine, &["bind", BMU, "--dry-run"]);
    let steps = document["plans"][0]["steps"].as_array().unwrap();
    let paths: Vec<_> = steps
        .iter()
        .map(|step| step["path"].as_str().unwrap_or("-"))
        .collect();
    let named = format!("/sys/bus/pci/devices/{BMU}/driver_override");
    assert_eq!(paths, [named.as_str(), "/sys/bus/pci/drivers_probe", "-"]);
    assert_eq!(document["done"], false);
}
