//! How often a function's files are read, and how much of them: by FIFOs, which give what they hold once.

use std::fs::{File, remove_file};
use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use hwpool::host::bind::{Journals, Plan, Request};
use hwpool::machine::Function;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::machine::{BMU, Machine, bmu};

/// Who reads more than there is waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts a FIFO in the place of a file of the function. Its first reader gets `bytes`, and then the end of the file unless
/// it stays `open`.
fn once(machine: &Machine, file: &str, bytes: Vec<u8>, open: bool) {
    let path = machine.path(&format!("/sys/bus/pci/devices/{BMU}/{file}"));
    remove_file(&path).expect("the file");
    mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
    thread::spawn(move || {
        let mut writer = File::options().write(true).open(path).expect("a reader");
        writer.write_all(&bytes).expect("a reader");
        if open {
            thread::park_timeout(2 * PATIENCE);
        }
    });
}

/// Reads something with a deadline.
fn in_time<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = channel();
    thread::spawn(move || tell.send(read()));
    told.recv_timeout(PATIENCE)
        .expect("no more was read than there is")
}

/// Beyond the header lie 4 KiB, each word of which is an access to the board.
#[test]
fn whether_a_function_answers_takes_one_look_at_its_header() {
    let machine = Machine::new();
    machine.add(&bmu());
    let path = machine.path(&format!("/sys/bus/pci/devices/{BMU}/config"));
    let header = std::fs::read(path).expect("a configuration space")[..64].to_vec();
    let before = Function::read(&machine.tree(), BMU.parse().unwrap());
    once(&machine, "config", header, true);
    let tree = machine.tree();
    let read = in_time(move || Function::read(&tree, BMU.parse().unwrap()));
    assert_eq!(format!("{read:?}"), format!("{before:?}"));
}

#[test]
fn a_binding_is_planned_on_one_look_at_the_function() {
    let machine = Machine::new();
    machine.add(&bmu());
    machine.file(&format!("/sys/bus/pci/devices/{BMU}/sriov_totalvfs"), "0\n");
    once(&machine, "sriov_totalvfs", b"0\n".to_vec(), false);
    let (tree, journals) = (machine.tree(), Journals::at(&machine.path("/run/hwpool")));
    let request = Request {
        device: BMU.parse().unwrap(),
        driver: "vfio-pci".into(),
        owner: None,
        whole_group: false,
        overrides: Vec::new(),
    };
    let plan = in_time(move || Plan::bind(&tree, &journals, &request));
    assert_eq!(plan.expect("nothing is in the way").objections, []);
}
