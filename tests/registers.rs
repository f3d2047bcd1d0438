//! `hwpool regs` on devices that count what reaches them: exactly the accesses that were asked for.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use hwpool::device::recognition;
use hwpool::devices::family::{Choice, Recognition};
use hwpool::sim::SimConfig;
use hwpool::user::codec::SparseArea;
use hwpool::user::server::{
    DmaMapping, Errno, Lines, Peer, RegionDescription, RegionMapping, Served, Server, StopHandle,
};
use hwpool::user::{Client, PATIENCE, SimDevice};

/// Index of configuration space among the regions (linux/vfio.h).
const CONFIG: u32 = 7;
const BAR_SIZE: u64 = 0x1000;
/// A page of any machine.
const PAGE: u64 = 0x1_0000;
/// Vendor and device ids that are none of ours, as configuration space has them.
const IDS: [u8; 4] = [0xee, 0x10, 0x38, 0x90];

/// A device that is none of ours: memory, and a note of each access to its BAR.
struct Foreign {
    lines: Arc<Lines>,
    config: Vec<u8>,
    /// Its only BAR.
    bar: Vec<u8>,
    index: u32,
    /// What of its BAR may be mapped, page by page.
    file: Option<File>,
    log: Log,
}

type Log = Arc<Mutex<Vec<String>>>;

impl Foreign {
    fn new(log: &Log) -> Foreign {
        let mut config = vec![0; 256];
        config[..4].copy_from_slice(&IDS);
        Foreign {
            lines: Arc::new(Lines::new([0; 5])),
            config,
            bar: (0..BAR_SIZE).map(|at| at as u8).collect(),
            index: 0,
            file: None,
            log: Arc::clone(log),
        }
    }

    /// A card of 16 relays, as libvfio-user's sample is: 8 bytes in BAR 2, no capability at all.
    fn card(log: &Log) -> Foreign {
        let mut card = Foreign::new(log);
        card.config[..4].copy_from_slice(&[0x4f, 0x49, 0xc8, 0x0d]);
        card.config[9..12].copy_from_slice(&[0x00, 0x80, 0x08]);
        (card.bar, card.index) = (vec![0; 8], 2);
        card
    }

    fn note(&self, region: u32, what: String) {
        if region != CONFIG {
            self.log.lock().unwrap().push(what);
        }
    }

    fn bytes(&mut self, region: u32) -> &mut [u8] {
        match region {
            CONFIG => &mut self.config,
            _ => &mut self.bar,
        }
    }
}

impl Served for Foreign {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        let size = match index {
            CONFIG => self.config.len() as u64,
            index if index == self.index => self.bar.len() as u64,
            _ => 0,
        };
        let file = self.file.as_ref().filter(|_| index == self.index);
        let page = |n| SparseArea {
            offset: n * PAGE,
            size: PAGE,
        };
        Some(RegionDescription {
            size,
            readable: true,
            writable: true,
            mapping: file.map(|file| RegionMapping {
                file: file.as_fd(),
                offset: 0,
                areas: (0..size / PAGE).map(page).collect(),
            }),
        })
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    fn read(&mut self, _: &mut Peer, region: u32, at: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.note(region, format!("read {} at {at:#x}", data.len()));
        data.copy_from_slice(&self.bytes(region)[at as usize..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, _: &mut Peer, region: u32, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.note(region, format!("write {data:02x?} at {at:#x}"));
        self.bytes(region)[at as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn dma_map(&mut self, _: &mut Peer, _: DmaMapping) -> Result<(), Errno> {
        Ok(())
    }

    fn dma_unmap(&mut self, _: u64, _: u64) {}

    fn reset(&mut self) -> Result<(), Errno> {
        self.log.lock().unwrap().push("reset".into());
        Ok(())
    }
}

/// A model of a BMU with the ids of [`Foreign`].
struct Renamed(SimDevice);

impl Served for Renamed {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        self.0.region(index)
    }

    fn lines(&self) -> &Arc<Lines> {
        self.0.lines()
    }

    fn read(
        &mut self,
        peer: &mut Peer,
        region: u32,
        at: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        self.0.read(peer, region, at, data)?;
        if (region, at) == (CONFIG, 0) {
            data[..4].copy_from_slice(&IDS);
        }
        Ok(())
    }

    fn write(&mut self, peer: &mut Peer, region: u32, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.0.write(peer, region, at, data)
    }

    fn dma_map(&mut self, peer: &mut Peer, mapping: DmaMapping) -> Result<(), Errno> {
        self.0.dma_map(peer, mapping)
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) {
        self.0.dma_unmap(iova, size);
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.0.reset()
    }
}

/// A device that is served until it is dropped.
struct Serving {
    address: String,
    stop: Option<(StopHandle, thread::JoinHandle<()>)>,
    _directory: tempfile::TempDir,
}

impl Serving {
    fn start(mut device: impl Served + Send + 'static) -> Serving {
        let directory = tempfile::tempdir().expect("a directory");
        let path: PathBuf = directory.path().join("socket");
        let server = Server::bind(&path).expect("a server");
        let handle = server.stop_handle();
        let thread = thread::spawn(move || server.run(&mut device).expect("it serves"));
        Serving {
            address: format!("user:{}", path.display()),
            stop: Some((handle, thread)),
            _directory: directory,
        }
    }

    /// Runs a command, and another after it that reads configuration space: clients are served one after the other, so
    /// that a posted write of the first has arrived then.
    fn settled(&self, option: &str, verb: &str, arguments: &[&str]) -> Output {
        let output = self.regs_as(option, verb, arguments);
        let next = self.regs("get", &["config:0", "--width", "32"]);
        assert!(next.status.success(), "{next:?}");
        output
    }

    /// Finds out who the device is, as every command does that has to know.
    fn recognise(&self) {
        let path = self.address.trim_start_matches("user:");
        let client = Client::open(path, &self.address, PATIENCE).expect("the client opens");
        recognition(&client, &Choice::Recognised).expect("the device answers");
    }

    /// Finds out what the device can do, too.
    fn identify(&self) {
        let path = self.address.trim_start_matches("user:");
        let client = Client::open(path, &self.address, PATIENCE).expect("the client opens");
        let found = recognition(&client, &Choice::Recognised).expect("the device answers");
        let Recognition::Known(module) = found else {
            panic!("it is a BMU");
        };
        module.identify(&client).expect("it identifies itself");
    }

    fn regs(&self, verb: &str, arguments: &[&str]) -> Output {
        self.regs_as("", verb, arguments)
    }

    /// Runs a command on the device, whose address has `option`.
    fn regs_as(&self, option: &str, verb: &str, arguments: &[&str]) -> Output {
        let address = format!("{}{option}", self.address);
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        command.args(["regs", verb, &address]).args(arguments);
        command
            .stdin(Stdio::null())
            .output()
            .expect("hwpool starts")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.stop.take() {
            handle.stop();
            let _ = thread.join();
        }
    }
}

#[test]
fn a_register_of_ours_is_read_and_written_once_and_nothing_beside_it() {
    let model = SimDevice::new("bmu", SimConfig::default()).expect("a model");
    let monitor = model.monitor();
    let served = Serving::start(model);
    let made = |act: &dyn Fn()| {
        let before = monitor.counters();
        act();
        let made = monitor.counters().since(&before);
        assert_eq!(made.doorbells, 0);
        (made.mmio_reads, made.mmio_writes)
    };
    let (to_recognise, written) = made(&|| served.recognise());
    assert_eq!(
        (to_recognise, written),
        (1, 0),
        "the register that identifies it"
    );
    // Of a register that not every device has, what the device can do is read first.
    let (to_identify, written) = made(&|| served.identify());
    assert_eq!(written, 0);
    // Of a wide one, whether it has to be accessed as two halves.
    let to_split = 1;
    let place = ["get", "0:0x10", "--width", "64"];
    // With the reads that find out who it is, where the command has to know and its address does not say.
    let each: [(&str, &[&str], (u64, u64)); 8] = [
        ("", &["get", "SCRATCH"], (to_recognise + to_split + 1, 0)),
        ("", &["get", "ERR_COUNT[1]"], (to_recognise + 1, 0)),
        ("", &["set", "SCRATCH", "7"], (to_recognise + to_split, 1)),
        ("", &place, (to_recognise + 1, 0)),
        ("?driver=none", &place, (1, 0)),
        ("", &["set", "0:0x10", "8", "--width", "64"], (0, 1)),
        (
            "",
            &["get", "POOL_ALLOC[0]", "--with-effect"],
            (to_identify + 1, 0),
        ),
        ("", &["set", "SCRATCH", "9", "--dry-run"], (0, 0)),
    ];
    for (option, arguments, expected) in each {
        let found = made(&|| {
            let output = served.settled(option, arguments[0], &arguments[1..]);
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        });
        assert_eq!(found, expected, "{option} {arguments:?}");
    }
}

#[test]
fn a_served_fifo_answers_by_its_registers() {
    let config = SimConfig::new("fifo").expect("a model");
    let model = SimDevice::new("fifo", config).expect("a model");
    let monitor = model.monitor();
    let served = Serving::start(model);
    let get = |place: &str| {
        let output = served.settled("", "get", &[place, "--width", "32"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(get("0:0").contains("0x4f464946"));
    let set = served.settled("", "set", &["0:0x0c", "7", "--width", "32"]);
    assert!(set.status.success(), "{set:?}");
    assert!(get("0:0x0c").contains("0x00000007"));
    assert_eq!(monitor.violations(), []);
    let absent = served.regs("get", &["2:0", "--width", "32"]);
    assert!(!absent.status.success(), "a FIFO has no BAR 2");
}

#[test]
fn a_foreign_device_is_reached_by_every_width_with_one_access() {
    let log = Log::default();
    let served = Serving::start(Foreign::new(&log));
    let each: [(&str, &[&str], &str); 8] = [
        ("get", &["0:0x11", "--width", "8"], "read 1 at 0x11"),
        ("get", &["0:0x12", "--width", "16"], "read 2 at 0x12"),
        ("get", &["0:0x14", "--width", "32"], "read 4 at 0x14"),
        ("get", &["0:0x18", "--width", "64"], "read 8 at 0x18"),
        (
            "set",
            &["0:0x21", "1", "--width", "8"],
            "write [01] at 0x21",
        ),
        (
            "set",
            &["0:0x22", "0x302", "--width", "16"],
            "write [02, 03] at 0x22",
        ),
        (
            "set",
            &["0:0x24", "4", "--width", "32"],
            "write [04, 00, 00, 00] at 0x24",
        ),
        (
            "set",
            &["0:0x28", "5", "--width", "64"],
            "write [05, 00, 00, 00, 00, 00, 00, 00] at 0x28",
        ),
    ];
    let taken = || std::mem::take(&mut *log.lock().unwrap());
    served.recognise();
    let to_recognise = taken();
    assert!(to_recognise.iter().all(|made| made.starts_with("read 4")));
    for (verb, arguments, expected) in each {
        for option in ["", "?driver=none"] {
            let output = served.settled(option, verb, arguments);
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            // A read has to know whether it takes something from the device, unless its address says that nobody knows.
            let mut made = match (verb, option) {
                ("get", "") => to_recognise.clone(),
                _ => vec![],
            };
            made.push(expected.into());
            assert_eq!(taken(), made, "{option} {verb} {arguments:?}");
        }
    }
    let narrow = served.regs("get", &["0:0x11", "--width", "8"]);
    let text = String::from_utf8_lossy(&narrow.stdout).into_owned();
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>(),
        ["0:0x11", "0x11"]
    );
    let crooked = served.regs("get", &["0:0x11", "--width", "16"]);
    assert_eq!(crooked.status.code(), Some(3), "{crooked:?}");
    let wide = served.regs("set", &["0:0x20", "256", "--width", "8"]);
    assert_eq!(wide.status.code(), Some(2), "{wide:?}");
}

#[test]
fn names_of_our_registers_are_not_used_on_a_foreign_device() {
    let log = Log::default();
    let served = Serving::start(Foreign::new(&log));
    let each: [(&str, &[&str]); 3] = [
        ("get", &["SCRATCH"]),
        ("set", &["SCRATCH", "1"]),
        ("dump", &[]),
    ];
    served.recognise();
    let to_recognise = std::mem::take(&mut *log.lock().unwrap());
    for (verb, arguments) in each {
        let output = served.regs(verb, arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{verb}: {message}");
        assert!(
            message.contains("is 10ee:9038") && message.contains("--width"),
            "{message}"
        );
        assert!(
            message.contains("no bmu: BAR 0 has 0x1000 bytes"),
            "{message}"
        );
        let made = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(made, to_recognise, "nothing beside who it is");
        let output = served.regs_as("?driver=none", verb, arguments);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    }
    assert!(log.lock().unwrap().is_empty(), "{log:?}");
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bmu_with_ids_of_its_own_is_guarded_at_every_byte_of_an_allocation() {
    let model = SimDevice::new("bmu", SimConfig::default()).expect("a model");
    let monitor = model.monitor();
    let served = Serving::start(Renamed(model));
    let before = monitor.counters();
    served.recognise();
    let to_recognise = monitor.counters().since(&before).mmio_reads;
    // POOL_ALLOC of the first pool, and of the last, in BAR 2.
    for (at, pool) in [(0u64, 0), (0x3_f000, 63)] {
        for width in [8u64, 16, 32, 64] {
            for offset in (at..at + 8).step_by(width as usize / 8) {
                let place = format!("2:{offset:#x}");
                let before = monitor.counters();
                let output = served.regs("get", &[&place, "--width", &width.to_string()]);
                let text = message(&output);
                assert_eq!(output.status.code(), Some(2), "{place} {width}: {text}");
                let says = text.contains("POOL_ALLOC") && text.contains("--with-effect");
                assert!(says, "{place} {width} of pool {pool}: {text}");
                let made = monitor.counters().since(&before).mmio_reads;
                assert_eq!(made, to_recognise, "{place} {width} was read");
            }
        }
    }
    for option in ["", "?driver=bmu"] {
        let refused = served.regs_as(option, "get", &["POOL_ALLOC[0]"]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let place = ["2:0x0", "--width", "64"];
        let refused = served.regs_as(option, "get", &place);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let wanted = served.regs_as(option, "get", &[&place[..], &["--with-effect"]].concat());
        assert!(wanted.status.success(), "{wanted:?}");
        let by_name = served.regs_as(option, "get", &["MAGIC"]);
        assert!(by_name.status.success(), "{by_name:?}");
    }
}

#[test]
fn a_read_of_a_device_that_nobody_knows_is_warned_of() {
    let log = Log::default();
    let served = Serving::start(Foreign::new(&log));
    for option in ["", "?driver=none"] {
        let output = served.regs_as(option, "get", &["0:0x11", "--width", "8"]);
        let text = message(&output);
        assert!(output.status.success(), "{text}");
        assert!(
            text.contains("can't know what a read of 0:0x11 does"),
            "{text}"
        );
    }
    let model = SimDevice::new("bmu", SimConfig::default()).expect("a model");
    let served = Serving::start(Renamed(model));
    let output = served.regs("get", &["0:0x10", "--width", "32"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        message(&output),
        "",
        "of one that is known nobody is warned"
    );
}

#[test]
fn a_driver_that_does_not_exist_is_a_mistake_of_who_named_it() {
    let log = Log::default();
    let served = Serving::start(Foreign::new(&log));
    let each: [(&str, &[&str]); 3] = [
        ("get", &["SCRATCH"]),
        ("get", &["0:0x10", "--width", "32"]),
        ("dump", &[]),
    ];
    for (verb, arguments) in each {
        let output = served.regs_as("?driver=bmw", verb, arguments);
        let text = message(&output);
        assert_eq!(output.status.code(), Some(2), "{verb}: {text}");
        assert!(text.contains("no driver `bmw`; there is bmu"), "{text}");
        assert!(text.contains("or none"), "{text}");
    }
    assert!(log.lock().unwrap().is_empty(), "{log:?}");
}

#[test]
fn a_dry_run_opens_no_device() {
    for register in [&["SCRATCH"][..], &["0:0x10", "--width", "64"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        command
            .args(["regs", "set", "user:/nobody/is/here"])
            .args(&register[..1]);
        command.args(["5", "--dry-run"]).args(&register[1..]);
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("hwpool starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert!(
            text.starts_with("would write 0x0000000000000005 to "),
            "{text}"
        );
    }
}

/// The model has no narrow registers: it says so, and the access is not widened.
#[test]
fn a_model_takes_no_narrow_access() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    command.args(["regs", "get", "sim:bmu", "0:0", "--width", "16"]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("hwpool starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("32 and 64 bits only"), "{message}");
}

/// Areas of a file that could be shortened are not mapped: one line says so, and how many they are.
#[test]
fn areas_that_can_not_be_mapped_are_told_of_once() {
    let mut device = Foreign::new(&Log::default());
    let file = tempfile::tempfile().expect("a file");
    file.set_len(9 * PAGE).expect("a size");
    (device.bar, device.file) = (vec![0; 9 * PAGE as usize], Some(file));
    let served = Serving::start(device);
    let output = served.regs("get", &["0:0x10", "--width", "32"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = said.lines().filter(|line| line.contains("can't be mapped"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("areas=9"), "{said}");
}

/// Whatever a verb wants of a device that no module knows, it says what the device is, and that none does.
#[test]
fn a_card_that_nobody_knows_is_told_by_what_it_is() {
    let log = Log::default();
    let served = Serving::start(Foreign::card(&log));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.expect("hwpool starts");
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        (output.status.code(), said.concat())
    };
    let (code, info) = run(&["info", &served.address]);
    assert_eq!(code, Some(0), "{info}");
    for fact in [
        "494f:0dc8, class 088000",
        "no MSI-X",
        "2: 8 bytes",
        "no memory BAR 0",
    ] {
        assert!(info.contains(fact), "{fact}: {info}");
    }
    let verbs: [(&[&str], i32); 3] = [
        (&["bringup"], 1),
        (&["soak", "--seconds=1"], 3),
        (&["bench", "--time=1"], 3),
    ];
    for (verb, expected) in verbs {
        let (code, said) = run(&[&verb[..1], &[served.address.as_str()], &verb[1..]].concat());
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(code, Some(expected), "{verb:?}: {said}");
        for fact in ["does not know this device (494f:0dc8", "class 088000"] {
            assert!(said.contains(fact), "{verb:?}: {fact}: {said}");
        }
    }
    let written = log
        .lock()
        .unwrap()
        .iter()
        .any(|made| !made.starts_with("read"));
    assert!(!written, "nothing was written to a stranger");
}
