//! Our server against scripted clients: what it answers, what it refuses, what it survives.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use hwpool::devices::bus::{Bar, DmaError, DmaSource, Iova, Transport};
use hwpool::sim::SimConfig;
use hwpool::user::codec::*;
use hwpool::user::server::{
    self, DmaMapping, Errno, Lines, Peer as Memory, RegionDescription, RegionMapping, Served,
};
use hwpool::user::{Client, PATIENCE, SimDevice, UserWrite};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;

use crate::peer::{Got, Peer, Traced, message, sealed};

const MSIX: u32 = 2;
const VECTORS: u32 = 40;
const BAR_SIZE: u64 = 0x2000;

/// What a device was asked for, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// A device that notes what is asked of it. Region 0 is memory; a write of 8 bytes to region 1 has it copy 16 bytes
/// of the client's memory from there to 4 KiB further on.
pub(crate) struct Scripted {
    lines: Arc<Lines>,
    bar: Vec<u8>,
    file: File,
    bell: EventFd,
    page_sizes: u64,
    log: Log,
}

impl Scripted {
    pub(crate) fn new() -> Scripted {
        let file = File::from(memfd_create(c"bar", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(BAR_SIZE).unwrap();
        Scripted {
            lines: Arc::new(Lines::new([1, 0, VECTORS, 0, 0])),
            bar: vec![0; BAR_SIZE as usize],
            file,
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC).unwrap(),
            page_sizes: 4096,
            log: Log::default(),
        }
    }

    fn note(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }
}

impl Served for Scripted {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        let mapping = RegionMapping {
            file: self.file.as_fd(),
            offset: 0,
            areas: vec![SparseArea {
                offset: 0x1000,
                size: 0x1000,
            }],
        };
        (index < 3).then(|| RegionDescription {
            size: BAR_SIZE,
            readable: index < 2,
            writable: true,
            mapping: (index == 0).then_some(mapping),
        })
    }

    fn io_fds(&self, region: u32) -> (Vec<IoFd>, Vec<BorrowedFd<'_>>) {
        match region {
            0 => {
                let part = IoFd {
                    offset: 0x10,
                    size: 8,
                    fd_index: 0,
                    kind: 0,
                    flags: 0,
                    data: 0,
                };
                (
                    vec![
                        part,
                        IoFd {
                            offset: 0x20,
                            ..part
                        },
                    ],
                    vec![self.bell.as_fd()],
                )
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    fn read(&mut self, _: &mut Memory, _: u32, at: u64, data: &mut [u8]) -> Result<(), Errno> {
        data.copy_from_slice(&self.bar[at as usize..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, peer: &mut Memory, region: u32, at: u64, data: &[u8]) -> Result<(), Errno> {
        if region == 0 {
            self.bar[at as usize..][..data.len()].copy_from_slice(data);
            return Ok(());
        }
        let iova = u64::from_le_bytes(data.try_into().map_err(|_| Errno(libc::EDOM))?);
        let mut copy = [0; 16];
        peer.dma_read(iova, &mut copy)?;
        peer.dma_write(iova + 0x1000, &copy)
    }

    fn page_sizes(&self) -> u64 {
        self.page_sizes
    }

    fn dma_map(&mut self, _: &mut Memory, mapping: DmaMapping) -> Result<(), Errno> {
        let file = mapping.file.is_some();
        self.note(format!(
            "map {:#x}+{:#x} file {file}",
            mapping.iova, mapping.size
        ));
        Ok(())
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) {
        self.note(format!("unmap {iova:#x}+{size:#x}"));
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.note("reset".into());
        Ok(())
    }

    fn disconnected(&mut self) {
        self.note("gone".into());
    }
}

/// A client of a server that serves a scripted device.
struct Rig {
    client: Peer,
    log: Log,
    lines: Arc<Lines>,
    server: thread::JoinHandle<Scripted>,
}

impl Rig {
    /// Starts the server; nothing was said yet.
    fn silent() -> Rig {
        Rig::over(Scripted::new())
    }

    fn over(mut device: Scripted) -> Rig {
        let (ours, theirs) = UnixStream::pair().unwrap();
        Rig {
            client: Peer::new(ours),
            log: Arc::clone(&device.log),
            lines: Arc::clone(&device.lines),
            server: thread::spawn(move || {
                server::serve_stream(theirs, &mut device);
                device
            }),
        }
    }

    fn new() -> Rig {
        let mut rig = Rig::silent();
        rig.client.greet();
        rig
    }

    /// Ends the client and returns the device with what it was asked for.
    fn end(self) -> (Scripted, Vec<String>) {
        drop(self.client);
        let device = self.server.join().expect("the server did not panic");
        let log = self.log.lock().unwrap().clone();
        (device, log)
    }

    /// The connection must still be in step: asks something simple.
    #[track_caller]
    fn assert_in_step(&mut self) {
        let info = DeviceInfo::default();
        let reply = self
            .client
            .ask(Command::DeviceGetInfo, |m| info.encode(m))
            .ok();
        assert_eq!(DeviceInfo::decode(&reply).unwrap().regions, 9);
    }

    fn region_info(&mut self, argsz: u32, index: u32) -> Got {
        let request = RegionInfoRequest { argsz, index };
        self.client
            .ask(Command::GetRegionInfo, |m| request.encode(m))
    }

    fn region_io_fds(&mut self, argsz: u32, index: u32) -> Got {
        let request = IoFdsRequest { argsz, index };
        self.client
            .ask(Command::GetRegionIoFds, |m| request.encode(m))
    }

    fn read(&mut self, region: u32, offset: u64, count: u32) -> Got {
        let access = RegionAccess {
            offset,
            region,
            count,
        };
        self.client.ask(Command::RegionRead, |m| access.encode(m))
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Got {
        self.client.ask(Command::RegionWrite, |m| {
            encode_write(m, region, offset, data)
        })
    }

    fn map(&mut self, address: u64, size: u64) -> Got {
        let map = DmaMap {
            readable: true,
            writable: true,
            offset: 0,
            address,
            size,
        };
        self.client.ask(Command::DmaMap, |m| map.encode(m))
    }

    fn unmap(&mut self, address: u64, size: u64, all: bool) -> Got {
        let unmap = DmaUnmap {
            all,
            dirty_pages: false,
            address,
            size,
        };
        self.client.ask(Command::DmaUnmap, |m| unmap.encode(m))
    }

    fn irqs(&mut self, request: SetIrqs<'_>, fds: &[EventFd]) -> Got {
        let raw: Vec<_> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
        self.client
            .ask_with(Command::SetIrqs, &raw, |m| request.encode(m))
    }
}

fn encode_write(m: &mut Vec<u8>, region: u32, offset: u64, data: &[u8]) {
    RegionAccess {
        offset,
        region,
        count: data.len() as u32,
    }
    .encode(m);
    m.extend_from_slice(data);
}

fn errno(errno: Errno) -> i32 {
    errno.0
}

#[test]
fn versions_are_agreed_upon() {
    let mut rig = Rig::silent();
    let version = rig.client.greet();
    assert_eq!((version.major, version.minor), (0, 1));
    assert!(version.capabilities.write_multiple);
    // QEMU attaches to no server that announces more.
    assert_eq!(version.capabilities.max_msg_fds, 16);
    let again = Version {
        major: 0,
        minor: 1,
        capabilities: Capabilities::default(),
    };
    let refused = rig.client.ask(Command::Version, |m| again.encode(m));
    assert_eq!(refused.errno(), errno(Errno::EINVAL));
    rig.assert_in_step();
}

#[test]
fn an_older_minor_version_and_no_text_will_do() {
    let mut rig = Rig::silent();
    let reply = rig.client.ask(Command::Version, |m| m.extend([0; 4])).ok();
    assert_eq!(Version::decode(&reply).unwrap().minor, 0);
    rig.assert_in_step();
}

#[test]
fn a_bad_beginning_is_an_end() {
    let wrong_major = |m: &mut Vec<u8>| m.extend([1, 0, 0, 0]);
    let no_text = |m: &mut Vec<u8>| m.extend(b"\0\0\0\0{nonsense\0");
    let short = |m: &mut Vec<u8>| m.extend([0; 3]);
    type Body<'a> = &'a dyn Fn(&mut Vec<u8>);
    let bodies: [(Command, Body<'_>); 4] = [
        (Command::Version, &wrong_major),
        (Command::Version, &no_text),
        (Command::Version, &short),
        (Command::DeviceReset, &|_| ()),
    ];
    for (command, body) in bodies {
        let mut rig = Rig::silent();
        assert_ne!(rig.client.ask(command, body).errno(), 0);
        assert!(rig.client.is_closed(), "{command:?}");
        assert_eq!(rig.end().1, ["gone"]);
    }
}

#[test]
fn a_message_shorter_than_its_header_ends_the_connection() {
    let mut rig = Rig::new();
    let mut bytes = message(&Header::command(1, Command::DeviceReset), |_| ());
    bytes[4..8].copy_from_slice(&8u32.to_ne_bytes());
    rig.client.write(&bytes);
    assert!(rig.client.is_closed());
}

#[test]
fn unknown_commands_are_drained_and_refused() {
    let mut rig = Rig::new();
    for (number, expected) in [
        (0, Errno::EOPNOTSUPP),
        (14, Errno::EOPNOTSUPP),
        (16, Errno::ENOTTY),
        (99, Errno::EOPNOTSUPP),
    ] {
        let header = Header {
            command: number,
            ..Header::command(3, Command::DeviceReset)
        };
        rig.client
            .write(&message(&header, |m| m.extend([0xaa; 5000])));
        let got = rig.client.next();
        assert_eq!(
            (got.header.id, got.header.command, got.errno()),
            (3, number, errno(expected))
        );
        rig.assert_in_step();
    }
    for command in [Command::DmaRead, Command::DmaWrite] {
        let refused = rig.client.ask(command, |m| m.extend([0; 16]));
        assert_eq!(
            refused.errno(),
            errno(Errno::EINVAL),
            "the server's own to send"
        );
    }
}

#[test]
fn a_message_that_is_too_long_is_drained_and_refused() {
    let mut rig = Rig::new();
    let bytes = message(&Header::command(5, Command::RegionWrite), |m| {
        m.resize(3 << 20, 0x55)
    });
    rig.client.write(&bytes);
    assert_eq!(rig.client.next().errno(), errno(Errno::EMSGSIZE));
    rig.assert_in_step();
}

#[test]
fn descriptors_of_messages_that_are_refused_are_closed() {
    let mut rig = Rig::new();
    let unknown = Header {
        command: 99,
        ..Header::command(3, Command::DeviceReset)
    };
    let read = RegionAccess {
        offset: 0,
        region: 0,
        count: 4,
    };
    let irqs = message(&Header::command(3, Command::SetIrqs), |m| {
        eventfds(0, 2).encode(m)
    });
    let map = DmaMap {
        readable: true,
        writable: true,
        offset: 0,
        address: 0x1000,
        size: 0x1000,
    };
    let cases = [
        (
            "unknown",
            message(&unknown, |_| ()),
            3,
            Some(Errno::EOPNOTSUPP),
        ),
        (
            "short",
            message(&Header::command(3, Command::DmaMap), |m| m.extend([0; 8])),
            1,
            Some(Errno::EINVAL),
        ),
        (
            "two files for one mapping",
            message(&Header::command(3, Command::DmaMap), |m| map.encode(m)),
            2,
            Some(Errno::EINVAL),
        ),
        ("one eventfd too many", irqs.clone(), 3, Some(Errno::EINVAL)),
        (
            "more than one message may have",
            irqs,
            70,
            Some(Errno::EMFILE),
        ),
        (
            "too long, at its beginning",
            message(&Header::command(3, Command::RegionWrite), |m| {
                m.resize(3 << 20, 0)
            }),
            1,
            Some(Errno::EMSGSIZE),
        ),
        (
            "of no use to the command",
            message(&Header::command(3, Command::RegionRead), |m| read.encode(m)),
            1,
            None,
        ),
    ];
    for (what, bytes, count, expected) in cases {
        let traced = Traced::new();
        rig.client.send(&bytes, &vec![traced.raw(); count]);
        let got = rig.client.next();
        match expected {
            Some(expected) => assert_eq!(got.errno(), errno(expected), "{what}"),
            None => assert!(!got.header.is_error(), "{what}"),
        }
        traced.assert_dropped(what);
        rig.assert_in_step();
    }
}

#[test]
fn descriptors_amid_a_message_that_is_too_long_are_closed_and_not_the_next_ones() {
    let mut rig = Rig::new();
    let bytes = message(&Header::command(5, Command::RegionWrite), |m| {
        m.resize(2 << 20, 0x55)
    });
    let (first, rest) = bytes.split_at(100_000);
    let (middle, last) = rest.split_at(100_000);
    let traced = Traced::new();
    rig.client.write(first);
    assert_eq!(rig.client.next().errno(), errno(Errno::EMSGSIZE));
    rig.client.send(middle, &[traced.raw()]);
    traced.assert_dropped("in the middle");
    rig.client.write(last);
    rig.map(0x1000, 0x1000).ok();
    assert_eq!(rig.end().1[0], "map 0x1000+0x1000 file false");
}

#[test]
fn descriptors_with_a_reply_that_nobody_waits_for_are_closed() {
    let mut rig = Rig::new();
    let traced = Traced::new();
    let header = Header::command(9, Command::DmaRead).reply();
    rig.client.send(&message(&header, |_| ()), &[traced.raw()]);
    traced.assert_dropped("a stray reply");
    rig.assert_in_step();
}

#[test]
fn a_second_socket_is_not_agreed_to() {
    let mut rig = Rig::silent();
    let version = Version {
        major: 0,
        minor: 1,
        capabilities: Capabilities {
            twin_socket: true,
            ..Capabilities::default()
        },
    };
    let reply = rig.client.ask(Command::Version, |m| version.encode(m));
    assert!(reply.fds.is_empty());
    let agreed = Version::decode(&reply.ok()).unwrap();
    assert!(!agreed.capabilities.twin_socket);
    rig.assert_in_step();
}

#[test]
fn messages_may_come_in_any_pieces() {
    let mut rig = Rig::new();
    let info = DeviceInfo::default();
    let one = message(&Header::command(7, Command::DeviceGetInfo), |m| {
        info.encode(m)
    });
    for byte in &one {
        rig.client.write(&[*byte]);
    }
    assert_eq!(rig.client.next().ok().len(), 16);
    rig.client.write(&[&one[..], &one, &one[..9]].concat());
    assert_eq!(rig.client.next().ok().len(), 16);
    assert_eq!(rig.client.next().ok().len(), 16);
    rig.client.write(&one[9..]);
    assert_eq!(rig.client.next().ok().len(), 16);
}

/// Commands whose payload begins with an argsz that must count all of it, with its bytes.
const COUNTED: [(Command, usize); 7] = [
    (Command::DmaMap, 32),
    (Command::DmaUnmap, 24),
    (Command::DeviceGetInfo, 16),
    (Command::GetRegionInfo, 32),
    (Command::GetRegionIoFds, 16),
    (Command::GetIrqInfo, 16),
    (Command::SetIrqs, 20),
];

#[test]
fn every_payload_that_is_too_short_is_refused() {
    let mut rig = Rig::new();
    let others = [
        (Command::RegionRead, 16),
        (Command::RegionWrite, 16),
        (Command::RegionWriteMulti, 8),
    ];
    for (command, least) in COUNTED.into_iter().chain(others) {
        for len in 0..least {
            let refused = rig.client.ask(command, |m| m.resize(m.len() + len, 0));
            assert_eq!(
                refused.errno(),
                errno(Errno::EINVAL),
                "{command:?} of {len} bytes"
            );
        }
    }
    rig.assert_in_step();
}

#[test]
fn regions_are_described_with_file_and_areas() {
    let mut rig = Rig::new();
    let small = rig.region_info(32, 0);
    assert_eq!(small.fds.len(), 0);
    let info = RegionInfo::decode(&small.ok()).unwrap();
    assert_eq!((info.argsz, info.areas.len(), info.size), (64, 0, BAR_SIZE));
    let mut whole = rig.region_info(64, 0);
    let fds = std::mem::take(&mut whole.fds);
    assert_eq!(fds.len(), 1);
    let info = RegionInfo::decode(&whole.ok()).unwrap();
    assert_eq!(
        info.areas,
        [SparseArea {
            offset: 0x1000,
            size: 0x1000
        }]
    );
    assert!(info.mappable && info.readable && info.writable);
    let absent = RegionInfo::decode(&rig.region_info(4096, 8).ok()).unwrap();
    assert_eq!((absent.size, absent.mappable), (0, false));
    assert_eq!(rig.region_info(31, 0).errno(), errno(Errno::EINVAL));
    assert_eq!(rig.region_info(4096, 9).errno(), errno(Errno::EINVAL));
}

#[test]
fn regions_offer_eventfds_for_doorbells() {
    let mut rig = Rig::new();
    let mut whole = rig.region_io_fds(4096, 0);
    assert_eq!(std::mem::take(&mut whole.fds).len(), 1);
    let reply = IoFds::decode(&whole.ok()).unwrap();
    assert_eq!(
        reply.parts.iter().map(|p| p.offset).collect::<Vec<_>>(),
        [0x10, 0x20]
    );
    let small = rig.region_io_fds(16, 0);
    assert_eq!(small.fds.len(), 0);
    assert_eq!(IoFds::decode(&small.ok()).unwrap().argsz, 96);
    let none = IoFds::decode(&rig.region_io_fds(4096, 1).ok()).unwrap();
    assert_eq!((none.argsz, none.parts.len()), (16, 0));
    assert_eq!(rig.region_io_fds(4096, 9).errno(), errno(Errno::EINVAL));
}

#[test]
fn accesses_are_checked_and_done() {
    let mut rig = Rig::new();
    let written = rig.write(0, 8, &[1, 2, 3, 4]).ok();
    assert_eq!(
        RegionAccess::decode(&written),
        Ok(RegionAccess {
            offset: 8,
            region: 0,
            count: 4
        })
    );
    let read = rig.read(0, 8, 4).ok();
    assert_eq!(RegionAccess::decode_data(&read).unwrap().1, [1, 2, 3, 4]);
    for (region, offset, count) in [
        (0, BAR_SIZE, 1),
        (0, BAR_SIZE - 3, 4),
        (0, u64::MAX, 4),
        (0, 0, 0),
        (0, 0, u32::MAX),
        (7, 0, 4),
        (u32::MAX, 0, 4),
    ] {
        assert_eq!(
            rig.read(region, offset, count).errno(),
            errno(Errno::EINVAL),
            "{offset:#x}"
        );
    }
    assert_eq!(rig.read(2, 0, 4).errno(), errno(Errno::EPERM), "write-only");
    assert_eq!(
        rig.write(1, 0, &[0; 4]).errno(),
        errno(Errno(libc::EDOM)),
        "the device's own errno"
    );
    rig.assert_in_step();
}

#[test]
fn posted_writes_get_no_reply_good_or_bad() {
    let mut rig = Rig::new();
    for (offset, data) in [(16, [9; 4]), (u64::MAX, [9; 4])] {
        let header = Header::posted(8, Command::RegionWrite);
        rig.client
            .write(&message(&header, |m| encode_write(m, 0, offset, &data)));
    }
    let read = rig.read(0, 16, 4).ok();
    assert_eq!(read[16..], [9; 4]);
}

#[test]
fn many_writes_in_one_message_go_up_to_the_first_that_is_refused() {
    let mut rig = Rig::new();
    let access = |offset| RegionAccess {
        offset,
        region: 0,
        count: 4,
    };
    let writes = [(32, [1; 4]), (36, [2; 4]), (BAR_SIZE, [3; 4]), (40, [4; 4])];
    let encode = |m: &mut Vec<u8>, writes: &[(u64, [u8; 4])]| {
        let all = writes.iter().map(|(offset, data)| MultiWrite {
            access: access(*offset),
            data,
        });
        encode_multi_writes(m, all);
    };
    let reply = rig
        .client
        .ask(Command::RegionWriteMulti, |m| encode(m, &writes))
        .ok();
    assert_eq!(reply, 2u64.to_ne_bytes());
    assert_eq!(
        rig.read(0, 32, 12).ok()[16..],
        [1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]
    );
    let refused = rig
        .client
        .ask(Command::RegionWriteMulti, |m| encode(m, &writes[2..]));
    assert_eq!(refused.errno(), errno(Errno::EINVAL));
}

#[test]
fn our_client_writes_many_registers_in_one_message() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut device = Scripted::new();
    let server = thread::spawn(move || {
        server::serve_stream(theirs, &mut device);
        device.bar
    });
    let client = Client::from_stream(ours, "user:many", PATIENCE).unwrap();
    let bar = client.bar(0).unwrap();
    let word = |n: u64| UserWrite::Bits64 {
        offset: 8 * n,
        value: n + 1,
    };
    let half = |offset, value| UserWrite::Bits32 { offset, value };
    // More than go into one message; the last ones overwrite earlier ones.
    let mut writes: Vec<_> = (0..300).map(word).collect();
    writes.extend([half(4, 0x0102_0304), half(4, 0x0506_0708)]);
    bar.write_many(&writes).unwrap();
    assert_eq!(bar.read64(8 * 299).unwrap(), 300);
    drop((bar, client));
    let memory = server.join().unwrap();
    assert_eq!(memory[..8], [1, 0, 0, 0, 8, 7, 6, 5]);
    for n in 1..300 {
        assert_eq!(memory[8 * n..][..8], (n as u64 + 1).to_le_bytes());
    }
}

#[test]
fn mappings_are_made_refused_and_swept() {
    let mut rig = Rig::new();
    rig.map(0x1000, 0x1000).ok();
    rig.map(0x4000, 0x1000).ok();
    rig.map(u64::MAX - 0xfff, 0x1000).ok();
    assert_eq!(rig.map(0x1000, 0x1000).errno(), errno(Errno::EEXIST));
    assert_eq!(rig.map(0x2000, 0).errno(), errno(Errno::EINVAL));
    assert_eq!(rig.map(u64::MAX, 2).errno(), errno(Errno::EINVAL));
    assert_eq!(
        rig.unmap(0x1800, 0x100, false).errno(),
        errno(Errno::EINVAL)
    );
    let swept = rig
        .unmap(0xfef0_0000, 0u64.wrapping_sub(0xfef0_0000), false)
        .ok();
    let swept = DmaUnmap::decode(&swept).unwrap();
    assert_eq!((swept.address, swept.size), (0xfef0_0000, 0x1000));
    let nothing = rig.unmap(0x8000, 0x8000, false).ok();
    assert_eq!(DmaUnmap::decode(&nothing).unwrap().size, 0);
    rig.unmap(0, 0, true).ok();
    let log = rig.end().1;
    let maps = [
        "map 0x1000+0x1000 file false",
        "map 0x4000+0x1000 file false",
        "map 0xfffffffffffff000+0x1000 file false",
    ];
    let unmaps = [
        "unmap 0xfffffffffffff000+0x1000",
        "unmap 0x1000+0x1000",
        "unmap 0x4000+0x1000",
        "gone",
    ];
    assert_eq!(log, [&maps[..], &unmaps].concat());
}

#[test]
fn mappings_consist_of_whole_pages_of_the_device() {
    let mut device = Scripted::new();
    device.page_sizes = 1 << 21 | 1 << 16;
    let mut rig = Rig::over(device);
    assert_eq!(rig.client.greet().capabilities.pgsizes, 1 << 21 | 1 << 16);
    rig.map(0x1_0000, 0x2_0000).ok();
    for (address, size) in [
        (0x8_1000, 0x1_0000),
        (0x8_0000, 0x1000),
        (0x8_0000, 0x1_0001),
    ] {
        let refused = rig.map(address, size).errno();
        assert_eq!(refused, errno(Errno::EINVAL), "{address:#x}+{size:#x}");
    }
    // Nothing is cut: the sweeps would find the mapping, or none.
    for (address, size) in [(0x1000, 0x8_0000), (0, 0x8_1000), (0x10_0000, 0x1000)] {
        let refused = rig.unmap(address, size, false).errno();
        assert_eq!(refused, errno(Errno::EINVAL), "{address:#x}+{size:#x}");
    }
    rig.unmap(0, 0x8_0000, false).ok();
    let log = [
        "map 0x10000+0x20000 file false",
        "unmap 0x10000+0x20000",
        "gone",
    ];
    assert_eq!(rig.end().1, log);
}

#[test]
fn our_client_keeps_to_the_page_sizes_of_a_served_model() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut config = SimConfig::default();
    config.set("iommu-page", "2097152").unwrap();
    let sizes = config.iommu_pages;
    let mut device = SimDevice::new("bmu", config).unwrap();
    let server = thread::spawn(move || server::serve_stream(theirs, &mut device));
    let client = Client::from_stream(ours, "user:pages", PATIENCE).unwrap();
    assert_eq!(client.dma_limits().unwrap().page_sizes, sizes);
    assert_eq!(sizes.trailing_zeros(), 21);
    let file = sealed(0x20_0000);
    let source = DmaSource {
        file: file.as_fd(),
        offset: 0,
        len: 0x20_0000,
    };
    let refused = client.dma_map(Iova(0x20_1000), source);
    let misaligned = DmaError::Misaligned {
        iova: Iova(0x20_1000),
        len: 0x20_0000,
        page: 0x20_0000,
    };
    assert_eq!(refused, Err(misaligned));
    client.dma_map(Iova(0x20_0000), source).unwrap();
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_client_that_goes_leaves_no_mapping_and_no_eventfd() {
    let mut rig = Rig::new();
    rig.map(0x1000, 0x1000).ok();
    let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).unwrap();
    rig.irqs(eventfds(3, 1), &[bell]).ok();
    assert!(rig.lines.is_heard(MSIX, 3));
    rig.write(0, 0, &[7; 4]).ok();
    let lines = Arc::clone(&rig.lines);
    let (device, log) = rig.end();
    assert_eq!(log[1..], ["unmap 0x1000+0x1000", "gone"]);
    assert!(!lines.is_heard(MSIX, 3));
    assert_eq!(device.bar[..4], [7; 4], "the state stays");
    let mut next = Rig::over(device);
    next.client.greet();
    assert_eq!(next.read(0, 0, 4).ok()[16..], [7; 4]);
}

fn eventfds(start: u32, count: u32) -> SetIrqs<'static> {
    SetIrqs {
        action: IrqAction::Trigger,
        data: IrqData::Eventfd,
        index: MSIX,
        start,
        count,
    }
}

fn bells(count: usize) -> Vec<EventFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    (0..count)
        .map(|_| EventFd::from_flags(flags).unwrap())
        .collect()
}

/// Returns how often each has rung since the last look.
fn rung(bells: &[EventFd]) -> Vec<u64> {
    bells.iter().map(|bell| bell.read().unwrap_or(0)).collect()
}

#[test]
fn a_batch_of_more_than_sixteen_eventfds_is_assigned_in_order() {
    let mut rig = Rig::new();
    let bells = bells(17);
    rig.irqs(eventfds(2, 17), &bells).ok();
    rig.lines.fire(MSIX, 2);
    rig.lines.fire(MSIX, 18);
    rig.lines.fire(MSIX, 18);
    let mut expected = vec![0; 17];
    (expected[0], expected[16]) = (1, 2);
    assert_eq!(rung(&bells), expected);
    rig.irqs(eventfds(18, 1), &[]).ok();
    assert!(!rig.lines.is_heard(MSIX, 18) && rig.lines.is_heard(MSIX, 17));
    let none = SetIrqs {
        data: IrqData::None,
        ..eventfds(0, 0)
    };
    rig.irqs(none, &[]).ok();
    assert!(!rig.lines.is_heard(MSIX, 2));
}

#[test]
fn too_many_descriptors_are_refused_and_the_next_message_is_sound() {
    let mut rig = Rig::new();
    let bells = bells(65);
    assert_eq!(
        rig.irqs(eventfds(0, 40), &bells).errno(),
        errno(Errno::EMFILE)
    );
    assert_eq!(
        rig.irqs(eventfds(0, 2), &bells[..3]).errno(),
        errno(Errno::EINVAL)
    );
    assert!(!rig.lines.is_heard(MSIX, 0));
    rig.irqs(eventfds(0, 1), &bells[..1]).ok();
    assert!(rig.lines.is_heard(MSIX, 0) && !rig.lines.is_heard(MSIX, 1));
}

#[test]
fn interrupts_are_fired_and_masked_by_all_kinds_of_data() {
    let mut rig = Rig::new();
    let bells = bells(3);
    rig.irqs(eventfds(0, 3), &bells).ok();
    let range = eventfds(0, 3);
    let bools = IrqData::Bool(&[1, 0, 1]);
    rig.irqs(
        SetIrqs {
            data: IrqData::None,
            ..range
        },
        &[],
    )
    .ok();
    assert_eq!(rung(&bells), [1, 1, 1]);
    rig.irqs(
        SetIrqs {
            data: bools,
            ..range
        },
        &[],
    )
    .ok();
    assert_eq!(rung(&bells), [1, 0, 1]);
    rig.irqs(
        SetIrqs {
            action: IrqAction::Mask,
            data: bools,
            ..range
        },
        &[],
    )
    .ok();
    rig.irqs(
        SetIrqs {
            data: IrqData::None,
            ..range
        },
        &[],
    )
    .ok();
    assert_eq!(rung(&bells), [0, 1, 0]);
    rig.irqs(
        SetIrqs {
            action: IrqAction::Unmask,
            data: IrqData::None,
            ..range
        },
        &[],
    )
    .ok();
    assert_eq!(rung(&bells), [1, 0, 1], "held back while masked");
    let refused = rig.irqs(
        SetIrqs {
            action: IrqAction::Mask,
            ..range
        },
        &bells,
    );
    assert_eq!(refused.errno(), errno(Errno::EOPNOTSUPP));
}

#[test]
fn an_eventfd_keeps_the_flags_that_its_client_gave_it_and_a_full_one_stops_nobody() {
    let mut rig = Rig::new();
    let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).unwrap();
    let kept = bell.as_fd().try_clone_to_owned().unwrap();
    bell.write(u64::MAX - 1).unwrap();
    rig.irqs(eventfds(0, 1), &[bell]).ok();
    let fire = SetIrqs {
        data: IrqData::None,
        ..eventfds(0, 1)
    };
    rig.irqs(fire, &[]).ok();
    rig.assert_in_step();
    let flags = nix::fcntl::fcntl(&kept, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    assert_eq!(flags & libc::O_NONBLOCK, 0);
    let mut count = [0; 8];
    nix::unistd::read(&kept, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), u64::MAX - 1);
    rig.irqs(fire, &[]).ok();
    nix::unistd::read(&kept, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);
}

#[test]
fn all_interrupts_are_taken_back_from_the_first_on_only() {
    let mut rig = Rig::new();
    rig.irqs(eventfds(3, 1), &bells(1)).ok();
    let none = |start| SetIrqs {
        data: IrqData::None,
        ..eventfds(start, 0)
    };
    assert_eq!(rig.irqs(none(1), &[]).errno(), errno(Errno::EINVAL));
    assert!(rig.lines.is_heard(MSIX, 3));
    rig.irqs(none(0), &[]).ok();
    assert!(!rig.lines.is_heard(MSIX, 3));
}

#[test]
fn an_argsz_that_is_too_short_is_refused() {
    let mut rig = Rig::new();
    for (command, least) in COUNTED {
        let refused = rig.client.ask(command, |m| {
            m.extend(u32::to_ne_bytes(least as u32 - 1));
            m.extend(vec![0; least - 4]);
        });
        assert_eq!(refused.errno(), errno(Errno::EINVAL), "{command:?}");
    }
    rig.assert_in_step();
}

#[test]
fn flags_of_a_mapping_that_nobody_knows_are_refused() {
    let mut rig = Rig::new();
    let refused = rig.client.ask(Command::DmaMap, |m| {
        m.extend([32u32, 1 | 2 | 8].map(u32::to_ne_bytes).concat());
        m.extend([0, 0x1000, 0x1000].map(u64::to_ne_bytes).concat());
    });
    assert_eq!(refused.errno(), errno(Errno::EINVAL));
    assert_eq!(rig.end().1, ["gone"], "nothing was mapped");
}

#[test]
fn a_message_that_is_neither_command_nor_reply_is_refused() {
    let mut rig = Rig::new();
    for kind in 2..16 {
        let header = Header {
            flags: kind,
            ..Header::command(7, Command::DeviceReset)
        };
        rig.client.write(&message(&header, |_| ()));
        assert_eq!(rig.client.next().errno(), errno(Errno::EINVAL), "{kind}");
    }
    assert_eq!(rig.end().1, ["gone"], "nothing was reset");
}

/// Reads bytes of BAR 0.
fn read_bar(client: &mut Peer, offset: u64, count: u32) -> Vec<u8> {
    let access = RegionAccess {
        offset,
        region: 0,
        count,
    };
    let reply = client.ask(Command::RegionRead, |m| access.encode(m)).ok();
    reply[16..].to_vec()
}

#[test]
fn a_served_model_answers_odd_accesses_with_0_and_ignores_odd_writes() {
    const ODD: [(u64, u32); 7] = [(0, 1), (0, 2), (1, 4), (2, 4), (4, 8), (0, 3), (0, 16)];
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut device = SimDevice::new("bmu", SimConfig::default()).unwrap();
    let server = thread::spawn(move || server::serve_stream(theirs, &mut device));
    let mut client = Peer::new(ours);
    client.greet();
    let memory_space = |client: &mut Peer, on: u8| {
        let write = |m: &mut Vec<u8>| encode_write(m, 7, 4, &[on << 1, 0]);
        client.ask(Command::RegionWrite, write).ok();
    };
    memory_space(&mut client, 0);
    assert_eq!(read_bar(&mut client, 0, 2), [0xff; 2], "nobody claims it");
    memory_space(&mut client, 1);
    assert_ne!(read_bar(&mut client, 0, 4), [0; 4]);
    for (offset, count) in ODD {
        let read = read_bar(&mut client, offset, count);
        assert_eq!(read, vec![0; count as usize], "{count} at {offset}");
        let data = vec![1; count as usize];
        let write = |m: &mut Vec<u8>| encode_write(m, 0, offset, &data);
        client.ask(Command::RegionWrite, write).ok();
    }
    drop(client);
    server.join().unwrap();
}

#[test]
fn interrupts_that_are_not_there_are_refused() {
    let mut rig = Rig::new();
    for (index, start, count) in [
        (MSIX, 0, VECTORS + 1),
        (MSIX, VECTORS, 1),
        (MSIX, u32::MAX, 1),
        (MSIX, 1, u32::MAX),
        (1, 0, 1),
        (5, 0, 0),
        (u32::MAX, 0, 0),
    ] {
        let request = SetIrqs {
            data: IrqData::None,
            index,
            start,
            count,
            ..eventfds(0, 0)
        };
        assert_eq!(
            rig.irqs(request, &[]).errno(),
            errno(Errno::EINVAL),
            "{index} {start} {count}"
        );
    }
    let request = IrqInfo {
        index: MSIX,
        ..IrqInfo::default()
    };
    let info = rig
        .client
        .ask(Command::GetIrqInfo, |m| request.encode(m))
        .ok();
    assert_eq!(IrqInfo::decode(&info).unwrap().count, VECTORS);
    let request = IrqInfo {
        index: 5,
        ..IrqInfo::default()
    };
    let refused = rig.client.ask(Command::GetIrqInfo, |m| request.encode(m));
    assert_eq!(refused.errno(), errno(Errno::EINVAL));
}

#[test]
fn memory_without_a_file_is_reached_by_messages_while_commands_wait() {
    let mut rig = Rig::new();
    rig.map(0x1000, 0x2000).ok();
    rig.client.command(Command::RegionWrite, |m| {
        encode_write(m, 1, 0, &0x1010u64.to_le_bytes())
    });
    let read = rig.client.next();
    assert_eq!(read.header.command, Command::DmaRead as u16);
    assert_eq!(
        DmaAccess::decode(&read.payload),
        Ok(DmaAccess {
            address: 0x1010,
            count: 16
        })
    );
    // A command of ours comes in between; it has its turn later.
    rig.client.command(Command::DeviceReset, |_| ());
    let data: Vec<u8> = (0..16).collect();
    rig.client.write(&message(&read.header.reply(), |m| {
        DmaAccess {
            address: 0x1010,
            count: 16,
        }
        .encode(m);
        m.extend_from_slice(&data);
    }));
    let write = rig.client.next();
    assert_eq!(write.header.command, Command::DmaWrite as u16);
    let access = DmaAccess {
        address: 0x2010,
        count: 16,
    };
    assert_eq!(
        DmaAccess::decode_data(&write.payload),
        Ok((access, &data[..]))
    );
    rig.client
        .write(&message(&write.header.reply(), |m| access.encode(m)));
    assert_eq!(
        rig.client.next().header.command,
        Command::RegionWrite as u16
    );
    assert_eq!(
        rig.client.next().header.command,
        Command::DeviceReset as u16
    );
    assert_eq!(rig.end().1[1..], ["reset", "unmap 0x1000+0x2000", "gone"]);
}

#[test]
fn memory_that_is_not_mapped_or_refused_is_a_fault() {
    let mut rig = Rig::new();
    rig.map(0x1000, 0x1000).ok();
    let unmapped = rig.write(1, 0, &0x8000u64.to_le_bytes());
    assert_eq!(
        unmapped.errno(),
        errno(Errno::EFAULT),
        "no message was sent for it"
    );
    rig.client.command(Command::RegionWrite, |m| {
        encode_write(m, 1, 0, &0x1000u64.to_le_bytes())
    });
    let read = rig.client.next();
    rig.client
        .write(&message(&read.header.refusal(errno(Errno::EIO)), |_| ()));
    assert_eq!(rig.client.next().errno(), errno(Errno::EFAULT));
    rig.client.command(Command::RegionWrite, |m| {
        encode_write(m, 1, 0, &0x1000u64.to_le_bytes())
    });
    let read = rig.client.next();
    // Fewer bytes than were asked for.
    rig.client.write(&message(&read.header.reply(), |m| {
        DmaAccess {
            address: 0x1000,
            count: 4,
        }
        .encode(m);
        m.extend([0; 4]);
    }));
    assert_eq!(rig.client.next().errno(), errno(Errno::EIO));
    rig.assert_in_step();
}

#[test]
fn commands_that_wait_hold_no_more_than_a_little() {
    let mut rig = Rig::new();
    rig.map(0x1000, 0x1000).ok();
    rig.client.command(Command::RegionWrite, |m| {
        encode_write(m, 1, 0, &0x1000u64.to_le_bytes())
    });
    let read = rig.client.next();
    assert_eq!(read.header.command, Command::DmaRead as u16);
    // Each is as long as a message may be, and none is refused before its turn.
    let long = message(&Header::posted(8, Command::RegionWrite), |m| {
        encode_write(m, 0, 0, &vec![0; 1 << 20])
    });
    let mut taken = 0;
    while rig.client.0.write_all(&long).is_ok() {
        taken += 1;
        assert!(taken < 64, "{taken} MiB wait");
    }
    assert!(taken > 4, "{taken} are too few");
    assert!(rig.client.is_closed());
}

#[test]
fn replies_that_nobody_waits_for_are_ignored() {
    let mut rig = Rig::new();
    let header = Header::command(9, Command::DmaRead).reply();
    rig.client.write(&message(&header, |m| m.extend([0; 32])));
    rig.assert_in_step();
}

#[test]
fn descriptors_go_with_their_own_message() {
    let mut rig = Rig::new();
    let bell = bells(1);
    let info = DeviceInfo::default();
    // Two messages without before, one with, in as few reads as the server likes.
    let plain = message(&Header::command(1, Command::DeviceGetInfo), |m| {
        info.encode(m)
    });
    rig.client.write(&[&plain[..], &plain].concat());
    rig.irqs_later(&bell);
    for expected in [4, 4, 8] {
        assert_eq!(rig.client.next().header.command, expected);
    }
    rig.lines.fire(MSIX, 5);
    assert_eq!(rung(&bell), [1]);
}

impl Rig {
    fn irqs_later(&self, bells: &[EventFd]) {
        let raw: Vec<_> = bells.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
        let header = Header::command(2, Command::SetIrqs);
        self.client
            .send(&message(&header, |m| eventfds(5, 1).encode(m)), &raw);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client sends, the server neither panics nor hangs, and everything of the client's is gone after it.
    #[test]
    fn arbitrary_messages_do_no_harm(
        messages in prop::collection::vec((0u16..20, prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 1..20),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let rig = Rig::new();
        for (command, payload, posted) in &messages {
            let header = match posted {
                true => Header::posted(1, Command::Version),
                false => Header::command(1, Command::Version),
            };
            let header = Header { command: *command, ..header };
            rig.client.send(&message(&header, |m| m.extend(payload)), &[]);
        }
        // What may not fit any more is not sent: a server that was told nonsense may have closed.
        let _ = nix::unistd::write(&rig.client.0, &tail);
        let log = rig.end().1;
        prop_assert_eq!(log.last().map(String::as_str), Some("gone"));
        let count = |word: &str| log.iter().filter(|line| line.starts_with(word)).count();
        prop_assert_eq!(count("map"), count("unmap"));
    }
}
