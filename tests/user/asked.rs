//! Memory without a file: a served model asks its client for every word, and the client may be in the midst of asking it.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bmu::regs;
use hwpool::sim::SimConfig;
use hwpool::user::SimDevice;
use hwpool::user::codec::{
    Capabilities, Command, DmaAccess, DmaMap, Header, RegionAccess, Version,
};
use hwpool::user::server::{
    self, ClientMemory, DmaMapping, Errno, Lines, Peer as Client, RegionDescription, Served, Server,
};

use crate::peer::{Got, Peer, message};

const MEMORY: u64 = 0x10_0000;
const RELEASE: u64 = MEMORY;
const ACQUIRE: u64 = MEMORY + 0x400;
const STATUS: u64 = MEMORY + 0x800;
const BUFFERS: u64 = 1 << 36;
const STRIDE: u64 = 2048;
const CONFIG: u32 = 7;
const DMA_FAULT: u32 = 1 << 6;
const PATIENT: Duration = Duration::from_secs(20);

/// A hypervisor that shares no memory: it answers what the device asks while it waits for an answer itself.
struct Host {
    peer: Peer,
    memory: Vec<u8>,
    /// What was asked for, in order.
    asked: Vec<(Command, DmaAccess)>,
    refuses: Option<Command>,
}

fn model(mode: &str) -> SimDevice {
    let mut config = SimConfig::default();
    config.set("mode", mode).unwrap();
    SimDevice::new("bmu", config).unwrap()
}

fn serve(mode: &'static str) -> (UnixStream, thread::JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut device = model(mode);
    let serving = thread::spawn(move || server::serve_stream(theirs, &mut device));
    (ours, serving)
}

impl Host {
    /// Greets as one that takes `most` bytes of data in one message.
    fn new(stream: UnixStream, most: u64) -> Host {
        let mut peer = Peer::new(stream);
        let version = Version {
            major: 0,
            minor: 1,
            capabilities: Capabilities {
                max_data_xfer_size: most,
                ..Capabilities::default()
            },
        };
        peer.ask(Command::Version, |m| version.encode(m)).ok();
        Host {
            peer,
            memory: vec![0; 0x1000],
            asked: Vec::new(),
            refuses: None,
        }
    }

    /// Asks, and answers what is asked until the reply comes.
    fn ask(&mut self, command: Command, body: impl FnOnce(&mut Vec<u8>)) -> Got {
        self.peer.command(command, body);
        loop {
            let got = self.peer.next();
            if got.header.is_reply() {
                assert_eq!(got.header.command, command as u16, "{got:?}");
                return got;
            }
            self.answer(&got);
        }
    }

    fn answer(&mut self, got: &Got) {
        let command = Command::from_number(got.header.command).expect("a command");
        let access = DmaAccess::decode(&got.payload).unwrap();
        self.asked.push((command, access));
        if self.refuses == Some(command) {
            let refusal = got.header.refusal(libc::EFAULT);
            return self.peer.send(&message(&refusal, |_| ()), &[]);
        }
        let start = (access.address - MEMORY) as usize;
        let place = &mut self.memory[start..][..access.count as usize];
        let reply = message(&got.header.reply(), |m| {
            access.encode(m);
            match command {
                Command::DmaRead => m.extend_from_slice(place),
                Command::DmaWrite => place.copy_from_slice(&got.payload[DmaAccess::SIZE..]),
                other => panic!("{other:?} is no access to memory"),
            }
        });
        self.peer.send(&reply, &[]);
    }

    fn map(&mut self, readable: bool, writable: bool, address: u64, size: u64) -> Got {
        let offset = 0;
        let map = DmaMap {
            readable,
            writable,
            offset,
            address,
            size,
        };
        self.ask(Command::DmaMap, |m| map.encode(m))
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) {
        let count = data.len() as u32;
        let access = RegionAccess {
            offset,
            region,
            count,
        };
        let done = self.ask(Command::RegionWrite, |m| {
            access.encode(m);
            m.extend_from_slice(data);
        });
        done.ok();
    }

    fn read(&mut self, offset: u64) -> u32 {
        let access = RegionAccess {
            offset,
            region: 0,
            count: 4,
        };
        let reply = self.ask(Command::RegionRead, |m| access.encode(m)).ok();
        u32::from_ne_bytes(*reply.last_chunk().unwrap())
    }

    fn narrow(&mut self, offset: u64, value: u32) {
        self.write(0, offset, &value.to_ne_bytes());
    }

    fn wide(&mut self, offset: u64, value: u64) {
        self.write(0, offset, &value.to_ne_bytes());
    }

    /// Makes a pool and a running portal with rings of 16 entries, one credit, and `buffers` release entries.
    fn start(&mut self, buffers: u64) {
        for n in 0..buffers {
            let entry = (BUFFERS + n * STRIDE) | 1;
            self.memory[8 * n as usize..][..8].copy_from_slice(&entry.to_ne_bytes());
        }
        self.write(CONFIG, 4, &[6, 0]);
        self.narrow(regs::CONTROL.row().offset(), 1);
        self.wide(regs::POOL_BASE.row().offset_of(0), BUFFERS);
        self.wide(regs::POOL_END.row().offset_of(0), BUFFERS + 64 * STRIDE);
        self.narrow(regs::POOL_STRIDE.row().offset_of(0), STRIDE as u32);
        self.narrow(regs::POOL_CAPACITY.row().offset_of(0), 64);
        self.narrow(regs::POOL_CONTROL.row().offset_of(0), 1);
        self.narrow(regs::PORTAL_SIZES.row().offset_of(0), 4 << 8 | 4);
        self.wide(regs::PORTAL_RELEASE_BASE.row().offset_of(0), RELEASE);
        self.wide(regs::PORTAL_ACQUIRE_BASE.row().offset_of(0), ACQUIRE);
        self.wide(regs::PORTAL_STATUS_BASE.row().offset_of(0), STATUS);
        self.narrow(regs::PORTAL_CREDITS.row().offset_of(0), 1);
        self.narrow(regs::PORTAL_HYSTERESIS.row().offset_of(0), 1);
        self.narrow(regs::PORTAL_CONTROL.row().offset_of(0), 1);
    }

    /// Announces release entries, by a message.
    fn ring(&mut self, tail: u64) {
        let doorbell = regs::PORTAL_DOORBELL.row().offset_of(0);
        self.write(
            u32::from(regs::OPERATION_BAR),
            doorbell,
            &tail.to_ne_bytes(),
        );
    }

    fn await_value(&mut self, offset: u64, value: u32) {
        let deadline = Instant::now() + PATIENT;
        while self.read(offset) != value {
            assert!(Instant::now() < deadline, "{offset:#x} is not {value}");
        }
    }

    fn errors(&mut self) -> u32 {
        self.read(regs::ERR_STATUS.row().offset())
    }

    fn word(&self, address: u64) -> u64 {
        let start = (address - MEMORY) as usize;
        u64::from_ne_bytes(*self.memory[start..].first_chunk().unwrap())
    }
}

#[test]
fn a_model_reaches_memory_without_a_file_in_pieces_that_its_client_takes() {
    for mode in ["threaded", "stepped"] {
        // Of 20 bytes a word would come in two pieces.
        for (most, piece) in [(1 << 20, 64), (20, 16), (8, 8), (3, 3)] {
            let (stream, serving) = serve(mode);
            let mut host = Host::new(stream, most);
            host.map(true, true, MEMORY, 0x1000).ok();
            host.start(8);
            host.ring(8);
            host.await_value(regs::PORTAL_RELEASE_HEAD.row().offset_of(0), 8);
            assert_eq!(host.errors(), 0, "{mode}, {most}");
            let longest = host.asked.iter().map(|(_, access)| access.count).max();
            assert_eq!(longest, Some(piece), "{mode}, {most}");
            let deadline = Instant::now() + PATIENT;
            while host.word(STATUS) as u32 != 8 {
                assert!(Instant::now() < deadline, "no status line counts them");
                host.errors(); // time goes on by accesses
            }
            let acquired = host.word(ACQUIRE) & !0x3f;
            assert!((BUFFERS..BUFFERS + 8 * STRIDE).contains(&acquired));
            drop(host);
            serving.join().unwrap();
        }
    }
}

/// Halts a portal by `spoil`, and sees the fault and a server that goes on.
fn faults(spoil: impl Fn(&mut Host)) {
    for mode in ["threaded", "stepped"] {
        let (stream, serving) = serve(mode);
        let mut host = Host::new(stream, 1 << 20);
        spoil(&mut host);
        host.start(1);
        host.ring(1);
        host.await_value(regs::ERR_STATUS.row().offset(), DMA_FAULT);
        assert_eq!(host.read(0), 0x3155_4d42, "it answers");
        drop(host);
        serving.join().unwrap();
    }
}

#[test]
fn what_a_client_refuses_is_a_dma_fault() {
    for command in [Command::DmaRead, Command::DmaWrite] {
        faults(|host| {
            host.map(true, true, MEMORY, 0x1000).ok();
            host.refuses = Some(command);
        });
    }
}

#[test]
fn memory_that_may_not_be_written_or_read_is_a_dma_fault_and_nobody_is_asked() {
    for (readable, writable, refused) in [
        (true, false, Command::DmaWrite),
        (false, true, Command::DmaRead),
        (false, false, Command::DmaRead),
    ] {
        let (stream, serving) = serve("threaded");
        let mut host = Host::new(stream, 1 << 20);
        host.map(readable, writable, MEMORY, 0x1000).ok();
        host.start(1);
        host.ring(1);
        host.await_value(regs::ERR_STATUS.row().offset(), DMA_FAULT);
        assert!(host.asked.iter().all(|(command, _)| *command != refused));
        drop(host);
        serving.join().unwrap();
    }
}

#[test]
fn memory_beyond_what_the_device_can_reach_is_accepted_and_a_fault() {
    let high = 1 << 60;
    let (stream, serving) = serve("threaded");
    let mut host = Host::new(stream, 1 << 20);
    host.map(true, true, high, 0x1000).ok();
    host.start(1);
    assert_eq!(host.asked, []);
    host.ring(1);
    host.await_value(regs::ERR_STATUS.row().offset(), DMA_FAULT);
    drop(host);
    serving.join().unwrap();
}

#[test]
fn memory_that_was_taken_back_is_asked_for_no_more() {
    let (stream, serving) = serve("threaded");
    let mut host = Host::new(stream, 1 << 20);
    host.map(true, true, MEMORY, 0x1000).ok();
    let unmap = hwpool::user::codec::DmaUnmap {
        all: false,
        dirty_pages: false,
        address: MEMORY,
        size: 0x1000,
    };
    host.ask(Command::DmaUnmap, |m| unmap.encode(m)).ok();
    host.start(1);
    host.ring(1);
    host.await_value(regs::ERR_STATUS.row().offset(), DMA_FAULT);
    assert_eq!(host.asked, []);
    drop(host);
    serving.join().unwrap();
}

/// A client that is silent where it is asked is cut off; the next one finds the fault, and a device that works.
#[test]
fn a_client_that_does_not_answer_is_cut_off_and_the_next_finds_the_fault() {
    let path = std::env::temp_dir().join(format!("hwpool-asked-{}.sock", std::process::id()));
    let server = Server::bind(&path)
        .unwrap()
        .patience(Duration::from_secs(2));
    let stop = server.stop_handle();
    let serving = thread::spawn(move || server.run(&mut model("threaded")).unwrap());
    let mut host = Host::new(UnixStream::connect(&path).unwrap(), 1 << 20);
    host.map(true, true, MEMORY, 0x1000).ok();
    host.start(1);
    let doorbell = RegionAccess {
        offset: regs::PORTAL_DOORBELL.row().offset_of(0),
        region: regs::OPERATION_BAR.into(),
        count: 8,
    };
    host.peer.command(Command::RegionWrite, |m| {
        doorbell.encode(m);
        m.extend(1u64.to_ne_bytes());
    });
    let asked = host.peer.next();
    assert_eq!(asked.header.command, Command::DmaRead as u16);
    while !host.peer.is_closed() {}
    let mut next = Host::new(UnixStream::connect(&path).unwrap(), 1 << 20);
    assert_eq!(next.errors(), DMA_FAULT);
    next.ask(Command::DeviceReset, |_| ()).ok();
    next.map(true, true, MEMORY, 0x1000).ok();
    next.start(2);
    next.ring(2);
    next.await_value(regs::PORTAL_RELEASE_HEAD.row().offset_of(0), 2);
    drop(next);
    stop.stop();
    serving.join().unwrap();
}

/// Posts are acted on in order, though each may have the device ask for memory before the next is looked at.
#[test]
fn commands_behind_one_that_asks_for_memory_wait_their_turn() {
    let (stream, serving) = serve("threaded");
    let mut host = Host::new(stream, 1 << 20);
    host.map(true, true, MEMORY, 0x1000).ok();
    host.start(16);
    let doorbell = regs::PORTAL_DOORBELL.row().offset_of(0);
    let rings: Vec<u8> = (1..=16u64)
        .flat_map(|tail| {
            message(&Header::posted(9, Command::RegionWrite), |m| {
                let (region, count) = (regs::OPERATION_BAR.into(), 8);
                RegionAccess {
                    offset: doorbell,
                    region,
                    count,
                }
                .encode(m);
                m.extend(tail.to_ne_bytes());
            })
        })
        .collect();
    host.peer.write(&rings);
    host.await_value(regs::PORTAL_RELEASE_HEAD.row().offset_of(0), 16);
    assert_eq!(host.errors(), 0);
    let reads = host
        .asked
        .iter()
        .filter(|(command, _)| *command == Command::DmaRead);
    assert_eq!(reads.count(), 16, "each doorbell announced one");
    drop(host);
    serving.join().unwrap();
}

/// A device whose own thread reads memory whenever its region is written, and the server's thread does not wait for it.
struct Reader {
    lines: Arc<Lines>,
    memory: Option<ClientMemory>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Served for Reader {
    fn region(&self, _: u32) -> Option<RegionDescription<'_>> {
        Some(RegionDescription {
            size: 0x1000,
            readable: true,
            writable: true,
            mapping: None,
        })
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    fn read(&mut self, _: &mut Client, _: u32, _: u64, _: &mut [u8]) -> Result<(), Errno> {
        Ok(())
    }

    fn write(&mut self, _: &mut Client, _: u32, _: u64, _: &[u8]) -> Result<(), Errno> {
        if let Some(reading) = self.reading.take() {
            reading.join().expect("it has read");
        }
        let memory = self.memory.clone().expect("it was mapped");
        let read = move || memory.read(MEMORY, &mut [0; 8]).expect("it is mapped");
        self.reading = Some(thread::spawn(read));
        Ok(())
    }

    fn dma_map(&mut self, client: &mut Client, _: DmaMapping) -> Result<(), Errno> {
        self.memory = Some(client.memory()?);
        Ok(())
    }

    fn dma_unmap(&mut self, _: u64, _: u64) {}

    fn reset(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

/// Its answer and a command come in one piece: the device's thread receives both, and the server's must hear of it.
#[test]
fn a_command_that_the_devices_thread_has_received_is_answered() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut device = Reader {
        lines: Arc::new(Lines::new([0; 5])),
        memory: None,
        reading: None,
    };
    let serving = thread::spawn(move || server::serve_stream(theirs, &mut device));
    let mut host = Host::new(ours, 1 << 20);
    host.map(true, true, MEMORY, 0x1000).ok();
    for _ in 0..200 {
        host.peer.command(Command::RegionWrite, |m| {
            let (offset, region, count) = (0, 0, 1);
            RegionAccess {
                offset,
                region,
                count,
            }
            .encode(m);
            m.push(0);
        });
        // The reply and the question come in any order.
        let (first, second) = (host.peer.next(), host.peer.next());
        let (asked, done) = match first.header.is_reply() {
            true => (second, first),
            false => (first, second),
        };
        done.ok();
        let access = DmaAccess::decode(&asked.payload).unwrap();
        let mut both = message(&asked.header.reply(), |m| {
            access.encode(m);
            m.extend([0; 8]);
        });
        both.extend(message(&Header::command(7, Command::DeviceReset), |_| ()));
        host.peer.write(&both);
        let reset = host.peer.next();
        assert_eq!(reset.header.command, Command::DeviceReset as u16);
        reset.ok();
    }
    drop(host);
    serving.join().unwrap();
}
